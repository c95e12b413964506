"""Switches that independent sources control: when each of them opens and closes, before anything is simulated.

The controlling voltage v(t) is a sum of source voltages, so it is known for all time.  A switch closes where v rises
above threshold + hysteresis, opens where it falls below threshold - hysteresis, and keeps its state in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tngd_hw.engines.decks.circuit import DeckCircuit
from tngd_hw.netlist import Kind, Netlist, SwitchModel, Table, Waveform
from tngd_hw.netlist.linear_elements import SWITCH_PREFIX
from tngd_hw.netlist.loops import Forest
from tngd_hw.netlist.tables import joined
from tngd_hw.netlist.waveform import Shape
from tngd_hw.outcome import MisuseError

__all__ = ["SwitchPlan", "at_rest", "switch_plan", "with_switches_set"]

_SAMPLES = 256
"""Samples a period, or a time constant, between which the control voltage of a SIN or EXP source is taken as
monotone."""

_MOST_SAMPLES = 4_000_000
_STRAIGHT = 1e-12
"""A crossing found by a straight line stands where the control voltage is off by less than this part of itself."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SwitchPlan:
    """States of all switches against time.

    Attributes:
        start: At t = 0.
        changes: Times above 0, increasing, each with the states from then on.
    """

    start: tuple[bool, ...]
    changes: tuple[tuple[float, tuple[bool, ...]], ...]


def at_rest(circuit: DeckCircuit) -> DeckCircuit:
    """The circuit with its switches as the present values of its sources set them."""
    return with_switches_set(circuit, tuple(_states(circuit.flat)))


def with_switches_set(circuit: DeckCircuit, on: tuple[bool, ...]) -> DeckCircuit:
    """The circuit with a resistor in place of every switch: on or off resistance."""
    flat = circuit.flat
    switches = flat.table(Kind.SWITCH)
    if switches is None:
        return circuit
    ohm = np.array([m.on_ohm if state else m.off_ohm for m, state in zip(switches.switches, on, strict=True)])
    names = tuple(f"{SWITCH_PREFIX}{name}" for name in switches.names)
    resistors = Table(Kind.RESISTOR, names, switches.nodes[:, :2], ohm)
    tables = [
        joined([table, resistors]) if table.kind is Kind.RESISTOR else table  # there is one: the idle pair's
        for table in flat.tables
        if table.kind is not Kind.SWITCH
    ]
    return replace(circuit, flat=replace(flat, tables=tuple(tables)))


def switch_plan(circuit: DeckCircuit, stop_s: float) -> SwitchPlan:
    """When the switches of ``circuit`` (sources at their values at t = 0) change, up to ``stop_s``.

    Exact where the controlling sources are PULSE and PWL; with SIN and EXP found to rounding, if two crossings are
    1/256 of a period or time constant apart.

    Raises:
        MisuseError: A switch controlled by what independent voltage sources do not decide.
    """
    flat = circuit.flat
    switches = flat.table(Kind.SWITCH)
    if switches is None:
        return SwitchPlan((), ())
    start = tuple(_states(flat))
    events: list[tuple[float, int, bool]] = []
    for k, path in enumerate(_control_paths(flat, switches)):
        sources = [(name, sign) for name, sign in path if name in circuit.waves]
        if sources:
            rest = sum(sign * _value(flat, name) for name, sign in path if name not in circuit.waves)
            times = _grid([circuit.waves[name] for name, _ in sources], stop_s)
            changes = _changes(_Control(circuit.waves, tuple(sources), rest), times, switches.switches[k], start[k])
            events.extend((time, k, state) for time, state in changes)
    return SwitchPlan(start, tuple(_merged(start, sorted(events))))


def _merged(start: tuple[bool, ...], events: list[tuple[float, int, bool]]) -> list[tuple[float, tuple[bool, ...]]]:
    """States of all switches after every change; changes at one time are one."""
    now = list(start)
    merged: list[tuple[float, tuple[bool, ...]]] = []
    for time, k, state in events:
        now[k] = state
        if merged and merged[-1][0] == time:
            merged.pop()
        merged.append((time, tuple(now)))
    return merged


@dataclass(frozen=True)
class _Control:
    """v(t) = rest + the moving sources with their signs."""

    waves: Mapping[str, Waveform]
    sources: tuple[tuple[str, float], ...]
    rest: float

    def __call__(self, time_s: Floats) -> Floats:
        return self.rest + sum(
            (sign * self.waves[name].value(time_s) for name, sign in self.sources), np.zeros_like(time_s)
        )


def _states(flat: Netlist) -> list[bool]:
    switches = flat.table(Kind.SWITCH)
    if switches is None:
        return []
    volts = [sum(sign * _value(flat, name) for name, sign in path) for path in _control_paths(flat, switches)]
    return [_next(model, volt, model.starts_on) for model, volt in zip(switches.switches, volts, strict=True)]


