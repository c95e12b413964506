"""Typed access to the parts of torch that carry no types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

__all__ = [
    "broadcast",
    "cholesky",
    "contract",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "frobenius",
    "identity",
    "inverse",
    "ones",
    "power",
    "solve",
    "solve_or_nan",
    "solve_triangular",
    "split",
]


def identity(n: int, device: torch.device) -> Tensor:
    """The n x n identity in float64."""
    return torch.eye(n, dtype=torch.float64, device=device)


def ones(n: int, device: torch.device) -> Tensor:
    """n ones in float64."""
    return torch.ones(n, dtype=torch.float64, device=device)


def broadcast(*shapes: Sequence[int]) -> torch.Size:
    """The common shape; RuntimeError when there is none."""
    return cast("torch.Size", torch.broadcast_shapes(*(tuple(shape) for shape in shapes)))


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (rising) and orthonormal eigenvectors of a symmetric matrix."""
    return cast("tuple[Tensor, Tensor]", torch.linalg.eigh(matrix))


def eigvalsh(matrix: Tensor) -> Tensor:
    """Eigenvalues of a symmetric matrix, rising."""
    return cast("Tensor", torch.linalg.eigvalsh(matrix))


def eig(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Complex eigenvalues and eigenvectors of unit length."""
    return cast("tuple[Tensor, Tensor]", torch.linalg.eig(matrix))


def eigvals(matrix: Tensor) -> Tensor:
    """Complex eigenvalues."""
    return cast("Tensor", torch.linalg.eigvals(matrix))


def inverse(matrix: Tensor) -> tuple[Tensor, bool]:
    """The inverse and whether every member of the batch had one (to working precision)."""
    inverted, flags = cast("tuple[Tensor, Tensor]", torch.linalg.inv_ex(matrix))
    parts = torch.view_as_real(inverted) if inverted.is_complex() else inverted
    return inverted, not bool((flags != 0).any()) and bool(torch.isfinite(parts).all())


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """matrix^-1 right, for columns."""
    return cast("Tensor", torch.linalg.solve(matrix, right))


def solve_or_nan(matrix: Tensor, right: Tensor) -> Tensor:
    """matrix^-1 right, for columns; NaN in the members of the batch that have no inverse."""
    result, flags = cast("tuple[Tensor, Tensor]", torch.linalg.solve_ex(matrix, right))
    return torch.where((flags != 0)[..., None, None], torch.nan, result)


def frobenius(matrix: Tensor) -> Tensor:
    """The Frobenius norm, shape (..., 1, 1)."""
    return cast("Tensor", torch.linalg.matrix_norm(matrix, "fro", keepdim=True))


def power(matrix: Tensor, exponent: int) -> Tensor:
    """matrix^exponent for an integer of 0 or more."""
    return cast("Tensor", torch.linalg.matrix_power(matrix, exponent))


def contract(left: Tensor, right: Tensor) -> Tensor:
    """Sum over the last axis of ``left`` and the first axis of ``right``."""
    return cast("Tensor", torch.tensordot(left, right, dims=1))


def cholesky(matrix: Tensor) -> tuple[Tensor, bool]:
    """The lower factor and whether every member of the batch had one."""
    factor, flags = cast("tuple[Tensor, Tensor]", torch.linalg.cholesky_ex(matrix))
    return factor, not bool((flags != 0).any())


def solve_triangular(factor: Tensor, right: Tensor, *, upper: bool = False) -> Tensor:
    """factor^-1 right, for columns."""
    return cast("Tensor", torch.linalg.solve_triangular(factor, right, upper=upper))


def split(vector: Tensor, size: int) -> tuple[Tensor, ...]:
    """Pieces of at most ``size`` entries along the first axis."""
    return torch.split(vector, size)
