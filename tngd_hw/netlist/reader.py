"""SPICE text into a netlist: a safe subset, by an allow-list, nothing executed and no other file opened.

The text is lexed (:mod:`cards`), each card parsed (:mod:`element_cards`), and the numbers put into tables.  What is not
understood is refused by file and line, never skipped.  ngspice later gets a deck written anew from the tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tngd_hw.netlist.analyses import Analysis, NoiseSweep
from tngd_hw.netlist.cards import Card, NameMap, card_error, located, read_cards
from tngd_hw.netlist.cells import Cell, Scope, load_cell, read_cell, with_library_text
from tngd_hw.netlist.columns import Columns
from tngd_hw.netlist.commands import Commands, read_commands
from tngd_hw.netlist.deck import NOISE_CELL, NOISE_PREFIX, ZERO_CELSIUS, write_deck
from tngd_hw.netlist.element_cards import CellInstance, parse_element, parse_instance
from tngd_hw.netlist.expression import evaluate
from tngd_hw.netlist.netlist import ROOM_KELVIN, Netlist
from tngd_hw.netlist.tables import GROUND, Floats, Instances, Kind, Table
from tngd_hw.outcome import MisuseError

__all__ = ["Deck", "read_deck"]

_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.ASCII)  # one way to match: linear time
_SAFE = re.compile(r"[a-z0-9_.]{2,}")
_LARGEST_FILE = 128 << 20
"""Bytes of a deck; a dense array of 1,000 nodes has about 50 MB."""
_MOST_CELLS = 10_000
_MOST_LEVELS = 100
"""Of cells in cells."""
_PLAIN_WORDS = {"r": 4, "e": 6, "g": 6}
"""Kinds whose ordinary cards have nothing but a name, nodes and a number, and how many words that is."""


@dataclass(frozen=True, eq=False)
class Deck:
    """A deck that was read.

    Attributes:
        netlist: The circuit.  Inputs: every V and I source of the top level, in order (with its letter where a V and
            an I share a name); outputs: the nodes that .save or .print name, else every node of the top level.
        analyses: In the deck's order.
        options: The deck's .options; tolerances are in its Transients too.
        standalone: The deck has .print cards.
        renamed: Our name to the deck's, for names with characters that we do not write.
    """

    netlist: Netlist
    analyses: tuple[Analysis, ...]
    options: Mapping[str, str]
    standalone: bool
    renamed: Mapping[str, str]

    @property
    def title(self) -> str:
        """First line of the deck."""
        return self.netlist.title

    def text(self) -> str:
        """The deck written anew, self-contained, by :func:`write_deck`."""
        return write_deck(self.netlist, *self.analyses, standalone=self.standalone)


def read_deck(deck: str | Path) -> Deck:
    """Read a deck.

    Known are R C L V I E F G H K S B and X, .subckt with parameters, .param, .model of switches, .ic (with uic), .tran
    .op .ac .noise, .temp, .save .print .plot, .nodeset (ignored), .options without effect on the circuit, .end;
    continuation lines, comments, SPICE's suffixes.  The first line is the title.

    Args:
        deck: The text, or the path of a file (a :class:`~pathlib.Path`, or a text of one line).

    Raises:
        MisuseError: Anything else, by file, line and card: in particular every card that can touch files or run
            commands (.control, .include, .lib, ``*#`` ...).

    Cost: about 4 microseconds an element.
    """
    if isinstance(deck, Path) or "\n" not in deck:
        path = Path(deck)
        try:
            with path.open("rb") as file:
                data = file.read(_LARGEST_FILE + 1)  # a device may have no end
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MisuseError(f"deck {str(deck)[:200]!r} cannot be read ({reason}): give a path, or the text") from None
        if len(data) > _LARGEST_FILE:
            raise MisuseError(f"deck {path.name!r} has more than {_LARGEST_FILE} bytes; build the netlist in Python")
        try:
            return _Reader(data.decode("utf-8"), path.name).deck()
        except UnicodeDecodeError:
            return _Reader(data.decode("latin-1"), path.name).deck()
    return _Reader(deck, "deck").deck()


class _Reader:
    """One deck being read."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        first, _, rest = text.partition("\n")
        self.title = _title(first.rstrip("\r"), source)
        self.name = NameMap()
        self.index: dict[str, int] = {GROUND: 0, "gnd": 0}
        self.node_names = [GROUND]
        self.columns: dict[Kind, Columns] = {}
        self.blocks: list[list[Card]] = []
        elements, commands = self._sorted(read_cards(rest, source, 2))
        self.commands: Commands = read_commands(commands, source, self.name)
        celsius = self.commands.celsius
        self.kelvin = ROOM_KELVIN if celsius is None else celsius + ZERO_CELSIUS
        if self.kelvin < 0:
            raise MisuseError(f"{source}: .temp {celsius!r} is below absolute zero; give degrees Celsius")
        parameters, models = self.commands.parameters, self.commands.models
        self.scope = Scope(self.name, parameters, models, self.kelvin - ZERO_CELSIUS)
        self.cells = self._cells()
        self.instances: dict[str, list[tuple[Card, CellInstance]]] = {}
        self._elements(elements)

    def _sorted(self, cards: list[Card]) -> tuple[list[Card], list[Card]]:
        """Elements and commands of the top level; subcircuits go to ``blocks``."""
        elements: list[Card] = []
        commands: list[Card] = []
        inside: list[Card] = []
        for k, card in enumerate(cards):
            word = card.text.split(maxsplit=1)[0] if card.text[0] == "." else ""
            if word in (".subckt", ".ends") and (word == ".subckt") == bool(inside):
                raise card_error(self.source, card, "a .subckt inside a .subckt, or .ends without one; define it apart")
            if word == ".subckt" or inside:
                inside.append(card)
                if word == ".ends":
                    self.blocks.append(inside)
                    inside = []
            elif word == ".end":
                if k + 1 < len(cards):
                    raise card_error(self.source, cards[k + 1], "there is something after .end; remove it")
            else:
                (commands if word else elements).append(card)
        if inside:
            raise card_error(self.source, inside[0], ".subckt without .ends")
        return elements, commands

    def _cells(self) -> dict[str, Cell]:
        cells: dict[str, Cell] = {}
        if len(self.blocks) > _MOST_CELLS:
            card = self.blocks[_MOST_CELLS][0]
            raise card_error(self.source, card, f"{len(self.blocks)} subcircuits, the limit is {_MOST_CELLS}")
        for block in self.blocks:
            cell = with_library_text(read_cell(block, self.source, self.scope))
            if cell.name in cells:
                raise card_error(self.source, block[0], f"subcircuit {cell.name!r} is defined twice")
            cells[cell.name] = cell
        depths: dict[str, int] = {}
        for block, cell in zip(self.blocks, cells.values(), strict=True):
            with located(self.source, block[0]):
                for x in cell.instances:
                    _check_instance(x, cells)
        for block, cell in zip(self.blocks, cells.values(), strict=True):
            with located(self.source, block[0]):
                _depth(cell.name, cells, (), depths)
        return cells

    def _elements(self, cards: list[Card]) -> None:
        """The hot loop: plain cards of R, E and G are split and stored, everything else goes the long way."""
        index = self.index
        fast: dict[str, Columns] = {}
        for card in cards:
            text = card.text
            letter = text[0]
            words = text.split()
            if _PLAIN_WORDS.get(letter) == len(words) and _PLAIN.fullmatch(words[-1]) and _SAFE.fullmatch(words[0]):
                try:
                    nodes = [index[word] for word in words[1:-1]]
                except KeyError:
                    pass  # a new node: the long way makes it
                else:
                    columns = fast.get(letter)
                    if columns is None:
                        columns = fast[letter] = self._columns(Kind(letter.upper()))
                    columns.names.append(words[0][1:])
                    columns.nodes.extend(nodes)
                    columns.values.append(float(words[-1]))
                    columns.lines.append(card.line)
                    continue
            try:
                self._element(card)
            except MisuseError as error:
                raise card_error(self.source, card, str(error)) from None

    def _columns(self, kind: Kind) -> Columns:
        if kind not in self.columns:
            self.columns[kind] = Columns(kind)
        return self.columns[kind]

    def _node(self, ours: str) -> int:
        """Index of a node under our name, made where it is new."""
        if ours == GROUND:
            return 0
        theirs = self.name.renamed.get(ours, ours)
        if theirs not in self.index:
            self.index[theirs] = len(self.node_names)
            self.node_names.append(ours)
        return self.index[theirs]

    def _element(self, card: Card) -> None:
        if card.text[0] == "x":
            x = parse_instance(card.text, self.name)
            _check_instance(x, self.cells)
            self.instances.setdefault(x.cell, []).append((card, x))
            for node in x.nodes:
                self._node(node)
            return
        e = parse_element(card.text, self.name, self.scope.models, self.scope.celsius)
        nodes = [self._node(node) for node in e.nodes]
        self._columns(e.kind).add(e, nodes, card.line, self.commands.parameters, self.kelvin)

    def deck(self) -> Deck:
        self._refuse_twice()
        self._move_noise()
        self._initial_conditions()
        tables = tuple(self._table(columns) for columns in self.columns.values())
        self._refuse_dangling()
        groups = tuple(self._group(cell, rows) for cell, rows in self.instances.items() if rows)
        netlist = Netlist(
            self.title, tuple(self.node_names), tables, groups, self.cells, _input_labels(tables), self._outputs(),
            self.kelvin,
        )  # fmt: skip
        analyses = tuple(self._checked(card, analysis, netlist) for card, analysis in self.commands.analyses)
        standalone = self.commands.prints
        return Deck(netlist, analyses, self.commands.options, standalone, dict(self.name.renamed))

    def _error(self, line: int, reason: str) -> MisuseError:
        return MisuseError(f"{self.source}, line {line}: {reason}")

    def _refuse_twice(self) -> None:
        for columns in self.columns.values():
            if len(set(columns.names)) != len(columns.names):
                seen: set[str] = set()
                for name, line in zip(columns.names, columns.lines, strict=True):
                    if name in seen:
                        raise self._error(line, f"element {columns.kind.value}{name} is there twice: rename one")
                    seen.add(name)
        seen = set()
        for card, x in (row for rows in self.instances.values() for row in rows):
            if x.name in seen:
                raise card_error(self.source, card, f"element X{x.name} is there twice: rename one")
            seen.add(x.name)

    def _table(self, columns: Columns) -> Table:
        try:
            return columns.table()
        except MisuseError as error:
            raise self._error(columns.bad_line(), str(error)) from None

    def _refuse_dangling(self) -> None:
        """F, H and K name elements that are there; B reads nodes that are there."""
        targets = {Kind.CCCS: Kind.VOLTAGE_SOURCE, Kind.CCVS: Kind.VOLTAGE_SOURCE, Kind.COUPLING: Kind.INDUCTOR}
        for kind, target in targets.items():
            columns = self.columns.get(kind)
            known = set(self.columns[target].names) if target in self.columns else set[str]()
            for column in ("controls", "partners"):
                for row, name in (columns.extras.get(column, {}) if columns else {}).items():
                    if columns and name not in known:
                        raise self._error(columns.lines[row], f"there is no element {target.value}{name}")
        behavioral = self.columns.get(Kind.BEHAVIORAL)
        for row, text in (behavioral.extras["expressions"] if behavioral else {}).items():
            for node in re.findall(r"v\(([^()]*)\)", text):
                for name in node.split(","):
                    if behavioral and name not in (GROUND, *self.node_names):
                        raise self._error(behavioral.lines[row], f"there is no node {name!r}")

    def _move_noise(self) -> None:
        """Instances of the noise cell that stand for a current source's noise_psd become it again."""
        sources = self.columns.get(Kind.CURRENT_SOURCE)
        is_ours = self.cells.get(NOISE_CELL) == load_cell(NOISE_CELL)
        has_sweep = any(isinstance(analysis, NoiseSweep) for _, analysis in self.commands.analyses)
        if sources is None or not is_ours or not has_sweep:
            return
        row_of = {name: row for row, name in enumerate(sources.names)}
        kept: list[tuple[Card, CellInstance]] = []
        for card, x in self.instances.get(NOISE_CELL, []):
            row = row_of.get(x.name.removeprefix(NOISE_PREFIX)) if x.name.startswith(NOISE_PREFIX) else None
            ports = [self._node(node) for node in x.nodes]
            if row is None or sources.nodes[2 * row : 2 * row + 2] != ports:
                kept.append((card, x))
            else:
                with located(self.source, card):
                    psd = self._parameters(x).get("psd", 0.0)
                sources.extras.setdefault("noise_psd", {})[row] = psd
        self.instances[NOISE_CELL] = kept
        if not kept:
            del self.instances[NOISE_CELL], self.cells[NOISE_CELL]

    def _parameters(self, x: CellInstance) -> dict[str, float]:
        return {key: float(evaluate(text, self.scope.parameters)) for key, text in x.parameters}

    def _group(self, cell: str, rows: list[tuple[Card, CellInstance]]) -> Instances:
        """All instances of a cell; a parameter that only some of them give is written out for the others."""
        given: list[dict[str, float]] = []
        for card, x in rows:
            with located(self.source, card):
                given.append(self._parameters(x))
        keys = sorted({key for values in given for key in values})
        if any(values.keys() != set(keys) for values in given):
            given = [self._completed(cell, values) for values in given]
        return Instances(
            cell=cell,
            names=tuple(x.name for _, x in rows),
            nodes=np.array([[self._node(node) for node in x.nodes] for _, x in rows], dtype=np.int64).reshape(
                len(rows), len(self.cells[cell].ports)
            ),
            parameters={key: np.array([values[key] for values in given]) for key in keys},
        )

    def _completed(self, cell: str, given: dict[str, float]) -> dict[str, float]:
        values: dict[str, Floats] = {}
        for key, default in self.cells[cell].parameters:
            values[key] = np.asarray(given[key]) if key in given else evaluate(default, values)
        return {key: float(value) for key, value in values.items()}

    def _initial_conditions(self) -> None:
        """``.ic`` with uic: a capacitor without ic starts at the difference of its nodes' voltages, as in ngspice."""
        start = self.commands.initial
        if start is None:
            return
        card, volts = start
        with located(self.source, card):
            for node in volts:
                if node not in self.node_names:
                    raise MisuseError(f"there is no node {node!r} at the top level; give ic= on the capacitors")
            for x in (x for rows in self.instances.values() for _, x in rows):
                if volts.keys() & set(x.nodes) and _stores_without_ic(x.cell, self.cells):
                    raise MisuseError(f".ic on a node of X{x.name}: give ic= on the capacitors of {x.cell!r} instead")
        capacitors = self.columns.get(Kind.CAPACITOR)
        if capacitors is not None:
            given = capacitors.extras.setdefault("initial", {})
            at = [volts.get(name, 0.0) for name in self.node_names]
            for row in range(len(capacitors.names)):
                a, b = capacitors.nodes[2 * row : 2 * row + 2]
                given.setdefault(row, at[a] - at[b])

    def _outputs(self) -> tuple[str, ...]:
        for card, name in self.commands.outputs:
            if name not in self.node_names[1:]:
                raise card_error(self.source, card, f"there is no node {name!r} at the top level")
        named = dict.fromkeys(name for _, name in self.commands.outputs)
        return tuple(named) if named else tuple(self.node_names[1:])

    def _checked(self, card: Card, analysis: Analysis, netlist: Netlist) -> Analysis:
        """A noise sweep's nodes and source exist; its source gets the label it has among the inputs."""
        if not isinstance(analysis, NoiseSweep):
            return analysis
        with located(self.source, card):
            for node in (analysis.output, analysis.reference):
                if node is not None and node not in netlist.node_names:
                    raise MisuseError(f"there is no node {node!r} at the top level")
            for table in (table for table in netlist.tables if table.kind.is_source):
                if table.kind.value.lower() == analysis.source[:1] and analysis.source[1:] in table.names:
                    plain = analysis.source[1:]
                    label = plain if netlist.inputs.count(plain) else analysis.source
                    return replace(analysis, source=label)
            raise MisuseError(f"there is no source {analysis.source!r}; name a V or I source with its letter")


def _title(line: str, source: str) -> str:
    """The title without the star or ``.title`` that it may stand behind."""
    plain = line.removeprefix("\ufeff").replace("\t", " ")
    start = plain.lower().lstrip()
    if start.startswith(("*#", "*ng_script")) or (start[:1] == "." and not plain.lower().startswith(".title ")):
        raise MisuseError(
            f"{source}, line 1: the first line is the title, and {line[:60]!r} is a command; put one above"
        )
    if plain.startswith("* "):
        plain = plain[2:]
    elif plain.lower().startswith(".title "):
        plain = plain[7:]
    else:
        plain = plain.lstrip("*").strip()
    if not plain.isprintable():
        raise MisuseError(f"{source}, line 1: the title {line[:60]!r} has characters that cannot be printed")
    return plain


def _check_instance(x: CellInstance, cells: Mapping[str, Cell]) -> None:
    cell = cells.get(x.cell)
    if cell is None:
        known = ", ".join(sorted(cells)[:20]) or "none"
        raise MisuseError(f"there is no subcircuit {x.cell!r} in this deck (it has: {known}); add its .subckt")
    if len(x.nodes) != len(cell.ports):
        raise MisuseError(f"subcircuit {x.cell!r} has {len(cell.ports)} ports, not {len(x.nodes)}")
    unknown = {key for key, _ in x.parameters} - {key for key, _ in cell.parameters}
    if unknown:
        raise MisuseError(f"subcircuit {x.cell!r} has no parameter {min(unknown)!r}")


def _depth(name: str, cells: Mapping[str, Cell], above: tuple[str, ...], known: dict[str, int]) -> int:
    """Levels of cells in one of cell ``name``, each cell looked at once; MisuseError for a circle or too many."""
    if name in above:
        raise MisuseError(f"subcircuit {name!r} contains itself ({' > '.join((*above, name))})")
    if name not in known and len(above) < _MOST_LEVELS:
        inner = dict.fromkeys(x.cell for x in cells[name].instances)
        known[name] = 1 + max((_depth(cell, cells, (*above, name), known) for cell in inner), default=0)
    if len(above) + known.get(name, 1) > _MOST_LEVELS:
        raise MisuseError(f"subcircuit {name!r}: more than {_MOST_LEVELS} levels of subcircuits; make it flatter")
    return known[name]


def _stores_without_ic(name: str, cells: Mapping[str, Cell]) -> bool:
    """Whether cell ``name``, or one inside it at any level, has a capacitor without ic."""
    return any(e.kind is Kind.CAPACITOR and not e.initial for k in _inside(name, cells) for e in cells[k].elements)


def _inside(name: str, cells: Mapping[str, Cell]) -> list[str]:
    """The cell and all those inside it, each once."""
    found = [name]
    seen = {name}
    for cell in found:
        new = dict.fromkeys(x.cell for x in cells[cell].instances if x.cell not in seen)
        found.extend(new)
        seen.update(new)
    return found


def _input_labels(tables: tuple[Table, ...]) -> tuple[str, ...]:
    """Names of all sources; with the letter where a V and an I share one."""
    sources = [table for table in tables if table.kind.is_source]
    names = [name for table in sources for name in table.names]
    shared = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set[str]()
    return tuple(
        table.kind.value.lower() + name if name in shared else name for table in sources for name in table.names
    )
