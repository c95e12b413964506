"""M w = right with the nodes that a grounded source holds solved by hand, and one sparse LU for the others.

The voltage h of a node that a grounded voltage source b holds is known; the current of b enters no equation but the
node's own.  With r the other unknowns M is, up to order,

    [M_rr  M_rh   .]  [w_r]   [right_r]
    [M_hr  M_hh   S]  [w_h] = [right_h],      S, S' diagonal
    [ .     S'    .]  [w_b]   [right_b]

so w_h = S'^-1 right_b, M_rr w_r = right_r - M_rh w_h, w_b = S^-1 (right_h - M_hr w_r - M_hh w_h).  M^T has the same
form.  Where every node has a capacitor to ground (a source, while the equations of state are formed) nothing is left
to factor, and M is only multiplied with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from tngd_hw.netlist.linear_algebra import solved, sparse_product
from tngd_hw.netlist.tables import Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse.linalg import SuperLU

__all__ = ["Factors", "factors"]

_SMALLEST_PIVOT = 1e-13


@dataclass(frozen=True, eq=False)
class Factors:
    """A regular M, ready to solve with.

    Attributes:
        rest: Numbers of the unknowns r.
        held: Numbers of h.
        branch: Numbers of b.
        rows: M_rh, M_hr and M_hh.
        into: S, shape (held,): how the current of a source enters its node.
        across: S', shape (held,).
        lu: Sparse LU of M_rr; None where nothing is left.
    """

    rest: Ints
    held: Ints
    branch: Ints
    rows: _Blocks
    into: Floats
    across: Floats
    lu: SuperLU | None

    def solve(self, right: sparse.csc_array) -> Floats:
        """M^-1 right, shape (size, any), also for no columns; unit sources are nearly empty columns, so sparse."""
        return self._solved(right, self.rows, self.into, self.across, "N")

    def solve_transposed(self, right: sparse.csc_array) -> Floats:
        """M^-T right, shape (size, any)."""
        return self._solved(right, self.rows.transposed(), self.across, self.into, "T")

    def _solved(self, right: sparse.csc_array, rows: _Blocks, into: Floats, across: Floats, trans: str) -> Floats:
        by_row = sparse.csr_array(right)
        held = by_row[self.branch].multiply(1 / across[:, None]).tocsr()
        found = np.empty(right.shape)
        found[self.held] = held.toarray()
        current = (by_row[self.held] - rows.hh @ held).toarray()
        if self.lu is not None:
            rest = solved(self.lu, (by_row[self.rest] - rows.rh @ held).toarray(), trans)
            found[self.rest] = rest
            current -= sparse_product(rows.hr, rest)
        found[self.branch] = current / into[:, None]
        return found


@dataclass(frozen=True, eq=False)
class _Blocks:
    """M between the unknowns r and h."""

    rh: sparse.csr_array
    hr: sparse.csr_array
    hh: sparse.csr_array

    def transposed(self) -> _Blocks:
        """The blocks of M^T."""
        return _Blocks(*(sparse.csr_array(block.T) for block in (self.hr, self.rh, self.hh)))


def factors(matrix: sparse.csc_array) -> Factors | None:
    """Factor M, shape (size, size); None where it is singular, or so near it that a closer look is needed.

    Cost: a sparse LU of what no grounded source holds.
    """
    by_row = sparse.csr_array(matrix)
    held, branch, into, across = _held_by_sources(matrix, by_row)
    others = np.ones(matrix.shape[0], dtype=np.bool_)
    others[held] = others[branch] = False
    rest = np.flatnonzero(others)
    lu = None
    if len(rest):
        lu = _regular_lu(sparse.csc_array(by_row[rest][:, rest]), unit_pivots=len(held) > 0)
        if lu is None:
            return None
    at_rest, at_held = by_row[rest], by_row[held]
    rows = _Blocks(at_rest[:, held], at_held[:, rest], at_held[:, held])
    return Factors(rest, held, branch, rows, into, across, lu)


def _held_by_sources(by_column: sparse.csc_array, by_row: sparse.csr_array) -> tuple[Ints, Ints, Floats, Floats]:
    """h, b, S and S': row b and column b of M have one entry each, both at the same h; one b for each h."""
    branch = np.flatnonzero((np.diff(by_row.indptr) == 1) & (np.diff(by_column.indptr) == 1))
    in_row, in_column = by_row.indptr[branch], by_column.indptr[branch]
    held, across = by_row.indices[in_row].astype(np.int64), by_row.data[in_row]
    into = by_column.data[in_column]
    pairs = (held == by_column.indices[in_column]) & (held < branch)  # nodes stand before branches
    chosen = np.flatnonzero(pairs & (across != 0) & (into != 0))
    _, first = np.unique(held[chosen], return_index=True)
    chosen = chosen[first]
    return held[chosen], branch[chosen], into[chosen], across[chosen]


def _regular_lu(matrix: sparse.csc_array, *, unit_pivots: bool) -> SuperLU | None:
    try:
        lu = splu(matrix)
    except RuntimeError:
        return None
    pivots = np.abs(lu.U.diagonal())
    largest = max(pivots.max(), 1.0) if unit_pivots else pivots.max()
    return lu if pivots.min() > _SMALLEST_PIVOT * largest else None
