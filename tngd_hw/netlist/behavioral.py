"""Expressions of B elements: a voltage or current out of node voltages by + - * / tanh, min and max."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tngd_hw.netlist.cards import squeezed
from tngd_hw.netlist.expression import spice_number
from tngd_hw.outcome import MisuseError

__all__ = ["Behavioral", "check_behavioral", "parse_behavioral", "substituted_behavioral"]

_NODE = r"[a-z0-9_.:#+\-/<>\[\]]+"
_TOKEN = re.compile(
    rf"(?P<volt>v\(({_NODE})(?:,({_NODE}))?\))"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[a-z]*)"
    r"|(?P<name>[a-z_][a-z0-9_]*)"
    r"|(?P<mark>[-+*/(),])",
    re.ASCII,
)
_BRACED_NAME = re.compile(r"\{(\w+)\}", re.ASCII)
_NODES_OR_WORD = re.compile(r"v\([^()]*\)|[a-z0-9_.]+", re.ASCII)
_FUNCTIONS: Mapping[str, tuple[int, Callable[..., NDArray[np.float64]]]] = {
    "tanh": (1, np.tanh),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
_OPERATORS: Mapping[type[ast.operator], Callable[..., NDArray[np.float64]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_LONGEST = 10_000
_ALLOWED = "write v= or i= and numbers, v(node), v(node,node), + - * / () tanh min max"


@dataclass(frozen=True)
class Behavioral:
    """A parsed expression.

    Attributes:
        is_current: True for ``i=``, the current from the first node through the source to the second; False for ``v=``.
        text: The normal form: lower case, no spaces, every number with all its digits.
        voltages: The node pairs it reads, each once, in order; the second is ``"0"`` where only one was written.
        tree: Its syntax tree, with the name ``v0``, ``v1`` ... for each pair.
    """

    is_current: bool
    text: str
    voltages: tuple[tuple[str, str], ...]
    tree: ast.expr

    def value(self, voltages: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Value (volt or ampere) for given ``v(first) - v(second)`` of each pair, arrays of one shape."""
        return np.asarray(_value(self.tree, {f"v{k}": v for k, v in enumerate(voltages)}))


def parse_behavioral(
    text: str,
    names: Mapping[str, float] | None = None,
    node: Callable[[str], str] = lambda name: name,
) -> Behavioral:
    """Read ``"i=1e-3*tanh(v(a,b)/0.1)"``.

    Args:
        text: The expression with its ``v=`` or ``i=``.
        names: Values of parameters; they are written into the normal form as numbers.
        node: Gives the name under which a node stands in the normal form.

    Raises:
        MisuseError: Anything outside the language, with what is in it.
    """
    plain = squeezed(text.lower()).replace("{", "(").replace("}", ")")
    quantity, equals, body = plain.partition("=")
    if quantity not in ("v", "i") or not equals or len(plain) > _LONGEST:
        raise MisuseError(f"expression {text[:80]!r}: {_ALLOWED}")
    pairs: dict[tuple[str, str], int] = {}
    written, python, position = [quantity, "="], "", 0
    while position < len(body):
        match = _TOKEN.match(body, position)
        if match is None:
            raise MisuseError(f"expression {text[:80]!r}: cannot read {body[position : position + 20]!r}; {_ALLOWED}")
        position = match.end()
        if match["volt"]:
            pair = (node(match[2]), node(match[3]) if match[3] else "0")
            written.append(f"v({pair[0]},{pair[1]})" if match[3] else f"v({pair[0]})")
            python += f"v{pairs.setdefault(pair, len(pairs))}"
        elif match["number"] or (match["name"] and match["name"] not in _FUNCTIONS):
            number = _number(match[0], names or {}, text)
            written.append(number)
            python += number
        else:
            written.append(match[0])
            python += match[0]
    return Behavioral(quantity == "i", "".join(written), tuple(pairs), _checked_tree(python, text))


def check_behavioral(text: str, names: Iterable[str]) -> None:
    """MisuseError where ``text`` is not in the language with parameters ``names``, whatever their values."""
    parse_behavioral(text, dict.fromkeys(names, 1.0))


def substituted_behavioral(text: str, names: Mapping[str, str], parameters: Iterable[str]) -> str:
    """``text`` with every whole name in ``names`` replaced, each of ``parameters`` in braces, node names left alone.

    ngspice puts numbers in for what is in braces only; other braces become parentheses.
    """
    braced = {name: f"{{{name}}}" for name in parameters}
    plain = _BRACED_NAME.sub(r"\1", text).replace("{", "(").replace("}", ")")
    for mapping in (names, braced):
        plain = _NODES_OR_WORD.sub(lambda m, mapping=mapping: mapping.get(m[0], m[0]), plain)
    if len(plain) > _LONGEST:
        raise MisuseError(f"expression {text[:80]!r}: longer than {_LONGEST} characters; split it")
    return plain


def _number(word: str, names: Mapping[str, float], text: str) -> str:
    if word[0].isdigit() or word[0] == ".":
        value = spice_number(word)
    elif word in names:
        value = names[word]
    else:
        raise MisuseError(f"expression {text[:80]!r}: unknown name {word!r}; {_ALLOWED}")
    if not np.isfinite(value):
        raise MisuseError(f"expression {text[:80]!r}: {word!r} is not finite")
    return repr(value) if value >= 0 else f"({value!r})"


def _checked_tree(python: str, text: str) -> ast.expr:
    try:
        tree = ast.parse(python, mode="eval").body
        _check(tree, text)
    except MisuseError:
        raise
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise MisuseError(f"expression {text[:80]!r}: not arithmetic; {_ALLOWED}") from None
    return tree


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.Constant(value=float()):
            return
        case ast.Name(id=name) if name not in _FUNCTIONS:  # the pairs' own; other names did not get here
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, text)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            _check(left, text)
            _check(right, text)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if (
            name in _FUNCTIONS and len(args) == _FUNCTIONS[name][0]
        ):
            for arg in args:
                _check(arg, text)
        case _:
            raise MisuseError(f"expression {text[:80]!r}: {_ALLOWED}")


def _value(node: ast.expr, names: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    match node:
        case ast.Constant(value=float() as number):
            return np.asarray(number)
        case ast.UnaryOp(op=op, operand=operand):
            inner = _value(operand, names)
            return -inner if isinstance(op, ast.USub) else inner
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _FUNCTIONS[name][1](*(_value(arg, names) for arg in args))
        case ast.Name(id=name):
            return names[name]
        case _:  # _check let nothing else through
            raise AssertionError(ast.dump(node))
