"""SPICE text out of a netlist: self-contained, one analysis a deck, every value with all its digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.tables import Instances, Kind, Table, check_names
from tngd_hw.outcome import MisuseError

__all__ = ["Transient", "write_deck"]


_NAMES = re.compile(r"[a-z0-9_.\n]*")  # one a line; a dot is in the names of a flattened netlist


@dataclass(frozen=True)
class Transient:
    """A transient analysis from stated initial conditions (``uic``).

    Attributes:
        stop_s: Length of the run in seconds.
        step_s: First and suggested step; it sets how well the start is resolved.
        max_step_s: Largest step.
        relative_tolerance: ngspice's ``reltol``.
        voltage_tolerance_volt: ngspice's ``vntol``.
        use_klu: Ask for the KLU solver (ngspice >= 42; older ones ignore it).
    """

    stop_s: float
    step_s: float
    max_step_s: float
    relative_tolerance: float = 1e-6
    voltage_tolerance_volt: float = 1e-9
    use_klu: bool = False

    def __post_init__(self) -> None:
        for name in ("stop_s", "step_s", "max_step_s", "relative_tolerance", "voltage_tolerance_volt"):
            if not 0 < getattr(self, name) < float("inf"):
                raise MisuseError(f"Transient.{name} = {getattr(self, name)!r}: expected a finite number above 0")


def write_deck(netlist: Netlist, analysis: Transient, *, standalone: bool = False) -> str:
    """The deck: title, cells, elements, ``.tran``; only ``netlist.outputs`` are saved.

    Node k is written as its name, ground as 0.  Noise densities are not written: a deck is the noiseless circuit.
    A ``standalone`` deck prints its outputs too, which ``ngspice -b deck.cir`` without a raw file asks for.
    Cost: about 1 microsecond an element.
    """
    _refuse_commands(netlist)
    names = netlist.node_names
    lines = [f"* {netlist.title}"]
    lines += [cell.text.rstrip() for cell in netlist.cells.values()]
    for table in netlist.tables:
        lines.extend(_table_cards(table, names))
    for group in netlist.instances:
        lines.extend(_instance_cards(group, names))
    outputs = " ".join(f"v({name})" for name in netlist.outputs)
    lines += [_options(analysis), f".save {outputs}"]
    if standalone:
        lines.append(f".print tran {outputs}")
    lines.append(f".tran {analysis.step_s!r} {analysis.stop_s!r} 0 {analysis.max_step_s!r} uic")
    return "\n".join([*lines, ".end", ""])


def _refuse_commands(netlist: Netlist) -> None:
    """Screen every name and the title again: nothing but elements may get into a deck, whoever made the netlist."""
    check_names(netlist.outputs, "output")
    groups = (
        netlist.node_names,
        *(t.names + t.controls for t in netlist.tables),
        *(g.names for g in netlist.instances),
    )
    for names in groups:
        lines = "\n".join(names)
        if not _NAMES.fullmatch(lines) or lines.count("\n") != max(len(names) - 1, 0):
            check_names(names, "name")
    if not netlist.title.isprintable():
        raise MisuseError(f"title {netlist.title!r}: expected one line of text (it is the first line of the deck)")


def _options(analysis: Transient) -> str:
    klu = " klu" if analysis.use_klu else ""
    tolerances = f"reltol={analysis.relative_tolerance!r} vntol={analysis.voltage_tolerance_volt!r} abstol=1e-15"
    return f".options method=trap {tolerances} chgtol=1e-20{klu}"


def _table_cards(table: Table, names: tuple[str, ...]) -> Iterator[str]:
    letter = table.kind.value.lower()
    columns = [[names[k] for k in column] for column in cast("list[list[int]]", table.nodes.T.tolist())]
    values = table.values.tolist()
    if table.kind.is_current_controlled:
        for name, a, b, control, value in zip(table.names, *columns, table.controls, values, strict=True):
            yield f"{letter}{name} {a} {b} v{control} {value!r}"
    elif table.kind.terminals == 4:
        for name, a, b, c, d, value in zip(table.names, *columns, values, strict=True):
            yield f"{letter}{name} {a} {b} {c} {d} {value!r}"
    elif table.kind.stores_energy:
        starts = [0.0] * len(table) if table.initial is None else table.initial.tolist()
        for name, a, b, value, start in zip(table.names, *columns, values, starts, strict=True):
            yield f"{letter}{name} {a} {b} {value!r} ic={start!r}"
    else:
        dc = "dc " if table.kind in (Kind.VOLTAGE_SOURCE, Kind.CURRENT_SOURCE) else ""
        for name, a, b, value in zip(table.names, *columns, values, strict=True):
            yield f"{letter}{name} {a} {b} {dc}{value!r}"


def _instance_cards(group: Instances, names: tuple[str, ...]) -> Iterator[str]:
    ports = [" ".join(names[k] for k in row) for row in cast("list[list[int]]", group.nodes.tolist())]
    keys = tuple(group.parameters)
    columns = [group.parameters[key].tolist() for key in keys]
    rows = zip(*columns, strict=True) if columns else (() for _ in ports)
    for name, port, row in zip(group.names, ports, rows, strict=True):
        yield f"x{name} {port} {group.cell} " + " ".join(f"{k}={v!r}" for k, v in zip(keys, row, strict=True))
