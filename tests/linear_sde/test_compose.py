"""Composition, augmentation and changes of units and basis, each against a calculation by hand or in frequency."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from cases import rlc_cell, stable_matrix

from tngd_hw.linear_sde import (
    LinearSDE,
    append_output_integrals,
    change_basis,
    change_units,
    feedback,
    frequency_response,
    mean_at,
    power_spectral_density,
    sample_at,
    series,
    side_by_side,
    stationary_output_covariance,
)
from tngd_hw.outcome import MisuseError


def _random(seed: int, n: int, m: int, p: int, q: int = 2) -> LinearSDE:
    rng = np.random.default_rng(seed)
    sizes = {"E": (n, m), "B": (n, q), "C": (p, n), "D": (p, m), "D_w": (p, q)}
    return LinearSDE(stable_matrix(n, seed), **{field: rng.normal(size=size) for field, size in sizes.items()})


F_HZ = np.array([0.01, 0.3, 2.0])


def _noise_response(sde: LinearSDE) -> np.ndarray:
    as_inputs = LinearSDE(sde.F, sde.B, C=sde.C, D=sde.D_w)
    return frequency_response(as_inputs, F_HZ).numpy()


def test_series_multiplies_frequency_responses_in_the_right_order() -> None:
    first, second = _random(1, 3, 2, 4), _random(2, 2, 4, 3)
    both = series(first, second)
    H1, H2 = frequency_response(first, F_HZ).numpy(), frequency_response(second, F_HZ).numpy()
    np.testing.assert_allclose(frequency_response(both, F_HZ).numpy(), H2 @ H1, rtol=1e-11)
    noise = np.concatenate((H2 @ _noise_response(first), _noise_response(second)), axis=-1)
    np.testing.assert_allclose(_noise_response(both), noise, rtol=1e-10)
    assert both.state_names == ("first.x0", "first.x1", "first.x2", "second.x0", "second.x1")


def test_side_by_side_does_not_mix() -> None:
    first, second = _random(1, 3, 2, 4), _random(2, 2, 1, 3)
    both = side_by_side(first, second)
    H = frequency_response(both, F_HZ).numpy()
    np.testing.assert_allclose(H[:, :4, :2], frequency_response(first, F_HZ).numpy(), rtol=1e-11)
    np.testing.assert_allclose(H[:, 4:, 2:], frequency_response(second, F_HZ).numpy(), rtol=1e-11)
    assert np.abs(H[:, :4, 2:]).max() == 0.0
    assert np.abs(_noise_response(both)[:, 4:, :2]).max() == 0.0


def test_feedback_closes_the_loop_with_a_positive_sign() -> None:
    sde, K = _random(3, 3, 2, 2), np.array([[0.1, -0.2], [0.05, 0.3]])
    closed = feedback(sde, K)
    H = frequency_response(sde, F_HZ).numpy()
    loop = np.linalg.inv(np.eye(2) - H @ K)
    np.testing.assert_allclose(frequency_response(closed, F_HZ).numpy(), loop @ H, rtol=1e-11)
    np.testing.assert_allclose(_noise_response(closed), loop @ _noise_response(sde), rtol=1e-10)
    follower = feedback(LinearSDE([[0.0]], [[1.0]]), [[-2.0]])
    assert float(follower.F) == -2.0


def test_integrals_of_the_outputs() -> None:
    sde = LinearSDE([[-1.0]], [[1.0]], C=[[2.0]], D=[[0.5]])
    wide = append_output_integrals(sde, per_second=0.25)
    assert wide.state_names == ("x0", "integral(y0)")
    states = mean_at(LinearSDE(wide.F, wide.E), [4.0], u=[3.0]).numpy()[0]
    integral = 2.0 * 3.0 * (4.0 + np.expm1(-4.0)) + 0.5 * 3.0 * 4.0
    np.testing.assert_allclose(states, [3.0 * -np.expm1(-4.0), integral / 4.0], rtol=1e-13)


def test_other_units_are_the_same_physics() -> None:
    """An RLC cell counted in volts, amperes and seconds, and in millivolts, microamperes and microseconds."""
    F, B = rlc_cell()
    sde = LinearSDE(F, [[1e9], [0.0]], B, [[1.0, 0.0]], D_w=[[1e-6]])
    units = {"time": 1e-6, "states": [1e-3, 1e-6], "inputs": [1e-6], "outputs": [1e-3]}
    small = change_units(sde, **units)
    np.testing.assert_allclose(
        mean_at(small, [0.5, 2.0], u=[7.0]).numpy(), 1e3 * mean_at(sde, [0.5e-6, 2e-6], u=[7e-6]).numpy(), rtol=1e-12
    )
    density, _ = power_spectral_density(sde, [1e5, 1e6])
    counted, _ = power_spectral_density(small, [0.1, 1.0])
    np.testing.assert_allclose(counted.numpy(), density.numpy() * 1e6 * 1e6, rtol=1e-11)
    quiet, _ = stationary_output_covariance(LinearSDE(F, B=B))
    quiet_small, _ = stationary_output_covariance(change_units(LinearSDE(F, B=B), time=1e-6, states=[1e-3, 1e-6]))
    np.testing.assert_allclose(np.diag(quiet_small), np.diag(quiet), rtol=1e-12)


def test_another_basis_has_the_same_outputs() -> None:
    sde, T = _random(4, 3, 2, 2), np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 3.0]])
    turned = change_basis(sde, T)
    np.testing.assert_allclose(
        frequency_response(turned, F_HZ).numpy(), frequency_response(sde, F_HZ).numpy(), rtol=1e-11
    )
    np.testing.assert_allclose(turned.F.numpy(), np.linalg.solve(T, sde.F.numpy() @ T), rtol=1e-12, atol=1e-13)


def test_batches_pass_through() -> None:
    batch = LinearSDE(np.stack([stable_matrix(2, s) for s in range(3)]), np.eye(2), np.eye(2))
    chain = series(batch, _random(1, 2, 2, 1))
    assert tuple(chain.batch_shape) == (3,)
    assert sample_at(LinearSDE(chain.F, B=chain.B), [1.0], generator=np.random.default_rng(0)).shape == (3, 1, 4)
    assert tuple(append_output_integrals(batch).F.shape) == (3, 4, 4)
    assert torch.equal(chain.F[1, :2, :2], batch.F[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: series(s, s), "first has 3 outputs, second 2 inputs"),
        (lambda s: feedback(s, [[1.0]]), "gain has shape (1, 1): for 2 inputs and 3 outputs give (..., 2, 3)"),
        (lambda s: change_basis(s, [[1.0]]), "basis has shape (1, 1)"),
        (lambda s: change_basis(s, np.zeros((2, 2))), "basis is singular"),
        (lambda s: change_units(s, states=[1.0, 0.0]), "states has the unit 0.0"),
        (lambda s: change_units(s, outputs=[1.0]), "outputs has shape (1,): give 3 units"),
        (lambda s: change_units(s, time=0.0), "time = 0.0"),
    ],
)
def test_misuse(call: object, message: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(message)):
        call(_random(1, 2, 2, 3))


def test_an_algebraic_loop_without_a_solution() -> None:
    with pytest.raises(MisuseError, match="I - D K is singular"):
        feedback(LinearSDE([[-1.0]], [[1.0]], D=[[1.0]]), [[1.0]])
