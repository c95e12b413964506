"""From voltages to numbers: x = v/v0, as one reading or as a time average with its error bar."""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.engines import Trajectory
from tngd_hw.outcome import MisuseError
from tngd_hw.random import check_seed
from tngd_hw.readout.estimate import Estimate, Quantity
from tngd_hw.topologies import LoadedChip

__all__ = ["read"]

_BLOCKS = 20
_SAMPLES_PER_BLOCK = 2


def read(trajectory: Trajectory, loaded: LoadedChip, *, seed: int = 0, average_from_s: float | None = None) -> Estimate:
    """The solution as an instrument reads it, x = D v/v0.

    Args:
        trajectory: Of one run of ``loaded``.
        loaded: The chip, for its scale v0.
        seed: Seed of the readout's own noise (the present readout has none).
        average_from_s: Average all points from this time on; default: the last point alone.  The standard error of the
            average comes from the scatter of 20 blocks of consecutive points, so autocorrelation shorter than a block
            is accounted for; a single noisy reading has no error bar (NaN).

    Returns:
        An Estimate of the SOLUTION; a failed trajectory gives NaN with its status.
    """
    check_seed(seed)
    axis = trajectory.node_axis - 1
    if len(trajectory.times_s) == 0:
        value = torch.full((loaded.n,), torch.nan, dtype=torch.float64)
        value = value if trajectory.chips is None else value.expand(trajectory.chips, loaded.n)
        stderr = value
    elif average_from_s is None:
        value = loaded.unknowns(trajectory.final_volt, trajectory.node_axis)
        stderr = torch.full_like(value, torch.nan if trajectory.noisy else 0.0)
    else:
        value, stderr = _time_average(trajectory, axis, average_from_s, loaded)
    return Estimate(
        quantity=Quantity.SOLUTION,
        value=value,
        stderr=stderr,
        statuses=trajectory.statuses,
        engine=trajectory.engine,
        hardware_hash=loaded.chip.hardware.hash,
        seed=trajectory.seed,
        tau_s=loaded.tau,
        duration_s=trajectory.duration_s,
        chips=trajectory.chips,
    )


def _time_average(trajectory: Trajectory, axis: int, start_s: float, loaded: LoadedChip) -> tuple[Tensor, Tensor]:
    """Mean over points from ``start_s`` on, and its standard error by block means."""
    if not 0 <= start_s <= trajectory.duration_s:
        raise MisuseError(f"average_from_s = {start_s!r}: the run lasts from 0 to {trajectory.duration_s} s")
    chosen = torch.nonzero(trajectory.times_s >= start_s).squeeze(1)
    points = loaded.unknowns(trajectory.voltage_volt.index_select(axis, chosen), trajectory.node_axis)
    value = points.mean(axis)
    if not trajectory.noisy:
        return value, torch.zeros_like(value)
    if len(chosen) < _BLOCKS * _SAMPLES_PER_BLOCK:
        return value, torch.full_like(value, torch.nan)
    blocks = torch.stack([block.mean(axis) for block in points.tensor_split(_BLOCKS, axis)])
    return value, blocks.std(0) / _BLOCKS**0.5
