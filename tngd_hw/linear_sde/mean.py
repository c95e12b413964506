"""Means under a constant input: exact at any times."""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.linear_sde.dyadic import DyadicPowers, dyadic_mean
from tngd_hw.linear_sde.modal import modal_mean
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_times, as_vectors, common_batch
from tngd_hw.outcome import MisuseError

__all__ = ["MODAL_TOLERANCE", "mean_at", "propagate", "state_mean_at"]

MODAL_TOLERANCE = 1e-11
"""An eigenbasis is used when its measured error is below this, else the dyadic products."""

_EIGEN_COST, _SYMMETRIC_EIGEN_COST = 60.0, 12.0
"""An eigen-decomposition with its check takes about as long as products of so many n^3 multiplications."""

_MODAL_COST, _REAL_MODAL_COST = 4.0, 1.5
"""n^2 multiplications a time and column in the eigenbasis, complex or real."""


def state_mean_at(
    sde: LinearSDE, times: ArrayLike, *, x0: ArrayLike | None = None, u: ArrayLike | None = None
) -> Tensor:
    """Mean of the states:  m(t) = e^(F t) x0 + (integral of e^(F s) over 0..t) E u.

    The eigenbasis does the work where its measured error is below 1e-11 and it is cheaper, else products of
    exp(F 2^k h), which the system keeps for its next run.  Neither inverts F, so integrators (zero eigenvalues) are
    exact.

    Args:
        sde: The system.
        times: Non-decreasing seconds after the start, shape (T,); any spacing.
        x0: State at time 0, shape (..., n) or (..., n, k); zero when left out.
        u: Constant input, shape (..., m) or (..., m, k) for k right-hand sides; zero when left out.

    Returns:
        Shape (..., T, n), or (..., T, n, k) when x0 or u has columns.  A vector has as many axes as the batch of the
        system plus one; with more, the last axis counts columns.  Cost: see ``dyadic_mean`` and ``modal_mean``.

    Raises:
        MisuseError: Shapes that do not fit, NaN, negative or decreasing times.

    Source: C. Moler and C. Van Loan, Nineteen dubious ways to compute the exponential of a matrix, twenty-five years
    later, SIAM Rev. 45 (2003) 3.
    """
    states, _, columns = _solve(sde, times, x0, u)
    return states if columns else states.squeeze(-1)


def mean_at(sde: LinearSDE, times: ArrayLike, *, x0: ArrayLike | None = None, u: ArrayLike | None = None) -> Tensor:
    """Mean of the outputs:  C m(t) + D u  with m(t) of :func:`state_mean_at`.

    Args:
        sde: The system.
        times: Non-decreasing seconds after the start, shape (T,).
        x0: State at time 0, shape (..., n) or (..., n, k); zero when left out.
        u: Constant input, shape (..., m) or (..., m, k); zero when left out.

    Returns:
        Shape (..., T, p), or (..., T, p, k) when x0 or u has columns.  Cost: that of the states, and O(n p T k).

    Raises:
        MisuseError: Shapes that do not fit, NaN, negative or decreasing times.
    """
    states, inputs, columns = _solve(sde, times, x0, u)
    seen = states if sde.reads_states else sde.C.unsqueeze(-3) @ states
    outputs = seen + (sde.D @ inputs).unsqueeze(-3)
    return outputs if columns else outputs.squeeze(-1)


def _solve(sde: LinearSDE, times: ArrayLike, x0: ArrayLike | None, u: ArrayLike | None) -> tuple[Tensor, Tensor, bool]:
    """States (..., T, n, k), inputs (..., m, k), and whether the caller gave columns."""
    when = as_times(times, sde.device)
    starts, start_columns = _columns(sde, x0, sde.n_states, "x0")
    inputs, input_columns = _columns(sde, u, sde.n_inputs, "u")
    if start_columns and input_columns and starts.shape[-1] != inputs.shape[-1]:
        raise MisuseError(f"x0 has {starts.shape[-1]} columns and u has {inputs.shape[-1]}: give the same number")
    batch = common_batch({"system": sde.batch_shape, "x0": starts.shape[:-2], "u": inputs.shape[:-2]})
    forcing = sde.E @ inputs
    k = max(starts.shape[-1], forcing.shape[-1])
    wide = (*batch, sde.n_states, k)
    states = propagate(sde, forcing.expand(wide), starts.expand(wide), when)
    return states.transpose(-3, -2), inputs, start_columns or input_columns


def _columns(sde: LinearSDE, value: ArrayLike | None, size: int, field: str) -> tuple[Tensor, bool]:
    if value is None:
        return torch.zeros((size, 1), dtype=torch.float64, device=sde.device), False
    return as_vectors(value, size, len(sde.batch_shape), field, sde.device)


def propagate(sde: LinearSDE, W: Tensor, starts: Tensor, times: Tensor) -> Tensor:
    """States (..., n, T, k) from ``starts`` under constant forcing W, both (..., n, k): picks the algorithm."""
    horizon = float(times[-1])
    wants_gradient = sde.requires_grad or W.requires_grad or starts.requires_grad
    pays = not wants_gradient and _modal_pays(sde, horizon, times.shape[0] * W.shape[-1])
    if pays and sde.modal.holds(horizon, MODAL_TOLERANCE):
        return modal_mean(sde.modal, W, starts, times)
    powers = DyadicPowers(sde.F) if wants_gradient else sde.powers  # a kept graph could be walked only once
    return dyadic_mean(powers, W, starts, times)


def _modal_pays(sde: LinearSDE, horizon: float, columns: int) -> bool:
    """Compare multiplications; a basis that is there already is used."""
    if "modal" in sde.__dict__:
        return True
    n, levels = sde.n_states, sde.powers.levels(horizon)
    eigen, each = (_SYMMETRIC_EIGEN_COST, _REAL_MODAL_COST) if sde.is_symmetric else (_EIGEN_COST, _MODAL_COST)
    return eigen * n + each * columns < (levels + 6.0) * n + 0.5 * levels * columns
