"""Loops and cut-sets: which storage elements are independent, and the names of those that cannot be together.

A proper tree takes voltage sources first (V, E, H), then as many capacitors as close no loop, then resistors and
transconductors, and inductors only where nothing else reaches.  A capacitor left out closes a loop of capacitors and
voltage sources: its voltage follows from theirs.  An inductor taken in belongs to a cut-set of inductors and current
sources: its current follows from theirs.

Source: Bryant, "The explicit form of Bashkow's A matrix", IRE Trans. Circuit Theory 9 (1962); Chua and Lin,
"Computer-Aided Analysis of Electronic Circuits" (1975), ch. 8.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.tables import Flags, Ints, Kind
from tngd_hw.outcome import MisuseError

__all__ = ["Forest", "dependent_storage", "listed", "refuse_floating", "refuse_source_loops"]

_SHOWN = 5
"""How many nodes or elements an error names."""


class Forest:
    """A growing set of trees over the nodes 0 to n - 1, which knows whether an edge would close a loop."""

    def __init__(self, nodes: int) -> None:
        self._parent = list(range(nodes))
        self._edges: dict[int, list[tuple[int, int, float]]] = {}

    def root(self, node: int) -> int:
        """The representative of the node's tree."""
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(self, first: int, second: int, edge: int) -> bool:
        """Add an edge by its number; False, and nothing added, when it closes a loop."""
        a, b = self.root(first), self.root(second)
        if a == b:
            return False
        self._parent[a] = b
        self._edges.setdefault(first, []).append((second, edge, 1.0))
        self._edges.setdefault(second, []).append((first, edge, -1.0))
        return True

    def join_all(self, edges: Ints) -> None:
        """Add many edges at once, loops or not, without numbers (no path leads over them); shape (m, 2)."""
        n = len(self._parent)
        roots = np.array([self.root(node) for node in range(n)], dtype=np.int64)
        ends = np.concatenate([edges, np.stack([np.arange(n), roots], 1)])
        _, label = _components(n, ends)
        first = np.full(n, -1, dtype=np.int64)
        first[label[::-1]] = np.arange(n)[::-1]
        self._parent = first[label].tolist()

    def path(self, start: int, end: int) -> list[tuple[int, float]] | None:
        """Numbers of the edges from ``start`` to ``end``, +1 where walked first node to second; None without a path."""
        came: dict[int, tuple[int, int, float]] = {start: (start, -1, 0.0)}
        queue = [start]
        for node in queue:
            if node == end:
                break
            for other, edge, sign in self._edges.get(node, ()):
                if other not in came:
                    came[other] = (node, edge, sign)
                    queue.append(other)
        if end not in came:
            return None
        found: list[tuple[int, float]] = []
        while end != start:
            end, edge, sign = came[end]
            found.append((edge, sign))
        return found[::-1]


def dependent_storage(flat: Netlist) -> Flags:
    """Which capacitors, then inductors, follow from the others: loop-closing capacitors and cut-set inductors.

    Grounded capacitors are chosen as states before floating ones, then large before small; inductors large first.
    Cost: almost linear in the number of V, E, H, C and L; resistors and transconductors are joined at once.

    Raises:
        MisuseError: Floating nodes or a loop of voltage sources, by name.
    """
    refuse_floating(flat, (Kind.CURRENT_SOURCE,))
    refuse_source_loops(flat, (Kind.VOLTAGE_SOURCE,))
    forest = Forest(len(flat.node_names))
    forest.join_all(_edges(flat, (Kind.VOLTAGE_SOURCE, Kind.VCVS, Kind.CCVS)))
    dependent: list[Flags] = []
    capacitors, inductors = flat.table(Kind.CAPACITOR), flat.table(Kind.INDUCTOR)
    if capacitors is not None:
        order = np.lexsort((-capacitors.values, (capacitors.nodes != 0).all(1)))
        dependent.append(~_joining(forest, capacitors.nodes, order))
    if inductors is not None:
        forest.join_all(_edges(flat, (Kind.RESISTOR, Kind.VCCS)))
        dependent.append(_joining(forest, inductors.nodes, np.argsort(inductors.values, kind="stable")))
    return np.concatenate(dependent) if dependent else np.zeros(0, dtype=np.bool_)


def _joining(forest: Forest, nodes: Ints, order: Ints) -> Flags:
    """Which edges, taken in ``order``, become part of the forest."""
    joined = np.zeros(len(nodes), dtype=np.bool_)
    ends = nodes.tolist()
    for k in order.tolist():
        joined[k] = forest.join(ends[k][0], ends[k][1], k)
    return joined


def refuse_source_loops(flat: Netlist, kinds: tuple[Kind, ...]) -> None:
    """Name a loop of the given kinds (voltage sources; at DC inductors too): its current would be undetermined."""
    forest = Forest(len(flat.node_names))
    names: list[str] = []
    for table in filter(None, map(flat.table, kinds)):
        for name, (first, second) in zip(table.names, table.nodes.tolist(), strict=True):
            names.append(f"{table.kind.value.lower()}{name}")
            if forest.join(first, second, len(names) - 1):
                continue
            around = [names[edge] for edge, _ in forest.path(first, second) or ()]
            raise MisuseError(
                f"netlist {flat.title!r}: {listed([*around, names[-1]])} {'form a loop' if around else 'is a loop'} "
                "whose current nothing limits; put a resistor in series"
            )


def refuse_floating(flat: Netlist, silent: tuple[Kind, ...]) -> None:
    """Name the nodes with no path to ground through elements that say something about a voltage.

    The kinds ``silent`` (current sources; at DC capacitors too) and controlling pairs say nothing; a node that has only
    those would leave the equations singular up to rounding.
    """
    kinds = tuple(table.kind for table in flat.tables if table.kind not in silent)
    _, label = _components(len(flat.node_names), _edges(flat, kinds))
    loose = [name for name, part in zip(flat.node_names, label, strict=True) if part != label[0]]
    if loose:
        at_dc = Kind.CAPACITOR in silent
        few = len(loose) == 1
        raise MisuseError(
            f"netlist {flat.title!r}: node{'' if few else 's'} {', '.join(loose[:_SHOWN])} float{'s' if few else ''}"
            f"{' at DC' if at_dc else ''}{f' (of {len(loose)} that do)' if len(loose) > _SHOWN else ''}; connect "
            f"{'it' if few else 'them'} to ground through a resistor{'' if at_dc else ' or a capacitor'}"
        )


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    found = list(names)
    more = len(found) - _SHOWN
    return ", ".join(found[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _edges(flat: Netlist, kinds: tuple[Kind, ...]) -> Ints:
    pairs = [table.nodes[:, :2] for table in flat.tables if table.kind in kinds and table.kind.terminals]
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.int64)


def _components(n: int, edges: Ints) -> tuple[int, Ints]:
    graph = sparse.coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    count, label = connected_components(graph, directed=False)
    return count, label.astype(np.int64)
