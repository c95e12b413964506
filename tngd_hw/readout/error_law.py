"""How large the sampling error is, in closed form.

Independent Gaussian samples with a known mean: S = <x x^T> over N of them has

    E||S - Sigma||_F^2 = (tr(Sigma)^2 + ||Sigma||_F^2)/N.

A time average over T of dx = -(A x - b) dt/tau + noise with Cov(x) = Sigma = kappa A^-1 and symmetric A, started in
its stationary law: with the eigenvalues l_i of A and h(z) = (2/z) [1 - (1 - e^-z)/z],

    E||mean - A^-1 b||^2   = sum_i  kappa/l_i h(l_i T/tau),
    E||S - Sigma||_F^2     = sum_ij (1 + delta_ij) kappa^2/(l_i l_j) h((l_i + l_j) T/tau),

because x_i in the eigenbasis has the autocovariance kappa/l_i e^(-l_i t/tau), x_i x_j that of the second line by
Isserlis, and h(z) is the variance of the mean over T of a process of unit variance and autocorrelation e^(-z t/T).
N samples at spacing dt count as N_eff = N dt/(2 tau_int) independent ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import eigvalsh
from tngd_hw.linear_sde.tensors import ArrayLike, real_tensor
from tngd_hw.outcome import MisuseError

__all__ = [
    "covariance_average_error",
    "mean_average_error",
    "relative_sampling_error",
    "sampling_error",
]

_SMALL = 1e-3


def sampling_error(covariance: ArrayLike, count: float) -> Tensor:
    """Root mean square of ||S - Sigma||_F over N independent Gaussian samples with a known mean.

    Args:
        covariance: Sigma, shape (..., n, n).
        count: N, or the effective number of correlated samples.

    Returns:
        sqrt((tr(Sigma)^2 + ||Sigma||_F^2)/N), shape (...), in units of Sigma.

    Raises:
        MisuseError: No square matrix, N not positive.
    """
    Sigma = _square(covariance, "covariance")
    if not 0.0 < count < math.inf:
        raise MisuseError(f"count = {count!r}: give a positive number of samples")
    trace = torch.diagonal(Sigma, dim1=-2, dim2=-1).sum(-1)
    return ((trace.square() + Sigma.square().sum((-2, -1))) / count).sqrt()


def relative_sampling_error(covariance: ArrayLike, count: float) -> Tensor:
    """:func:`sampling_error` over ||Sigma||_F."""
    return sampling_error(covariance, count) / _square(covariance, "covariance").square().sum((-2, -1)).sqrt()


def mean_average_error(A: ArrayLike, duration: float, *, kappa: float = 1.0, tau_s: float = 1.0) -> Tensor:
    """Root mean square of ||mean - A^-1 b||_2 for the mean of the stationary x over a time T.

    Args:
        A: Symmetric positive definite, shape (..., n, n).
        duration: T in s, 0 or more; 0 is a single reading.
        kappa: Strength of the noise: Cov(x) = kappa A^-1.
        tau_s: Time unit of the circuit in s.

    Returns:
        Shape (...); for long T it tends to sqrt(2 kappa tau/T sum_i l_i^-2).  Cost: the eigenvalues of A.

    Raises:
        MisuseError: A is not symmetric positive definite, or a time or kappa is not positive.

    Source: the module's derivation; the limit is in M. Aifer et al., npj Unconventional Computing 1:13, 2024.
    """
    rates = _rates(A)
    periods = _periods(duration, kappa, tau_s)
    return (kappa / rates * _averaging(rates * periods)).sum(-1).sqrt()


def covariance_average_error(A: ArrayLike, duration: float, *, kappa: float = 1.0, tau_s: float = 1.0) -> Tensor:
    """Root mean square of ||S - kappa A^-1||_F for the time average S of (x - <x>)(x - <x>)^T over T, <x> known.

    Arguments, cost and errors as :func:`mean_average_error`; n^2 terms.
    """
    rates = _rates(A)
    periods = _periods(duration, kappa, tau_s)
    left, right = rates.unsqueeze(-1), rates.unsqueeze(-2)
    twice = 1.0 + torch.eye(rates.shape[-1], dtype=rates.dtype, device=rates.device)
    terms = twice * kappa**2 / (left * right) * _averaging((left + right) * periods)
    return terms.sum((-2, -1)).sqrt()


def _averaging(z: Tensor) -> Tensor:
    """h(z) = (2/z) [1 - (1 - e^-z)/z]; below 1e-3 by its series, where the difference would lose digits."""
    small = z < _SMALL
    safe = torch.where(small, 1.0, z)
    series = 1.0 - z / 3.0 + z.square() / 12.0 - z.pow(3) / 60.0
    return torch.where(small, series, 2.0 / safe * (1.0 + torch.expm1(-safe) / safe))


def _periods(duration: float, kappa: float, tau_s: float) -> float:
    """T/tau."""
    if not 0.0 <= duration < math.inf:
        raise MisuseError(f"duration = {duration!r}: give seconds, 0 or more")
    for field, value in (("kappa", kappa), ("tau_s", tau_s)):
        if not 0.0 < value < math.inf:
            raise MisuseError(f"{field} = {value!r}: give a positive number")
    return duration / tau_s


def _rates(A: ArrayLike) -> Tensor:
    matrix = _square(A, "A")
    if not torch.equal(matrix, matrix.mT):
        raise MisuseError("A is not symmetric: these closed forms hold for symmetric A; use linear_sde.time_average")
    values = eigvalsh(matrix)
    if float(values.min()) <= 0.0:
        raise MisuseError(f"A has the eigenvalue {float(values.min()):.3g}: a stationary law needs positive ones")
    return values


def _square(value: ArrayLike, field: str) -> Tensor:
    matrix = real_tensor(value, field)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise MisuseError(f"{field} has shape {tuple(matrix.shape)}: expected (..., n, n)")
    return matrix
