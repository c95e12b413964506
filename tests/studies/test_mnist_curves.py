"""The MNIST curves: cells that are kept, the same numbers for any number of workers, and what is drawn of them."""

import json
import math

import numpy as np
import pytest
import torch
from real_data import needs_data

from tngd_hw import MisuseError
from tngd_hw.studies.curves.curves import Curve, curves_of
from tngd_hw.studies.mnist.curves import curve_figure, main, run_cells
from tngd_hw.studies.mnist.runs import GROUPS
from tngd_hw.studies.mnist.time import analog_step_seconds, digital_step_seconds, time_figure, timing_of
from tngd_hw.tasks import MNIST_FILES
from tngd_hw.training import AnalogStart


def test_the_control_takes_the_learning_rate_times_the_gain_in_flat_directions():
    rates = {run.name: run.lr for run in GROUPS["adam"]}
    assert rates["SGD, 0.01 times the gain at 50 tau"] == pytest.approx(0.01 * 39.953, rel=1e-4)


def test_the_control_of_a_kept_state_is_the_device_where_the_curvature_is_zero():
    """Three steps of momentum against x(t) of dx = (g - lambda x) dt from the last x, at 5 tau."""
    run = next(run for run in GROUPS["delay"] if run.momentum)
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = run.control()([weight])
    x, expected = 0.0, 0.0
    for g in (1.0, -0.5, 2.0):
        x = x * math.exp(-0.05) + g * -math.expm1(-0.05) / 0.01
        expected -= 0.01 * x
        weight.grad = torch.full_like(weight, g)
        optimizer.step()
    assert float(weight.detach()) == pytest.approx(expected, rel=1e-12)


def test_runs_are_told_apart_by_more_than_their_names_and_delays_keep_the_state():
    runs = {run.name: run for group in GROUPS.values() for run in group}
    assert len({json.dumps(run.configuration(), sort_keys=True) for run in runs.values()}) == len(runs) - 2
    # The two names for one run: t = 5 with a delay of 0, and t = 50 without noise, are in two figures each.
    for run in runs.values():
        if run.schedule is not None:
            keeps = run.schedule.delay_tau > 0 or "state kept" in run.name
            expected = AnalogStart.PREVIOUS if keeps else AnalogStart.GRADIENT
            assert run.schedule.start is expected


def test_the_moving_mean_is_over_the_last_losses_only():
    loss = np.array([[4.0, 2.0, 3.0, 7.0], [1.0, 1.0, 1.0, np.nan]])
    curve = Curve("x", loss, (0.5, 0.5), (1.0, 1.0), 0.0)
    assert curve.smoothed(2)[0].tolist() == [4.0, 2.0, 3.0, 5.0]  # of no more than the last quarter, and one
    assert curve.smoothed(1)[0].tolist() == [4.0, 2.0, 3.0, 7.0]
    assert curve.smoothed(2)[1, :3].tolist() == [1.0, 1.0, 1.0]
    assert math.isnan(curve.smoothed(2)[1, 3])
    assert (
        Curve("x", loss[:1], (0.5,), (1.0,), 0.0).to_dict(4)["final_loss_mean"] == 4.0
    )  # the end has its whole window


def test_a_figure_names_every_run_with_its_accuracy():
    loss = np.linspace(2.0, 1.0, 20)[None] + np.array([[0.0], [0.1]])
    curves = [Curve("TNGD", loss, (0.9, 0.8), (1.0, 1.0), 20.0), Curve("Adam", loss, (0.5, 0.5), (1.0, 1.0), 0.0)]
    axes = curve_figure(curves, "title", 5).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["TNGD: 85.0 %", "Adam: 50.0 %"]
    assert axes.get_xlabel() == "iteration"


def test_time_is_measured_on_a_core_and_estimated_by_the_timing_model():
    """Upload 16 b d_z (b d_z + 2 N)/50 Gb/s, gradient and readout 16 N/50 Gb/s, 50 us, and twice an Adam step."""
    loss = np.linspace(2.0, 1.0, 20)[None]
    adam = Curve("Adam", loss, (0.5,), (9.0,), 0.0)
    analog = Curve("TNGD", loss, (0.9,), (7.0,), 20.0)
    found = timing_of(0.01, 50.0)
    link = 16 * (640 * (640 + 2 * 37434) + 2 * 37434) / 50e9
    assert found["total_s"] == pytest.approx(2 * 0.01 + link + 50e-6, rel=1e-9)
    axes = time_figure([analog, adam], [0.2, 0.01], found["total_s"], 5).axes[0]
    measured, modelled, control = (line.get_xdata() for line in axes.get_lines())
    assert measured[-1] == pytest.approx(4.0)
    assert modelled[-1] == pytest.approx(20 * found["total_s"])
    assert control[-1] == pytest.approx(0.2)


def test_time_of_a_step_is_that_of_whole_runs():
    """Twice a control's run of 3 s with steps of 10 ms: (17 - 3) s/100 more a step; the median of three seeds."""
    analog, control = GROUPS["adam"][0], GROUPS["adam"][1]
    cells = {(analog.name, seed): {"cpu_seconds": cpu} for seed, cpu in enumerate((17.0, 90.0, 5.0))}
    cells |= {(control.name, seed): {"cpu_seconds": 3.0} for seed in range(3)}
    assert analog_step_seconds(cells, analog, control, 0.01, 100) == pytest.approx(0.15)
    with pytest.raises(MisuseError, match="it has a device"):
        digital_step_seconds(analog, None)  # pyright: ignore[reportArgumentType] - refused before it is looked at


@needs_data(*MNIST_FILES)
def test_finished_cells_are_kept_and_workers_change_no_number(tmp_path):
    runs = GROUPS["time"][:1] + GROUPS["adam"][1:2]
    one = run_cells(runs, (0,), 2, tmp_path / "one", workers=1)
    two = run_cells(runs, (0,), 2, tmp_path / "two", workers=2)
    for key, cell in one.items():
        assert cell["record"] == two[key]["record"]
    curves = curves_of(runs, (0,), 2, one)
    assert curves[0].products > 0 == curves[1].products
    kept = sorted((tmp_path / "one" / "cells").glob("*.json"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    kept[0].unlink()
    again = run_cells(runs, (0,), 2, tmp_path / "one", workers=1)
    assert {key: cell["record"] for key, cell in again.items()} == {key: cell["record"] for key, cell in one.items()}
    assert kept[1].stat().st_mtime_ns == stamps[1]  # only what was missing ran


def test_bad_calls_end_with_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "out"), "--data-dir", str(tmp_path / "nowhere"), "--seeds", "1"]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main([str(tmp_path / "out"), "--seeds", "0"]) == 2
    assert "0 seeds" in capsys.readouterr().err
