"""1/f noise at the start of a run: its slow parts have been wandering since the amplifiers were switched on.

Every pole dz = -w z dt + b dW of it is stationary at t = 0, of variance b^2/(2 w) and independent of all others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Kind, Netlist
from tngd_hw.random import stream
from tngd_hw.topologies import LoadedChip

__all__ = ["charged_with_slow_noise", "only_slow_noise", "slow_noise_at_start", "with_slow_noise", "without_slow_noise"]


def with_slow_noise(loaded: LoadedChip, sde: LinearSDE, x0: Tensor, *, columns: int | None, seed: int) -> Tensor:
    """x0 with the states of 1/f noise, if there are any, drawn from their stationary law of variance b^2/(2 w) each.

    Args:
        loaded: For the numbers of its chips: each has its own stream.
        sde: Equations; the states whose name holds "flicker" are the poles.
        x0: Start, shape ([chips,] states) or ([chips,] states, k).
        columns: k, each of which is a run of its own; None for a start without an axis for them.
        seed: Of the run.
    """
    poles = _poles(sde)
    if not poles:
        return x0
    deviation = _variance(sde, poles).sqrt()
    uses = range(1 if columns is None else columns)
    normal = np.stack([[_draw(seed, chip, use, len(poles)) for chip in loaded.chip.numbers] for use in uses], -1)
    drawn = deviation[..., None] * torch.from_numpy(normal if loaded.chip.chips is not None else normal[0])
    start = x0.expand(*drawn.shape[:-2], *x0.shape[-(1 if columns is None else 2) :]).clone()
    if columns is None:
        start[..., poles] += drawn[..., 0]
    else:
        start[..., poles, :] += drawn
    return start


def charged_with_slow_noise(loaded: LoadedChip, netlist: Netlist, seed: int) -> Netlist:
    """The netlist of a single chip with the start of :func:`with_slow_noise`, the draws of the same seed.

    A pole is a capacitor of that name beside 1 ohm, fed by a white current of one-sided density S: its voltage has the
    variance S (1 ohm)/(4 C).
    """
    capacitors, sources = netlist.table(Kind.CAPACITOR), netlist.table(Kind.CURRENT_SOURCE)
    poles = [] if capacitors is None else [k for k, name in enumerate(capacitors.names) if _is_pole(name)]
    if capacitors is None or capacitors.initial is None or sources is None or sources.noise_psd is None or not poles:
        return netlist
    density = dict(zip(sources.names, sources.noise_psd.tolist(), strict=True))
    psd = np.array([density[capacitors.names[k]] for k in poles])
    initial = capacitors.initial.copy()
    initial[poles] += np.sqrt(psd / (4 * capacitors.values[poles])) * _draw(seed, loaded.chip.number, 0, len(poles))
    charged = replace(capacitors, initial=initial)
    return replace(netlist, tables=tuple(charged if t is capacitors else t for t in netlist.tables))


def slow_noise_at_start(sde: LinearSDE) -> Tensor | None:
    """Covariance of the states at t = 0 that :func:`with_slow_noise` draws from, shape (..., n, n); None for none."""
    poles = _poles(sde)
    if not poles:
        return None
    variance = _variance(sde, poles)
    start = variance.new_zeros(*variance.shape[:-1], sde.n_states)
    start[..., poles] = variance
    return torch.diag_embed(start)


def only_slow_noise(sde: LinearSDE) -> LinearSDE:
    """The same equations with no noise but that of the poles of 1/f noise."""
    poles, own = _poles(sde), torch.zeros_like(sde.B)
    own[..., poles, :] = sde.B[..., poles, :]
    return LinearSDE(sde.F, sde.E, own, sde.C, D=sde.D, state_names=sde.state_names)


def without_slow_noise(sde: LinearSDE) -> LinearSDE:
    """The same equations with the poles of 1/f noise at rest."""
    rest = sde.B.clone()
    rest[..., _poles(sde), :] = 0.0
    return LinearSDE(sde.F, sde.E, rest, sde.C, D=sde.D, D_w=sde.D_w, state_names=sde.state_names)


def _poles(sde: LinearSDE) -> list[int]:
    return [k for k, name in enumerate(sde.state_names) if _is_pole(name)]


def _is_pole(name: str) -> bool:
    return "flicker" in name


def _variance(sde: LinearSDE, poles: list[int]) -> Tensor:
    """b^2/(2 w) of every pole."""
    rate = -torch.diagonal(sde.F, dim1=-2, dim2=-1)[..., poles]
    return sde.B[..., poles, :].square().sum(-1) / (2 * rate)


def _draw(seed: int, chip: int, use: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return stream(seed, "engine.slow_noise", chip, use).standard_normal(count)
