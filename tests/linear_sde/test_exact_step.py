"""Transition, means and stationary law against 50-digit closed forms, over 24 decades of step length."""

from __future__ import annotations

import numpy as np
import pytest
from cases import SDE_CASES, STABLE_SDE_CASES, SdeCase
from linear_sde.reference import ExactStep, distance, exact_stationary, exact_step, one_ulp, one_ulp_of_each

from tngd_hw.linear_sde import LinearSDE, covariance_at, state_mean_at, stationary_covariance, transition

STEPS = (1e-12, 1e-9, 1e-6, 1e-3, 0.3, 1.0, 37.0, 1e3, 1e6, 1e9, 1e12)
PARTS = ("Phi", "G0", "G1", "Q")
TOLERANCE = 1e-10


def _system(case: SdeCase) -> LinearSDE:
    return LinearSDE(case.F, np.eye(case.n), case.B)


def _one_ulp_effect(case: SdeCase, dt: float, part: str, exact: ExactStep) -> float:
    """One ulp of each entry; undamped loops also feel one in their zero diagonal: of the largest entry there."""
    reference, moved = getattr(exact, part), one_ulp if case.name == "undamped" else one_ulp_of_each
    return max(distance(getattr(exact_step(moved(case.F, i), case.B, dt), part), reference) for i in range(8))


@pytest.mark.parametrize(
    ("case", "relative_step"),
    [
        (case, step) for case in SDE_CASES for step in STEPS if case.name != "unstable" or step < 1e4
    ],  # e^(1e4) overflows
    ids=str,
)
def test_transition_agrees_with_fifty_digits(case: SdeCase, relative_step: float) -> None:
    dt = relative_step / case.fastest
    exact, step = exact_step(case.F, case.B, dt), transition(_system(case), dt)
    ours = {"Phi": step.Phi, "G0": step.G0, "G1": step.G1, "Q": step.covariance}
    for part in PARTS:
        error = distance(ours[part].numpy(), getattr(exact, part))
        if error > TOLERANCE:
            assert error <= 100.0 * _one_ulp_effect(case, dt, part, exact), part
    root = step.root.numpy()
    assert distance(root @ root.T, ours["Q"].numpy()) < 1e-13


def test_a_slow_mode_beside_a_fast_one_keeps_its_digits() -> None:
    """F = -diag(1, 1e-9), one time constant of the slow mode: doubling e^(F h) itself is 7e-9 off here."""
    step = transition(LinearSDE(np.diag([-1.0, -1e-9]), np.eye(2), np.eye(2)), 1e9)
    np.testing.assert_allclose(step.Phi[1, 1].item(), np.exp(-1.0), rtol=1e-14)
    np.testing.assert_allclose(step.covariance[1, 1].item(), -np.expm1(-2.0) / 2e-9, rtol=1e-14)
    np.testing.assert_allclose((step.G0 + step.G1)[1, 1].item(), -np.expm1(-1.0) / 1e-9, rtol=1e-14)


@pytest.mark.parametrize("case", SDE_CASES, ids=str)
def test_means_and_covariances_at_a_time_agree_with_fifty_digits(case: SdeCase) -> None:
    x0, u = np.arange(1.0, case.n + 1.0), np.arange(2.0, case.n + 2.0)
    P0 = np.diag(np.arange(1.0, case.n + 1.0))
    for relative_step in (1e-6, 0.3, 20.0, 1e3):
        t = relative_step / case.fastest
        exact = exact_step(case.F, case.B, t)
        mean = state_mean_at(_system(case), [0.0, t], x0=x0, u=u).numpy()
        np.testing.assert_allclose(mean[0], x0, rtol=1e-14)
        size = np.linalg.norm(x0) + np.linalg.norm(exact.G0 @ u) + np.linalg.norm(exact.G1 @ u)
        assert np.linalg.norm(mean[1] - (exact.Phi @ x0 + (exact.G0 + exact.G1) @ u)) < TOLERANCE * size
        covariance = covariance_at(_system(case), t, covariance0=P0).numpy()
        assert distance(covariance, exact.Phi @ P0 @ exact.Phi.T + exact.Q) < TOLERANCE


@pytest.mark.parametrize("case", STABLE_SDE_CASES, ids=str)
def test_stationary_covariance_agrees_with_sixty_digits(case: SdeCase) -> None:
    reference = exact_stationary(case.F, case.B)
    ours, status = stationary_covariance(_system(case))
    assert status.ok
    error = distance(ours.numpy(), reference)
    if error > 1e-12:
        effect = max(distance(exact_stationary(one_ulp(case.F, i), case.B), reference) for i in range(8))
        assert error <= 10.0 * effect
    assert np.array_equal(ours.numpy(), ours.numpy().T)


def test_stationary_law_where_reversible_formulas_fail() -> None:
    """thermox's integral of exp(-(A + A^T) s) is 4 % off here; the closed form of a 2 x 2 Lyapunov equation is not."""
    A = np.array([[3.0, 2.5], [2.0, 4.0]])
    ours, _ = stationary_covariance(LinearSDE(-A, B=np.sqrt(2.0) * np.eye(2)))
    trace, determinant = np.trace(A), np.linalg.det(A)
    turned = A - trace * np.eye(2)
    closed = 2.0 * (determinant * np.eye(2) + turned @ turned.T) / (2.0 * trace * determinant)
    assert distance(ours.numpy(), closed) < 1e-14
    wrong = np.linalg.inv(0.5 * (A + A.T))
    assert distance(wrong, closed) > 0.02


def test_first_order_hold_weights_tell_start_from_end() -> None:
    """Asymmetric example: dx = u dt, u from 0 to 1 over one second gives 1/2; dx = -x + u weighs the end more."""
    pure = transition(LinearSDE([[0.0]], [[1.0]]), 2.0)
    assert (float(pure.G0), float(pure.G1)) == (1.0, 1.0)
    decaying = transition(LinearSDE([[-1.0]], [[1.0]]), 2.0)
    gain, late = 1.0 - np.exp(-2.0), 1.0 - (1.0 - np.exp(-2.0)) / 2.0
    assert float(decaying.G1) == pytest.approx(late, rel=1e-14)
    assert float(decaying.G0) == pytest.approx(gain - late, rel=1e-14)
    assert float(decaying.G1) > float(decaying.G0)
