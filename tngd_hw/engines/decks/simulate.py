"""``simulate_deck``: every analysis of a user's own deck, through our equations or through ngspice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tngd_hw.engines.decks.circuit import deck_circuit
from tngd_hw.engines.decks.frequency import exact_ac, exact_noise
from tngd_hw.engines.decks.ngspice import DeckInNgspice
from tngd_hw.engines.decks.result import AcResult, DeckEngine, DeckResult, NoiseResult, TransientResult
from tngd_hw.engines.decks.switches import at_rest
from tngd_hw.engines.decks.transient import exact_transient
from tngd_hw.engines.spice.estimate import RunEstimate
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.netlist import (
    AcSweep,
    Analysis,
    DcSolution,
    Deck,
    Kind,
    NoiseSweep,
    OperatingPoint,
    Transient,
    flatten,
)
from tngd_hw.outcome import MisuseError, Outcome, Status

__all__ = ["DeckInStateSpace", "simulate_deck"]


def simulate_deck(
    deck: Deck,
    engine: DeckEngine = DeckEngine.STATE_SPACE,
    *,
    timeout_s: float = 600.0,
    force: bool = False,
    progress: Callable[[float, RunEstimate], None] | None = None,
) -> DeckResult:
    """Run all analyses of ``deck``; one that has none gets its operating point.

    ``state_space`` is exact for linear circuits, at the multiples of the .tran's step; ngspice chooses its own times.
    The operating point is looked for in any case; only where the deck asks for it, or has nothing else, is it an error
    that there is none.

    Args:
        deck: From :func:`tngd_hw.netlist.read_deck`.
        engine: Who simulates.
        timeout_s: Time limit of one ngspice run; an analysis that would take longer is not begun (timed_out).
        force: Begin it all the same.
        progress: Called four times a second with the seconds so far of an ngspice run and what was predicted.

    Raises:
        MisuseError: No element; ``state_space``: nonlinear elements, floating nodes and loops by name, too many points.
        OutcomeError: SIMULATOR_MISSING, SIMULATOR_FAILED where ngspice answers what cannot be read.
    """
    if not isinstance(engine, DeckEngine):
        raise MisuseError(f"engine = {engine!r}: give DeckEngine.STATE_SPACE or DeckEngine.NGSPICE")
    if not 0 < timeout_s < float("inf"):
        raise MisuseError(f"timeout_s = {timeout_s!r}: expected a finite number above 0")
    if deck.netlist.element_count == 0:
        raise MisuseError(
            f"deck {deck.title!r} has no element: its first line is the title, the circuit comes below it"
        )
    runner = DeckInStateSpace(deck)
    if engine is DeckEngine.NGSPICE:
        runner = DeckInNgspice(deck, required_ngspice(), timeout_s, force=force, progress=progress)
    notes = _notes(deck)
    asked = [analysis for analysis in deck.analyses if not isinstance(analysis, OperatingPoint)]
    needed = len(asked) < len(deck.analyses) or not asked
    point, found_point = _operating_point(runner, needed=needed)
    if point is None and not needed:
        notes.append(f"no operating point: {found_point.detail}")
    results = tuple(_analysis(runner, analysis) for analysis in asked)
    statuses = [found_point] if needed else []
    statuses += [result.status for result in results]
    status = next((status for status in statuses if not status.ok), Status())
    return DeckResult(deck.title, engine, _counts(deck), point, results, status, tuple(notes))


class DeckInStateSpace:
    """One deck through its state equations, analysis by analysis."""

    def __init__(self, deck: Deck) -> None:
        self.netlist = deck.netlist

    def operating_point(self) -> tuple[DcSolution | None, Status]:
        """Every node and branch current, switches set by the sources' DC values."""
        return at_rest(deck_circuit(self.netlist)).operating_point(), Status()

    def transient(self, analysis: Transient) -> TransientResult:
        """At the multiples of the step."""
        found = exact_transient(self.netlist, analysis)
        return TransientResult(found.times_s, found.voltage_volt, self._nodes(), found.status)

    def ac(self, analysis: AcSweep) -> AcResult:
        """At the frequencies of the sweep."""
        found = exact_ac(self.netlist, analysis)
        return AcResult(found.frequency_hz, found.voltage_volt, self._nodes(), found.status)

    def noise(self, analysis: NoiseSweep) -> NoiseResult:
        """At the frequencies of the sweep; the integrals are exact, whatever their number."""
        found = exact_noise(self.netlist, analysis)
        kind, row = self.netlist.source(analysis.source)
        table = self.netlist.table(kind)
        assert table is not None
        output = analysis.output if analysis.reference is None else f"{analysis.output},{analysis.reference}"
        source, unit = f"{kind.value.lower()}{table.names[row]}", "V" if kind is Kind.VOLTAGE_SOURCE else "A"
        return NoiseResult(
            output, source, unit, found.frequency_hz, found.output_density, found.input_density, found.output_total,
            found.input_total, found.status,
        )  # fmt: skip

    def _nodes(self) -> tuple[str, ...]:
        return self.netlist.outputs or self.netlist.node_names[1:]


def _operating_point(runner: DeckInStateSpace | DeckInNgspice, *, needed: bool) -> tuple[DcSolution | None, Status]:
    try:
        return runner.operating_point()
    except MisuseError as error:
        if needed:
            raise
        return None, Status(Outcome.SINGULAR, str(error))


def _analysis(runner: DeckInStateSpace | DeckInNgspice, analysis: Analysis) -> TransientResult | AcResult | NoiseResult:
    match analysis:
        case Transient():
            return runner.transient(analysis)
        case AcSweep():
            return runner.ac(analysis)
        case NoiseSweep():
            return runner.noise(analysis)
        case OperatingPoint():
            raise AssertionError("the operating point is no result of its own")


def _counts(deck: Deck) -> Mapping[Kind, int]:
    return {table.kind: len(table) for table in flatten(deck.netlist).tables if len(table)}


def _notes(deck: Deck) -> list[str]:
    notes: list[str] = []
    if not deck.analyses:
        notes.append("the deck asks for no analysis (.op .tran .ac .noise): this is its operating point")
    sources = [table for table in flatten(deck.netlist).tables if table.kind.is_source]
    swept = any(isinstance(analysis, AcSweep) for analysis in deck.analyses)
    if swept and not any(table.ac is not None and table.ac.any() for table in sources):
        notes.append(".ac without a source that has an ac amplitude: the response is zero; write ac 1 at a source")
    renamed = ", ".join(f"{theirs} is {ours}" for ours, theirs in sorted(deck.renamed.items())[:10])
    if renamed:
        notes.append(f"names written with the characters a-z, 0-9 and _: {renamed}")
    return notes
