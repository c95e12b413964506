"""What a circuit is: nodes, tables of elements, instances of cells, inputs and outputs.  Knows no matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tngd_hw.netlist.cells import Cell, load_cell
from tngd_hw.netlist.tables import (
    GROUND,
    Floats,
    Instances,
    Ints,
    Kind,
    SwitchModel,
    Table,
    check_names,
    joined,
    refuse_duplicates,
)
from tngd_hw.netlist.waveform import Waveform
from tngd_hw.outcome import MisuseError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ROOM_KELVIN", "Netlist", "NetlistBuilder"]

ROOM_KELVIN = 300.15
"""27 degrees C, SPICE's own default."""


@dataclass(frozen=True, eq=False)
class Netlist:
    """A circuit.

    Attributes:
        title: First line of the deck.
        node_names: Names of the nodes; number 0 is ground, ``"0"``.
        tables: Elements, at most one table a kind.
        instances: Instances of cells, at most one group a cell.
        cells: The cells used, by name, those used by cells included.
        inputs: Names of the V and I sources that are driven, in the order of u.
        outputs: Names of the nodes that are read.
        temperature_kelvin: Temperature of every resistor that has none of its own (SPICE's ``.temp``, 27 degrees C).
    """

    title: str
    node_names: tuple[str, ...]
    tables: tuple[Table, ...]
    instances: tuple[Instances, ...]
    cells: Mapping[str, Cell]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    temperature_kelvin: float = ROOM_KELVIN

    def table(self, kind: Kind) -> Table | None:
        """The table of ``kind``, or None when the circuit has no such element."""
        return next((table for table in self.tables if table.kind is kind), None)

    @property
    def element_count(self) -> int:
        """Number of elements, an instance of a cell counted as one."""
        return sum(len(t) for t in self.tables) + sum(len(group) for group in self.instances)

    def source(self, label: str) -> tuple[Kind, int]:
        """Kind and row of the V or I source that ``label`` means.

        It is the source's name; where a V and an I source share it, the name with its letter (``"v1"``, ``"i1"``).

        Raises:
            MisuseError: No such source, or two.
        """
        return self.sources([label])[0]

    def sources(self, labels: Iterable[str]) -> list[tuple[Kind, int]]:
        """:meth:`source` of many labels at once."""
        rows = [
            (table.kind, {name: row for row, name in enumerate(table.names)})
            for table in self.tables
            if table.kind.is_source
        ]
        return [self._place(label, rows) for label in labels]

    def _place(self, label: str, rows: list[tuple[Kind, dict[str, int]]]) -> tuple[Kind, int]:
        found = [(kind, row[label]) for kind, row in rows if label in row]
        if not found:
            bare = label[1:]
            found = [(kind, row[bare]) for kind, row in rows if label[:1] == kind.value.lower() and bare in row]
        if len(found) != 1:
            raise MisuseError(f"{label!r} means {len(found)} sources of {self.title!r}; names: {self._source_names()}")
        return found[0]

    def _source_names(self) -> str:
        names = [f"{t.kind.value}: {' '.join(t.names[:20])}" for t in self.tables if t.kind.is_source]
        return ", ".join(names) or "none"

    def with_source_values(self, values: Mapping[Kind, Floats]) -> Netlist:
        """The same circuit with other values of its independent sources (V or I), given whole tables at a time."""
        tables = tuple(replace(t, values=values[t.kind]) if t.kind in values else t for t in self.tables)
        return replace(self, tables=tables)


