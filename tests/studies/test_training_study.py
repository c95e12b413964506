"""The training study: its chips, its table, what it says a designer needs, and cells that are kept."""

import json
import math

import pytest
from real_data import needs_data
from typer.testing import CliRunner

from tngd_hw.cli.app import app
from tngd_hw.hardware import Role
from tngd_hw.studies.training.designs import Axis, chip_runs
from tngd_hw.studies.training.study import (
    ChipResult,
    needed,
    run_training_study,
    training_figure,
    training_table,
    write_training,
)
from tngd_hw.tasks import MNIST_FILES
from tngd_hw.training import AnalogStart

RUNS = {run.name: run for run in chip_runs()}


def result(name, *accuracy):
    return ChipResult(RUNS[name], accuracy, tuple(1 - a for a in accuracy), 1.0)


def test_chips_differ_and_the_first_is_ideal():
    configurations = [json.dumps(run.configuration(), sort_keys=True) for run in chip_runs()]
    assert len(set(configurations)) == len(configurations) == len(RUNS)
    assert next(iter(RUNS.values())).hardware.effects() == ()
    only_h = RUNS["bits of H: 4 bits"]
    assert set(only_h.exact) == {Role.JACOBIAN, Role.TRANSPOSE, Role.DAMPING}
    assert RUNS["mismatch, one array both ways: 5 %"].hardware.mismatch.shared_arrays
    reset, kept = (RUNS[f"everything together{kind}: 6 bits, 2 %, kappa 0.0001"] for kind in ("", ", state kept"))
    assert (reset.hardware, reset.kappa, reset.exact) == (kept.hardware, kept.kappa, kept.exact)
    assert (kept.start, kept.duration_tau) == (AnalogStart.PREVIOUS, 5.0)
    assert "start" not in reset.configuration()  # cells of before there were two starts are still theirs


def test_what_is_needed_is_the_cheapest_chip_with_no_worse_one_on_the_way():
    ideal = result("the ideal chip", 0.90, 0.92)
    bits = [
        result("bits of H: 2 bits", 0.91, 0.91),  # good by luck: 3 bits are not
        result("bits of H: 3 bits", math.nan, math.nan),
        result("bits of H: 4 bits", 0.897, 0.916),
        result("bits of H: 5 bits", 0.899, 0.92),
    ]
    assert needed([ideal, *bits], Axis.HESSIAN) == 4
    noise = [result("injected noise kappa: 1e-05", 0.9, 0.9), result("injected noise kappa: 0.0001", 0.9, 0.92)]
    assert needed([ideal, *noise], Axis.NOISE) is None
    assert needed([ideal, *noise[1:]], Axis.NOISE) == 1e-4
    better = result("the ideal chip, state kept", 0.95, 0.97)
    kept = [
        result("everything together, state kept: 6 bits, 2 %, kappa 0.0001", 0.93, 0.95),  # above the other ideal chip
        result("everything together, state kept: 8 bits, 1 %, kappa 0.0001", 0.946, 0.968),
    ]
    assert needed([ideal, *kept, better], Axis.KEPT) == 8
    mean, error = bits[2].lost(ideal)
    assert (mean, error) == pytest.approx((0.0035, 0.0005))


def test_the_table_says_what_to_buy_and_which_chips_give_no_answer():
    results = [
        result("the ideal chip", 0.9),
        result("bits of H: 3 bits", math.nan),
        result("bits of H: 4 bits", 0.899),
        result("mismatch, J and J^T apart: 1 %", 0.8),
    ]
    table = training_table(results)
    assert "bits of H                          at least 4 bits" in table
    assert "mismatch, J and J^T apart          none of those tried" in table
    assert "bits of H: 3 bits" in table
    assert "diverged" in table
    charts = training_figure(results, 7).axes
    assert "ideal chip: 90.0 %" in [text.get_text() for text in charts[1].get_legend().get_texts()]
    kept = "everything together, state kept: 8 bits, 1 %, kappa 0.0001"
    charts = training_figure([*results, result(kept, 0.93), result("the ideal chip, state kept", 0.95)], 7).axes
    assert "the ideal chip, state kept: 95.0 %" in [text.get_text() for text in charts[3].get_legend().get_texts()]


@needs_data(*MNIST_FILES)
def test_cells_are_kept_and_an_unstable_chip_is_data(tmp_path):
    chosen = [RUNS["the ideal chip"], RUNS["bits of H: 3 bits"]]
    options = {"seeds": 1, "steps": 1, "workers": 1, "runs": chosen}
    first = run_training_study(tmp_path, resume=False, **options)
    assert math.isfinite(first[0].accuracy[0])
    assert math.isnan(first[1].accuracy[0])  # rounding H to 3 bits leaves it no more semidefinite
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    again = run_training_study(tmp_path, resume=True, **options)
    assert [r.accuracy[0] for r in again[:1]] == [r.accuracy[0] for r in first[:1]]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()} == stamps
    _, document = write_training(again, tmp_path, steps=1)
    assert json.loads((tmp_path / "summary.json").read_text()) == document
    assert document["chips"][1]["accuracy"] == [None]
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["training", "--topology", "integrator"], "--topology: the study training is about the MNIST network"),
        (["mismatch", "--steps", "3"], "--steps: the study mismatch trains no network"),
        (["trainin"], "covariance, training"),
        (["training", "--chips", "0"], "chips = 0: expected a whole number of at least 1"),
        (["training", "--workers", "0"], "workers = 0: expected a whole number of at least 1"),
    ],
)
def test_wrong_calls(words, says, tmp_path):
    ended = CliRunner().invoke(app, ["study", *words, "--out", str(tmp_path)])
    assert ended.exit_code == 2
    assert says in ended.output.replace("\n", " ")


def test_cells_of_an_earlier_run_are_not_mixed_in(tmp_path):
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "x.json").write_text("{}")
    ended = CliRunner().invoke(app, ["study", "training", "--out", str(tmp_path)])
    assert ended.exit_code == 2
    assert "--resume" in ended.output
