"""Matrices larger than the chip: block elimination, each block small enough for one die.

    [P  Q] [x1]   [b1]        P Z = [Q b1]               on the chip, one run a column
    [R  S] [x2] = [b2]        (S - R Z_Q) x2 = b2 - R Z_b    the same again, until it fits
                              x1 = Z_b - Z_Q x2

The chip does the solves; products and differences are digital.  The Schur complement S - R P^-1 Q of a positive
definite matrix is positive definite, so the next block is stable too; of other matrices it may not be (the outcome says
so).
Source: block elimination; as analog blocks, BlockAMC (Zuo et al., Nat. Electron. 2025, section on 16 x 16 on 8 x 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem

__all__ = ["Block", "block_sizes", "schur_complement", "top_block"]


@dataclass(frozen=True, eq=False)
class Block:
    """The first rows of a problem, and what is left of it.

    Attributes:
        problem: P Z = [Q b1], several right-hand sides: the columns of Q, then those of b1.
        size: Rows of P.
    """

    problem: LinearProblem
    size: int


def block_sizes(n: int, nodes: int) -> tuple[int, ...]:
    """The fewest blocks of at most ``nodes`` rows, of sizes that differ by at most one, larger ones first."""
    if nodes < 1:
        raise MisuseError(f"nodes = {nodes!r}: a chip has at least 1 node")
    count = -(-n // nodes)
    return tuple(n // count + (k < n % count) for k in range(count))


def top_block(A: Tensor, b: Tensor, size: int) -> Block:
    """P, and everything it has to be solved for; b of shape (n, k)."""
    right = torch.cat([A[:size, size:], b[:size]], dim=1)
    return Block(LinearProblem(A[:size, :size], right), size)


def schur_complement(A: Tensor, b: Tensor, Z: Tensor) -> tuple[Tensor, Tensor]:
    """S - R Z_Q and b2 - R Z_b, for Z = P^-1 [Q b1] of shape (size, n - size + k)."""
    size, n = Z.shape[0], A.shape[0]
    R = A[size:, :size]
    return A[size:, size:] - R @ Z[:, : n - size], b[size:] - R @ Z[:, n - size :]
