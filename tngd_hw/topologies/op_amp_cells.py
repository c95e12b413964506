"""Op-amp cells of circuits/*.lib placed in a netlist, a whole row of them at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tngd_hw.hardware import Elements, Role
from tngd_hw.netlist import Kind, NetlistBuilder
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies.op_amp_parasitics import StageRow, add_bare_amplifiers, plain_parameters
from tngd_hw.topologies.resistors_in_netlist import add_resistors, entry_names, noise_density

__all__ = [
    "Rails",
    "StageRow",
    "add_amplifiers",
    "add_array",
    "add_integrators",
    "add_inverters",
    "add_noise",
    "add_sources",
    "add_stages",
]

_Nodes = NDArray[np.int64]
_Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rails:
    """Where the columns of an array are connected: nodes of the direct and of the inverted outputs."""

    direct: _Nodes
    inverted: _Nodes


def add_sources(build: NetlistBuilder, values: _Values, prefix: str = "in") -> tuple[_Nodes, list[str]]:
    """Voltage sources ``in0`` ... to ground; their nodes and names."""
    names = [f"{prefix}{i}" for i in range(len(values))]
    nodes = build.nodes(names)
    build.add(Kind.VOLTAGE_SOURCE, names, np.stack([nodes, np.zeros_like(nodes)], 1), values)
    return nodes, names


def add_array(
    build: NetlistBuilder, elements: Elements, role: Role, rails: Rails, summing: _Nodes, *, prefix: str
) -> None:
    """Resistors ``prefix_row_column`` from the rail of their sign to the summing node of their row.

    Where an entry has resistors on both rails, the one on the inverted rail is ``prefix_row_columnm``.
    """
    array = elements.components[role]
    row, column, inverted = array.row.numpy(), array.column.numpy(), (array.sign < 0).numpy()
    rail = np.where(inverted, rails.inverted[column], rails.direct[column])
    names = entry_names(prefix, row, column)
    if len(set(names)) < len(names):
        names = [f"{name}m" if m else name for name, m in zip(names, inverted, strict=True)]
    add_resistors(build, elements, role, names, np.stack([rail, summing[row]], 1))


def add_noise(build: NetlistBuilder, elements: Elements, nodes: _Nodes) -> None:
    """Current sources ``noise0`` ... that inject the noise of the elements, if there is any.

    White, or through a pole: the white current then feeds 1 ohm beside a capacitor of 1/(2 pi bandwidth), whose voltage
    is turned into the current by 1 S.
    """
    if Role.NOISE not in elements.components:
        return
    ground, names = np.zeros_like(nodes), [f"noise{i}" for i in range(len(nodes))]
    white = nodes
    if elements.noise_bandwidth_hz is not None:
        white = build.nodes([f"noise{i}" for i in range(len(nodes))])
        places = np.stack([white, ground], 1)
        farad = 1.0 / (2 * np.pi * np.broadcast_to(elements.noise_bandwidth_hz.numpy(), len(nodes)))
        build.add(Kind.RESISTOR, names, places, 1.0, noiseless=True)
        build.add(Kind.CAPACITOR, names, places, farad, initial=0.0)
        build.add(Kind.VCCS, names, np.stack([ground, nodes, white, ground], 1), 1.0)
    density = elements.value(Role.NOISE).numpy()
    build.add(Kind.CURRENT_SOURCE, names, np.stack([ground, white], 1), 0.0, noise_psd=density)


def add_integrators(build: NetlistBuilder, elements: Elements, summing: _Nodes, out: _Nodes, start: _Values) -> None:
    """Integrators ``int0`` ...; ``start`` is their output at t = 0.  Leakage is a resistor beside the capacitor."""
    names, ports = [f"int{i}" for i in range(len(out))], np.stack([summing, out], 1)
    capacitance = elements.value(Role.INTEGRATION).numpy()
    bank = elements.amplifiers.get(Role.INTEGRATOR_AMPLIFIER)
    if bank is None:
        build.add_cells("integrator_ideal", names, ports, cint=capacitance, ic=start)
    elif bank.is_plain:
        build.add_cells("integrator", names, ports, cint=capacitance, ic=start, **plain_parameters(bank))
    else:
        build.add(Kind.CAPACITOR, names, ports[:, ::-1], capacitance, initial=start)
        add_bare_amplifiers(build, StageRow("int", summing, out, bank, start), bank)
    if Role.LEAKAGE in elements.components:
        leaks = [f"leak{i}" for i in range(len(out))]
        add_resistors(build, elements, Role.LEAKAGE, leaks, ports)


def add_amplifiers(build: NetlistBuilder, row: StageRow) -> None:
    """Operational amplifiers with grounded + inputs and nothing around them.

    Raises:
        MisuseError: Ideal amplifiers, whose outputs nothing would determine.
    """
    if row.bank is None:
        raise MisuseError("bare amplifiers in a netlist have a gain and a bandwidth: give hardware with amplifiers")
    add_bare_amplifiers(build, row, row.bank)


def add_inverters(build: NetlistBuilder, elements: Elements, row: StageRow, inputs: Role, feedback: Role) -> None:
    """Inverting amplifiers with input and feedback resistors of these roles."""
    if not _needs_parts(elements, row):
        resistances = {"rin": 1.0 / elements.value(inputs).numpy(), "rf": 1.0 / elements.value(feedback).numpy()}
        _add_row(build, "inverter", row, resistances)
        return
    count = len(row.inputs)
    summing = build.nodes([f"{row.prefix}sum{i}" for i in range(count)])
    places = np.stack([row.inputs, summing], 1)
    names = [f"{row.prefix}in{i}" for i in range(count)]
    add_resistors(build, elements, inputs, names, places)
    add_stages(build, elements, replace(row, inputs=summing), feedback)


def add_stages(build: NetlistBuilder, elements: Elements, row: StageRow, feedback: Role) -> None:
    """Transimpedance stages with feedback resistors of this role."""
    siemens = elements.value(feedback)
    if not _needs_parts(elements, row):
        _add_row(build, "transimpedance", row, {"rf": 1.0 / siemens.numpy()})
        return
    names = [f"{row.prefix}f{i}" for i in range(len(row.inputs))]
    if row.bank is not None:
        places = np.stack([row.outputs, row.inputs], 1)
        add_resistors(build, elements, feedback, names, places)
        add_bare_amplifiers(build, row, row.bank)
        return
    _add_row(build, "transimpedance", row, {"rf": 1.0 / siemens.numpy()})
    density = noise_density(elements, feedback, siemens).numpy()  # the ideal cell has no resistor that could be heard
    build.add(Kind.CURRENT_SOURCE, names, np.stack([np.zeros_like(row.inputs), row.inputs], 1), 0.0, noise_psd=density)


def _needs_parts(elements: Elements, row: StageRow) -> bool:
    """Whether the cells of circuits/*.lib do not do: thermal noise, or amplifiers with more than three figures."""
    return bool(elements.noise_kelvin) or (row.bank is not None and not row.bank.is_plain)


def _add_row(build: NetlistBuilder, cell: str, row: StageRow, resistances: Mapping[str, _Values]) -> None:
    names, ports = [f"{row.prefix}{i}" for i in range(len(row.inputs))], np.stack([row.inputs, row.outputs], 1)
    if row.bank is None:
        build.add_cells(f"{cell}_ideal", names, ports, **resistances)
    else:
        build.add_cells(cell, names, ports, ic=row.start + 0.0, **resistances, **plain_parameters(row.bank))
