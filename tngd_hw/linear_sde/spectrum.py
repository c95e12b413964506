"""Frequency response, one-sided power spectral density, autocovariance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import identity, solve_or_nan, split
from tngd_hw.linear_sde.mean import MODAL_TOLERANCE, propagate
from tngd_hw.linear_sde.stationary import blank_unstable, output_covariance, stability_status, stationary_covariance
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_times, real_tensor
from tngd_hw.outcome import MisuseError, Status

__all__ = ["autocovariance", "frequency_response", "power_spectral_density"]

_CHUNK_ENTRIES = 2**22
"""Frequencies are solved for in groups of at most this many matrix entries (64 MB)."""


def frequency_response(sde: LinearSDE, frequencies: ArrayLike) -> Tensor:
    """H(f) = C (2 pi i f I - F)^-1 E + D, from the inputs to the outputs.

    Args:
        sde: The system; it need not be stable.
        frequencies: Hertz, shape (K,).

    Returns:
        Complex, shape (..., K, p, m); NaN where 2 pi i f is an eigenvalue of F.  Cost O(n^2) a frequency in a
        well-conditioned eigenbasis, else O(n^3).

    Raises:
        MisuseError: Frequencies that are no vector, NaN.
    """
    return _transfer(sde, sde.E, frequencies) + sde.D.unsqueeze(-3)


def power_spectral_density(sde: LinearSDE, frequencies: ArrayLike) -> tuple[Tensor, Status]:
    """One-sided cross spectral density of the outputs:  S(f) = 2 H(f) H(f)^*,  H = C (2 pi i f I - F)^-1 B + D_w.

    Its integral over 0 <= f < infinity is the stationary covariance (where that is finite); white noise D_w alone gives
    the level 2 D_w D_w^T.  Entry (i, j) is the spectrum of y_i times the conjugate of that of y_j.

    Args:
        sde: The system.
        frequencies: Hertz, not negative, shape (K,).

    Returns:
        Complex Hermitian, shape (..., K, p, p), in output^2 per hertz, and OK; members that are not stable hold NaN,
        with UNSTABLE.  Cost: see :func:`frequency_response`.

    Raises:
        MisuseError: A negative frequency.

    Source: C. W. Gardiner, Stochastic Methods, 4th ed., Springer 2009, on the Ornstein-Uhlenbeck process.
    """
    hertz = real_tensor(frequencies, "frequencies")
    if bool((hertz < 0).any()):
        raise MisuseError(f"frequencies has the entry {float(hertz.min())} Hz: a one-sided spectrum starts at 0")
    H = _transfer(sde, sde.B, hertz) + sde.D_w.unsqueeze(-3)
    return blank_unstable(sde, 2.0 * (H @ H.mH), extra=1), stability_status(sde)


def autocovariance(sde: LinearSDE, lags: ArrayLike) -> tuple[Tensor, Status]:
    """R(s) = Cov(y(t + s), y(t)) of the stationary outputs, s >= 0:  C e^(F s) (S C^T + B D_w^T) for s > 0.

    R(-s) = R(s)^T.  At s = 0 it is the stationary covariance, infinite where an output has white noise.

    Args:
        sde: The system.
        lags: Non-decreasing seconds, not negative, shape (T,).

    Returns:
        Shape (..., T, p, p), output^2, and OK; members that are not stable hold NaN, with UNSTABLE.  Cost: see
        :func:`stationary_covariance` and :func:`state_mean_at` with n columns.

    Raises:
        MisuseError: Lags that are negative or not sorted.

    Source: C. W. Gardiner, Stochastic Methods, 4th ed., Springer 2009, on the Ornstein-Uhlenbeck process.
    """
    seconds = as_times(lags, sde.device, field="lags")
    covariance, status = stationary_covariance(sde)
    starts = torch.nan_to_num(covariance) @ sde.C.mT + sde.B @ sde.D_w.mT
    states = propagate(sde, torch.zeros_like(starts), starts, seconds)
    lagged = sde.C.unsqueeze(-3) @ states.transpose(-3, -2)
    at_zero = output_covariance(sde, covariance).unsqueeze(-3)
    zero_lag = (seconds == 0.0).reshape(-1, 1, 1)
    return torch.where(zero_lag, at_zero, blank_unstable(sde, lagged, extra=1)), status


def _transfer(sde: LinearSDE, right: Tensor, frequencies: ArrayLike) -> Tensor:
    """C (2 pi i f - F)^-1 right, shape (..., K, p, columns of right)."""
    hertz = real_tensor(frequencies, "frequencies").to(sde.device)
    if hertz.ndim != 1:
        raise MisuseError(f"frequencies has shape {tuple(hertz.shape)}: give a vector of hertz")
    points = torch.complex(torch.zeros_like(hertz), 2.0 * math.pi * hertz)
    needs_gradient = sde.requires_grad or right.requires_grad
    if not needs_gradient and hertz.numel() > sde.n_states // 4 and sde.modal.error(math.inf) <= MODAL_TOLERANCE:
        return _modal_transfer(sde, right, points)
    group = max(1, _CHUNK_ENTRIES // (sde.n_states**2 * max(1, sde.batch_shape.numel())))
    parts = [_solved_transfer(sde, right, chosen) for chosen in split(points, group)]
    return torch.cat(parts, dim=-3)


def _modal_transfer(sde: LinearSDE, right: Tensor, points: Tensor) -> Tensor:
    kind, basis = points.dtype, sde.modal
    left = (sde.C.to(kind) @ basis.V.to(kind)).unsqueeze(-3)
    resolvent = 1.0 / (points.unsqueeze(-1) - basis.values.unsqueeze(-2))
    return (left * resolvent.unsqueeze(-2)) @ (basis.V_inverse.to(kind) @ right.to(kind)).unsqueeze(-3)


def _solved_transfer(sde: LinearSDE, right: Tensor, points: Tensor) -> Tensor:
    kind = points.dtype
    shifted = points[:, None, None] * identity(sde.n_states, sde.device) - sde.F.unsqueeze(-3)
    return sde.C.to(kind).unsqueeze(-3) @ solve_or_nan(shifted, right.to(kind).unsqueeze(-3))
