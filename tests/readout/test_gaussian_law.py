"""The parts of the Gaussian law of covariances: the autoregression and the limits, each against a closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import expm, solve_continuous_lyapunov

from tngd_hw.linear_sde import LinearSDE, sample_at
from tngd_hw.readout.gaussian_form import GaussianForm
from tngd_hw.readout.lattice import fit_autoregression

A = np.array([[0.5, 1.5], [-1.0, 0.4]])
SPACING = 0.3


def covariance() -> NDArray[np.float64]:
    return np.asarray(solve_continuous_lyapunov(A, 2.0 * np.eye(2)), dtype=np.float64)


def turning(count: int, seed: int) -> torch.Tensor:
    """One exact path of dx = -A x dt + sqrt(2) dW, shape (1, count, 2)."""
    return sample_at(
        LinearSDE(-A, B=np.sqrt(2.0) * np.eye(2)), SPACING * np.arange(count), covariance0=covariance(),
        generator=np.random.default_rng(seed), n_paths=1,
    )  # fmt: skip


def test_two_components_against_the_exact_transition() -> None:
    """x_(t+1) = e^(-A dt) x_t + e_t: A_1 = -e^(-A dt), V = Sigma - E Sigma E^T; 60,000 points tell both within 0.015.

    A_1 is not symmetric: its transpose, a path read backwards, is off by 0.7.
    """
    fit, E, Sigma = fit_autoregression(turning(60_000, 1)), expm(-A * SPACING), covariance()
    np.testing.assert_allclose(fit.coefficients[0, 0], np.eye(2), atol=1e-15)
    assert float(np.abs(E - E.T).max()) > 0.5
    np.testing.assert_allclose(fit.coefficients[0, 1], -E, atol=0.02)
    np.testing.assert_allclose(fit.innovation[0], Sigma - E @ Sigma @ E.T, atol=0.015)


def test_spectrum_against_the_sum_over_lags() -> None:
    """F(w) = sum_k r(k) e^(-i k w) of the exact process, with the model made of its exact transition."""
    E, Sigma = expm(-A * SPACING), covariance()
    fit = fit_autoregression(turning(400, 2))
    fit.coefficients[0] = 0.0
    fit.coefficients[0, 0], fit.coefficients[0, 1] = torch.eye(2, dtype=torch.float64), -torch.from_numpy(E)
    fit.innovation[0] = torch.from_numpy(Sigma - E @ Sigma @ E.T)
    found = fit.spectrum(32)
    for j in (0, 1, 5, 16):
        w, total = 2.0 * np.pi * j / 32, Sigma.astype(complex)
        r = Sigma
        for k in range(1, 400):
            r = E @ r
            total = total + r * np.exp(-1j * k * w) + r.T * np.exp(1j * k * w)
        assert float(found.cospectrum[0, j]) == pytest.approx(total[0, 1].real, rel=1e-9)
        assert float(found.determinant[0, j]) == pytest.approx(np.linalg.det(total).real, rel=1e-9)


def test_limits_of_an_ou_process_against_its_own_law() -> None:
    """P = <x^2> of dx = -x dt/tau + sqrt(2 D) dW, D known: at the limits the exact tail of P is 2.5 %, within 0.3 %.

    The tail is that of sum_j f_j chi^2/N with tau for which <P> is the limit, from 200,000 draws (standard error
    0.035 %).  Bars for chi-square with the fitted number of effective samples are off by more.
    """
    count, dt, normal = 201, 0.1, torch.tensor([1.959964], dtype=torch.float64)
    w = 2.0 * np.pi * np.arange(101) / (count * dt)
    weight = torch.full((1, 101), 2.0, dtype=torch.float64)
    weight[0, 0] = 1.0

    def spectrum(rate: float) -> NDArray[np.float64]:
        return np.asarray(1.0 / (rate**2 + w**2), dtype=np.float64)

    form = GaussianForm(torch.from_numpy(spectrum(1.0)).unsqueeze(0), weight, weight, count)
    middle, low, high = (float(value) for value in form.limits(normal))
    assert middle == pytest.approx(float(form.fitted()), rel=1e-12)
    chi = np.random.default_rng(4).chisquare(weight[0].numpy(), size=(200_000, 101))
    rates = np.geomspace(0.05, 5.0, 4001)
    means = np.array([float((weight[0].numpy() * spectrum(float(rate))).sum()) / count for rate in rates])

    def draws(mean: float) -> NDArray[np.float64]:
        return np.asarray(chi @ spectrum(float(np.interp(-mean, -means, rates))) / count, dtype=np.float64)

    assert float((draws(low) > middle).mean()) == pytest.approx(0.025, abs=0.003)
    assert float((draws(high) < middle).mean()) == pytest.approx(0.025, abs=0.003)
    naive = middle * np.exp(1.959964 * float(form.variance()) ** 0.5 / middle)  # the logarithm's symmetric bar
    assert float((draws(naive) < middle).mean()) > 0.035
