"""The linear elements of a circuit: cells expanded, switches as resistors, nonlinear elements refused.

A switch is a resistor ``on_ohm`` or ``off_ohm`` by the voltage at its controls.  That voltage has to follow from
independent voltage sources that do not change: then the circuit is linear for all time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from tngd_hw.netlist.flatten import flatten
from tngd_hw.netlist.loops import Forest
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.tables import Kind, SwitchModel, Table, joined
from tngd_hw.outcome import MisuseError

__all__ = ["SWITCH_PREFIX", "linear_elements"]

SWITCH_PREFIX = "s:"
"""A switch ``x`` is the resistor ``s:x`` (no element of a netlist can have a colon in its name)."""


def linear_elements(netlist: Netlist, *, moving: Collection[str] = ()) -> Netlist:
    """``netlist`` without cells, switches and behavioral sources; ``moving`` labels sources no switch may hang on.

    Raises:
        MisuseError: It has a B element, or a switch whose state is not decided by constant voltage sources.
    """
    flat = flatten(netlist)
    behavioral = flat.table(Kind.BEHAVIORAL)
    if behavioral is not None:
        raise MisuseError(
            f"netlist {flat.title!r}: b{behavioral.names[0]} is nonlinear and state equations are for linear "
            "circuits; use the ngspice engine"
        )
    switches = flat.table(Kind.SWITCH)
    if switches is None:
        return flat
    resistors = _resistors(flat, switches, moving)
    kept = [table for table in flat.tables if table.kind not in (Kind.SWITCH, Kind.RESISTOR)]
    present = flat.table(Kind.RESISTOR)
    tables = (*kept, resistors if present is None else joined([present, resistors]))
    return replace(flat, tables=tables)


def _resistors(flat: Netlist, switches: Table, moving: Collection[str]) -> Table:
    driven = set(flat.sources(moving))
    forest = Forest(len(flat.node_names))
    voltages = flat.table(Kind.VOLTAGE_SOURCE)
    if voltages is not None:
        waves = voltages.waveforms or (None,) * len(voltages)
        for k in range(len(voltages)):
            if waves[k] is None and (Kind.VOLTAGE_SOURCE, k) not in driven:
                first, second = voltages.nodes[k].tolist()
                forest.join(first, second, k)
    ohm = np.array([
        model.on_ohm if _is_on(model, _control_volt(flat, switches, k, forest)) else model.off_ohm
        for k, model in enumerate(switches.switches)
    ])  # fmt: skip
    names = tuple(f"{SWITCH_PREFIX}{name}" for name in switches.names)
    return Table(Kind.RESISTOR, names, switches.nodes[:, :2], ohm)


def _control_volt(flat: Netlist, switches: Table, k: int, forest: Forest) -> float:
    """The voltage at the controls of switch k: the sum of the constant sources between them."""
    plus, minus = switches.nodes[k, 2:].tolist()
    path = forest.path(plus, minus)
    if path is None:
        raise MisuseError(
            f"netlist {flat.title!r}: switch s{switches.names[k]} is controlled by v({flat.node_names[plus]},"
            f"{flat.node_names[minus]}), which constant voltage sources alone do not decide; control it by a source "
            "that is no input and has no waveform, or use the ngspice engine"
        )
    voltages = flat.table(Kind.VOLTAGE_SOURCE)
    return 0.0 if voltages is None else sum(sign * float(voltages.values[edge]) for edge, sign in path)


def _is_on(model: SwitchModel, volt: float) -> bool:
    if abs(volt - model.threshold_volt) <= model.hysteresis_volt:
        return model.starts_on
    return volt > model.threshold_volt
