"""The frequencies of ``.ac`` and ``.noise``: ngspice's own grid, as measured with versions 39 and 46.

lin         points in equal steps from start to stop; ``.ac lin 2`` and start = stop are the first frequency alone
oct         start 2^(k/points), also where stop is no power of 2 of it: the grid then ends below stop
.noise dec  start 10^(k/points), in the same way
.ac dec     over a decade or more, m = floor(points log10(stop/start)) equal steps of ln f that end at stop;
            below a decade as ``.noise dec`` (46; 39 spreads its steps there too, and hangs where there is none)

A grid point that is above stop by less than a step times ``reltol``, which our decks set to 1e-6, belongs to the grid.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tngd_hw.netlist import AcSweep, NoiseSweep, Spacing
from tngd_hw.netlist.tables import Floats
from tngd_hw.outcome import MisuseError

__all__ = ["in_every_version", "sweep_frequencies", "sweep_points"]

_MOST_POINTS = 1_000_000
_RELATIVE_TOLERANCE = 1e-6
_ROUNDING = 1e-12
"""What rounding may take from a whole number of steps."""


def sweep_frequencies(analysis: AcSweep | NoiseSweep) -> Floats:
    """Frequencies in hertz; MisuseError for more than a million."""
    count, start, stop = sweep_points(analysis), analysis.start_hz, analysis.stop_hz
    if count == 1:
        return np.array([start])
    if analysis.spacing is Spacing.LINEAR:
        return np.linspace(start, stop, count)
    steps = np.arange(count, dtype=np.float64)
    if _is_spread(analysis):
        return start * (stop / start) ** (steps / (count - 1))
    return start * _base(analysis) ** (steps / analysis.points_per_decade)


def sweep_points(analysis: AcSweep | NoiseSweep) -> int:
    """Number of frequencies; MisuseError for more than a million."""
    count = _count(analysis)
    if count > _MOST_POINTS:
        raise MisuseError(f"a sweep of {count} points, the limit is {_MOST_POINTS}; ask for fewer")
    return count


def in_every_version(analysis: AcSweep) -> AcSweep:
    """The sweep in words that every version of ngspice takes for :func:`sweep_frequencies`."""
    if analysis.spacing is not Spacing.DECADE:
        return analysis
    count = sweep_points(analysis)
    if count == 1:
        return replace(analysis, points_per_decade=1, stop_hz=analysis.start_hz, spacing=Spacing.LINEAR)
    last = analysis.stop_hz if _is_spread(analysis) else float(sweep_frequencies(analysis)[-1])
    return replace(analysis, stop_hz=last * (1 + _ROUNDING))  # the version's own floor() gives the same number of steps


def _count(analysis: AcSweep | NoiseSweep) -> int:
    points, start, stop = analysis.points_per_decade, analysis.start_hz, analysis.stop_hz
    if analysis.spacing is Spacing.LINEAR:
        alone = start == stop or (points == 2 and isinstance(analysis, AcSweep))
        return 1 if alone else points
    steps = math.log(stop / start) / math.log(_base(analysis)) * points
    if _is_spread(analysis):
        return math.floor(steps * (1 + _ROUNDING)) + 1
    allowed = math.log1p(_base(analysis) ** (1 / points) * _RELATIVE_TOLERANCE) / math.log(_base(analysis)) * points
    return math.floor(steps + allowed) + 1


def _is_spread(analysis: AcSweep | NoiseSweep) -> bool:
    decades = isinstance(analysis, AcSweep) and analysis.spacing is Spacing.DECADE
    return decades and analysis.stop_hz >= 10 * analysis.start_hz


def _base(analysis: AcSweep | NoiseSweep) -> float:
    return 10.0 if analysis.spacing is Spacing.DECADE else 2.0
