"""Matrix-free systems: the mean at a time from products with the drift alone, with an error that is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.linear_sde.arnoldi import Arnoldi, Product, checked_product, norm
from tngd_hw.linear_sde.defect import mean_and_error
from tngd_hw.linear_sde.tensors import as_duration, real_tensor
from tngd_hw.outcome import MisuseError, Outcome, Status

__all__ = ["KrylovResult", "check_limits", "krylov_mean", "result"]

_CHECK_EVERY = 5
_SHORT = 2.0
"""Over so short a time, in units of the drift's size along the first direction, two products may do."""


@dataclass(frozen=True, eq=False)
class KrylovResult:
    """A vector with its estimated error.

    Attributes:
        value: Shape (N,).
        error: Estimated 2-norm of the error, in the units of ``value``.
        products: How many products with F (and with F^T) it took.
        status: OK, or NOT_SETTLED when the budget of products ran out before the tolerance was met.
    """

    value: Tensor
    error: float
    products: int
    status: Status


def krylov_mean(
    product: Product,
    t: float,
    *,
    x0: Tensor | None = None,
    w: Tensor | None = None,
    tolerance: float = 1e-8,
    max_products: int = 300,
) -> KrylovResult:
    """x(t) for dx = (F x + w) dt from products F v alone:  x0 + V (integral of e^(H s) over 0..t) beta e_1.

    V is the orthonormal Arnoldi basis grown from d = F x0 + w (each product orthogonalised twice), H = V^T F V.  The
    approximation satisfies the equation up to a defect next_norm |e_m^T y(s)|, y(s) the small solution; the error is at
    most the integral of the defect times the norm of e^(F (t - s)).  That norm is 1 or less when the symmetric part of
    F is negative; else, and where t is so long that decay matters, it is estimated from H with the residuals of its
    eigenpairs (:mod:`tngd_hw.linear_sde.defect`).  F need not be symmetric, nor its numerical range lie to the left.

    Long times need no more products than the stationary mean does, up to a logarithm of t.  Oscillating F needs about
    norm(F) t products: carry on from the result of a shorter time then.

    Args:
        product: v -> F v for float64 vectors of shape (N,).
        t: Seconds, positive.
        x0: State at time 0, shape (N,); zero when left out.
        w: Constant forcing, shape (N,); zero when left out.  One of the two is needed.
        tolerance: Wanted error, relative to the 2-norm of the result.
        max_products: Stop after so many products whatever the error.

    Returns:
        A :class:`KrylovResult`.  Cost m products and O(N m^2); memory N m numbers.

    Raises:
        MisuseError: t, tolerance or max_products out of range, neither x0 nor w, a product of the wrong shape.

    Source: for the defect, M. Botchev, V. Grimm and M. Hochbruck, SIAM J. Sci. Comput. 35 (2013) A1376.
    """
    seconds = as_duration(t, "t")
    check_limits(tolerance, max_products)
    given = [real_tensor(vector, field) for vector, field in ((x0, "x0"), (w, "w")) if vector is not None]
    if not given or any(vector.ndim != 1 or vector.shape != given[0].shape or vector.shape[0] == 0 for vector in given):
        raise MisuseError("x0 and w: give one of them or both, vectors of one length N")
    start = torch.zeros_like(given[0]) if x0 is None else given[0]
    direction = torch.zeros_like(start) if x0 is None else checked_product(product, start)
    direction = direction if w is None else direction + given[-1]
    spent = 0 if x0 is None else 1
    best = KrylovResult(start, 0.0, spent, Status())
    if norm(direction) == 0.0:
        return best
    seen: list[tuple[int, float]] = []
    check = _CHECK_EVERY
    for space in Arnoldi(product, direction, max_products - spent):
        m = space.H.shape[0]
        if m == 1 and seconds * (abs(float(space.H[0, 0])) + space.next_norm) < _SHORT:
            check = 2
        if m < check and space.next_norm > 0.0 and m + spent < max_products:
            continue
        moved, error = mean_and_error(space, seconds, tolerance)
        best = result(start + moved, error, m + spent, tolerance)
        if best.status.ok:
            break
        seen.append((m, error))
        check = _next_check(seen, tolerance * norm(best.value))
    return best


def check_limits(tolerance: float, max_products: int) -> None:
    """Raise when a limit is out of range."""
    if not 0.0 < tolerance < 1.0:
        raise MisuseError(f"tolerance = {tolerance}: give a relative error between 0 and 1")
    if isinstance(max_products, bool) or not isinstance(max_products, int) or max_products < 2:
        raise MisuseError(f"max_products = {max_products}: give an integer of at least 2")


def _next_check(seen: list[tuple[int, float]], goal: float) -> int:
    """The number of products at which the error should be met if it goes on falling as it did; not too far ahead."""
    m, error = seen[-1]
    farthest = m + max(_CHECK_EVERY, m // 10)
    if len(seen) < 2 or not goal < error < 0.99 * seen[-2][1] < math.inf or goal <= 0.0:
        return m + _CHECK_EVERY
    fall = math.log(seen[-2][1] / error) / (m - seen[-2][0])
    return m + int(min(farthest - m, max(1.0, math.log(error / goal) / fall)))


def result(value: Tensor, error: float, products: int, tolerance: float, size: float | None = None) -> KrylovResult:
    """OK when the error is within the tolerance times ``size`` (the norm of the value), else NOT_SETTLED."""
    reached = math.isfinite(error) and error <= tolerance * (norm(value) if size is None else size)
    detail = f"estimated error {error:.3g} after {products} products, wanted {tolerance:.3g} of the result"
    return KrylovResult(value, error, products, Status() if reached else Status(Outcome.NOT_SETTLED, detail))
