"""Resistors of the elements placed in a netlist, with the temperature at which they are heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tngd_hw.hardware import Elements, Role
from tngd_hw.netlist import Kind, NetlistBuilder

__all__ = ["add_resistors", "entry_names", "noise_density"]

_Nodes = NDArray[np.int64]


def add_resistors(build: NetlistBuilder, elements: Elements, role: Role, names: list[str], nodes: _Nodes) -> None:
    """The resistors of one role, nodes (m, 2); those of 0 S are left out.

    Where the elements say which roles have thermal noise, theirs gets its temperature and the others are silent.
    """
    siemens = elements.value(role).numpy()
    live = siemens > 0
    if not live.all():
        names, nodes, siemens = [name for name, k in zip(names, live, strict=True) if k], nodes[live], siemens[live]
    if not names:
        return
    kelvin = elements.noise_kelvin.get(role)
    silent = bool(elements.noise_kelvin) and kelvin is None
    build.add(Kind.RESISTOR, names, nodes, 1.0 / siemens, temperature_kelvin=kelvin, noiseless=silent)


def noise_density(elements: Elements, role: Role, siemens: Tensor) -> Tensor:
    """4 k T G in A^2/Hz of conductances of one role, zero where it is silent."""
    return elements.thermal_factor(role) * siemens


def entry_names(prefix: str, row: _Nodes, column: _Nodes) -> list[str]:
    """``prefix_row_column`` of every entry of an array: each number is written once, not once an entry."""
    starts = np.array([f"{prefix}_{i}_" for i in range(row.max(initial=-1) + 1)], dtype=np.object_)
    ends = np.array([str(j) for j in range(column.max(initial=-1) + 1)], dtype=np.object_)
    return (starts[row] + ends[column]).tolist()
