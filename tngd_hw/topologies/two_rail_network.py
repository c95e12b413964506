"""Resistors between nodes that come in pairs p_i, m_i, and capacitors at them: equations and elements.

NETWORK is n x n without its diagonal.  Sign +1 at (i, j) joins i to j, on the direct rail for i < j and on the inverted
one for i > j; sign -1 joins p_i to m_j.  NODE_CAPACITOR, GROUND and NOISE have a column a rail, the direct one first;
one column means that there is only the direct rail.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tngd_hw.hardware import Component, Elements, Role
from tngd_hw.netlist import Kind, NetlistBuilder
from tngd_hw.topologies.resistors_in_netlist import add_resistors, entry_names

__all__ = ["add_network", "add_probes", "add_to_ground", "by_node", "nodal_conductances", "rail_count"]

_Nodes = NDArray[np.int64]


def rail_count(elements: Elements) -> int:
    """1 or 2."""
    return elements.components[Role.NODE_CAPACITOR].shape[1]


def by_node(elements: Elements, role: Role) -> Tensor:
    """Values of a role with one component a node, shape (..., rails n): p, then m."""
    return elements.components[role].dense(1).mT.flatten(-2)


def nodal_conductances(elements: Elements) -> Tensor:
    """L, shape (..., rails n, rails n), of elements that all have the same batch: nodes p, then m."""
    network = elements.components[Role.NETWORK]
    straight = network.dense(1)
    direct = torch.triu(straight)
    between = direct + direct.mT
    if rail_count(elements) == 2:
        crossed, inverted = network.dense(-1), torch.tril(straight)
        rows = torch.cat([between, crossed], -1), torch.cat([crossed.mT, inverted + inverted.mT], -1)
        between = torch.cat(rows, -2)
    to_ground = by_node(elements, Role.GROUND)
    if Role.LEAKAGE in elements.components:
        to_ground = to_ground + by_node(elements, Role.LEAKAGE)
    return torch.diag_embed(between.sum(-1) + to_ground) - between


def add_probes(build: NetlistBuilder, out: _Nodes, rails: _Nodes, names: list[str]) -> None:
    """Ideal probes: the nodes ``out`` have the voltages p - m."""
    ports = np.stack([out, np.zeros_like(out), rails[0], rails[1]], 1)
    build.add(Kind.VCVS, names, ports, 1.0)


def add_network(build: NetlistBuilder, elements: Elements, nodes: _Nodes) -> None:
    """Resistors ``a_row_column``; ``nodes`` has shape (rails, n)."""
    network = elements.components[Role.NETWORK]
    row, column, crossed = network.row.numpy(), network.column.numpy(), (network.sign < 0).numpy()
    below = (row > column).astype(np.int64)
    start = nodes[np.where(crossed, 0, below), row]
    end = nodes[np.where(crossed, 1, below), column]
    names = entry_names("a", row, column)
    if names:
        add_resistors(build, elements, Role.NETWORK, names, np.stack([start, end], 1))


def add_to_ground(build: NetlistBuilder, elements: Elements, nodes: _Nodes, start: Tensor) -> None:
    """Resistors ``gp0``, ``gm0`` and capacitors ``p0``, ``m0`` ... with their initial voltages, shape (rails, n)."""
    ground, capacitor = elements.components[Role.GROUND], elements.components[Role.NODE_CAPACITOR]
    if len(ground.row):
        ports, names = _grounded(ground, nodes)
        add_resistors(build, elements, Role.GROUND, [f"g{name}" for name in names], ports)
    if Role.LEAKAGE in elements.components:
        ports, names = _grounded(elements.components[Role.LEAKAGE], nodes)
        add_resistors(build, elements, Role.LEAKAGE, [f"leak{name}" for name in names], ports)
    ports, names = _grounded(capacitor, nodes)
    initial = start[capacitor.column, capacitor.row].numpy()
    build.add(Kind.CAPACITOR, names, ports, capacitor.value.numpy(), initial=initial)


def _grounded(component: Component, nodes: _Nodes) -> tuple[_Nodes, list[str]]:
    row, rail = component.row.numpy(), component.column.numpy()
    node = nodes[rail, row]
    names = [f"{'pm'[r]}{i}" for i, r in zip(row.tolist(), rail.tolist(), strict=True)]
    return np.stack([node, np.zeros_like(node)], 1), names
