"""A circuit that is one array of components of given values, and what a part makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tngd_hw.hardware import Component, Die, Elements, Role
from tngd_hw.hardware.memory import Memory
from tngd_hw.hardware.programming import Programming

__all__ = ["array_of", "die_of", "values_after"]


def array_of(
    values: Sequence[float] | Tensor, limits: tuple[float, float], *, role: Role = Role.ARRAY, columns: int = 1
) -> Elements:
    """Components of one role with these values, ``columns`` copies of each in a row of the array."""
    wanted = torch.as_tensor(values, dtype=torch.float64)
    rows = len(wanted)
    row = torch.arange(rows).repeat_interleave(columns)
    column = torch.arange(columns).repeat(rows)
    component = Component(row, column, wanted[row], torch.ones(len(row)), (rows, columns))
    return Elements(rows, {role: component}, {}, {}, programmable={role: limits})


def die_of(elements: Elements, *, seed: int = 0, chip: int = 0) -> Die:
    """A die with exactly the arrays of ``elements``."""
    return Die({role: component.shape for role, component in elements.components.items()}, seed, chip)


def values_after(
    part: Programming | Memory,
    values: Sequence[float] | Tensor,
    limits: tuple[float, float],
    *,
    role: Role = Role.ARRAY,
    copies: int = 1,
    seed: int = 0,
    only: Sequence[str] | None = None,
) -> Tensor:
    """What ``copies`` components of each value become, shape (values, copies); ``only``: with these draws alone."""
    elements = array_of(values, limits, role=role, columns=copies)
    die = die_of(elements, seed=seed)
    draws = {**part.draw(die), **part.draw_write(die)}
    kept = draws if only is None else {quantity: draws[quantity] for quantity in only}
    return part.apply(elements, kept).value(role).reshape(len(values), copies)
