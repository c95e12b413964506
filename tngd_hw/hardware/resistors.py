"""Programmable resistors: their range and their tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from pydantic import model_validator
from torch import Tensor

from tngd_hw.hardware.elements import Elements, Inventory, PartKind, Role, roles_of
from tngd_hw.hardware.fields import Fraction, Part, Positive
from tngd_hw.outcome import MisuseError
from tngd_hw.random import stream

__all__ = ["Resistors", "relative_deviations", "with_deviations"]


class Resistors(Part):
    """The resistors of the arrays, the inputs and the inverters.

    Attributes:
        resistance_ohm: Smallest resistance, that of the largest entry of a matrix; fixed resistors have it too.
        largest_ohm: Largest resistance that can be programmed, or None for no limit; an entry of a matrix that would
            need more has either this resistance or none, whichever is nearer in conductance.
        tolerance_dtod: Relative standard deviation of each resistance, Gaussian, drawn once a chip: R (1 + s z).
    """

    resistance_ohm: Positive = 1e3
    largest_ohm: Positive | None = None
    tolerance_dtod: Fraction = 0.0

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.largest_ohm is not None and self.largest_ohm < self.resistance_ohm:
            raise ValueError(
                f"largest_ohm = {self.largest_ohm:g} is below resistance_ohm = {self.resistance_ohm:g}, the smallest "
                "resistance: exchange them"
            )
        return self

    def draw(self, inventory: Inventory, seed: int, chip: int) -> Mapping[Role, Tensor]:
        """Relative deviations of every resistor of one die; shape (rows, columns) a role."""
        return relative_deviations(
            "resistors.tolerance",
            self.tolerance_dtod,
            roles_of(PartKind.RESISTOR),
            inventory=inventory,
            seed=seed,
            chip=chip,
        )

    def apply(self, elements: Elements, deviations: Mapping[Role, Tensor]) -> Elements:
        """Conductances G = 1/(R (1 + deviation)) of the chip."""
        return with_deviations(elements, deviations, inverse=True)


def relative_deviations(
    part: str, sigma: float, roles: tuple[Role, ...], *, inventory: Inventory, seed: int, chip: int
) -> Mapping[Role, Tensor]:
    """Gaussian relative deviations, one keyed stream a role, so that roles never share draws."""
    draws: dict[Role, Tensor] = {}
    for role in roles:
        if role in inventory and sigma > 0:
            normal = stream(seed, f"{part}.{role.name}", chip).standard_normal(inventory[role])
            if bool((sigma * normal <= -1).any()):
                raise MisuseError(
                    f"tolerance_dtod = {sigma:g}: chip {chip} of seed {seed} would have an {role.label} below 0; "
                    "choose a smaller tolerance"
                )
            draws[role] = torch.from_numpy(sigma * normal)
    return draws


def with_deviations(elements: Elements, deviations: Mapping[Role, Tensor], *, inverse: bool) -> Elements:
    """Values times (1 + deviation), or divided by it; a deviation array has shape (..., rows, columns)."""
    for role, deviation in deviations.items():
        factor = 1.0 + deviation
        elements = elements.with_values(
            role,
            lambda c, factor=factor: (
                c.value / factor[..., c.row, c.column] if inverse else c.value * factor[..., c.row, c.column]
            ),
        )
    return elements
