"""Mean and covariance from samples of a stationary process, with error bars that know the samples are correlated.

    mean_i = <x_i>,   S_ij = <(x_i - m_i)(x_j - m_j)>     over T samples; with an unknown mean the divisor is T - 1.

The mean of x_i and the entry S_ij are both time means, S_ij of the products, so both get the error of a time mean
(:mod:`tngd_hw.readout.autocorrelation`).  For a Gaussian process it tends to Isserlis's sum

    Var(S_ij) = (1/T) sum_k [r_ii(k) r_jj(k) + r_ij(k) r_ji(k)],   r_ij(k) = Cov(x_i(t + k), x_j(t)),

but it does not assume one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.special import stdtrit
from torch import Tensor

from tngd_hw.outcome import MisuseError
from tngd_hw.readout.autocorrelation import MeanError, error_from_batches, error_of_mean, in_batches

__all__ = ["CovarianceEstimate", "MeanEstimate", "estimate_covariance", "estimate_mean"]

_ROWS = 8
_BATCH_MEANS = 400
_ENTRIES = 2**20
"""Numbers of one kind in flight at a time (8 MB)."""


@dataclass(frozen=True, eq=False)
class MeanEstimate:
    """A mean of samples.

    Attributes:
        value: Shape (..., n), in units of the samples.
        stderr: Standard error, same shape; NaN where too few samples tell.
        effective: Effective number of samples N_eff, same shape.
        degrees: Degrees of freedom of the standard error, same shape.
    """

    value: Tensor
    stderr: Tensor
    effective: Tensor
    degrees: Tensor

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """value -+ t stderr, t of Student's distribution; covers the true mean with probability ``level``."""
        half = _student(level, self.degrees) * self.stderr
        return self.value - half, self.value + half


@dataclass(frozen=True, eq=False)
class CovarianceEstimate:
    """A covariance of samples.

    Attributes:
        value: S, shape (..., n, n), exactly symmetric, in squared units of the samples.
        stderr: Standard error of every entry, same shape; NaN where too few samples tell.
        effective: Effective number of samples of every entry, same shape.
        degrees: Degrees of freedom of every standard error, same shape.
    """

    value: Tensor
    stderr: Tensor
    effective: Tensor
    degrees: Tensor

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """Lower and upper ends for every entry, each (..., n, n); they cover the truth with probability ``level``.

        Bars of equal length would miss too often: a variance is skewed, and its error grows with it.  With z = x in
        units of its own deviation and r the correlation, r = (Var(z_i + z_j) - Var(z_i - z_j))/4 is a difference of
        two variances, 2 (1 + r) and 2 (1 - r), which hardly correlate.  The logarithm of each has symmetric bars
        h = t q with q^2 = 2 stderr^2/(S_ii S_jj (1 + r^2)) (both of equal relative error), and distances add in
        squares:

            low = r - ([(1 + r)(1 - e^-h)]^2 + [(1 - r)(e^h - 1)]^2)^(1/2)/2,   high likewise, the two exchanged.

        On the diagonal (r = 1) this is S_ii exp(-+ t stderr/S_ii).  Source for differences of skewed estimates:
        G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693.
        """
        deviation = torch.diagonal(self.value, dim1=-2, dim2=-1).clamp_min(0.0).sqrt()
        unit = deviation.unsqueeze(-1) * deviation.unsqueeze(-2)
        empty = unit == 0.0
        unit = torch.where(empty, 1.0, unit)
        r = (self.value / unit).clamp(-1.0, 1.0)
        half = _student(level, self.degrees) * self.stderr / unit * (2.0 / (1.0 + r.square())).sqrt()
        inward, outward = -torch.expm1(-half), torch.expm1(half)
        below = 0.5 * unit * torch.hypot((1.0 + r) * inward, (1.0 - r) * outward)
        above = 0.5 * unit * torch.hypot((1.0 + r) * outward, (1.0 - r) * inward)
        return self.value - below, self.value + above


def estimate_mean(samples: Tensor) -> MeanEstimate:
    """Mean over time, with its standard error.

    Args:
        samples: Equally spaced in time, shape (..., T, n), T >= 1.

    Returns:
        A :class:`MeanEstimate`; no error bar (NaN) with fewer than 40 samples or about 3 effective ones.
        Cost O(T n) a batch member.

    Raises:
        MisuseError: Shapes that do not fit.
    """
    _check(samples, fewest=1)
    error = error_of_mean(samples)
    return MeanEstimate(samples.mean(-2), error.stderr, error.effective, error.degrees)


