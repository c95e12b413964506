"""Integration capacitors: value, tolerance and matching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tngd_hw.hardware.draws import Die, Draws, matching_sigma, relative_deviations, with_deviations
from tngd_hw.hardware.elements import Elements, PartKind
from tngd_hw.hardware.fields import Fraction, Part, Physical, Positive

__all__ = ["Capacitors"]


class Capacitors(Part):
    """The capacitors of integrators, nodes and tanks.

    Attributes:
        capacitance_farad: Nominal value C; with the conductance g0 of A = 1 it sets tau = C/g0.  In a capacitor bank
            (``rlc_spu``) it is the largest node capacitance.
        stray_farad: Smallest capacitance from a node to ground that can be built; it matters where capacitors hold the
            matrix.
        tolerance_dtod: Relative standard deviation of each capacitance, Gaussian, drawn once a chip: C (1 + s z).
        matching_um: Pelgrom coefficient A_C; adds A_C/sqrt(area) to the tolerance in quadrature.
        area_um2: Area W L of one capacitor.
    """

    capacitance_farad: Positive = 1e-9
    stray_farad: Physical = 0.0
    tolerance_dtod: Fraction = 0.0
    matching_um: Physical = 0.0
    area_um2: Positive = 1.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "stray": {"stray_farad": 0.0},
        "tolerance": {"tolerance_dtod": 0.0, "matching_um": 0.0},
    }

    def draw(self, die: Die) -> Draws:
        """``tolerance``: relative deviations of every capacitor of one die."""
        sigma = matching_sigma(self.tolerance_dtod, self.matching_um, self.area_um2)
        return relative_deviations("capacitors", sigma, PartKind.CAPACITOR, die)

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """Capacitances C (1 + deviation) of the chip."""
        return with_deviations(elements, draws, inverse=False)
