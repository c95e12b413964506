"""A user's deck in ngspice: one process an analysis, and never the user's own text.

The circuit goes there flat and rewritten, waveforms with every number filled in, so that neither a smaller first step
nor a cell's defaults can change it.  Accuracy: trapezoidal rule; ``reltol`` and ``vntol`` as the deck's .options say,
else 1e-6 and 1e-9; at least 4,000 steps a transient.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tngd_hw.engines.decks.estimate import estimate_analysis
from tngd_hw.engines.decks.result import AcResult, NoiseResult, TransientResult
from tngd_hw.engines.decks.transient import of_a_deck
from tngd_hw.engines.spice.estimate import RunEstimate, refusal
from tngd_hw.engines.spice.process import NgspiceVersion, SpiceRun, run_deck
from tngd_hw.engines.spice.raw_file import Plot
from tngd_hw.engines.sweep import in_every_version
from tngd_hw.netlist import (
    AcSweep,
    Analysis,
    DcSolution,
    Deck,
    Kind,
    Netlist,
    NoiseSweep,
    OperatingPoint,
    Table,
    Transient,
    flatten,
    write_deck,
)
from tngd_hw.outcome import Outcome, OutcomeError, Status

__all__ = ["DeckInNgspice"]

_DEFAULT_RELATIVE = 1e-6
_DEFAULT_VOLT = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DeckInNgspice:
    """One deck, to be run analysis by analysis.

    Attributes:
        deck: As it was read.
        version: Of ngspice.
        timeout_s: A run is stopped after this many seconds.
        steps: Smallest number of steps of a transient.
        force: Begin runs of any predicted length and memory; others are refused, see
            :func:`~tngd_hw.engines.spice.estimate.refusal`.
        progress: Called four times a second with the seconds so far of an analysis and its prediction.
    """

    deck: Deck
    version: NgspiceVersion
    timeout_s: float
    steps: int = 4000
    force: bool = False
    progress: Callable[[float, RunEstimate], None] | None = None

    def operating_point(self) -> tuple[DcSolution | None, Status]:
        """Every node and branch current."""
        flat = flatten(self.deck.netlist)
        run = self._run(flat, OperatingPoint(), "Operating Point")
        if run.plot is None:
            return None, run.status
        row = dict(zip(run.plot.names, run.plot.values[0].real.tolist(), strict=True))
        volts = {name: row[f"v({name})"] for name in flat.node_names[1:] if f"v({name})" in row}
        return DcSolution(volts, _currents(flat, row)), Status()

    def transient(self, analysis: Transient) -> TransientResult:
        """At ngspice's own times."""
        run = self._run(_filled(flatten(self.deck.netlist), analysis), self._tightened(analysis), "Transient")
        nodes = self._nodes()
        if run.plot is None:
            return TransientResult(np.zeros(0), np.zeros((0, len(nodes))), nodes, run.status)
        values = run.plot.values.real
        return TransientResult(values[:, 0].copy(), values[:, _columns(run.plot, nodes)], nodes, run.status)

    def ac(self, analysis: AcSweep) -> AcResult:
        """At the frequencies of :func:`~tngd_hw.engines.sweep.sweep_frequencies`, which the deck makes sure of."""
        own = in_every_version(analysis)
        run, nodes = self._run(_still(self.deck.netlist), own, "AC Analysis"), self._nodes()
        if run.plot is None:
            return AcResult(np.zeros(0), np.zeros((0, len(nodes)), dtype=np.complex128), nodes, run.status)
        values = run.plot.values.astype(np.complex128)
        return AcResult(values[:, 0].real.copy(), values[:, _columns(run.plot, nodes)], nodes, Status())

    def noise(self, analysis: NoiseSweep) -> NoiseResult:
        """Densities at ngspice's own frequencies and its integrals; the source alone has an amplitude, of 1."""
        kind, row = self.deck.netlist.source(analysis.source)
        table = self.deck.netlist.table(kind)
        assert table is not None
        flat, own = _still(self.deck.netlist), table.names[row]
        tables = tuple(
            replace(t, ac=_one_at(t, own if t.kind is kind else "")) if t.kind.is_source else t for t in flat.tables
        )
        run = self._run(replace(flat, tables=tables), analysis, "Noise Spectral")
        names = analysis.output if analysis.reference is None else f"{analysis.output},{analysis.reference}"
        label, unit = f"{kind.value.lower()}{own}", "V" if kind is Kind.VOLTAGE_SOURCE else "A"
        total = next((plot for plot in run.plots if plot.name.startswith("Integrated")), None)
        if run.plot is None:
            nothing, nan = np.zeros(0), float("nan")
            return NoiseResult(names, label, unit, nothing, nothing, nothing, nan, nan, run.status)
        spectrum = _by_plain_name(run.plot)
        still = np.zeros(1)  # ngspice integrates over no band of no width
        totals = {"onoise_total": still, "inoise_total": still} if total is None else _by_plain_name(total)
        return NoiseResult(
            names, label, unit, spectrum["frequency"], spectrum["onoise_spectrum"], spectrum["inoise_spectrum"],
            float(totals["onoise_total"][0]), float(totals["inoise_total"][0]), Status(),
        )  # fmt: skip

    def _run(self, flat: Netlist, analysis: Analysis, plot: str) -> SpiceRun:
        use_klu = isinstance(analysis, Transient) and analysis.use_klu and self.version.has_klu
        estimate, progress = estimate_analysis(flat, analysis, has_klu=use_klu), self.progress
        refused = Status() if self.force else refusal(estimate, self.timeout_s)
        if not refused.ok:
            return SpiceRun(refused, None, "")
        text = write_deck(flat, analysis)
        if isinstance(analysis, OperatingPoint):
            text = re.sub(r"(?m)^\.save .*\n", "", text)  # then ngspice keeps everything
        run = run_deck(
            text,
            self.version,
            plot=plot,
            stop_s=analysis.stop_s if isinstance(analysis, Transient) else None,
            timeout_s=self.timeout_s,
            progress=None if progress is None else lambda elapsed_s: progress(elapsed_s, estimate),
        )
        return replace(run, status=of_a_deck(run.status))

    def _nodes(self) -> tuple[str, ...]:
        return self.deck.netlist.outputs or self.deck.netlist.node_names[1:]

    def _tightened(self, analysis: Transient) -> Transient:
        """The deck's tolerances where it gives any, else ours; steps small enough for the start and the corners."""
        options = self.deck.options
        largest = min(analysis.max_step_s, analysis.stop_s / self.steps)
        return replace(
            analysis,
            step_s=min(analysis.step_s, largest / 10),
            max_step_s=largest,
            relative_tolerance=analysis.relative_tolerance if "reltol" in options else _DEFAULT_RELATIVE,
            voltage_tolerance_volt=analysis.voltage_tolerance_volt if "vntol" in options else _DEFAULT_VOLT,
        )


