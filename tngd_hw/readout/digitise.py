"""What the ADC of a chip makes of a run: when each channel looks, and what it says.

Sample s of channel i looks from t_s + skew_i + jitter_s on, for one aperture; the jitter is that of the clock, the same
for all channels.  Before t = 0 the reset holds the start.  Times fit a run exactly when the run has points there:

    looks = look_times(loaded, times, seed=7)
    _, run = engine.run(state, duration=..., times_s=looks)
    estimate = read(run, loaded, seed=7, times_s=times)

else a cubic through the four points around gives the voltage, if they are close enough together for it: the error is
estimated by leaving points out and stays below 1e-3 of the largest voltage.  That of a noisy run rarely is.

For a stationary process of covariance C_ij(d) = Cov(v_i(t + d), v_j(t)) the readings have the covariance
C_ij(skew_i - skew_j) + D^2/12 delta_ij (D the step, quantisation error white while the deviation is above D/2); the
jitter changes none of it.  Source: B. Widrow, I. Kollar, Quantization Noise, Cambridge 2008.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines import Trajectory
from tngd_hw.hardware import Adc, Role, draws_of
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import as_real_tensor
from tngd_hw.random import stream
from tngd_hw.readout.interpolation import at_times
from tngd_hw.topologies import LoadedChip

__all__ = ["Converted", "Readings", "clipped_status", "converted", "digitised", "look_times", "sample_times"]

_APERTURE_POINTS = 5
"""Of Gauss's rule for the mean over an aperture: exact for polynomials of order 9."""

_SIGMAS = 6.0
"""Room that the default times leave for skew and jitter."""

_SAME = 1e-9
"""Relative difference of spacings that are taken as equal."""


@dataclass(frozen=True, eq=False)
class Readings:
    """What the ADC said.

    Attributes:
        volt: Shape ([chips,] samples, n) or ([chips,] samples, n, k).
        statuses: One a chip: the run's, or SATURATED with the share that the range did not hold.
    """

    volt: Tensor
    statuses: tuple[Status, ...]


@dataclass(frozen=True, eq=False)
class Converted:
    """What the channels make of voltages at their inputs, shapes (chips, samples, n, k).

    Attributes:
        said: The readings.
        seen: What was to be quantised: gain, offset and noise have acted.
        clipped: Share of the readings that the range did not hold, shape (chips,).
    """

    said: Tensor
    seen: Tensor
    clipped: Tensor


def look_times(loaded: LoadedChip, times_s: ArrayLike | Tensor, *, seed: int = 0, columns: int | None = None) -> Tensor:
    """All times at which any channel of any chip looks, ascending: what to ask an exact engine for.

    Args:
        loaded: The chip or batch; a batch with skew has chips * n * samples of them.
        times_s: Of the samples, shape (samples,), ascending.
        seed: Seed of the readout, as will be given to ``read``.
        columns: Number k of right-hand sides, or None for runs of one.

    Raises:
        MisuseError: Samples that the ADC cannot take so fast.
    """
    samples = sample_times(loaded.chip.hardware.adc, times_s)
    return cast("Tensor", torch.unique(_looks(loaded, samples, columns, seed)))


def digitised(
    trajectory: Trajectory,
    loaded: LoadedChip,
    *,
    seed: int,
    average_from_s: float | None,
    times_s: ArrayLike | Tensor | None = None,
) -> Readings:
    """The readings of a run that has points.

    Args:
        trajectory: Of one run of ``loaded``.
        loaded: The chip with its ADC.
        seed: Of noise and jitter; chip 5 and column 2 have the same in a batch of any size.
        average_from_s: All points from this time on (as far as the run goes on long enough for a reading); None for the
            last reading that the run allows.
        times_s: Times of the samples instead.

    Raises:
        MisuseError: Both or bad times, samples faster than the ADC, outside the run, or between points too far apart.
    """
    adc = loaded.chip.hardware.adc
    if times_s is not None and average_from_s is not None:
        raise MisuseError("average_from_s and times_s: give one of them, both say which samples to take")
    if average_from_s is not None and not 0 <= average_from_s <= trajectory.duration_s:
        raise MisuseError(f"average_from_s = {average_from_s!r}: the run lasts from 0 to {trajectory.duration_s} s")
    if times_s is None and not adc.effects():
        return Readings(_points(trajectory, average_from_s), trajectory.statuses)
    samples = _default_times(adc, trajectory, average_from_s) if times_s is None else sample_times(adc, times_s)
    has_columns = trajectory.node_axis == -2
    columns = trajectory.voltage_volt.shape[-1] if has_columns else None
    looks, weights = _looks(loaded, samples, columns, seed), _aperture(adc)[1]
    volt = trajectory.voltage_volt if has_columns else trajectory.voltage_volt.unsqueeze(-1)
    volt = volt if trajectory.chips is not None else volt.unsqueeze(0)

    def modes() -> Tensor:
        return loaded.linear_sde().eigenvalues()

    noisy = trajectory.noisy
    seen = [at_times(trajectory.times_s, volt, look, noisy=noisy, modes=modes) for look in looks]
    found = converted(torch.stack(seen, -1) @ weights, loaded, seed=seed)
    said, lost = found.said, found.clipped
    said = said if has_columns else said.squeeze(-1)
    statuses = tuple(
        clipped_status(float(share), adc) if status.ok and share > 0 else status
        for status, share in zip(trajectory.statuses, lost.expand(len(trajectory.statuses)), strict=True)
    )
    return Readings(said if trajectory.chips is not None else said.squeeze(0), statuses)


