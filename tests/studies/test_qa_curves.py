"""The question-answering curves: what each run does, on a small encoder; the cells on the model where it is."""

import json
import math

import pytest
import torch
from qa_models import tiny_task
from real_data import needs_data, needs_model

from tngd_hw.curvature import SplitCrossEntropy, ggn_operator, trainable_parameters
from tngd_hw.studies.curves.curves import Curve
from tngd_hw.studies.qa.curves import main, qa_figure, summary_rows
from tngd_hw.studies.qa.runs import DAMPING, RUNS, QARun, train_run
from tngd_hw.tasks import SQUAD_SAMPLE, qa_network, qa_scores, squad_questions
from tngd_hw.tasks.qa_model import load_tokenizer, model_folder
from tngd_hw.tasks.qa_task import TEST_ARTICLES, make_qa_task
from tngd_hw.tasks.squad import split_by_article
from tngd_hw.training import DigitalOptimizer, TrainingRecord


def _flat(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in trainable_parameters(network).values()])


def _trained(run: QARun, steps: int) -> tuple[TrainingRecord, list[torch.Tensor], torch.nn.Module]:
    """The record, parameters before and after, and the network."""
    task, made = tiny_task(), []
    network = task.make_network(0)
    before = _flat(network)
    object.__setattr__(task, "make_network", lambda seed: made.append(seed) or network)
    record = train_run(run, task, seed=0, steps=steps, evaluate_every=steps)
    assert made == [0]
    return record, [before, _flat(network)], network


def _tiny(run: QARun) -> QARun:
    return QARun(run.name, run.optimizer, run.lr, run.duration_tau, batch_size=3)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_first_update_is_what_the_run_says(run: QARun):
    task = tiny_task()
    (batch,) = task.minibatches(3, 1, 0)
    operator = ggn_operator(task.make_network(0), SplitCrossEntropy(2), batch, damping=DAMPING)
    g = operator.gradient()
    x = g
    if run.duration_tau is not None:  # relaxed from g, on the dense matrix
        A = operator.apply(torch.eye(len(g), dtype=torch.float64))
        fixed = torch.linalg.solve(A, g)
        x = fixed + torch.linalg.matrix_exp(-run.duration_tau * A) @ (g - fixed)
    _, (before, after), _ = _trained(_tiny(run), 1)
    moved = (before - after) / run.lr
    error = 1e-3 * float(x.norm())  # what the relaxation may be off by
    if run.optimizer is DigitalOptimizer.SGD:
        torch.testing.assert_close(moved, x, rtol=0.0, atol=error)
        assert float((x - g).norm()) > 10 * error  # so that the plain gradient would be seen
    else:
        clear = x.abs() > 2 * error
        assert int(clear.sum()) > 20
        torch.testing.assert_close(moved[clear], x[clear].sign(), rtol=1e-4, atol=0.0)


def test_the_record_has_the_scores_and_the_loss_falls():
    run = QARun("x", DigitalOptimizer.SIGN_SGD, 0.02, 0.4, batch_size=3)
    record, _, network = _trained(run, 12)
    scores = qa_scores(network, tiny_task())
    assert record.accuracy == (scores.exact_match,)
    assert (record.extra["f1"], record.extra["test_loss"]) == ((scores.f1,), (scores.loss,))
    assert record.loss[-1] < 0.8 * record.loss[0]
    assert len(record.extra["products"]) == record.steps == 12


def test_runs_are_told_apart_by_what_they_do():
    assert len({json.dumps(run.configuration(), sort_keys=True) for run in RUNS}) == len(RUNS) == 6
    first = RUNS[0]
    other = QARun(first.name, first.optimizer, first.lr, first.duration_tau, encoder="/elsewhere")
    assert other.configuration() != first.configuration()


def test_rows_and_figure():
    curves = [
        Curve(name, torch.full((2, 9), value).numpy(), (0.1, 0.3), (1.0, 1.0), products)
        for name, value, products in (("TNGD", 2.0, 6.0), ("Adam", 1.0, 0.0))
    ]
    record = {"extra": {"f1": [0.1, 0.5], "test_loss": [4.0, None]}}
    cells = {(curve.name, seed): {"record": record} for curve in curves for seed in (0, 1)}
    cells["Adam", 1] = {"record": {"extra": {}}}  # diverged before the first evaluation
    rows = summary_rows(curves, (0, 1), cells, 3)
    assert (rows[0]["exact_match"], rows[0]["f1"]) == ([0.1, 0.3], [0.5, 0.5])
    assert math.isnan(rows[0]["test_loss"][0])
    assert rows[1]["f1"][0] == 0.5
    assert math.isnan(rows[1]["f1"][1])
    figure = qa_figure(curves, rows, 3)
    assert [text.get_text() for text in figure.axes[1].get_yticklabels()] == ["TNGD", "Adam"]


def test_bad_calls_end_with_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "out"), "--seeds", "0"]) == 2
    assert "0 seeds" in capsys.readouterr().err
    assert main([str(tmp_path / "out"), "--model-dir", str(tmp_path)]) == 2
    assert "no config.json" in capsys.readouterr().err


@needs_model
@needs_data(SQUAD_SAMPLE)
def test_two_cells_on_the_model(tmp_path, capsys, monkeypatch):
    def small(**places):
        train, test = split_by_article(squad_questions(), TEST_ARTICLES)
        folder = model_folder(places["model_dir"])
        return make_qa_task(train[:4], test[:4], load_tokenizer(folder, 384), qa_network)

    monkeypatch.setattr("tngd_hw.studies.qa.curves.qa_task", small)
    monkeypatch.setattr("tngd_hw.studies.qa.curves.RUNS", (RUNS[3], RUNS[5]))
    assert main([str(tmp_path), "--seeds", "1", "--steps", "1", "--batch-size", "1", "--workers", "1"]) == 0
    assert "TNGD-Adam, t = 0.4 tau" in capsys.readouterr().out
    assert (tmp_path / "qa.png").stat().st_size > 10_000
    assert len(list((tmp_path / "cells").glob("*.json"))) == 2
