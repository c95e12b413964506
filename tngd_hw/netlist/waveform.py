"""Waveforms of independent sources, as SPICE knows them: PULSE, SIN, EXP and PWL."""

from __future__ import annotations

import enum
import itertools
import math
from dataclasses import dataclass

from tngd_hw.outcome import MisuseError

__all__ = ["Shape", "Waveform"]


class Shape(enum.Enum):
    """The shapes, by SPICE's names."""

    PULSE = "pulse"
    SIN = "sin"
    EXP = "exp"
    PWL = "pwl"

    @property
    def counts(self) -> range:
        """How many numbers a source of this shape may give."""
        return {Shape.PULSE: range(2, 8), Shape.SIN: range(3, 7), Shape.EXP: range(2, 7), Shape.PWL: range(2, 10**6)}[
            self
        ]


@dataclass(frozen=True)
class Waveform:
    """A source's value against time; its DC value stands in the table of sources.

    Attributes:
        shape: Which of SPICE's shapes.
        numbers: Its parameters in SPICE's order: PULSE(v1 v2 delay rise fall width period), SIN(offset amplitude
            frequency delay damping phase), EXP(v1 v2 delay1 tau1 delay2 tau2), PWL(t1 v1 t2 v2 ...).
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
