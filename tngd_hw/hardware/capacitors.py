"""Integration capacitors: value and tolerance."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tngd_hw.hardware.elements import Elements, Inventory, PartKind, Role, roles_of
from tngd_hw.hardware.fields import Fraction, Part, Physical, Positive
from tngd_hw.hardware.resistors import relative_deviations, with_deviations

__all__ = ["Capacitors"]


class Capacitors(Part):
    """The capacitors of integrators, nodes and tanks.

    Attributes:
        capacitance_farad: Nominal value C; with the conductance g0 of A = 1 it sets tau = C/g0.  In a capacitor bank
            (``rlc_spu``) it is the largest node capacitance.
        stray_farad: Smallest capacitance from a node to ground that can be built; it matters where capacitors hold the
            matrix.
        tolerance_dtod: Relative standard deviation of each capacitance, Gaussian, drawn once a chip: C (1 + s z).
    """

    capacitance_farad: Positive = 1e-9
    stray_farad: Physical = 0.0
    tolerance_dtod: Fraction = 0.0

    def draw(self, inventory: Inventory, seed: int, chip: int) -> Mapping[Role, Tensor]:
        """Relative deviations of every capacitor of one die; shape (rows, columns) a role."""
        return relative_deviations(
            "capacitors.tolerance",
            self.tolerance_dtod,
            roles_of(PartKind.CAPACITOR),
            inventory=inventory,
            seed=seed,
            chip=chip,
        )

    def apply(self, elements: Elements, deviations: Mapping[Role, Tensor]) -> Elements:
        """Capacitances C (1 + deviation) of the chip."""
        return with_deviations(elements, deviations, inverse=False)
