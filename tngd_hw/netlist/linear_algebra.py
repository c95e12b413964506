"""Calls of numpy and scipy whose types their stubs do not tell."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from threadpoolctl import ThreadpoolController

from tngd_hw.netlist.tables import Floats

if TYPE_CHECKING:
    from scipy import sparse
    from scipy.sparse.linalg import SuperLU

__all__ = ["solved", "sparse_product", "upper_triangle"]


def upper_triangle(matrix: Floats) -> Floats:
    """R of the QR factorisation of ``matrix``, shape (min(rows, columns), columns)."""
    return cast("Floats", np.linalg.qr(matrix, mode="r"))


def solved(lu: SuperLU, right: Floats, trans: str) -> Floats:
    """M^-1 right ("N") or M^-T right ("T"), shape (size, any), also for no columns.

    On one BLAS thread: SuperLU calls BLAS for every supernode, and threads cost it a factor of 3 and more.
    """
    if not right.size:
        return right.copy()
    with _blas().limit(limits=1, user_api="blas"):
        return cast("Floats", cast("Any", lu).solve(right, trans=trans))


@functools.cache
def _blas() -> Any:
    """The BLAS libraries in this process; finding them takes milliseconds."""
    return ThreadpoolController()


def sparse_product(matrix: sparse.csc_array | sparse.csr_array, dense: Floats) -> Floats:
    """matrix @ dense as a dense array."""
    return cast("Floats", cast("Any", matrix) @ dense)
