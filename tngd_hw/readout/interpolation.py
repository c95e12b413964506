"""Voltages of a recorded run between its points: a cubic through the four points around, where they are close enough.

    v(t) = sum_j v_j prod_(m != j) (t - t_m)/(t_j - t_m),     j over the four points around t

Exact at the points.  Elsewhere its error is estimated from the points themselves: each is predicted by a cubic through
its four neighbours.  That is off by 4 h^4 v''''/24 where the cubic itself is off by at most 0.94 h^4 v''''/24, a
quarter of it; of a path with white noise in it both are off by the noise of a few steps.  A mode that rings faster than
the points can follow looks slow in them, so the modes of the circuit are asked too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError

__all__ = ["at_times"]

_POINTS = 4
_ERROR = 1e-3
"""Largest estimated error, relative to the largest voltage of the run."""


_HOW = "run with times_s = look_times(loaded, times, seed=seed), which needs none"

_MARGIN = 0.7
"""What is offered, in units of what the present points let expect: they are too far apart to tell."""

_GONE = 3.0
"""Time constants between two points after which a ringing mode is seen as a jump, not as a slower mode."""


def at_times(
    times_s: Tensor, volt: Tensor, wanted_s: Tensor, *, noisy: bool, modes: Callable[[], Tensor] | None = None
) -> Tensor:
    """Voltages at other times.

    Args:
        times_s: Of the points, non-decreasing, shape (T,).
        volt: Shape (chips, T, n, k).
        wanted_s: Shape (chips or 1, samples, n or 1, k or 1).
        noisy: Whether the run has noise in it: then its error falls with the root of the spacing, not its fourth power.
        modes: Gives the eigenvalues of the circuit, 1/s, any shape; asked where a time is between points.

    Returns:
        Shape (chips, samples, n, k).  Cost: O(entries).

    Raises:
        MisuseError: Times outside the run, or between points that are too far apart.
    """
    fresh = torch.cat([torch.ones(1, dtype=torch.bool), times_s.diff() > 0])
    times, volt = times_s[fresh], volt[:, fresh]
    _check_inside(times, wanted_s)
    wanted = wanted_s.clamp(float(times[0]), float(times[-1]))
    count = min(_POINTS, len(times))
    after = torch.searchsorted(times, wanted.contiguous())
    between = times[after] != wanted
    if bool(between.any()):
        _check_ringing(times, after[between], None if modes is None else modes())
        _check_density(times, volt, after[between], noisy=noisy)
    first = (after - count // 2).clamp(0, len(times) - count)
    shape = (volt.shape[0], wanted.shape[1], *volt.shape[2:])
    found = torch.zeros(shape, dtype=torch.float64)
    for j in range(count):
        weight = torch.ones_like(wanted)
        for m in range(count):
            if m != j:
                weight = weight * (wanted - times[first + m]) / (times[first + j] - times[first + m])
        found = found + weight * volt.gather(1, (first + j).expand(shape))
    return found


def _check_inside(times: Tensor, wanted: Tensor) -> None:
    begin, end, slack = float(times[0]), float(times[-1]), 1e-12 * float(times[-1].abs())
    for value in (float(wanted.min()), float(wanted.max())):
        if not begin - slack <= value <= end + slack:
            raise MisuseError(
                f"times_s: a reading looks at {value:.6g} s, skew, jitter and aperture included, and the run has "
                f"points from {begin:.6g} to {end:.6g} s; run longer, or read at another time"
            )


def _check_ringing(times: Tensor, after: Tensor, modes: Tensor | None) -> None:
    """MisuseError where a mode turns by more than a quarter between two points, and is still there at the second."""
    spacing = _spacing(times, after)
    if modes is None:
        return
    turning = modes.imag.abs()[modes.real.abs() * spacing < _GONE]
    fastest = float(turning.max()) if len(turning) else 0.0
    if fastest * spacing > math.pi / 2:
        raise MisuseError(
            f"times_s: a reading between points {spacing:.3g} s apart, of a circuit that rings at "
            f"{fastest / (2 * math.pi):.3g} Hz; {_HOW}, or with points {math.pi / 2 / fastest:.2g} s apart"
        )


def _spacing(times: Tensor, after: Tensor) -> float:
    """The longest of the intervals that end at ``after``."""
    return float((times[after] - times[(after - 1).clamp_min(0)]).max())


def _check_density(times: Tensor, volt: Tensor, after: Tensor, *, noisy: bool) -> None:
    """MisuseError where the intervals that end at ``after`` are too long for a cubic."""
    spacing = _spacing(times, after)
    if len(times) < _POINTS + 1:
        raise MisuseError(f"times_s: {len(times)} points are too few to interpolate between; {_HOW}")
    gap = _left_out(times, volt)
    error = float(torch.maximum(gap[after], gap[(after - 1).clamp_min(0)]).max()) * (1.0 if noisy else 0.25)
    allowed = _ERROR * float(volt.abs().max())
    if error > allowed:
        enough = _MARGIN * spacing * (allowed / error) ** (2.0 if noisy else 0.25)
        raise MisuseError(
            f"times_s: a reading between points {spacing:.3g} s apart would be off by {error:.2g} V; {_HOW}, or "
            f"with points {enough:.2g} s apart"
        )


def _left_out(times: Tensor, volt: Tensor) -> Tensor:
    """By how much a cubic through its neighbours misses each point, the largest of all nodes, shape (T,)."""
    middle = torch.arange(2, len(times) - 2)
    places = [middle + step for step in (-2, -1, 1, 2)]
    guess = torch.zeros_like(volt[:, middle])
    for j in places:
        weight = torch.ones(len(middle), dtype=torch.float64)
        for m in places:
            if m is not j:
                weight = weight * (times[middle] - times[m]) / (times[j] - times[m])
        guess = guess + weight[:, None, None] * volt[:, j]
    missed = (volt[:, middle] - guess).abs().amax(dim=(0, 2, 3))
    return torch.cat([missed[:1], missed[:1], missed, missed[-1:], missed[-1:]])
