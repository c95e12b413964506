"""A user's deck as a flat, linear circuit with named drives: what every analysis of ``state_space`` starts from.

Cells are expanded, waveforms taken out of the tables and given their defaults.  An RC pair on a node of its own, which
touches nothing, is added, so that a circuit without a state of its own (resistors alone, a capacitor across a source)
needs no second way through the equations: its answer is the direct input D u.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tngd_hw.netlist import (
    DcSolution,
    Kind,
    Netlist,
    NoiseSources,
    StateEquations,
    Table,
    Transient,
    Waveform,
    flatten,
    operating_point,
    state_equations,
)
from tngd_hw.netlist.storage import storage_elements
from tngd_hw.netlist.tables import joined
from tngd_hw.outcome import MisuseError

__all__ = ["DeckCircuit", "deck_circuit"]

_IDLE = "idle:"
"""Node and elements of the RC pair; no deck can hold a colon in a name."""

_SENSE = "sense:"
"""Prefix of what reads an inductor's current as a node's voltage, 1 V/A."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DeckCircuit:
    """A flat circuit without waveforms.

    Attributes:
        flat: Elements; the values of the sources are those of the operating point.
        waves: Waveforms by source, every number filled in.
        outputs: Names of the nodes that are read.
    """

    flat: Netlist
    waves: Mapping[str, Waveform]
    outputs: tuple[str, ...]

    def at_start(self) -> DeckCircuit:
        """The same circuit with every moving source at its value at t = 0."""
        tables = [
            replace(table, values=np.array([
                self.waves[name].start if name in self.waves else value
                for name, value in zip(table.names, table.values.tolist(), strict=True)
            ]))
            if table.kind.is_source else table
            for table in self.flat.tables
        ]  # fmt: skip
        return replace(self, flat=replace(self.flat, tables=tuple(tables)))

    def with_current_senses(self) -> DeckCircuit:
        """Every inductor in series with a source of 0 V, whose current is the voltage of a node of its own."""
        inductors = self.flat.table(Kind.INDUCTOR)
        if inductors is None:
            return self
        m, first = len(inductors), len(self.flat.node_names)
        middle, read = first + np.arange(m), first + m + np.arange(m)
        names = tuple(f"{_SENSE}{name}" for name in inductors.names)
        zero, ground = np.zeros(m), np.zeros(m, dtype=np.int64)
        series = Table(Kind.VOLTAGE_SOURCE, names, np.stack([inductors.nodes[:, 0], middle], 1), zero)
        reader = Table(Kind.CCVS, names, np.stack([read, ground], 1), zero + 1.0, controls=names)
        moved = replace(inductors, nodes=np.stack([middle, inductors.nodes[:, 1]], 1))
        flat = replace(
            self.flat, node_names=(*self.flat.node_names, *(f"{name}{side}" for side in "mr" for name in names))
        )
        tables = tuple(moved if table is inductors else table for table in flat.tables)
        return replace(self, flat=_with_tables(replace(flat, tables=tables), series, reader))

    def operating_point(self) -> DcSolution:
        """At rest, sources at their values; see :func:`tngd_hw.netlist.operating_point`."""
        found = operating_point(self.flat)
        volts = {name: volt + 0.0 for name, volt in found.voltage_volt.items() if ":" not in name}
        amperes = {name: ampere + 0.0 for name, ampere in found.current_ampere.items() if ":" not in name}
        return DcSolution(volts, amperes)  # + 0.0: no -0

    def stored(self, solution: DcSolution) -> Floats:
        """Voltages of all capacitors, then currents of all inductors, of a solution at rest; shape (s,)."""
        volts = np.array([solution.voltage_volt.get(name, 0.0) for name in self.flat.node_names])
        storage = storage_elements(self.flat)
        amperes = [solution.current_ampere.get(name, 0.0) for name in storage.names]
        across = volts[storage.nodes[:, 0]] - volts[storage.nodes[:, 1]]
        return np.where(storage.capacitor, across, amperes)

    def initial(self) -> Floats:
        """The same from the elements' ``ic`` values."""
        return storage_elements(self.flat).initial

    def reading_nodes(self) -> tuple[str, ...]:
        """Nodes whose voltages hold the stored quantities (after :meth:`with_current_senses`), each once."""
        storage = storage_elements(self.flat)
        numbers = dict.fromkeys(storage.nodes[storage.capacitor].ravel().tolist())
        nodes = [self.flat.node_names[k] for k in numbers if k != 0]
        return (*nodes, *(f"{_SENSE}{name.removeprefix('l')}r" for name in self._inductors()))

    def stored_from(self, volts: Mapping[str, float]) -> Floats:
        """Stored quantities, shape (s,), from the voltages of :meth:`reading_nodes`."""
        storage, names = storage_elements(self.flat), self.flat.node_names
        at = np.array([volts.get(name, 0.0) for name in names])
        across = at[storage.nodes[:, 0]] - at[storage.nodes[:, 1]]
        across[~storage.capacitor] = [volts[f"{_SENSE}{name.removeprefix('l')}r"] for name in self._inductors()]
        return across

    def _inductors(self) -> list[str]:
        storage = storage_elements(self.flat)
        return [name for name, is_capacitor in zip(storage.names, storage.capacitor, strict=True) if not is_capacitor]

    def equations(
        self, inputs: tuple[str, ...], outputs: tuple[str, ...], noise: NoiseSources = NoiseSources.INJECTED
    ) -> StateEquations:
        """The state equations from these sources to these nodes; every other source is the constant."""
        return state_equations(replace(self.flat, inputs=inputs, outputs=outputs), noise=noise)


