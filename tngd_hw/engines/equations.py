"""What the two exact engines share: a LinearSDE of the circuit, its inputs and its start, run or sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tngd_hw.engines.base import node_names, run_statuses
from tngd_hw.engines.slow_noise import with_slow_noise
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.engines.watched import outputs_of
from tngd_hw.linear_sde import LinearSDE, mean_at, sample_at
from tngd_hw.outcome import Status
from tngd_hw.random import stream
from tngd_hw.topologies import Drive, LoadedChip

__all__ = ["Equations", "any_runs", "run_equations", "with_constant"]


@dataclass(frozen=True, eq=False)
class Equations:
    """Equations of a loaded chip with one drive.

    Attributes:
        sde: Outputs are the node voltages, then those of the inner stages.
        u: Inputs, shape ([chips,] m) or ([chips,] m, k).
        x0: State at t = 0, shape ([chips,] states) or ([chips,] states, k).
        drive: What they come from.
    """

    sde: LinearSDE
    u: Tensor
    x0: Tensor
    drive: Drive


def run_equations(
    engine: str, loaded: LoadedChip, equations: Equations, times: Tensor, *, duration: float, seed: int
) -> Trajectory:
    """The exact mean, or with injected noise one exact sample of the path, at ``times``.

    Chips whose circuit is not stable hold NaN and say so in their status; they disturb no other.
    """
    chips = loaded.chip.chips
    sde = equations.sde if chips is None else _each_its_own(equations.sde, chips)
    node_axis = equations.drive.node_axis
    u, x0 = (_batched(value, chips, -node_axis) for value in (equations.u, equations.x0))
    noisy = bool(sde.B.any()) or bool(sde.D_w.any())
    x0 = with_slow_noise(loaded, sde, x0, columns=equations.drive.columns, seed=seed)
    voltage = mean_at(sde, times, x0=x0, u=u)
    if noisy:
        columns = equations.drive.columns or 1
        noise = sample_at(sde, times, generator=_noise_streams(loaded, columns, seed), n_paths=columns)
        noise = noise.movedim(-3, -1)  # one independent run a right-hand side
        voltage = voltage + (noise.squeeze(-1) if node_axis == -1 else noise)
    statuses = run_statuses(loaded, equations.drive, voltage, node_axis)
    voltage = outputs_of(loaded, voltage, node_axis)
    own = loaded.circuit_statuses
    if chips is not None and not all(status.ok for status in own):
        runs = torch.tensor([status.ok for status in own])
        voltage = torch.where(runs.reshape(-1, *[1] * (voltage.ndim - 1)), voltage, torch.nan)
        statuses = tuple(found if status.ok else status for status, found in zip(own, statuses, strict=True))
    return Trajectory(times, voltage, node_names(loaded), engine, statuses, noisy, seed, duration, chips=chips)


def any_runs(statuses: tuple[Status, ...]) -> Status:
    """OK where some chip of a batch can run, else why the first cannot."""
    return Status() if any(status.ok for status in statuses) else statuses[0]


def with_constant(drive: Drive) -> Tensor:
    """The inputs of a drive, ([chips,] n) or ([chips,] n, k), with the constant input 1 below them."""
    axis = drive.node_axis
    return torch.cat([drive.inputs, torch.ones_like(drive.inputs.narrow(axis, 0, 1))], dim=axis)


def _each_its_own(sde: LinearSDE, chips: int) -> LinearSDE:
    """The same equations with an axis for the chips, also where all chips are alike (their noise is not)."""
    if sde.batch_shape:
        return sde
    F = sde.F.expand(chips, *sde.F.shape)
    names = {"state_names": sde.state_names, "input_names": sde.input_names, "output_names": sde.output_names}
    return LinearSDE(F, sde.E, sde.B, sde.C, D=sde.D, D_w=sde.D_w, **names)


class _SideBySide:
    """The streams of several chips and right-hand sides as one source of normal variates, none moved by another."""

    def __init__(self, streams: list[list[np.random.Generator]]) -> None:
        self._streams = streams

    def standard_normal(self, size: tuple[int, ...]) -> NDArray[np.float64]:
        """Shape (rows, [chips,] paths, columns); every chip and path draws its own (rows, columns)."""
        one = (size[0], size[-1])
        drawn = np.stack([np.stack([source.standard_normal(one) for source in row], 1) for row in self._streams], 1)
        return drawn.reshape(size)


def _noise_streams(loaded: LoadedChip, columns: int, seed: int) -> np.random.Generator:
    """One keyed stream a chip and right-hand side: chip 5 has the same noise alone and in a batch of any size."""
    chips = loaded.chip.chips
    numbers = (loaded.chip.number,) if chips is None else range(chips)
    streams = [[stream(seed, "engine.injected_noise", chip, use) for use in range(columns)] for chip in numbers]
    return cast("np.random.Generator", _SideBySide(streams))  # linear_sde asks it for standard_normal and nothing else


def _batched(value: Tensor, chips: int | None, own_axes: int) -> Tensor:
    """A leading axis for the chips where it has none, so that (m, k) is never taken for (chips, m)."""
    return value if chips is None or value.ndim > own_axes else value.expand(chips, *value.shape)
