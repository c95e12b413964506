"""SPICE text to logical cards: comments dropped, continuations joined, everything that could run a command refused.

The reader never hands text on: what is not refused here still has to be understood by the card it is on, and decks are
written anew from the tables.  This is the outer of two walls.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterator
from typing import NamedTuple

from tngd_hw.outcome import MisuseError

__all__ = ["Card", "NameMap", "card_error", "located", "read_cards", "split_assignments", "split_words", "squeezed"]

_ALLOWED = re.compile(r"[a-z0-9_.+\-*/^(){}=,:'#<>\[\]@ \t]*")
_BRACED = re.compile(r"\{[^{}]*\}|[(),]")
_WORD = re.compile(r"(?:\{[^{}]*\}|[^\s{}])+")
_TWO_WORDS = re.compile(r"[\w.]\s+[\w.]")
_SAFE_NAME = re.compile(r"[a-z0-9_.]+")
_MAPPED = str.maketrans({"+": "p", "-": "m", ":": "_", "#": "_", "/": "_", "<": "_", ">": "_", "[": "_", "]": "_"})
_COMMANDS = ("*#", "*ng_script")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]|\r(?!\n)")
_SEPARATORS = str.maketrans("(),='{}", "       ")

_LONGEST_WORD = 4000
"""Characters of a word of a card: twice the longest expression; patterns are tried on words, so they must be short."""

_LONGEST_CARD = 20_000_000
"""Characters of a card with its continuations; a waveform of a million points has about as many."""


class Card(NamedTuple):
    """One logical card in lower case, and the number of its first line."""

    line: int
    text: str


def card_error(source: str, card: Card, reason: str) -> MisuseError:
    """The one form of every error of a deck: file, line, reason with remedy, card."""
    shown = card.text if len(card.text) <= 100 else f"{card.text[:100]}..."
    return MisuseError(f"{source}, line {card.line}: {reason} (card {shown!r})")


@contextlib.contextmanager
def located(source: str, card: Card) -> Generator[None]:
    """Errors inside get the file, the line and the card."""
    try:
        yield
    except MisuseError as error:
        raise card_error(source, card, str(error)) from None


def read_cards(text: str, source: str, first_line: int = 1) -> list[Card]:
    """Logical cards of ``text``, whose first line has the number ``first_line``.

    Raises:
        MisuseError: Command lines (``*#``, ``*ng_script``), characters that no card needs (dollar, backquote, quotes,
            backslash, anything beyond ASCII), a continuation with nothing before it, cards and words that are absurdly
            long.

    Cost: linear in the text, whatever is in it.
    """
    if _CONTROL_CHARACTERS.search(text):
        raise MisuseError(
            f"{source}: the file holds control characters; save it as plain text, lines ended as on Unix or Windows"
        )
    cards = list(_joined(text, source, first_line))
    _refuse_characters(cards, source)
    return cards


def _joined(text: str, source: str, first_line: int) -> Iterator[Card]:
    """Cards with their continuations, one space between words; parts are joined once, so that many cost no more."""
    first, parts = 0, list[str]()
    for number, raw in enumerate(text.replace("\r\n", "\n").lower().split("\n"), start=first_line):
        line = _plain(raw)
        if line[:1] == "*":
            if "".join(line.split()).startswith(_COMMANDS):
                raise card_error(source, Card(number, line), "ngspice runs such a line as a command; remove it")
            continue
        if line[:1] == "+":
            if not parts:
                raise card_error(source, Card(number, line), "a continuation with no card before it")
            parts.append(line[1:].strip())
        elif line:
            if parts:
                yield Card(first, " ".join(parts))
            first, parts = number, [line]
    if parts:
        yield Card(first, " ".join(parts))


def _refuse_characters(cards: list[Card], source: str) -> None:
    for card in cards:
        if not _ALLOWED.fullmatch(card.text):
            bad = next(character for character in card.text if not _ALLOWED.fullmatch(character))
            raise card_error(source, card, f"the character {bad!r} is refused; rename, or write the value out")
        if len(card.text) > _LONGEST_WORD:
            _refuse_lengths(card, source)


def _refuse_lengths(card: Card, source: str) -> None:
    if len(card.text) > _LONGEST_CARD:
        raise card_error(source, card, f"longer than {_LONGEST_CARD} characters; split the card")
    if max(map(len, card.text.translate(_SEPARATORS).split()), default=0) > _LONGEST_WORD:
        raise card_error(source, card, f"a word of more than {_LONGEST_WORD} characters; shorten it")


def _plain(line: str) -> str:
    """One space between words, and no comment behind them; patterns that skip spaces need it to be fast."""
    line = line.strip()
    if "  " in line or "\t" in line:
        line = " ".join(line.split())
    if line[:1] != "*" and (";" in line or "$" in line or "//" in line):
        line = _without_comment(line)
    return line


def _without_comment(line: str) -> str:
    """Cut at ``;``, ``//`` or a dollar between spaces; any other dollar is refused later."""
    line = line.partition(";")[0].partition("//")[0]
    match = re.search(r"(?:^|(?<=\s))\$(?=\s|$)", line)
    return (line[: match.start()] if match else line).strip()


def split_words(text: str, *, keep_parentheses: bool = False) -> list[str]:
    """Words of a card: ``'...'`` becomes ``{...}``, spaces in braces and around = go, ( ) and , are as spaces.

    Raises:
        MisuseError: Braces or quotes that do not match.
    """
    if "'" in text:
        text = re.sub(r"'([^'{}]*)'", r"{\1}", text)
    if "=" in text:
        text = re.sub(r"\s*=\s*", "=", text)
    if not keep_parentheses and ("(" in text or "," in text):
        text = _BRACED.sub(lambda m: m[0] if m[0][0] == "{" else " ", text)
    if "{" not in text and "}" not in text and "'" not in text:
        return text.split()
    words = [squeezed(word) for word in _WORD.findall(text)]
    if "'" in text or "".join(words) != "".join(text.split()):
        raise MisuseError("braces or quotes do not match; write {expression}")
    return words


def squeezed(text: str) -> str:
    """An expression without its spaces; MisuseError where that would make one word of two."""
    if _TWO_WORDS.search(text):
        raise MisuseError(f"expression {text[:80]!r}: two words with nothing between them")
    return "".join(text.split())


def split_assignments(words: list[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of ``key=value`` words; MisuseError for a word that is none, or a key given twice."""
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value or not re.fullmatch(r"[a-z_][a-z0-9_]*", key) or "=" in value:
            raise MisuseError(f"{word!r} is not of the form name=value")
        if key in pairs:
            raise MisuseError(f"{key!r} is given twice")
        pairs[key] = value
    return tuple(pairs.items())


class NameMap:
    """Names of other people's decks to ours, which are made of a-z, 0-9, _ and the dot.

    ``+`` becomes ``p``, ``-`` ``m``, and ``: # / < > [ ]`` become ``_``; two names that become one are refused.

    Attributes:
        renamed: Our name to the deck's, for those that changed.
    """

    def __init__(self) -> None:
        self.renamed: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """Our name for ``name``."""
        ours = self._ours.get(name)
        if ours is None:
            ours = name.translate(_MAPPED)
            if not _SAFE_NAME.fullmatch(ours):
                raise MisuseError(f"the name {name!r}: names are made of a-z, 0-9 and _ . + - : # / < > [ ]")
            if self._theirs.setdefault(ours, name) != name:
                raise MisuseError(f"the names {self._theirs[ours]!r} and {name!r} both become {ours!r}; rename one")
            self._ours[name] = ours
            if ours != name:
                self.renamed[ours] = name
        return ours
