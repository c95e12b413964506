"""What the eigenvalues of a matrix say about a circuit before it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import eigvals, eigvalsh
from tngd_hw.outcome import Outcome, Status

__all__ = ["Spectrum", "spectrum", "stable_and_regular"]


@dataclass(frozen=True)
class Spectrum:
    """Extreme values of a matrix.

    Attributes:
        symmetric: A equals its transpose to rounding.
        slowest: Smallest real part of an eigenvalue: the slowest mode decays as exp(-slowest t/tau).
        fastest: Largest modulus of an eigenvalue.
        contraction: Smallest eigenvalue of (A + A^T)/2: |x(t)| <= |x0| + |b|/contraction where it is positive.
        condition: Two-norm condition number of A (infinite when singular).
    """

    symmetric: bool
    slowest: float
    fastest: float
    contraction: float
    condition: float


def spectrum(A: Tensor) -> Spectrum:
    """Extreme values of A, shape (n, n).  Cost: one eigenvalue problem, O(n^3)."""
    scale = float(A.abs().max())
    symmetric = bool((A - A.T).abs().max() <= 1e-12 * scale)
    even = eigvalsh((A + A.T) / 2)
    contraction = float(even[0])
    if symmetric:
        size = even.abs()
        fastest, smallest = float(size.max()), float(size.min())
        slowest = contraction
    else:
        values = eigvals(A)
        fastest, slowest = float(values.abs().max()), float(values.real.min())
        singular = cast("Tensor", torch.linalg.svdvals(A))
        smallest = float(singular[-1])
        return Spectrum(False, slowest, fastest, contraction, _ratio(float(singular[0]), smallest))
    return Spectrum(True, slowest, fastest, contraction, _ratio(fastest, smallest))


def stable_and_regular(A: Tensor) -> Status:
    """OK when every eigenvalue of A has a positive real part, SINGULAR at zero to rounding, UNSTABLE below."""
    found = spectrum(A)
    rounding = A.shape[0] * torch.finfo(torch.float64).eps * found.fastest
    if found.slowest > rounding:
        return Status()
    if found.slowest >= -rounding:
        return Status(Outcome.SINGULAR, f"A has an eigenvalue of 0 to rounding ({found.slowest:.3g})")
    return Status(Outcome.UNSTABLE, f"A has an eigenvalue with real part {found.slowest:.6g}, its circuit runs away")


def _ratio(largest: float, smallest: float) -> float:
    return largest / smallest if smallest > 0 else float("inf")
