"""The transient of a user's deck, exactly: no step error, whatever the output times.

Time is cut at events: delays of SIN and EXP sources, jumps, changes of switches.  In between the circuit is one linear
system driven by straight lines (``state_response``, with the corners among the times) and generators
(:mod:`deck_sources`).  Inputs move no state when they jump; where a switch changes, the charges of capacitors and the
fluxes of inductors are carried over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tngd_hw.engines.decks.circuit import DeckCircuit, deck_circuit
from tngd_hw.engines.decks.sources import DrivenEquations, Sources, driven_equations, event_times
from tngd_hw.engines.decks.switches import at_rest, switch_plan, with_switches_set
from tngd_hw.linear_sde import LinearSDE, state_response
from tngd_hw.netlist import Netlist, Transient
from tngd_hw.outcome import MisuseError, Outcome, Status

__all__ = ["ExactTransient", "exact_transient", "growth_status", "output_grid"]

_MOST_POINTS = 2_000_000
_MOST_NUMBERS = 100_000_000
_MOST_INTERVALS = 20_000
_SAME_TIME = 4 * np.finfo(np.float64).eps

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ExactTransient:
    """Node voltages against time.

    Attributes:
        times_s: Shape (T,).
        voltage_volt: Shape (T, p).
        status: UNSTABLE where a mode grows (the voltages are right all the same), else OK.
    """

    times_s: Floats
    voltage_volt: Floats
    status: Status


def output_grid(analysis: Transient) -> Floats:
    """Multiples of the printing step from start to stop, and stop itself.

    Raises:
        MisuseError: More than two million of them.
    """
    step = analysis.step_s
    count = (analysis.stop_s - analysis.start_s) / step
    if count > _MOST_POINTS:
        raise MisuseError(
            f".tran {analysis.step_s:g} {analysis.stop_s:g}: {count:.3g} points, the limit is {_MOST_POINTS}; give a "
            "larger step (the first number) or a shorter run"
        )
    first = int(np.ceil(analysis.start_s / step * (1 - 1e-12)))
    last = int(np.floor(analysis.stop_s / step * (1 + 1e-12)))
    times = np.minimum(step * np.arange(first, last + 1), analysis.stop_s)
    ended = len(times) > 0 and analysis.stop_s - times[-1] <= 1e-9 * step
    return times if ended else np.append(times, analysis.stop_s)


def exact_transient(netlist: Netlist, analysis: Transient, times_s: Floats | None = None) -> ExactTransient:
    """Solve the circuit from its operating point with the sources at t = 0, or with ``uic`` from the ``ic`` values.

    Args:
        netlist: A linear circuit, its switches controlled by independent sources.
        analysis: Times; its tolerances play no part.
        times_s: Output times, increasing, in 0 to stop; default :func:`output_grid`, of the largest time step where
            that is longer than the printing step and the points of the latter are too many to keep.

    Returns:
        Voltages of the netlist's outputs.  Where they jump (a switch changes, a corner drives an inductor), those just
        before, as ngspice gives them; at t = 0 those just after.

    Cost: O(n^3) a state of the switches, O(n^2) a time and corner of a source.

    Raises:
        MisuseError: Nonlinear elements, switches that the circuit itself controls, a circuit without a solution, more
            points, corners or switchings than can be kept.
    """
    start = deck_circuit(netlist, analysis).at_start()
    width = len(start.outputs) + len(start.flat.node_names)
    if times_s is None:
        coarser = replace(analysis, step_s=max(analysis.step_s, analysis.max_step_s))
        fits = width * (analysis.stop_s - analysis.start_s) <= analysis.step_s * _MOST_NUMBERS
        times = output_grid(analysis if fits else coarser)
    else:
        times = _checked_times(times_s, analysis.stop_s)
    if len(times) * width > _MOST_NUMBERS:
        raise MisuseError(
            f".tran with {len(times)} points of {len(start.outputs)} nodes does not fit: give a larger step, or name "
            "the nodes that matter in .save"
        )
    plan = switch_plan(start, analysis.stop_s)
    run = _Run(start, bool(plan.changes))
    resting = at_rest(run.circuit)
    stored = resting.initial() if analysis.uic else resting.stored(resting.operating_point())
    ends = sorted({*event_times(start.waves, analysis.stop_s), *(t for t, _ in plan.changes), analysis.stop_s})
    if len(ends) > _MOST_INTERVALS:
        raise MisuseError(
            f".tran over {analysis.stop_s:g} s has {len(ends)} switchings, the limit is {_MOST_INTERVALS}; make it "
            "shorter, or use the ngspice engine"
        )
    volts = run.solve(times, ends, plan.start, dict(plan.changes), stored)
    return ExactTransient(times, volts, run.status(analysis.stop_s))


def _checked_times(times_s: Floats, stop_s: float) -> Floats:
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or len(times) == 0 or not (np.diff(times) >= 0).all():
        raise MisuseError("times_s: expected a non-empty list of non-decreasing times")
    if times[0] < 0 or times[-1] > stop_s * (1 + 1e-9):
        raise MisuseError(f"times_s runs from {times[0]:g} to {times[-1]:g}, outside 0 to {stop_s:g} s")
    return np.minimum(times, stop_s)  # a simulator's last time may be rounded up


class _Run:
    """One transient: the equations for every state of the switches met so far."""

    def __init__(self, circuit: DeckCircuit, switched: bool) -> None:
        self.circuit = circuit.with_current_senses() if switched else circuit
        reading = self.circuit.reading_nodes() if switched else ()
        self.outputs = tuple(dict.fromkeys((*circuit.outputs, *reading)))
        self.count = len(circuit.outputs)
        self.sources = Sources(tuple(circuit.waves), tuple(circuit.waves.values()))
        self.models: dict[tuple[bool, ...], DrivenEquations] = {}

    def model(self, on: tuple[bool, ...]) -> DrivenEquations:
        if on not in self.models:
            equations = with_switches_set(self.circuit, on).equations(self.sources.names, self.outputs)
            self.models[on] = driven_equations(equations, self.sources)
        return self.models[on]

    def solve(
        self,
        times: Floats,
        ends: list[float],
        on: tuple[bool, ...],
        changes: Mapping[float, tuple[bool, ...]],
        stored: Floats,
    ) -> Floats:
        """Interval after interval."""
        found = np.empty((len(times), self.count))
        begin, state = 0.0, self._started(on, stored)
        for end in ends:
            wanted = (times <= end) & ((times > begin) if begin > 0 else (times >= 0))
            model = self.model(on)
            grid = _united(times[wanted], self.sources.corners(begin, end), begin, end)
            states, volts = self._interval(model, grid, state)
            found[wanted] = volts[np.searchsorted(grid, times[wanted]), : self.count]
            state, begin = states[-1, : model.equations.sde.n_states], end
            if end in changes:
                on = changes[end]
                reading = dict(zip(self.outputs, volts[-1].tolist(), strict=True))
                state = self._started(on, self.circuit.stored_from(reading))
        return found

    def _started(self, on: tuple[bool, ...], stored: Floats) -> Floats:
        return self.model(on).equations.initial_map.numpy() @ stored

    def _interval(self, model: DrivenEquations, grid: Floats, state: Floats) -> tuple[Floats, Floats]:
        if len(grid) * (model.sde.n_states + len(self.outputs)) > _MOST_NUMBERS:
            raise MisuseError(
                f".tran with {len(grid)} times and corners of sources does not fit for {model.sde.n_states} states and "
                f"{len(self.outputs)} nodes; make it shorter, or use the ngspice engine"
            )
        inputs = self.sources.sampled(grid, model.derivatives)
        begin = np.concatenate([state, self.sources.generated(float(grid[0]))])
        states = state_response(model.sde, grid, inputs, x0=begin).numpy()
        return states, states @ model.sde.C.numpy().T + inputs @ model.sde.D.numpy().T

    def status(self, seconds: float) -> Status:
        """Of all the circuits that the switches made."""
        found = (growth_status(model.equations.sde, seconds) for model in self.models.values())
        return next((status for status in found if not status.ok), Status())


def _united(wanted: Floats, corners: Floats, begin: float, end: float) -> Floats:
    """All times of an interval; a corner within rounding of an output time is taken to be there."""
    fixed = np.unique(np.concatenate([[begin], wanted, [end]]))
    after = np.searchsorted(fixed, corners).clip(1, len(fixed) - 1)
    distance = np.minimum(np.abs(fixed[after] - corners), np.abs(corners - fixed[after - 1]))
    return np.unique(np.concatenate([fixed, corners[distance > _SAME_TIME * end]]))


def growth_status(sde: LinearSDE, seconds: float) -> Status:
    """UNSTABLE where a mode grows visibly in ``seconds``; a lossless circuit or an integrator is no failure."""
    rates = sde.eigenvalues().real
    fastest = float(rates.max())
    rounding = 1e-11 * float(sde.eigenvalues().abs().max())
    if fastest <= rounding or fastest * seconds < 1e-6:
        return Status()
    return of_a_deck(Status(Outcome.UNSTABLE, f"a mode of the circuit grows as e^(t/{1 / fastest:.3g} s)"))


def of_a_deck(status: Status) -> Status:
    """With advice for a circuit that a user drew, which has no matrix A."""
    if status.outcome is not Outcome.UNSTABLE:
        return status
    return replace(status, advice="turn the sign of the feedback, load the node that grows, or shorten the run")
