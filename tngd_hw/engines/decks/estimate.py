"""How long an analysis of a user's deck takes in ngspice, before it is begun.

A transient takes at least its smallest number of steps, which is 10 % more with the start.  At our ``reltol`` of 1e-6 a
sine takes 94 steps a period in RC circuits and 120 in a resonant one: 100 here.  A corner of the other waveforms takes
10 where the circuit is slow, 90 where it settles in full: 40 here.  A frequency costs what a step costs.  A behavioral
source costs 0.25 us a step, a switch nothing to speak of.

Of the runs measured (ngspice 39 and 46, sources into RC nodes and an RLC, RC ladders of 10 and 60 nodes, linear, with a
B or an S a node) the points taken were 0.24 to 2.2 times those predicted.  Not foreseen: the steps of the circuit's own
modes and of its switches.
"""

from __future__ import annotations

import math
from dataclasses import replace

from tngd_hw.engines.spice.estimate import RunEstimate, estimate_run
from tngd_hw.engines.sweep import sweep_points
from tngd_hw.netlist import AcSweep, Analysis, Kind, Netlist, NoiseSweep, OperatingPoint, Shape, Transient, Waveform

__all__ = ["estimate_analysis"]

_STEPS_A_PERIOD = 100
_STEPS_A_CORNER = 40
_CORNERS_A_PULSE = 4
_BEHAVIORAL_S = 0.25e-6


def estimate_analysis(flat: Netlist, analysis: Analysis, *, has_klu: bool) -> RunEstimate:
    """Time, memory and points of one run.

    Args:
        flat: The circuit, without cells, its waveforms with every number filled in.
        analysis: As it goes to ngspice: a transient's ``max_step_s`` is the step.
        has_klu: Whether the KLU solver is asked for.
    """
    points = math.ceil(_points(flat, analysis))
    found = estimate_run(len(flat.node_names) - 1, flat.element_count, points, has_klu=has_klu)
    behavioral = sum(len(table) for table in flat.tables if table.kind is Kind.BEHAVIORAL)
    return replace(found, seconds=found.seconds + _BEHAVIORAL_S * behavioral * points)


def _points(flat: Netlist, analysis: Analysis) -> float:
    match analysis:
        case OperatingPoint():
            return 1.0
        case AcSweep() | NoiseSweep():
            return float(sweep_points(analysis))
        case Transient():
            return 1.1 * analysis.stop_s / analysis.max_step_s + _waveform_steps(flat, analysis.stop_s)


def _waveform_steps(flat: Netlist, stop_s: float) -> float:
    waves = {wave for table in flat.tables for wave in table.waveforms if wave is not None}  # equal ones share corners
    return max((_steps_of(wave, stop_s) for wave in waves), default=0.0)


def _steps_of(wave: Waveform, stop_s: float) -> float:
    filled = wave.with_defaults(stop_s, stop_s).numbers
    match wave.shape:
        case Shape.SIN:
            return _STEPS_A_PERIOD * filled[2] * stop_s
        case Shape.PULSE:
            periods = stop_s / filled[6] if filled[6] > 0 else 1.0
            return _STEPS_A_CORNER * _CORNERS_A_PULSE * periods
        case Shape.EXP:
            return 2.0 * _STEPS_A_CORNER
        case Shape.PWL:
            return _STEPS_A_CORNER * len(filled) / 2