def converted(volt: Tensor, loaded: LoadedChip, *, seed: int) -> Converted:
    """The readings of voltages that the channels of a chip have at their inputs, their timing apart.

    Args:
        volt: Shape (chips, samples, n, k), chips 1 where all are alike.
        loaded: The chip or batch with its ADC.
        seed: Of the noise: chip 5 and column 2 have the same in a batch of any size.
    """
    adc, draws = loaded.chip.hardware.adc, loaded.chip.deviations["adc"]
    shape, columns = tuple(volt.shape[1:3]), volt.shape[-1]
    noise = _normal(loaded, "adc.noise", shape, columns, seed) if adc.noise_volt_std > 0 else None
    seen = adc.seen(volt, draws, noise)
    said, clipped = adc.levels(seen, draws)
    return Converted(said, seen, clipped)


def _points(trajectory: Trajectory, average_from_s: float | None) -> Tensor:
    """The voltages of the run itself, from a time on or the last."""
    axis = trajectory.node_axis - 1
    if average_from_s is None:
        return trajectory.final_volt.unsqueeze(axis)
    chosen = torch.nonzero(trajectory.times_s >= average_from_s).squeeze(1)
    return trajectory.voltage_volt.index_select(axis, chosen)


def _default_times(adc: Adc, trajectory: Trajectory, average_from_s: float | None) -> Tensor:
    """The points of the run from a time on that leave room for a whole reading, or the last such time."""
    end = float(trajectory.times_s[-1]) - adc.aperture_s - _SIGMAS * (adc.skew_s_dtod + adc.jitter_s_std)
    if average_from_s is None:
        return torch.tensor([max(end, float(trajectory.times_s[0]))], dtype=torch.float64)
    times = trajectory.times_s[(trajectory.times_s >= average_from_s) & (trajectory.times_s <= end)]
    if len(times) == 0:
        raise MisuseError(f"average_from_s = {average_from_s!r}: no reading fits between it and the end of the run")
    return sample_times(adc, times)


def sample_times(adc: Adc, times_s: ArrayLike | Tensor) -> Tensor:
    """Checked times of the samples, shape (samples,).

    Raises:
        MisuseError: No list of ascending times, or samples that the ADC cannot take so fast.
    """
    times = as_real_tensor(times_s, "times_s")
    if times.ndim != 1 or len(times) == 0 or bool((times.diff() <= 0).any()):
        raise MisuseError("times_s: expected a non-empty list of ascending times of samples, in seconds")
    if len(times) > 1:
        spacing = float(times.diff().min())
        if adc.sample_rate_hz is not None and spacing * adc.sample_rate_hz < 1 - _SAME:
            raise MisuseError(
                f"adc.sample_rate_hz = {adc.sample_rate_hz:g}: the samples are {spacing:.6g} s apart; give times_s at "
                f"least {1 / adc.sample_rate_hz:.6g} s apart"
            )
        if adc.aperture_s > spacing * (1 + _SAME):
            raise MisuseError(
                f"adc.aperture_s = {adc.aperture_s:g}: the samples are {spacing:.6g} s apart; give times_s at least an "
                "aperture apart"
            )
    return times


def _looks(loaded: LoadedChip, samples: Tensor, columns: int | None, seed: int) -> Tensor:
    """Times, shape (points of the aperture, chips, samples, n, k); chips, n and k are 1 where all are alike."""
    adc = loaded.chip.hardware.adc
    times = samples.reshape(1, -1, 1, 1)
    skew = draws_of(loaded.chip.deviations["adc"], "skew").get(Role.ADC)
    if skew is not None:
        times = times + skew[..., : loaded.n, 0].reshape(-1, 1, loaded.n, 1)
    if adc.jitter_s_std > 0:
        clock = _normal(loaded, "adc.jitter", (len(samples),), columns or 1, seed)
        times = times + adc.jitter_s_std * clock.unsqueeze(-2)
    places = _aperture(adc)[0]
    return (times + places.reshape(-1, 1, 1, 1, 1)).clamp_min(0.0)


def _aperture(adc: Adc) -> tuple[Tensor, Tensor]:
    """Places, in seconds, and weights of the mean over an aperture; a single place where there is none."""
    if adc.aperture_s == 0:
        return torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    places, weights = np.polynomial.legendre.leggauss(_APERTURE_POINTS)
    return torch.from_numpy((places + 1) / 2) * adc.aperture_s, torch.from_numpy(weights / 2)


def _normal(loaded: LoadedChip, name: str, shape: tuple[int, ...], columns: int, seed: int) -> Tensor:
    """Standard normal variates (chips, ..., k), a stream a chip and right-hand side."""
    drawn = [
        np.stack([stream(seed, name, chip, use).standard_normal(shape) for use in range(columns)], -1)
        for chip in loaded.chip.numbers
    ]
    return torch.from_numpy(np.stack(drawn))


def clipped_status(share: float, adc: Adc) -> Status:
    """What is said of a chip whose ADC did not hold this share of its readings."""
    detail = f"the ADC clipped {share:.3g} of its readings to its range of {adc.range_volt:g} V"
    return Status(Outcome.SATURATED, detail, "raise adc.range_volt, calibrate the range, or plan with a larger x_max")
