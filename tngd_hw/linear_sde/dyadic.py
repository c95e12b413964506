"""Means at many arbitrary times without an eigenbasis: every time is a sum of powers of two."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tngd_hw.linear_sde.balance import balancing_scale, scaled, scaled_norm
from tngd_hw.linear_sde.doubling import TERMS, Power, doublings, first_psi, taylor_columns, unit_step

__all__ = ["dyadic_mean", "dyadic_products"]


def dyadic_products(F: Tensor, horizon: float) -> int:
    """How many levels :func:`dyadic_mean` climbs: log2 of the horizon over the unit step."""
    norm = float(scaled_norm(F.detach(), balancing_scale(F)).max())
    ratio = horizon / unit_step(norm)
    return max(0, math.floor(math.log2(ratio)) + 1) if ratio >= 1.0 else 0


def dyadic_mean(F: Tensor, W: Tensor, X0: Tensor, times: Tensor) -> Tensor:
    """Solve dx/dt = F x + w at all times at once.

    With h a power of two and norm(F) h <= 1/2, t = (f + sum of 2^k) h exactly, 0 <= f < 1.  The part f h is one Taylor
    polynomial for all times; level k applies Psi_k = exp(F 2^k h) - I and the integral G_k of the forcing to those
    times that contain 2^k:  x <- x + Psi_k x + G_k;  Psi_(k+1) = 2 Psi_k + Psi_k^2;  G_(k+1) = 2 G_k + Psi_k G_k.
    Works for every F (defective, singular, unstable); differentiable.

    Args:
        F: Drift, shape (..., n, n), in 1/s.
        W: Constant forcing, shape (..., n, k), in state per second.
        X0: Starts, shape (..., n, k).
        times: Shape (T,), in s, non-negative.

    Returns:
        Shape (..., n, T, k).  Cost about (L + 6) n^3 + L n^2 T k / 2 multiplications, L = log2(2 norm(F) max(t)); the
        error is about epsilon times norm(F) max(t) in the slowest mode, norm in balanced units.
    """
    scale = balancing_scale(F)
    h = unit_step(float(scaled_norm(F.detach(), scale).max()))
    A, units = scaled(F, scale) * h, scale.unsqueeze(-1)
    start, forcing = X0 / units, W * h / units
    whole = torch.floor(times / h)
    states = _fraction(taylor_columns(A, start, forcing), times / h - whole)
    states = _climb(states, A, forcing, whole)
    return states * units.unsqueeze(-1)


def _fraction(coefficients: Tensor, fraction: Tensor) -> Tensor:
    powers = fraction ** torch.arange(TERMS, dtype=fraction.dtype, device=fraction.device).unsqueeze(-1)
    return (coefficients @ powers).transpose(-1, -2).contiguous()


def _climb(states: Tensor, A: Tensor, forcing: Tensor, whole: Tensor) -> Tensor:
    top = float(whole.max())
    if top < 1.0:
        return states
    increment = _first_increment(A, forcing)
    last = math.floor(math.log2(top))
    for level, power in enumerate(doublings(Power.from_psi(first_psi(A)))):
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
