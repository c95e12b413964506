"""Noise with a spectrum of its own as poles beside the circuit, so that the whole is still a linear SDE.

A column B_k of the noise matrix carries white noise of two-sided density 1.  What goes through a one-pole filter of
corner f_c first is a state more, with w = 2 pi f_c:

    dx = (F x + E u + B_k z) dt + ...,      dz = -w z dt + w g dW

* Injected noise of finite bandwidth: g = 1 instead of the white column.
* 1/f noise of an amplifier's input beside the white column: see :mod:`tngd_hw.topologies.flicker`.

The states are z b/w with b the largest entry of the columns, in the units of x, so that their variances stay
comparable for any bandwidth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.hardware import AmplifierBank, Elements
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.topologies.flicker import FLICKER_DECADES, flicker_poles
from tngd_hw.topologies.summing_network import one_batch

__all__ = ["noise_pole_count", "with_flicker", "with_noise_bandwidth"]


@dataclass(frozen=True, eq=False)
class _Poles:
    """One-pole filters between white noises and columns of B.

    Attributes:
        columns: Shape (..., n, q): what each of them drives in the states.
        direct: Shape (..., p, q): and in the outputs.
        corner_hz: Shape (..., q).
        gain: g, shape (..., q).
        names: q names.
    """

    columns: Tensor
    direct: Tensor
    corner_hz: Tensor
    gain: Tensor
    names: Sequence[str]


def noise_pole_count(elements: Elements) -> int:
    """States that :func:`with_noise_bandwidth` and :func:`with_flicker` add to the equations of a circuit."""
    bandwidth, bank = elements.noise_bandwidth_hz, elements.amplifier_bank()
    injected = 0 if bandwidth is None else bandwidth.shape[-1]
    flickers = bank is not None and bank.flickers
    return injected + (FLICKER_DECADES * bank.offset_volt.shape[-1] if bank is not None and flickers else 0)


def with_noise_bandwidth(sde: LinearSDE, bandwidth_hz: Tensor) -> LinearSDE:
    """The first q columns of B through poles of ``bandwidth_hz`` (..., q), which are q more states."""
    q = bandwidth_hz.shape[-1]
    poles = _Poles(
        sde.B[..., :q], sde.D_w[..., :q], bandwidth_hz, torch.ones_like(bandwidth_hz), [f"noise{k}" for k in range(q)]
    )
    return _with_poles(sde, sde.B[..., q:], sde.D_w[..., q:], poles)


def with_flicker(sde: LinearSDE, bank: AmplifierBank) -> LinearSDE:
    """1/f noise beside the last M columns of B, the white input voltage noises of the M amplifiers of ``bank``."""
    count = bank.offset_volt.shape[-1]
    corner, gain = (value.flatten(-2) for value in flicker_poles(bank.flicker_corner_hz))
    each = torch.arange(count).repeat_interleave(FLICKER_DECADES)
    voltage, direct = sde.B[..., sde.B.shape[-1] - count :], sde.D_w[..., sde.B.shape[-1] - count :]
    names = [f"flicker{k}_{d}" for k in range(count) for d in range(FLICKER_DECADES)]
    poles = _Poles(voltage[..., each], direct[..., each], corner, gain, names)
    return _with_poles(sde, sde.B, sde.D_w, poles)


def _with_poles(sde: LinearSDE, white: Tensor, white_direct: Tensor, poles: _Poles) -> LinearSDE:
    """The equations with the filters' states behind the others and their white noises before ``white``."""
    rate = 2 * math.pi * torch.diag_embed(poles.corner_hz)
    drive = rate * poles.gain[..., None, :]
    unit = poles.columns.abs().amax((-2, -1), keepdim=True)
    unit = torch.where(unit > 0, unit, 1.0) / rate.amax((-2, -1), keepdim=True)
    q, n, m, r = rate.shape[-1], sde.n_states, sde.n_inputs, white.shape[-1]

    def block(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        above, below = torch.cat(one_batch(a, b), -1), torch.cat(one_batch(c, d), -1)
        return torch.cat(one_batch(above, below), -2)

    def zeros(rows: int, columns: int) -> Tensor:
        return torch.zeros(rows, columns, dtype=torch.float64)

    return LinearSDE(
        block(sde.F, poles.columns / unit, zeros(q, n), -rate),
        torch.cat(one_batch(sde.E, zeros(q, m)), -2),
        block(zeros(n, q), white, drive * unit, zeros(q, r)),
        torch.cat(one_batch(sde.C, poles.direct / unit), -1),
        D=sde.D,
        D_w=torch.cat(one_batch(zeros(sde.D_w.shape[-2], q), white_direct), -1),
        state_names=(*sde.state_names, *poles.names),
        input_names=sde.input_names,
        output_names=sde.output_names,
    )
