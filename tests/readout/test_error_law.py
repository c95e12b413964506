"""The closed forms of the sampling error against simulation: hardware notes 1.4 and 2.1."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tngd_hw import MisuseError
from tngd_hw.linear_sde import LinearSDE, sample_at, sample_averages
from tngd_hw.readout import (
    covariance_average_error,
    mean_average_error,
    relative_sampling_error,
    sampling_error,
)

D = 8
KAPPA = 0.5


def wishart(seed: int) -> NDArray[np.float64]:
    """G G^T/(2 d), G of d x 2 d normal numbers."""
    G = np.random.default_rng(seed).normal(size=(D, 2 * D))
    return G @ G.T / (2 * D)


def root_mean_square(squares: NDArray[np.float64]) -> tuple[float, float]:
    """The root of the mean of independent squared errors and its standard error."""
    mean, spread = squares.mean(), squares.std(ddof=1) / np.sqrt(squares.size)
    return float(np.sqrt(mean)), float(spread / (2.0 * np.sqrt(mean)))


def test_error_against_samples() -> None:
    """The table of 1.4 for an 8 x 8 case: every N within 4 standard errors, slope -1/2, 5 % and tr^2 alone caught."""
    Sigma = np.linalg.inv(wishart(0))
    root, generator = np.linalg.cholesky(Sigma), np.random.default_rng(1)
    norm, found = np.linalg.norm(Sigma), {}
    for N, runs in ((100, 8000), (1000, 800), (10_000, 80), (100_000, 24)):
        squares = []
        for _ in range(runs):
            x = generator.normal(size=(N, D)) @ root.T
            squares.append(np.sum((x.T @ x / N - Sigma) ** 2) / norm**2)
        found[N] = root_mean_square(np.array(squares))
        expected = float(relative_sampling_error(Sigma, N))
        assert abs(found[N][0] - expected) < 4.0 * found[N][1]
    error, stderr = found[100]
    assert not abs(1.05 * error - float(relative_sampling_error(Sigma, 100))) < 4.0 * stderr
    assert not abs(error - np.trace(Sigma) / norm / 10.0) < 4.0 * stderr  # without ||Sigma||_F^2
    slope = np.polyfit(np.log(list(found)), np.log([error for error, _ in found.values()]), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.03)


def test_correlated_samples_count_as_their_effective_number() -> None:
    """A = 2 I: every product decays as e^(-4 t), 2 tau_int/dt = (1 + q)/(1 - q), N_eff = N dt/(2 tau_int)."""
    sde, N, spacing = LinearSDE(-2.0 * np.eye(4), B=np.eye(4)), 2000, 0.1
    Sigma = 0.25 * torch.eye(4, dtype=torch.float64)
    x = sample_at(sde, spacing * np.arange(N), covariance0=Sigma, generator=np.random.default_rng(2), n_paths=1500)
    error, stderr = root_mean_square(((x.mT @ x / N - Sigma).square().sum((-2, -1))).numpy())
    q = np.exp(-4.0 * spacing)
    expected = float(sampling_error(Sigma, N * (1.0 - q) / (1.0 + q)))
    assert abs(error - expected) < 4.0 * stderr
    assert not abs(1.05 * error - expected) < 4.0 * stderr
    assert error > 2.0 * float(sampling_error(Sigma, N))


@pytest.mark.parametrize(("periods", "runs"), [(20.0, 8000), (80.0, 8000), (320.0, 500)])
def test_error_against_averaging_time(periods: float, runs: int) -> None:
    """The table of 2.1, d = 8 Wishart, kappa = 0.5, tau = 2 s: mean and covariance, exact sampler, 4 standard errors.

    The average of x x^T is taken over points 0.05 tau apart, which errs by (L dt)^2/12 < 0.6 % of a mode's variance
    (L = l_i + l_j is at most 5.3 here).  A formula 5 % too large is caught at T = 20 and 80 tau.
    """
    A, tau = wishart(3), 2.0
    sde = LinearSDE(-A / tau, B=np.sqrt(2.0 * KAPPA / tau) * np.eye(D))
    Sigma, generator = KAPPA * np.linalg.inv(A), np.random.default_rng(int(periods))
    window = sample_averages(sde, [0.0, periods * tau], covariance0=Sigma, generator=generator, n_paths=40_000)
    measured = {"mean": root_mean_square(window.averages.square().sum(-1).squeeze(-1).numpy())}
    count, squares = int(periods / 0.05), []
    for _ in range(10):
        x = sample_at(sde, 0.05 * tau * np.arange(count), covariance0=Sigma, generator=generator, n_paths=runs // 10)
        squares.append((x.mT @ x / count - torch.from_numpy(Sigma)).square().sum((-2, -1)))
    measured["covariance"] = root_mean_square(torch.cat(squares).numpy())
    formula = {
        "mean": float(mean_average_error(A, periods * tau, kappa=KAPPA, tau_s=tau)),
        "covariance": float(covariance_average_error(A, periods * tau, kappa=KAPPA, tau_s=tau)),
    }
    for name, (error, stderr) in measured.items():
        assert abs(error - formula[name]) < 4.0 * stderr, name
        if name == "mean" or periods < 100.0:
            assert not abs(error - 1.05 * formula[name]) < 4.0 * stderr, name


@pytest.mark.parametrize("z", [0.0, 1e-9, 1e-4, 0.999e-3, 1.001e-3, 0.3, 20.0, 1e6])
def test_one_mode_against_mpmath(z: float) -> None:
    """Rate l = 2, kappa = 0.25, tau = 3: the mean has variance kappa/l h(2 T/3), S has 2 (kappa/l)^2 h(4 T/3)."""
    with mpmath.workdps(50):
        m = mpmath.mpf(z)
        averaging = 2 / m * (1 - (1 - mpmath.exp(-m)) / m) if z else mpmath.mpf(1)
        expected = float(mpmath.sqrt(averaging))
    T = z * 3.0 / 2.0
    assert float(mean_average_error([[2.0]], T, kappa=0.25, tau_s=3.0)) == pytest.approx(
        0.125**0.5 * expected, rel=1e-12
    )
    assert float(covariance_average_error([[2.0]], T / 2.0, kappa=0.25, tau_s=3.0)) == pytest.approx(
        2.0**0.5 * 0.125 * expected, rel=1e-12
    )


def test_long_averages_and_batches() -> None:
    """sqrt(2 kappa tau/T sum 1/l^2); a batch is its members."""
    A = np.stack((np.diag([0.5, 1.0, 4.0]), np.array([[2.0, -0.5, 0.2], [-0.5, 1.0, 0.1], [0.2, 0.1, 1.5]])))
    long = mean_average_error(A, 1e9, kappa=0.3, tau_s=2.0)
    limit = [np.sqrt(2.0 * 0.3 * 2.0 / 1e9 * np.sum(np.linalg.eigvalsh(M) ** -2)) for M in A]
    np.testing.assert_allclose(long, limit, rtol=1e-7)
    both = covariance_average_error(A, 5.0)
    np.testing.assert_allclose(both, [float(covariance_average_error(M, 5.0)) for M in A], rtol=1e-13)


def test_misuse() -> None:
    skewed = np.array([[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(MisuseError, match="A is not symmetric"):
        mean_average_error(skewed, 1.0)
    with pytest.raises(MisuseError, match="A has the eigenvalue -1"):
        covariance_average_error(-np.eye(2), 1.0)
    with pytest.raises(MisuseError, match="duration = -1"):
        mean_average_error(np.eye(2), -1.0)
    with pytest.raises(MisuseError, match=r"kappa = 0\.0: give a positive number"):
        mean_average_error(np.eye(2), 1.0, kappa=0.0)
    with pytest.raises(MisuseError, match="count = 0"):
        sampling_error(np.eye(2), 0)
    with pytest.raises(MisuseError, match=r"covariance has shape \(2, 3\)"):
        sampling_error(np.zeros((2, 3)), 10)
