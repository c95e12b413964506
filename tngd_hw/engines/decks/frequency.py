"""AC response and noise of a user's deck from its state equations.

    Y(f) = sum_k H_k(f) a_k,   S(f) = 2 |C (2 pi i f - F)^-1 B + D_w|^2   (one-sided, V^2/Hz)

with a_k the ``ac`` amplitudes.  An input's derivative contributes 2 pi i f a_k.  Noise over the band is the integral of
S by Gauss's rule between frequencies that crowd around every resonance; referred to the input, of S/|H|^2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tngd_hw.engines.decks.circuit import DeckCircuit, deck_circuit
from tngd_hw.engines.decks.switches import at_rest
from tngd_hw.engines.decks.transient import growth_status
from tngd_hw.engines.sweep import sweep_frequencies
from tngd_hw.linear_sde import LinearSDE, frequency_response, noise_as_input
from tngd_hw.netlist import AcSweep, Kind, Netlist, NoiseSweep, StateEquations
from tngd_hw.outcome import MisuseError, Status

__all__ = ["ExactAc", "ExactNoise", "exact_ac", "exact_noise", "over_derivatives"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ExactAc:
    """Node voltages, complex, shape (K, p), at ``frequency_hz``, shape (K,)."""

    frequency_hz: Floats
    voltage_volt: Complexes
    status: Status


@dataclass(frozen=True, eq=False)
class ExactNoise:
    """Noise at an output and referred to an input.

    Attributes:
        frequency_hz: Shape (K,).
        output_density: Shape (K,), V/sqrt(Hz).
        input_density: Shape (K,), V/sqrt(Hz) or A/sqrt(Hz) by the kind of source; infinite where the gain is zero.
        output_total: V rms over the band.
        input_total: V or A rms over the band.
        status: UNSTABLE where the circuit has no stationary noise, else OK.
    """

    frequency_hz: Floats
    output_density: Floats
    input_density: Floats
    output_total: float
    input_total: float
    status: Status


def exact_ac(netlist: Netlist, analysis: AcSweep, frequency_hz: Floats | None = None) -> ExactAc:
    """Response of the netlist's outputs to the sources' ``ac`` amplitudes, switches as at the operating point.

    Args:
        netlist: A linear circuit.
        analysis: The sweep.
        frequency_hz: Other frequencies than the sweep's.

    Raises:
        MisuseError: As :func:`tngd_hw.netlist.state_equations`.
    """
    frequencies = sweep_frequencies(analysis) if frequency_hz is None else np.asarray(frequency_hz)
    circuit = at_rest(deck_circuit(netlist))
    amplitudes = _amplitudes(circuit)
    equations = circuit.equations(tuple(amplitudes), circuit.outputs)
    response = frequency_response(equations.sde, frequencies).numpy()
    direct = over_derivatives(equations, len(amplitudes), response, frequencies)
    volts = direct @ np.array(list(amplitudes.values()), dtype=np.complex128)
    return ExactAc(frequencies, volts, growth_status(equations.sde, math.inf))


def exact_noise(netlist: Netlist, analysis: NoiseSweep, frequency_hz: Floats | None = None) -> ExactNoise:
    """Noise density of v(output, reference), its integral over the band, and both referred to the source.

    The gain is that from the source alone, for an amplitude of 1.  Arguments and errors as :func:`exact_ac`.
    """
    frequencies = sweep_frequencies(analysis) if frequency_hz is None else np.asarray(frequency_hz)
    circuit = at_rest(deck_circuit(netlist))
    kind, row = netlist.source(analysis.source)
    table = circuit.flat.table(kind)
    assert table is not None
    if analysis.reference == analysis.output:
        raise MisuseError(f".noise v({analysis.output},{analysis.output}): the same node twice; name two nodes, or one")
    nodes = (analysis.output,) if analysis.reference is None else (analysis.output, analysis.reference)
    equations = circuit.equations((table.names[row],), nodes, analysis.sources)
    sign = np.array([1.0, -1.0])[: len(nodes)]

    loud = noise_as_input(equations.sde)  # its eigenbasis serves the noise, the gain and the poles
    inputs = equations.sde.n_inputs

    def densities(hertz: Floats) -> tuple[Floats, Floats]:
        """Output noise, V^2/Hz, and |gain|^2."""
        response = np.tensordot(frequency_response(loud, hertz).numpy(), sign, axes=(1, 0))
        gain = over_derivatives(equations, 1, response[:, None, :inputs], hertz)[:, 0, 0]
        return 2 * (np.abs(response[:, inputs:]) ** 2).sum(axis=1), np.abs(gain) ** 2

    output, gain = densities(frequencies)
    edges = _edges(loud, analysis.start_hz, analysis.stop_hz)
    with np.errstate(divide="ignore", invalid="ignore"):
        referred = np.sqrt(np.where(output > 0, output / gain, 0.0))
        totals = _integrated(lambda hertz: _both(*densities(hertz)), edges)
    at_output, at_input = np.sqrt(totals).tolist()
    return ExactNoise(frequencies, np.sqrt(output), referred, at_output, at_input, growth_status(loud, math.inf))


def _both(output: Floats, gain: Floats) -> Floats:
    return np.stack([output, np.where(output > 0, output / gain, 0.0)], axis=1)


def _amplitudes(circuit: DeckCircuit) -> dict[str, complex]:
    """The ``ac`` amplitudes that are not zero, by source."""
    found: dict[str, complex] = {}
    for table in filter(None, (circuit.flat.table(Kind.VOLTAGE_SOURCE), circuit.flat.table(Kind.CURRENT_SOURCE))):
        if table.ac is not None:
            found |= {name: complex(a) for name, a in zip(table.names, table.ac, strict=True) if a != 0}
    return found


def over_derivatives(equations: StateEquations, m: int, response: Complexes, hertz: Floats) -> Complexes:
    """Transfer functions of the first m inputs, shape (K, p, m), those by way of their derivatives included."""
    names = equations.sde.input_names
    direct = response[:, :, :m].copy()
    for k, name in enumerate(names[m + 1 :], start=m + 1):
        own = names.index(name[2:].removesuffix(")/dt"))
        direct[:, :, own] += 2j * math.pi * hertz[:, None] * response[:, :, k]
    return direct


def _edges(sde: LinearSDE, start: float, stop: float) -> Floats:
    """Limits of the pieces to integrate over: an octave at most, and closer to resonances in proportion."""
    octaves = max(1, math.ceil(math.log2(stop / start)))
    edges = [*np.geomspace(start, stop, octaves + 1)]
    for pole in sde.eigenvalues().numpy() / (2 * math.pi):
        if abs(pole.imag) > abs(pole.real):
            offsets = abs(pole.real) * 2.0 ** np.arange(-1, 60)
            offsets = offsets[offsets < stop]
            edges += [abs(pole.imag), *(abs(pole.imag) - offsets), *(abs(pole.imag) + offsets)]
    found = np.unique(edges)
    return found[(found >= start) & (found <= stop)]


def _integrated(density: Callable[[Floats], Floats], edges: Floats) -> Floats:
    """Gauss's rule with 12 points on every piece."""
    if len(edges) < 2:
        return np.zeros(2)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    hertz = (middle[:, None] + half[:, None] * _NODES).ravel()
    weights = (half[:, None] * _WEIGHTS).ravel()
    return weights @ density(hertz)
