"""A die: what was built, with the deviations that it keeps for its life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from tngd_hw.hardware.draws import Die, Draws
from tngd_hw.hardware.elements import Elements, Inventory, Role
from tngd_hw.hardware.layout import Layout
from tngd_hw.hardware.spec import HardwareSpec
from tngd_hw.outcome import MisuseError
from tngd_hw.random import check_seed

__all__ = ["Chip", "draw_chip"]

Deviations = Mapping[str, Draws]
"""By part."""


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
        deviations: What was drawn, by part, quantity and role; shape ([chips,] rows, columns).
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

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its dies."""
        return (self.number,) if self.chips is None else tuple(range(self.chips))

    def select(self, chip: int) -> Chip:
        """Die number ``chip`` of a batch as a chip of its own."""

        def one(draws: Draws) -> Draws:
            return {what: {role: value[chip] for role, value in roles.items()} for what, roles in draws.items()}

        deviations = {part: one(draws) for part, draws in self.deviations.items()}
        return replace(self, chips=None, number=chip, deviations=deviations)

    def realise(self, nominal: Elements, *, seed: int = 0) -> Elements:
        """The elements that this die has where ``nominal`` was asked for; batch dimension first.

        ``seed`` is that of the programming: write errors and stochastic rounding are drawn anew with every seed.
        """
        elements = nominal
        written = self.hardware.written_parts()
        for name, part in self.hardware.parts().items():
            draws = self.deviations[name]
            if name in written:
                at_write = [written[name].draw_write(Die(self.inventory, seed, k)) for k in self.numbers]
                draws = {**draws, **self.hardware.mismatch.share(_stacked(at_write, batch=self.chips is not None))}
            elements = part.apply(elements, draws)
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
    per_node = dict.fromkeys((Role.NOISE, Role.DAC, Role.ADC), (layout.nodes, 1))
    on_die: Inventory = {**per_node, Role.RESET: (layout.nodes, 2), **built}  # a switch on either rail
    drawn = {
        name: _stacked([part.draw(Die(on_die, seed, k)) for k in range(chips or 1)], batch=chips is not None)
        for name, part in (hardware.parts() | hardware.ports()).items()
    }
    deviations = {name: hardware.mismatch.share(draws) for name, draws in drawn.items()}
    return Chip(topology, layout, hardware, seed, chips, built, deviations)


def _stacked(draws: list[Draws], *, batch: bool) -> Draws:
    """The draws of several dies with their axis first, or those of the only one as they are."""
    if not batch:
        return draws[0]
    return {
        what: {role: torch.stack([draw[what][role] for draw in draws]) for role in roles}
        for what, roles in draws[0].items()
    }
