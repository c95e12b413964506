"""The exact step: transition matrix, input weights for a straight-line input, and the law of the noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tngd_hw.linear_sde.balance import balancing_scale, scaled, scaled_norm
from tngd_hw.linear_sde.doubling import TERMS, Power, first_psi
from tngd_hw.linear_sde.gaussian import square_root
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import as_duration

__all__ = ["Transition", "transition"]


@dataclass(frozen=True, eq=False)
class Transition:
    """x(t + dt) = x + Psi x + G0 u(t) + G1 u(t + dt) + R z,  z ~ N(0, I),  u a straight line in between.

    Attributes:
        dt: Seconds.
        Psi: exp(F dt) - I, shape (..., n, n): slow modes keep their digits.
        Phi: exp(F dt), shape (..., n, n).
        G0: Weight of the input at the start, shape (..., n, m).
        G1: Weight of the input at the end, shape (..., n, m).
        covariance: Q, the covariance of the noise that came in, shape (..., n, n).
    """

    dt: float
    Psi: Tensor
    Phi: Tensor
    G0: Tensor
    G1: Tensor
    covariance: Tensor

    @cached_property
    def root(self) -> Tensor:
        """R with R R^T = Q, shape (..., n, n); columns beyond the rank of Q are zero."""
        return square_root(self.covariance)


def transition(sde: LinearSDE, dt: float) -> Transition:
    """The exact step of length dt, for every F and B.

    With A = F dt / 2^s of norm at most 1/2 (balanced units) all parts start from their Taylor series and are doubled s
    times without cancellation, s1 and s0 being the integrals of e^(A s) s and e^(A s)(1 - s) over the unit interval:

        Psi <- 2 Psi + Psi^2  (once everything has decayed: Phi <- Phi^2),   Q <- Q + Phi Q Phi^T,
        s1 <- (s1 + Phi (2 s1 + s0)) / 4,   s0 <- (Phi s0 + s1 + 2 s0) / 4

    Args:
        sde: The system.
        dt: Seconds, positive.

    Returns:
        A :class:`Transition`.  Cost about (3 s + 40) n^3 multiplications with s = log2(2 norm(F) dt).  Error about
        epsilon norm(F) dt in the slowest mode, and never more than a change of F by its own rounding does.

    Raises:
        MisuseError: dt is not a positive number.

    Source: C. Van Loan, IEEE Trans. Autom. Control 23 (1978) 395, for the integrals; the doubling replaces his one
    exponential of the Hamiltonian block, which overflows for stiff F.
    """
    seconds = as_duration(dt)
    scale = balancing_scale(sde.F)
    units = scale.unsqueeze(-1)
    ratio = float(scaled_norm(sde.F.detach(), scale).max()) * seconds * 2.0
    halvings = max(0, math.ceil(math.log2(ratio))) if ratio > 0.0 else 0
    first = seconds * 2.0**-halvings
    A = scaled(sde.F, scale) * first
    B = sde.B / units
    power, covariance = Power.from_psi(first_psi(A)), first_covariance(A, (B @ B.mT) * first)
    ends, starts = _first_weights(A, sde.E / units)
    for _ in range(halvings):
        covariance = grow_covariance(power.phi, covariance)
        ends, starts = _double_weights(power.phi, ends, starts)
        power = power.doubled()
    back = units / units.mT
    return Transition(
        dt=seconds,
        Psi=power.psi * back,
        Phi=power.phi * back,
        G0=ends * units * seconds,
        G1=starts * units * seconds,
        covariance=covariance * (units * units.mT),
    )


def first_covariance(A: Tensor, diffusion: Tensor) -> Tensor:
    """Integral of e^(A s) M e^(A^T s) over 0 <= s <= 1 for a norm of at most 1/2, by its Taylor series.

    Term j+1 is (A T + T A^T)/(j + 2): entries that only high orders fill (noise that reaches a state through others)
    come out with their own relative accuracy.
    """
    term = diffusion
    total = term
    for j in range(1, TERMS + 3):
        product = A @ term
        term = (product + product.mT) / (j + 1)
        total = total + term
    return total


def grow_covariance(phi: Tensor, covariance: Tensor) -> Tensor:
    """Q(2 h) = Q(h) + Phi Q(h) Phi^T, exactly symmetric, a sum of positive parts."""
    grown = covariance + phi @ covariance @ phi.mT
    return 0.5 * (grown + grown.mT)


def _first_weights(A: Tensor, E: Tensor) -> tuple[Tensor, Tensor]:
    """Integrals of e^(A s) s E and e^(A s) (1 - s) E over the unit interval, by Taylor series."""
    power = E + torch.zeros_like(A[..., :1]) if A.ndim > E.ndim else E
    ends = power / 2.0
    starts = power / 2.0
    for j in range(1, TERMS):
        power = A @ power
        starts = starts + power / math.factorial(j + 2)
        ends = ends + power * ((j + 1) / math.factorial(j + 2))
    return ends, starts


def _double_weights(phi: Tensor, ends: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of positive parts only: the small one of the two keeps its digits when dt is long."""
    m = ends.shape[-1]
    moved = phi @ torch.cat((2.0 * ends + starts, starts), dim=-1)
    return 0.25 * (ends + moved[..., :m]), 0.25 * (moved[..., m:] + ends + 2.0 * starts)
