"""Spectra and autocovariances: closed forms, one-sidedness, and what cannot settle."""

from __future__ import annotations

import numpy as np
import pytest
from cases import SDE_CASES, rlc_cell, stable_matrix
from linear_sde.reference import exact_stationary
from scipy.linalg import expm

from tngd_hw.linear_sde import LinearSDE, autocovariance, frequency_response, power_spectral_density
from tngd_hw.outcome import MisuseError, Outcome

CASES = {case.name: case for case in SDE_CASES}


def test_one_pole_is_a_one_sided_lorentzian() -> None:
    """A current noise of one-sided density S_I on an RC node: S_v = S_I R^2 / (1 + (2 pi f R C)^2)."""
    R, C, S_I = 1e3, 1e-9, 1e-20
    sde = LinearSDE([[-1.0 / (R * C)]], B=[[np.sqrt(S_I / 2.0) / C]])
    f = np.array([0.0, 1e4, 1.0 / (2.0 * np.pi * R * C), 1e8])
    density, status = power_spectral_density(sde, f)
    assert status.ok
    np.testing.assert_allclose(
        density[:, 0, 0].real.numpy(), S_I * R**2 / (1.0 + (2.0 * np.pi * f * R * C) ** 2), rtol=1e-13
    )
    assert float(density.imag.abs().max()) == 0.0


def test_the_rlc_cell_is_a_band_pass() -> None:
    F, B = rlc_cell(1e3, 1e-4, 1e-9, 1e-6)
    f = np.geomspace(1e3, 1e8, 200)
    density, _ = power_spectral_density(LinearSDE(F, B=B), f)
    w = 2.0 * np.pi * f
    admittance = 1e-3 + 1j * w * 1e-9 + 1.0 / (1j * w * 1e-4)
    np.testing.assert_allclose(density[:, 0, 0].real.numpy(), 2e-12 / np.abs(admittance) ** 2, rtol=1e-10)


@pytest.mark.parametrize("count", [1, 400])
def test_the_few_and_the_many_frequencies_agree_with_numpy(count: int) -> None:
    rng = np.random.default_rng(0)
    F, E, C, D = stable_matrix(5, 4), rng.normal(size=(5, 2)), rng.normal(size=(3, 5)), rng.normal(size=(3, 2))
    f = np.geomspace(1e-3, 10.0, count)
    ours = frequency_response(LinearSDE(F, E, C=C, D=D), f).numpy()
    assert ours.shape == (count, 3, 2)
    for i in (0, count - 1):
        expected = C @ np.linalg.solve(2j * np.pi * f[i] * np.eye(5) - F, E) + D
        np.testing.assert_allclose(ours[i], expected, rtol=1e-11, atol=1e-13)


def test_the_phase_of_a_cross_spectrum() -> None:
    """Entry (i, j) is Y_i conj(Y_j): the delayed second state lags, so S_21 has a negative phase."""
    density, _ = power_spectral_density(LinearSDE([[-1.0, 0.0], [2.0, -3.0]], B=[[1.0], [0.0]]), [0.5])
    first, second = 1.0 / (1j * np.pi + 1.0), 2.0 / ((1j * np.pi + 1.0) * (1j * np.pi + 3.0))
    np.testing.assert_allclose(complex(density[0, 1, 0]), 2.0 * second * np.conj(first), rtol=1e-13)
    assert np.angle(complex(density[0, 1, 0])) < 0.0


def test_the_spectrum_integrates_to_the_variance() -> None:
    case = CASES["nonsymmetric"]
    nodes, weights = np.polynomial.legendre.leggauss(200)
    angle = 0.25 * np.pi * (nodes + 1.0)
    f = np.tan(angle)
    density, _ = power_spectral_density(LinearSDE(case.F, B=case.B), f)
    weights = 0.25 * np.pi * weights / np.cos(angle) ** 2
    total = np.einsum("k,kij->ij", weights, density.real.numpy())
    np.testing.assert_allclose(total, exact_stationary(case.F, case.B), rtol=1e-10)


def test_white_noise_of_an_output_is_a_floor() -> None:
    density, _ = power_spectral_density(LinearSDE([[-1.0]], B=[[0.0]], D_w=[[0.3]]), [0.0, 1e9])
    np.testing.assert_allclose(density[:, 0, 0].real.numpy(), [0.18, 0.18], rtol=1e-14)


@pytest.mark.parametrize("name", ["nonsymmetric", "defective", "rlc_network", "noise_through_a_chain"])
def test_autocovariance(name: str) -> None:
    case = CASES[name]
    S, lags = exact_stationary(case.F, case.B), np.array([0.0, 0.1, 1.0, 7.0])
    ours, status = autocovariance(LinearSDE(case.F, B=case.B), lags)
    assert status.ok
    for i, lag in enumerate(lags):
        np.testing.assert_allclose(ours[i].numpy(), expm(case.F * lag) @ S, rtol=1e-9, atol=1e-13 * np.abs(S).max())


def test_autocovariance_of_an_output_with_its_own_white_noise() -> None:
    """y = x + 0.3 xi with the same W in x: R(s) = e^(-s) (1/2 + 0.3) for s > 0, infinite at 0."""
    ours, _ = autocovariance(LinearSDE([[-1.0]], B=[[1.0]], D_w=[[0.3]]), [0.0, 0.5])
    assert float(ours[0]) == np.inf
    assert float(ours[1]) == pytest.approx(0.8 * np.exp(-0.5), rel=1e-13)


def test_what_does_not_settle_has_no_spectrum() -> None:
    sde = LinearSDE(np.array([[[-1.0]], [[0.0]]]), B=[[1.0]])
    density, status = power_spectral_density(sde, [1.0])
    lagged, _ = autocovariance(sde, [1.0])
    assert status.outcome is Outcome.UNSTABLE
    assert np.isnan(density[1].real.numpy()).all()
    assert np.isnan(lagged[1].numpy()).all()
    assert float(density[0, 0, 0, 0].real) == pytest.approx(2.0 / (1.0 + 4.0 * np.pi**2))
    assert float(lagged[0]) == pytest.approx(0.5 * np.exp(-1.0))


def test_misuse() -> None:
    with pytest.raises(MisuseError, match=r"frequencies has the entry -1\.0 Hz"):
        power_spectral_density(LinearSDE([[-1.0]], B=[[1.0]]), [1.0, -1.0])
    with pytest.raises(MisuseError, match="give a vector of hertz"):
        frequency_response(LinearSDE([[-1.0]], [[1.0]]), [[1.0]])
