"""x_i = Phi_i x_(i-1) + w_i over long paths, as matrix products of many columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import power

__all__ = ["diagonal_recursion", "recursion"]

_ENOUGH_COLUMNS = 64
"""A product of an n x n matrix with fewer columns than this is bound by memory, not by arithmetic."""


def recursion(matrices: Sequence[Tensor | None], which: Sequence[int], noise: Tensor, start: Tensor) -> Tensor:
    """Run the recursion.

    One matrix for all steps and few paths: the path is cut into pieces that run side by side, the end of each piece is
    carried on, and the carried part is added (two products with many columns instead of many with few).

    Args:
        matrices: Transition matrices, each (..., n, n); None is the identity.
        which: Index into ``matrices`` of every step, T of them.
        noise: What comes in, shape (T, ..., paths, n).
        start: State before the first step, shape (..., paths, n).

    Returns:
        The states, shape (T, ..., paths, n).  Cost: n^2 T paths multiplications, twice that when cut.
    """
    steps, paths = noise.shape[0], noise.shape[-2]
    begun = noise.clone()
    begun[0] += _apply(matrices[which[0]], start)
    matrix = matrices[which[-1]]
    if (
        matrix is not None
        and len(set(which[1:])) == 1
        and paths < _ENOUGH_COLUMNS
        and steps * paths > 4 * _ENOUGH_COLUMNS
    ):
        return _in_pieces(matrix, begun)
    return _plain([matrices[label] for label in which], begun)


def diagonal_recursion(decay: Tensor, which: Sequence[int], noise: Tensor, start: Tensor) -> Tensor:
    """The same with diagonal matrices: decay has shape (lengths, ..., 1, n), real or complex."""
    states = noise.clone()
    last = start
    for row, label in zip(states, which, strict=True):
        row.addcmul_(last, decay[label])
        last = row
    return states


def _plain(matrices: Sequence[Tensor | None], states: Tensor) -> Tensor:
    for i in range(1, states.shape[0]):
        states[i] += _apply(matrices[i], states[i - 1])
    return states


def _in_pieces(matrix: Tensor, noise: Tensor) -> Tensor:
    steps, paths = noise.shape[0], noise.shape[-2]
    wide = max(math.isqrt(steps), math.ceil(_ENOUGH_COLUMNS / paths))
    length = math.ceil(steps / wide)
    pieces = math.ceil(steps / length)
    padded = torch.zeros((pieces * length, *noise.shape[1:]), dtype=noise.dtype, device=noise.device)
    padded[:steps] = noise
    side_by_side = padded.reshape(pieces, length, *noise.shape[1:]).movedim(0, -2).flatten(-3, -2)
    local = _plain([matrix] * length, side_by_side.contiguous())
    return _carry(matrix, local.reshape(*local.shape[:-2], paths, pieces, local.shape[-1]), steps)


def _carry(matrix: Tensor, local: Tensor, steps: int) -> Tensor:
    """Add what earlier pieces pass on; ``local`` has shape (length, ..., paths, pieces, n)."""
    length, pieces = local.shape[0], local.shape[-2]
    over = power(matrix, length)
    start = torch.zeros_like(local[0])
    for g in range(1, pieces):
        start[..., g, :] = local[-1][..., g - 1, :] + _apply(over, start[..., g - 1, :])
    carried = start.flatten(-3, -2)
    for i in range(length):
        carried = _apply(matrix, carried)
        local[i] += carried.reshape(start.shape)
    return local.movedim(-2, 0).flatten(0, 1)[:steps]


def _apply(matrix: Tensor | None, rows: Tensor) -> Tensor:
    return rows if matrix is None else rows @ matrix.mT
