"""A die: what was built, with the deviations that it keeps for its life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.hardware.elements import Elements, Inventory, Role
from tngd_hw.hardware.layout import Layout
from tngd_hw.hardware.spec import HardwareSpec
from tngd_hw.outcome import MisuseError
from tngd_hw.random import check_seed

__all__ = ["Chip", "draw_chip"]

Deviations = Mapping[str, Mapping[Role, Tensor]]


@dataclass(frozen=True, eq=False)
class Chip:
    """One die, or a batch of dies of one design.

    Attributes:
        topology: Name of the topology it was built for.
        layout: What it was built for.
        hardware: What it is made of.
        seed: Seed of its deviations.
        chips: Number of dies in the batch, or None for a single die without a batch dimension.
        inventory: Rows and columns of every role on the die.
        deviations: What was drawn, by part and role; shape ([chips,] rows, columns).
        number: Number of a single die in the batch it was taken from; the dies of a batch count from 0.
    """

    topology: str
    layout: Layout
    hardware: HardwareSpec
    seed: int
    chips: int | None
    inventory: Inventory
    deviations: Deviations
    number: int = 0

    @property
    def nodes(self) -> int:
        """Number of unknowns that it can hold."""
        return self.layout.nodes

    def deviations_of(self, chip: int) -> Deviations:
        """The deviations of one die of a batch."""
        return {part: {role: value[chip] for role, value in roles.items()} for part, roles in self.deviations.items()}

    def realise(self, nominal: Elements) -> Elements:
        """The elements that this die has where ``nominal`` was asked for; batch dimension first."""
        elements = nominal
        for name, part in self.hardware.parts().items():
            elements = part.apply(elements, self.deviations[name])
        return elements


def draw_chip(
    topology: str, layout: Layout, hardware: HardwareSpec, *, seed: int, chips: int | None, built: Inventory
) -> Chip:
    """Draw every ``_dtod`` deviation of one die (``chips=None``) or of dies 0 to ``chips - 1``.

    Die k of seed s is the same die in a batch of any size.
    """
    if chips is not None and (isinstance(chips, bool) or not isinstance(chips, int) or chips < 1):
        raise MisuseError(f"chips = {chips!r}: a batch has at least 1 chip; leave it out for a single die")
    check_seed(seed)
    deviations: dict[str, Mapping[Role, Tensor]] = {}
    for name, part in hardware.parts().items():
        draws = [part.draw(built, seed, k) for k in range(chips or 1)]
        deviations[name] = {
            role: draws[0][role] if chips is None else torch.stack([draw[role] for draw in draws]) for role in draws[0]
        }
    return Chip(topology, layout, hardware, seed, chips, built, deviations)
