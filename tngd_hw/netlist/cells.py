"""Cells (subcircuits): the library in ``circuits/NAME.lib``, and those of decks, read by the same parser.

A cell is one ``.subckt`` of R C L V I E F G H K S B and X cards with parameters, ``.param`` and switch models of its
own; X cards name other cells.
"""

from __future__ import annotations

import functools
import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tngd_hw.netlist.behavioral import check_behavioral, substituted_behavioral
from tngd_hw.netlist.cards import Card, NameMap, located, read_cards, split_assignments, split_words
from tngd_hw.netlist.element_cards import (
    CellElement,
    CellInstance,
    element_card,
    instance_card,
    node_name,
    parse_element,
    parse_instance,
    parse_switch_model,
    switch_model_card,
)
from tngd_hw.netlist.expression import check_expression, plain_number, substituted
from tngd_hw.netlist.tables import GROUND, Floats, Kind, SwitchModel
from tngd_hw.outcome import MisuseError

__all__ = [
    "Cell",
    "CellElement",
    "CellInstance",
    "Scope",
    "circuits_directory",
    "load_cell",
    "parse_cell",
    "read_cell",
    "silenced",
    "switch_names",
    "with_library_text",
    "with_text",
]


@dataclass(frozen=True)
class Cell:
    """A subcircuit: ports, parameters with defaults, elements, and its text as decks carry it."""

    name: str
    ports: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    elements: tuple[CellElement, ...]
    instances: tuple[CellInstance, ...]
    text: str


@dataclass(frozen=True, eq=False)
class Scope:
    """What a card may refer to: the deck's names, its global parameters and models, its temperature."""

    name: NameMap = field(default_factory=NameMap)
    parameters: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    models: Mapping[str, SwitchModel] = field(default_factory=dict[str, SwitchModel])
    celsius: float = 27.0

    @functools.cached_property
    def texts(self) -> dict[str, str]:
        """The global parameters as numbers that can stand in an expression; made once for all cells of a deck."""
        return {key: f"({float(value)!r})" for key, value in self.parameters.items()}


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
    if not re.fullmatch(r"[a-z0-9_]+", name) or not path.is_file():
        known = ", ".join(sorted(p.stem for p in directory.glob("*.lib")))
        raise MisuseError(f"cell {name!r} is not in the library; it has: {known}")
    return parse_cell(path.read_text(encoding="utf-8"), str(path.name))


def parse_cell(text: str, source: str) -> Cell:
    """Read one ``.subckt`` ... ``.ends`` block; errors name ``source`` and the line."""
    cards = read_cards(text, source)
    if not cards or not _is(cards[0], ".subckt") or not _is(cards[-1], ".ends"):
        raise MisuseError(f"{source}: expected one block from .subckt to .ends")
    return replace(read_cell(cards, source, Scope()), text=text.strip() + "\n")


def _is(card: Card, command: str) -> bool:
    return card.text.split(maxsplit=1)[0] == command


def read_cell(cards: Sequence[Card], source: str, scope: Scope) -> Cell:
    """The cell of the cards from ``.subckt`` to ``.ends``; its text is written anew, global parameters as numbers."""
    with located(source, cards[0]):
        name, ports, parameters = _header(cards[0], scope)
    own = {key for key, _ in parameters}
    local = ChainMap({key: key for key in own}, scope.texts)
    with located(source, cards[0]):
        parameters = tuple((key, substituted(_checked(value), local)) for key, value in parameters)
    models = dict(scope.models)
    inner: list[Card] = []
    for card in cards[1:-1]:
        with located(source, card):
            if _is(card, ".param"):
                _add_local_parameters(card, local, own)
            elif _is(card, ".model"):
                models.update([parse_switch_model(card.text, scope.parameters)])
            elif card.text[0] == ".":
                raise MisuseError("cannot read the card; a subcircuit has elements, X, .param and .model")
            else:
                inner.append(card)
    elements: list[CellElement] = []
    instances: list[CellInstance] = []
    seen: set[str] = set()
    for card in inner:
        with located(source, card):
            _refuse_twice(card, seen)
            if card.text[0] == "x":
                instances.append(_instance(parse_instance(card.text, scope.name), local, own))
            else:
                element = parse_element(card.text, scope.name, models, scope.celsius)
                elements.append(_element(element, local, own))
    return with_text(Cell(name, ports, parameters, tuple(elements), tuple(instances), ""))


