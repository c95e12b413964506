"""The Poisson study: what its solvers agree on, how settings are chosen, and what it writes of its cells."""

import json
import math

import numpy as np
import pytest

from tngd_hw.hardware import presets
from tngd_hw.studies.poisson import curves as poisson_curves
from tngd_hw.studies.poisson.plan import CHIPS, METHODS, SEARCH_SEED, chip_runs, runs_of
from tngd_hw.studies.poisson.results import chip_table, courses_of, method_row
from tngd_hw.studies.poisson.runs import FirstOrderRun, NaturalRun, Rule, train_run
from tngd_hw.studies.poisson.solvers import Arrays, Conjugate, Device, DualDie
from tngd_hw.training import DigitalOptimizer

_DAMPING = 0.05


def _errors(solver, steps=1):
    return np.array(train_run(NaturalRun("run", _DAMPING, solver), 0, steps).extra["error"])


def test_a_settled_device_a_settled_die_and_settled_arrays_are_the_exact_natural_gradient():
    exact, ideal = _errors(None), presets.ideal()
    settled = 20 / _DAMPING
    for solver in (Device(settled), DualDie(ideal, settled), Arrays(ideal, settled)):
        assert _errors(solver) == pytest.approx(exact, rel=1e-4)
    assert _errors(DualDie(ideal, 5.0)) == pytest.approx(_errors(Device(5.0)), rel=1e-4)
    assert abs(_errors(Device(5.0)) / exact - 1)[1:].min() > 0.05  # so early an answer is another one


def test_a_device_that_keeps_its_state_goes_on_where_a_reset_one_begins_anew():
    reset, kept = _errors(Device(5.0), 2), _errors(Device(5.0, keeps_state=True), 2)
    assert abs(kept[2] / reset[2] - 1) > 0.05


def test_one_conjugate_gradient_iteration_lowers_the_loss_less_than_an_exact_solve():
    begin, step, exact = (
        train_run(NaturalRun("x", 1e-2, s), 0, 2).extra["loss_at"] for s in (Conjugate(1), Conjugate(40), None)
    )
    assert begin[0] == step[0] == exact[0]
    assert begin[-1] > 3 * exact[-1]
    assert step[-1] == pytest.approx(exact[-1], rel=0.3)


def test_steps_are_looked_at_from_none_to_the_last_and_losses_are_those_before_a_step():
    record = train_run(FirstOrderRun("Adam", DigitalOptimizer.ADAM, 1e-2), 0, 30)
    at = record.extra["at"]
    assert at[:3] == (0, 1, 2)
    assert at[-1] == 30
    assert len(at) == len(set(at)) == len(record.extra["error"])
    assert record.extra["loss_at"][:2] == pytest.approx(record.loss[:2])
    assert record.extra["loss_at"][-1] < record.loss[0]
    falling = train_run(FirstOrderRun("Adam", DigitalOptimizer.ADAM, 1e-2, cosine=True), 0, 30)
    assert falling.loss[:2] == pytest.approx(record.loss[:2])
    assert falling.loss[20] != record.loss[20]


def test_runs_that_stop_say_why():
    diverged = train_run(FirstOrderRun("SGD", DigitalOptimizer.SGD, 1e6), 0, 60).extra
    assert "stopped: diverged" in diverged
    die = presets.ideal().with_value("programming.bits", 4)
    unstable = train_run(NaturalRun("die", 1e-3, DualDie(die, 1e3)), 0, 3)
    assert unstable.extra["stopped: unstable"] == (0.0,)
    assert unstable.loss == ()


def test_a_fixed_rate_is_1_and_levenberg_marquardt_moves_the_damping():
    for rule, moved in ((Rule.ONE, False), (Rule.LEVENBERG_MARQUARDT, True)):
        extra = train_run(NaturalRun("x", 1e-2, rule=rule), 0, 3).extra
        assert set(extra["rate"]) == {1.0}
        assert (len(set(extra["damping"])) > 1) is moved


