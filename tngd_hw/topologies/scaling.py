"""Two-sided diagonal scaling: (D A D) y = D b with x = D y, for circuits that need it or problems that gain by it.

It keeps symmetry and the answer, not the path: the circuit relaxes as dy/dt = -(D A D y - D b)/tau, so at a finite time
x(t) is another filter of b than exp(-A t/tau) gives.  It is off unless asked for or the circuit can hold nothing else.
"""

from __future__ import annotations

import enum

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem

__all__ = ["Preconditioning", "scaled_problem", "unit_diagonal"]


class Preconditioning(enum.Enum):
    """What the programmer may do to a problem before it is mapped."""

    NONE = "none"
    UNIT_DIAGONAL = "unit_diagonal"


def unit_diagonal(A: Tensor) -> Tensor:
    """D with (D A D)_ii = 1: D_i = A_ii^(-1/2); MisuseError where a diagonal entry is not above 0."""
    diagonal = torch.diagonal(A)
    bad = torch.nonzero(diagonal <= 0)
    if len(bad):
        i = int(bad[0])
        raise MisuseError(
            f"A[{i}, {i}] = {float(diagonal[i]):.6g}: preconditioning = unit_diagonal needs diagonal entries above 0"
        )
    return diagonal.rsqrt()


def scaled_problem(problem: LinearProblem, D: Tensor) -> LinearProblem:
    """(D A D, D b) for D of shape (n,) with positive entries."""
    A = D[:, None] * problem.dense_matrix() * D
    if problem.b is None:
        return LinearProblem(A)
    return LinearProblem(A, (D if problem.b.ndim == 1 else D[:, None]) * problem.b)
