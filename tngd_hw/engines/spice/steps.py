r"""Steps and tolerance of a transient in ngspice, from the circuit's modes and two stated errors: path and end.

The trapezoidal rule multiplies a mode by e^(lambda h) (1 + (lambda h)^3/12) a step.  For a ringing one that is an error
of its phase, (h w)^3/12, which grows with every radian: relative to the mode's first amplitude the error at t is
(h |lambda|)^2/12 times M(t) = |lambda| t e^(Re lambda t).

ngspice chooses h so that its estimate of the truncation h^3 q'''/12 in the charge q stays below ``trtol reltol |q|``,
trtol = 7.  The estimate is a sixth of the truncation (a divided difference is q'''/3!): h |lambda| = (504 reltol)^(1/3)
where q is at its peak; at the zeros of a ringing charge h is far shorter.  What is reached lies between: with 84 in
place of 504 the law is right for a mode that rings undamped, and for a damped one if its first time constant is taken
as undamped too.  So

    error at t = (84 reltol)^(2/3) M(t)/12,    M(t) = max over the modes of |lambda| t e^-max(|Re lambda| t - 1, 0),

M = min(1/|Re lambda|, T) |lambda| along the path.  At the end, where an answer is read, ``accuracy`` allows a tenth
(:data:`END_SHARE`) of what it allows along the path.  Behind a mode that decays towards a charge the steps grow, h^3
with 1/amplitude, and M(T) is 3/2 |lambda/Re lambda| (e^(Re lambda T/3) - e^(Re lambda T)) if that is more; where it
does not ring, by 504.  Modes for which the largest step is short enough do not count at the end.  reltol makes both
errors 1/5 of those allowed; reached were at most 0.37 of the path's and 0.47 of the end's, over 1,200 of the runs of
``benchmarks.ngspice_accuracy``, LC cells, RC nodes and the other circuits.

The first step h0 is one of the backward Euler rule that ngspice does not check: (h0 lambda)^2/2 times the mode's
amplitude, for which 1/50 of the accuracy is set aside, a fifth of the end's.  Modes of amplifiers, faster than those of
A, start with an amplitude of lambda_A/lambda, so that h0 = sqrt(2 accuracy/(50 lambda_A lambda)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.topologies import LoadedChip, spectrum

__all__ = ["DEFAULT_POINTS", "END_SHARE", "Steps", "choose_steps"]

DEFAULT_POINTS = 250
"""Smallest number of steps of a run, so that its path can be drawn and averaged."""

END_SHARE = 0.1
"""The error at the end of a run is held to this part of the accuracy: an answer is read there."""

_TRUNCATION = 84.0
"""Between 12 x 7 x 3! = 504 and the short steps at the zeros of a ringing charge: measured."""

_SMOOTH, _RINGING = 6 ** (2 / 3), 1.5
"""What the end's error is of that by 84: of a decay, with 504, and of ringing, measured."""

_SAFETY = 5.0
_FIRST_SHARE = 0.02
_FIRST_OF_STEP = 10.0
"""ngspice begins with a tenth of .tran's tstep."""

_RINGING_LIVES = 8.0
"""A ringing mode takes (84 reltol)^(-1/3) steps a radian, for so many of its time constants: measured."""

_FINEST = 3e-13
"""Below this reltol rounding decides the steps."""


@dataclass(frozen=True)
class Steps:
    """What goes into .tran and .options, and how many time points to expect.

    Attributes:
        step_s: .tran's tstep; the first step is a tenth of it.
        max_step_s: .tran's tmax.
        relative_tolerance: ngspice's ``reltol``.
        expected_points: Number of time points, within a factor of 5, most within 2, on the circuits measured.
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
    """Steps for an error of ``accuracy`` along the path and a tenth at its end, relative to the largest voltage.

    Stated settings win.  Steps and tolerance are rounded to 3 digits, so that a deck does not depend on a library's
    last bits.  With both settings stated only the modes of A are looked at, and the first step is 1/1000 of its fastest
    time constant.

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
    first = math.sqrt(2 * accuracy * _FIRST_SHARE / (fastest * min(wanted, fastest)))
    memory = max(_memory(size, decay, duration), _unresolved(modes, duration, largest, accuracy), 1.0)
    tolerance = (12 * accuracy / (_SAFETY * memory)) ** 1.5 / _TRUNCATION
    chosen = _rounded(max(tolerance, _FINEST)) if relative_tolerance is None else relative_tolerance
    rings = modes.imag.abs() > decay
    radians = float((size * (_RINGING_LIVES / decay).clamp(max=duration))[rings].max()) if bool(rings.any()) else 0.0
    spread = float(size.max() / decay.min())
    alive = min(1 + math.log(spread), fastest * duration) + radians
    return Steps(
        min(_rounded(_FIRST_OF_STEP * first), largest), largest, chosen,
        _expected_points(duration / largest, chosen, alive),
    )  # fmt: skip


def _memory(size: Tensor, decay: Tensor, duration: float) -> float:
    """M along the path, of modes with |lambda| = ``size`` and |Re lambda| = ``decay``."""
    return float((size * (1 / decay).clamp(max=duration)).max())


def _unresolved(modes: Tensor, duration: float, largest: float, accuracy: float) -> float:
    """M at the end over END_SHARE, of the modes that steps of ``largest`` alone do not resolve there; 0 without any."""
    radians, lives = modes.abs() * duration, modes.real.abs() * duration
    ringing = (modes.imag.abs() * duration).clamp(min=1.0)  # a pair that hardly rings starts with large amplitudes
    amplitude = torch.where(modes.imag == 0, 1.0, (radians / ringing).clamp(min=1.0))
    on_grid = amplitude * (modes.abs() * largest) ** 2 / 12 * radians * torch.exp(-lives)
    there = radians * torch.exp(-(lives - 1).clamp(min=0.0))
    growing = 1.5 * radians / lives.clamp(min=1e-3) * (torch.exp(-lives / 3) - torch.exp(-lives))
    factor = torch.where(modes.imag.abs() <= modes.real.abs(), _SMOOTH, _RINGING)
    there = factor * torch.maximum(there, growing) / END_SHARE
    return float(torch.where(on_grid > END_SHARE * accuracy / _SAFETY, there, torch.zeros_like(there)).max())


def _expected_points(points: float, tolerance: float, alive: float) -> int:
    """The grid, and beyond it the time that the modes are alive (in radians), one after the other, in their steps."""
    return math.ceil(points + alive / (_TRUNCATION * tolerance) ** (1 / 3))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
