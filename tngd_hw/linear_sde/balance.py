"""Diagonal balancing: units in which a matrix has its smallest norm."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["balancing_scale", "scaled", "scaled_norm"]

_SWEEPS = 24


def balancing_scale(F: Tensor) -> Tensor:
    """Powers of two d, shape (..., n), such that F_ij d_j / d_i has rows and columns of like size.

    States of one circuit are volts, amperes and volt-seconds; in their SI numbers a matrix such as [[-1e6, 1e9],
    [-1e3, 0]] has a norm a thousand times its eigenvalues.  Scaling by powers of two changes no digit.  The sweep is
    Osborne's, all indices at once and damped by a square root so that it converges; the diagonal takes part, so one-way
    couplings shrink until they no longer matter.  A symmetric matrix is balanced as it is.  Cost O(n^2).

    Source: E. E. Osborne, On pre-conditioning of matrices, J. ACM 7 (1960) 338.
    """
    magnitude = F.detach().abs()
    if torch.equal(magnitude, magnitude.mT):
        return torch.ones_like(magnitude[..., 0])
    log_scale = torch.zeros(F.shape[:-1], dtype=F.dtype, device=F.device)
    for _ in range(_SWEEPS):
        current = scaled(magnitude, torch.exp2(log_scale))
        rows, columns = current.sum(-1), current.sum(-2)
        linked = (rows > 0) & (columns > 0) & torch.isfinite(rows) & torch.isfinite(columns)
        ratio = torch.where(linked, rows, 1.0) / torch.where(linked, columns, 1.0)
        log_scale = log_scale + 0.25 * torch.log2(ratio)
    return torch.exp2(torch.round(log_scale))


def scaled(F: Tensor, scale: Tensor) -> Tensor:
    """F in the units ``scale`` of the states: F_ij d_j / d_i."""
    return F * (scale.unsqueeze(-2) / scale.unsqueeze(-1))


def scaled_norm(F: Tensor, scale: Tensor) -> Tensor:
    """The largest absolute column sum of the scaled matrix, shape of the batch."""
    return scaled(F, scale).abs().sum(-2).amax(-1)
