"""A box around the numerical range of an operator known by its products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde.arnoldi import Arnoldi, Product, Subspace, checked_product, norm
from tngd_hw.linear_sde.dense import eigh
from tngd_hw.outcome import MisuseError

__all__ = ["Box", "box_around"]

_FEWEST, _MOST = 12, 120


@dataclass(frozen=True)
class Box:
    """v* F v of unit vectors v lies in left <= real part <= right, |imaginary part| <= height (all in 1/s).

    Attributes:
        left: Lowest eigenvalue of (F + F^T)/2, or below it.
        right: Highest eigenvalue of (F + F^T)/2, or above it: the 2-norm of e^(F s) is at most e^(right s).
        height: 2-norm of (F - F^T)/2, or above it.
        products: How many products with F and with F^T it took.
    """

    left: float
    right: float
    height: float
    products: int


def box_around(
    product: Product, adjoint: Product, size: int, budget: int, resolution: float, *, rounding: float = 1e-9
) -> Box:
    """Find the box by Lanczos with the symmetric and the antisymmetric part, from one fixed random start each.

    The extreme Ritz values are moved outwards by the norms of their residuals and by a little more (a tenth of
    ``resolution`` at the right edge, 2 % of the spread elsewhere: eigenvalues closer than that may hide one another).
    That is a bound unless the start has next to nothing of the extreme eigenvectors.  Lanczos stops when the residual
    at the right edge is below ``resolution`` and the others below 5 % of what they belong to.

    Args:
        product: v -> F v.
        adjoint: v -> F^T v.
        size: N.
        budget: Largest number of products, both kinds together.
        resolution: Wanted accuracy of the right edge, 1/s.
        rounding: Relative difference of w . F v and F^T w . v that counts as rounding.

    Returns:
        A :class:`Box`.  Cost at most 480 products, O(N) memory times the number of steps of one run.

    Raises:
        MisuseError: ``adjoint`` is not the transpose of ``product``.

    Source: Y. Zhou and R.-C. Li, Linear Algebra Appl. 435 (2011) 480, for the bound from Ritz value and residual.
    """
    starts = np.random.default_rng(0).standard_normal((2, size))
    first, second = torch.from_numpy(starts[0]), torch.from_numpy(starts[1])
    _check_adjoint(product, adjoint, (first, second), rounding)
    steps = max(2, min(_MOST, (budget - 2) // 4))
    left, right, used = _symmetric_edges(lambda v: 0.5 * (product(v) + adjoint(v)), first, steps, resolution)
    height, more = _skew_norm(lambda v: 0.5 * (product(v) - adjoint(v)), second, steps, 0.05 * (right - left))
    spread = right - left
    right, left, height = right + 0.1 * resolution, left - 0.02 * spread, height + 0.02 * min(height, spread)
    return Box(left, right, height, 2 + 2 * (used + more))


def _check_adjoint(product: Product, adjoint: Product, vectors: tuple[Tensor, Tensor], rounding: float) -> None:
    first, second = vectors
    forth, back = checked_product(product, first), checked_product(adjoint, second)
    scale = norm(forth) * norm(second) + norm(back) * norm(first)
    difference = abs(float(second @ forth - back @ first))
    if difference > rounding * scale:
        raise MisuseError(f"adjoint is not the transpose of product: w . F v and F^T w . v differ by {difference:.3g}")


def _symmetric_edges(part: Product, start: Tensor, steps: int, resolution: float) -> tuple[float, float, int]:
    left = right = 0.0
    m = 0
    for space in Arnoldi(part, start, steps):
        m = space.H.shape[0]
        values, rest = _ritz(space, space.H)
        left, right = float(values[0] - rest[0]), float(values[-1] + rest[-1])
        spread, wanted = float(values[-1] - values[0]), max(resolution, 0.1 * abs(float(values[-1])))
        if m >= _FEWEST and float(rest[-1]) <= min(wanted, 0.05 * spread) and float(rest[0]) <= 0.05 * spread:
            break
    return left, right, m


def _skew_norm(part: Product, start: Tensor, steps: int, small: float) -> tuple[float, int]:
    """The 2-norm; a part below ``small`` still counts, but needs no sharper value."""
    if norm(checked_product(part, start)) == 0.0:
        return 0.0, 1
    height, m = 0.0, 0
    for space in Arnoldi(part, start, steps):
        m = space.H.shape[0]
        values, rest = _ritz(space, 1j * space.H)
        height = float(values[-1] + rest[-1])
        if m >= _FEWEST and float(rest[-1]) <= 0.05 * max(float(values[-1]), 0.2 * small):
            break
    return height, m + 1


def _ritz(space: Subspace, small: Tensor) -> tuple[Tensor, Tensor]:
    """Ritz values, rising, and the norms of their residuals."""
    values, vectors = eigh(0.5 * (small + small.mH))
    return values, space.next_norm * vectors[-1].abs()