@dataclass
class NetlistBuilder:
    """Collects arrays of elements and gives a :class:`Netlist`.  Nodes are made by asking for them.

    Example::

        build = NetlistBuilder("divider")
        top, mid = build.nodes(["top", "mid"])
        build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [1.0])
        build.add(Kind.RESISTOR, ["a", "b"], [[top, mid], [mid, 0]], [1e3, 2e3])
        netlist = build.netlist(inputs=["in"], outputs=["mid"])
    """

    title: str
    _index: dict[str, int] = field(default_factory=lambda: {GROUND: 0})
    _rows: dict[Kind, list[Table]] = field(default_factory=dict[Kind, list[Table]])
    _instances: dict[str, list[Instances]] = field(default_factory=dict[str, list[Instances]])

    def nodes(self, names: Sequence[str]) -> Ints:
        """Indices of the named nodes, made where they are new; shape (len(names),)."""
        check_names(names, "node")
        if "gnd" in names:
            raise MisuseError("node 'gnd': SPICE takes it for ground; write '0' for ground, or choose another name")
        return np.array([self._index.setdefault(name, len(self._index)) for name in names], dtype=np.int64)

    def add(
        self,
        kind: Kind,
        names: Sequence[str],
        nodes: ArrayLike,
        values: ArrayLike,
        *,
        initial: ArrayLike | None = None,
        noise_psd: ArrayLike | None = None,
        temperature_kelvin: ArrayLike | None = None,
        noiseless: bool = False,
        controls: Sequence[str] = (),
        partners: Sequence[str] = (),
        waveforms: Sequence[Waveform | None] = (),
        switches: Sequence[SwitchModel] = (),
        expressions: Sequence[str] = (),
    ) -> None:
        """Add ``len(names)`` elements of one kind; arguments as in :class:`~tngd_hw.netlist.tables.Table`.

        Numbers may be scalars; ``noiseless`` holds for all of them.
        """
        check_names(names, "element")
        m = len(names)
        start, noise, temperature = (
            None if a is None else _floats(a, m) for a in (initial, noise_psd, temperature_kelvin)
        )
        ports = np.asarray(nodes, dtype=np.int64).reshape(m, kind.terminals) if kind is Kind.COUPLING else nodes
        table = Table(
            kind, tuple(names), np.asarray(ports, dtype=np.int64), _floats(values, m), tuple(controls),
            tuple(partners), start, noise, temperature, np.ones(m, dtype=np.bool_) if noiseless else None,
            waveforms=tuple(waveforms), switches=tuple(switches), expressions=tuple(expressions),
        )  # fmt: skip
        self._rows.setdefault(kind, []).append(table)

    def add_cells(self, cell: str, names: Sequence[str], nodes: ArrayLike, **parameters: ArrayLike) -> None:
        """Add ``len(names)`` instances of library cell ``cell``; parameters are scalars or arrays of that length."""
        check_names(names, "instance")
        definition = load_cell(cell)
        unknown = set(parameters) - {name for name, _ in definition.parameters}
        if unknown:
            raise MisuseError(f"cell {cell!r} has no parameter {sorted(unknown)[0]!r}; see circuits/{cell}.lib")
        ports = np.asarray(nodes, dtype=np.int64)
        if ports.shape != (len(names), len(definition.ports)):
            raise MisuseError(f"cell {cell!r}: nodes has shape {ports.shape}, it has ports {definition.ports}")
        values = {name: _floats(value, len(names)) for name, value in parameters.items()}
        self._instances.setdefault(cell, []).append(Instances(cell, tuple(names), ports, values))

    def netlist(self, inputs: Sequence[str], outputs: Sequence[str]) -> Netlist:
        """The circuit; MisuseError for duplicate names, unknown inputs or outputs."""
        tables = tuple(joined(rows) for rows in self._rows.values())
        instances = tuple(_joined_instances(groups) for groups in self._instances.values())
        if not self.title.isprintable():
            raise MisuseError(f"title {self.title!r}: expected one line of text (it is the first line of the deck)")
        for table in tables:
            refuse_duplicates(table.kind.value, table.names)
        refuse_duplicates("X", [name for group in instances for name in group.names])
        for group in (*tables, *instances):
            if group.nodes.size and not 0 <= group.nodes.min() <= group.nodes.max() < len(self._index):
                raise MisuseError(f"netlist {self.title!r}: a node number outside 0 to {len(self._index) - 1}")
        sources = {n for t in tables if t.kind in (Kind.VOLTAGE_SOURCE, Kind.CURRENT_SOURCE) for n in t.names}
        for name in inputs:
            if name not in sources:
                raise MisuseError(f"input {name!r} is not a V or I source of {self.title!r}")
        for name in outputs:
            if name not in self._index or name == GROUND:
                raise MisuseError(f"output {name!r} is not a node of {self.title!r}")
        cells: dict[str, Cell] = {}
        for group in instances:
            _collect_cells(group.cell, cells)
        return Netlist(self.title, tuple(self._index), tables, instances, cells, tuple(inputs), tuple(outputs))


def _floats(value: ArrayLike, m: int) -> Floats:
    return np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), (m,)))


def _joined_instances(groups: list[Instances]) -> Instances:
    defaults = dict(load_cell(groups[0].cell).parameters)
    names = sorted({name for group in groups for name in group.parameters})
    if any(set(group.parameters) != set(names) for group in groups):
        raise MisuseError(f"cell {groups[0].cell!r}: groups added with different parameters (of {sorted(defaults)})")
    return Instances(
        cell=groups[0].cell,
        names=tuple(name for group in groups for name in group.names),
        nodes=np.concatenate([group.nodes for group in groups]),
        parameters={name: np.concatenate([group.parameters[name] for group in groups]) for name in names},
    )


def _collect_cells(name: str, cells: dict[str, Cell]) -> None:
    cell = load_cell(name)
    for instance in cell.instances:
        _collect_cells(instance.cell, cells)
    cells[name] = cell
