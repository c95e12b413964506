"""Preferred values of IEC 60063: in what values resistors and capacitors are sold, 12 to 192 a decade."""

from __future__ import annotations

import math

__all__ = ["E12", "E24", "E96", "E192", "nearest_in_series", "values_between"]

E12 = (1.0, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 3.9, 4.7, 5.6, 6.8, 8.2)
"""12 values a decade: no closed form gives them all."""

E24 = (
    1.0, 1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2.0, 2.2, 2.4, 2.7, 3.0,
    3.3, 3.6, 3.9, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2, 9.1,
)  # fmt: skip
"""24 values a decade: no closed form gives them all."""

E96 = tuple(round(10 ** (k / 96), 2) for k in range(96))
"""96 values a decade: 10^(k/96), rounded to three digits."""

E192 = tuple(9.2 if k == 185 else round(10 ** (k / 192), 2) for k in range(192))
"""192 values a decade: 10^(k/192), rounded to three digits, but 9.20 in the place of 9.19."""


def nearest_in_series(value: float, series: tuple[float, ...]) -> float:
    """The member of ``series`` (one decade, from 1), times a power of ten, nearest to ``value`` > 0 by ratio."""
    decade = math.floor(math.log10(value))
    candidates = [m * 10.0**d for d in (decade - 1, decade, decade + 1) for m in series]
    best = min(candidates, key=lambda candidate: abs(math.log(value / candidate)))
    return float(f"{best:.3g}")  # 4.99 * 10.0**-9 is not 4.99e-9


def values_between(low: float, high: float, series: tuple[float, ...]) -> list[float]:
    """All preferred values from ``low`` > 0 to ``high``, ascending; an end that is one but for rounding counts."""
    decades = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    values = [float(f"{m:g}e{decade}") for decade in decades for m in series]
    return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
