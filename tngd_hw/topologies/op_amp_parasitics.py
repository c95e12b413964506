"""Operational amplifiers with everything that is not ideal about them, part by part in the netlist.

The cells of circuits/*.lib know gain, bandwidth and offset.  Bias current, noise, and the resistances and capacitances
at the terminals are elements beside the cell ``opamp``, so that its summing node and its output can be reached.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tngd_hw.hardware import AmplifierBank
from tngd_hw.netlist import Kind, NetlistBuilder
from tngd_hw.topologies.flicker import FLICKER_DECADES, flicker_poles

__all__ = ["StageRow", "add_bare_amplifiers", "plain_parameters"]

_Nodes = NDArray[np.int64]
_Values = NDArray[np.float64]


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


def plain_parameters(bank: AmplifierBank) -> dict[str, _Values]:
    """Parameters of the cells."""
    return {
        "gain": bank.open_loop_gain.numpy(),
        "gbw": bank.gain_bandwidth_hz.numpy(),
        "offset": bank.offset_volt.numpy(),
    }


def add_bare_amplifiers(build: NetlistBuilder, row: StageRow, bank: AmplifierBank) -> None:
    """Amplifiers between the inputs and the outputs of ``row``, their + inputs at ground or at a noise voltage."""
    prefix, summing = row.prefix, row.inputs
    ground = np.zeros_like(summing)
    driven = _output_resistances(build, prefix, row.outputs, bank)
    ports = np.stack([_noise_voltages(build, prefix, ground, bank), summing, driven], 1)
    build.add_cells("opamp", _names(prefix, len(summing)), ports, ic=row.start + 0.0, **plain_parameters(bank))
    at_input = np.stack([summing, ground], 1)
    _add_where(build, Kind.CURRENT_SOURCE, f"{prefix}bias", at_input, bank.bias_ampere.numpy())
    _add_where(build, Kind.CAPACITOR, f"{prefix}cin", at_input, bank.input_farad.numpy())
    _add_where(build, Kind.RESISTOR, f"{prefix}gin", at_input, _inverse(bank.input_siemens.numpy()))
    _add_noise(build, f"{prefix}noise", at_input[:, ::-1], bank.current_noise_psd.numpy())


def _output_resistances(build: NetlistBuilder, prefix: str, outputs: _Nodes, bank: AmplifierBank) -> _Nodes:
    """The nodes that the amplifiers drive: the outputs, or nodes behind output resistances."""
    resistance = bank.output_ohm.numpy()
    if not resistance.any():
        return outputs
    driven = build.nodes(_names(f"{prefix}drive", len(outputs)))
    _add_where(build, Kind.RESISTOR, f"{prefix}rout", np.stack([driven, outputs], 1), resistance)
    return driven


def _noise_voltages(build: NetlistBuilder, prefix: str, ground: _Nodes, bank: AmplifierBank) -> _Nodes:
    """Nodes with the input noise voltages: a noise current through a silent resistor of 1 ohm."""
    density = bank.voltage_noise_psd.numpy()
    if not density.any():
        return ground
    nodes = build.nodes(_names(f"{prefix}en", len(ground)))
    _add_where(build, Kind.RESISTOR, f"{prefix}en", np.stack([nodes, ground], 1), np.ones(len(ground)))
    _add_noise(build, f"{prefix}en", np.stack([ground, nodes], 1), density)
    if bank.flickers:
        _add_flicker(build, prefix, nodes, bank)
    return nodes


def _add_flicker(build: NetlistBuilder, prefix: str, nodes: _Nodes, bank: AmplifierBank) -> None:
    """1/f noise added to the noise voltages ``nodes``: poles of 1 ohm and a capacitor, their voltages times 1 S."""
    corner, gain = (value.flatten(-2).numpy() for value in flicker_poles(bank.flicker_corner_hz))
    names = [f"{prefix}flicker{k}_{d}" for k in range(len(nodes)) for d in range(FLICKER_DECADES)]
    poles = build.nodes(names)
    ground, target = np.zeros_like(poles), np.repeat(nodes, FLICKER_DECADES)
    places = np.stack([poles, ground], 1)
    build.add(Kind.RESISTOR, names, places, 1.0, noiseless=True)
    build.add(Kind.CAPACITOR, names, places, 1.0 / (2 * np.pi * corner), initial=0.0)
    density = gain**2 * np.repeat(bank.voltage_noise_psd.numpy(), FLICKER_DECADES)
    build.add(Kind.CURRENT_SOURCE, names, places[:, ::-1], 0.0, noise_psd=density)
    build.add(Kind.VCCS, names, np.stack([ground, target, poles, ground], 1), 1.0)


def _add_noise(build: NetlistBuilder, prefix: str, nodes: _Nodes, density: _Values) -> None:
    if density.any():
        build.add(Kind.CURRENT_SOURCE, _names(prefix, len(nodes)), nodes, 0.0, noise_psd=density)


def _add_where(build: NetlistBuilder, kind: Kind, prefix: str, nodes: _Nodes, values: _Values) -> None:
    """Elements whose value is finite and not 0; resistors are silent."""
    live = np.flatnonzero((values != 0) & np.isfinite(values))
    if not len(live):
        return
    names = [f"{prefix}{k}" for k in live.tolist()]
    initial = np.zeros(len(live)) if kind is Kind.CAPACITOR else None
    build.add(kind, names, nodes[live], values[live], initial=initial, noiseless=kind is Kind.RESISTOR)


def _inverse(siemens: _Values) -> _Values:
    return np.divide(1.0, siemens, out=np.full_like(siemens, np.inf), where=siemens > 0)


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{k}" for k in range(count)]
