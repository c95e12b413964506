"""One element card of SPICE to its parts and back; values stay expressions, for cells with parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tngd_hw.netlist.cards import NameMap, split_assignments, split_words, squeezed
from tngd_hw.netlist.expression import evaluate
from tngd_hw.netlist.tables import GROUND, Floats, Kind, SwitchModel
from tngd_hw.netlist.waveform import Shape
from tngd_hw.outcome import MisuseError

__all__ = [
    "CellElement",
    "CellInstance",
    "element_card",
    "instance_card",
    "node_name",
    "parse_element",
    "parse_instance",
    "parse_switch_model",
    "switch_model_card",
]

_SOURCE_WORDS = frozenset({
    "dc", "ac", "sffm", "am", "trnoise", "trrandom", "external", "distof1", "distof2", "portnum", "z0",
    *(shape.value for shape in Shape),
})  # fmt: skip
_SHAPES = {shape.value: shape for shape in Shape}
_NONLINEAR = ("poly", "value", "table", "vol", "cur", "laplace", "freq")
_LETTERS = frozenset(kind.value.lower() for kind in Kind)


@dataclass(frozen=True)
class CellElement:
    """One element of a cell: its nodes by name and its value as an expression of the cell's parameters.

    Attributes:
        kind: What it is.
        name: Its name without the letter.
        nodes: Names of its nodes; ground is ``"0"``.
        value: As :attr:`Table.values`; empty for a source that has only a waveform, for S and for B.
        control: For F and H the voltage source, for K the first inductor, with no letter.
        initial: The ``ic`` value of C and L; empty where none is given, which is 0.
        partner: For K the second inductor.
        above: For R, kelvin above the circuit's temperature (SPICE's ``dtemp``); empty is none.
        noiseless: For R, true with ``noisy=0``.
        ac: For V and I, magnitude and phase in degrees; empty is none.
        shape: For V and I, the waveform's shape, if any.
        numbers: For V and I, the waveform's numbers.
        switch: For S, its model.
        expression: For B, its expression.
    """

    kind: Kind
    name: str
    nodes: tuple[str, ...]
    value: str
    control: str = ""
    initial: str = ""
    partner: str = ""
    above: str = ""
    noiseless: bool = False
    ac: tuple[str, ...] = ()
    shape: Shape | None = None
    numbers: tuple[str, ...] = ()
    switch: SwitchModel | None = None
    expression: str = ""


@dataclass(frozen=True)
class CellInstance:
    """An X card inside a cell."""

    cell: str
    name: str
    nodes: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]


def parse_element(
    card: str, name: NameMap, models: Mapping[str, SwitchModel], circuit_celsius: float = 27.0
) -> CellElement:
    """Read a card of any :class:`Kind`.

    Args:
        card: The card in lower case.
        name: The deck's names to ours.
        models: The switch models there are.
        circuit_celsius: What ``temp=`` of a resistor is compared with.

    Raises:
        MisuseError: The card is of another kind, too long, too short, or has options that are not modelled.
    """
    if card[0] not in _LETTERS:
        raise MisuseError(f"no element {card[0].upper()}: the reader knows {' '.join(k.value for k in Kind)} and X")
    kind = Kind(card[0].upper())
    words = split_words(card, keep_parentheses=kind is Kind.BEHAVIORAL)
    _refuse_nonlinear(kind, words)
    if len(words) < (1 if kind.is_source else 2) + kind.terminals or len(words[0]) < 2:
        raise MisuseError(f"cannot read the card: {kind.value} is a letter and a name, {kind.terminals} nodes, a value")
    nodes = tuple(node_name(word, name) for word in words[1 : 1 + kind.terminals])
    rest = words[1 + kind.terminals :]
    element = CellElement(kind, name(words[0][1:]), nodes, "")
    if kind.is_source:
        return _source(element, rest)
    if kind is Kind.BEHAVIORAL:
        return replace(element, expression=_behavior(rest, name))
    if kind is Kind.COUPLING:
        return _coupling(element, rest, name)
    if kind is Kind.SWITCH:
        return _switch(element, rest, models)
    if kind.is_current_controlled:
        if not rest[0].startswith("v") or len(rest[0]) < 2:
            raise MisuseError(f"cannot read the card: {kind.value} names a V source, not {rest[0]!r}")
        element = replace(element, control=name(rest.pop(0)[1:]))
    return _passive(element, rest, circuit_celsius)


def _braced(value: str) -> str:
    """A bare parameter name in braces, as ngspice reads it; numbers and braces as they are."""
    return f"{{{value}}}" if value and not value.startswith("{") and value[0] not in "+-.0123456789" else value


def node_name(word: str, name: NameMap) -> str:
    """Our name of a node; ``gnd`` is ground."""
    return GROUND if word in (GROUND, "gnd") else name(word)


def _refuse_nonlinear(kind: Kind, words: list[str]) -> None:
    if kind in (Kind.VCVS, Kind.VCCS, Kind.CCCS, Kind.CCVS):
        for word in words[1:]:
            if word.partition("=")[0] in _NONLINEAR and (word == "poly" or "=" in word or word == "table"):
                raise MisuseError(
                    f"{word.partition('=')[0].upper()} sources are refused; write one {kind.value} card a term, or a B "
                    "source of tanh, min and max"
                )


def _passive(element: CellElement, rest: list[str], circuit_celsius: float) -> CellElement:
    kind = element.kind
    own = kind.value.lower()
    plain = [word for word in rest if "=" not in word]
    options = dict(split_assignments([word for word in rest if "=" in word]))
    if kind in (Kind.RESISTOR, Kind.CAPACITOR, Kind.INDUCTOR) and own in options:
        plain.append(options.pop(own))
    if len(plain) != 1:
        raise MisuseError(f"cannot read the card: {kind.value} has {kind.terminals} nodes and one value")
    element = replace(element, value=_braced(plain[0]))
    if kind.stores_energy and "ic" in options:
        element = replace(element, initial=_braced(options.pop("ic")))
    if kind is Kind.RESISTOR:
        element = replace(element, above=_above(options, circuit_celsius), noiseless=_noiseless(options))
    if options:
        raise MisuseError(f"cannot read the card: the option {next(iter(options))!r} of {kind.value} is not modelled")
    return element


def _above(options: dict[str, str], circuit_celsius: float) -> str:
    above = options.pop("dtemp", "")
    if "temp" in options:  # as in ngspice, temp wins
        celsius = options.pop("temp").strip("{}")
        return f"{{({celsius})-({circuit_celsius!r})}}"
    return _braced(above)


def _noiseless(options: dict[str, str]) -> bool:
    noisy = options.pop("noisy", "1")
    if noisy not in ("0", "1"):
        raise MisuseError(f"cannot read the card: noisy={noisy!r} has to be 0 or 1")
    return noisy == "0"


def _coupling(element: CellElement, rest: list[str], name: NameMap) -> CellElement:
    if len(rest) != 3 or not all(word.startswith("l") and len(word) > 1 for word in rest[:2]):
        raise MisuseError("cannot read the card: K names two inductors L... and a factor")
    return replace(element, control=name(rest[0][1:]), partner=name(rest[1][1:]), value=_braced(rest[2]))


def _switch(element: CellElement, rest: list[str], models: Mapping[str, SwitchModel]) -> CellElement:
    if len(rest) not in (1, 2) or rest[1:] not in ([], ["on"], ["off"]):
        raise MisuseError("cannot read the card: S has four nodes, a model, and on or off")
    if rest[0] not in models:
        raise MisuseError(f"there is no .model {rest[0]} sw(...); known are {', '.join(sorted(models)) or 'none'}")
    return replace(element, switch=replace(models[rest[0]], starts_on=rest[1:] == ["on"]))


def _behavior(rest: list[str], name: NameMap) -> str:
    text = " ".join(rest)
    if text.count("=") != 1:
        raise MisuseError("cannot read the card: B has two nodes and one v=expression or i=expression")
    return _with_nodes(text, name)


def _with_nodes(text: str, name: NameMap) -> str:
    """The expression with our names of nodes, its parameters as they are."""

    def renamed(match: re.Match[str]) -> str:
        return "v(" + ",".join(node_name(word, name) for word in match[1].split(",")) + ")"

    return re.sub(r"(?<![a-z0-9_])v\(([^()]*)\)", renamed, squeezed(text))


def _source(element: CellElement, rest: list[str]) -> CellElement:
    words = [part for word in rest for part in word.split("=")]
    if any(not word for word in words):
        raise MisuseError("cannot read the card: a source is [dc] value, ac magnitude phase, or a waveform")
    fields: dict[str, tuple[str, ...]] = {}
    position = 0
    if words and words[0] not in _SOURCE_WORDS:
        fields["dc"], position = (words[0],), 1
    while position < len(words):
        key = words[position]
        end = position + 1
        while end < len(words) and words[end] not in _SOURCE_WORDS:
            end += 1
        if key not in _SHAPES and key not in ("dc", "ac"):
            raise MisuseError(f"cannot read the card: {key!r} of a source is not modelled")
        if key in fields or (key in _SHAPES and fields.keys() & _SHAPES.keys()):
            raise MisuseError(f"cannot read the card: {key!r} is there twice, or a second waveform")
        fields[key] = tuple(words[position + 1 : end])
        position = end
    shape = next((_SHAPES[key] for key in fields if key in _SHAPES), None)
    _refuse_counts(shape, fields)
    value = fields["dc"][0] if "dc" in fields else ("" if shape else "0")
    ac = (*fields["ac"], *("1", "0")[len(fields["ac"]) :]) if "ac" in fields else ()
    numbers = tuple(_braced(number) for number in fields[shape.value]) if shape else ()
    return replace(element, value=_braced(value), ac=tuple(_braced(a) for a in ac), shape=shape, numbers=numbers)


def _refuse_counts(shape: Shape | None, fields: Mapping[str, tuple[str, ...]]) -> None:
    if len(fields.get("dc", ("",))) != 1:
        raise MisuseError("cannot read the card: dc has one value")
    if len(fields.get("ac", ())) > 2:
        raise MisuseError("cannot read the card: ac has a magnitude and a phase")
    if shape is not None and len(fields[shape.value]) not in shape.counts:
        counts = shape.counts
        raise MisuseError(f"cannot read the card: {shape.value} has {counts.start} to {counts.stop - 1} numbers")


def parse_instance(card: str, name: NameMap) -> CellInstance:
    """Read an X card: name, nodes, cell, ``name=value`` parameters, which are kept in alphabetical order."""
    words = [word for word in split_words(card) if word not in ("params:", "params")]
    plain = [word for word in words if "=" not in word]
    if len(plain) < 2 or len(words[0]) < 2 or any("=" in word for word in words[: len(plain)]):
        raise MisuseError("cannot read the card: X is a name, nodes, the subcircuit, then name=value")
    nodes = tuple(node_name(word, name) for word in plain[1:-1])
    parameters = tuple(sorted((key, _braced(value)) for key, value in split_assignments(words[len(plain) :])))
    return CellInstance(name(plain[-1]), name(plain[0][1:]), nodes, parameters)


def element_card(e: CellElement, models: Mapping[SwitchModel, str]) -> str:
    """The card of an element, which :func:`parse_element` reads back to the same; ``models`` names switch models."""
    head = " ".join((e.kind.value.lower() + e.name, *e.nodes))
    if e.kind is Kind.BEHAVIORAL:
        return f"{head} {e.expression}"
    if e.kind is Kind.COUPLING:
        return f"{head} l{e.control} l{e.partner} {e.value}"
    if e.switch is not None:
        return f"{head} {models[replace(e.switch, starts_on=False)]}{' on' if e.switch.starts_on else ''}"
    parts = [head]
    if e.kind.is_source:
        parts += [f"dc {e.value}"] if e.value else []
        parts += [f"ac {' '.join(e.ac)}"] if e.ac else []
        parts += [f"{e.shape.value}({' '.join(e.numbers)})"] if e.shape else []
        return " ".join(parts)
    parts += [f"v{e.control}"] if e.control else []
    parts.append(e.value)
    parts += [f"ic={e.initial}"] if e.initial else []
    parts += [f"dtemp={e.above}"] if e.above else []
    parts += ["noisy=0"] if e.noiseless else []
    return " ".join(parts)


def instance_card(x: CellInstance) -> str:
    """The card of an instance, which :func:`parse_instance` reads back to the same."""
    parameters = "".join(f" {key}={value}" for key, value in x.parameters)
    return f"x{x.name} {' '.join(x.nodes)} {x.cell}{parameters}"


def parse_switch_model(card: str, names: Mapping[str, Floats]) -> tuple[str, SwitchModel]:
    """Read ``.model name sw(ron=.. roff=.. vt=.. vh=..)``; ngspice's defaults are 1, 1e12, 0 and 0.

    ``names`` are the deck's global parameters.
    """
    words = split_words(card)
    if len(words) < 3 or words[2] != "sw":
        raise MisuseError("only .model NAME sw(ron= roff= vt= vh=) is modelled; write R, C and sources with values")
    given = dict(split_assignments(words[3:]))
    if given.keys() - {"ron", "roff", "vt", "vh"}:
        raise MisuseError("a switch has ron, roff, vt and vh")
    number = {"ron": 1.0, "roff": 1e12, "vt": 0.0, "vh": 0.0} | {k: float(evaluate(v, names)) for k, v in given.items()}
    return words[1], SwitchModel(number["ron"], number["roff"], number["vt"], number["vh"])


def switch_model_card(name: str, model: SwitchModel) -> str:
    """The ``.model`` card of a switch."""
    return (
        f".model {name} sw(ron={model.on_ohm!r} roff={model.off_ohm!r} vt={model.threshold_volt!r} "
        f"vh={model.hysteresis_volt!r})"
    )