def test_every_run_is_told_apart_and_nobody_tries_more_than_first_order():
    runs = [*runs_of(METHODS), *chip_runs()]
    assert len({json.dumps(run.configuration(), sort_keys=True) for run in runs}) == len(runs)
    assert len({run.name for run in runs}) == len(runs)
    assert max(len(m.settings) for m in METHODS if m.is_natural) == 13
    assert {len(m.settings) for m in METHODS if not m.is_natural} == {13}


def _cell(run, seed, steps):
    """A made-up record: error 1/(1 + steps made), times the seed's factor; loss least for a setting near 1e-3."""
    at = [0.0, 1.0, float(steps)]
    loss = [1.0, 0.5, abs(math.log10(run.setting) + 3) + 0.1]
    error = [(1 + 0.1 * (seed % 7)) / (1 + k) for k in at]
    extra = {"at": at, "error": error, "loss_at": loss, "cpu_seconds": [0.0, 0.5, 0.5 * steps]}
    if run.name.startswith("dual, 8 bits"):
        extra |= {"stopped: unstable": [0.0]}
    return {"seed": seed, "record": {"loss": [1.0], "extra": extra}}


def test_the_setting_is_that_of_the_lowest_final_loss_among_runs_that_did_not_stop():
    method = next(m for m in METHODS if m.name == "NGD, exact")
    cells = {(run.name, SEARCH_SEED): _cell(run, 0, 2000) for run in method.trials()}
    assert method.chosen(cells).setting == pytest.approx(1e-3)
    assert method.chosen(cells).name == "NGD, exact"
    best = next(run for run in method.trials() if run.setting == pytest.approx(1e-3))
    cells[best.name, SEARCH_SEED]["record"]["extra"]["stopped: diverged"] = [3.0]
    assert method.chosen(cells).setting in (pytest.approx(1e-2), pytest.approx(1e-4))


def test_a_row_has_medians_and_no_time_to_a_goal_that_one_network_missed():
    run = NaturalRun("x", 1e-3)
    seeds = (0, 1, 2)
    (course,) = courses_of([run], seeds, {("x", seed): _cell(run, seed, 2000) for seed in seeds})
    row = method_row(course)
    assert row["error_median"] == pytest.approx(1.1 / 2001)
    assert (row["steps"], row["steps_to_goal"], row["cpu_seconds_to_goal"]) == (2000, 2000.0, 1000.0)
    (course,) = courses_of([run], seeds, {("x", seed): _cell(run, seed, 1100 if seed else 900) for seed in seeds})
    assert method_row(course)["steps_to_goal"] is None


def test_the_whole_study_from_made_up_cells(tmp_path, monkeypatch, capsys):
    asked = []

    def cells(runs, seeds, steps, *_rest, **_options):
        asked.append((steps, len(runs) * len(seeds)))
        return {(run.name, seed): _cell(run, seed, steps) for run in runs for seed in seeds}

    monkeypatch.setattr(poisson_curves, "kept_cells", cells)
    assert poisson_curves.main([str(tmp_path), "--first-steps", "9000", "--natural-steps", "700"]) == 0
    assert {steps for steps, _ in asked} == {9000, 700, poisson_curves.CHIP_STEPS}
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in summary["methods"]] == [m.name for m in METHODS]
    assert len(summary["chips"]) == len(chip_runs())
    assert {row["stopped"] for row in summary["chips"] if row["chip"] == "dual, 8 bits"} == {"unstable at step 0"}
    for name in ("poisson.png", "poisson_chips.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*CHIPS, *(m.name for m in METHODS)))
    assert chip_table({(run.name, 0): _cell(run, 0, 5) for run in chip_runs()}, 0)[0]["stopped"] is None


def test_bad_calls_end_with_one_sentence(tmp_path, capsys):
    assert poisson_curves.main([str(tmp_path / "out"), "--first-steps", "0"]) == 2
    assert "steps = 0" in capsys.readouterr().err
