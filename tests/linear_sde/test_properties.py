"""Laws that every random system has to keep, and derivatives of second moments."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tngd_hw.linear_sde import LinearSDE, autocovariance, covariance_at, stationary_covariance, transition

SIZES, SEEDS = st.integers(1, 6), st.integers(0, 10_000)


def _random_system(n: int, seed: int, spread: float) -> LinearSDE:
    """Stable, not normal, with rates over ``spread`` decades and noise of any rank."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0] + 0.3 * np.triu(rng.normal(size=(n, n)))
    rates = -(10.0 ** rng.uniform(-spread / 2, spread / 2, n))
    F = basis @ np.diag(rates) @ np.linalg.inv(basis) if np.linalg.cond(basis) < 100 else np.diag(rates)
    return LinearSDE(F, rng.normal(size=(n, 2)), rng.normal(size=(n, rng.integers(1, n + 1))))


@settings(max_examples=40)
@given(n=SIZES, seed=SEEDS, spread=st.floats(0.0, 4.0))
def test_the_stationary_covariance_solves_its_equation(n: int, seed: int, spread: float) -> None:
    sde = _random_system(n, seed, spread)
    S, status = stationary_covariance(sde)
    assert status.ok
    residual = sde.F @ S + S @ sde.F.mT + sde.diffusion
    assert float(residual.norm()) <= 1e-12 * float(2.0 * (sde.F.norm() * S.norm()) + sde.diffusion.norm())
    assert float(torch.linalg.eigvalsh(S).min()) >= -1e-13 * float(S.norm())


@settings(max_examples=40)
@given(n=SIZES, seed=SEEDS, dt=st.floats(1e-3, 1e3), part=st.floats(0.1, 0.9))
def test_two_steps_are_one(n: int, seed: int, dt: float, part: float) -> None:
    """Phi, covariance and input weights of dt from those of its two parts, the input a straight line over all of dt."""
    sde = _random_system(n, seed, 3.0)
    whole, first, second = transition(sde, dt), transition(sde, part * dt), transition(sde, dt - part * dt)
    close = {"rtol": 1e-9, "atol": 1e-10}
    size = 1.0 + float(whole.Phi.norm())
    torch.testing.assert_close(second.Phi @ first.Phi / size, whole.Phi / size, **close)
    covariance = second.covariance + second.Phi @ first.covariance @ second.Phi.mT
    torch.testing.assert_close(covariance / covariance.norm(), whole.covariance / covariance.norm(), **close)
    middle = second.Phi @ first.G1 + second.G0
    start, end = second.Phi @ first.G0 + (1.0 - part) * middle, second.G1 + part * middle
    size = float(start.norm() + end.norm())
    torch.testing.assert_close(start / size, whole.G0 / size, **close)
    torch.testing.assert_close(end / size, whole.G1 / size, **close)


@settings(max_examples=30)
@given(n=SIZES, seed=SEEDS)
def test_a_long_time_is_the_stationary_law_and_lags_fade(n: int, seed: int) -> None:
    sde = _random_system(n, seed, 2.0)
    S, _ = stationary_covariance(sde)
    torch.testing.assert_close(covariance_at(sde, 1e4), S, rtol=1e-10, atol=1e-12 * float(S.norm()))
    lagged, _ = autocovariance(sde, [0.0, 1e4])
    torch.testing.assert_close(lagged[0], S, rtol=1e-12, atol=1e-14)
    assert float(lagged[1].norm()) < 1e-12 * float(S.norm())


def test_derivatives_of_second_moments() -> None:
    F = torch.tensor([[-1.0, 0.4], [-0.7, -0.5]], dtype=torch.float64, requires_grad=True)
    B = torch.tensor([[1.0, 0.0], [0.3, 0.5]], dtype=torch.float64, requires_grad=True)

    def moments(F: torch.Tensor, B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        sde = LinearSDE(F, torch.eye(2, dtype=torch.float64), B)
        step = transition(sde, 1.7)
        return step.covariance, step.G1, stationary_covariance(sde)[0]

    assert torch.autograd.gradcheck(moments, (F, B), rtol=1e-6, atol=1e-8)


def test_calls_repeat_to_the_bit_and_change_nothing() -> None:
    sde = _random_system(5, 3, 2.0)
    kept = [matrix.clone() for matrix in sde.matrices]
    once, again = transition(sde, 0.37), transition(sde, 0.37)
    assert torch.equal(once.Phi, again.Phi)
    assert torch.equal(once.covariance, again.covariance)
    assert all(torch.equal(before, after) for before, after in zip(kept, sde.matrices, strict=True))
