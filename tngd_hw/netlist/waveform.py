"""Waveforms of independent sources, as SPICE knows them: PULSE, SIN, EXP and PWL.

With s = t - delay:

    PULSE   v1 up to s = 0, straight to v2 over rise, v2 for width, straight back over fall, then v1; again each period
    SIN     offset + amplitude sin(2 pi frequency s + phase) e^(-damping s), with s = 0 before the delay
    EXP     v1 + (v2 - v1)(1 - e^(-(t - delay1)/tau1)) + (v1 - v2)(1 - e^(-(t - delay2)/tau2)), each from its delay on
    PWL     straight lines between its points, held before the first and after the last

Source: ngspice user manual, chapter 4.1, and ngspice 39 itself, which takes 0 for "not given" in PULSE rise, fall,
width and period, SIN frequency, EXP delays and taus.  ngspice 46 differs in PULSE: a width that is not given is 0 and a
period rise + width + fall.  We keep the manual's defaults, those of 39, and decks are written with every number.
"""

from __future__ import annotations

import enum
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tngd_hw.outcome import MisuseError

__all__ = ["Shape", "Waveform"]

_MOST_BREAKPOINTS = 1_000_000


class Shape(enum.Enum):
    """The shapes, by SPICE's names."""

    PULSE = "pulse"
    SIN = "sin"
    EXP = "exp"
    PWL = "pwl"

    @property
    def counts(self) -> range:
        """How many numbers a source of this shape may give."""
        return {Shape.PULSE: range(2, 8), Shape.SIN: range(2, 7), Shape.EXP: range(2, 7), Shape.PWL: range(2, 10**6)}[
            self
        ]


