"""Initial voltages loaded as a chip loads them: by reset switches that hold the capacitors, then let go.

Across every capacitor a switch R_on stands in series with a source of its initial voltage v0; one pulse holds them all
closed until ``hold_s``.  From rest, a capacitor C whose free circuit would move it at the rate f arrives at

    v(hold) = v0 + R_on C f(v0) - (v0 + R_on C f(v0)) e^(-hold/(R_on C))     (to first order in R_on)

and afterwards leaks towards v0 through R_off, at the rate (v0 - v)/(R_off C).  So the path after the hold is the one
from ``ic`` but for R_on C |f|, e^(-hold/(R_on C)) |v0| and, over a time t, t/(R_off C) |v - v0|.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tngd_hw.netlist.flatten import flatten
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.tables import Kind, SwitchModel, Table, joined
from tngd_hw.netlist.waveform import Shape, Waveform
from tngd_hw.outcome import MisuseError

__all__ = ["RESET_SOURCE", "with_reset_switches"]

RESET_SOURCE = "reset"
"""Name of the pulse source and of its node: 1 V while the switches hold."""

_AMPLIFIER, _POLE = "opamp", ".pole"
"""Inside every instance of the cell ``opamp`` the capacitor ``cpole`` makes its pole: no capacitor of the chip."""

_EDGE = 1e-3
"""Length of the pulse's edge, by ``hold_s``; the switches let go in its middle, at ``hold_s``."""


def with_reset_switches(netlist: Netlist, *, hold_s: float, on_ohm: float, off_ohm: float) -> Netlist:
    """The same circuit, flat, where switches load the initial voltages instead of ``ic``; it starts from rest.

    Every capacitor gets one, those that start at 0 V too (they would move during the hold), except the poles inside
    op-amps, which follow.  Simulate with ``uic``.  Nodes and elements are called ``reset.<capacitor>``.

    Args:
        netlist: The circuit with its initial conditions.
        hold_s: When the switches open, seconds above 0.
        on_ohm: Resistance of a closed switch.
        off_ohm: Resistance of an open one.

    Returns:
        The circuit; its inputs and outputs are those of ``netlist``.  Cost: O(elements).

    Raises:
        MisuseError: hold_s or a resistance that is not finite and above 0, no capacitor, an inductor that starts with
            a current (no switch can load it), a circuit that has reset switches already.
    """
    if not 0 < hold_s < float("inf"):
        raise MisuseError(f"hold_s = {hold_s!r}: expected a finite number of seconds above 0")
    model = SwitchModel(on_ohm, off_ohm, threshold_volt=0.5)
    flat = flatten(netlist)
    capacitors = _checked(flat)
    has_poles = _AMPLIFIER in netlist.cells
    own = [k for k, name in enumerate(capacitors.names) if not (has_poles and name.endswith(_POLE))]
    held = np.array(own, dtype=np.int64)
    if len(held) == 0:
        raise MisuseError(f"netlist {flat.title!r} has no capacitor to load by a switch")
    names = tuple(f"{RESET_SOURCE}.{capacitors.names[k]}" for k in held)
    volts = np.zeros(len(capacitors)) if capacitors.initial is None else capacitors.initial
    first, m = len(flat.node_names), len(held)
    control, level = first, first + 1 + np.arange(m)
    ends, zero = capacitors.nodes[held], np.zeros(m, dtype=np.int64)
    switches = np.stack([ends[:, 0], level, zero + control, zero], axis=1)
    edge = _EDGE * hold_s
    pulse = Waveform(Shape.PULSE, (1.0, 0.0, hold_s - edge / 2, edge))
    sources = Table(
        Kind.VOLTAGE_SOURCE, (RESET_SOURCE, *names),
        np.concatenate([[[control, 0]], np.stack([level, ends[:, 1]], axis=1)]), np.concatenate([[1.0], volts[held]]),
        waveforms=(pulse, *(None for _ in names)),
    )  # fmt: skip
    added = (sources, Table(Kind.SWITCH, names, switches, np.full(m, on_ohm), switches=(model,) * m))
    rows: dict[Kind, list[Table]] = {}
    for table in (*flat.tables, *added):
        rows.setdefault(table.kind, []).append(replace(table, initial=None) if table is capacitors else table)
    tables = tuple(joined(parts) for parts in rows.values())
    return replace(flat, node_names=(*flat.node_names, RESET_SOURCE, *names), tables=tables)


def _checked(flat: Netlist) -> Table:
    """The capacitors of a circuit that can be loaded by switches."""
    capacitors, inductors = flat.table(Kind.CAPACITOR), flat.table(Kind.INDUCTOR)
    if capacitors is None:
        raise MisuseError(f"netlist {flat.title!r} has no capacitor to load by a switch")
    if inductors is not None and inductors.initial is not None and inductors.initial.any():
        name = inductors.names[int(np.flatnonzero(inductors.initial)[0])]
        raise MisuseError(f"netlist {flat.title!r}: l{name} starts with a current, which no switch can load; use ic")
    sources = flat.table(Kind.VOLTAGE_SOURCE)
    if RESET_SOURCE in flat.node_names or (sources is not None and RESET_SOURCE in sources.names):
        raise MisuseError(f"netlist {flat.title!r} has a node or source {RESET_SOURCE!r} already; rename it")
    return capacitors
