"""Injected noise: kappa A^-1 from the netlist and from the equations, in closed form and in samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import spd_matrix
from scipy.linalg import solve_continuous_lyapunov

from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import state_equations
from tngd_hw.topologies import LoadedChip

N, KAPPA = 3, 0.02
A = spd_matrix(N, seed=7, condition=8.0)


def load(A: np.ndarray = A, kappa: float = KAPPA) -> LoadedChip:
    return program(manufacture("integrator", len(A), presets.ideal()), LinearProblem(A, np.ones(len(A))), kappa=kappa)


def stationary(sde: LinearSDE, loaded: LoadedChip) -> np.ndarray:
    """Covariance of x by scipy's Lyapunov solver."""
    F, B, C = sde.F.numpy(), sde.B.numpy(), sde.C.numpy()
    return C @ solve_continuous_lyapunov(F, -B @ B.T) @ C.T / loaded.scales.voltage_volt**2


@pytest.mark.parametrize("source", ["closed form", "netlist"])
def test_stationary_covariance_is_kappa_over_a(source: str) -> None:
    loaded = load()
    sde = loaded.linear_sde() if source == "closed form" else state_equations(loaded.netlist()).sde
    np.testing.assert_allclose(stationary(sde, loaded), KAPPA * np.linalg.inv(A), rtol=1e-9)


def test_not_symmetric_matrix_obeys_lyapunov() -> None:
    """A S + S A^T = 2 kappa I, which is not kappa A^-1."""
    skew = A + np.array([[0, 0.5, 0], [-0.5, 0, 0.25], [0, -0.25, 0]])
    loaded = load(skew)
    found = stationary(loaded.linear_sde(), loaded)
    np.testing.assert_allclose(skew @ found + found @ skew.T, 2 * KAPPA * np.eye(N), atol=1e-12)
    assert np.abs(found - KAPPA * np.linalg.inv(skew)).max() > 0.05 * np.abs(found).max()


@pytest.mark.parametrize("engine_name", ["behavioral", "state_space"])
def test_sampled_covariance(engine_name: str) -> None:
    """20,000 readings, 12 slow time constants apart and so independent.

    An entry has the standard error sqrt((S_ij^2 + S_ii S_jj)/m), relative 1 % on the diagonal; all are within 4.5 of
    them, and with 5 % more they are not.
    """
    loaded = load()
    m = 20_000
    spacing = 12 / np.linalg.eigvalsh(A)[0] * loaded.tau
    times = np.arange(1, m + 1) * spacing
    engine = find_engine(engine_name)
    _, run = engine.run(engine.init(loaded), duration=float(times[-1]), times_s=times, seed=4)
    assert run.noisy
    x = run.voltage_volt.numpy() / loaded.scales.voltage_volt
    expected = KAPPA * np.linalg.inv(A)
    diagonal = np.diag(expected)
    error = np.sqrt((expected**2 + np.outer(diagonal, diagonal)) / m)
    np.testing.assert_array_less(np.abs(x.mean(0) - np.linalg.solve(A, np.ones(N))), 4.5 * np.sqrt(diagonal / m))
    found = np.cov(x.T)
    assert (np.abs(found - expected) < 4.5 * error).all()
    assert not (np.abs(1.05 * found - expected) < 4.5 * error).all()


def test_correlation_in_time_is_the_relaxation() -> None:
    """Cov(x(t + s), x(t)) = e^(-A s/tau) kappa A^-1: for n = 1 half the variance after s = ln 2.

    The correlation of m neighbours has the standard error sqrt((1 - 0.5^2)/m) = 0.0019; a tau 5 % off gives 0.483.
    """
    loaded = load(np.array([[1.0]]))
    times = np.arange(1, 200_001) * np.log(2) * loaded.tau
    engine = find_engine("behavioral")
    _, run = engine.run(engine.init(loaded), duration=float(times[-1]), times_s=times, seed=1)
    x = run.voltage_volt[50:, 0].numpy()
    x = x - x.mean()
    assert (x[1:] * x[:-1]).mean() / (x * x).mean() == pytest.approx(0.5, abs=0.009)


def test_path_starts_without_noise() -> None:
    loaded = load()
    engine = find_engine("state_space")
    _, run = engine.run(engine.init(loaded), duration=loaded.tau, x0=np.arange(3.0), seed=1)
    torch.testing.assert_close(run.voltage_volt[0], torch.arange(3.0, dtype=torch.float64) * loaded.scales.voltage_volt)


@pytest.mark.parametrize("engine_name", ["behavioral", "state_space"])
def test_seed_is_the_noise(engine_name: str) -> None:
    loaded = load()
    engine = find_engine(engine_name)
    state = engine.init(loaded)
    runs = [engine.run(state, duration=5 * loaded.tau, seed=seed)[1].voltage_volt for seed in (3, 3, 4)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_without_noise_the_seed_does_nothing() -> None:
    loaded = load(kappa=0.0)
    engine = find_engine("behavioral")
    state = engine.init(loaded)
    one, two = (engine.run(state, duration=5 * loaded.tau, seed=seed)[1] for seed in (3, 4))
    assert torch.equal(one.voltage_volt, two.voltage_volt)
    assert not one.noisy
