"""Matrix-free systems: the mean at a time from products with the drift alone, with an error that is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde.arnoldi import Arnoldi, Product, Subspace, checked_product, norm
from tngd_hw.linear_sde.dense import eigh
from tngd_hw.linear_sde.mean import state_mean_at
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import as_duration, real_tensor
from tngd_hw.outcome import MisuseError, Outcome, Status

__all__ = ["KrylovResult", "check_limits", "krylov_mean", "result"]

_CHECK_EVERY = 5
_QUADRATURE = 48


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
    most its integral times the largest gain of e^(F s), which is 1 when the symmetric part of F is negative, else taken
    from the symmetric part of H.  F need not be symmetric.

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
    if not given or any(vector.ndim != 1 or vector.shape != given[0].shape for vector in given):
        raise MisuseError("x0 and w: give one of them or both, vectors of one length N")
    start = torch.zeros_like(given[0]) if x0 is None else given[0]
    direction = torch.zeros_like(start) if x0 is None else checked_product(product, start)
    direction = direction if w is None else direction + given[-1]
    spent = 0 if x0 is None else 1
    best = KrylovResult(start, 0.0, spent, Status())
    if norm(direction) == 0.0:
        return best
    for space in Arnoldi(product, direction, max_products - spent):
        m = space.H.shape[0]
        if m % _CHECK_EVERY and space.next_norm > 0.0 and m + spent < max_products:
            continue
        best = _mean_result(space, seconds, start, spent, tolerance)
        if best.status.ok:
            break
    return best


def check_limits(tolerance: float, max_products: int) -> None:
    """Raise when a limit is out of range."""
    if not 0.0 < tolerance < 1.0:
        raise MisuseError(f"tolerance = {tolerance}: give a relative error between 0 and 1")
    if max_products < 2:
        raise MisuseError(f"max_products = {max_products}: give at least 2")


def _mean_result(space: Subspace, t: float, start: Tensor, spent: int, tolerance: float) -> KrylovResult:
    m = space.H.shape[0]
    nodes, weights = np.polynomial.legendre.leggauss(_QUADRATURE)
    early = np.sort(np.concatenate((0.5 * (1.0 + nodes), [1.0]))) ** 2
    push = torch.zeros(m, dtype=torch.float64)
    push[0] = space.beta
    small = LinearSDE(space.H, torch.eye(m, dtype=torch.float64))
    path = state_mean_at(small, t * early, u=push)
    last = path[:-1, -1].abs().numpy()
    defect = t * float(np.sum(weights * np.sqrt(early[:-1]) * last)) * space.next_norm
    growth = float(eigh(0.5 * (space.H + space.H.mT))[0].max())
    gain = math.exp(min(700.0, max(0.0, growth * t)))
    value = start + space.basis @ path[-1].to(space.basis.device)
    return result(value, gain * defect, m + spent, tolerance)


def result(value: Tensor, error: float, products: int, tolerance: float) -> KrylovResult:
    """OK when the error is within the tolerance, else NOT_SETTLED."""
    reached = error <= tolerance * norm(value)
    detail = f"estimated error {error:.3g} after {products} products, wanted {tolerance:.3g} of the result"
    return KrylovResult(value, error, products, Status() if reached else Status(Outcome.NOT_SETTLED, detail))
