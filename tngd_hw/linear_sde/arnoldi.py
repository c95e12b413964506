"""The Krylov subspace of an operator, grown product by product."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError

__all__ = ["Arnoldi", "Product", "Subspace", "checked_product", "norm"]

Product = Callable[[Tensor], Tensor]
"""v -> F v."""


@dataclass(frozen=True, eq=False)
class Subspace:
    """F V_m = V_m H + next_norm v_(m+1) e_m^T after m products from beta v_1.

    Attributes:
        basis: V_m, shape (N, m), orthonormal columns.
        H: V_m^T F V_m, upper Hessenberg, shape (m, m).
        next_norm: What is left of the last product outside the subspace; 0 when the subspace is invariant.
        beta: 2-norm of the start.
    """

    basis: Tensor
    H: Tensor
    next_norm: float
    beta: float


class Arnoldi:
    """Iterate over growing subspaces; ends at the budget or when the subspace is invariant.

    Every product is orthogonalised twice.  Cost of m products: O(N m^2); memory N m numbers.
    """

    def __init__(self, product: Product, start: Tensor, budget: int) -> None:
        self._product, self._budget = product, min(budget, start.shape[0])
        self._beta = norm(start)
        self._basis = torch.empty((min(16, self._budget + 1), start.shape[0]), dtype=torch.float64, device=start.device)
        self._basis[0] = start / self._beta
        self._H = torch.zeros((self._budget + 1, self._budget), dtype=torch.float64)
        self._done = 0

    def __iter__(self) -> Arnoldi:
        return self

    def __next__(self) -> Subspace:
        m = self._done
        if m == self._budget or (m and float(self._H[m, m - 1]) == 0.0):
            raise StopIteration
        vector = checked_product(self._product, self._basis[m])
        size = norm(vector)
        if not math.isfinite(size):
            raise MisuseError(f"product gave {size} as the norm of F v for a unit vector v: it has to be finite")
        for _ in range(2):
            overlap = self._basis[: m + 1] @ vector
            vector = vector - overlap @ self._basis[: m + 1]
            self._H[: m + 1, m] += overlap.cpu()
        rest = norm(vector)
        invariant = rest <= 1e-14 * size or m + 1 == vector.shape[0]
        self._H[m + 1, m] = 0.0 if invariant else rest
        self._done = m + 1
        if not invariant and m + 1 < self._budget:
            self._store(m + 1, vector / rest)
        return Subspace(self._basis[: m + 1].mT, self._H[: m + 1, : m + 1], float(self._H[m + 1, m]), self._beta)

    def _store(self, row: int, vector: Tensor) -> None:
        if row == self._basis.shape[0]:
            self._basis = torch.cat((self._basis, torch.empty_like(self._basis)))[: self._budget + 1]
        self._basis[row] = vector


def checked_product(product: Product, vector: Tensor) -> Tensor:
    """F v, refused when it is not a float64 tensor of the same shape."""
    result = product(vector)
    if result.shape != vector.shape or result.dtype is not torch.float64:
        have, want = tuple(result.shape), tuple(vector.shape)
        raise MisuseError(f"product gave {result.dtype} of shape {have}: it has to be float64 of shape {want}")
    return result


def norm(vector: Tensor) -> float:
    """The 2-norm of a vector."""
    return float(torch.sqrt(vector @ vector))
