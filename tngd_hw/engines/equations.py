"""What the two exact engines share: a LinearSDE of the circuit, its inputs and its start, run or sampled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.engines.base import node_names, saturation
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.linear_sde import LinearSDE, mean_at, sample_at
from tngd_hw.random import stream
from tngd_hw.topologies import LoadedChip

__all__ = ["Equations", "run_equations"]


@dataclass(frozen=True, eq=False)
class Equations:
    """Equations of a loaded chip with one drive.

    Attributes:
        sde: Outputs are the node voltages.
        u: Inputs, shape (m,) or (m, k).
        x0: State at t = 0, shape (states,) or (states, k).
    """

    sde: LinearSDE
    u: Tensor
    x0: Tensor


def run_equations(
    engine: str, loaded: LoadedChip, equations: Equations, times: Tensor, *, duration: float, seed: int
) -> Trajectory:
    """The exact mean, or with injected noise one exact sample of the path, at ``times``."""
    chips = loaded.chip.chips
    sde = equations.sde
    u, x0 = (_batched(value, chips) for value in (equations.u, equations.x0))
    noisy = loaded.kappa > 0
    node_axis = -1 if equations.u.ndim == 1 else -2
    voltage = mean_at(sde, times, x0=x0, u=u)
    if noisy:
        columns = 1 if node_axis == -1 else equations.u.shape[1]
        noise = sample_at(sde, times, generator=stream(seed, "engine.injected_noise"), n_paths=columns)
        noise = noise.movedim(-3, -1)  # one independent run a right-hand side
        voltage = voltage + (noise.squeeze(-1) if node_axis == -1 else noise)
    statuses = saturation(loaded, voltage, node_axis)
    return Trajectory(times, voltage, node_names(loaded), engine, statuses, noisy, seed, duration)


def with_constant(input_volt: Tensor) -> Tensor:
    """Input voltages (n,) or (n, k) with the constant input 1 below them."""
    return torch.cat([input_volt, torch.ones_like(input_volt[:1])])


def _batched(value: Tensor, chips: int | None) -> Tensor:
    """A leading axis for the chips, so that (m, k) is never taken for (chips, m)."""
    return value if chips is None else value.expand(chips, *value.shape)
