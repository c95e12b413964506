"""Inputs given as samples: straight lines and holds, even and uneven grids, against block exponentials step by step."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest
from cases import SDE_CASES, SdeCase
from scipy.linalg import expm

from tngd_hw.linear_sde import LinearSDE, noise_as_input, response, state_mean_at, state_response
from tngd_hw.outcome import MisuseError

Array = npt.NDArray[np.float64]


def _step_by_step(F: Array, E: Array, times: Array, u: Array, x0: Array, *, linear: bool) -> Array:
    n, m = E.shape
    states = [x0]
    for i in range(len(times) - 1):
        dt = times[i + 1] - times[i]
        block = np.zeros((n + 2 * m, n + 2 * m))
        block[:n, :n], block[:n, n : n + m], block[n : n + m, n + m :] = F, E, np.eye(m) / dt
        slope = u[i + 1] - u[i] if linear else np.zeros(m)
        states.append(expm(block * dt)[:n] @ np.concatenate((states[-1], u[i], slope)))
    return np.array(states)


@pytest.mark.parametrize("case", [case for case in SDE_CASES if not case.name.startswith("stiff")], ids=str)
@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("linear", [True, False])
def test_against_block_exponentials(case: SdeCase, *, even: bool, linear: bool) -> None:
    rng = np.random.default_rng(0)
    steps = np.full(24, 0.3) if even else rng.uniform(0.01, 3.0, 24)
    times = (0.5 + np.concatenate(([0.0], np.cumsum(steps)))) / case.fastest
    E, u, x0 = rng.normal(size=(case.n, 2)), rng.normal(size=(25, 2)), rng.normal(size=case.n)
    hold = "linear" if linear else "zero"
    ours = state_response(LinearSDE(case.F, E), times, u, x0=x0, hold=hold).numpy()
    expected = _step_by_step(case.F, E, times, u, x0, linear=linear)
    np.testing.assert_allclose(ours, expected, rtol=0.0, atol=1e-11 * np.abs(expected).max())


def test_a_constant_input_is_the_mean() -> None:
    sde = LinearSDE([[-1.0, 0.3], [0.2, -2.0]], np.eye(2), C=[[1.0, 1.0]], D=[[0.0, 2.0]])
    times = np.linspace(0.0, 4.0, 50)
    u = np.tile([1.0, -3.0], (50, 1))
    means = state_mean_at(sde, times, u=[1.0, -3.0])
    np.testing.assert_allclose(state_response(sde, times, u).numpy(), means.numpy(), rtol=1e-12, atol=1e-14)
    outputs = response(sde, times, u).numpy()
    np.testing.assert_allclose(outputs[:, 0], means.sum(-1).numpy() - 6.0, rtol=1e-12, atol=1e-13)


def test_batches_of_chips_and_of_inputs() -> None:
    F = np.array([[[-1.0]], [[-2.0]]])
    times, u = np.array([0.0, 1.0, 2.0]), np.ones((5, 1, 3, 1))
    states = state_response(LinearSDE(F, [[1.0]]), times, u, x0=[[[3.0], [4.0]]])
    assert states.shape == (5, 2, 3, 1)
    assert float(states[4, 1, 2, 0]) == pytest.approx(0.5 + 3.5 * np.exp(-4.0), rel=1e-13)


def test_the_noise_can_be_an_input() -> None:
    sde = LinearSDE([[-1.0]], [[1.0]], [[0.5, 0.25]], D=[[2.0]], D_w=[[0.0, 3.0]])
    driven = noise_as_input(sde)
    assert (driven.n_inputs, driven.n_noises) == (3, 0)
    assert driven.input_names == ("u0", "noise0", "noise1")
    outputs = response(driven, [0.0, 1.0], [[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]]).numpy()
    np.testing.assert_allclose(outputs[:, 0], [14.0, 14.0 + 3.0 * -np.expm1(-1.0)], rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, 1.0], [[1.0]]), "u has shape (1, 1): it has to be (..., 2, 1)"),
        (([0.0, 0.0], [[1.0], [1.0]]), "times[1] = 0.0 after times[0] = 0.0"),
        (([0.0], [1.0]), "u has shape (1,)"),
    ],
)
def test_misuse(arguments: tuple[object, object], message: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(message)):
        state_response(LinearSDE([[-1.0]], [[1.0]]), *arguments)


def test_misuse_of_options() -> None:
    sde, good = LinearSDE([[-1.0]], [[1.0]]), ([0.0, 1.0], [[1.0], [1.0]])
    with pytest.raises(MisuseError, match="hold = 'cubic': choose 'linear' or 'zero'"):
        state_response(sde, *good, hold="cubic")
    with pytest.raises(MisuseError, match=re.escape("x0 has shape (2,)")):
        state_response(sde, *good, x0=[1.0, 2.0])
    assert state_response(sde, [3.0], [[1.0]], x0=[7.0]).tolist() == [[7.0]]
