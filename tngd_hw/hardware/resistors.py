"""Programmable resistors: their range, their tolerance and their matching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import model_validator

from tngd_hw.hardware.draws import Die, Draws, matching_sigma, relative_deviations, with_deviations
from tngd_hw.hardware.elements import Elements, PartKind
from tngd_hw.hardware.fields import Fraction, Part, Physical, Positive

__all__ = ["Resistors"]


class Resistors(Part):
    """The resistors of the arrays, the inputs and the inverters.

    Attributes:
        resistance_ohm: Smallest resistance, that of the largest entry of a matrix; fixed resistors have it too.
        largest_ohm: Largest resistance that can be programmed, or None for no limit; an entry of a matrix that would
            need more has either this resistance or none, whichever is nearer in conductance.
        tolerance_dtod: Relative standard deviation of each resistance, Gaussian, drawn once a chip: R (1 + s z).
        matching_um: Pelgrom coefficient A_R; adds A_R/sqrt(area) to the tolerance in quadrature.
        area_um2: Area W L of one resistor.
    """

    resistance_ohm: Positive = 1e3
    largest_ohm: Positive | None = None
    tolerance_dtod: Fraction = 0.0
    matching_um: Physical = 0.0
    area_um2: Positive = 1.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "range": {"largest_ohm": None},
        "tolerance": {"tolerance_dtod": 0.0, "matching_um": 0.0},
    }

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.largest_ohm is not None and self.largest_ohm <= self.resistance_ohm:
            raise ValueError(
                f"largest_ohm = {self.largest_ohm:g} is not above resistance_ohm = {self.resistance_ohm:g}, the "
                "smallest resistance: give a larger one, or leave it out for no limit"
            )
        return self

    def draw(self, die: Die) -> Draws:
        """``tolerance``: relative deviations of every resistor of one die."""
        sigma = matching_sigma(self.tolerance_dtod, self.matching_um, self.area_um2)
        return relative_deviations("resistors", sigma, PartKind.RESISTOR, die)

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """Conductances G = 1/(R (1 + deviation)) of the chip."""
        return with_deviations(elements, draws, inverse=True)
