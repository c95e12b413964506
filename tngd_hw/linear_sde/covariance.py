"""Covariances at a time after the start."""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import broadcast, eigvalsh
from tngd_hw.linear_sde.stationary import output_covariance
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, real_tensor
from tngd_hw.linear_sde.transition import transition
from tngd_hw.outcome import MisuseError

__all__ = ["covariance_at", "initial_covariance", "output_covariance_at"]


def covariance_at(sde: LinearSDE, t: float, *, covariance0: ArrayLike | None = None) -> Tensor:
    """Covariance of the states at t:  Phi P0 Phi^T + (integral of e^(F s) B B^T e^(F^T s) over 0..t).

    Right for every F: also unstable and marginal ones.

    Args:
        sde: The system.
        t: Seconds after the start; 0 gives P0.
        covariance0: P0, covariance at time 0, shape (..., n, n), symmetric positive semidefinite; zero when left out.

    Returns:
        Shape (..., n, n), state^2.  Cost and error: see ``transition``.

    Raises:
        MisuseError: t is negative, P0 is no covariance or does not fit.
    """
    start = initial_covariance(sde, covariance0)
    if t == 0:
        return start.expand(*broadcast(start.shape, sde.F.shape)).clone()
    step = transition(sde, t)
    carried = step.Phi @ start @ step.Phi.mT
    return step.covariance + 0.5 * (carried + carried.mT)


def output_covariance_at(sde: LinearSDE, t: float, *, covariance0: ArrayLike | None = None) -> Tensor:
    """Covariance of the outputs at t:  C P(t) C^T, shape (..., p, p), infinite where an output has white noise."""
    return output_covariance(sde, covariance_at(sde, t, covariance0=covariance0))


def initial_covariance(sde: LinearSDE, covariance0: ArrayLike | None) -> Tensor:
    """Check a covariance given by the user; None is zero."""
    n = sde.n_states
    if covariance0 is None:
        return torch.zeros((n, n), dtype=torch.float64, device=sde.device)
    given = real_tensor(covariance0, "covariance0", sde.device)
    if given.ndim < 2 or given.shape[-2:] != (n, n):
        raise MisuseError(f"covariance0 has shape {tuple(given.shape)}: it has to be (..., {n}, {n})")
    size = given.detach().abs().amax()
    if bool(((given - given.mT).detach().abs() > 1e-12 * size).any()):
        raise MisuseError("covariance0 is not symmetric: give a covariance, for example B @ B.T")
    lowest = float(eigvalsh(given.detach()).min())
    if lowest < -1e-10 * float(size):
        raise MisuseError(f"covariance0 has the eigenvalue {lowest:.3g}: a covariance has none below zero")
    return 0.5 * (given + given.mT)
