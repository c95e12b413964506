"""The elements of ``three_array`` as equations and as a netlist: two derivations of one circuit.

A row of amplifiers (v, u or w) and its inverters are two blocks of the summing network; an array from row a to row b
fills two blocks, its positive entries from a's outputs and its negative ones from a's inverters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tngd_hw.hardware import Elements, Role
from tngd_hw.netlist import Netlist, NetlistBuilder
from tngd_hw.topologies.op_amp_cells import (
    Rails,
    StageRow,
    add_array,
    add_integrators,
    add_inverters,
    add_noise,
    add_sources,
    add_stages,
)
from tngd_hw.topologies.resistors_in_netlist import add_resistors
from tngd_hw.topologies.signed_array import with_leakage
from tngd_hw.topologies.summing_network import SummingNetwork

__all__ = ["three_array_netlist", "three_array_network", "three_array_stages"]

_Nodes = NDArray[np.int64]


@dataclass(frozen=True)
class _Row:
    """A row of amplifiers with its inverters: roles of their parts, rails in the netlist, and what they are called."""

    amplifier: Role
    inverter: Role
    inverter_input: Role
    inverter_feedback: Role
    direct: str
    inverted: str
    summing: str
    called: str


_V = _Row(
    Role.INTEGRATOR_AMPLIFIER, Role.INVERTER_AMPLIFIER, Role.INVERTER_INPUT, Role.INVERTER_FEEDBACK,
    "out", "inv", "sum", "column",
)  # fmt: skip
_U = _Row(
    Role.JACOBIAN_AMPLIFIER, Role.JACOBIAN_INVERTER_AMPLIFIER, Role.JACOBIAN_INVERTER_INPUT,
    Role.JACOBIAN_INVERTER_FEEDBACK, "jac", "jacinv", "jacsum", "J stage row",
)  # fmt: skip
_W = _Row(
    Role.HESSIAN_AMPLIFIER, Role.HESSIAN_INVERTER_AMPLIFIER, Role.HESSIAN_INVERTER_INPUT,
    Role.HESSIAN_INVERTER_FEEDBACK, "hes", "hesinv", "hessum", "H stage row",
)  # fmt: skip
_ROWS = (_V, _U, _W)
_ARRAYS = ((Role.JACOBIAN, _V, _U), (Role.HESSIAN, _U, _W), (Role.TRANSPOSE, _W, _V))
"""Array, the row it comes from, the row it goes to."""

_OWN = ((Role.DAMPING, _V), (Role.JACOBIAN_FEEDBACK, _U), (Role.HESSIAN_FEEDBACK, _W))
"""Resistors from the output of an amplifier to its own summing node."""


def three_array_stages(elements: Elements) -> list[tuple[str, str]]:
    """Name and node of every amplifier behind those of the nodes, in the order of :func:`three_array_network`."""
    stages: list[tuple[str, str]] = []
    for row in _ROWS:
        numbers = range(elements.counts[row.amplifier])
        if row is not _V:
            stages += [(f"{row.called} {k}", f"{row.direct}{k}") for k in numbers]
        stages += [(f"inverter of {row.called} {k}", f"{row.inverted}{k}") for k in numbers]
    return stages


def three_array_network(elements: Elements) -> SummingNetwork:
    """Amplifiers in the order of ``elements.counts``: v, its inverters, u, its inverters, w, its inverters."""
    elements = elements.one_batch()
    P, Q = _conductances(elements)
    thermal = _conductances(elements.noise_densities()) if elements.noise_kelvin else (None, None)
    noise = elements.components.get(Role.NOISE)
    return SummingNetwork(
        P, Q, elements.value(Role.INTEGRATION), None if noise is None else noise.value,
        elements.amplifier_bank(), *thermal,
    )  # fmt: skip


def _conductances(elements: Elements) -> tuple[Tensor, Tensor]:
    """P and Q of the network."""
    place, batch = _slices(elements), elements.value(Role.INTEGRATION).shape[:-1]
    total = sum(elements.counts.values())
    P = torch.zeros(*batch, total, total, dtype=torch.float64)
    for role, source, target in _ARRAYS:
        array = elements.components[role]
        P[..., place[target.amplifier], place[source.amplifier]] = array.dense(1)
        P[..., place[target.amplifier], place[source.inverter]] = array.dense(-1)
    for role, row in _OWN:
        own = elements.components[role].dense(1).squeeze(-1)  # a damping resistor may be missing
        P[..., place[row.amplifier], place[row.amplifier]] = torch.diag_embed(own)
    for row in _ROWS:
        P[..., place[row.inverter], place[row.amplifier]] = torch.diag_embed(elements.value(row.inverter_input))
        P[..., place[row.inverter], place[row.inverter]] = torch.diag_embed(elements.value(row.inverter_feedback))
    Q = torch.zeros(*batch, total, elements.n, dtype=torch.float64)
    Q[..., : elements.n, :] = torch.diag_embed(elements.value(Role.INPUT))
    return with_leakage(P, elements), Q


def three_array_netlist(elements: Elements, inputs: Tensor, initial_volt: Tensor) -> Netlist:
    """Inputs are the sources ``in0`` ..., outputs the nodes ``out0`` ... from ``initial_volt``."""
    n, m = elements.n, elements.counts[Role.JACOBIAN_AMPLIFIER]
    build = NetlistBuilder(f"three arrays of {n} nodes and {m} outputs")
    sizes = {_V: n, _U: m, _W: m}
    rails = {
        row: Rails(build.nodes(_names(row.direct, size)), build.nodes(_names(row.inverted, size)))
        for row, size in sizes.items()
    }
    summing = {row: build.nodes(_names(row.summing, size)) for row, size in sizes.items()}
    driven, names = add_sources(build, inputs.numpy())
    _add_row_of_resistors(build, elements, Role.INPUT, driven, summing[_V], prefix="b")
    _add_row_of_resistors(build, elements, Role.DAMPING, rails[_V].direct, summing[_V], prefix="lambda")
    for (role, source, target), prefix in zip(_ARRAYS, ("j", "h", "t"), strict=True):
        add_array(build, elements, role, rails[source], summing[target], prefix=prefix)
    start = _start_voltages(elements, initial_volt)
    add_integrators(build, elements, summing[_V], rails[_V].direct, initial_volt.numpy())
    for row, feedback in ((_U, Role.JACOBIAN_FEEDBACK), (_W, Role.HESSIAN_FEEDBACK)):
        bank = elements.amplifiers.get(row.amplifier)
        stages = StageRow(row.direct, summing[row], rails[row].direct, bank, start[row.amplifier].numpy())
        add_stages(build, elements, stages, feedback)
    for row in _ROWS:
        bank = elements.amplifiers.get(row.inverter)
        stages = StageRow(row.inverted, rails[row].direct, rails[row].inverted, bank, start[row.inverter].numpy())
        add_inverters(build, elements, stages, row.inverter_input, row.inverter_feedback)
    add_noise(build, elements, summing[_V])
    return build.netlist(inputs=names, outputs=_names("out", n))


def _slices(elements: Elements) -> dict[Role, slice]:
    place: dict[Role, slice] = {}
    first = 0
    for role, count in elements.counts.items():
        place[role] = slice(first, first + count)
        first += count
    return place


def _start_voltages(elements: Elements, initial_volt: Tensor) -> dict[Role, Tensor]:
    """Outputs of all stages and inverters, settled to ``initial_volt``, by role."""
    settled = torch.cat([initial_volt, three_array_network(elements).stage_voltages(initial_volt)])
    return {role: settled[part] for role, part in _slices(elements).items()}


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{k}" for k in range(count)]


def _add_row_of_resistors(
    build: NetlistBuilder, elements: Elements, role: Role, start: _Nodes, end: _Nodes, *, prefix: str
) -> None:
    row = elements.components[role].row.numpy()
    add_resistors(build, elements, role, [f"{prefix}_{i}" for i in row], np.stack([start[row], end[row]], 1))
