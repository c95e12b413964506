"""Saturation and rate limits: exact while inactive, right against closed forms and a fine explicit integrator."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from cases import stable_matrix

from tngd_hw.linear_sde import LinearSDE, bounded_path, state_response, step_noise, transition
from tngd_hw.outcome import MisuseError, Outcome


def _system() -> LinearSDE:
    return LinearSDE(2.0 * stable_matrix(3, 5), np.eye(3), np.diag([0.6, 0.4, 0.5]))


def test_nothing_saturates_nothing_changes() -> None:
    sde, times = _system(), np.linspace(0.0, 3.0, 13)
    linear = state_response(sde, times, np.tile([1.0, 2.0, -1.0], (13, 1)), x0=[0.1, 0.2, 0.3])
    for bounds in ({}, {"limit": 1e3, "rate": [1e4, np.inf, 1e5]}):
        ours = bounded_path(sde, times, x0=[0.1, 0.2, 0.3], u=[1.0, 2.0, -1.0], **bounds)
        np.testing.assert_allclose(ours.states.numpy(), linear.numpy(), rtol=1e-12, atol=1e-14)
        assert ours.status.ok
        assert not bool(ours.saturated.any())


def test_noise_of_a_step_is_exact_and_added_as_it_is() -> None:
    sde, times = _system(), 0.25 * np.arange(5.0)
    normals = torch.from_numpy(np.random.default_rng(0).normal(size=(7, 4, 3)))
    noise = step_noise(sde, 0.25, normals)
    ours = bounded_path(sde, times, noise=noise)
    x, step = torch.zeros(7, 3, dtype=torch.float64), transition(sde, 0.25)
    for i in range(4):
        x = x @ step.Phi.mT + noise[:, i]
        np.testing.assert_allclose(ours.states[:, i + 1].numpy(), x.numpy(), rtol=1e-12, atol=1e-14)


def test_a_slewing_follower_is_a_ramp() -> None:
    """dx = clip(5 - x, -2, 2): a ramp of slope 2 until x = 3, then an exponential; the kink is met within a step."""
    times = np.linspace(0.0, 4.0, 4001)
    ours = bounded_path(LinearSDE([[-1.0]], [[1.0]]), times, rate=2.0, u=[5.0])
    exact = np.where(times < 1.5, 2.0 * times, 5.0 - 2.0 * np.exp(-(times - 1.5)))
    np.testing.assert_allclose(ours.states[:, 0].numpy(), exact, atol=2e-6)
    assert ours.status.outcome is Outcome.SATURATED
    assert "slopes beyond their rate" in ours.status.detail


def test_a_clipped_output_feeds_back_no_more() -> None:
    """dx = 3 - s(x), |s| <= 1: once x passes 1 the feedback is stuck and x rises with slope 2."""
    times = np.linspace(0.0, 2.0, 2001)
    ours = bounded_path(LinearSDE([[-1.0]], [[1.0]]), times, limit=1.0, u=[3.0])
    meets = np.log(1.5)
    exact = np.where(times < meets, -3.0 * np.expm1(-times), 1.0 + 2.0 * (times - meets))
    np.testing.assert_allclose(ours.states[:, 0].numpy(), exact, atol=1e-5)
    assert bool((ours.saturated[:, 0].numpy() == (ours.states[:, 0].numpy() > 1.0)).all())


def _errors(*, noisy: bool) -> tuple[list[float], list[float]]:
    """Root mean square errors at the end for five steps, all on one fine path of the noise."""
    sde, span, fine, paths = _system(), 2.0, 2048, 100
    h = span / fine
    normals = torch.from_numpy(np.random.default_rng(1).normal(size=(paths, fine, 3)))
    noise = step_noise(sde, h, normals) if noisy else torch.zeros((1, fine, 3), dtype=torch.float64)
    bounds = {"limit": [0.5, 0.4, 0.6], "rate": [1.5, 2.0, 1.0], "u": [1.0, -2.0, 1.5]}
    reference = bounded_path(sde, np.linspace(0.0, span, fine + 1), noise=noise, **bounds).states[:, -1]
    steps, errors = [], []
    while len(steps) < 5:
        joined = noise[:, ::2] @ transition(sde, h).Phi.mT + noise[:, 1::2]
        noise, h = joined, 2.0 * h
        if noise.shape[1] <= 256:
            end = bounded_path(sde, np.linspace(0.0, span, noise.shape[1] + 1), noise=noise, **bounds).states[:, -1]
            steps.append(h)
            errors.append(float((end - reference).square().mean().sqrt()))
    return steps, errors


@pytest.mark.parametrize(("noisy", "order", "slack"), [(False, 2.0, 0.4), (True, 1.0, 0.25)])
def test_the_order_is_as_stated(*, noisy: bool, order: float, slack: float) -> None:
    """Least-squares slope over five halvings."""
    steps, errors = _errors(noisy=noisy)
    slope = float(np.polyfit(np.log(steps), np.log(errors), 1)[0])
    assert slope > order - slack
    assert errors[0] < 0.05


def test_it_agrees_with_a_fine_explicit_integrator() -> None:
    sde, bounds = _system(), {"limit": 0.5, "rate": 1.5}
    F, u, x = sde.F.numpy(), np.array([1.0, -2.0, 1.5]), np.zeros(3)
    count = 40_000
    for _ in range(count):
        x = x + 2.0 / count * np.clip(F @ np.clip(x, -0.5, 0.5) + u, -1.5, 1.5)
    ours = bounded_path(sde, np.linspace(0.0, 2.0, 401), u=u, **bounds)
    np.testing.assert_allclose(ours.states[-1].numpy(), x, atol=2e-4)
    linear = bounded_path(sde, np.linspace(0.0, 2.0, 401), u=u)
    assert np.abs(linear.states[-1].numpy() - x).max() > 0.05


def test_batches_and_repeats() -> None:
    F = np.stack([stable_matrix(2, seed) for seed in range(3)])
    sde, x0 = LinearSDE(F), [[1.0, 2.0], [0.0, 1.0], [3.0, -1.0]]
    once = bounded_path(sde, [0.0, 0.5, 1.0], x0=x0, limit=0.8)
    again = bounded_path(sde, [0.0, 0.5, 1.0], x0=x0, limit=0.8)
    assert once.states.shape == (3, 3, 2)
    assert torch.equal(once.states, again.states)
    alone = bounded_path(LinearSDE(F[1]), [0.0, 0.5, 1.0], x0=x0[1], limit=0.8)
    np.testing.assert_allclose(once.states[1].numpy(), alone.states.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0.0}, "limit has the entry 0.0"),
        ({"rate": [1.0, np.nan, 1.0]}, "rate has the entry nan"),
        ({"rate": [1.0, 2.0]}, "rate has shape (2,)"),
        ({"x0": [1.0]}, "x0 has shape (1,): it has to be (..., 3)"),
        ({"noise": torch.zeros(3, 3)}, "noise has shape (3, 3): it has to be (..., 1, 3)"),
    ],
)
def test_misuse(options: dict[str, object], message: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(message)):
        bounded_path(_system(), [0.0, 1.0], **options)


def test_misuse_of_times() -> None:
    with pytest.raises(MisuseError, match="times has 1 entry: a step needs two"):
        bounded_path(_system(), [0.0])
