"""Equal tuning budgets: the same trials for all, the training loss decides, other seeds report."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from tngd_hw.studies.mnist import tuned as mnist_tuned
from tngd_hw.studies.mnist.tuned import TunedRow, best_trial, main, markdown_table, trials_of, tuned_figure, tuned_row
from tngd_hw.studies.mnist.tuned_runs import BATCH_SIZE, OPTIMIZERS, TunedRun, train_run
from tngd_hw.tasks import digits_task
from tngd_hw.training import DigitalOptimizer

BY_NAME = {optimizer.name: optimizer for optimizer in OPTIMIZERS}


def cell(train_loss, accuracy=0.5, seconds=0.01):
    return {"record": {"extra": {"train_loss": [train_loss], "step_seconds": [seconds]}, "accuracy": [accuracy]}}


def test_everybody_gets_the_same_number_of_rates_half_decades_apart():
    for optimizer in OPTIMIZERS:
        rates = optimizer.rates(7)
        assert len(rates) == 7
        assert all(b / a == pytest.approx(10**0.5) for a, b in pairwise(rates))
    for name, kind in (("SGD", DigitalOptimizer.SGD), ("Adam", DigitalOptimizer.ADAM)):
        assert BY_NAME[name].rates(7) == pytest.approx(kind.default_grid[::2])
    assert BY_NAME["sign-SGD"].rates(1) == pytest.approx((10**-2.5,))
    runs = [TunedRun(optimizer, lr) for optimizer in OPTIMIZERS for lr in optimizer.rates(3)]
    assert len({json.dumps(run.configuration()) for run in runs}) == len(runs) == len({run.name for run in runs})
    assert not any(" at 0x" in str(run.configuration()) for run in runs)  # an address would tell equal runs apart


def test_the_training_loss_decides_and_a_failed_run_is_infinite():
    optimizer = BY_NAME["SGD"]
    rates = optimizer.rates(3)
    names = [TunedRun(optimizer, lr).name for lr in rates]
    search = {(names[0], 7): cell(1.0, 0.9), (names[1], 7): cell(0.8, 0.1), (names[2], 7): cell(0.3, 0.9)}
    search |= {(names[0], 8): cell(1.0, 0.9), (names[1], 8): cell(0.9, 0.1), (names[2], 8): cell(None, 0.9)}
    trials = trials_of(optimizer, rates, (7, 8), search)
    assert trials[2].score == math.inf
    assert best_trial(trials).lr == rates[1]  # neither the highest accuracy nor the lowest single loss
    final = {(names[1], 0): cell(0.5, 0.8, 0.02), (names[1], 1): cell(0.7, 0.9, 0.04)}
    row = tuned_row(optimizer, trials, (0, 1), final)
    assert (row.lr, row.at_edge, row.train_loss, row.accuracy) == (rates[1], False, (0.5, 0.7), (0.8, 0.9))
    assert row.step_seconds == pytest.approx(0.03)
    (line,) = markdown_table([row]).splitlines()[2:]
    assert line == "| SGD | 6 | 0.1 | no | 0.600 ± 0.141 | 85.0 ± 7.1 | 0.03 |"
    edge = trials_of(optimizer, rates[1:], (7,), search)
    last = tuned_row(optimizer, edge, (0,), {(names[2], 0): cell(None)})
    assert last.at_edge
    assert "| yes | failed |" in markdown_table([last])


def test_a_run_is_the_loop_of_its_optimizer_and_reports_the_whole_training_set():
    task = digits_task()
    found = train_run(TunedRun(BY_NAME["SGD"], 0.2), task, seed=3, steps=3)
    network, losses = task.make_network(3), []
    for inputs, targets in task.minibatches(BATCH_SIZE, 3, 3):
        loss = nn.functional.cross_entropy(network(inputs), targets)
        losses.append(float(loss.detach()))
        for p, g in zip(network.parameters(), torch.autograd.grad(loss, list(network.parameters())), strict=True):
            p.data -= 0.2 * g
    assert found.loss == pytest.approx(losses, rel=1e-12)
    whole = float(nn.functional.cross_entropy(network(task.train_inputs), task.train_targets).detach())
    assert found.extra["train_loss"][0] == pytest.approx(whole, rel=1e-12)
    assert found.extra["step_seconds"][0] > 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: each.name)
def test_every_optimizer_takes_its_middle_rate_and_reports_a_failure(optimizer):
    task = digits_task()
    found = train_run(TunedRun(optimizer, optimizer.rates(1)[0]), task, seed=0, steps=2)
    assert len(found.loss) == 2
    assert found.extra["train_loss"][0] < 3.0
    failed = train_run(TunedRun(optimizer, 1e200), task, seed=0, steps=3)
    loss = failed.extra["train_loss"][0]
    assert loss > 1e100 if optimizer.method is None else math.isnan(loss)


def test_the_command_tunes_and_reports_on_other_seeds(tmp_path, monkeypatch, capsys):
    few = (BY_NAME["SGD"], BY_NAME["AdaFisher"], replace(BY_NAME["AdaFisher"], name="too fast", middle=200.0))
    monkeypatch.setattr(mnist_tuned, "OPTIMIZERS", few)
    monkeypatch.setattr(mnist_tuned, "obtain_data", lambda *_: None)
    monkeypatch.setattr(mnist_tuned, "mnist_task", lambda **_: digits_task())
    plan = [str(tmp_path), "--rates", "3", "--steps", "4", "--search-steps", "2", "--seeds", "2"]
    assert main([*plan, "--search-seeds", "1", "--workers", "1"]) == 0
    table = capsys.readouterr().out
    assert "| AdaFisher | 3 |" in table
    assert "| failed |" in table.splitlines()[-1]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["seeds"], summary["search_seeds"]) == ([0, 1], [1000])
    assert len(list((tmp_path / "cells").iterdir())) == 3 * (3 + 2)
    assert (tmp_path / "mnist_tuned.png").stat().st_size > 10_000
    assert summary["rows"][2]["trials"][0]["losses"] == [None]
    for row in summary["rows"][:2]:
        best = min(row["trials"], key=lambda trial: trial["losses"][0])
        assert row["lr"] == best["lr"]


def test_the_figure_names_all_optimizers():
    rows = [
        TunedRow(each.name, 0.1, False, (mnist_tuned.Trial(0.1, (1.0,)),), (0.5, 0.6), (0.9, 0.9), 0.01)
        for each in OPTIMIZERS
    ]
    axes = tuned_figure(rows, "title").axes[1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [each.name for each in OPTIMIZERS]


def test_bad_calls_end_with_one_sentence(tmp_path, capsys):
    for options, says in (
        (["--rates", "0"], "rates = 0"),
        (["--search-seeds", "0"], "0 seeds"),
        (["--data-dir", str(tmp_path / "nowhere")], "no such folder"),
    ):
        assert main([str(tmp_path / "out"), *options]) == 2
        assert says in capsys.readouterr().err
