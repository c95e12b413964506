"""Dot cards of a deck: parameters, models, settings, analyses, what is saved.  Everything else is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tngd_hw.netlist.analyses import AcSweep, Analysis, NoiseSweep, OperatingPoint, Spacing, Transient
from tngd_hw.netlist.cards import Card, NameMap, card_error, located, split_assignments, split_words
from tngd_hw.netlist.columns import number_of
from tngd_hw.netlist.element_cards import node_name, parse_switch_model
from tngd_hw.netlist.expression import evaluate, names_in
from tngd_hw.netlist.noise_columns import NoiseSources
from tngd_hw.netlist.tables import GROUND, Floats, SwitchModel
from tngd_hw.outcome import MisuseError

__all__ = ["Commands", "read_commands"]

_OPTIONS = frozenset({
    "abstol", "acct", "chgtol", "gmin", "interp", "itl1", "itl2", "itl3", "itl4", "itl5", "itl6", "keepopinfo", "klu",
    "limpts", "list", "maxord", "method", "minbreak", "noacct", "node", "noinit", "nomod", "noopiter", "nopage",
    "numdgt", "opts", "pivrel", "pivtol", "reltol", "savecurrents", "sparse", "temp", "tnom", "trtol", "vntol", "xmu",
})  # fmt: skip
"""Options that change neither the circuit nor a file; those of the numerics are the engine's own affair."""
_SPACINGS = {spacing.value: spacing for spacing in Spacing}
_NODE_VOLTAGE = re.compile(r"v(?:m|p|r|i|db)?\(([^(),]+)\)")


_MOST_POINTS = 1_000_000
"""Of a sweep, a decade; ngspice counts in 32 bits."""
_MOST_PARAMETERS = 10_000
"""Global parameters of a deck: each of its cells carries them all."""


@dataclass
class Commands:
    """What the dot cards say.

    Attributes:
        parameters: Values of the global .param.
        models: Switch models.
        celsius: .temp or .options temp, if given.
        options: All .options as text.
        initial: The first .ic card and its node voltages, if any.
        analyses: Each with its card.
        outputs: Nodes of .save and .print, each with its card.
        prints: There is a .print.
    """

    parameters: dict[str, Floats] = field(default_factory=dict[str, Floats])
    models: dict[str, SwitchModel] = field(default_factory=dict[str, SwitchModel])
    celsius: float | None = None
    options: dict[str, str] = field(default_factory=dict[str, str])
    initial: tuple[Card, dict[str, float]] | None = None
    analyses: list[tuple[Card, Analysis]] = field(default_factory=list[tuple[Card, Analysis]])
    outputs: list[tuple[Card, str]] = field(default_factory=list[tuple[Card, str]])
    prints: bool = False


def read_commands(cards: Sequence[Card], source: str, name: NameMap) -> Commands:
    """Read the dot cards of the top level; order does not matter, as in SPICE.

    Raises:
        MisuseError: A card that is not on the list of those known, or a known one with more than is modelled.
    """
    found = Commands()
    by_word: dict[str, list[Card]] = {}
    for card in cards:
        word = card.text.split(maxsplit=1)[0]
        if word not in _KNOWN:
            known = " ".join(sorted(_KNOWN))
            raise card_error(source, card, f"{word} is refused; known are .subckt .ends .end {known}")
        by_word.setdefault(_KNOWN[word], []).append(card)
    found.parameters = _parameters(by_word.get(".param", []), source)
    for word in (".model", ".temp", ".options", ".ic"):
        for card in by_word.get(word, []):
            with located(source, card):
                _READERS[word](card, found, name)
    for card in cards:
        word = _KNOWN[card.text.split(maxsplit=1)[0]]
        if word in (".tran", ".op", ".ac", ".noise", ".save", ".print"):
            with located(source, card):
                _READERS[word](card, found, name)
    transients = [analysis for _, analysis in found.analyses if isinstance(analysis, Transient)]
    if found.initial is not None and any(not transient.uic for transient in transients):
        raise card_error(
            source, found.initial[0], ".ic without uic on .tran is not modelled; write uic, and ic= where it matters"
        )
    if not transients:
        found.initial = None  # .op, .ac and .noise do not look at it
    return found


