"""Exact response to an input given as samples, so that one noise path can drive several simulators."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tngd_hw.linear_sde.grid import distinct_steps
from tngd_hw.linear_sde.levels import input_levels, levels
from tngd_hw.linear_sde.mean import MODAL_TOLERANCE
from tngd_hw.linear_sde.paths import irregular_carry
from tngd_hw.linear_sde.recursion import recursion
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_times, common_batch, real_tensor
from tngd_hw.linear_sde.transition import transition
from tngd_hw.outcome import MisuseError

__all__ = ["Hold", "response", "state_response"]

Hold = Literal["linear", "zero"]

_MOST_DENSE = 16


def state_response(
    sde: LinearSDE, times: ArrayLike, u: ArrayLike, *, x0: ArrayLike | None = None, hold: Hold = "linear"
) -> Tensor:
    """States under an input given at the times: straight lines in between, or held.  No noise, no step error.

    The noise of a system becomes an input with ``noise_as_input``; held samples dW_i / dt_i are the band-limited noise
    that a circuit simulator is fed.  No gradient flows.

    Each step is x <- Phi x + G0 u_i + G1 u_(i+1) with the weights of :func:`tngd_hw.linear_sde.transition`.

    Args:
        sde: The system; its own noise plays no part.
        times: Increasing seconds, shape (T,).
        u: Input at these times, shape (..., T, m).
        x0: State at times[0], shape (..., n); zero when left out.
        hold: ``"linear"`` joins the samples; ``"zero"`` holds u[i] from times[i] to times[i + 1].

    Returns:
        Shape (..., T, n); the first one is x0.  Cost O(n^2 T) after O(n^3) set-up, for few or many step lengths.

    Raises:
        MisuseError: Shapes that do not fit, NaN, times that do not increase, an unknown hold.
    """
    when = as_times(times, sde.device, strict=True)
    inputs = real_tensor(u, "u", sde.device).detach()
    if inputs.ndim < 2 or tuple(inputs.shape[-2:]) != (when.shape[0], sde.n_inputs):
        raise MisuseError(f"u has shape {tuple(inputs.shape)}: it has to be (..., {when.shape[0]}, {sde.n_inputs})")
    start = torch.zeros(sde.n_states, dtype=torch.float64, device=sde.device)
    if x0 is not None:
        start = real_tensor(x0, "x0", sde.device).detach()
    if start.ndim == 0 or start.shape[-1] != sde.n_states:
        raise MisuseError(f"x0 has shape {tuple(start.shape)}: it has to be (..., {sde.n_states})")
    if hold not in ("linear", "zero"):
        raise MisuseError(f"hold = {hold!r}: choose 'linear' or 'zero'")
    batch = common_batch({"system": sde.batch_shape, "u": inputs.shape[:-2], "x0": start.shape[:-1]})
    columns = inputs.expand(*batch, *inputs.shape[-2:]).movedim(-2, 0)
    begin = start.expand(*batch, sde.n_states).unsqueeze(-2)
    if when.shape[0] == 1:
        return begin
    ends = columns[1:] if hold == "linear" else columns[:-1]
    with torch.no_grad():
        states = _run(sde, when, columns[:-1], ends, begin)
    return torch.cat((begin.unsqueeze(0), states)).squeeze(-2).movedim(0, -2)


def response(
    sde: LinearSDE, times: ArrayLike, u: ArrayLike, *, x0: ArrayLike | None = None, hold: Hold = "linear"
) -> Tensor:
    """Outputs y = C x + D u at the times, x from :func:`state_response`.

    Args:
        sde: The system; its own noise plays no part.
        times: Increasing seconds, shape (T,).
        u: Input at these times, shape (..., T, m).
        x0: State at times[0], shape (..., n); zero when left out.
        hold: ``"linear"`` joins the samples; ``"zero"`` holds u[i] from times[i] to times[i + 1].

    Returns:
        Shape (..., T, p).  Cost: that of the states, and O(n p T).

    Raises:
        MisuseError: As :func:`state_response`.
    """
    states = state_response(sde, times, u, x0=x0, hold=hold)
    return states @ sde.C.mT + real_tensor(u, "u", sde.device) @ sde.D.mT


def _run(sde: LinearSDE, when: Tensor, first: Tensor, last: Tensor, begin: Tensor) -> Tensor:
    """Inputs at the start and end of every step, (T - 1, ..., m); begin (..., 1, n)."""
    lengths, which = distinct_steps(when[1:] - when[0])
    if len(lengths) > _MOST_DENSE:
        return _run_irregular(sde, torch.diff(when), first, last, begin)
    steps = [transition(sde, length) for length in lengths]
    pushed = torch.empty((*first.shape[:-1], 1, sde.n_states), dtype=torch.float64, device=sde.device)
    for label, step in enumerate(steps):
        chosen = torch.tensor([i for i, own in enumerate(which) if own == label], device=sde.device)
        rows = first[chosen].unsqueeze(-2) @ step.G0.mT + last[chosen].unsqueeze(-2) @ step.G1.mT
        pushed[chosen] = rows
    return recursion([step.Phi for step in steps], which, pushed, begin)


def _run_irregular(sde: LinearSDE, steps: Tensor, first: Tensor, last: Tensor, begin: Tensor) -> Tensor:
    climb = levels(sde.F, float(steps.max()))
    scale = climb.scale.unsqueeze(-2)
    pushed = input_levels(climb, sde.E).increments(first, last, steps)
    basis = sde.modal if sde.modal.error(float(steps.sum())) <= MODAL_TOLERANCE else None
    return irregular_carry(climb, basis, steps, pushed, begin / scale) * scale
