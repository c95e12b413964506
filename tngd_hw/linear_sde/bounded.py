"""Amplifiers that saturate and cannot follow any slope: an exponential integrator that is exact while they do not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import identity
from tngd_hw.linear_sde.grid import distinct_steps
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_times, common_batch, real_tensor
from tngd_hw.linear_sde.transition import Transition, transition
from tngd_hw.outcome import MisuseError, Outcome, Status

__all__ = ["BoundedPath", "bounded_path", "step_noise"]


@dataclass(frozen=True, eq=False)
class BoundedPath:
    """A path of a system with bounds.

    Attributes:
        states: Shape (..., T, n); the first one is x0.
        saturated: Where a state was beyond its limit, shape (..., T, n).
        status: OK when no bound was ever active at the times given, else SATURATED with how often.
    """

    states: Tensor
    saturated: Tensor
    status: Status


def bounded_path(
    sde: LinearSDE,
    times: ArrayLike,
    *,
    limit: ArrayLike | None = None,
    rate: ArrayLike | None = None,
    x0: ArrayLike | None = None,
    u: ArrayLike | None = None,
    noise: Tensor | None = None,
) -> BoundedPath:
    """Integrate  dx = clip(F s(x) + E u, -rate, rate) dt + B dW,  s(x) = clip(x, -limit, limit), element by element.

    s(x) is what the amplifiers put out and the network sees.  With N(x) the difference to the linear drift, a step is

        a = Phi x + (G0 + G1) u + (g0 + g1) N(x) + w,      x <- a + g1 (N(a) - N(x)),

    g0, g1 the input weights for E = I and w the exact noise of the step.  While no bound is active N = 0 and the step
    is exact.  Otherwise the error is of second order in the step without noise; with noise the strong order is 1.

    Args:
        sde: The system.
        times: Increasing seconds, shape (T,), T >= 2.
        limit: Largest |output|, scalar or shape (..., n), positive; infinity or left out: no limit.
        rate: Largest |drift| in state per second, likewise.
        x0: State at times[0], shape (..., n); zero when left out.
        u: Constant input, shape (..., m); zero when left out.
        noise: w of every step, shape (..., T - 1, n), from :func:`step_noise`; None for no noise.

    Returns:
        A :class:`BoundedPath`; leading dimensions of x0, u and noise broadcast; no gradient flows.
        Cost 4 n^2 a step and path.

    Raises:
        MisuseError: Shapes that do not fit, NaN, bounds that are not positive, times that do not increase.

    Source: S. M. Cox and P. C. Matthews, J. Comput. Phys. 176 (2002) 430, their second-order scheme.
    """
    when = as_times(times, sde.device, strict=True)
    if when.shape[0] < 2:
        raise MisuseError(f"times has {when.shape[0]} entry: a step needs two")
    n, steps = sde.n_states, when.shape[0] - 1
    start, push = _rows(sde, x0, n, "x0"), _rows(sde, u, sde.n_inputs, "u").unsqueeze(-2)
    coming = torch.zeros((steps, n), dtype=torch.float64, device=sde.device)
    if noise is not None:
        coming = real_tensor(noise, "noise", sde.device)
    if tuple(coming.shape[-2:]) != (steps, n):
        raise MisuseError(f"noise has shape {tuple(coming.shape)}: it has to be (..., {steps}, {n})")
    model = _Model(sde, _bound(sde, limit, "limit"), _bound(sde, rate, "rate"), (push @ sde.E.mT))
    given = {"x0": start.shape[:-1], "u": push.shape[:-2], "noise": coming.shape[:-2]}
    bounds = {"limit": model.limit.shape[:-2], "rate": model.rate.shape[:-2]}
    batch = common_batch({"system": sde.batch_shape, **given, **bounds})
    with torch.no_grad():
        states = _integrate(model, when, start.expand(*batch, n).unsqueeze(-2), coming.unsqueeze(-2))
    saturated = states.abs() > model.limit
    return BoundedPath(states, saturated, _status(model, states, saturated))


def step_noise(sde: LinearSDE, dt: float, normals: ArrayLike) -> Tensor:
    """The exact noise w = R z of steps of length dt, R R^T the covariance of a step.

    Args:
        sde: The system.
        dt: Seconds, positive.
        normals: z, standard normal variates, shape (..., steps, n).

    Returns:
        w, same shape, in the units of the states.  Cost: one transition, then n^2 a step.

    Raises:
        MisuseError: dt is not positive, variates that do not fit.
    """
    z, n = real_tensor(normals, "normals", sde.device), sde.n_states
    if z.ndim < 2 or z.shape[-1] != n:
        raise MisuseError(f"normals has shape {tuple(z.shape)}: it has to be (..., steps, {n})")
    return z @ transition(sde, dt).root.mT


@dataclass(frozen=True, eq=False)
class _Model:
    sde: LinearSDE
    limit: Tensor
    rate: Tensor
    drive: Tensor

    def excess(self, rows: Tensor) -> Tensor:
        """N(x): bounded drift less linear drift, rows (..., 1, n)."""
        clipped = torch.clamp(rows, -self.limit, self.limit) if bool((rows.abs() > self.limit).any()) else rows
        linear = rows @ self.sde.F.mT + self.drive
        bounded = linear if clipped is rows else clipped @ self.sde.F.mT + self.drive
        return torch.clamp(bounded, -self.rate, self.rate) - linear


def _integrate(model: _Model, when: Tensor, start: Tensor, noise: Tensor) -> Tensor:
    """Rows (..., 1, n); noise (..., T - 1, 1, n)."""
    lengths, which = distinct_steps(when[1:] - when[0])
    bare = LinearSDE(model.sde.F, identity(model.sde.n_states, model.sde.device))
    weights = [transition(bare, length) for length in lengths]
    states = [start]
    for i, label in enumerate(which):
        states.append(_step(model, weights[label], states[-1], noise[..., i, :, :]))
    return torch.cat([state.expand(states[-1].shape) for state in states], dim=-2)


def _step(model: _Model, weights: Transition, x: Tensor, noise: Tensor) -> Tensor:
    before = model.excess(x)
    whole = (model.drive + before) @ (weights.G0 + weights.G1).mT
    guess = x @ weights.Phi.mT + whole + noise
    after = model.excess(guess)
    return guess + (after - before) @ weights.G1.mT


def _rows(sde: LinearSDE, value: ArrayLike | None, size: int, field: str) -> Tensor:
    if value is None:
        return torch.zeros(size, dtype=torch.float64, device=sde.device)
    given = real_tensor(value, field, sde.device)
    if given.ndim == 0 or given.shape[-1] != size:
        raise MisuseError(f"{field} has shape {tuple(given.shape)}: it has to be (..., {size})")
    return given


def _bound(sde: LinearSDE, value: ArrayLike | None, field: str) -> Tensor:
    if value is None:
        return torch.full((1, 1), torch.inf, dtype=torch.float64, device=sde.device)
    try:
        given = torch.as_tensor(value, dtype=torch.float64, device=sde.device)
    except (TypeError, ValueError) as error:
        raise MisuseError(f"{field} = {value!r}: give a number or (..., {sde.n_states}) of them") from error
    if not bool((given > 0.0).all()):
        raise MisuseError(f"{field} has the entry {float(given.min())}: a bound has to be positive (infinity for none)")
    if given.ndim and given.shape[-1] != sde.n_states:
        raise MisuseError(f"{field} has shape {tuple(given.shape)}: give one number or (..., {sde.n_states})")
    return given.expand(*given.shape[:-1], sde.n_states).unsqueeze(-2)


def _status(model: _Model, states: Tensor, saturated: Tensor) -> Status:
    clipped = torch.clamp(states, -model.limit, model.limit)
    slewing = (clipped @ model.sde.F.mT + model.drive).abs() > model.rate
    part, slow = float(saturated.double().mean()), float(slewing.double().mean())
    if part == 0.0 and slow == 0.0:
        return Status()
    detail = f"{part:.2%} of the values are beyond their limit, {slow:.2%} of the slopes beyond their rate"
    return Status(Outcome.SATURATED, detail)
