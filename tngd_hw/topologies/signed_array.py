"""An n x n array of resistors that holds entries of both signs, and the rails that feed it.

BALANCED: entry A_ij is g0 |A_ij| from V_j or from its inverted rail -V_j (one inverting amplifier a column).
OFFSET: row i stores g0 (A_ij + c_i) with c_i = max(0, -min_j A_ij), all from the direct rails, and takes c_i sum_j V_j
away through one reference rail W = -sum_j V_j / sqrt(n), weight sqrt(n) g0 c_i.  With the gain 1/sqrt(n), |W| is at
most |V|_2, so the reference amplifier saturates no earlier than the range planned for V.
The shifts c_i change with every matrix, so the column of the reference is made of the cells of the array, in the same
range, and is programmed as they are; it cannot be a fixed component.  What a reference is off by is an error of its
whole row, -dc_i sum_j V_j.  REFERENCE_INPUT and REFERENCE_FEEDBACK, whose ratio is 1/sqrt(n) for good, are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tngd_hw.hardware import Component, Elements, Encoding, HardwareSpec, Layout, Role
from tngd_hw.netlist import NetlistBuilder
from tngd_hw.topologies.base import Design
from tngd_hw.topologies.op_amp_cells import Rails, StageRow, add_array, add_inverters, add_stages
from tngd_hw.topologies.summing_network import one_batch

__all__ = [
    "add_rails",
    "array_components",
    "array_inventory",
    "array_scale",
    "rail_amplifiers",
    "rail_blocks",
    "rail_stages",
    "resistor_array",
    "with_leakage",
]

_Nodes = NDArray[np.int64]


def row_shifts(A: Tensor) -> Tensor:
    """c_i = max(0, -min_j A_ij), shape (n,)."""
    return (-A.amin(-1)).clamp_min(0.0)


def array_scale(A: Tensor, encoding: Encoding, unit: float) -> float:
    """g0: the largest conductance that the encoding needs for A becomes ``unit``; ``unit`` for a matrix of zeros."""
    if encoding is Encoding.OFFSET:
        shift = row_shifts(A)
        largest = max(float((A + shift[:, None]).max()), math.sqrt(A.shape[0]) * float(shift.max()))
    else:
        largest = float(A.abs().max())
    return unit / largest if largest > 0 else unit


def resistor_array(matrix: Tensor, scale: float, hardware: HardwareSpec) -> Component:
    """Conductances scale |entry|; below the programmable range the smallest one or none, whichever is nearer."""
    if hardware.resistors.largest_ohm is None:
        return Component.array(matrix, scale)
    least = 1.0 / hardware.resistors.largest_ohm
    size = scale * matrix.abs()
    legal = torch.where(size >= least, size, least * (size > least / 2).to(torch.float64))
    return Component.array(torch.sign(matrix) * legal / scale, scale)


def array_components(A: Tensor, design: Design) -> dict[Role, Component]:
    """The array and the resistors of its rails."""
    n, g0, hardware = A.shape[0], design.scales.conductance_siemens, design.hardware
    unit = 1.0 / hardware.resistors.resistance_ohm
    if design.layout.encoding is Encoding.BALANCED:
        return {
            Role.ARRAY: resistor_array(A, g0, hardware),
            Role.INVERTER_INPUT: Component.per_node(unit, n),
            Role.INVERTER_FEEDBACK: Component.per_node(unit, n),
        }
    shift = row_shifts(A)[:, None]
    return {
        Role.ARRAY: resistor_array(A + shift, g0, hardware),
        Role.REFERENCE_ARRAY: resistor_array(shift, math.sqrt(n) * g0, hardware),
        Role.REFERENCE_INPUT: Component.array(torch.ones(1, n, dtype=torch.float64), unit / math.sqrt(n)),
        Role.REFERENCE_FEEDBACK: Component.per_node(unit, 1),
    }


def array_inventory(layout: Layout) -> dict[Role, tuple[int, int]]:
    """Rows and columns of the array and of what makes its rails, amplifiers included."""
    n = layout.nodes
    if layout.encoding is Encoding.BALANCED:
        rails = {Role.INVERTER_INPUT: (n, 1), Role.INVERTER_FEEDBACK: (n, 1)}
    else:
        rails = {Role.REFERENCE_ARRAY: (n, 1), Role.REFERENCE_INPUT: (1, n), Role.REFERENCE_FEEDBACK: (1, 1)}
    amplifiers = {role: (count, 1) for role, count in rail_amplifiers(n, layout.encoding).items()}
    return {Role.ARRAY: (n, n), **rails, **amplifiers}


def rail_amplifiers(n: int, encoding: Encoding) -> dict[Role, int]:
    """How many amplifiers make the rails."""
    return {Role.INVERTER_AMPLIFIER: n} if encoding is Encoding.BALANCED else {Role.REFERENCE_AMPLIFIER: 1}


def rail_stages(elements: Elements) -> list[tuple[str, str]]:
    """Name and node of every amplifier of the rails, in their order."""
    if Role.REFERENCE_FEEDBACK in elements.components:
        return [("reference amplifier", "ref")]
    return [(f"inverter of column {j}", f"inv{j}") for j in range(elements.n)]


def rail_blocks(elements: Elements) -> Tensor:
    """P of the n node amplifiers and the amplifiers of the rails, shape (..., n + rails, n + rails)."""
    direct = elements.components[Role.ARRAY].dense(1)
    if Role.REFERENCE_FEEDBACK in elements.components:
        to_rows = elements.components[Role.REFERENCE_ARRAY].dense(1)
        from_nodes = elements.components[Role.REFERENCE_INPUT].dense(1)
        feedback = elements.value(Role.REFERENCE_FEEDBACK)[..., None]
    else:
        to_rows = elements.components[Role.ARRAY].dense(-1)
        from_nodes = torch.diag_embed(elements.value(Role.INVERTER_INPUT))
        feedback = torch.diag_embed(elements.value(Role.INVERTER_FEEDBACK))
    direct, to_rows, from_nodes, feedback = one_batch(direct, to_rows, from_nodes, feedback)
    return torch.cat([torch.cat([direct, to_rows], -1), torch.cat([from_nodes, feedback], -1)], -2)


def with_leakage(P: Tensor, elements: Elements) -> Tensor:
    """P with the leakage of the first n amplifiers' capacitors: a resistor across each."""
    if Role.LEAKAGE not in elements.components:
        return P
    leak = torch.nn.functional.pad(elements.value(Role.LEAKAGE), (0, P.shape[-1] - elements.n))
    return P + torch.diag_embed(leak)


