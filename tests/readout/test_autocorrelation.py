"""The variance of a time mean against the double sum over the process's own autocovariance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tngd_hw import MisuseError
from tngd_hw.readout import autocovariance, error_of_mean

N, RUNS = 2000, 1000

Array = NDArray[np.float64]


def rotating(seed: int, decay: float, angle: float) -> Array:
    """Real part of z_t = e^(-decay + i angle) z_(t-1) + noise, unit variance, stationary from the start; (RUNS, N)."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(N, RUNS, 2)) @ np.array([1.0, 1j])
    pole = np.exp(-decay + 1j * angle)
    noise[1:] *= np.sqrt(1.0 - abs(pole) ** 2)
    for k in range(1, N):
        noise[k] += pole * noise[k - 1]
    return noise.T.real.copy()


def of(decay: float, angle: float = 0.0) -> Callable[[Array], Array]:
    return lambda lag: np.exp(-decay * lag) * np.cos(angle * lag)


def hidden(lag: Array) -> Array:
    """A slow mode of a quarter of the variance under white noise."""
    return 0.75 * (lag == 0) + 0.25 * of(0.05)(lag)


PROCESSES: dict[str, tuple[Callable[[], Array], Callable[[Array], Array]]] = {
    "white": (lambda: rotating(0, 40.0, 0.0), of(40.0)),
    "spacing 0.2 tau": (lambda: rotating(1, 0.2, 0.0), of(0.2)),
    "oscillation": (lambda: rotating(2, 0.05, 0.5), of(0.05, 0.5)),
    "near half a period": (lambda: rotating(3, 0.05, 2.9), of(0.05, 2.9)),
    "slow under white": (
        lambda: np.sqrt(0.75) * rotating(4, 40.0, 0.0) + 0.5 * rotating(5, 0.05, 0.0),
        hidden,
    ),
}


def variance_of_mean(autocovariance_at: Callable[[Array], Array]) -> float:
    """(1/N^2) sum_st g(s - t)."""
    lags = np.arange(N, dtype=float)
    weights = np.where(lags == 0, 1.0, 2.0) * (1.0 - lags / N)
    return float(weights @ autocovariance_at(lags)) / N


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("squared", [False, True])
def test_standard_error_against_the_exact_variance(name: str, squared: bool) -> None:
    """The mean of 1,000 squared error bars within 15 %; of the squares by Isserlis: Cov(x^2, x'^2) = 2 r^2.

    Bars that take the points for independent miss by more, on all but white noise.
    """
    draw, covariance = PROCESSES[name]
    series = torch.from_numpy(draw()).unsqueeze(-1)
    exact = variance_of_mean(lambda lag: 2.0 * covariance(lag) ** 2) if squared else variance_of_mean(covariance)
    series = series.square() if squared else series
    error = error_of_mean(series)
    assert not bool(error.stderr.isnan().any())
    assert float(error.stderr.square().mean()) == pytest.approx(exact, rel=0.15)
    naive = float(series.var(-2).mean()) / N
    assert (naive == pytest.approx(exact, rel=0.15)) == (name == "white")


def test_effective_number_of_samples() -> None:
    """N_eff = N dt/(2 tau_int) with 2 tau_int/dt = (1 + q)/(1 - q), q = e^(-dt/tau)."""
    error = error_of_mean(torch.from_numpy(rotating(6, 0.2, 0.0)).unsqueeze(-1))
    q = np.exp(-0.2)
    expected = N * (1.0 - q) / (1.0 + q)
    assert float(error.effective.median()) == pytest.approx(expected, rel=0.05)
    assert float(error.effective.median()) != pytest.approx(expected / 2.0, rel=0.05)  # tau_int without its 2


def test_autocovariance_against_loops() -> None:
    series = torch.from_numpy(np.random.default_rng(7).normal(size=(3, 37, 2))) + 5.0
    found = autocovariance(series, 36)
    deviation = (series - series.mean(1, keepdim=True)).numpy()
    for k in (0, 1, 5, 36):
        expected = (deviation[:, : 37 - k] * deviation[:, k:]).sum(1) / 37
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-12, atol=1e-13)
    with pytest.raises(MisuseError, match="lags = 37: a series of 37 points has lags from 0 to 36"):
        autocovariance(series, 37)


def test_too_few_points() -> None:
    """Below 40 points, and below about 3 effective ones (a slow drift), there is no bar."""
    white = torch.from_numpy(np.random.default_rng(8).normal(size=(40, 3)))
    assert not bool(error_of_mean(white).stderr.isnan().any())
    assert bool(error_of_mean(white[1:]).stderr.isnan().all())
    drift = torch.linspace(0.0, 1.0, 1000, dtype=torch.float64).unsqueeze(-1)
    assert bool(error_of_mean(drift).stderr.isnan().all())


def test_constant_series_has_no_error() -> None:
    """A reading that an ADC holds at one code; beside it a series that moves, which is not touched by it."""
    series = torch.full((500, 2), 0.25, dtype=torch.float64)
    series[:, 1] = torch.from_numpy(np.random.default_rng(9).normal(size=500))
    error = error_of_mean(series)
    assert error.stderr[0] == 0.0
    assert error.effective[0] == 500.0
    torch.testing.assert_close(error.stderr[1:], error_of_mean(series[:, 1:]).stderr, rtol=1e-14, atol=0.0)


def test_units_and_offsets_do_not_matter() -> None:
    series = torch.from_numpy(rotating(10, 0.2, 0.0)[:5, :1234, None])
    plain, scaled = error_of_mean(series), error_of_mean(1e-6 * series + 3e-3)
    torch.testing.assert_close(scaled.stderr, 1e-6 * plain.stderr, rtol=1e-7, atol=0.0)
    torch.testing.assert_close(scaled.effective, plain.effective, rtol=1e-7, atol=0.0)
