"""The variance of a time mean of correlated samples: batch means with an autoregressive correction.

For a stationary series z of N values with autocovariance g_k the mean has, for large N, the variance

    Var(mean) = C/N,   C = g_0 + 2 (g_1 + g_2 + ...) = 2 (tau_int/dt) g_0,   N_eff = g_0/Var(mean) = N dt/(2 tau_int).

C is found in two steps.  Means over 200 to 399 batches of consecutive points keep C and bring slow modes, which a fast
mode or white noise hides from point to point, to the front; then an autoregression of the M batch means
(:mod:`tngd_hw.readout.lattice`) of coefficients with the sum a gives C = v/(1 - a)^2.  Where the mean is that of the
record itself, a comes out low by about (1 + 3 a)/M, so that few samples would pass for many more: s = 1 - a is put
right to s^2/(s + (1 + 3 a)/M), which is s - (1 + 3 a)/M to first order and never negative.  Of the usual estimators on
the points themselves the window of Sokal goes negative on a mode sampled near half its period, and the monotone
sequence of Geyer halves the variance of the squares of an oscillation; neither occurs here.

Sources: A. D. Sokal, Monte Carlo methods in statistical mechanics (1989), for tau_int; P. J. Brockwell and R. A. Davis,
Time Series: Theory and Methods, 2nd ed., 1991, sections 8.1 and 9.3, for the autoregression; M. G. Kendall, Biometrika
41 (1954) 403, for the bias, which is that of one coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError
from tngd_hw.readout.lattice import fit_autoregression

__all__ = [
    "FEWEST_POINTS",
    "MeanError",
    "autocovariance",
    "error_from_batches",
    "error_of_mean",
    "in_batches",
    "variance_of_batch_mean",
]

FEWEST_POINTS = 40
"""Series with fewer points tell nothing about their own autocorrelation: no error bar (NaN)."""

_BATCHES = 200
_FEWEST_DEGREES = 1.0
_FEWEST_EFFECTIVE = 1.0


@dataclass(frozen=True, eq=False)
class MeanError:
    """How well a time mean is known.

    Attributes:
        stderr: Standard error of the mean, shape (..., m), in units of the series.
        effective: N_eff, shape (..., m): so many independent values would give the same error.  It may exceed the
            number of points where neighbours are anti-correlated.
        degrees: Degrees of freedom of the error bar, shape (..., m): 2 over the squared relative error of its square.
    """

    stderr: Tensor
    effective: Tensor
    degrees: Tensor


def autocovariance(series: Tensor, lags: int) -> Tensor:
    """g_k = (1/N) sum_t (z_t - mean)(z_(t+k) - mean), k = 0 ... lags, with 1/N at every lag.

    Args:
        series: Shape (..., N, m).
        lags: The largest lag, below N.

    Returns:
        Shape (..., lags + 1, m).  Cost: two fast Fourier transforms, O(N log N) a series.

    Raises:
        MisuseError: A lag that the series does not have.
    """
    count = series.shape[-2]
    if not 0 <= lags < count:
        raise MisuseError(f"lags = {lags}: a series of {count} points has lags from 0 to {count - 1}")
    length = 1 << (count + lags).bit_length()
    deviation = (series - series.mean(-2, keepdim=True)).mT.contiguous()  # time last: several times faster
    spectrum = cast("Tensor", torch.fft.rfft(deviation, n=length))
    power = spectrum.real.square() + spectrum.imag.square()
    sums = cast("Tensor", torch.fft.irfft(power, n=length))
    return sums[..., : lags + 1].mT / count


def _batch_size(count: int) -> int:
    """Points in a batch, so that there are 200 to 399 of them; 1 for shorter series."""
    return max(1, count // _BATCHES)


def in_batches(series: Tensor) -> Tensor:
    """The series (..., N, m) cut into batches, shape (..., M, size, m); the first few points that are left over go."""
    count, width = series.shape[-2:]
    size = _batch_size(count)
    number = count // size
    return series[..., count - number * size :, :].reshape(*series.shape[:-2], number, size, width)


def error_of_mean(series: Tensor) -> MeanError:
    """Standard error of the mean over time of every series, and its effective number of samples.

    Args:
        series: Shape (..., N, m), equally spaced in time.

    Returns:
        A :class:`MeanError`; NaN with fewer than 40 points, or with so few effective ones that the error bar has less
        than one degree of freedom (3 of a normal series, more of one with heavy tails), or with less than one
        altogether, as a drift has.  Cost O(N) a series, and an autoregression of at most 399 batch means.
    """
    count = series.shape[-2]
    return error_from_batches(in_batches(series).mean(-2), series.var(-2, correction=0), count)


def error_from_batches(batches: Tensor, variance: Tensor, count: int) -> MeanError:
    """The same from means over batches (..., M, m) and the variance g_0 of the ``count`` points, shape (..., m)."""
    number = batches.shape[-2]
    if count < FEWEST_POINTS:
        unknown = torch.full_like(variance, torch.nan)
        return MeanError(unknown, unknown, unknown)
    gain, degrees = _long_run_gain(batches)
    spread = batches.var(-2, correction=0)
    still = ~(spread > 0.0)
    # The batches hold all points but a few left over, so the mean of all is better by batches.size/count.
    square = spread * gain / number * (number * _batch_size(count) / count)
    effective = torch.where(still, float(count), variance / torch.where(still, 1.0, square))
    known = (degrees >= _FEWEST_DEGREES) & (effective >= _FEWEST_EFFECTIVE)
    return MeanError(
        torch.where(known, square.sqrt(), torch.nan), torch.where(known, effective, torch.nan),
        torch.where(known, degrees, torch.nan),
    )  # fmt: skip


def variance_of_batch_mean(batches: Tensor) -> tuple[Tensor, Tensor]:
    """Squared standard error of the mean of (..., M, m) batch means, 0 where they do not move, and its degrees."""
    gain, degrees = _long_run_gain(batches)
    return batches.var(-2, correction=0) * gain / batches.shape[-2], degrees


def _long_run_gain(batches: Tensor) -> tuple[Tensor, Tensor]:
    """C/g_0 of every series (..., M, m) of batch means and the degrees of freedom of C, 2 C^2/Var(C), each (..., m).

    Var(C)/C^2 is (K - 1)/M_eff of the variance, K the kurtosis; and 4/M_eff of an autoregression, by the delta method
    from Var(a) = (1 - a^2)/M in C = v/(1 - a)^2 with M_eff = M (1 - a)/(1 + a).
    """
    number = batches.shape[-2]
    series = (batches - batches.mean(-2, keepdim=True)).movedim(-1, -2)
    deviation = series.square().mean(-1, keepdim=True).sqrt()
    unit = series / torch.where(deviation > 0.0, deviation, 1.0)
    model = fit_autoregression(unit.reshape(-1, number, 1))
    coefficients = model.coefficients[..., 0, 0]
    s = coefficients.sum(-1)
    order = (coefficients[:, 1:] != 0.0).sum(-1)
    power = model.innovation[:, 0, 0] * number / (number - order - 1.0)
    low = torch.where(order > 0, (4.0 - 3.0 * s) / number, 0.0)
    corrected = torch.where(low > 0.0, s.square() / (s + low.clamp_min(0.0)), s - low)
    gain, fitted = (power / each.square() for each in (corrected, s))
    shape = series.shape[:-1]
    doubt = (_kurtosis(batches) - 1.0).reshape(-1) + 4.0 * (order > 0)
    degrees = 2.0 * (number / fitted).clamp_max(number) / doubt
    return gain.reshape(shape), degrees.reshape(shape)


def _kurtosis(series: Tensor) -> Tensor:
    """<d^4>/<d^2>^2 of every series (..., M, m), shape (..., m), at least 3 (a normal variate's)."""
    square = (series - series.mean(-2, keepdim=True)).square()
    variance = square.mean(-2)
    still = ~(variance > 0.0)
    ratio = square.square().mean(-2) / torch.where(still, 1.0, variance).square()
    return torch.where(still, 3.0, ratio.clamp_min(3.0))