def _header(card: Card, scope: Scope) -> tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]:
    words = [word for word in split_words(card.text)[1:] if word not in ("params:", "params")]
    plain = [word for word in words if "=" not in word]
    if not plain or any("=" in word for word in words[: len(plain)]):
        raise MisuseError("cannot read the card: .subckt is a name, ports, then name=value")
    ports = tuple(node_name(word, scope.name) for word in plain[1:])
    if GROUND in ports or len(set(ports)) != len(ports):
        raise MisuseError(f"ports {' '.join(plain[1:])}: each needs a name of its own, and none can be ground")
    return scope.name(plain[0]), ports, split_assignments(words[len(plain) :])


def _checked(value: str) -> str:
    return value if value[0] in "{+-.0123456789" else f"{{{value}}}"


def _add_local_parameters(card: Card, local: MutableMapping[str, str], own: set[str]) -> None:
    for key, value in split_assignments(split_words(card.text)[1:]):
        if key in own:
            raise MisuseError(f"{key!r} is a parameter of the subcircuit already")
        text = substituted(value.strip("{}"), local)
        check_expression(text, own)
        local[key] = f"({text})"


def _refuse_twice(card: Card, seen: set[str]) -> None:
    name = card.text.split(maxsplit=1)[0]
    if name in seen:
        raise MisuseError(f"element {name} is there twice: give every element its own name")
    seen.add(name)


def _instance(x: CellInstance, local: Mapping[str, str], own: set[str]) -> CellInstance:
    parameters = tuple((key, substituted(value, local)) for key, value in x.parameters)
    for _, value in parameters:
        check_expression(value, own)
    return replace(x, parameters=parameters)


def _element(e: CellElement, local: Mapping[str, str], own: set[str]) -> CellElement:
    if e.kind is Kind.BEHAVIORAL:
        expression = substituted_behavioral(e.expression, local, own)
        check_behavioral(expression, own)
        return replace(e, expression=expression)

    def text(value: str) -> str:
        if not value or plain_number(value) is not None:
            return value
        checked = substituted(value, local)
        check_expression(checked, own)
        return checked

    return replace(
        e, value=text(e.value), initial=text(e.initial), above=text(e.above), ac=tuple(map(text, e.ac)),
        numbers=tuple(map(text, e.numbers)),
    )  # fmt: skip


def with_text(cell: Cell) -> Cell:
    """The cell with its text written anew."""
    head = f".subckt {' '.join((cell.name, *cell.ports))}"
    models = switch_names(e.switch for e in cell.elements if e.switch is not None)
    lines = [head + "".join(f" {key}={value}" for key, value in cell.parameters)]
    lines += [switch_model_card(name, model) for model, name in models.items()]
    lines += [element_card(e, models) for e in cell.elements]
    lines += [instance_card(x) for x in cell.instances]
    return replace(cell, text="\n".join([*lines, ".ends"]) + "\n")


def with_library_text(cell: Cell) -> Cell:
    """The library's cell, comments included, where ``cell`` equals it; else ``cell``."""
    if (circuits_directory() / f"{cell.name}.lib").is_file():
        library = load_cell(cell.name)
        if replace(library, text="") == replace(cell, text=""):
            return library
    return cell


def switch_names(switches: Iterable[SwitchModel]) -> dict[SwitchModel, str]:
    """A name for every different model, in order of appearance; the state at t = 0 is the element's own."""
    names: dict[SwitchModel, str] = {}
    for switch in switches:
        model = replace(switch, starts_on=False)
        names.setdefault(model, f"switch{len(names)}")
    return names


def silenced(cell: Cell) -> Cell:
    """The cell with ``noisy=0`` on each of its resistors."""
    elements = tuple(replace(e, noiseless=True) if e.kind is Kind.RESISTOR else e for e in cell.elements)
    return cell if elements == cell.elements else with_text(replace(cell, elements=elements))
