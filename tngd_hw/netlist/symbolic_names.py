"""From the elements of a circuit to symbols: one for each, or the expressions that a caller wants to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tngd_hw.netlist.symbolic_algebra import Expression, Symbol, number, parsed, root_of, symbols_in
from tngd_hw.outcome import MisuseError

__all__ = ["NamedValues", "SymbolTable"]

_AGREEMENT = 1e-9


class SymbolTable:
    r"""Collects labels with their numbers, then says what symbol stands for what number.

    A label is an element's name with its letter (``"ra_0_1"``, in a cell ``"cint0.int"``).  Patterns are regular
    expressions of whole labels; the first that fits gives the label its expression, ``\1`` for the first group.  A
    label without a pattern becomes a symbol of its own, ``R_a_0_1``, ``C_int0_int``.
    """

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = {re.compile(pattern): text for pattern, text in patterns.items()}
        self._expressions: dict[str, Expression] = {}
        self._numbers: dict[str, float] = {}

    def text(self, label: str) -> str | None:
        """What a pattern says of ``label``."""
        for pattern, text in self._patterns.items():
            found = pattern.fullmatch(label)
            if found is not None:
                return found.expand(text)
        return None

    def value(self, label: str, value: float) -> Expression:
        """The expression of an element with this value."""
        text = self.text(label)
        expression = parsed(_own_name(label) if text is None else text)
        self._expressions[label], self._numbers[label] = expression, value
        return expression

    def gain(self, label: str, value: float) -> Expression:
        """As :meth:`value`; a gain of 1 or -1 without a pattern stays that number: it is a wire, not a part."""
        if abs(value) == 1 and self.text(label) is None:
            return number(value)
        return self.value(label, value)

    def variable(self, label: str) -> Symbol:
        """A symbol for a source or a state, which has no number; ``"v(cint0.int)"`` becomes ``v_int0_int``."""
        import sympy

        text = self.text(label)
        return cast("Symbol", sympy.Symbol(_own_name(label) if text is None else text, real=True))

    def solved(self) -> NamedValues:
        """The numbers of all symbols, each from the elements that say it.

        Raises:
            MisuseError: Tied elements of different values, or an expression whose symbols no element decides.
        """
        known: dict[Symbol, float] = {}
        waiting = dict(self._expressions)
        while waiting:
            ready = {label: e for label, e in waiting.items() if len(set(symbols_in(e)) - set(known)) <= 1}
            if not ready:
                label, expression = next(iter(waiting.items()))
                raise MisuseError(f"{label} = {expression}: no other element says what its symbols are; name fewer")
            for label, expression in ready.items():
                self._learn(label, expression, known)
                del waiting[label]
        return NamedValues(known)

    def _learn(self, label: str, expression: Expression, known: dict[Symbol, float]) -> None:
        """Take the unknown symbol of ``expression`` from its number, or check the number."""
        value = self._numbers[label]
        open_symbols = [s for s in symbols_in(expression) if s not in known]
        partly = expression.subs(known)
        if open_symbols:
            found = root_of(partly, value, open_symbols[0])
            if found is None:
                raise MisuseError(f"{label} = {expression}: its value {value:.6g} does not decide {open_symbols[0]}")
            known[open_symbols[0]] = found
        elif abs(float(partly) - value) > _AGREEMENT * abs(value):
            raise MisuseError(
                f"{label} is {value:.9g} and {expression} is {float(partly):.9g} from other elements: give it a symbol "
                "of its own"
            )


@dataclass(frozen=True, eq=False)
class NamedValues:
    """Numbers by symbol.

    Attributes:
        raw: By symbols of which nothing is assumed.
    """

    raw: Mapping[Symbol, float]

    def final(self) -> dict[Symbol, Symbol]:
        """Every symbol with what its number says of it: positive, or only real."""
        import sympy

        found: dict[Symbol, Any] = {}
        for s, value in self.raw.items():
            found[s] = sympy.Symbol(s.name, positive=True) if value > 0 else sympy.Symbol(s.name, real=True)
        return found


def _own_name(label: str) -> str:
    """``rinv0.in`` becomes ``R_inv0_in``, ``v(cint0.int)`` ``v_int0_int`` and ``s(inoise0)`` ``S_noise0``."""
    if label[1] != "(":
        return label[0].upper() + "_" + re.sub(r"\W", "_", label[1:])
    letter = {"s": "S", "t": "kT"}.get(label[0], label[0])
    return f"{letter}_" + re.sub(r"\W", "_", label[3:-1])
