"""Matrix-free systems: mean and noise at a time from products with the drift alone, with an error that is measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import eigh
from tngd_hw.linear_sde.mean import state_mean_at
from tngd_hw.linear_sde.modal import exp_integral
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import as_duration, real_tensor
from tngd_hw.outcome import MisuseError, Outcome, Status

__all__ = ["KrylovResult", "krylov_mean", "krylov_noise"]

Product = Callable[[Tensor], Tensor]

_CHECK_EVERY = 5
_QUADRATURE = 48
_NOISE_STRIDE = 10


@dataclass(frozen=True, eq=False)
class KrylovResult:
    """A vector with its estimated error.

    Attributes:
        value: Shape (N,).
        error: Estimated 2-norm of the error, in the units of ``value``.
        products: How many products with F it took.
        status: OK, or NOT_SETTLED when the budget of products ran out before the tolerance was met.
    """

    value: Tensor
    error: float
    products: int
    status: Status


@dataclass(frozen=True, eq=False)
class _Subspace:
    """F V_m = V_m H + next_norm v_(m+1) e_m^T after m products from beta v_1."""

    basis: Tensor
    H: Tensor
    next_norm: float
    beta: float


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
    _check_limits(tolerance, max_products)
    given = [real_tensor(vector, field) for vector, field in ((x0, "x0"), (w, "w")) if vector is not None]
    if not given or any(vector.ndim != 1 or vector.shape != given[0].shape for vector in given):
        raise MisuseError("x0 and w: give one of them or both, vectors of one length N")
    start = torch.zeros_like(given[0]) if x0 is None else given[0]
    direction = torch.zeros_like(start) if x0 is None else _checked_product(product, start)
    direction = direction if w is None else direction + given[-1]
    spent = 0 if x0 is None else 1
    best = KrylovResult(start, 0.0, spent, Status())
    if _norm(direction) == 0.0:
        return best
    for space in _Arnoldi(product, direction, max_products - spent):
        m = space.H.shape[0]
        if m % _CHECK_EVERY and space.next_norm > 0.0 and m + spent < max_products:
            continue
        best = _mean_result(space, seconds, start, spent, tolerance)
        if best.status.ok:
            break
    return best


def krylov_noise(
    product: Product,
    t: float,
    *,
    size: int,
    noise: float,
    generator: np.random.Generator,
    tolerance: float = 1e-6,
    max_products: int = 300,
) -> KrylovResult:
    """Draw the noise at t of dx = F x dt + sqrt(c) dW from x = 0, F symmetric:  sqrt(c f(F)) z.

    f(l) = (e^(2 l t) - 1)/(2 l), z of N normal variates; Lanczos from z.  The error is estimated from the change over
    the last ten products and the rate at which these changes shrink.  Adding :func:`krylov_mean` gives a
    sample of x(t).

    Args:
        product: v -> F v, F symmetric (its asymmetry along the way is checked).
        t: Seconds, positive.
        size: N.
        noise: c, in state^2 per second.
        generator: Where the normal variates come from.
        tolerance: Wanted error, relative to the 2-norm of the result.
        max_products: Stop after so many products whatever the error.

    Returns:
        A :class:`KrylovResult`.  Cost m products and O(N m^2); memory N m numbers.

    Raises:
        MisuseError: F is not symmetric, or arguments out of range.
    """
    seconds = as_duration(t, "t")
    _check_limits(tolerance, max_products)
    if noise < 0.0:
        raise MisuseError(f"noise = {noise}: a variance per second is not negative")
    z = torch.from_numpy(generator.standard_normal(size))
    shots: list[Tensor] = []
    best = KrylovResult(torch.zeros_like(z), math.inf, 0, Status(Outcome.NOT_SETTLED, "no product was made"))
    for space in _Arnoldi(product, z, max_products):
        m = space.H.shape[0]
        if m % _NOISE_STRIDE and space.next_norm > 0.0 and m < max_products:
            continue
        shots.append(_noise_coordinates(space, seconds, noise))
        error = 0.0 if space.next_norm == 0.0 else _extrapolated_error(shots)
        best = _result(space.basis @ shots[-1], error, m, tolerance)
        if best.status.ok:
            break
    return best


def _check_limits(tolerance: float, max_products: int) -> None:
    if not 0.0 < tolerance < 1.0:
        raise MisuseError(f"tolerance = {tolerance}: give a relative error between 0 and 1")
    if max_products < 2:
        raise MisuseError(f"max_products = {max_products}: give at least 2")


def _checked_product(product: Product, vector: Tensor) -> Tensor:
    result = product(vector)
    if result.shape != vector.shape or result.dtype is not torch.float64:
        have, want = tuple(result.shape), tuple(vector.shape)
        raise MisuseError(f"product gave {result.dtype} of shape {have}: it has to be float64 of shape {want}")
    return result


class _Arnoldi:
    """Grow the subspace product by product; ends at the budget or when the subspace is invariant."""

    def __init__(self, product: Product, start: Tensor, budget: int) -> None:
        self._product, self._budget = product, min(budget, start.shape[0])
        self._beta = _norm(start)
        self._basis = torch.empty((min(16, self._budget + 1), start.shape[0]), dtype=torch.float64, device=start.device)
        self._basis[0] = start / self._beta
        self._H = torch.zeros((self._budget + 1, self._budget), dtype=torch.float64)
        self._done = 0

    def __iter__(self) -> _Arnoldi:
        return self

    def __next__(self) -> _Subspace:
        m = self._done
        if m == self._budget or (m and float(self._H[m, m - 1]) == 0.0):
            raise StopIteration
        vector = _checked_product(self._product, self._basis[m])
        size = _norm(vector)
        for _ in range(2):
            overlap = self._basis[: m + 1] @ vector
            vector = vector - overlap @ self._basis[: m + 1]
            self._H[: m + 1, m] += overlap.cpu()
        rest = _norm(vector)
        invariant = rest <= 1e-14 * size or m + 1 == vector.shape[0]
        self._H[m + 1, m] = 0.0 if invariant else rest
        self._done = m + 1
        if not invariant and m + 1 < self._budget:
            self._store(m + 1, vector / rest)
        return _Subspace(self._basis[: m + 1].mT, self._H[: m + 1, : m + 1], float(self._H[m + 1, m]), self._beta)

    def _store(self, row: int, vector: Tensor) -> None:
        if row == self._basis.shape[0]:
            self._basis = torch.cat((self._basis, torch.empty_like(self._basis)))[: self._budget + 1]
        self._basis[row] = vector


def _mean_result(space: _Subspace, t: float, start: Tensor, spent: int, tolerance: float) -> KrylovResult:
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
    return _result(value, gain * defect, m + spent, tolerance)


def _noise_coordinates(space: _Subspace, t: float, noise: float) -> Tensor:
    size = float(space.H.abs().max())
    if float((space.H - space.H.mT).abs().max()) > 1e-8 * size:
        raise MisuseError("product is not symmetric: krylov_noise needs v . F w = w . F v")
    rates, axes = eigh(0.5 * (space.H + space.H.mT))
    spread = (noise * exp_integral(2.0 * rates, torch.tensor(t, dtype=torch.float64))).sqrt()
    return space.beta * ((axes * spread) @ axes[0]).to(space.basis.device)


def _extrapolated_error(shots: list[Tensor]) -> float:
    """Sum of the changes still to come if they go on shrinking as they last did; infinite before three shots."""
    if len(shots) < 3:
        return math.inf
    older, old, new = shots[-3:]
    before, now = _norm(_padded(older, old) - old), _norm(_padded(old, new) - new)
    ratio = max(now / before, 0.1) if before > 0.0 else 0.1
    return now if ratio <= 0.5 else (now * ratio / (1.0 - ratio) if ratio < 1.0 else math.inf)


def _norm(vector: Tensor) -> float:
    return float(torch.sqrt(vector @ vector))


def _padded(short: Tensor, long: Tensor) -> Tensor:
    return torch.cat((short, torch.zeros(long.shape[0] - short.shape[0], dtype=short.dtype, device=short.device)))


def _result(value: Tensor, error: float, products: int, tolerance: float) -> KrylovResult:
    reached = error <= tolerance * _norm(value)
    detail = f"estimated error {error:.3g} after {products} products with F, wanted {tolerance:.3g} of the result"
    return KrylovResult(value, error, products, Status() if reached else Status(Outcome.NOT_SETTLED, detail))
