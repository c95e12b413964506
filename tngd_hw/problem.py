"""The linear problem a chip is asked to solve: A x = b, or the covariance A^-1 when there is no b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.outcome import MisuseError

__all__ = ["Factors", "LinearProblem", "as_real_tensor"]


_LARGEST_ENTRY = 1e100
"""Matrices whose largest entry is beyond this (or its inverse) overflow in products of their own entries."""


def as_real_tensor(value: ArrayLike | Tensor, field: str) -> Tensor:
    """``value`` as a float64 tensor; complex, non-numeric, NaN and infinite entries are refused by name."""
    if not isinstance(value, Tensor):
        try:
            array = np.asarray(value)
        except ValueError:
            raise MisuseError(f"{field} has rows of different lengths: pass a rectangular array of numbers") from None
        if array.dtype.kind not in "biufc":
            raise MisuseError(f"{field} has dtype {array.dtype}: pass an array of real numbers")
        # Through complex128 or float64 in native byte order: torch takes neither foreign byte orders nor long doubles.
        value = torch.from_numpy(np.array(array, dtype=np.complex128 if array.dtype.kind == "c" else np.float64))
    if value.is_complex():
        raise MisuseError(f"{field} is complex ({value.dtype}): a chip holds real matrices; pass the real part")
    if value.device.type == "mps":
        raise MisuseError(f"{field} is on an MPS device, which has no float64: move it to the CPU")
    value = value.detach().to(torch.float64)
    finite = torch.isfinite(value)
    if not bool(finite.all()):
        place = tuple(int(i) for i in torch.nonzero(~finite)[0])
        raise MisuseError(f"{field}{list(place)} = {value[place].item()}: every entry must be finite")
    return value


@dataclass(frozen=True, eq=False)
class Factors:
    """A = J^T H J + damping I, kept as factors.

    Attributes:
        J: Jacobian of the outputs, shape (m, N), samples outer and outputs inner.
        H: Loss Hessian blocks with the 1/batch in them, shape (batch, d_z, d_z), batch * d_z = m.
        damping: lambda > 0, dimensionless like A.
    """

    J: Tensor
    H: Tensor
    damping: float


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """A x = b with the relaxation dx/dt = -(A x - b)/tau (stable when every eigenvalue of A has a positive real part).

    ``LinearProblem(A, b)`` holds a dense matrix; :meth:`from_factors` keeps A = J^T H J + damping I as factors and
    never forms it.  x and b are dimensionless.

    Attributes:
        A: Shape (n, n), float64, or None when the matrix is kept as factors.
        b: Shape (n,) or (n, k) for k right-hand sides, or None (covariance protocols).
        factors: The factors, or None for a dense problem.

    Raises:
        MisuseError: A is not square, empty, complex or not finite; b does not fit.
    """

    A: Tensor | None
    b: Tensor | None = None
    factors: Factors | None = None

    def __init__(
        self, A: ArrayLike | Tensor | None, b: ArrayLike | Tensor | None = None, *, factors: Factors | None = None
    ) -> None:
        if (A is None) == (factors is None):
            raise MisuseError("LinearProblem takes either a matrix A or factors: give exactly one of them")
        matrix = None if A is None else _square(as_real_tensor(A, "A"))
        object.__setattr__(self, "A", None if matrix is None else matrix.clone())
        object.__setattr__(self, "factors", factors)
        object.__setattr__(self, "b", None if b is None else _fitting(as_real_tensor(b, "b"), self.n).clone())

    @classmethod
    def from_factors(
        cls, J: ArrayLike | Tensor, H: ArrayLike | Tensor, damping: float, b: ArrayLike | Tensor | None = None
    ) -> LinearProblem:
        """The problem with A = J^T H J + damping I, never densified.

        Args:
            J: Shape (m, N).
            H: Shape (batch, d_z, d_z) with batch * d_z = m; symmetric positive semidefinite blocks.
            damping: lambda > 0.
            b: Shape (N,) or None.
        """
        jacobian, hessian = as_real_tensor(J, "J"), as_real_tensor(H, "H")
        if jacobian.ndim != 2:
            raise MisuseError(f"J has shape {tuple(jacobian.shape)}: expected (batch * d_z, N)")
        if hessian.ndim != 3 or hessian.shape[1] != hessian.shape[2]:
            raise MisuseError(f"H has shape {tuple(hessian.shape)}: expected blocks (batch, d_z, d_z)")
        if hessian.shape[0] * hessian.shape[1] != jacobian.shape[0]:
            raise MisuseError(
                f"H has {hessian.shape[0]} blocks of {hessian.shape[1]}, J has {jacobian.shape[0]} rows: "
                "the rows of J must be batch * d_z, samples outer"
            )
        if not (np.isfinite(damping) and damping > 0):
            raise MisuseError(f"damping = {damping!r}: A = J^T H J has low rank and needs a damping above 0")
        return cls(None, b, factors=Factors(jacobian, hessian, float(damping)))

    @property
    def n(self) -> int:
        """Number of unknowns."""
        if self.factors is not None:
            return int(self.factors.J.shape[1])
        return int(self.dense_matrix().shape[0])

    def dense_matrix(self) -> Tensor:
        """A, shape (n, n); raises MisuseError for a problem kept as factors (it is never densified)."""
        if self.A is None:
            raise MisuseError(
                "this problem is kept as factors J, H, damping: a chip with one node an unknown needs a dense A; "
                "use tngd_hw.topologies.dual_problem for the equivalent problem of batch * d_z nodes"
            )
        return self.A

    def formed_matrix(self) -> Tensor:
        """A, shape (n, n), formed from the factors where the problem is kept as factors: O(m n^2) time, n^2 memory."""
        if self.factors is None:
            return self.dense_matrix()
        J, H = self.factors.J, self.factors.H
        blocks = J.reshape(H.shape[0], H.shape[1], -1)
        A = torch.einsum("bin,bij,bjm->nm", blocks, H, blocks)
        return (A + A.T) / 2 + self.factors.damping * torch.eye(self.n, dtype=torch.float64)


def _square(A: Tensor) -> Tensor:
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise MisuseError(f"A has shape {tuple(A.shape)}: expected a square matrix (n, n)")
    if A.shape[0] == 0:
        raise MisuseError("A is empty (0 x 0): expected at least one unknown")
    largest = float(A.abs().max())
    if largest > _LARGEST_ENTRY or 0 < largest < 1 / _LARGEST_ENTRY:
        raise MisuseError(f"A has {largest:.3g} as its largest entry: scale A and b by the same factor towards 1")
    return A


def _fitting(b: Tensor, n: int) -> Tensor:
    if b.ndim not in (1, 2) or b.shape[0] != n:
        raise MisuseError(f"b has shape {tuple(b.shape)}: A has {n} rows, so b must have shape ({n},) or ({n}, k)")
    if b.numel() == 0:
        raise MisuseError(f"b has shape {tuple(b.shape)}: expected at least one right-hand side")
    largest = float(b.abs().max())
    if largest > _LARGEST_ENTRY:
        raise MisuseError(f"b has {largest:.3g} as its largest entry: scale A and b by the same factor towards 1")
    return b
