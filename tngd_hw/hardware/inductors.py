"""Tank inductors: value, tolerance and series resistance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tngd_hw.hardware.draws import Die, Draws, relative_deviations, with_deviations
from tngd_hw.hardware.elements import Component, Elements, PartKind, Role
from tngd_hw.hardware.fields import Fraction, Part, Physical, Positive

__all__ = ["Inductors"]


class Inductors(Part):
    """The inductors of LC tanks.

    Attributes:
        inductance_henry: Nominal value.
        tolerance_dtod: Relative standard deviation of each inductance, Gaussian, drawn once a chip: L (1 + s z).
        series_ohm: Series resistance of each inductor: a loss, and a bath at the chip's own temperature.
    """

    inductance_henry: Positive = 1e-5
    tolerance_dtod: Fraction = 0.0
    series_ohm: Physical = 0.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "loss": {"series_ohm": 0.0},
        "tolerance": {"tolerance_dtod": 0.0},
    }

    def draw(self, die: Die) -> Draws:
        """``tolerance``: relative deviations of every inductor of one die."""
        return relative_deviations("inductors", self.tolerance_dtod, PartKind.INDUCTOR, die)

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """Inductances L (1 + deviation) of the chip, with their series resistances."""
        elements = with_deviations(elements, draws, inverse=False)
        if self.series_ohm == 0 or Role.TANK_INDUCTOR not in elements.components:
            return elements
        return elements.with_component(Role.INDUCTOR_LOSS, Component.per_node(1.0 / self.series_ohm, elements.n))