def _parameters(cards: Sequence[Card], source: str) -> dict[str, Floats]:
    """Global parameters, which may refer to each other in any order."""
    texts: dict[str, tuple[Card, str]] = {}
    for card in cards:
        with located(source, card):
            for key, text in split_assignments(split_words(card.text)[1:]):
                if key in texts:
                    raise MisuseError(f"{key!r} is defined twice")
                if len(texts) == _MOST_PARAMETERS:
                    raise MisuseError(f"more than {_MOST_PARAMETERS} parameters; write the values out")
                texts[key] = (card, text)
    waits = {key: (names_in(text) - {key}) & texts.keys() for key, (_, text) in texts.items()}
    values: dict[str, Floats] = {}
    for key in _ordered(waits):
        card, text = texts[key]
        with located(source, card):
            values[key] = evaluate(text, values)
    for key in (key for key in texts if key not in values):
        raise card_error(source, texts[key][0], f"{key!r} is defined by itself, over others; break the circle")
    return values


def _ordered(waits: Mapping[str, set[str]]) -> Iterator[str]:
    """Each key after those it waits for (Kahn); keys in a circle, and behind one, are left out.  Cost: linear."""
    users: dict[str, list[str]] = {}
    for key, needs in waits.items():
        for need in needs:
            users.setdefault(need, []).append(key)
    missing = {key: len(needs) for key, needs in waits.items()}
    ready = [key for key, count in missing.items() if count == 0]
    for key in ready:
        yield key
        for user in users.get(key, ()):
            missing[user] -= 1
            if missing[user] == 0:
                ready.append(user)


def _model(card: Card, found: Commands, name: NameMap) -> None:
    del name
    key, model = parse_switch_model(card.text, found.parameters)
    if key in found.models:
        raise MisuseError(f"model {key!r} is defined twice")
    found.models[key] = model


def _temp(card: Card, found: Commands, name: NameMap) -> None:
    del name
    words = split_words(card.text)
    if len(words) != 2 or found.celsius is not None:
        raise MisuseError("one temperature in degrees Celsius for the whole deck; run a deck for each")
    found.celsius = _temperature(words[1], found)


def _temperature(text: str, found: Commands) -> float:
    celsius = number_of(text, found.parameters)
    if not abs(celsius) < float("inf"):
        raise MisuseError(f"temperature {text[:40]!r}: give a finite number of degrees Celsius")
    return celsius


def _options(card: Card, found: Commands, name: NameMap) -> None:
    del name
    for word in split_words(card.text)[1:]:
        key, _, value = word.partition("=")
        if key not in _OPTIONS or key in found.options:
            known = " ".join(sorted(_OPTIONS))
            raise MisuseError(f"option {key!r} is given twice or refused; known are {known}")
        if key == "temp":
            if found.celsius is not None:
                raise MisuseError("one temperature in degrees Celsius for the whole deck")
            found.celsius = _temperature(value, found)
        elif key == "method" and value not in ("trap", "trapezoidal", "gear"):
            raise MisuseError("method is trap or gear")
        elif key in ("reltol", "vntol") and not 0 < number_of(value, found.parameters) < float("inf"):
            raise MisuseError(f"{key} has to be above 0")
        found.options[key] = value


def _ic(card: Card, found: Commands, name: NameMap) -> None:
    volts = {} if found.initial is None else found.initial[1]
    for word in split_words(card.text, keep_parentheses=True)[1:]:
        match = re.fullmatch(r"v\(([^(),]+)\)=(.+)", word)
        if match is None or node_name(match[1], name) in volts:
            raise MisuseError(".ic is a list of v(node)=value, each node once")
        volts[node_name(match[1], name)] = number_of(match[2], found.parameters)
    found.initial = (card if found.initial is None else found.initial[0], volts)


def _nodeset(card: Card, found: Commands, name: NameMap) -> None:
    """A hint for Newton's method; a circuit with one operating point does not need it."""


