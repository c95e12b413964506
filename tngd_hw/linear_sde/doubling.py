"""Matrix exponentials by doubling Psi = exp(F h) - I: no overflow, no loss of slow modes.

Squaring exp(F h) itself rounds a slow mode, 1 - 1e-18, to 1 and loses it.  Psi <- 2 Psi + Psi^2 keeps it.  Once every
mode has decayed below one half there is no slow one left, and squaring exp(F h) keeps the digits of what remains.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import identity

__all__ = ["FIRST_NORM", "TERMS", "Power", "doublings", "first_psi", "taylor_columns", "unit_step"]

TERMS = 17
"""Taylor terms: with a norm of 1/2 the first one left out is below 1e-20."""

FIRST_NORM = 0.5
"""Largest norm of F h for the series."""


def unit_step(norm: float) -> float:
    """The largest power of two h (seconds) with norm * h <= 1/2; 1 for a zero norm."""
    return 1.0 if norm == 0.0 else 2.0 ** math.floor(math.log2(FIRST_NORM / norm))


def first_psi(A: Tensor) -> Tensor:
    """exp(A) - I for a norm of at most 1/2, by 16 Taylor terms in 6 products (Paterson and Stockmeyer 1973)."""
    square = A @ A
    cube, fourth = square @ A, square @ square
    powers = (identity(A.shape[-1], A.device), A, square, cube)
    total = sum((power / math.factorial(12 + j + 1) for j, power in enumerate(powers)), torch.zeros_like(A))
    for block in (8, 4, 0):
        total = total @ fourth
        for j, power in enumerate(powers):
            total = total + power / math.factorial(block + j + 1)
    return total @ A


@dataclass(frozen=True, eq=False)
class Power:
    """exp(F t) for one t.

    Attributes:
        psi: exp(F t) - I.
        phi: exp(F t).
        decayed: True when the norm of phi is below one half in every batch member.
    """

    psi: Tensor
    phi: Tensor
    decayed: bool

    @staticmethod
    def from_psi(psi: Tensor) -> Power:
        """From Psi, which is accurate near t = 0."""
        phi = psi + identity(psi.shape[-1], psi.device)
        return Power(psi, phi, bool((phi.detach().abs().sum(-2).amax(-1) < 0.5).all()))

    def doubled(self) -> Power:
        """exp(2 F t), one product."""
        if self.decayed:
            phi = self.phi @ self.phi
            return Power(phi - identity(phi.shape[-1], phi.device), phi, decayed=True)
        return Power.from_psi(2.0 * self.psi + self.psi @ self.psi)

    def advance(self, columns: Tensor) -> Tensor:
        """exp(F t) x for columns x."""
        return self.phi @ columns if self.decayed else columns + self.psi @ columns


def doublings(first: Power) -> Iterator[Power]:
    """The powers at h, 2 h, 4 h, ... without end."""
    while True:
        yield first
        first = first.doubled()


def taylor_columns(A: Tensor, start: Tensor, forcing: Tensor) -> Tensor:
    """Coefficients P_j of x(f) = sum_j f^j P_j for dx/df = A x + forcing, x(0) = start, 0 <= f <= 1, norm A <= 1/2.

    Args:
        A: F h, shape (..., n, n).
        start: Shape (..., n, k).
        forcing: Shape (..., n, k), already times h.

    Returns:
        Shape (..., n, k, TERMS).
    """
    terms = [start + torch.zeros_like(forcing)]
    for j in range(1, TERMS):
        slope = A @ terms[-1]
        terms.append((slope + forcing if j == 1 else slope) / j)
    return torch.stack([term.expand(terms[-1].shape) for term in terms], -1)
