"""1/f noise at the start of a run: its slow parts have been wandering since the amplifiers were switched on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE
from tngd_hw.random import stream
from tngd_hw.topologies import LoadedChip

__all__ = ["with_slow_noise"]


def with_slow_noise(loaded: LoadedChip, sde: LinearSDE, x0: Tensor, *, columns: int | None, seed: int) -> Tensor:
    """x0 with the states of 1/f noise, if there are any, drawn from their stationary law of variance b^2/(2 w) each.

    Args:
        loaded: For the numbers of its chips: each has its own stream.
        sde: Equations; the states whose name holds "flicker" are poles dz = -w z dt + b dW of their own.
        x0: Start, shape ([chips,] states) or ([chips,] states, k).
        columns: k, each of which is a run of its own; None for a start without an axis for them.
        seed: Of the run.
    """
    poles = [k for k, name in enumerate(sde.state_names) if "flicker" in name]
    if not poles:
        return x0
    rate = -torch.diagonal(sde.F, dim1=-2, dim2=-1)[..., poles]
    deviation = torch.sqrt(sde.B[..., poles, :].square().sum(-1) / (2 * rate))
    uses = range(1 if columns is None else columns)
    normal = np.stack([[_draw(seed, chip, use, len(poles)) for chip in loaded.chip.numbers] for use in uses], -1)
    drawn = deviation[..., None] * torch.from_numpy(normal if loaded.chip.chips is not None else normal[0])
    start = x0.expand(*drawn.shape[:-2], *x0.shape[-(1 if columns is None else 2) :]).clone()
    if columns is None:
        start[..., poles] += drawn[..., 0]
    else:
        start[..., poles, :] += drawn
    return start


def _draw(seed: int, chip: int, use: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return stream(seed, "engine.slow_noise", chip, use).standard_normal(count)
