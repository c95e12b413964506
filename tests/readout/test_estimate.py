"""Estimate: saving, JSON, drawing."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray
from scipy.stats import t as student

from tngd_hw import Estimate, MisuseError, Outcome, Status, Trajectory
from tngd_hw.readout import Quantity
from tngd_hw.storage import FORMAT_VERSION

SHAPES = {
    "one": (None, (3,)),
    "columns": (None, (3, 2)),
    "batch": (4, (4, 3)),
    "batch of one": (1, (1, 3)),
    "both": (4, (4, 3, 2)),
}


def example(shape: str) -> Estimate:
    chips, size = SHAPES[shape]
    value, error = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *size)))
    error = error.abs()
    error[..., 0] = torch.nan
    statuses = (Status(),) * ((chips or 1) - 1) + (Status(Outcome.NOT_SETTLED, "µ"),)
    degrees = 10.0 * error if shape != "one" else None
    return Estimate(
        Quantity.SOLUTION, value, error, statuses, "ideal", "0123abcd", 2**62, 1 / 3e6, 2 / 3e6, chips, degrees
    )  # fmt: skip


@pytest.mark.parametrize("shape", list(SHAPES))
def test_round_trip_bit_for_bit(shape: str, tmp_path: Path) -> None:
    estimate = example(shape)
    estimate.save(tmp_path / "x.nc")
    again = Estimate.load(tmp_path / "x.nc")
    for field in fields(estimate):
        a, b = getattr(estimate, field.name), getattr(again, field.name)
        same = (
            a.numpy().tobytes() == b.numpy().tobytes() and a.shape == b.shape if isinstance(a, torch.Tensor) else a == b
        )
        assert same, field.name


def test_wrong_kind_and_newer_version_are_refused(tmp_path: Path) -> None:
    example("one").save(tmp_path / "x.nc")
    with pytest.raises(MisuseError, match="holds 'estimate', expected 'trajectory'"):
        Trajectory.load(tmp_path / "x.nc")
    data = xarray.load_dataset(tmp_path / "x.nc", engine="h5netcdf")
    data.assign_attrs(tngd_hw_format=FORMAT_VERSION + 1).to_netcdf(tmp_path / "new.nc", engine="h5netcdf")
    with pytest.raises(
        MisuseError, match=rf"has format {FORMAT_VERSION + 1}, this version reads up to {FORMAT_VERSION}"
    ):
        Estimate.load(tmp_path / "new.nc")


@pytest.mark.parametrize("shape", list(SHAPES))
def test_json(shape: str) -> None:
    document = json.loads(json.dumps(example(shape).to_dict(), allow_nan=False))
    assert document["x"] == example(shape).value.tolist()
    assert np.array(document["stderr"], dtype=float).shape == example(shape).stderr.shape
    assert document["outcome"] == "not_settled"
    assert "run longer" in document["message"]


def test_interval_is_that_of_student() -> None:
    """Student's quantile of scipy; the normal one without degrees to lose; NaN where there is no bar."""
    estimate = replace(example("batch"), degrees=torch.full((4, 3), 2.5, dtype=torch.float64))
    low, high = estimate.interval(0.9)
    half = student.ppf(0.95, 2.5) * estimate.stderr
    torch.testing.assert_close(low, estimate.value - half, equal_nan=True)
    torch.testing.assert_close(high, estimate.value + half, equal_nan=True)
    exact = replace(estimate, degrees=torch.full((4, 3), torch.inf, dtype=torch.float64))
    torch.testing.assert_close(
        exact.interval()[1], estimate.value + 1.959963984540054 * estimate.stderr, equal_nan=True
    )
    assert bool(low[:, 0].isnan().all())
    with pytest.raises(MisuseError, match=r"degrees = None: .*estimate_covariance\(points\)\.interval\(\)"):
        example("one").interval()
    with pytest.raises(MisuseError, match="level = 95: a probability"):
        estimate.interval(95)


def test_outcome_is_one_or_one_a_chip() -> None:
    assert example("one").outcome is Outcome.NOT_SETTLED
    assert example("batch").outcome == (Outcome.OK,) * 3 + (Outcome.NOT_SETTLED,)


@pytest.mark.parametrize("shape", list(SHAPES))
def test_plot_shows_the_first_chip_and_column(shape: str) -> None:
    estimate = example(shape)
    chips, size = SHAPES[shape]
    first = estimate.value if chips is None else estimate.value[0]
    first = first[:, 0] if len(size) - (chips is not None) == 2 else first
    axes = estimate.plot(reference=torch.zeros(3))
    marks = axes.containers[0][0]
    np.testing.assert_allclose(np.asarray(marks.get_ydata()), first)
    assert len(axes.lines) >= 2
    plt.close("all")
