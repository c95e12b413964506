"""What the ADC of every die says of its readings: exact where it is linear, by draws where it has levels.

A channel sees u = (1 + gain) v + offset + noise of a voltage v and says the level next to u.  The voltages of the
readings are Gaussian, of a mean and a covariance that are known exactly, and so is u: gain, offset and noise are closed
forms.  Levels, their nonlinearity and the ends of the range have none, since a calibrated range comes from the largest
of all readings.  There M draws of the exact law go through the very converter
(:func:`tngd_hw.readout.digitise.converted`), and only what it changes is taken from them:

    mean of what it says     = E u + (1/M) sum (said - u)
    variance of what it says = Var u * (variance of said over the draws)/(variance of u over the draws)

so the numbers go over into the closed forms as bits grow.  Without any noise there is one draw and nothing is
estimated.  M is 256, less for many readings (8192/N, at least 32): the sampling error has a relative standard error of
at most about 1/sqrt(2 (M - 1)): 4 % of 256, 13 % of 32 (measured of 256: 0.3 % with 5 bits, 3 % of a covariance read
with a range that clips).  A settling or systematic error below sampling/sqrt(M) is not resolved.

Timing (aperture, skew, jitter) is left out: every channel looks at the time of the reading.  The value that a die
settles to is read with the noise of the same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE, transition
from tngd_hw.linear_sde.gaussian import square_root
from tngd_hw.random import stream
from tngd_hw.readout.digitise import Converted, converted
from tngd_hw.studies.solves.readings import Reading
from tngd_hw.topologies import LoadedChip

__all__ = ["Said", "corrected", "deviations", "draw_count", "normals", "said_averages", "slope_and_noise"]

_MOST_DRAWS, _FEWEST_DRAWS, _READINGS_IN_ALL = 256, 32, 8192


@dataclass(frozen=True, eq=False)
class Said:
    """The average of the readings as the ADC says it, of every die.

    Attributes:
        now: Mean at the time of the readings, volt, shape (chips, n).
        end: Mean of a die that has settled, volt, shape (chips, n).
        variance: Shape (chips, n), volt^2.
        clipped: Readings that the range did not hold, of an average run, shape (chips,).
    """

    now: Tensor
    end: Tensor
    variance: Tensor
    clipped: Tensor


def draw_count(loaded: LoadedChip, reading: Reading, *, noisy: bool) -> int:
    """M: 1 where nothing is random or the ADC has no levels."""
    adc = loaded.chip.hardware.adc
    if adc.is_linear or not (noisy or adc.noise_volt_std > 0):
        return 1
    return min(_MOST_DRAWS, max(_FEWEST_DRAWS, _READINGS_IN_ALL // reading.samples))


def normals(seed: int, chips: Sequence[int]) -> Callable[[int, int], Tensor]:
    """Standard normal variates of shape (chips, rows, columns); every chip has a stream of its own."""
    streams = [stream(seed, "study.noise", chip) for chip in chips]
    return lambda rows, columns: torch.from_numpy(np.stack([own.standard_normal((rows, columns)) for own in streams]))


def deviations(
    sde: LinearSDE, first_spread: Tensor, draw: Callable[[int, int], Tensor], *, spacing: float, count: int, draws: int
) -> Tensor:
    """Draws of the outputs less their means at ``count`` readings, shape (chips, count, n, draws).

    Args:
        sde: Equations, whose outputs have no white noise of their own or are drawn without it.
        first_spread: Covariance of the states at the first reading.
        draw: See :func:`normals`.
        spacing: Seconds between readings.
        count: N.
        draws: M.
    """
    state = square_root(first_spread) @ draw(sde.n_states, draws)
    seen = [sde.C @ state]
    if count > 1:
        step = transition(sde, spacing)
        for _ in range(count - 1):
            state = step.Phi @ state + step.root @ draw(step.root.shape[-1], draws)
            seen.append(sde.C @ state)
    return torch.stack(seen, -3)


def said_averages(
    loaded: LoadedChip, now: Tensor, end: Tensor, around: Tensor | None, variance: Tensor, *, draws: int, seed: int
) -> Said:
    """What the ADC makes of the average of N readings.

    Args:
        loaded: The dies.
        now: Mean voltages at the readings, shape (chips, N, n).
        end: What they settle to, shape (chips, n).
        around: Draws of :func:`deviations`; None for none.
        variance: Exact variance of the average voltage, shape (chips, n).
        draws: M.
        seed: Of the noise of the ADC.
    """
    adc, dies = loaded.chip.hardware.adc, loaded.chip.deviations["adc"]
    count = now.shape[1]
    slope, own = slope_and_noise(loaded)
    exact = slope**2 * variance + own / count

    def seen(volt: Tensor) -> Tensor:
        return adc.seen(volt[:, None, :, None], dies, None)[:, 0, :, 0]

    if adc.is_linear:
        return Said(seen(now.mean(1)), seen(end), exact, exact.new_zeros(len(exact)))
    shape = (*now.shape, draws)
    spread = now.new_zeros(shape) if around is None else around.expand(shape)
    read, settled = (
        converted(mean.unsqueeze(-1) + spread, loaded, seed=seed) for mean in (now, end.unsqueeze(1).expand_as(now))
    )
    final, _ = corrected(seen(end), exact, *_averages(settled))
    mean, found = corrected(seen(now.mean(1)), exact, *_averages(read))
    return Said(mean, final, found, read.clipped * count * now.shape[-1])


def slope_and_noise(loaded: LoadedChip) -> tuple[Tensor, float]:
    """1 + gain of the channels, shape (chips or 1, n), and the variance of the ADC's own noise in one reading."""
    adc, dies, one = loaded.chip.hardware.adc, loaded.chip.deviations["adc"], torch.ones(1, 1, loaded.n, 1).double()
    slope = adc.seen(one, dies, None) - adc.seen(torch.zeros_like(one), dies, None)
    return slope[:, 0, :, 0], adc.noise_volt_std**2


def corrected(mean: Tensor, variance: Tensor, said: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variances of what is said, from those of u; see the module.  Of the variances their sum is meant.

    Args:
        mean: Of u, shape (chips, n).
        variance: Of u, shape (chips, n), or (chips, 1) for the sum.
        said: Draws, shape (chips, n, M).
        seen: The same draws before the levels.
    """
    changed = mean + (said - seen).mean(-1)
    if said.shape[-1] == 1:
        return changed, variance
    before, after = (value.var(-1).sum(-1, keepdim=True) for value in (seen, said))
    ratio = torch.where(before > 0, after / torch.where(before > 0, before, 1.0), 1.0)
    return changed, torch.where(variance.isinf(), variance, variance * ratio)


def _averages(found: Converted) -> tuple[Tensor, Tensor]:
    return found.said.mean(1), found.seen.mean(1)
