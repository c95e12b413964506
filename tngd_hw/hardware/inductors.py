"""Tank inductors: value and tolerance."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tngd_hw.hardware.elements import Elements, Inventory, PartKind, Role, roles_of
from tngd_hw.hardware.fields import Fraction, Part, Positive
from tngd_hw.hardware.resistors import relative_deviations, with_deviations

__all__ = ["Inductors"]


class Inductors(Part):
    """The inductors of LC tanks.

    Attributes:
        inductance_henry: Nominal value.
        tolerance_dtod: Relative standard deviation of each inductance, Gaussian, drawn once a chip: L (1 + s z).
    """

    inductance_henry: Positive = 1e-5
    tolerance_dtod: Fraction = 0.0

    def draw(self, inventory: Inventory, seed: int, chip: int) -> Mapping[Role, Tensor]:
        """Relative deviations of every inductor of one die; shape (rows, columns) a role."""
        roles = roles_of(PartKind.INDUCTOR)
        return relative_deviations(
            "inductors.tolerance", self.tolerance_dtod, roles, inventory=inventory, seed=seed, chip=chip
        )

    def apply(self, elements: Elements, deviations: Mapping[Role, Tensor]) -> Elements:
        """Inductances L (1 + deviation) of the chip."""
        return with_deviations(elements, deviations, inverse=False)
