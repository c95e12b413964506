"""From voltages to numbers: x = v/v0 as the ADC reads v, once or as a time average with its error bar."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines import Trajectory
from tngd_hw.random import check_seed
from tngd_hw.readout.digitise import digitised
from tngd_hw.readout.estimate import Estimate, Quantity
from tngd_hw.readout.estimators import estimate_mean
from tngd_hw.topologies import LoadedChip

__all__ = ["read"]


def read(
    trajectory: Trajectory,
    loaded: LoadedChip,
    *,
    seed: int = 0,
    average_from_s: float | None = None,
    times_s: ArrayLike | Tensor | None = None,
) -> Estimate:
    """The solution as an instrument reads it, x = D v/v0.

    Args:
        trajectory: Of one run of ``loaded``.
        loaded: The chip, for its scale v0.
        seed: Seed of the readout's own noise and jitter.
        average_from_s: Average all points from this time on; default: the last one that leaves time for a reading.  The
            standard error of the average accounts for the autocorrelation of equally spaced points
            (:func:`estimate_mean`); a single noisy reading, fewer than 40 points or about 3 effective ones have no
            error bar (NaN).  Of a run without noise it is that of the ADC's own.
        times_s: Average samples at these times instead (:func:`~tngd_hw.readout.digitise.look_times`).

    Returns:
        An Estimate of the SOLUTION; a failed trajectory gives NaN with its status, a clipping ADC says SATURATED.

    Raises:
        MisuseError: Times outside the run, or samples that this ADC cannot take of it
            (:func:`~tngd_hw.readout.digitise.digitised`).
    """
    check_seed(seed)
    statuses = trajectory.statuses
    if len(trajectory.times_s) == 0:
        value = torch.full((loaded.n,), torch.nan, dtype=torch.float64)
        value = value if trajectory.chips is None else value.expand(trajectory.chips, loaded.n)
        stderr = degrees = value
    else:
        readings = digitised(trajectory, loaded, seed=seed, average_from_s=average_from_s, times_s=times_s)
        value, stderr, degrees = _mean(readings.volt, trajectory, loaded)
        statuses = readings.statuses
    return Estimate(
        quantity=Quantity.SOLUTION,
        value=value,
        stderr=stderr,
        statuses=statuses,
        engine=trajectory.engine,
        hardware_hash=loaded.chip.hardware.hash,
        seed=trajectory.seed,
        tau_s=loaded.tau,
        duration_s=trajectory.duration_s,
        chips=trajectory.chips,
        degrees=degrees,
    )


def _mean(volt: Tensor, trajectory: Trajectory, loaded: LoadedChip) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over the samples, its standard error, and the degrees of freedom of that."""
    axis = trajectory.node_axis - 1
    samples = loaded.unknowns(volt, trajectory.node_axis)
    count, value = samples.shape[axis], samples.mean(axis)
    if trajectory.noisy:
        if count == 1:
            unknown = torch.full_like(value, torch.nan)
            return value, unknown, unknown
        error = estimate_mean(samples.flatten(axis + 1))
        return value, error.stderr.reshape(value.shape), error.degrees.reshape(value.shape)
    own = loaded.chip.hardware.adc.noise_volt_std / count**0.5
    stderr = loaded.unknowns(torch.full_like(value, own), trajectory.node_axis)
    return value, stderr, torch.full_like(value, torch.inf)
