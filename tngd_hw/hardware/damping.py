"""Damping: what the resistors that hold lambda I are made of, where a circuit keeps them apart from its arrays.

A damping resistor of ``three_array`` has the conductance lambda g0.  lambda changes in training, so by default these
resistors are cells like those of the arrays: of their range, levels, write error and memory.  lambda g0 is often far
below the largest conductance of an array (g0 = unit/(max|J|^2 max|H|)), where the levels of an array are coarse and its
errors, which are relative to full scale, large.  A range of their own, or resistors of another kind, are said here:

    cell        the array's technology in a range of its own: everything of programming and memory acts on it
    switched    a bank of switched resistors, 2^bits equal steps of siemens from 1/largest_ohm (0 without) to
                1/smallest_ohm, rounded to the nearest: no write error and no memory
    fixed       soldered for one lambda: neither rounded nor written; another lambda needs other resistors

All of them are resistors with the tolerance and temperature of :mod:`~tngd_hw.hardware.resistors`.  Rounding to the
nearest level never leaves a damping resistor out: one that is wanted has at least the smallest value there is.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from tngd_hw.hardware.draws import Die, Draws
from tngd_hw.hardware.elements import Elements, Role
from tngd_hw.hardware.fields import Bits, Part, Positive
from tngd_hw.hardware.programming import Programming

__all__ = ["Damping", "DampingDevice"]


class DampingDevice(enum.Enum):
    """What a damping resistor is: a cell like those of the array, a bank of switched resistors, or a fixed resistor."""

    CELL = "cell"
    SWITCHED = "switched"
    FIXED = "fixed"


class Damping(Part):
    """The resistors that hold lambda I.

    Attributes:
        device: What they are; see the module.
        smallest_ohm: Smallest resistance; None for that of the array, with the array's largest.  lambda g0 cannot
            exceed 1/smallest_ohm: a larger lambda scales g0 down.
        largest_ohm: Largest resistance beside ``smallest_ohm``, or None for no limit; a smaller lambda g0 has it.
        bits: Bits of a switched bank; None for any value in its range.  Cells have those of the programming.
    """

    device: Annotated[DampingDevice, Field(strict=False)] = DampingDevice.CELL
    smallest_ohm: Positive | None = None
    largest_ohm: Positive | None = None
    bits: Bits | None = None

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "range": {"largest_ohm": None},
        "levels": {"bits": None},
    }

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        kind, smallest = self.device.value, self.smallest_ohm
        if self.bits is not None and self.device is not DampingDevice.SWITCHED:
            raise ValueError(
                f"bits = {self.bits}: a damping resistor that is {kind!r} has no bits of its own; leave bits out"
            )
        if self.device is DampingDevice.FIXED and (smallest is not None or self.largest_ohm is not None):
            raise ValueError("a fixed damping resistor has no range: leave smallest_ohm and largest_ohm out")
        if self.device is DampingDevice.SWITCHED and smallest is None:
            raise ValueError("a switched damping resistor has a range of its own: give smallest_ohm")
        if self.largest_ohm is not None and (smallest is None or self.largest_ohm <= smallest):
            raise ValueError(
                f"largest_ohm = {self.largest_ohm:g} needs a smaller smallest_ohm: give one, or leave largest_ohm out"
            )
        return self

    @property
    def limits_siemens(self) -> tuple[float, float] | None:
        """Smallest (0: none at all) and largest conductance of a range of its own; None for that of the array."""
        if self.smallest_ohm is None:
            return None
        return 0.0 if self.largest_ohm is None else 1.0 / self.largest_ohm, 1.0 / self.smallest_ohm

    def draw(self, die: Die) -> Draws:
        """Nothing: deviations are those of the resistors, write errors those of the programming."""
        del die
        return {}

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """A switched bank at its nearest levels; cells are written by the programming."""
        del draws
        limits = self.limits_siemens
        if self.device is not DampingDevice.SWITCHED or limits is None:
            return elements
        written = Programming(bits=self.bits).apply(replace(elements, programmable={Role.DAMPING: limits}), {})
        return replace(written, programmable=elements.programmable)
