"""Diagonal dominance, and the scaling D A D that reaches it: what a network of resistors can hold.

Row i of a symmetric A has the margin A_ii - sum_(j != i) |A_ij|; A is weakly diagonally dominant where none is below 0.
The comparison matrix M(A) has |A_ii| on its diagonal and -|A_ij| off it.  A is an H-matrix where M(A) is a nonsingular
M-matrix, that is where D = M(A)^-1 1 is positive in every entry; then row i of D A D has the margin D_i > 0.

Source: Berman and Plemmons, "Nonnegative Matrices in the Mathematical Sciences" (1994), ch. 6, theorem 2.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import eigh, inverse

__all__ = ["comparison_matrix", "dominance_margins", "dominating_scaling", "floating_rows", "rows_in_words"]

_MOST_ROWS = 4
"""A sentence names at most this many rows."""


def comparison_matrix(A: Tensor) -> Tensor:
    """M(A), shape (n, n)."""
    return 2 * torch.diag_embed(torch.diagonal(A).abs()) - A.abs()


def dominance_margins(A: Tensor) -> Tensor:
    """A_ii - sum_(j != i) |A_ij|, shape (n,); exactly 0 where it is within the rounding of the sum."""
    diagonal, size = torch.diagonal(A), A.abs().sum(-1)
    margins = diagonal - (size - diagonal.abs())
    return torch.where(margins.abs() <= _rounding(A) * size, 0.0, margins)


def dominating_scaling(A: Tensor) -> Tensor | None:
    """D, shape (n,), positive, such that D A D is diagonally dominant; None where A is no H-matrix.

    D is M(A)^-1 1 times the factor that leaves the largest |entry| what it was.  Cost: O(n^3).
    """
    if bool((torch.diagonal(A) <= 0).any()):
        return None
    size = A.abs().max()
    inverted, regular = inverse(comparison_matrix(A) / size)
    shape = inverted.sum(-1)
    if not regular or bool((shape <= 0).any()):
        return None
    D = shape * torch.sqrt(size / (shape[:, None] * A * shape).abs().max())
    return D if bool((dominance_margins(D[:, None] * A * D) >= 0).all()) else None


def floating_rows(A: Tensor) -> Tensor:
    """Numbers of the rows that carry an eigenvalue 0 (to rounding) of M(A), for a dominant A; none where it is regular.

    They are connected to each other and no margin among them is above 0.
    """
    values, vectors = eigh(comparison_matrix(A))
    zero = values <= _rounding(A) * values.abs().max()
    weight = vectors[:, zero].square().sum(-1)
    return torch.nonzero(weight > 1e-3 / A.shape[0]).flatten()


def rows_in_words(rows: Tensor, amounts: Tensor | None = None) -> str:
    """``"row 2"``, ``"rows 0 (by 0.5) and 3 (by 1.25)"``, ``"rows 0, 1, 2, 3 and 60 more"``."""
    numbers = [int(row) for row in rows]
    words = [str(i) if amounts is None else f"{i} (by {float(amounts[i]):.4g})" for i in numbers[:_MOST_ROWS]]
    if len(numbers) > _MOST_ROWS:
        words.append(f"{len(numbers) - _MOST_ROWS} more")
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"row{'s' if len(numbers) > 1 else ''} {listed}"


def _rounding(A: Tensor) -> float:
    return 4 * A.shape[0] * torch.finfo(torch.float64).eps
