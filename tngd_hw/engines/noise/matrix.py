"""Noise of loaded chips and netlists: covariance matrix, densities, and which source contributes what.

Exact:    S with F S + S F^T + B B^T = 0 gives C S C^T;  density of output i  2 sum_k |H_ik(f)|^2, source k by source k.
ngspice:  ``.noise`` of v_i and of v_i - v_j, integrated:  S_ij = (var_i + var_j - var(i - j))/2, n (n + 1)/2 runs.

The band reaches from 1e-4 of the slowest to 1e3 of the fastest mode: what is left out is below 0.1 %.  The trapezoidal
rule in ln f has an error that falls as exp(-2 pi w/h): h the step, w the distance of the poles from the real axis of
ln f, arcsin(1/(2 Q)) for a quality factor Q; the step is chosen for exp(-14).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tngd_hw.engines.decks.result import DeckEngine
from tngd_hw.engines.frequency import as_netlist, in_threads, mode_band
from tngd_hw.engines.noise.probe import element_densities, integral, probed_density
from tngd_hw.engines.sweep import sweep_frequencies
from tngd_hw.linear_sde import LinearSDE, frequency_response, noise_as_input, stationary_output_covariance
from tngd_hw.netlist import Kind, Netlist, NoiseSources, NoiseSweep, flatten, state_equations
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies import LoadedChip

if TYPE_CHECKING:
    import xarray

__all__ = ["noise_band", "noise_by_source", "noise_matrix", "noise_sweep"]

_BELOW, _ABOVE = 1e-4, 1e3
_EXPONENT = 14.0  # exp(-14) is 8e-7
_FEWEST, _MOST = 20, 20_000
_TIMEOUT_S = 600.0

Floats = NDArray[np.float64]


def noise_matrix(
    circuit: LoadedChip | Netlist,
    engine: DeckEngine = DeckEngine.STATE_SPACE,
    *,
    sources: NoiseSources = NoiseSources.INJECTED,
    workers: int = 1,
    timeout_s: float = _TIMEOUT_S,
) -> xarray.Dataset:
    """Stationary covariance of the outputs, and the one-sided density of each.

    Args:
        circuit: A chip with injected noise (``kappa`` > 0), or a linear netlist.
        engine: Who computes it.
        sources: Injected noise alone, or the thermal noise of resistors too.
        workers: ngspice processes side by side.
        timeout_s: Of each of them.

    Returns:
        ``covariance`` (V^2) over node and other_node, ``density`` (V^2/Hz) over frequency_hz and node; attributes
        engine, sources, start_hz, stop_hz.  The exact covariance is that of the whole axis.  Cost: O(n^3), or
        n (n + 1)/2 runs of ngspice.

    Raises:
        MisuseError: A batch of chips, no outputs, nonlinear elements, a quality factor above 4,000.
        OutcomeError: UNSTABLE; ngspice is missing or fails; the chip cannot hold its matrix.
    """
    import xarray

    flat = _noise_netlist(circuit)
    sde = state_equations(flat, noise=sources).sde
    sweep = noise_sweep(sde, sources)
    S, status = stationary_output_covariance(sde)
    status.require_ok()
    if engine is DeckEngine.NGSPICE:
        hertz, density, covariance = _measured(flat, sweep, workers, timeout_s)
    else:
        hertz, covariance = sweep_frequencies(sweep), S.numpy()
        density = _densities(sde, hertz).sum(axis=2)
    names = list(flat.outputs)
    return xarray.Dataset(
        {
            "covariance": (["node", "other_node"], covariance, {"units": "V^2"}),
            "density": (["frequency_hz", "node"], density, {"units": "V^2/Hz"}),
        },
        coords={"frequency_hz": ("frequency_hz", hertz, {"units": "Hz"}), "node": names, "other_node": names},
        attrs=_attributes(flat, engine, sweep),
    )


def noise_by_source(
    circuit: LoadedChip | Netlist,
    engine: DeckEngine = DeckEngine.STATE_SPACE,
    *,
    sources: NoiseSources = NoiseSources.INJECTED,
    workers: int = 1,
    timeout_s: float = _TIMEOUT_S,
) -> xarray.Dataset:
    """What each noise source adds to the density of each output, and to its variance over the band.

    Arguments and errors as :func:`noise_matrix`.

    Returns:
        ``density`` (V^2/Hz) over source, frequency_hz and node, its integral ``variance`` (V^2) over source and node.
        Sources are elements with their letter: ``"ib0"`` for injected noise, ``"rload"``, ``"rx1.rl"`` in a cell.
        Cost: K n q numbers for K frequencies and q sources; n runs of ngspice.
    """
    import xarray

    flat = _noise_netlist(circuit)
    equations = state_equations(flat, noise=sources, reduce_noise=False)
    stationary_output_covariance(equations.sde)[1].require_ok()
    sweep, names = noise_sweep(equations.sde, sources), list(equations.noise_names)
    if engine is DeckEngine.NGSPICE:
        hertz, density = _contributions(flat, sweep, names, workers, timeout_s)
    else:
        hertz = sweep_frequencies(sweep)
        density = _densities(equations.sde, hertz)
    density = np.moveaxis(density, 2, 0)
    return xarray.Dataset(
        {
            "density": (["source", "frequency_hz", "node"], density, {"units": "V^2/Hz"}),
            "variance": (["source", "node"], integral(hertz, density, 1), {"units": "V^2"}),
        },
        coords={
            "frequency_hz": ("frequency_hz", hertz, {"units": "Hz"}),
            "source": names,
            "node": list(flat.outputs),
        },
        attrs=_attributes(flat, engine, sweep),
    )


def noise_band(sde: LinearSDE) -> tuple[float, float]:
    """Lower and upper limit in hertz: 1e-4 of the slowest and 1e3 of the fastest mode."""
    return mode_band(sde, _BELOW, _ABOVE)


def noise_sweep(sde: LinearSDE, sources: NoiseSources = NoiseSources.INJECTED) -> NoiseSweep:
    """The sweep that resolves every resonance of the circuit; output and source are still to be named.

    Raises:
        MisuseError: More than 20,000 points a decade would be needed.
    """
    poles = np.asarray(sde.eigenvalues().numpy(), dtype=np.complex128)
    sharpest = float(np.min(np.arcsin(np.abs(poles.real) / np.maximum(np.abs(poles), 1e-300)), initial=math.pi / 2))
    needed = math.inf if sharpest == 0 else math.log(10) * _EXPONENT / (2 * math.pi * sharpest)
    if needed > _MOST and bool((poles.real < 0).all()):
        raise MisuseError(
            f"a mode has the quality factor {1 / (2 * math.sin(sharpest)):.3g}, too sharp for a sweep; use the "
            "covariance of state_space alone (stationary_output_covariance)"
        )
    start, stop = noise_band(sde)
    return NoiseSweep("out", "in", max(_FEWEST, math.ceil(min(needed, _MOST))), start, stop, sources=sources)


def _noise_netlist(circuit: LoadedChip | Netlist) -> Netlist:
    """Flat, and negative resistors noiseless: ngspice would give their noise a negative sign."""
    flat = flatten(as_netlist(circuit))
    if not flat.outputs:
        raise MisuseError(f"netlist {flat.title!r} has no outputs: name the nodes whose noise is asked for")
    resistors = flat.table(Kind.RESISTOR)
    if resistors is None or (resistors.values > 0).all():
        return flat
    silent = resistors.values < 0
    if resistors.noiseless is not None:
        silent = silent | resistors.noiseless
    tables = tuple(replace(t, noiseless=silent) if t.kind is Kind.RESISTOR else t for t in flat.tables)
    return replace(flat, tables=tables)


def _attributes(flat: Netlist, engine: DeckEngine, sweep: NoiseSweep) -> dict[str, str | float]:
    return {
        "title": flat.title,
        "engine": engine.value,
        "sources": sweep.sources.value,
        "start_hz": sweep.start_hz,
        "stop_hz": sweep.stop_hz,
    }


def _densities(sde: LinearSDE, hertz: Floats) -> Floats:
    """2 |H_ik|^2, shape (K, p, q), V^2/Hz."""
    response = frequency_response(noise_as_input(sde), hertz).numpy()[:, :, sde.n_inputs :]
    return 2 * np.abs(response) ** 2


def _measured(flat: Netlist, sweep: NoiseSweep, workers: int, timeout_s: float) -> tuple[Floats, Floats, Floats]:
    """Frequencies, densities (K, p) and the covariance matrix by pairwise differences."""
    unit = np.eye(len(flat.outputs))
    pairs = list(itertools.combinations(range(len(unit)), 2))
    rows = [*unit, *(unit[i] - unit[j] for i, j in pairs)]
    found = in_threads(lambda w: probed_density(flat, w, sweep, timeout_s=timeout_s), rows, workers)
    hertz, variances = found[0][0], [float(integral(f, density, 0)) for f, density in found]
    covariance = np.diag(variances[: len(unit)])
    for (i, j), variance in zip(pairs, variances[len(unit) :], strict=True):
        covariance[i, j] = covariance[j, i] = (variances[i] + variances[j] - variance) / 2
    return hertz, np.stack([density for _, density in found[: len(unit)]], axis=1), covariance


def _contributions(
    flat: Netlist, sweep: NoiseSweep, names: list[str], workers: int, timeout_s: float
) -> tuple[Floats, Floats]:
    """Frequencies, and ngspice's densities by element, shape (K, p, q), V^2/Hz."""
    rows = list(np.eye(len(flat.outputs)))
    found = in_threads(lambda w: element_densities(flat, w, sweep, names, timeout_s=timeout_s), rows, workers)
    return found[0][0], np.stack([density for _, density in found], axis=1)