def _next(model: SwitchModel, volt: float, before: bool) -> bool:
    if volt > model.threshold_volt + model.hysteresis_volt:
        return True
    return before and volt >= model.threshold_volt - model.hysteresis_volt


def _value(flat: Netlist, name: str) -> float:
    sources = flat.table(Kind.VOLTAGE_SOURCE)
    assert sources is not None
    return float(sources.values[sources.names.index(name)])


def _control_paths(flat: Netlist, switches: Table) -> list[list[tuple[str, float]]]:
    """For every switch the voltage sources between its controls, with their signs."""
    forest = Forest(len(flat.node_names))
    sources = flat.table(Kind.VOLTAGE_SOURCE)
    names = () if sources is None else sources.names
    if sources is not None:
        for k, (first, second) in enumerate(sources.nodes.tolist()):
            forest.join(first, second, k)
    paths: list[list[tuple[str, float]]] = []
    for name, nodes in zip(switches.names, cast("list[list[int]]", switches.nodes.tolist()), strict=True):
        path = forest.path(nodes[2], nodes[3])
        if path is None:
            plus, minus = flat.node_names[nodes[2]], flat.node_names[nodes[3]]
            raise MisuseError(
                f"netlist {flat.title!r}: switch s{name} is controlled by v({plus},{minus}), which independent voltage "
                "sources alone do not decide; control it by a source, or use the ngspice engine"
            )
        paths.append([(names[edge], sign) for edge, sign in path])
    return paths


def _grid(waves: list[Waveform], stop_s: float) -> Floats:
    """Times between which the control voltage is monotone: corners, and samples of curved waveforms."""
    corners = np.unique(np.concatenate([[0.0, stop_s], *(wave.breakpoints(stop_s) for wave in waves)]))
    scales: list[float] = []
    for wave in waves:
        if wave.shape is Shape.SIN:
            scales.append(1 / wave.numbers[2])
        elif wave.shape is Shape.EXP:
            scales.extend((wave.numbers[3], wave.numbers[5]))
    if not scales:
        return corners
    count = stop_s / min(scales) * _SAMPLES
    if count > _MOST_SAMPLES:
        raise MisuseError(
            f"a switch is controlled by a source with a time scale of {min(scales):g} s over {stop_s:g} s: more than "
            f"{_MOST_SAMPLES} samples; shorten .tran"
        )
    return np.unique(np.concatenate([corners, np.linspace(0.0, stop_s, int(count) + 2)]))


def _changes(
    control: Callable[[Floats], Floats], times: Floats, model: SwitchModel, before: bool
) -> list[tuple[float, bool]]:
    """Changes of one switch; between two of ``times`` the control voltage is monotone."""
    volts = control(times)
    high, low = model.threshold_volt + model.hysteresis_volt, model.threshold_volt - model.hysteresis_volt
    rises = (volts[:-1] <= high) & (volts[1:] > high)
    falls = (volts[:-1] >= low) & (volts[1:] < low)
    found: list[tuple[int, bool]] = []
    for k in np.flatnonzero(rises | falls).tolist():
        state = bool(rises[k])
        if state != before:
            before = state
            found.append((k, state))
    at = np.array([k for k, _ in found], dtype=np.int64)
    levels = np.array([high if state else low for _, state in found])
    straight = times[at] + (times[at + 1] - times[at]) * (levels - volts[at]) / (volts[at + 1] - volts[at])
    rounding = 8 * np.finfo(np.float64).eps * straight * np.abs(np.diff(volts) / np.diff(times))[at]
    allowed = _STRAIGHT * (np.abs(volts[at]) + np.abs(volts[at + 1])) + rounding
    curved = np.abs(control(straight) - levels) > allowed
    for k in np.flatnonzero(curved).tolist():
        straight[k] = _crossing(control, float(times[at[k]]), float(times[at[k] + 1]), float(levels[k]))
    return [(time, state) for time, (_, state) in zip(straight.tolist(), found, strict=True)]


def _crossing(control: Callable[[Floats], Floats], left: float, right: float, level: float) -> float:
    """Where a monotone control voltage passes ``level``, to rounding."""
    from scipy.optimize import brentq

    def distance(time: float) -> float:
        return float(control(np.array([time]))[0]) - level

    ends = distance(left), distance(right)
    if ends[0] == 0.0:
        return left
    if ends[0] * ends[1] > 0:  # it jumps at one of the ends
        return right
    return float(brentq(distance, left, right, xtol=1e-16 * max(right, 1e-300) + 1e-300, rtol=1e-15))
