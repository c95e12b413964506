"""Op-amp cells of circuits/*.lib placed in a netlist, a whole row of them at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tngd_hw.hardware import AmplifierBank, Component, Elements, Role
from tngd_hw.netlist import Kind, NetlistBuilder
from tngd_hw.outcome import MisuseError

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


@dataclass(frozen=True, eq=False)
class StageRow:
    """A row of resistive stages.

    Attributes:
        prefix: Their names are ``prefix0`` ...
        inputs: The nodes they take their input from: a node of their own for inverters, the summing node for stages.
        outputs: The nodes they drive.
        bank: Their amplifiers, or None for ideal ones.
        start: Output voltages at t = 0.
    """

    prefix: str
    inputs: _Nodes
    outputs: _Nodes
    bank: AmplifierBank | None
    start: _Values


def add_sources(build: NetlistBuilder, values: _Values, prefix: str = "in") -> tuple[_Nodes, list[str]]:
    """Voltage sources ``in0`` ... to ground; their nodes and names."""
    names = [f"{prefix}{i}" for i in range(len(values))]
    nodes = build.nodes(names)
    build.add(Kind.VOLTAGE_SOURCE, names, np.stack([nodes, np.zeros_like(nodes)], 1), values)
    return nodes, names


def add_array(build: NetlistBuilder, prefix: str, array: Component, rails: Rails, summing: _Nodes) -> None:
    """Resistors ``prefix_row_column`` from the rail of their sign to the summing node of their row."""
    row, column = array.row.numpy(), array.column.numpy()
    rail = np.where(array.sign.numpy() > 0, rails.direct[column], rails.inverted[column])
    names = [f"{prefix}_{i}_{j}" for i, j in zip(row.tolist(), column.tolist(), strict=True)]
    build.add(Kind.RESISTOR, names, np.stack([rail, summing[row]], 1), 1.0 / array.value.numpy())


def add_noise(build: NetlistBuilder, elements: Elements, nodes: _Nodes) -> None:
    """Current sources ``noise0`` ... that inject the white noise of the elements, if there is any."""
    if Role.NOISE in elements.components:
        density = elements.value(Role.NOISE).numpy()
        places = np.stack([np.zeros_like(nodes), nodes], 1)
        names = [f"noise{i}" for i in range(len(nodes))]
        build.add(Kind.CURRENT_SOURCE, names, places, 0.0, noise_psd=density)


def add_integrators(build: NetlistBuilder, elements: Elements, summing: _Nodes, out: _Nodes, start: _Values) -> None:
    """Integrators ``int0`` ...; ``start`` is their output at t = 0."""
    names, ports = [f"int{i}" for i in range(len(out))], np.stack([summing, out], 1)
    capacitance = elements.value(Role.INTEGRATION).numpy()
    bank = elements.amplifiers.get(Role.INTEGRATOR_AMPLIFIER)
    if bank is None:
        build.add_cells("integrator_ideal", names, ports, cint=capacitance, ic=start)
    else:
        build.add_cells("integrator", names, ports, cint=capacitance, ic=start, **_parameters(bank))


def add_amplifiers(build: NetlistBuilder, row: StageRow) -> None:
    """Operational amplifiers with grounded + inputs and nothing around them.

    Raises:
        MisuseError: Ideal amplifiers, whose outputs nothing would determine.
    """
    if row.bank is None:
        raise MisuseError("bare amplifiers in a netlist have a gain and a bandwidth: give hardware with amplifiers")
    names = [f"{row.prefix}{i}" for i in range(len(row.inputs))]
    ports = np.stack([np.zeros_like(row.inputs), row.inputs, row.outputs], 1)
    build.add_cells("opamp", names, ports, ic=row.start + 0.0, **_parameters(row.bank))


def add_inverters(build: NetlistBuilder, row: StageRow, inputs: _Values, feedback: _Values) -> None:
    """Inverting amplifiers with input and feedback conductances."""
    resistances = {"rin": 1.0 / inputs, "rf": 1.0 / feedback}
    _add_row(build, "inverter", row, resistances)


def add_stages(build: NetlistBuilder, row: StageRow, feedback: _Values) -> None:
    """Transimpedance stages with feedback conductances."""
    _add_row(build, "transimpedance", row, {"rf": 1.0 / feedback})


def _add_row(build: NetlistBuilder, cell: str, row: StageRow, resistances: Mapping[str, _Values]) -> None:
    names, ports = [f"{row.prefix}{i}" for i in range(len(row.inputs))], np.stack([row.inputs, row.outputs], 1)
    if row.bank is None:
        build.add_cells(f"{cell}_ideal", names, ports, **resistances)
    else:
        build.add_cells(cell, names, ports, ic=row.start + 0.0, **resistances, **_parameters(row.bank))


def _parameters(bank: AmplifierBank) -> Mapping[str, _Values]:
    return {
        "gain": bank.open_loop_gain.numpy(),
        "gbw": bank.gain_bandwidth_hz.numpy(),
        "offset": bank.offset_volt.numpy(),
    }
