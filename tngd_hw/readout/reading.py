"""The law of a reading at a finite time: its mean and its covariance, for every chip, without simulating.

The nodes start without noise, held by the reset; 1/f noise of the amplifiers has been there before and starts from its
stationary law, as in a run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.equations import with_constant
from tngd_hw.engines.slow_noise import only_slow_noise, slow_noise_at_start, without_slow_noise
from tngd_hw.linear_sde import LinearSDE, mean_at, output_covariance_at, time_average
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies import Drive, LoadedChip

__all__ = ["ReadingLaw", "as_read", "reading_law"]

_CHIPS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class ReadingLaw:
    """Mean and covariance of the voltages that are read, before the ADC, but for its noise; covariances add up.

    Attributes:
        mean: Shape (chips, n), chips = 1 for a single one, in units of x.
        white_covariance: What injected noise and the white noise of the parts make, shape (chips, n, n).
        slow_covariance: What the 1/f noise of the amplifiers makes, same shape.
        converter_covariance: What the ADC's own noise of one reading makes, same shape.
        duration_s: When it is read.
        window_s: Over how long before that it is averaged; 0 for one reading.
    """

    mean: Tensor
    white_covariance: Tensor
    slow_covariance: Tensor
    converter_covariance: Tensor
    duration_s: float
    window_s: float

    @property
    def covariance(self) -> Tensor:
        """Of the reading, shape (chips, n, n)."""
        return self.white_covariance + self.slow_covariance + self.converter_covariance


def reading_law(
    loaded: LoadedChip,
    duration: float,
    *,
    window: float = 0.0,
    x0: ArrayLike | Tensor | None = None,
    seed: int = 0,
) -> ReadingLaw:
    """Law of x(T), or of its average over T - window to T, of every chip's own circuit from x0 held by the reset.

    Args:
        loaded: A chip or a batch.
        duration: T, in s.
        window: Seconds, from 0 to T.
        x0: Start, shape (n,); default 0.
        seed: Of what the converters draw.

    Returns:
        A :class:`ReadingLaw`; exact for every circuit, stable or not.  Cost: one or two transitions a chip, with 1/f
        noise about twice that.

    Raises:
        MisuseError: A duration that is not positive, a window outside it, several right-hand sides.
        OutcomeError: The matrix does not fit.
    """
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 < duration < math.inf:
        raise MisuseError(f"duration = {duration!r}: expected a finite number of seconds above 0")
    if isinstance(window, bool) or not isinstance(window, int | float) or not 0 <= window <= duration:
        raise MisuseError(f"window = {window!r}: a reading is averaged over 0 s to its duration, {duration} s")
    drive = loaded.drive(x0=x0, seed=seed)
    if drive.columns is not None:
        raise MisuseError(f"the drive has {drive.columns} columns: a reading is of one right-hand side at a time")
    count = loaded.chip.chips or 1
    parts = [slice(at, min(at + _CHIPS_AT_ONCE, count)) for at in range(0, count, _CHIPS_AT_ONCE)]
    found = [_part(loaded, drive, part, duration, window) for part in parts]
    mean, white, slow = (torch.cat(values) for values in zip(*found, strict=True))
    own = loaded.chip.hardware.adc.noise_volt_std**2 * torch.eye(loaded.n, dtype=torch.float64).expand_as(white)
    scale = _scale(loaded)
    square = scale[:, None] * scale
    return ReadingLaw(
        mean=mean * scale,
        white_covariance=white * square,
        slow_covariance=slow * square,
        converter_covariance=own * square,
        duration_s=float(duration),
        window_s=float(window),
    )


def as_read(loaded: LoadedChip, x: Tensor) -> Tensor:
    """What the ADC of every chip says of constant answers x (chips, n), its noise and its timing apart."""
    adc, scale = loaded.chip.hardware.adc, _scale(loaded)
    if not adc.effects():
        return x
    said, _ = adc.reading((x / scale)[:, None, :, None], loaded.chip.deviations["adc"], None)
    return said[:, 0, :, 0] * scale


def _scale(loaded: LoadedChip) -> Tensor:
    """x of 1 V at every output, shape (n,)."""
    D = torch.ones(loaded.n, dtype=torch.float64) if loaded.scaling is None else loaded.scaling
    return D / loaded.scales.voltage_volt


def _part(
    loaded: LoadedChip, drive: Drive, part: slice, duration: float, window: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (members, n) of the voltages of some chips, covariances (members, n, n) of white and of 1/f noise."""
    batch, members = loaded.chip.chips is not None, part.stop - part.start
    sde = loaded.linear_sde(part if batch else None)
    start = loaded.initial_state(drive.initial_volt, per_chip=drive.per_chip)
    inputs = with_constant(drive)
    start = start[part] if start.ndim > 1 else start.expand(members, -1)
    inputs = inputs[part] if inputs.ndim > 1 else inputs.expand(members, -1)
    F = sde.F.expand(members, sde.n_states, sde.n_states)
    each = LinearSDE(F, sde.E, sde.B, sde.C, D=sde.D, D_w=sde.D_w, state_names=sde.state_names)
    if window > 0:
        mean = time_average(each, window, delay=duration - window, x0=start, u=inputs).mean
    else:
        mean = mean_at(each, torch.tensor([duration], dtype=torch.float64), x0=start, u=inputs).squeeze(-2)
    nothing = mean.new_zeros(*mean.shape, mean.shape[-1])
    if not loaded.noisy:
        return mean, nothing, nothing
    slow_start = slow_noise_at_start(each)
    if slow_start is None:
        return mean, _covariance(each, None, duration, window).expand_as(nothing), nothing
    white = _covariance(without_slow_noise(each), None, duration, window)
    slow = _covariance(only_slow_noise(each), slow_start, duration, window)
    return mean, white.expand_as(nothing), slow.expand_as(nothing)


def _covariance(sde: LinearSDE, start: Tensor | None, duration: float, window: float) -> Tensor:
    """Of the outputs at the time of the reading, or of their mean over the window before it."""
    if window > 0:
        return time_average(sde, window, delay=duration - window, covariance0=start).covariance
    return output_covariance_at(sde, duration, covariance0=start)