def deck_circuit(netlist: Netlist, analysis: Transient | None = None) -> DeckCircuit:
    """Flatten ``netlist`` for one analysis.

    Args:
        netlist: Of a deck.
        analysis: Whose times stand in for numbers that waveforms leave out; None where no source moves.

    Raises:
        MisuseError: A B element; as :func:`tngd_hw.netlist.flatten`.
    """
    flat = _sources_apart(flatten(netlist))
    behavioral = flat.table(Kind.BEHAVIORAL)
    if behavioral is not None:
        raise MisuseError(
            f"netlist {flat.title!r}: b{behavioral.names[0]} is nonlinear, and state_space is for linear circuits; use "
            "the ngspice engine"
        )
    waves: dict[str, Waveform] = {}
    tables: list[Table] = []
    for table in flat.tables:
        for name, wave in zip(table.names, table.waveforms, strict=False):
            if wave is not None and analysis is not None:
                waves[name] = wave.with_defaults(analysis.step_s, analysis.stop_s)
        tables.append(replace(table, waveforms=()))
    flat = _with_idle_pair(replace(flat, tables=tuple(tables)), 1e-3 if analysis is None else analysis.stop_s)
    return DeckCircuit(flat, waves, netlist.outputs or netlist.node_names[1:])


def _sources_apart(flat: Netlist) -> Netlist:
    """A current source that shares its name with a voltage source gets one of its own."""
    voltage, current = flat.table(Kind.VOLTAGE_SOURCE), flat.table(Kind.CURRENT_SOURCE)
    if voltage is None or current is None or set(voltage.names).isdisjoint(current.names):
        return flat
    taken = set(voltage.names)
    renamed = replace(current, names=tuple(f"i:{name}" if name in taken else name for name in current.names))
    return replace(flat, tables=tuple(renamed if table is current else table for table in flat.tables))


def _with_idle_pair(flat: Netlist, seconds: float) -> Netlist:
    """R and C with R C = ``seconds``; R as the circuit's own, so that no scale of the equations moves."""
    resistors = flat.table(Kind.RESISTOR)
    ohm = 1e3 if resistors is None else float(np.exp(np.log(np.abs(resistors.values)).mean()))
    node = len(flat.node_names)
    nodes = np.array([[node, 0]], dtype=np.int64)
    resistor = Table(Kind.RESISTOR, (_IDLE,), nodes, np.array([ohm]), noiseless=np.ones(1, dtype=np.bool_))
    capacitor = Table(Kind.CAPACITOR, (_IDLE,), nodes, np.array([seconds / ohm]))
    return _with_tables(replace(flat, node_names=(*flat.node_names, _IDLE)), resistor, capacitor)


def _with_tables(flat: Netlist, *more: Table) -> Netlist:
    """``flat`` with more elements, behind its own of their kind."""
    rows: dict[Kind, list[Table]] = {table.kind: [table] for table in flat.tables}
    for table in more:
        rows.setdefault(table.kind, []).append(table)
    return replace(flat, tables=tuple(joined(parts) for parts in rows.values()))
