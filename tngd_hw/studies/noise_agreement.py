"""Stationary covariance of a noisy circuit: the Lyapunov equation against ngspice's ``.noise``, integrated.

A projection w of the outputs is made a voltage by adding w_i v_i as currents into a noiseless resistor, so diagonal
entries, differences and random directions are one kind of run.  The band reaches from 1e-4 of the slowest to 1e3 of the
fastest mode: what is left out is below 0.1 %.  The density is integrated here, over ln f: ngspice's own integral takes
a power law between points, is 8 % low at a quality factor of 10 with 20 points a decade, and is not a number at all
where the slope between two points is exactly -1 (ngspice 39).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tngd_hw.engines.ngspice_process import find_ngspice, ngspice_version, run_deck
from tngd_hw.linear_sde import LinearSDE, stationary_output_covariance
from tngd_hw.netlist import Kind, Netlist, NoiseSweep, Table, state_equations, write_deck
from tngd_hw.netlist.tables import joined
from tngd_hw.outcome import Outcome, OutcomeError, Status
from tngd_hw.topologies import LoadedChip

__all__ = ["ProjectedVariance", "band_of", "projected_variances", "random_projections"]

_PROBE_OHM = 1.0
_BELOW, _ABOVE = 1e-4, 1e3
_POINTS_PER_DECADE = 100

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ProjectedVariance:
    """Variance of one projection of the outputs, volt^2.

    Attributes:
        lyapunov: w^T S w of the state equations of the netlist.
        ngspice: Integral of ngspice's output noise density over the band.
        share: |difference| over sum_ij |w_i w_j| sqrt(S_ii S_jj); for one output, the relative difference.
    """

    lyapunov: float
    ngspice: float
    share: float


def random_projections(n: int, count: int, seed: int) -> Floats:
    """``count`` random directions of unit length, shape (count, n)."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(count, n))
    return w / np.linalg.norm(w, axis=1, keepdims=True)


def band_of(sde: LinearSDE) -> tuple[float, float]:
    """Lower and upper limit in hertz: 1e-4 of the slowest and 1e3 of the fastest mode."""
    size = sde.eigenvalues().abs() / (2 * math.pi)
    return _BELOW * float(size.min()), _ABOVE * float(size.max())


def projected_variances(
    loaded: LoadedChip, projections: Floats, *, points_per_decade: int = _POINTS_PER_DECADE, timeout_s: float = 600.0
) -> list[ProjectedVariance]:
    """Both variances of every projection (rows of ``projections``, shape (count, n)).  Cost: one ngspice run a row.

    Raises:
        OutcomeError: ngspice is missing or fails.
    """
    netlist = loaded.netlist()
    sde = state_equations(netlist).sde
    covariance, status = stationary_output_covariance(sde)
    status.require_ok()
    S = covariance.numpy()
    spread = np.sqrt(np.diagonal(S))
    start_hz, stop_hz = band_of(sde)
    found: list[ProjectedVariance] = []
    for w in projections:
        exact = float(w @ S @ w)
        source = netlist.inputs[int(np.abs(w).argmax())]  # its gain to the probe is not zero, which ngspice divides by
        sweep = NoiseSweep("probe", source, points_per_decade, start_hz, stop_hz)
        measured = _integrated_density(write_deck(_with_probe(netlist, w), sweep), timeout_s)
        found.append(ProjectedVariance(exact, measured, abs(exact - measured) / float(np.abs(w) @ spread) ** 2))
    return found


def _with_probe(netlist: Netlist, w: Sequence[float] | Floats) -> Netlist:
    """The circuit and a node ``probe`` with v(probe) = sum_i w_i v(out_i)."""
    names = netlist.node_names
    probe = len(names)
    used = [i for i, weight in enumerate(w) if weight != 0]
    nodes = np.array([[0, probe, names.index(netlist.outputs[i]), 0] for i in used], dtype=np.int64)
    sums = Table(Kind.VCCS, tuple(f"probe{i}" for i in used), nodes, np.array([w[i] / _PROBE_OHM for i in used]))
    load = Table(
        Kind.RESISTOR, ("probe",), np.array([[probe, 0]], dtype=np.int64), np.array([_PROBE_OHM]),
        noiseless=np.array([True]),
    )  # fmt: skip
    tables = netlist.tables
    for extra in (sums, load):
        tables = _with_table(tables, extra)
    return replace(netlist, node_names=(*names, "probe"), tables=tables, outputs=("probe",))


def _with_table(tables: tuple[Table, ...], extra: Table) -> tuple[Table, ...]:
    if all(table.kind is not extra.kind for table in tables):
        return (*tables, extra)
    return tuple(joined([table, extra]) if table.kind is extra.kind else table for table in tables)


def _integrated_density(deck: str, timeout_s: float) -> float:
    """Integral of the output density over the band: the trapezoidal rule in ln f, which a smooth density rewards."""
    path = find_ngspice()
    if path is None:
        raise OutcomeError(Status(Outcome.SIMULATOR_MISSING, "there is no ngspice on this machine"))
    run = run_deck(deck, ngspice_version(path), plot="Noise Spectral Density", stop_s=0.0, timeout_s=timeout_s)
    if run.plot is None:
        raise OutcomeError(run.status)
    frequency, density = (run.plot.values[:, run.plot.names.index(n)].real for n in ("frequency", "onoise_spectrum"))
    return float(np.trapezoid(density**2 * frequency, np.log(frequency)))
