"""SI numbers with their unit checked: ``"10k"`` and ``"1 nF"`` in, ``"10 kOhm"`` out (written by quantiphy)."""

from __future__ import annotations

import math
import re

from quantiphy import Quantity

from tngd_hw.outcome import MisuseError

__all__ = ["BOLTZMANN_JOULE_PER_KELVIN", "format_quantity", "parse_quantity"]

BOLTZMANN_JOULE_PER_KELVIN = 1.380649e-23
"""The Boltzmann constant k_B in J/K (exact in the SI since 2019)."""

_SPELLINGS = {
    "ohm": ("ohm", "Ohm", "Ohms", "ohms", "Ω"),
    "farad": ("F", "farad", "farads"),
    "henry": ("H", "henry", "henries"),
    "siemens": ("S", "siemens"),
    "volt": ("V", "volt", "volts"),
    "ampere": ("A", "ampere", "amperes"),
    "hz": ("Hz", "hz", "hertz"),
    "s": ("s", "sec", "second", "seconds"),
    "kelvin": ("K", "kelvin"),
    "coulomb": ("C", "coulomb"),
}
_SYMBOLS = {unit: spellings[0] for unit, spellings in _SPELLINGS.items()} | {"ohm": "Ohm"}
_PREFIXES = {"": 1.0, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "K": 1e3, "m": 1e-3, "u": 1e-6} | {
    "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18,  # the micro sign, and the Greek letter
}  # fmt: skip
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\D*)", re.ASCII)


def parse_quantity(value: float | int | str, unit: str, field: str) -> float:
    """Return ``value`` in the SI unit ``unit`` as a float.

    Args:
        value: A number, or text such as ``"10k"``, ``"1n"``, ``"1 nF"``.  ``m`` is milli and ``M`` is mega (SI, not
            SPICE).
        unit: One of ``ohm farad henry siemens volt ampere hz s kelvin coulomb``; text with another unit
            is refused.
        field: Name used in the error.

    Raises:
        MisuseError: Not a finite number, or another unit.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise MisuseError(f"{field} = {value!r}: expected a number in {unit}, or text such as '10k'")
    if isinstance(value, str):
        value = _parse_text(value, unit, field)
    if not math.isfinite(value):
        raise MisuseError(f"{field} = {value!r}: expected a finite number in {unit}")
    return float(value)


def _parse_text(text: str, unit: str, field: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise MisuseError(f"{field} = {text!r}: not a finite number; write for example '10k' or 1e4 ({unit})")
    number, letters = match[1], match[2]
    for spelling in (*_SPELLINGS[unit], ""):  # the unit first: "300 K" are kelvin, not kilo
        prefix = letters.removesuffix(spelling)
        if letters.endswith(spelling) and prefix in _PREFIXES:
            return float(number) * _PREFIXES[prefix]
    raise MisuseError(f"{field} = {text!r}: unit {letters!r} where {unit} is expected")


def format_quantity(value: float, unit: str, digits: int = 4) -> str:
    """``value`` with an SI prefix and ``digits`` significant digits: ``format_quantity(1e-9, "farad") == "1 nF"``."""
    return Quantity(value, _SYMBOLS.get(unit, unit)).render(prec=digits - 1)