def estimate_covariance(samples: Tensor, *, mean: Tensor | None = None) -> CovarianceEstimate:
    """Covariance of the components, with the standard error of every entry.

    With a known mean S is unbiased.  With an unknown one the divisor T - 1 makes it so for independent samples; for
    correlated ones S is low by about Sigma/N_eff, a fraction 1/sqrt(N_eff) of its standard error.

    Args:
        samples: Equally spaced in time, shape (..., T, n).
        mean: The known mean, shape (..., n), for example the noiseless settled answer; None estimates it.

    Returns:
        A :class:`CovarianceEstimate`; no error bars (NaN) with too few samples, as :func:`estimate_mean`.
        Cost O(T n^2) a batch member; the chips and the rows are taken in pieces, so little memory is needed
        beside what is given and returned.

    Raises:
        MisuseError: Shapes that do not fit; fewer than 2 samples with an unknown mean.
    """
    _check(samples, fewest=1 if mean is not None else 2)
    deviation = centred(samples, mean)
    count = deviation.shape[-2]
    moment = _symmetric(deviation.mT @ deviation / count)
    error = _errors_of_products(deviation, moment)
    scale = 1.0 if mean is not None else count / (count - 1)
    return CovarianceEstimate(scale * moment, scale * error.stderr, error.effective, error.degrees)


def centred(samples: Tensor, mean: Tensor | None) -> Tensor:
    """Samples (..., T, n) less their mean, the known one (..., n) or their own."""
    if mean is None:
        return samples - samples.mean(-2, keepdim=True)
    if mean.shape[-1:] != samples.shape[-1:]:
        raise MisuseError(f"mean has shape {tuple(mean.shape)}: expected (..., {samples.shape[-1]}), as the samples")
    return samples - mean.unsqueeze(-2)


def _errors_of_products(deviation: Tensor, moment: Tensor) -> MeanError:
    """The error of every mean product, each field of shape (..., n, n), from (..., T, n) and the means.

    Only pairs i <= j, but for those inside a group of rows, are worked out.
    """
    count, n = deviation.shape[-2:]
    chips, means = deviation.reshape(-1, count, n), moment.reshape(-1, n, n)
    members = max(1, min(_ENTRIES // (count * n), _ENTRIES // (_BATCH_MEANS * _ROWS * n)))
    found = deviation.new_zeros((3, *means.shape))
    for start in range(0, len(chips), members):
        some = slice(start, start + members)
        parts, squares = in_batches(chips[some]), chips[some].square()
        for first in range(0, n, _ROWS):
            own = slice(first, first + _ROWS)
            products = parts[..., own].mT @ parts[..., first:] / parts.shape[-2]
            spread = squares[..., own].mT @ squares[..., first:] / count - means[some, own, first:].square()
            error = error_from_batches(products.flatten(-2), spread.clamp_min(0.0).flatten(-2), count)
            for field, entries in zip(found, (error.stderr, error.effective, error.degrees), strict=True):
                field[some, own, first:] = entries.reshape(spread.shape)
    full = torch.triu(found) + torch.triu(found, 1).mT
    stderr, effective, degrees = full.reshape(3, *moment.shape)
    return MeanError(stderr, effective, degrees)


def _symmetric(matrix: Tensor) -> Tensor:
    """Equal to the last bit on both sides of the diagonal, which a matrix product need not be."""
    return 0.5 * (matrix + matrix.mT)


def _student(level: float, degrees: Tensor) -> Tensor:
    if not 0.0 < level < 1.0:
        raise MisuseError(f"level = {level!r}: a probability between 0 and 1, for example 0.95")
    quantile = stdtrit(degrees.cpu().numpy(), 0.5 * (1.0 + level))
    return torch.as_tensor(quantile, dtype=torch.float64, device=degrees.device)


def _check(samples: Tensor, fewest: int) -> None:
    if samples.ndim < 2 or samples.shape[-2] < fewest:
        raise MisuseError(f"samples has shape {tuple(samples.shape)}: expected (..., T, n) with T of {fewest} or more")
    if samples.dtype is not torch.float64:
        raise MisuseError(f"samples has dtype {samples.dtype}: give float64, for example samples.double()")
