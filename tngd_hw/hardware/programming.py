"""Programming: which values a component of the matrix can be set to, and how far off it is written.

A wanted value x (siemens or farad, the component's own) of the legal range [x_min, x_max] goes to one of the two levels
L <= x <= U around it:

    nearest      U where x - L > U - x, else L
    stochastic   U with probability p = (x - L)/(U - L), else L, so that E[written] = x for every spacing of levels

and is written with an error of standard deviation s, z of unit variance:

    independent             x + s x_max z            s is relative to full scale, the same for every value
    proportional            x (1 + s z)              s is relative to the value
    inverse_proportional    x + s x_max (x_max/x) z  s is relative to full scale, at full scale

as CrossSim's generic devices, whose conductances are normalised to x_max = 1 (its ``magnitude`` of a uniform error is
the full width; here s is the standard deviation of either law).  The result is clipped to the legal range, so the
largest and the smallest values err to one side only.

A component of value 0 is absent: it was rounded to no component at all, nothing is written to it, and it is left out of
netlists (:func:`present`).  Without a smallest value, level 0 is the first of the uniform levels; with one, it is one
more level below the smallest.  A damping resistor that is wanted goes to the first level above 0 where 0 is nearer: a
matrix may have no inverse without its damping.  Stochastic rounding may leave it out, to keep the mean.
Source: CrossSim 3.2 ``generic_device.py``; IEC 60063 for the E-series; stochastic rounding: arXiv 2401.16231.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from tngd_hw.hardware.draws import Die, Draws, draws_of
from tngd_hw.hardware.elements import Component, Elements, PartKind, Role
from tngd_hw.hardware.fields import Bits, Fraction, Part
from tngd_hw.hardware.preferred_values import E12, E24, E96, E192, values_between
from tngd_hw.outcome import MisuseError

__all__ = ["MATRIX_KINDS", "ErrorLaw", "ErrorScaling", "Programming", "Spacing", "drawn_at", "least_value", "present"]

MATRIX_KINDS = (PartKind.RESISTOR, PartKind.CAPACITOR, PartKind.TRANSCONDUCTOR)
"""What can hold a matrix; every role of these kinds has draws of its own, whether a circuit programs it or not."""

_STRAY = 1e-12
"""What is left of the capacitor of a node where it has no smallest value, in units of the largest."""


class Spacing(enum.Enum):
    """Where the levels are, between the smallest and the largest value.

    UNIFORM: 2^bits values in equal steps of siemens or farad (switched units, a capacitor bank).
    LOGARITHMIC: 2^bits values in equal ratios; takes a smallest value above 0.
    RESISTANCE: 2^bits values in equal steps of resistance (a digital potentiometer); takes a smallest conductance.
    E12, E24, E96, E192: the preferred values of resistances 1/x, or of capacitances x, within the range.
    """

    UNIFORM = "uniform"
    LOGARITHMIC = "logarithmic"
    RESISTANCE = "resistance"
    E12 = "e12"
    E24 = "e24"
    E96 = "e96"
    E192 = "e192"


class ErrorLaw(enum.Enum):
    """Distribution of the programming error."""

    NORMAL = "normal"
    UNIFORM = "uniform"


class ErrorScaling(enum.Enum):
    """What the programming error is relative to; see the module."""

    INDEPENDENT = "independent"
    PROPORTIONAL = "proportional"
    INVERSE_PROPORTIONAL = "inverse_proportional"


_SERIES: Mapping[Spacing, tuple[float, ...]] = {
    Spacing.E12: E12, Spacing.E24: E24, Spacing.E96: E96, Spacing.E192: E192,
}  # fmt: skip


class Programming(Part):
    """How what is programmed is set; the fixed components of a circuit are not touched.

    Programmed are the components that hold the matrix, the reference of an offset encoding, and the damping resistors
    that are cells (see :mod:`~tngd_hw.hardware.damping`).

    Attributes:
        bits: Number of bits of a uniform, logarithmic or resistance spacing; None for any value in the range.
        spacing: Where the levels are.
        stochastic_rounding: Round up or down at random so that the mean is the wanted value, drawn at every
            programming; else to the nearest level.
        error_std: Standard deviation of the programming error, drawn at every programming.
        error_law: Its distribution.
        error_scaling: What it is relative to.
    """

    bits: Bits | None = None
    spacing: Annotated[Spacing, Field(strict=False)] = Spacing.UNIFORM
    stochastic_rounding: bool = False
    error_std: Fraction = 0.0
    error_law: Annotated[ErrorLaw, Field(strict=False)] = ErrorLaw.NORMAL
    error_scaling: Annotated[ErrorScaling, Field(strict=False)] = ErrorScaling.INDEPENDENT

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "levels": {"bits": None, "spacing": Spacing.UNIFORM},
        "error": {"error_std": 0.0},
    }

    @model_validator(mode="after")
    def _levels_are_said_once(self) -> Self:
        if self.bits is not None and self.spacing in _SERIES:
            raise ValueError(f"bits = {self.bits}: the values of {self.spacing.value} are the levels; leave bits out")
        return self

    @property
    def has_levels(self) -> bool:
        """Whether values are rounded at all."""
        return self.bits is not None or self.spacing in _SERIES

    @property
    def needs_smallest(self) -> bool:
        """Whether the levels take a smallest value above 0."""
        return self.bits is not None and self.spacing in (Spacing.LOGARITHMIC, Spacing.RESISTANCE)

    def draw(self, die: Die) -> Draws:
        """Nothing: a die keeps nothing of how it was programmed."""
        del die
        return {}

    def draw_write(self, die: Die) -> Draws:
        """``rounding``, uniform in [0, 1), and ``error``, of unit variance, of every component of one writing."""
        roles = die.roles(*MATRIX_KINDS)
        draws: dict[str, dict[Role, Tensor]] = {}
        if self.has_levels and self.stochastic_rounding:
            draws["rounding"] = {role: die.uniform("programming.rounding", role) for role in roles}
        if self.error_std > 0:
            if self.error_law is ErrorLaw.NORMAL:
                error = {role: die.normal("programming.error", role) for role in roles}
            else:
                error = {role: 12**0.5 * (die.uniform("programming.error", role) - 0.5) for role in roles}
            draws["error"] = error
        return draws

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """The values as written; without draws those of the nearest levels, without error.

        Raises:
            MisuseError: A spacing that takes a smallest value, and components that have none.
        """
        if not self.has_levels and self.error_std == 0:
            return elements
        for role, limits in elements.programmable.items():
            if role in elements.components:
                written = self._written(role, elements.components[role], limits, draws)
                elements = elements.with_component(role, replace(elements.components[role], value=written))
        return elements

    def _written(self, role: Role, component: Component, limits: tuple[float, float], draws: Draws) -> Tensor:
        low, high = limits
        value = component.value.clamp(0.0, high)
        if self.has_levels:
            below, above = self._neighbours(role, value, low, high)
            share = torch.where(above > below, (value - below) / (above - below), 0.0)
            chance = drawn_at(draws, "rounding", role, component)
            up = chance < share if chance is not None else share > 0.5
            if chance is None and role is Role.DAMPING:
                up = up | ((below == 0) & (value > 0))
            value = torch.where(up, above, below)
        error = drawn_at(draws, "error", role, component)
        if error is not None:
            deviation = self.error_std * error * self._relative_to(value, high)
            value = torch.where(value > 0, (value + deviation).clamp(low, high), 0.0)
        return value.clamp_min(least_value(role, limits))

    def _relative_to(self, value: Tensor, high: float) -> Tensor:
        if self.error_scaling is ErrorScaling.INDEPENDENT:
            return torch.full_like(value, high)
        return value if self.error_scaling is ErrorScaling.PROPORTIONAL else high**2 / value

    def _neighbours(self, role: Role, value: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
        """The levels around every value: the last one at or below it, and the next; both ends repeat."""
        if self.spacing in _SERIES:
            return _around(value, self._preferred(role, value, low, high))
        if self.needs_smallest and (low == 0 or (self.spacing, role.part) == (Spacing.RESISTANCE, PartKind.CAPACITOR)):
            missing = "no smallest value that can be written" if low == 0 else "no resistance"
            raise MisuseError(
                f"programming.spacing = {self.spacing.value}: every {role.label} of this circuit has {missing}; use "
                "uniform"
            )
        steps = float(2 ** (self.bits or 1) - 1)
        if high <= low:
            below = above = torch.full_like(value, high)
        elif self.spacing is Spacing.LOGARITHMIC:
            below, above = (part.exp() for part in _steps(value.log(), math.log(low), math.log(high), steps))
        elif self.spacing is Spacing.RESISTANCE:
            above, below = (1.0 / part for part in _steps(1.0 / value, 1.0 / high, 1.0 / low, steps))
        else:
            below, above = _steps(value, low, high, steps)
        below, above = below.clamp(low, high), above.clamp(low, high)
        return torch.where(value < low, 0.0, below), torch.where(value < low, low, above)

    def _preferred(self, role: Role, value: Tensor, low: float, high: float) -> Tensor:
        """Ascending levels of a series; 0 is one of them where there is a smallest value."""
        smallest = low if low > 0 else float(value[value > 0].min()) / 10 if bool((value > 0).any()) else high
        series = _SERIES[self.spacing]
        if role.part is PartKind.CAPACITOR:
            values = values_between(smallest, high, series)
        else:
            values = [1.0 / ohm for ohm in reversed(values_between(1.0 / high, 1.0 / smallest, series))]
        if not values:
            raise MisuseError(
                f"programming.spacing = {self.spacing.value}: no preferred value lies between the smallest and the "
                f"largest {role.label}; widen the range"
            )
        return torch.tensor([0.0, *values] if low > 0 else values, dtype=torch.float64)


def least_value(role: Role, limits: tuple[float, float]) -> float:
    """0, but for the capacitor of a node, without which it has no equation: the smallest, or 1e-12 of the largest."""
    low, high = limits
    return max(low, _STRAY * high) if role is Role.NODE_CAPACITOR else 0.0


def present(elements: Elements) -> Elements:
    """The elements of one chip without the components of value 0 among those that are programmed: for a netlist."""
    for role in elements.programmable:
        if role in elements.components:
            component = elements.components[role]
            there = component.value > 0
            if bool(there.all()):
                continue
            kept = replace(
                component, row=component.row[there], column=component.column[there], value=component.value[there],
                sign=component.sign[there],
            )  # fmt: skip
            elements = elements.with_component(role, kept)
    return elements


def drawn_at(draws: Draws, quantity: str, role: Role, component: Component) -> Tensor | None:
    """What was drawn for every component of a role, (..., m); None where the quantity was not drawn."""
    drawn = draws_of(draws, quantity).get(role)
    return None if drawn is None else drawn[..., component.row, component.column]


def _steps(place: Tensor, first: float, last: float, steps: float) -> tuple[Tensor, Tensor]:
    """The members of ``steps`` equal steps from ``first`` to ``last`` at or below ``place``, and the next."""
    step = (last - first) / steps
    index = ((place - first) / step).floor().clamp(0.0, steps)
    return first + index * step, first + (index + 1).clamp(max=steps) * step


def _around(value: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    place, last = torch.searchsorted(levels, value, right=True), len(levels) - 1
    return levels[(place - 1).clamp(0, last)], levels[place.clamp(0, last)]
