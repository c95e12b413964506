r"""Steps and tolerance of a transient in ngspice, from the circuit's modes and a stated error.

ngspice's trapezoidal rule leaves a truncation error of h^3 q'''/12 a step in the charge q, and chooses h so that it
stays below ``trtol reltol |q|`` with trtol = 7: for a mode lambda, h |lambda| = (84 reltol)^(1/3).  Errors live as long
as their mode, or as the run: |lambda| min(1/|Re lambda|, T) = M of the mode's own times, M/(h |lambda|) steps.  So

    error = (84 reltol)^(2/3) M/12,    M = max over the modes, at least 1,

and reltol is what makes it 1/2 of the error allowed (measured: at most 0.98 of the whole).  The first step h0 is a step
of the backward Euler rule that ngspice does not check: (h0 lambda)^2/2 times the mode's amplitude.  Modes of
amplifiers, faster than those of A, start with an amplitude of lambda_A/lambda, so that
h0 = sqrt(accuracy/(lambda_A lambda)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tngd_hw.topologies import LoadedChip, spectrum

__all__ = ["DEFAULT_POINTS", "Steps", "choose_steps"]

DEFAULT_POINTS = 250
"""Smallest number of steps of a run, so that its path can be drawn and averaged."""

_TRUNCATION = 84.0
"""12 of the trapezoidal rule times ngspice's default ``trtol`` of 7."""

_SAFETY = 2.0
_FIRST_OF_STEP = 10.0
"""ngspice begins with a tenth of .tran's tstep."""

_RINGING_LIVES = 8.0
"""A ringing mode takes (84 reltol)^(-1/3) steps a radian, for so many of its time constants: measured."""

_FINEST = 1e-12
"""Below this reltol rounding decides the steps."""


@dataclass(frozen=True)
class Steps:
    """What goes into .tran and .options, and how many time points to expect.

    Attributes:
        step_s: .tran's tstep; the first step is a tenth of it.
        max_step_s: .tran's tmax.
        relative_tolerance: ngspice's ``reltol``.
        expected_points: Number of time points, within a factor of 2 on the circuits measured.
    """

    step_s: float
    max_step_s: float
    relative_tolerance: float
    expected_points: int


def choose_steps(
    loaded: LoadedChip,
    duration: float,
    *,
    accuracy: float,
    relative_tolerance: float | None = None,
    points: int | None = None,
) -> Steps:
    """Steps for an error of ``accuracy`` along the path, relative to its largest voltage; stated settings win.

    Steps and tolerance are rounded to 3 digits, so that a deck does not depend on a library's last bits.  With both
    settings stated only the modes of A are looked at, and the first step is 1/1000 of its fastest time constant.

    Cost: the eigenvalues of the circuit's closed-form equations; of A where both settings are stated.

    Raises:
        OutcomeError: The matrix does not fit the circuit.
    """
    largest = duration / (DEFAULT_POINTS if points is None else points)
    found = spectrum(loaded.mapped.formed_matrix())
    wanted = found.fastest / loaded.tau
    if relative_tolerance is not None and points is not None:
        alive = 1 + math.log(min(found.condition, 1e12))
        expected = _expected_points(duration / largest, relative_tolerance, min(alive, wanted * duration))
        return Steps(min(0.01 / wanted, largest), largest, relative_tolerance, expected)
    modes = loaded.linear_sde().eigenvalues().reshape(-1)
    size, decay = modes.abs(), modes.real.abs().clamp(min=1e-3 / duration)
    fastest = float(size.max())
    first = math.sqrt(2 * accuracy / _SAFETY) / (math.sqrt(wanted * fastest) if fastest > wanted else fastest)
    memory = float((size * (1 / decay).clamp(max=duration)).max())
    tolerance = (12 * accuracy / (_SAFETY * max(memory, 1.0))) ** 1.5 / _TRUNCATION
    chosen = _rounded(max(tolerance, _FINEST)) if relative_tolerance is None else relative_tolerance
    rings = modes.imag.abs() > decay
    radians = float((size * (_RINGING_LIVES / decay).clamp(max=duration))[rings].max()) if bool(rings.any()) else 0.0
    spread = float(size.max() / decay.min())
    alive = min(1 + math.log(spread), fastest * duration) + radians
    return Steps(
        min(_rounded(_FIRST_OF_STEP * first), largest), largest, chosen,
        _expected_points(duration / largest, chosen, alive),
    )  # fmt: skip


def _expected_points(points: float, tolerance: float, alive: float) -> int:
    """The grid, and beyond it the time that the modes are alive (in radians), one after the other, in their steps."""
    return math.ceil(points + alive / (_TRUNCATION * tolerance) ** (1 / 3))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
