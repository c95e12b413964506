"""A = J^T H J + lambda I out of whatever the problem is: its own factors, or a Cholesky factor of a dense A.

A dense symmetric positive definite A is split with lambda = mu_min/2, half its smallest eigenvalue:

    A - lambda I = L L^T,    J = L^T,    H = I

Half the spectrum's floor stays in the damping resistors, so the arrays never have to make the smallest eigenvalue as a
difference of large conductances.  Any J with J^T J = A - lambda I would do; L^T has n (n + 1)/2 entries and no free
choice.  (The eigenvectors Q diag(mu) Q^T fill the array, are arbitrary where eigenvalues repeat, and their rows sum to
about twice as much at n = 64, which is the noise gain of the first stage.)
Cost: one eigenvalue problem and one Cholesky factorisation, O(n^3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import cholesky, eigvalsh
from tngd_hw.outcome import Outcome, Status
from tngd_hw.problem import Factors, LinearProblem

__all__ = ["block_diagonal", "factored", "factors_exist"]

_SYMMETRY = 1e-12
"""Largest |A - A^T| over |A| that counts as rounding."""


def factors_exist(problem: LinearProblem) -> Status:
    """OK for symmetric blocks H and a symmetric positive definite A; else NOT_REALIZABLE, saying where.

    A is formed only where a block of H has a negative eigenvalue.
    """
    if problem.factors is not None:
        H = problem.factors.H
        blocks, _, _ = torch.nonzero((H - H.mT).abs() > _SYMMETRY * H.abs().max(), as_tuple=True)
        if len(blocks):
            detail = f"block {int(blocks[0])} of H is not symmetric: it is the second derivative of a loss"
            return Status(Outcome.NOT_REALIZABLE, detail)
        if bool((eigvalsh(H) >= 0).all()):
            return Status()
    A = problem.formed_matrix()
    skew = (A - A.T).abs()
    if float(skew.max()) > _SYMMETRY * float(A.abs().max()):
        i, j = divmod(int(skew.argmax()), A.shape[0])
        i, j = min(i, j), max(i, j)
        detail = (
            f"A[{i}, {j}] = {float(A[i, j]):.6g} and A[{j}, {i}] = {float(A[j, i]):.6g}: "
            "three arrays hold J^T H J + lambda I, which is symmetric"
        )
        return Status(Outcome.NOT_REALIZABLE, detail)
    values = eigvalsh(A)
    smallest, largest = float(values[0]), float(values.abs().max())
    if smallest <= A.shape[0] * torch.finfo(torch.float64).eps * largest:
        detail = (
            f"A has the eigenvalue {smallest:.6g}: three arrays with resistors hold J^T H J + lambda I, "
            "whose eigenvalues are above 0"
        )
        return Status(Outcome.NOT_REALIZABLE, detail)
    return Status()


def factored(problem: LinearProblem) -> Factors:
    """The factors of ``problem``; H has blocks of one output for a dense problem.

    Call it only where :func:`factors_exist` says OK.
    """
    if problem.factors is not None:
        return problem.factors
    A = (problem.dense_matrix() + problem.dense_matrix().T) / 2
    n = A.shape[0]
    damping = float(eigvalsh(A)[0]) / 2
    L, _ = cholesky(A - damping * torch.eye(n, dtype=torch.float64))
    return Factors(L.T.contiguous(), torch.ones(n, 1, 1, dtype=torch.float64), damping)


def block_diagonal(H: Tensor) -> Tensor:
    """Blocks (batch, d_z, d_z) as one matrix (m, m)."""
    batch, d_z, _ = H.shape
    matrix = torch.zeros(batch, d_z, batch, d_z, dtype=H.dtype)
    index = torch.arange(batch)
    matrix[index, :, index, :] = H
    return matrix.reshape(batch * d_z, batch * d_z)
