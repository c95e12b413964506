"""Cells expanded into plain tables, all instances of a cell at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tngd_hw.netlist.cells import Cell
from tngd_hw.netlist.expression import evaluate
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.tables import GROUND, Floats, Instances, Ints, Kind, Table, joined

__all__ = ["flatten"]


def flatten(netlist: Netlist) -> Netlist:
    """The same circuit without instances: an element ``e`` of instance ``x`` is called ``x.e``, likewise nodes.

    Cost: O(elements).  Arithmetic is done on whole arrays, one evaluation a card of the cell.
    """
    names = list(netlist.node_names)
    rows: dict[Kind, list[Table]] = {table.kind: [table] for table in netlist.tables}
    for group in netlist.instances:
        _expand(group, netlist.cells, names, rows)
    tables = tuple(joined(parts) for parts in rows.values())
    return replace(netlist, node_names=tuple(names), tables=tables, instances=(), cells={})


def _expand(group: Instances, cells: Mapping[str, Cell], names: list[str], rows: dict[Kind, list[Table]]) -> None:
    cell, m = cells[group.cell], len(group)
    values = _parameters(cell, group)
    local: dict[str, Ints] = dict(zip(cell.ports, group.nodes.T, strict=True))
    local[GROUND] = np.zeros(m, dtype=np.int64)

    def node(name: str) -> Ints:
        if name not in local:
            local[name] = len(names) + np.arange(m, dtype=np.int64)
            names.extend(f"{instance}.{name}" for instance in group.names)
        return local[name]

    def number(expression: str) -> Floats:
        return np.array(np.broadcast_to(evaluate(expression, values), (m,)))

    for e in cell.elements:
        table = Table(
            kind=e.kind,
            names=tuple(f"{instance}.{e.name}" for instance in group.names),
            nodes=np.stack([node(n) for n in e.nodes], axis=1),
            values=number(e.value),
            controls=tuple(f"{instance}.{e.control}" for instance in group.names) if e.control else (),
            initial=number(e.initial) if e.kind.stores_energy else None,
        )
        rows.setdefault(e.kind, []).append(table)
    for x in cell.instances:
        inner = Instances(
            cell=x.cell,
            names=tuple(f"{instance}.{x.name}" for instance in group.names),
            nodes=np.stack([node(n) for n in x.nodes], axis=1),
            parameters={key: number(text) for key, text in x.parameters},
        )
        _expand(inner, cells, names, rows)


def _parameters(cell: Cell, group: Instances) -> dict[str, Floats]:
    values: dict[str, Floats] = {}
    for name, default in cell.parameters:
        given = group.parameters.get(name)
        values[name] = evaluate(default, values) if given is None else given
    return values
