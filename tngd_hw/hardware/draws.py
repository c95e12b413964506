"""What is drawn for a die, and how a drawn deviation acts: keyed streams in, factors on component values out.

A part draws once a chip what it calls ``_dtod`` and at every programming what it calls ``_std``.  Every quantity of
every role has a stream of its own, so that no effect moves another's draws when it is switched on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.hardware.elements import Elements, Inventory, PartKind, Role, roles_of
from tngd_hw.outcome import MisuseError
from tngd_hw.random import stream

__all__ = ["Die", "Draws", "draws_of", "matching_sigma", "relative_deviations", "scaled", "with_deviations"]

Draws = Mapping[str, Mapping[Role, Tensor]]
"""What one part drew, by quantity and role; shape ([chips,] rows, columns), laid out as the arrays on the die."""


def draws_of(draws: Draws, quantity: str) -> Mapping[Role, Tensor]:
    """The draws of one quantity; empty where it was not drawn, so that its effect is absent."""
    return draws.get(quantity, {})


@dataclass(frozen=True)
class Die:
    """Where a draw belongs.

    Attributes:
        inventory: What stands on the die.
        seed: Of the die, or of the programming for what is drawn at every use.
        chip: Number of the die in its batch.
    """

    inventory: Inventory
    seed: int
    chip: int

    def stream(self, quantity: str) -> np.random.Generator:
        """The keyed stream of one quantity, for example ``"mismatch.gradient.ARRAY"``."""
        return stream(self.seed, quantity, self.chip)

    def normal(self, quantity: str, role: Role) -> Tensor:
        """Standard normal variates, shape (rows, columns) of ``role``."""
        return torch.from_numpy(self.stream(f"{quantity}.{role.name}").standard_normal(self.inventory[role]))

    def uniform(self, quantity: str, role: Role) -> Tensor:
        """Uniform variates in [0, 1), shape (rows, columns) of ``role``."""
        return torch.from_numpy(self.stream(f"{quantity}.{role.name}").random(self.inventory[role]))

    def roles(self, *kinds: PartKind) -> tuple[Role, ...]:
        """The roles of these kinds that stand on the die."""
        return tuple(role for role in roles_of(*kinds) if role in self.inventory)


def matching_sigma(tolerance: float, matching_um: float, area_um2: float) -> float:
    """sqrt(tolerance^2 + (A/sqrt(W L))^2): what is given directly, and Pelgrom's area law.

    A is the matching coefficient of the relative difference of a component from its nominal value, in um (3.55 % um is
    0.0355 um); W L is the area of one component.  Source: Pelgrom et al., IEEE JSSC 24, 1433 (1989).
    """
    return math.hypot(tolerance, matching_um / math.sqrt(area_um2))


def relative_deviations(part: str, sigma: float, kind: PartKind, die: Die) -> Draws:
    """``tolerance``: Gaussian relative deviations of all components of one kind; nothing for sigma = 0.

    Raises:
        MisuseError: A sigma so large that a component of this die would be below 0.
    """
    if sigma == 0:
        return {}
    draws = {role: sigma * die.normal(f"{part}.tolerance", role) for role in die.roles(kind)}
    for role, deviation in draws.items():
        if bool((deviation <= -1).any()):
            raise MisuseError(
                f"{part}.tolerance_dtod = {sigma:g}: chip {die.chip} of seed {die.seed} would have an {role.label} "
                "below 0; choose a smaller tolerance"
            )
    return {"tolerance": draws}


def with_deviations(elements: Elements, draws: Draws, *, inverse: bool) -> Elements:
    """Values times (1 + tolerance), or divided by it."""
    for role, deviation in draws_of(draws, "tolerance").items():
        elements = scaled(elements, role, 1.0 / (1.0 + deviation) if inverse else 1.0 + deviation)
    return elements


def scaled(elements: Elements, role: Role, factor: Tensor) -> Elements:
    """Values of ``role`` times a factor laid out as the array on the die, shape (..., rows, columns)."""
    return elements.with_values(role, lambda c: c.value * factor[..., c.row, c.column])
