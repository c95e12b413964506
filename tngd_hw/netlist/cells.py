"""The SPICE cell library: finds ``circuits/NAME.lib`` and reads it into a :class:`Cell`.

A library file holds one ``.subckt`` of R C L V I E F G H and X cards; X cards name other cells of the library.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tngd_hw.netlist.tables import Kind, check_names
from tngd_hw.outcome import MisuseError

__all__ = ["Cell", "CellElement", "CellInstance", "circuits_directory", "load_cell", "parse_cell"]


@dataclass(frozen=True)
class CellElement:
    """One element of a cell: its nodes by name and its value as an expression of the cell's parameters."""

    kind: Kind
    name: str
    nodes: tuple[str, ...]
    value: str
    control: str = ""
    initial: str = "0"


@dataclass(frozen=True)
class CellInstance:
    """An X card inside a cell."""

    cell: str
    name: str
    nodes: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """A subcircuit: ports, parameters with defaults, elements, and its text as it stands in the library."""

    name: str
    ports: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    elements: tuple[CellElement, ...]
    instances: tuple[CellInstance, ...]
    text: str


def circuits_directory() -> Path:
    """The cell library: inside the package in a wheel, at the top level in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for directory in (package / "circuits", package.parent / "circuits"):
        if directory.is_dir():
            return directory
    raise MisuseError(f"no circuits/ directory beside {package}: reinstall tngd-hw")


@functools.cache
def load_cell(name: str) -> Cell:
    """Read cell ``name`` from the library; MisuseError names the cells there are."""
    directory = circuits_directory()
    path = directory / f"{name}.lib"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in directory.glob("*.lib")))
        raise MisuseError(f"cell {name!r} is not in the library; it has: {known}")
    return parse_cell(path.read_text(encoding="utf-8"), str(path.name))


def parse_cell(text: str, source: str) -> Cell:
    """Read one ``.subckt`` ... ``.ends`` block; errors name ``source`` and the line."""
    cards = list(_cards(text))
    if not cards or not cards[0][1].startswith(".subckt") or not cards[-1][1].startswith(".ends"):
        raise MisuseError(f"{source}: expected one block from .subckt to .ends")
    _, name, *rest = cards[0][1].split()
    ports = tuple(word for word in rest if "=" not in word and word != "params:")
    check_names((name, *ports), f"{source}: name")
    elements: list[CellElement] = []
    instances: list[CellInstance] = []
    for line, card in cards[1:-1]:
        words = card.split()
        try:
            if card.startswith("x"):
                instances.append(_instance(words))
            else:
                elements.append(_element(words))
        except (ValueError, IndexError):
            raise MisuseError(f"{source}, line {line}: cannot read the card {card!r}") from None
    return Cell(name, ports, _parameters(rest), tuple(elements), tuple(instances), text.strip() + "\n")


def _cards(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        card = line.partition(";")[0].strip().lower()
        if card and not card.startswith("*"):
            yield number, card


def _parameters(words: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = (word.partition("=") for word in words if "=" in word)
    return tuple((key, value) for key, _, value in pairs)


def _element(words: list[str]) -> CellElement:
    kind = Kind(words[0][0].upper())
    nodes = tuple(words[1 : 1 + kind.terminals])
    rest = words[1 + kind.terminals :]
    control = rest.pop(0) if kind.is_current_controlled else ""
    if control and not control.startswith("v"):
        raise ValueError(control)
    options = dict(_parameters(rest[1:]))
    if set(options) - {"ic"} or len(rest) != 1 + len(options):
        raise ValueError(rest)
    return CellElement(kind, words[0][1:], nodes, rest[0], control[1:], options.get("ic", "0"))


def _instance(words: list[str]) -> CellInstance:
    plain = [word for word in words if "=" not in word]
    return CellInstance(plain[-1], words[0][1:], tuple(plain[1:-1]), _parameters(words))
