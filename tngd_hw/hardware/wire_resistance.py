"""Wire resistance of a cross-point array: the full nodal solution, seen from its terminals.

Column wire c is driven at its top through the terminal resistance R_t, row wire i ends in a virtual ground behind R_t;
between neighbouring cross points every wire has the resistance r.  The device at (i, c) joins column node (i, c) to row
node (i, c).  With all column drivers and all row ends held, Kirchhoff's laws give the conductance from driver c to row
end i: the current into row end i for 1 V at driver c and 0 V elsewhere.  It is what the circuit around the array sees
while its summing nodes stay at 0 V (finite gain moves them by V/A0, and the currents between rows by as much).
Source: nodal analysis; the geometry is that of CrossSim's ``Rp_row``, ``Rp_col`` and terminal resistances.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

__all__ = ["terminal_conductances"]

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


def terminal_conductances(devices: _Floats, segment_ohm: float, terminal_ohm: float) -> _Floats:
    """Conductances (rows, columns) from the column drivers to the row ends, of devices (rows, columns) in siemens.

    Cost: one sparse LU of 2 rows columns nodes (for 32 x 64 about 30 ms), and min(rows, columns) solves.
    """
    if segment_ohm == 0 and terminal_ohm == 0:
        return devices
    rows, columns = devices.shape
    if columns < rows:  # reciprocity: the same network driven from the other side
        return terminal_conductances(devices[::-1, ::-1].T, segment_ohm, terminal_ohm).T[::-1, ::-1]
    return _row_by_row(devices, segment_ohm, max(terminal_ohm, _shortest(devices, segment_ohm)))


def _shortest(devices: _Floats, segment_ohm: float) -> float:
    """A resistance that stands for none: 1e-9 of the smallest there is."""
    return 1e-9 * min(segment_ohm if segment_ohm > 0 else np.inf, float(1 / devices.max(initial=1e-300)))


def _row_by_row(devices: _Floats, segment_ohm: float, terminal_ohm: float) -> _Floats:
    rows, columns = devices.shape
    g = 1.0 / max(segment_ohm, _shortest(devices, terminal_ohm))
    g_end = 1.0 / terminal_ohm
    count = rows * columns
    column_node = cast("_Ints", np.arange(count).reshape(rows, columns))
    row_node = cast("_Ints", column_node + count)
    start = _joined(column_node[:-1], row_node[:, :-1], column_node)
    end = _joined(column_node[1:], row_node[:, 1:], row_node)
    value = np.concatenate([np.full(len(start) - count, g), devices.ravel()])
    diagonal = np.bincount(start, value, 2 * count) + np.bincount(end, value, 2 * count)
    diagonal[column_node[0]] += g_end
    diagonal[row_node[:, -1]] += g_end
    half = sparse.coo_array((-value, (start, end)), shape=(2 * count, 2 * count))
    nodal = sparse.csc_array(half + half.T + sparse.diags_array(diagonal))
    drive: _Floats = np.zeros((2 * count, rows))
    drive[row_node[:, -1], np.arange(rows)] = g_end
    voltage = cast("_Floats", splu(nodal).solve(drive))
    return (g_end * voltage[column_node[0]]).T


def _joined(*places: _Ints) -> _Ints:
    return np.concatenate([place.ravel() for place in places])
