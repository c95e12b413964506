"""Covariances at a time after the start."""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import broadcast, eigvalsh
from tngd_hw.linear_sde.stationary import output_covariance
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_duration, common_batch, real_tensor
from tngd_hw.linear_sde.transition import transition
from tngd_hw.outcome import MisuseError

__all__ = ["checked_covariance", "covariance_at", "initial_covariance", "output_covariance_at"]


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

    Source: C. W. Gardiner, Stochastic Methods, 4th ed., Springer 2009, on the Ornstein-Uhlenbeck process.
    """
    start = initial_covariance(sde, covariance0)
    common_batch({"system": sde.batch_shape, "covariance0": start.shape[:-2]})
    if t == 0:
        return start.expand(*broadcast(start.shape, sde.F.shape)).clone()
    step = transition(sde, as_duration(t, "t"))
    carried = step.Phi @ start @ step.Phi.mT
    return step.covariance + 0.5 * (carried + carried.mT)


def output_covariance_at(sde: LinearSDE, t: float, *, covariance0: ArrayLike | None = None) -> Tensor:
    """Covariance of the outputs at t:  C P(t) C^T with P(t) of :func:`covariance_at`.

    Args:
        sde: The system.
        t: Seconds after the start.
        covariance0: Covariance of the state at time 0, shape (..., n, n); zero when left out.

    Returns:
        Shape (..., p, p), output^2; infinite where outputs have white noise of their own (D_w D_w^T is not zero): its
        variance at a point is.  Cost: that of the states.

    Raises:
        MisuseError: As :func:`covariance_at`.
    """
    return output_covariance(sde, covariance_at(sde, t, covariance0=covariance0))


def initial_covariance(sde: LinearSDE, covariance0: ArrayLike | None) -> Tensor:
    """Check the covariance of a start; None is zero."""
    return checked_covariance(covariance0, "covariance0", sde.n_states, sde.device)


def checked_covariance(value: ArrayLike | None, field: str, n: int, device: torch.device) -> Tensor:
    """Check a covariance given by the user, shape (..., n, n); None is zero."""
    if value is None:
        return torch.zeros((n, n), dtype=torch.float64, device=device)
    given = real_tensor(value, field, device)
    if given.ndim < 2 or tuple(given.shape[-2:]) != (n, n):
        raise MisuseError(f"{field} has shape {tuple(given.shape)}: it has to be (..., {n}, {n})")
    size = given.detach().abs().amax()
    if bool(((given - given.mT).detach().abs() > 1e-12 * size).any()):
        raise MisuseError(f"{field} is not symmetric: give a covariance, for example B @ B.T")
    lowest = float(eigvalsh(given.detach()).min())
    if lowest < -1e-10 * float(size):
        raise MisuseError(f"{field} has the eigenvalue {lowest:.3g}: a covariance has none below zero")
    return 0.5 * (given + given.mT)