def _op(card: Card, found: Commands, name: NameMap) -> None:
    del name
    if len(card.text.split()) != 1:
        raise MisuseError(".op stands alone")
    found.analyses.append((card, OperatingPoint()))


def _tran(card: Card, found: Commands, name: NameMap) -> None:
    del name
    words = split_words(card.text)[1:]
    uic = "uic" in words
    times = [number_of(word, found.parameters) for word in words if word != "uic"]
    if not 2 <= len(times) <= 4 or (uic and words[-1] != "uic"):
        raise MisuseError(".tran is step, stop, then start, largest step and uic where wanted")
    step, stop = times[:2]
    start = times[2] if len(times) > 2 else 0.0
    largest = times[3] if len(times) > 3 and times[3] > 0 else min(step, (stop - start) / 50)
    relative = number_of(found.options.get("reltol", "1e-3"), found.parameters)
    volt = number_of(found.options.get("vntol", "1e-6"), found.parameters)
    klu = "klu" in found.options
    found.analyses.append((card, Transient(stop, step, largest, relative, volt, klu, uic, start)))


def _ac(card: Card, found: Commands, name: NameMap) -> None:
    del name
    spacing, points, start, stop = _sweep(split_words(card.text)[1:], found.parameters)
    found.analyses.append((card, AcSweep(points, start, stop, spacing)))


def _noise(card: Card, found: Commands, name: NameMap) -> None:
    match = re.match(r"\.noise\s+v\s*\(\s*([^(),\s]+)\s*(?:,\s*([^(),\s]+)\s*)?\)\s*(.*)", card.text)
    if match is None:
        raise MisuseError(".noise is v(node) or v(node,node), a source, then dec points start stop")
    source, *rest = split_words(match[3])
    if len(rest) == 5 and rest[4] in ("0", "1"):  # a summary every so many points; the values are the same
        rest.pop()
    spacing, points, start, stop = _sweep(rest, found.parameters)
    output = node_name(match[1], name)
    reference = None if match[2] is None or node_name(match[2], name) == GROUND else node_name(match[2], name)
    letter, plain = source[:1], source[1:]
    sweep = NoiseSweep(
        output, letter + name(plain) if plain else source, points, start, stop, reference, spacing, NoiseSources.ALL
    )
    found.analyses.append((card, sweep))


def _sweep(words: list[str], parameters: Mapping[str, Floats]) -> tuple[Spacing, int, float, float]:
    if len(words) != 4 or words[0] not in _SPACINGS:
        raise MisuseError("a sweep is dec, oct or lin, the number of points, first and last frequency")
    points, start, stop = (number_of(word, dict(parameters)) for word in words[1:])
    if not points.is_integer() or points > _MOST_POINTS:  # infinity is no integer
        raise MisuseError(f"{words[1]} points: give a whole number, at most {_MOST_POINTS}")
    return _SPACINGS[words[0]], int(points), start, stop


def _save(card: Card, found: Commands, name: NameMap) -> None:
    command, *items = split_words(re.sub(r"\s*([(),])\s*", r"\1", card.text).replace(")", ") "), keep_parentheses=True)
    found.prints |= command == ".print"
    for item in items:
        match = _NODE_VOLTAGE.fullmatch(item)
        if match is not None and node_name(match[1], name) != GROUND:
            found.outputs.append((card, node_name(match[1], name)))


_KNOWN = {
    ".param": ".param", ".params": ".param", ".model": ".model", ".temp": ".temp", ".options": ".options",
    ".option": ".options", ".opt": ".options", ".ic": ".ic", ".nodeset": ".nodeset", ".tran": ".tran", ".op": ".op",
    ".ac": ".ac", ".noise": ".noise", ".save": ".save", ".print": ".print", ".plot": ".print",
}  # fmt: skip
"""Every dot card that is understood, and what it means."""

_READERS: Mapping[str, Callable[[Card, Commands, NameMap], None]] = {
    ".model": _model, ".temp": _temp, ".options": _options, ".ic": _ic, ".nodeset": _nodeset, ".tran": _tran,
    ".op": _op, ".ac": _ac, ".noise": _noise, ".save": _save, ".print": _save,
}  # fmt: skip
