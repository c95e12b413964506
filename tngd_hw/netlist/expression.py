"""Arithmetic in braces, as SPICE cells use it: numbers with SPICE's suffixes, names, + - * / ** and parentheses."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tngd_hw.outcome import MisuseError

__all__ = ["evaluate", "spice_number"]

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
    r"(?<![\w.])(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)(meg|mil|[tgkmunpf])?[a-z]*(?![\w.])",
    re.IGNORECASE | re.ASCII,
)


def spice_number(text: str) -> float:
    """A number with SPICE's own suffixes: ``1k``, ``1meg`` (mega), ``1m`` (milli); letters behind it are ignored."""
    sign = -1.0 if text.startswith("-") else 1.0
    match = _NUMBER.fullmatch(text[1:] if text[:1] in ("+", "-") else text)
    if match is None:
        raise MisuseError(f"{text!r} is not a SPICE number: write for example 10k, 1n or 1.5meg")
    return sign * float(match[1]) * _SUFFIX.get((match[2] or "").lower(), 1.0)


def evaluate(text: str, names: Mapping[str, Value]) -> Value:
    """Value of an expression.

    Args:
        text: For example ``"gain/(6.283185307179586*gbw*1k)"``; braces around it are allowed.
        names: Values of the names, scalars or arrays of one shape.

    Raises:
        MisuseError: Anything but arithmetic on numbers and known names.
    """
    plain = _NUMBER.sub(lambda m: repr(spice_number(m[0])), text.strip().strip("{}").lower())
    try:
        tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # a null character, thousands of parentheses
        raise MisuseError(f"expression {text!r}: not arithmetic; use numbers, names, + - * / ** and ()") from None
    return _value(tree, names, text)


def _value(node: ast.expr, names: Mapping[str, Value], text: str) -> Value:
    match node:
        case ast.Constant(value=float() as number):
            return np.asarray(number)
        case ast.Name(id=name):
            if name not in names:
                raise MisuseError(f"expression {text!r}: unknown name {name!r}; known are {', '.join(sorted(names))}")
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names, text)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, names, text)
        case ast.BinOp(left=left, op=op, right=right):
            return _combine(op, _value(left, names, text), _value(right, names, text), text)
        case _:
            raise MisuseError(f"expression {text!r}: only numbers, names, + - * / ** and () are allowed")


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
