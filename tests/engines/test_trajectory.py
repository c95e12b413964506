"""Trajectory: shapes, saving, drawing."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

from tngd_hw import Estimate, LinearProblem, MisuseError, Outcome, Status, Trajectory, manufacture, presets, program
from tngd_hw.engines import find_engine

SHAPES = {"one": (None, None), "columns": (None, 2), "batch": (4, None), "batch of one": (1, None), "both": (4, 2)}


def example(shape: str) -> Trajectory:
    chips, k = SHAPES[shape]
    batch, columns = (() if chips is None else (chips,)), (() if k is None else (k,))
    voltage = torch.randn(*batch, 5, 3, *columns, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    statuses = (Status(),) * ((chips or 1) - 1) + (Status(Outcome.SATURATED, "node 2 µ"),)
    times = torch.tensor([0.0, 0.1, 0.4, 0.5, 1.0], dtype=torch.float64) / 3e6
    return Trajectory(
        times, voltage, ("out0", "out1", "out2"), "ngspice", statuses, True, 2**62, 1 / 3e6, "Note", chips
    )


def assert_equal(one: Trajectory | Estimate, two: Trajectory | Estimate) -> None:
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        same = (
            torch.equal(a.nan_to_num(), b.nan_to_num()) and a.dtype == b.dtype
            if isinstance(a, torch.Tensor)
            else a == b
        )
        assert same, field.name


@pytest.mark.parametrize("shape", list(SHAPES))
def test_round_trip_bit_for_bit(shape: str, tmp_path: Path) -> None:
    trajectory = example(shape)
    trajectory.save(tmp_path / "run.nc")
    assert_equal(Trajectory.load(tmp_path / "run.nc"), trajectory)


def test_failed_run_comes_back_too(tmp_path: Path) -> None:
    for chips in (None, 1, 3):
        chip = manufacture("integrator", 2, presets.ideal(), chips=chips)
        engine = find_engine("ideal")
        _, trajectory = engine.run(engine.init(program(chip, LinearProblem(-torch.eye(2), [1.0, 2.0]))), duration=1e-6)
        assert trajectory.status.outcome is Outcome.UNSTABLE
        trajectory.save(tmp_path / "run.nc")
        assert_equal(Trajectory.load(tmp_path / "run.nc"), trajectory)


def test_wrong_kind_is_refused(tmp_path: Path) -> None:
    example("one").save(tmp_path / "run.nc")
    with pytest.raises(MisuseError, match="holds 'trajectory', expected 'estimate'"):
        Estimate.load(tmp_path / "run.nc")


@pytest.mark.parametrize(
    ("shape", "axis", "final"),
    [
        ("one", -1, (3,)),
        ("columns", -2, (3, 2)),
        ("batch", -1, (4, 3)),
        ("batch of one", -1, (1, 3)),
        ("both", -2, (4, 3, 2)),
    ],
)
def test_axes(shape: str, axis: int, final: tuple[int, ...]) -> None:
    trajectory = example(shape)
    assert trajectory.node_axis == axis
    assert tuple(trajectory.final_volt.shape) == final
    assert torch.equal(trajectory.final_volt, trajectory.voltage_volt.movedim(axis - 1, 0)[-1])


def test_labels() -> None:
    data = example("both").to_xarray()
    assert data["voltage_volt"].dims == ("chip", "time_s", "node", "rhs")
    assert (
        float(data["voltage_volt"].sel(node="out2").isel(chip=1, time_s=3, rhs=0))
        == example("both").voltage_volt[1, 3, 2, 0]
    )


def test_status_is_the_first_that_is_not_ok() -> None:
    assert example("batch").status.outcome is Outcome.SATURATED


@pytest.mark.parametrize("shape", list(SHAPES))
def test_plot_shows_the_first_chip_in_microseconds_and_millivolts(shape: str) -> None:
    trajectory = example(shape)
    axes = trajectory.plot()
    chips, k = SHAPES[shape]
    first = trajectory.voltage_volt if chips is None else trajectory.voltage_volt[0]
    first = first if k is None else first[..., 0]
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert sorted(map(str, lines)) == ["out0", "out1", "out2"]
    torch.testing.assert_close(
        torch.tensor(lines["out1"]), torch.stack([trajectory.times_s * 1e6, first[:, 1] * 1e3], 1)
    )
    plt.close("all")


def test_plot_of_a_failed_run_is_empty() -> None:
    trajectory = Trajectory(
        torch.zeros(0), torch.zeros(0, 3), ("a", "b", "c"), "ngspice", (Status(Outcome.TIMED_OUT, "x"),), False, 0, 1.0
    )
    assert len(trajectory.plot().lines) == 0
    plt.close("all")
