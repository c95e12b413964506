"""The length of a run as a user writes it: ``50tau``, ``20us``, ``5e-5``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tngd_hw.outcome import MisuseError

__all__ = ["Duration", "parse_duration"]

_IN_TAU = re.compile(r"(?P<number>.*?)\s*(tau|τ)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Duration:
    """Seconds, or units of the chip's tau, or neither: until the circuit has settled."""

    seconds: float | None = None
    in_tau: float | None = None


def parse_duration(text: str | None) -> Duration:
    """Read ``text``; None or ``settle`` means until settled.

    Raises:
        MisuseError: Not a finite time above 0.
    """
    if text is None or text.strip().lower() == "settle":
        return Duration()
    from tngd_hw.units import parse_quantity

    match = _IN_TAU.fullmatch(text.strip())
    number = text if match is None else match["number"]
    try:
        value = parse_quantity(number, "s", "--duration")
    except MisuseError:
        raise MisuseError(
            f"--duration = {text!r}: not a time; write for example 50tau, 20us or 5e-5 (seconds)"
        ) from None
    if value <= 0:
        raise MisuseError(f"--duration = {text!r}: expected a time above 0, for example 50tau")
    return Duration(seconds=value) if match is None else Duration(in_tau=value)
