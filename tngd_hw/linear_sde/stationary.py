"""The law a stable system settles to."""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.linear_sde.balance import balancing_scale, scaled, scaled_norm
from tngd_hw.linear_sde.dense import identity, solve
from tngd_hw.linear_sde.doubling import Power, first_psi, unit_step
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_vectors
from tngd_hw.linear_sde.transition import first_covariance, grow_covariance
from tngd_hw.outcome import Outcome, Status

__all__ = [
    "stability_status",
    "stationary_covariance",
    "stationary_mean",
    "stationary_output_covariance",
    "stationary_output_mean",
]

_MOST_DOUBLINGS = 80


def stability_status(sde: LinearSDE) -> Status:
    """OK, or UNSTABLE with the number of the worst batch member and its slowest real part."""
    if sde.is_stable:
        return Status()
    worst = sde.eigenvalues().real.amax(-1)
    flat = worst.reshape(-1)
    member = int(flat.argmax())
    count = int((~sde.stable_mask).sum())
    whose = f"{count} of {flat.numel()} systems (worst: number {member})" if flat.numel() > 1 else "the system"
    return Status(
        Outcome.UNSTABLE, f"{whose} has an eigenvalue of F with real part {float(flat[member]):.6g} 1/s: not stable"
    )


def stationary_mean(sde: LinearSDE, u: ArrayLike | None = None) -> tuple[Tensor, Status]:
    """Mean of the states after a long time under a constant input:  -F^-1 E u.

    Args:
        sde: The system.
        u: Constant input, shape (..., m) or (..., m, k); zero when left out.

    Returns:
        Shape (..., n) or (..., n, k), and OK; members that are not stable hold NaN, with UNSTABLE.  Cost O(n^3).

    Raises:
        MisuseError: u does not fit.
    """
    states, _, columns, status = _settled(sde, u)
    return (states if columns else states.squeeze(-1)), status


def stationary_output_mean(sde: LinearSDE, u: ArrayLike | None = None) -> tuple[Tensor, Status]:
    """Mean of the outputs after a long time:  (D - C F^-1 E) u.

    Args:
        sde: The system.
        u: Constant input, shape (..., m) or (..., m, k); zero when left out.

    Returns:
        Shape (..., p) or (..., p, k), and OK; members that are not stable hold NaN, with UNSTABLE.  Cost O(n^3).

    Raises:
        MisuseError: u does not fit.
    """
    states, inputs, columns, status = _settled(sde, u)
    outputs = sde.C @ states + sde.D @ inputs
    return (outputs if columns else outputs.squeeze(-1)), status


def _settled(sde: LinearSDE, u: ArrayLike | None) -> tuple[Tensor, Tensor, bool, Status]:
    inputs, columns = torch.zeros((sde.n_inputs, 1), dtype=torch.float64, device=sde.device), False
    if u is not None:
        inputs, columns = as_vectors(u, sde.n_inputs, len(sde.batch_shape), "u", sde.device)
    drift, scale = _stable_drift(sde), balancing_scale(sde.F).unsqueeze(-1)
    forcing = (sde.E @ inputs) / scale
    states = -solve(scaled(drift, scale.squeeze(-1)), forcing) * scale
    return blank_unstable(sde, states), inputs, columns, stability_status(sde)


def stationary_covariance(sde: LinearSDE) -> tuple[Tensor, Status]:
    """Covariance S of the states after a long time:  F S + S F^T + B B^T = 0.

    S is the limit of Q(2 h) = Q(h) + Phi(h) Q(h) Phi(h)^T, a sum of positive terms: symmetric, positive semidefinite,
    and right for singular noise and for every stable F, also a defective one.  Members that are not stable hold NaN.

    Args:
        sde: The system.

    Returns:
        Shape (..., n, n), state^2, and OK or UNSTABLE.  Cost about 3 n^3 log2(norm(F) / slowest rate).

    Source: R. A. Smith, Matrix equation XA + BX = C, SIAM J. Appl. Math. 16 (1968) 198, with the exponential in place
    of the Cayley transform.
    """
    scale = balancing_scale(sde.F)
    units = scale.unsqueeze(-1)
    drift = _stable_drift(sde)
    h = unit_step(float(scaled_norm(drift.detach(), scale).max()))
    B = sde.B / units
    A = scaled(drift, scale) * h
    power, covariance = Power.from_psi(first_psi(A)), first_covariance(A, (B @ B.mT) * h)
    for _ in range(_MOST_DOUBLINGS):
        grown = grow_covariance(power.phi, covariance)
        if _settled_to_rounding(covariance.detach(), grown.detach()):
            break
        covariance, power = grown, power.doubled()
    return blank_unstable(sde, covariance * (units * units.mT)), stability_status(sde)


def _settled_to_rounding(before: Tensor, after: Tensor) -> bool:
    change, size = (after - before).abs().amax((-2, -1)), after.abs().amax((-2, -1))
    return bool((change <= 1e-18 * size).all())


def stationary_output_covariance(sde: LinearSDE) -> tuple[Tensor, Status]:
    """Covariance of the outputs at one instant after a long time:  C S C^T with S of :func:`stationary_covariance`.

    An output with white noise of its own (D_w != 0) has no finite variance at a point: entries of D_w D_w^T that are
    not zero give plus or minus infinity.  Its average over an aperture T is finite, D_w D_w^T / T and more: see
    ``time_average``.

    Args:
        sde: The system.

    Returns:
        Shape (..., p, p), output^2, and OK or UNSTABLE.  Cost: that of the states.
    """
    covariance, status = stationary_covariance(sde)
    return output_covariance(sde, covariance), status


def output_covariance(sde: LinearSDE, covariance: Tensor) -> Tensor:
    """C P C^T, with infinity where D_w D_w^T is not zero."""
    finite = sde.C @ covariance @ sde.C.mT
    white = sde.D_w @ sde.D_w.mT
    if not bool((white != 0).any()):
        return finite
    return torch.where(white != 0, torch.copysign(torch.full_like(white, torch.inf), white), finite)


def _stable_drift(sde: LinearSDE) -> Tensor:
    """F, with -I in the place of members that are not stable (their results are blanked)."""
    if sde.is_stable:
        return sde.F
    return torch.where(sde.stable_mask[..., None, None], sde.F, -identity(sde.n_states, sde.device))


def blank_unstable(sde: LinearSDE, values: Tensor, *, extra: int = 0) -> Tensor:
    """NaN in the members that are not stable; ``extra`` counts axes between the batch and the last two."""
    if sde.is_stable:
        return values
    mask = sde.stable_mask.reshape(*sde.stable_mask.shape, *([1] * (2 + extra)))
    return torch.where(mask, values, torch.nan)
