"""Noise of projections of a circuit's outputs by ngspice's ``.noise``, one run a projection.

A projection w of the outputs is made a voltage by adding w_i v_i as currents into a noiseless resistor of 1 ohm.  The
source that ngspice refers noise to feeds that resistor, so its gain, which ngspice divides by, is never zero.

ngspice's own integral is left alone: it takes a power law between points, is 8 % low at a quality factor of 10 with 20
points a decade, and is no number where the slope between two points is exactly -1 (ngspice 39).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tngd_hw.engines.decks.ngspice import DeckInNgspice
from tngd_hw.engines.frequency import bare_deck
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.engines.spice.process import run_deck
from tngd_hw.netlist import Kind, Netlist, NoiseSweep, Table, write_deck
from tngd_hw.netlist.deck import NOISE_PREFIX
from tngd_hw.netlist.tables import joined
from tngd_hw.outcome import Outcome, OutcomeError, Status

__all__ = ["element_densities", "integral", "probed_density", "projected_variance"]

_PROBE_OHM = 1.0

Floats = NDArray[np.float64]


def projected_variance(netlist: Netlist, w: Sequence[float] | Floats, sweep: NoiseSweep, *, timeout_s: float) -> float:
    """Variance of sum_i w_i v(out_i) by one run of ngspice, V^2; OutcomeError where that fails."""
    hertz, density = probed_density(netlist, np.asarray(w, dtype=np.float64), sweep, timeout_s=timeout_s)
    return float(integral(hertz, density))


def probed_density(netlist: Netlist, w: Floats, sweep: NoiseSweep, *, timeout_s: float) -> tuple[Floats, Floats]:
    """Frequencies, and ngspice's density of the projection in V^2/Hz."""
    probed, probe = _with_probe(netlist, w)
    deck = DeckInNgspice(bare_deck(probed), required_ngspice(), timeout_s)
    found = deck.noise(replace(sweep, output=probe, source=f"i{probe}"))
    found.status.require_ok()
    return found.frequency_hz, found.output_density**2


def _with_probe(netlist: Netlist, w: Floats) -> tuple[Netlist, str]:
    """The circuit and a node with the voltage sum_i w_i v(out_i), a source of gain 1 ohm there; and its name."""
    names = netlist.node_names
    taken = {*names, *(name for table in netlist.tables for name in table.names)}
    name = next(label for label in (f"probe{'_' * k}" for k in itertools.count()) if label not in taken)
    probe = len(names)
    used = np.flatnonzero(w).tolist()
    nodes = np.array([[0, probe, names.index(netlist.outputs[i]), 0] for i in used], dtype=np.int64)
    sums = Table(Kind.VCCS, tuple(f"{name}x{i}" for i in used), nodes, w[used] / _PROBE_OHM)
    ends = np.array([[0, probe]], dtype=np.int64)
    load = Table(Kind.RESISTOR, (name,), ends, np.array([_PROBE_OHM]), noiseless=np.array([True]))
    source = Table(Kind.CURRENT_SOURCE, (name,), ends, np.zeros(1))
    tables = netlist.tables
    for extra in (sums, load, source):
        tables = _with_table(tables, extra)
    return replace(netlist, node_names=(*names, name), tables=tables, outputs=(name,)), name


def _with_table(tables: tuple[Table, ...], extra: Table) -> tuple[Table, ...]:
    if all(table.kind is not extra.kind for table in tables):
        return (*tables, extra)
    return tuple(joined([table, extra]) if table.kind is extra.kind else table for table in tables)


def element_densities(
    netlist: Netlist, w: Floats, sweep: NoiseSweep, names: Sequence[str], *, timeout_s: float
) -> tuple[Floats, Floats]:
    """Frequencies, and what each source (as ``StateEquations.noise_names``) adds to the density, shape (K, q), V^2/Hz.

    The last number of the .noise card asks for every element at every frequency; nothing may be .saved then.
    """
    probed, probe = _with_probe(netlist, w)
    still = tuple(replace(t, waveforms=()) if t.kind.is_source else t for t in probed.tables)
    own = replace(sweep, output=probe, source=f"i{probe}")
    text = re.sub(r"(?m)^\.save .*\n", "", write_deck(replace(probed, tables=still), own))
    text = re.sub(r"(?m)^\.noise .*$", r"\g<0> 1", text)
    run = run_deck(text, required_ngspice(), plot="Noise Spectral", stop_s=None, timeout_s=timeout_s)
    if run.plot is None:
        raise OutcomeError(run.status)
    column = {name: k for k, name in enumerate(run.plot.names)}
    wanted = [f"onoise_{_ngspice_name(name)}" for name in names]
    lacking = [name for name in wanted if name not in column]
    if lacking:
        raise OutcomeError(Status(Outcome.SIMULATOR_FAILED, f"ngspice wrote no vector {lacking[0]}"))
    values = run.plot.values.real
    return values[:, column["frequency"]].copy(), values[:, [column[name] for name in wanted]] ** 2


def _ngspice_name(name: str) -> str:
    """The resistor that makes a source's noise: itself, or the one in the cell beside a current source."""
    return f"r.x{NOISE_PREFIX}{name[1:]}.rnoise" if name.startswith("i") else name


def integral(hertz: Floats, density: Floats, axis: int = 0) -> Floats:
    """Integral over the band along ``axis``, the trapezoidal rule in ln f; see the module's remark on its error."""
    shape = [1] * density.ndim
    shape[axis] = -1
    return np.asarray(np.trapezoid(density * hertz.reshape(shape), np.log(hertz), axis=axis))