def add_rails(
    build: NetlistBuilder, elements: Elements, out: _Nodes, summing: _Nodes, rail_start: Mapping[Role, Tensor]
) -> None:
    """The array from the outputs ``out`` to the nodes ``summing``, with inverters or the reference amplifier.

    ``rail_start``: output voltages of the rail amplifiers at t = 0, by role.
    """
    if Role.REFERENCE_FEEDBACK in elements.components:
        _add_reference(build, elements, out, summing, rail_start[Role.REFERENCE_AMPLIFIER])
        return
    inverted = build.nodes([f"inv{i}" for i in range(len(out))])
    add_array(build, elements, Role.ARRAY, Rails(out, inverted), summing, prefix="a")
    start = rail_start[Role.INVERTER_AMPLIFIER].numpy()
    row = StageRow("inv", out, inverted, elements.amplifiers.get(Role.INVERTER_AMPLIFIER), start)
    add_inverters(build, elements, row, Role.INVERTER_INPUT, Role.INVERTER_FEEDBACK)


def _add_reference(build: NetlistBuilder, elements: Elements, out: _Nodes, summing: _Nodes, start: Tensor) -> None:
    add_array(build, elements, Role.ARRAY, Rails(out, out), summing, prefix="a")
    node, reference = build.nodes(["refsum"]), build.nodes(["ref"])
    add_array(build, elements, Role.REFERENCE_INPUT, Rails(out, out), node, prefix="refin")
    add_array(build, elements, Role.REFERENCE_ARRAY, Rails(reference, reference), summing, prefix="c")
    row = StageRow("ref", node, reference, elements.amplifiers.get(Role.REFERENCE_AMPLIFIER), start.numpy())
    add_stages(build, elements, row, Role.REFERENCE_FEEDBACK)
