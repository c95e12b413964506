"""x_i = Phi_i x_(i-1) + w_i over long paths, as matrix products of many columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import power

__all__ = ["diagonal_recursion", "recursion"]

_ENOUGH_COLUMNS = 64
"""A product of an n x n matrix with fewer columns than this is bound by memory, not by arithmetic."""

Advance = Callable[[Tensor], Tensor]
"""One step for rows of states (..., n), without what comes in."""


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
    states = noise.clone()
    states[0] += _times(matrices[which[0]])(start)
    matrix = matrices[which[-1]]
    if matrix is not None and _worth_cutting(which, noise.shape[-2]):
        return _in_pieces(states, _times(matrix), lambda count: _times(power(matrix, count)))
    steps = [_times(entry) for entry in matrices]
    for i in range(1, states.shape[0]):
        states[i] += steps[which[i]](states[i - 1])
    return states


def diagonal_recursion(decay: Tensor, which: Sequence[int], noise: Tensor, start: Tensor) -> Tensor:
    """The same with diagonal matrices: decay has shape (lengths, ..., 1, n), real or complex."""
    states = noise.clone()
    if _worth_cutting(which, noise.shape[-2]):
        states[0] += start * decay[which[0]]
        one = decay[which[-1]]
        return _in_pieces(states, _scaled_by(one), lambda count: _scaled_by(one**count))
    last = start
    for row, label in zip(states, which, strict=True):
        row.addcmul_(last, decay[label])
        last = row
    return states


def _worth_cutting(which: Sequence[int], paths: int) -> bool:
    """All steps but the first alike, few paths, many steps."""
    return paths < _ENOUGH_COLUMNS and len(which) * paths > 4 * _ENOUGH_COLUMNS and len(set(which[1:])) == 1


def _in_pieces(noise: Tensor, advance: Advance, far: Callable[[int], Advance]) -> Tensor:
    """From zero with one kind of step: ``far(k)`` makes k of them at once."""
    steps, paths = noise.shape[0], noise.shape[-2]
    wide = max(math.isqrt(steps), math.ceil(_ENOUGH_COLUMNS / paths))
    length = math.ceil(steps / wide)
    pieces = math.ceil(steps / length)
    padded = torch.zeros((pieces * length, *noise.shape[1:]), dtype=noise.dtype, device=noise.device)
    padded[:steps] = noise
    local = padded.reshape(pieces, length, *noise.shape[1:]).movedim(0, -2).flatten(-3, -2).contiguous()
    for i in range(1, length):
        local[i] += advance(local[i - 1])
    split = (*noise.shape[1:-1], pieces, noise.shape[-1])
    carried = _starts(local[-1].reshape(split), far(length)).flatten(-3, -2)
    for i in range(length):
        carried = advance(carried)
        local[i] += carried
    return local.reshape(length, *split).movedim(-2, 0).flatten(0, 1)[:steps]


def _starts(ends: Tensor, over: Advance) -> Tensor:
    """Where every piece starts, given where each would end from zero; both (..., paths, pieces, n)."""
    starts = torch.zeros_like(ends)
    for g in range(1, ends.shape[-2]):
        starts[..., g, :] = ends[..., g - 1, :] + over(starts[..., g - 1, :])
    return starts


def _times(matrix: Tensor | None) -> Advance:
    return lambda rows: rows if matrix is None else rows @ matrix.mT


def _scaled_by(factors: Tensor) -> Advance:
    return lambda rows: rows * factors