def _columns(plot: Plot, nodes: tuple[str, ...]) -> list[int]:
    """Where the nodes are; OutcomeError for one that ngspice did not write."""
    place = {name: k for k, name in enumerate(plot.names)}
    missing = [node for node in nodes if f"v({node})" not in place]
    if missing:
        raise OutcomeError(Status(Outcome.SIMULATOR_FAILED, f"ngspice wrote no voltage v({missing[0]})"))
    return [place[f"v({node})"] for node in nodes]


def _by_plain_name(plot: Plot) -> dict[str, Floats]:
    """Vectors by their names without ``v()`` and ``i()``, in which ngspice wraps the integrals."""
    values = plot.values.real
    return {re.sub(r"^[vi]\((.*)\)$", r"\1", name): values[:, k].copy() for k, name in enumerate(plot.names)}


def _currents(flat: Netlist, row: Mapping[str, float]) -> dict[str, float]:
    """Currents of V, E, H and L by element name with its letter."""
    kinds = (Kind.VOLTAGE_SOURCE, Kind.VCVS, Kind.CCVS, Kind.INDUCTOR)
    names = [f"{t.kind.value.lower()}{name}" for t in flat.tables if t.kind in kinds for name in t.names]
    return {name: row[f"i({name})"] for name in names if f"i({name})" in row}


def _filled(flat: Netlist, analysis: Transient) -> Netlist:
    """Waveforms with the numbers that they leave to .tran, by the deck's own times."""
    return _rewaved(flat, analysis)


def _still(netlist: Netlist) -> Netlist:
    """Without waveforms: sources rest at their DC values."""
    return _rewaved(flatten(netlist), None)


def _rewaved(flat: Netlist, analysis: Transient | None) -> Netlist:
    tables: list[Table] = []
    for table in flat.tables:
        waves = table.waveforms if analysis is not None else ()
        filled = tuple(
            wave if wave is None or analysis is None else wave.with_defaults(analysis.step_s, analysis.stop_s)
            for wave in waves
        )
        tables.append(replace(table, waveforms=filled))
    return replace(flat, tables=tuple(tables))


def _one_at(table: Table, name: str) -> NDArray[np.complex128]:
    return np.array([1.0 if own == name else 0.0 for own in table.names], dtype=np.complex128)
