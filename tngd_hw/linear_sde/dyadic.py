"""Means at many arbitrary times without an eigenbasis: every time is a sum of powers of two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tngd_hw.linear_sde.balance import balancing_scale, scaled
from tngd_hw.linear_sde.doubling import TERMS, Power, first_psi, taylor_columns, unit_step

__all__ = ["DyadicPowers", "dyadic_mean"]

_MOST_KEPT_BYTES = 64 << 20
"""The powers of one system that are kept for its next run; higher ones are formed again each time."""


class DyadicPowers:
    """What :func:`dyadic_mean` needs of F alone: balanced units, and the powers exp(F 2^k h) as far as they were used.

    One object serves every run of a system: a run after the first has no n^3 products to form, and the same bits.  At
    most 64 MiB of powers are kept.

    Attributes:
        scale: Balancing units of the states, shape (..., n).
        h: The unit step in s, a power of two with norm(F) h <= 1/2.
        A: F h in these units, shape (..., n, n).
    """

    def __init__(self, F: Tensor) -> None:
        """Balance F, shape (..., n, n), in 1/s; no power is formed yet."""
        self.scale = balancing_scale(F)
        balanced = scaled(F, self.scale)
        self.h = unit_step(float(balanced.detach().abs().sum(-2).amax()))
        self.A = balanced * self.h
        self._kept: tuple[Power, ...] = ()
        self._room = _MOST_KEPT_BYTES // (2 * F.numel() * F.element_size())

    def __getstate__(self) -> Mapping[str, object]:
        """Without the powers: another process forms its own."""
        return self.__dict__ | {"_kept": ()}

    @property
    def kept(self) -> tuple[Power, ...]:
        """Those that the next run need not form."""
        return self._kept

    def levels(self, horizon: float) -> int:
        """How many levels :func:`dyadic_mean` climbs: log2 of the horizon over the unit step."""
        ratio = horizon / self.h
        return max(0, math.floor(math.log2(ratio)) + 1) if ratio >= 1.0 else 0

    def __iter__(self) -> Iterator[Power]:
        """The powers at h, 2 h, 4 h, ... without end."""
        level = 0
        power = Power.from_psi(first_psi(self.A)) if not self._kept else self._kept[0]
        while True:
            if level == len(self._kept) and level < self._room:
                self._kept += (power,)
            yield power
            level += 1
            power = self._kept[level] if level < len(self._kept) else power.doubled()


def dyadic_mean(powers: DyadicPowers, W: Tensor, X0: Tensor, times: Tensor) -> Tensor:
    """Solve dx/dt = F x + w at all times at once.

    With h a power of two and norm(F) h <= 1/2, t = (f + sum of 2^k) h exactly, 0 <= f < 1.  The part f h is one Taylor
    polynomial for all times; level k applies Psi_k = exp(F 2^k h) - I and the integral G_k of the forcing to those
    times that contain 2^k:  x <- x + Psi_k x + G_k;  Psi_(k+1) = 2 Psi_k + Psi_k^2;  G_(k+1) = 2 G_k + Psi_k G_k.
    Works for every F (defective, singular, unstable); differentiable.

    Args:
        powers: Of the drift F, shape (..., n, n), in 1/s.
        W: Constant forcing, shape (..., n, k), in state per second.
        X0: Starts, shape (..., n, k).
        times: Shape (T,), in s, non-negative.

    Returns:
        Shape (..., n, T, k).  Cost about (L + 6) n^3 multiplications the first time, L = log2(2 norm(F) max(t)), and
        L n^2 T k / 2 every time; the error is about epsilon times norm(F) max(t) in the slowest mode, norm in balanced
        units.
    """
    A, h, units = powers.A, powers.h, powers.scale.unsqueeze(-1)
    start, forcing = X0 / units, W * h / units
    whole = torch.floor(times / h)
    states = _fraction(taylor_columns(A, start, forcing), times / h - whole)
    states = _climb(states, powers, forcing, whole)
    return states * units.unsqueeze(-1)


def _fraction(coefficients: Tensor, fraction: Tensor) -> Tensor:
    powers = fraction ** torch.arange(TERMS, dtype=fraction.dtype, device=fraction.device).unsqueeze(-1)
    return (coefficients @ powers).transpose(-1, -2).contiguous()


def _climb(states: Tensor, powers: DyadicPowers, forcing: Tensor, whole: Tensor) -> Tensor:
    top = float(whole.max())
    if top < 1.0:
        return states
    increment = _first_increment(powers.A, forcing)
    last = math.floor(math.log2(top))
    for level, power in enumerate(powers):
        chosen = torch.nonzero(torch.remainder(torch.floor(whole * 2.0**-level), 2.0) == 1.0).squeeze(-1)
        if chosen.numel():
            part = states.index_select(-2, chosen)
            moved = power.advance(part.flatten(-2)).reshape(part.shape) + increment.unsqueeze(-2)
            states = states.index_copy(-2, chosen, moved)
        if level == last:
            break
        increment = increment + power.advance(increment)
    return states


def _first_increment(A: Tensor, forcing: Tensor) -> Tensor:
    return taylor_columns(A, torch.zeros_like(forcing), forcing).sum(-1)
