"""The settling error: how far a noiseless run still is from its own end value."""

from __future__ import annotations

import math
from typing import cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.equations import with_constant
from tngd_hw.linear_sde import mean_at, stationary_output_mean
from tngd_hw.outcome import Outcome, OutcomeError, Status
from tngd_hw.topologies import LoadedChip

__all__ = ["settled_status", "settling_error", "settling_time"]


def settling_error(
    loaded: LoadedChip, duration: float, *, b: ArrayLike | Tensor | None = None, x0: ArrayLike | Tensor | None = None
) -> float:
    """|v(t) - v(infinity)|/|v(infinity)| of this chip's own circuit, no noise; 2-norm, worst stable chip and column.

    This is the settling part of the error alone: v(infinity) has the chip's systematic errors in it.
    Cost: one solution of the closed-form equations.
    """
    sde, drive = loaded.linear_sde(), loaded.drive(b, x0)
    start = loaded.initial_state(drive.initial_volt, per_chip=drive.per_chip)
    inputs = with_constant(drive)
    if loaded.chip.chips is not None:
        inputs = inputs if drive.per_chip else inputs.expand(loaded.chip.chips, *inputs.shape)
        start = start.expand(inputs.shape[0], *start.shape[start.ndim - inputs.ndim + 1 :])
    end, _ = stationary_output_mean(sde, inputs)
    now = mean_at(sde, torch.tensor([duration], dtype=torch.float64), x0=start, u=inputs)
    axis = drive.node_axis
    difference, size = _norm(now.squeeze(axis - 1) - end, axis), _norm(end, axis)
    error = difference / size.clamp_min(torch.finfo(torch.float64).tiny)
    if loaded.chip.chips is not None:
        error = error[torch.tensor([status.ok for status in loaded.circuit_statuses])]
    return float(error.max()) if error.numel() else math.inf


def _norm(value: Tensor, axis: int) -> Tensor:
    return cast("Tensor", torch.linalg.vector_norm(value, dim=axis))


def settling_time(loaded: LoadedChip, error: float) -> float:
    """Seconds after which the slowest mode of the circuit has decayed to ``error``: ln(1/error)/|rate|.

    Of a batch the slowest chip counts, those that are unstable left out.

    Raises:
        OutcomeError: UNSTABLE: no chip settles.
    """
    rates = -loaded.circuit_sde().eigenvalues().real.amax(-1)
    settling = rates[rates > 0]
    if not len(settling):
        raise OutcomeError(loaded.circuit_status)
    return math.log(1 / error) / float(settling.min())


def settled_status(loaded: LoadedChip, duration: float, tolerance: float, found: float) -> Status:
    """NOT_SETTLED, with the time that would do, where the settling error ``found`` is above ``tolerance``."""
    if found <= tolerance:
        return Status()
    enough = settling_time(loaded, tolerance)
    detail = (
        f"after {duration / loaded.tau:.4g} tau the answer is {found:.2g} away from its end value (relative); "
        f"{enough / loaded.tau:.3g} tau would leave the slowest mode {tolerance:.0e}"
    )
    return Status(Outcome.NOT_SETTLED, detail)
