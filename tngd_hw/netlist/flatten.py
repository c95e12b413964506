"""Cells expanded into plain tables, all instances of a cell at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from tngd_hw.netlist.behavioral import parse_behavioral
from tngd_hw.netlist.cells import Cell, CellElement
from tngd_hw.netlist.expression import evaluate
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.tables import GROUND, Floats, Instances, Ints, Kind, Table, joined
from tngd_hw.netlist.waveform import Waveform
from tngd_hw.outcome import MisuseError

__all__ = ["flatten"]

_MOST_ELEMENTS = 20_000_000
"""Nested cells can ask for more elements than any memory holds; every level multiplies."""


def flatten(netlist: Netlist) -> Netlist:
    """The same circuit without instances: an element ``e`` of instance ``x`` is called ``x.e``, likewise nodes.

    Cost: O(elements).  Arithmetic is done on whole arrays, one evaluation a card of the cell.

    Raises:
        MisuseError: A cell that contains itself, more than 20 million elements, a name that is there already, or a
            value no element can have.
    """
    total = sum(len(group) * _size(group.cell, netlist.cells, (), {}) for group in netlist.instances)
    if total > _MOST_ELEMENTS:
        raise MisuseError(f"netlist {netlist.title!r}: its cells make {total} elements, the limit is {_MOST_ELEMENTS}")
    names = list(netlist.node_names)
    rows: dict[Kind, list[Table]] = {table.kind: [table] for table in netlist.tables}
    for group in netlist.instances:
        _Expansion(netlist, names, rows).expand(group)
    if netlist.instances and len(set(names)) != len(names):
        raise MisuseError(f"netlist {netlist.title!r}: a node has the name of one inside an instance (instance.node)")
    tables = tuple(joined(parts) for parts in rows.values())
    return replace(netlist, node_names=tuple(names), tables=tables, instances=(), cells={})


def _size(name: str, cells: Mapping[str, Cell], above: tuple[str, ...], known: dict[str, int]) -> int:
    """Elements of one instance of cell ``name``."""
    if name in above:
        raise MisuseError(f"cell {name!r} contains itself ({' > '.join((*above, name))})")
    if name not in known:
        cell = cells[name]
        inner = sum(_size(x.cell, cells, (*above, name), known) for x in cell.instances)
        known[name] = max(1, len(cell.elements) + inner)  # instances of nothing take time too
    return known[name]


class _Expansion:
    """The tables and node names as they grow."""

    def __init__(self, netlist: Netlist, names: list[str], rows: dict[Kind, list[Table]]) -> None:
        self.cells = netlist.cells
        self.kelvin = netlist.temperature_kelvin
        self.names = names
        self.rows = rows

    def expand(self, group: Instances) -> None:
        cell, m = self.cells[group.cell], len(group)
        if group.nodes.shape[1] != len(cell.ports):
            raise MisuseError(
                f"cell {cell.name!r} has ports {cell.ports}; instance {group.names[0]!r} names other nodes"
            )
        values = _parameters(cell, group)
        local: dict[str, Ints] = dict(zip(cell.ports, group.nodes.T, strict=True))
        local[GROUND] = np.zeros(m, dtype=np.int64)

        def node(name: str) -> Ints:
            if name not in local:
                local[name] = len(self.names) + np.arange(m, dtype=np.int64)
                self.names.extend(f"{instance}.{name}" for instance in group.names)
            return local[name]

        def number(expression: str) -> Floats:
            return np.array(np.broadcast_to(evaluate(expression, values), (m,)))

        for e in cell.elements:
            self.rows.setdefault(e.kind, []).append(self.table(e, group, node, number, values))
        for x in cell.instances:
            inner = Instances(
                cell=x.cell,
                names=tuple(f"{instance}.{x.name}" for instance in group.names),
                nodes=np.stack([node(n) for n in x.nodes], axis=1),
                parameters={key: number(text) for key, text in x.parameters},
            )
            self.expand(inner)

    def table(
        self,
        e: CellElement,
        group: Instances,
        node: Callable[[str], Ints],
        number: Callable[[str], Floats],
        values: Mapping[str, Floats],
    ) -> Table:
        """One element of the cell, in all instances."""
        m = len(group)

        def inside(name: str) -> tuple[str, ...]:
            return tuple(f"{instance}.{name}" for instance in group.names) if name else ()

        waveforms: tuple[Waveform, ...] = ()
        if e.shape is not None:
            columns = np.stack([number(text) for text in e.numbers], axis=1).tolist()
            waveforms = tuple(Waveform(e.shape, tuple(row)) for row in columns)
        main = number(e.value) if e.value else np.array([w.start for w in waveforms] or [0.0] * m)
        if e.switch is not None:
            main = np.full(m, e.switch.on_ohm)
        ac = None
        if e.ac:
            ac = np.asarray(number(e.ac[0]) * np.exp(1j * np.deg2rad(number(e.ac[1]))), dtype=np.complex128)
        return Table(
            kind=e.kind,
            names=inside(e.name),
            nodes=np.stack([node(n) for n in e.nodes], axis=1) if e.nodes else np.zeros((m, 0), dtype=np.int64),
            values=main,
            controls=inside(e.control),
            partners=inside(e.partner),
            initial=(number(e.initial) if e.initial else np.zeros(m)) if e.kind.stores_energy else None,
            temperature_kelvin=self.kelvin + number(e.above) if e.above else None,
            noiseless=np.ones(m, dtype=np.bool_) if e.noiseless else None,
            ac=ac,
            waveforms=waveforms,
            switches=(e.switch,) * m if e.switch is not None else (),
            expressions=self.expressions(e, node, values, m) if e.expression else (),
        )

    def expressions(
        self, e: CellElement, node: Callable[[str], Ints], values: Mapping[str, Floats], m: int
    ) -> tuple[str, ...]:
        """The expression of a B element once for each instance, in the circuit's node names."""
        texts: list[str] = []
        for k in range(m):
            numbers = {name: float(np.broadcast_to(value, (m,))[k]) for name, value in values.items()}

            def outside(name: str, k: int = k) -> str:
                return self.names[int(node(name)[k])]

            texts.append(parse_behavioral(e.expression, numbers, outside).text)
        return tuple(texts)


def _parameters(cell: Cell, group: Instances) -> dict[str, Floats]:
    values: dict[str, Floats] = {}
    for name, default in cell.parameters:
        given = group.parameters.get(name)
        values[name] = evaluate(default, values) if given is None else given
    return values
