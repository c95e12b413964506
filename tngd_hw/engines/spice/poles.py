"""Poles by ngspice's own ``.pz``, to be set beside those of the state equations.

``.pz`` searches the zeros of the circuit's determinant one after the other.  Measured on ngspice 39 and 46: equal to
the eigenvalues of F to 1e-12 for one and two nodes of every topology but three_array and for 8 nodes of passive_rc and
gm_c with a symmetric matrix.  It can lose one of two poles close to each other (13 of 14 of a three_array), most of
those of a matrix that is not symmetric (3 of 8 found), and for 4 and more cells of rlc_spu it gives other numbers
without a word.  So it is a referee for small circuits only: compare the counts, which the figure states.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tngd_hw.engines.frequency import as_netlist
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.engines.spice.process import run_deck
from tngd_hw.netlist import Netlist, OperatingPoint, write_deck
from tngd_hw.outcome import OutcomeError
from tngd_hw.topologies import LoadedChip

if TYPE_CHECKING:
    import xarray

__all__ = ["ngspice_poles"]

_TIMEOUT_S = 60.0


def ngspice_poles(circuit: LoadedChip | Netlist, *, timeout_s: float = _TIMEOUT_S) -> xarray.Dataset:
    """Poles as ngspice finds them, slowest first, in the form of :func:`~tngd_hw.engines.frequency.poles`.

    Args:
        circuit: One chip or a netlist with an output; the search looks into its first output with a current.
        timeout_s: Longest run.

    Returns:
        ``pole_real_per_s``, ``pole_imag_per_s`` and ``frequency_hz`` = |p|/(2 pi) over mode, as many as were found.
        Cost: a factorisation a trial, some ten trials a pole.

    Raises:
        MisuseError: Several chips.
        OutcomeError: ngspice is missing or fails.
    """
    import xarray

    netlist = as_netlist(circuit)
    node = netlist.outputs[0]
    lines = write_deck(netlist, OperatingPoint()).splitlines()
    card = f".pz {node} 0 {node} 0 cur pol"
    # a .save of voltages makes ngspice drop the poles
    deck = "\n".join([card if line == ".op" else line for line in lines if not line.startswith(".save")]) + "\n"
    run = run_deck(deck, required_ngspice(), plot="Pole-Zero", stop_s=None, timeout_s=timeout_s)
    if run.plot is None:
        raise OutcomeError(run.status)
    columns = [k for k, name in enumerate(run.plot.names) if "pole" in name.lower()]
    found = np.asarray(run.plot.values[0, columns], dtype=np.complex128)
    found = found[np.lexsort((found.imag, np.abs(found)))]
    return xarray.Dataset(
        {
            "pole_real_per_s": ("mode", found.real, {"units": "1/s"}),
            "pole_imag_per_s": ("mode", found.imag, {"units": "1/s"}),
            "frequency_hz": ("mode", np.abs(found) / (2 * math.pi), {"units": "Hz"}),
        },
        attrs={"title": netlist.title, "engine": "ngspice"},
    )
