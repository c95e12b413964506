"""Calls of numpy and scipy whose types their stubs do not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tngd_hw.netlist.tables import Floats

if TYPE_CHECKING:
    from scipy import sparse
    from scipy.sparse.linalg import SuperLU

__all__ = ["solved", "sparse_product", "transposed_solve", "upper_triangle"]


def upper_triangle(matrix: Floats) -> Floats:
    """R of the QR factorisation of ``matrix``, shape (min(rows, columns), columns)."""
    return cast("Floats", np.linalg.qr(matrix, mode="r"))


def solved(lu: SuperLU, right: Floats) -> Floats:
    """M^-1 right, shape (size, any), also for no columns."""
    return cast("Floats", cast("Any", lu).solve(right)) if right.size else right.copy()


def transposed_solve(lu: SuperLU, right: Floats) -> Floats:
    """M^-T right, shape (size, any)."""
    return cast("Floats", cast("Any", lu).solve(right, trans="T")) if right.size else right.copy()


def sparse_product(matrix: sparse.csc_array | sparse.csr_array, dense: Floats) -> Floats:
    """matrix @ dense as a dense array."""
    return cast("Floats", cast("Any", matrix) @ dense)
