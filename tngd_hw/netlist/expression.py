"""Arithmetic in braces, as SPICE cells use it: numbers with SPICE's suffixes, names, + - * / **, () and functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from tngd_hw.outcome import MisuseError

__all__ = ["check_expression", "evaluate", "names_in", "plain_number", "spice_number", "substituted"]

Value = NDArray[np.float64]

_SUFFIX = {
    "t": 1e12,
    "g": 1e9,
    "meg": 1e6,
    "mil": 25.4e-6,
    "k": 1e3,
    "m": 1e-3,
    "u": 1e-6,
    "n": 1e-9,
    "p": 1e-12,
    "f": 1e-15,
}
_NUMBER = re.compile(
    r"(?<![\w.])(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)(meg|mil|[tgkmunpf])?[a-z]*(?![\w.])",
    re.IGNORECASE | re.ASCII,
)
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.ASCII)  # one way to match: linear time
_WORD = re.compile(r"[\w.]+", re.ASCII)

_LONGEST = 2000
"""Characters of an expression; longer ones only come from decks that mean harm."""

_FUNCTIONS: Mapping[str, tuple[int, Callable[..., Value]]] = {
    "sqrt": (1, np.sqrt),
    "exp": (1, np.exp),
    "log": (1, np.log),
    "abs": (1, np.abs),
    "tanh": (1, np.tanh),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
"""Number of arguments and meaning; ``log`` is the natural logarithm, as in ngspice."""


def plain_number(text: str) -> float | None:
    """The number when ``text`` is one without a suffix, else None; made for speed."""
    return float(text) if _PLAIN.fullmatch(text) else None


def spice_number(text: str) -> float:
    """A number with SPICE's own suffixes: ``1k``, ``1meg`` (mega), ``1m`` (milli); letters behind it are ignored."""
    sign = -1.0 if text.startswith("-") else 1.0
    match = _NUMBER.fullmatch(text[1:] if text[:1] in ("+", "-") else text)
    if match is None:
        raise MisuseError(f"{text!r} is not a SPICE number: write for example 10k, 1n or 1.5meg")
    return sign * float(match[1]) * _SUFFIX.get((match[2] or "").lower(), 1.0)


def names_in(text: str) -> set[str]:
    """Every whole word of ``text``: names, and numbers with their suffixes."""
    return set(_WORD.findall(text))


def substituted(text: str, names: Mapping[str, str]) -> str:
    """``text`` with every whole name that is in ``names`` replaced by its text."""
    longer = _WORD.sub(lambda m: names.get(m[0], m[0]), text)
    if len(longer) > _LONGEST:
        raise MisuseError(f"expression {longer[:40]!r}...: longer than {_LONGEST} characters; split it")
    return longer


def evaluate(text: str, names: Mapping[str, Value]) -> Value:
    """Value of an expression.

    Args:
        text: For example ``"gain/(6.283185307179586*gbw*1k)"``; braces around it are allowed.
        names: Values of the names, scalars or arrays of one shape.

    Raises:
        MisuseError: Anything but arithmetic on numbers and known names, and values that are not finite.
    """
    value = _evaluated(text, names)
    if not np.isfinite(value).all():
        raise MisuseError(f"expression {text!r}: its value is not finite; check for 0 in a division, sqrt or log")
    return value


def check_expression(text: str, names: Iterable[str]) -> None:
    """MisuseError where ``text`` is not arithmetic on numbers and ``names``, whatever their values."""
    _evaluated(text, {name: np.asarray(1.0) for name in names})


def _evaluated(text: str, names: Mapping[str, Value]) -> Value:
    if len(text) > _LONGEST:
        raise MisuseError(f"expression {text[:40]!r}...: longer than {_LONGEST} characters; split it")
    plain = _NUMBER.sub(lambda m: repr(spice_number(m[0])), text.strip().strip("{}").lower())
    try:
        with np.errstate(all="ignore"):
            return _value(ast.parse(plain, mode="eval").body, names, text)
    except MisuseError:
        raise
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # a null character, thousands of parentheses
        raise MisuseError(f"expression {text!r}: not arithmetic; use numbers, names, + - * / ** and ()") from None


def _value(node: ast.expr, names: Mapping[str, Value], text: str) -> Value:
    match node:
        case ast.Constant(value=float() as number):
            return np.asarray(number)
        case ast.Name(id=name):
            if name not in names:
                raise MisuseError(
                    f"expression {text!r}: unknown name {name!r}; known are {', '.join(sorted(names)[:20])}"
                )
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names, text)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, names, text)
        case ast.BinOp(left=left, op=op, right=right):
            if isinstance(op, ast.Pow) and isinstance(right, ast.BinOp) and isinstance(right.op, ast.Pow):
                raise MisuseError(f"expression {text!r}: a**b**c is (a**b)**c in ngspice; write the parentheses")
            return _combine(op, _value(left, names, text), _value(right, names, text), text)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            count, function = _FUNCTIONS[name]
            if len(args) != count:
                raise MisuseError(f"expression {text!r}: {name} takes {count} argument(s), not {len(args)}")
            return function(*(_value(arg, names, text) for arg in args))
        case _:
            allowed = f"numbers, names, + - * / ** () and {' '.join(_FUNCTIONS)}"
            raise MisuseError(f"expression {text!r}: only {allowed} are allowed")


def _combine(op: ast.operator, left: Value, right: Value, text: str) -> Value:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.Pow():
            return left**right
        case _:
            raise MisuseError(f"expression {text!r}: only + - * / ** are allowed")
