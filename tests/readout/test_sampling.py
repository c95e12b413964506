"""Sampling schedules: times, burn-in on exact moments, apertures against closed forms and loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tngd_hw import LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.linear_sde import LinearSDE, covariance_at, mean_at, stationary_covariance
from tngd_hw.readout import SamplingSchedule, burn_in


def test_times() -> None:
    schedule = SamplingSchedule(start_s=2e-6, spacing_s=0.5e-6, count=4, aperture_s=0.1e-6)
    np.testing.assert_allclose(schedule.times(), [2.0e-6, 2.5e-6, 3.0e-6, 3.5e-6], rtol=1e-14)
    assert schedule.end_s == pytest.approx(3.6e-6, rel=1e-14)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start_s": -1.0}, "start_s = -1.0: the first sample is at 0 s or later"),
        ({"start_s": math.nan}, "start_s = nan"),
        ({"spacing_s": 0.0}, "spacing_s = 0.0: give a positive number"),
        ({"count": 0}, "count = 0: take at least 1 sample"),
        ({"count": 2.0}, "count = 2.0"),
        ({"aperture_s": 1.5}, "aperture_s = 1.5: an aperture lasts from 0 s to the spacing, 1.0 s"),
        ({"aperture_s": -0.1}, "aperture_s = -0.1"),
    ],
)
def test_misuse(fields: dict[str, float], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        SamplingSchedule(**({"start_s": 0.0, "spacing_s": 1.0, "count": 5} | fields))  # pyright: ignore[reportArgumentType]


def test_burn_in_leaves_the_error_it_says() -> None:
    """Slowest eigenvector of a symmetric A: the mean decays as e^(-l1 t), the covariance from zero as e^(-2 l1 t)."""
    A = np.array([[2.0, -0.5, 0.25], [-0.5, 1.0, 0.125], [0.25, 0.125, 1.5]])
    sde = LinearSDE(-A, B=math.sqrt(2.0) * np.eye(3))
    slow = np.linalg.eigh(A)[1][:, 0]
    wait = burn_in(sde, 1e-3)
    assert float(wait.mean_s) == pytest.approx(2.0 * float(wait.covariance_s), rel=1e-14)
    left = mean_at(sde, [float(wait.mean_s)], x0=slow)[0]
    np.testing.assert_allclose(left, 1e-3 * slow, atol=1e-12)
    end, _ = stationary_covariance(sde)
    missing = end - covariance_at(sde, float(wait.covariance_s))
    assert slow @ missing.numpy() @ slow == pytest.approx(1e-3 * (slow @ end.numpy() @ slow), rel=1e-9)
    longer = burn_in(sde, 1e-3, start_error=10.0)
    assert float(longer.mean_s) == pytest.approx(float(wait.mean_s) * 4.0 / 3.0, rel=1e-12)


def test_burn_in_of_batches_chips_and_unstable_members() -> None:
    wait = burn_in(LinearSDE(np.array([[[-2.0]], [[0.5]]]), B=[[1.0]]), 0.1)
    np.testing.assert_allclose(wait.mean_s, [math.log(10.0) / 2.0, math.inf])
    loaded = program(manufacture("integrator", 2, presets.ideal()), LinearProblem(np.diag([0.5, 4.0])))
    wait = burn_in(loaded, math.exp(-3.0))
    assert float(wait.mean_s) == pytest.approx(3.0 * loaded.tau / 0.5, rel=1e-9)
    for error in (0.0, 1.0, math.nan):
        with pytest.raises(MisuseError, match=r"error = .* below that of the start, 1.0"):
            burn_in(loaded, error)


@pytest.mark.parametrize("aperture", [0.0, 0.4, 1.0])
def test_aperture_of_a_circuit(aperture: float) -> None:
    """One mode of rate 1 and variance 1, spacing 1, within 4 standard errors; 5 % more is not.

    Var(average) = h(a), h(z) = (2/z)(1 - (1 - e^-z)/z); Cov(neighbours) = e^(-(1 - a)) ((1 - e^-a)/a)^2.
    """
    schedule = SamplingSchedule(start_s=0.5, spacing_s=1.0, count=20_000, aperture_s=aperture)
    sde = LinearSDE([[-1.0]], B=[[math.sqrt(2.0)]])
    drawn = schedule.draw(sde, covariance0=[[1.0]], generator=np.random.default_rng(0), n_paths=8)
    assert drawn.shape == (8, 20_000, 1)
    a = aperture
    variance = 1.0 if a == 0.0 else 2.0 / a * (1.0 - (1.0 - math.exp(-a)) / a)
    neighbours = math.exp(-(1.0 - a)) * (1.0 if a == 0.0 else ((1.0 - math.exp(-a)) / a) ** 2)
    points = drawn.numel()
    memory = 1.0 + 2.0 * (neighbours / variance) ** 2 / (1.0 - math.exp(-2.0))
    tolerance = 4.0 * variance * math.sqrt(2.0 * memory / points)
    found = float(drawn.square().mean())
    assert abs(found - variance) < tolerance
    assert not abs(1.05 * found - variance) < tolerance
    lagged = float((drawn[:, 1:] * drawn[:, :-1]).mean())
    assert abs(lagged - neighbours) < tolerance
    assert not abs(1.2 * lagged - neighbours) < tolerance


def test_samples_of_a_record() -> None:
    generator = np.random.default_rng(1)
    times = torch.arange(101, dtype=torch.float64) * 0.1
    values = torch.from_numpy(generator.normal(size=(2, 101, 3))) + 1e6
    points = SamplingSchedule(start_s=1.0, spacing_s=0.7, count=10)
    np.testing.assert_array_equal(points.of_record(times, values), values[:, 10:80:7])
    averages = SamplingSchedule(start_s=1.0, spacing_s=0.7, count=10, aperture_s=0.3).of_record(times, values)
    expected = torch.stack([values[:, k : k + 4].mean(1) for k in range(10, 80, 7)], dim=1)  # both edges count
    np.testing.assert_allclose(averages - 1e6, expected - 1e6, atol=1e-8)
    with pytest.raises(MisuseError, match=r"no point from 1.05 to 1.05 s, sample 0: record the path at times\(\)"):
        SamplingSchedule(start_s=1.05, spacing_s=1.0, count=2).of_record(times, values)
    with pytest.raises(MisuseError, match=r"no point from 11.0 to 11.0 s, sample 10"):
        SamplingSchedule(start_s=1.0, spacing_s=1.0, count=12).of_record(times, values)
