"""Time averages against closed forms, an integral of the autocovariance, and the outputs' own white noise."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from cases import SDE_CASES, stable_matrix
from linear_sde.reference import exact_stationary
from scipy.integrate import quad
from scipy.linalg import expm

from tngd_hw.linear_sde import (
    LinearSDE,
    noise_as_input,
    noise_as_output,
    sample_averages,
    state_response,
    stationary_time_average,
    time_average,
)
from tngd_hw.outcome import MisuseError, Outcome

CASES = {case.name: case for case in SDE_CASES}
PATHS = 40_000


@pytest.mark.parametrize("window", [1e-6, 0.1, 3.0, 1e6])
def test_one_mode_in_closed_form(window: float) -> None:
    """Var = (2 s^2 / (l T)) (1 - (1 - e^(-l T)) / (l T)), hardware notes 2.1; right also where it is nearly s^2."""
    rate, sigma2 = 2.0, 0.25
    law, status = stationary_time_average(LinearSDE([[-rate]], [[1.0]], [[1.0]]), window, u=[3.0])
    assert status.ok
    assert law is not None
    z = rate * window
    short = 1.0 - z / 3.0 + z * z / 12.0
    expected = sigma2 * (short if z < 1e-3 else 2.0 / z * (1.0 + np.expm1(-z) / z))
    assert float(law.covariance) == pytest.approx(expected, rel=1e-12)
    assert float(law.mean) == pytest.approx(1.5, rel=1e-13)
    assert float(law.end_covariance) == pytest.approx(sigma2, rel=1e-12)
    assert float(law.cross) == pytest.approx(sigma2 * -np.expm1(-z) / z, rel=1e-10)


def test_white_noise_of_an_output_fades_with_the_aperture() -> None:
    """D_w alone adds D_w D_w^T / T; the same W in state and output adds their correlation."""
    alone, _ = stationary_time_average(LinearSDE([[-1.0]], B=[[0.0]], D_w=[[0.3]]), 4.0)
    assert alone is not None
    assert float(alone.covariance) == pytest.approx(0.09 / 4.0, rel=1e-13)
    T = 1.5
    both = time_average(LinearSDE([[-1.0]], B=[[1.0]], D_w=[[0.3]]), T)
    variance = quad(lambda s: ((1.0 - np.exp(-(T - s))) / T + 0.3 / T) ** 2, 0.0, T, epsabs=1e-13)[0]
    assert float(both.covariance) == pytest.approx(variance, rel=1e-10)


def test_a_network_against_the_double_integral_of_its_autocovariance() -> None:
    case = CASES["rlc_network"]
    S, T = exact_stationary(case.F, case.B), 2.5
    law, _ = stationary_time_average(LinearSDE(case.F, B=case.B), T)
    assert law is not None
    nodes, weights = np.polynomial.legendre.leggauss(40)
    lags, weights = 0.5 * T * (nodes + 1.0), 0.5 * T * weights
    one_sided = sum(w * (T - s) * expm(case.F * s) @ S for s, w in zip(lags, weights, strict=True)) / T**2
    np.testing.assert_allclose(law.covariance.numpy(), one_sided + one_sided.T, rtol=1e-10, atol=1e-12)
    cross = sum(w * S @ expm(case.F * s).T for s, w in zip(lags, weights, strict=True)) / T
    np.testing.assert_allclose(law.cross.numpy(), cross, rtol=1e-10, atol=1e-12)


def test_long_windows_see_the_spectrum_at_zero() -> None:
    """Var -> S(0) / (2 T), one-sided: S(0) = 2 A^-1 Q A^-T for dx = -A x dt + noise."""
    F, B = stable_matrix(4, 3), np.diag([1.0, 2.0, 0.5, 1.0])
    law, _ = stationary_time_average(LinearSDE(F, B=B), 1e7)
    assert law is not None
    gain = np.linalg.solve(F, B)
    np.testing.assert_allclose(law.covariance.numpy(), gain @ gain.T / 1e7, rtol=1e-5, atol=1e-12)


def test_a_delay_and_a_start() -> None:
    rate, delay, T = 0.7, 1.3, 2.0
    law = time_average(LinearSDE([[-rate]], [[1.0]]), T, delay=delay, x0=[5.0], u=[0.7], covariance0=[[4.0]])
    faded = np.exp(-rate * delay) * -np.expm1(-rate * T) / (rate * T)
    assert float(law.mean) == pytest.approx(1.0 + 4.0 * faded, rel=1e-13)
    assert float(law.covariance) == pytest.approx(4.0 * faded**2, rel=1e-12)
    assert float(law.end_mean) == pytest.approx(1.0 + 4.0 * np.exp(-rate * (delay + T)), rel=1e-13)


def test_systems_that_do_not_settle() -> None:
    nothing, status = stationary_time_average(LinearSDE([[0.0]], B=[[1.0]]), 1.0)
    assert nothing is None
    assert status.outcome is Outcome.UNSTABLE
    walk = time_average(LinearSDE([[0.0]], B=[[1.0]]), 3.0)
    assert float(walk.covariance) == pytest.approx(1.0, rel=1e-13)
    with pytest.raises(MisuseError, match=re.escape("window = -1.0")):
        time_average(LinearSDE([[0.0]]), -1.0)


def test_sampled_averages_have_the_exact_law() -> None:
    """Averages over uneven windows with the states between them; 5.5 standard errors, a 5 % error is 7."""
    sde = LinearSDE(
        stable_matrix(3, 1), [[1.0], [0.0], [0.0]], np.diag([1.0, 0.5, 2.0]), [[1.0, 2.0, 0.0]], D_w=[[0.1, 0.0, 0.2]]
    )
    options = {"x0": [1.0, 2.0, 3.0], "covariance0": np.diag([1.0, 2.0, 0.5]), "u": [4.0]}
    drawn = sample_averages(sde, [0.5, 1.0, 2.7, 3.2], generator=np.random.default_rng(6), n_paths=PATHS, **options)
    assert drawn.averages.shape == (PATHS, 3, 1)
    assert drawn.states.shape == (PATHS, 4, 3)
    for window, (begin, end) in enumerate([(0.5, 1.0), (1.0, 2.7), (2.7, 3.2)]):
        law = time_average(sde, end - begin, delay=begin, **options)
        joint = np.block(
            [[law.covariance.numpy(), law.cross.numpy()], [law.cross.numpy().T, law.end_covariance.numpy()]]
        )
        samples = torch.cat((drawn.averages[:, window], drawn.states[:, window + 1]), dim=-1).numpy()
        centred = samples - torch.cat((law.mean, law.end_mean)).numpy()
        assert _worst(centred, joint) < 5.5
        assert _worst(np.sqrt(1.05) * centred, joint) > 5.5
        assert float((np.abs(centred.mean(0)) / np.sqrt(np.diag(joint) / PATHS)).max()) < 5.0


def _worst(samples: np.ndarray, covariance: np.ndarray) -> float:
    white = np.linalg.solve(np.linalg.cholesky(covariance), samples.T)
    d, count = white.shape
    errors = np.abs(white @ white.T / count - np.eye(d)) / np.sqrt((1.0 + np.eye(d)) / count)
    return float(errors.max())


def test_a_path_and_its_brownian_increments_converge_to_each_other() -> None:
    """The increments of an exact path, held over each step, drive the same system: strong order 1 (Wong-Zakai).

    Halving the step halves the root mean square error; least-squares slope over five steps within 0.15 of 1.
    """
    sde = LinearSDE([[-1.0, 2.0], [-2.0, -1.5]], B=[[1.0, 0.0], [0.5, 0.7]])
    fine, span, paths = 512, 2.0, 200
    edges = np.linspace(0.0, span, fine + 1)
    drawn = sample_averages(noise_as_output(sde), edges, generator=np.random.default_rng(9), n_paths=paths)
    errors, steps = [], []
    for coarse in (16, 32, 64, 128, 256):
        together = fine // coarse
        held = drawn.averages.reshape(paths, coarse, together, 2).mean(dim=2)
        known = torch.cat((held, held[:, -1:]), dim=1)
        path = state_response(noise_as_input(sde), edges[::together], known, hold="zero")
        errors.append(float((path[:, -1] - drawn.states[:, -1]).square().mean().sqrt()))
        steps.append(span / coarse)
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - 1.0) < 0.15


def test_misuse_of_edges() -> None:
    sde, generator = LinearSDE([[-1.0]], B=[[1.0]]), np.random.default_rng(0)
    with pytest.raises(MisuseError, match="edges has 1 entry"):
        sample_averages(sde, [1.0], generator=generator)
    with pytest.raises(MisuseError, match=re.escape("edges[1] = 1.0 after edges[0] = 1.0")):
        sample_averages(sde, [1.0, 1.0], generator=generator)
