"""What a deck asks the simulator to do: operating point, AC sweep, noise sweep, transient."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from tngd_hw.netlist.noise_columns import NoiseSources
from tngd_hw.outcome import MisuseError

__all__ = ["AcSweep", "Analysis", "NoiseSweep", "OperatingPoint", "Spacing", "Transient", "with_an_end"]


_GRID_TOLERANCE = 1e-6
"""A frequency above the last one by this part of a step is in the grid: the ``reltol`` of our decks."""

_ROUNDING = 1e-12
"""What rounding may take from a whole step."""

MOST_TIME_STEPS = 1e8
"""A transient of more steps is refused."""


class Spacing(enum.Enum):
    """How the frequencies of a sweep are spaced, by SPICE's names."""

    DECADE = "dec"
    OCTAVE = "oct"
    LINEAR = "lin"


def _refuse_unless(right: bool, what: str, value: object, expected: str) -> None:
    if not right:
        raise MisuseError(f"{what} = {value!r}: expected {expected}")


def _check_sweep(what: str, points: int, start_hz: float, stop_hz: float) -> None:
    integral = isinstance(points, int) and not isinstance(points, bool)
    _refuse_unless(integral and points > 0, f"{what}.points_per_decade", points, "a whole number above 0")
    _refuse_unless(0 < start_hz < float("inf"), f"{what}.start_hz", start_hz, "a finite number above 0")
    _refuse_unless(start_hz <= stop_hz < float("inf"), f"{what}.stop_hz", stop_hz, "a finite number, start_hz or more")


@dataclass(frozen=True)
class OperatingPoint:
    """The DC solution: capacitors open, inductors short, sources at their DC values (``.op``)."""


@dataclass(frozen=True)
class AcSweep:
    """Small-signal response to the sources' ``ac`` amplitudes (``.ac``).

    Attributes:
        points_per_decade: Points a decade; by ``spacing`` an octave, or in all.
        start_hz: First frequency.
        stop_hz: Last frequency.
        spacing: See :class:`Spacing`.
    """

    points_per_decade: int
    start_hz: float
    stop_hz: float
    spacing: Spacing = Spacing.DECADE

    def __post_init__(self) -> None:
        _check_sweep("AcSweep", self.points_per_decade, self.start_hz, self.stop_hz)


@dataclass(frozen=True)
class NoiseSweep:
    """Noise density at an output, and its integral over the band (``.noise``).

    Attributes:
        output: Name of the output node.
        source: Name of the V or I source that input-referred noise is referred to, as in ``Netlist.inputs``.
        points_per_decade: Points a decade; by ``spacing`` an octave, or in all.
        start_hz: First frequency.
        stop_hz: Last frequency.
        reference: Node that the output is measured against; None is ground.
        spacing: See :class:`Spacing`.
        sources: Which noise is written; decks that were read have ``ALL``, with their noisy=0 in the tables.
    """

    output: str
    source: str
    points_per_decade: int
    start_hz: float
    stop_hz: float
    reference: str | None = None
    spacing: Spacing = Spacing.DECADE
    sources: NoiseSources = NoiseSources.INJECTED

    def __post_init__(self) -> None:
        _check_sweep("NoiseSweep", self.points_per_decade, self.start_hz, self.stop_hz)


@dataclass(frozen=True)
class Transient:
    """A transient analysis.

    Attributes:
        stop_s: Length of the run in seconds.
        step_s: First and suggested step; it sets how well the start is resolved.
        max_step_s: Largest step.
        relative_tolerance: ngspice's ``reltol``.
        voltage_tolerance_volt: ngspice's ``vntol``.
        use_klu: Ask for the KLU solver (ngspice >= 42; older ones ignore it).
        uic: Start from the elements' initial conditions; False starts from the operating point, sources at t = 0.
        start_s: Results before this time are not kept.
    """

    stop_s: float
    step_s: float
    max_step_s: float
    relative_tolerance: float = 1e-6
    voltage_tolerance_volt: float = 1e-9
    use_klu: bool = False
    uic: bool = True
    start_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("stop_s", "step_s", "max_step_s", "relative_tolerance", "voltage_tolerance_volt"):
            value = getattr(self, name)
            _refuse_unless(0 < value < float("inf"), f"Transient.{name}", value, "a finite number above 0")
        _refuse_unless(0 <= self.start_s < self.stop_s, "Transient.start_s", self.start_s, "0 or more, below stop_s")
        steps = self.stop_s / self.max_step_s
        if steps > MOST_TIME_STEPS:  # ngspice would fill the memory with them
            raise MisuseError(f"{steps:.3g} time steps, the limit is {MOST_TIME_STEPS:g}; give larger steps")


Analysis = OperatingPoint | AcSweep | NoiseSweep | Transient


def with_an_end(sweep: AcSweep) -> AcSweep:
    """The same frequencies in words that ngspice 39 comes to an end of, which it never does below one step of ``dec``.

    Such a band is its first frequency, or a whole step where it misses that by less than a step times ``reltol``.
    """
    if sweep.spacing is not Spacing.DECADE:
        return sweep
    ratio, step = sweep.stop_hz / sweep.start_hz, 10 ** (1 / sweep.points_per_decade)
    if ratio > step * (1 + _ROUNDING):
        return sweep
    if ratio * (1 + _GRID_TOLERANCE * step) >= step:
        return replace(sweep, stop_hz=sweep.start_hz * step * (1 + 2 * _ROUNDING))
    return replace(sweep, points_per_decade=1, stop_hz=sweep.start_hz, spacing=Spacing.LINEAR)
