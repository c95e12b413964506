"""The settled laws of many systems of one design at once, without an eigenvalue problem.

With e(k) = exp(F 2^k h) and Q(k) the covariance that has come in by 2^k h,

    e(k + 1) = e(k)^2,      Q(k + 1) = Q(k) + e(k) Q(k) e(k)^T  ->  S,      F S + S F^T + B B^T = 0,

and a member whose e(k) has a norm below 1 in any basis is stable: its eigenvalues e^(l 2^k h) are below that norm.  So
the products that make the covariance tell stability too.  Only members that the norm does not decide are asked for
their eigenvalues.  Members are alike, so one balancing and one first step h serve all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.linear_sde.balance import balancing_scale, scaled, scaled_norm
from tngd_hw.linear_sde.dense import identity, solve_or_nan
from tngd_hw.linear_sde.doubling import first_psi, unit_step
from tngd_hw.linear_sde.stationary import output_covariance, stationary_covariance
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_vectors
from tngd_hw.linear_sde.transition import first_covariance
from tngd_hw.outcome import MisuseError

__all__ = ["SettledLaw", "settled_law", "stable_members"]

_MOST_DOUBLINGS = 40
"""After these the slowest decay that is left is near the rounding of F, which eigenvalues judge by their margin."""

_LOST = 1e8
"""A norm that no stable circuit reaches on its way; eigenvalues have the last word."""

_ENDED = 1e-9
"""Below this norm the next term of the covariance, e Q e^T, is below the rounding of Q."""


@dataclass(frozen=True, eq=False)
class SettledLaw:
    """What the outputs settle to under a constant input.

    Attributes:
        mean: Shape (members, p); NaN in members that are not stable.
        covariance: Shape (members, p, p), output^2; NaN likewise; zero without noise.
        stable: Shape (members,), boolean.
    """

    mean: Tensor
    covariance: Tensor
    stable: Tensor


def stable_members(F: Tensor) -> Tensor:
    """Which members are stable, as :attr:`LinearSDE.stable_mask` says, mostly without eigenvalues.

    Args:
        F: Drifts, shape (members, n, n).

    Returns:
        Shape (members,), boolean.
    """
    return _doubled(F.detach(), None, balancing_scale(_typical(F)))[1]


def settled_law(sde: LinearSDE, u: ArrayLike) -> SettledLaw:
    """Mean and covariance of the outputs of every member after a long time.

    The same as ``stationary_output_mean`` and ``stationary_output_covariance``, each member for itself.  No gradient.

    Args:
        sde: Systems of one design, batch of one axis (``F`` has it).
        u: Constant input, shape (m,) or (members, m).

    Returns:
        A :class:`SettledLaw`.  Cost about (25 + 3 log2(norm(F)/slowest rate)) n^3 multiplications a member; memory a
        dozen (members, n, n).

    Raises:
        MisuseError: F has no axis for the members, u does not fit.
    """
    if sde.F.ndim != 3:
        raise MisuseError(f"F has shape {tuple(sde.F.shape)}: give a batch of one axis, (members, n, n)")
    with torch.no_grad():
        inputs, columns = as_vectors(u, sde.n_inputs, 1, "u", sde.device)
        if columns:
            raise MisuseError(f"u has shape {tuple(inputs.shape)}: give one input a member, (members, {sde.n_inputs})")
        scale = balancing_scale(_typical(sde.F))
        covariance, stable = _doubled(sde.F, sde.B, scale)
        units = scale.unsqueeze(-1)
        states = -solve_or_nan(scaled(sde.F, scale), (sde.E @ inputs) / units) * units
        mean = (sde.C @ states + sde.D @ inputs).squeeze(-1)
        spread = output_covariance(sde, covariance)
        mean = torch.where(stable[:, None], mean, torch.nan)
        return SettledLaw(mean, torch.where(stable[:, None, None], spread, torch.nan), stable)


def _typical(F: Tensor) -> Tensor:
    """Mean sizes of the entries of all members, exactly symmetric if every member is."""
    return F.detach().abs().mean(0)


def _doubled(F: Tensor, B: Tensor | None, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Covariance of the states (members, n, n), zero for B = None, and which members are stable."""
    h = unit_step(float(scaled_norm(F, scale).max()))
    A = scaled(F, scale) * h
    psi, one = first_psi(A), identity(F.shape[-1], F.device)
    noise = None if B is None or not bool((B != 0).any()) else B / scale.unsqueeze(-1)
    covariance = None if noise is None else first_covariance(A, (noise @ noise.mT).expand_as(A) * h)
    enough = 1.0 if covariance is None else _ENDED
    phi, decayed = psi + one, False
    for _ in range(_MOST_DOUBLINGS):
        norm = phi.abs().sum(-1).amax(-1)
        settled = norm < enough
        if bool((settled | ~(norm < _LOST)).all()):
            break
        if covariance is not None:
            covariance = torch.baddbmm(covariance, phi @ covariance, phi.mT)
        decayed = decayed or bool((norm < 0.5).all())  # no slow mode is left to lose digits
        if decayed:
            phi = phi @ phi
        else:
            psi = torch.baddbmm(psi, psi, psi, beta=2)
            phi = psi + one
    else:
        settled = torch.zeros(F.shape[0], dtype=torch.bool, device=F.device)
    law = torch.zeros_like(F)
    if covariance is not None:
        units = scale.unsqueeze(-1)
        law = 0.5 * (covariance + covariance.mT) * (units * units.mT)
    return _judged(F, B, law, settled)


def _judged(F: Tensor, B: Tensor | None, covariance: Tensor, settled: Tensor) -> tuple[Tensor, Tensor]:
    """The doubtful members one by one: stable ones by their eigenvalues get the covariance of ``stationary``."""
    stable = settled.clone()
    doubtful = [int(member) for member in torch.nonzero(~settled)]
    for member in doubtful:
        one = LinearSDE(F[member], B=None if B is None else B.expand(F.shape[0], *B.shape[-2:])[member])
        stable[member] = one.is_stable
        if B is not None:
            covariance[member] = stationary_covariance(one)[0]
    return covariance, stable