@dataclass(frozen=True)
class Waveform:
    """A source's value against time; its DC value stands in the table of sources.

    Attributes:
        shape: Which of SPICE's shapes.
        numbers: Its parameters in SPICE's order: PULSE(v1 v2 delay rise fall width period), SIN(offset amplitude
            frequency delay damping phase), EXP(v1 v2 delay1 tau1 delay2 tau2), PWL(t1 v1 t2 v2 ...).
            Seconds, hertz, 1/s and degrees.
    """

    shape: Shape
    numbers: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.numbers) not in self.shape.counts:
            allowed = self.shape.counts
            raise MisuseError(
                f"{self.shape.value} waveform with {len(self.numbers)} numbers: expected {allowed.start} to "
                f"{allowed.stop - 1}"
            )
        if not all(math.isfinite(number) for number in self.numbers):
            raise MisuseError(f"{self.shape.value} waveform {self.numbers}: every number has to be finite")
        if self.shape is Shape.PWL:
            times = self.numbers[::2]
            if len(self.numbers) % 2 or any(b <= a for a, b in itertools.pairwise(times)):
                raise MisuseError("pwl waveform: give pairs of time and value, times increasing")
        elif any(number < 0 for number in self._durations()):
            raise MisuseError(f"{self.shape.value} waveform {self.numbers}: delays and durations have to be 0 or more")

    def _durations(self) -> tuple[float, ...]:
        if self.shape is Shape.SIN:
            return self.numbers[2:4]
        return self.numbers[2:]

    @property
    def start(self) -> float:
        """Value at t = 0, which a source without a DC value has at its operating point."""
        if self.shape is Shape.PWL:
            return float(np.interp(0.0, self.numbers[::2], self.numbers[1::2]))
        if self.shape is Shape.SIN:
            offset, amplitude, *rest = self.numbers
            phase = rest[3] if len(rest) > 3 else 0.0
            return offset + amplitude * math.sin(math.radians(phase))
        return self.numbers[0]

    @property
    def is_piecewise_linear(self) -> bool:
        """True for PULSE and PWL: straight lines between :meth:`breakpoints`."""
        return self.shape in (Shape.PULSE, Shape.PWL)

    def with_defaults(self, step_s: float, stop_s: float) -> Waveform:
        """Every number given, as ngspice fills them in for ``.tran step_s stop_s``; 0 counts as not given there."""
        return replace(self, numbers=self._filled(step_s, stop_s))

    def _filled(self, step_s: float, stop_s: float) -> tuple[float, ...]:
        if self.shape is Shape.PWL:
            return self.numbers
        given = [*self.numbers, *[0.0] * (self.shape.counts.stop - 1 - len(self.numbers))]
        if self.shape is Shape.SIN:
            defaults = [0.0, 0.0, 1 / stop_s, 0.0, 0.0, 0.0]
        elif self.shape is Shape.EXP:
            defaults = [0.0, 0.0, step_s, step_s, (given[2] or step_s) + step_s, step_s]
        else:
            defaults = [0.0, 0.0, 0.0, step_s, step_s, stop_s, stop_s]
        return tuple(value or default for value, default in zip(given, defaults, strict=True))

    def _complete(self) -> tuple[float, ...]:
        """All numbers, or MisuseError where one that ngspice would take from ``.tran`` is missing."""
        numbers = self._filled(math.nan, math.nan)
        if any(math.isnan(number) for number in numbers):
            raise MisuseError(
                f"{self.shape.value} waveform {self.numbers}: some numbers are left to .tran; call "
                "with_defaults(step_s, stop_s) first"
            )
        return numbers

    def value(self, time_s: ArrayLike) -> NDArray[np.float64]:
        """Value at each time, same shape; the closed forms of the module's head, to rounding.

        Raises:
            MisuseError: A number is missing whose default is ``.tran``'s step or stop time: see :meth:`with_defaults`.
        """
        t = np.asarray(time_s, dtype=np.float64)
        numbers = self._complete()
        match self.shape:
            case Shape.PWL:
                return np.asarray(np.interp(t, numbers[::2], numbers[1::2]))
            case Shape.PULSE:
                return _pulse(t, numbers)
            case Shape.SIN:
                return _sin(t, numbers)
            case Shape.EXP:
                return _exp(t, numbers)

    def breakpoints(self, stop_s: float) -> NDArray[np.float64]:
        """Times in [0, stop_s] where the waveform or its slope jumps, increasing; 0 and stop_s are not added.

        Raises:
            MisuseError: Numbers missing (see :meth:`value`), or more than a million corners.
        """
        numbers = self._complete()
        if self.shape is Shape.PULSE:
            _, _, delay, rise, fall, width, period = numbers
            periods = max(0.0, (stop_s - delay) / period)
            if periods * 5 > _MOST_BREAKPOINTS:
                raise MisuseError(f"pulse waveform of period {period:g} s: more than a million corners in {stop_s:g} s")
            corners = np.array([0.0, rise, rise + width, rise + width + fall, period])
            corners = corners[corners <= period]
            times = (delay + period * np.arange(math.floor(periods) + 1)[:, None] + corners).ravel()
        elif self.shape is Shape.SIN:
            times = np.array([numbers[3]])
        elif self.shape is Shape.EXP:
            times = np.array([numbers[2], numbers[4]])
        else:
            times = np.array(numbers[::2])
        return np.asarray(np.unique(times[(times >= 0) & (times <= stop_s)]), dtype=np.float64)


def _pulse(t: NDArray[np.float64], numbers: tuple[float, ...]) -> NDArray[np.float64]:
    v1, v2, delay, rise, fall, width, period = numbers
    s = t - delay
    s = np.where(s > period, s - period * np.floor(s / period), s)
    falling = v2 + (v1 - v2) * (s - rise - width) / fall
    rising = v1 + (v2 - v1) * s / rise
    value = np.where(s < rise, rising, np.where(s <= rise + width, v2, falling))
    return np.where((s <= 0) | (s >= rise + width + fall), v1, value)


def _sin(t: NDArray[np.float64], numbers: tuple[float, ...]) -> NDArray[np.float64]:
    offset, amplitude, frequency, delay, damping, phase = numbers
    s = np.maximum(t - delay, 0.0)
    return offset + amplitude * np.sin(2 * math.pi * frequency * s + math.radians(phase)) * np.exp(-damping * s)


def _exp(t: NDArray[np.float64], numbers: tuple[float, ...]) -> NDArray[np.float64]:
    v1, v2, delay1, tau1, delay2, tau2 = numbers
    there = -np.expm1(-np.maximum(t - delay1, 0.0) / tau1)
    back = -np.expm1(-np.maximum(t - delay2, 0.0) / tau2)
    return v1 + (v2 - v1) * there + (v1 - v2) * back
