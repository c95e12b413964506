"""The variance of a time mean of correlated samples: batch means with an autoregressive correction.

For a stationary series z of N values with autocovariance g_k the mean has, for large N, the variance

    Var(mean) = C/N,   C = g_0 + 2 (g_1 + g_2 + ...) = 2 (tau_int/dt) g_0,   N_eff = g_0/Var(mean) = N dt/(2 tau_int).

C is found in two steps.  Means over M batches of consecutive points, about as long as the memory, keep C
(:mod:`tngd_hw.readout.batches`); then an autoregression of the batch means (:mod:`tngd_hw.readout.lattice`), of
coefficients 1, a_1 ... a_p with the sum s, gives C = v/s^2.  A short record's s comes out high, so that few samples
would pass for many more: by b = (1 + 3 a)/M with one coefficient -a and the mean that of the record itself, and with p
of them by :func:`_coefficient_sum`.  It is put right to s^2/(s + b), which is s - b to first order and never negative.
Of the usual estimators on the points themselves the window of Sokal goes negative on a mode sampled near half its
period, and the monotone sequence of Geyer halves the variance of the squares of an oscillation; neither occurs here.

Sources: A. D. Sokal, Monte Carlo methods in statistical mechanics (1989), for tau_int; P. J. Brockwell and R. A. Davis,
Time Series: Theory and Methods, 2nd ed., 1991, sections 8.1 and 9.3, for the autoregression; M. G. Kendall, Biometrika
41 (1954) 403, for the bias of one coefficient; P. Shaman and R. A. Stine, J. American Statistical Association 83 (1988)
842, for that of p, linear in the coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.readout.batches import distinct, finest_size, in_batches, joined, times_to_join
from tngd_hw.readout.lattice import fit_autoregression

__all__ = [
    "FEWEST_POINTS",
    "MeanError",
    "error_from_batches",
    "error_of_mean",
    "variance_of_batch_mean",
]

FEWEST_POINTS = 40
"""Series with fewer points tell nothing about their own autocorrelation: no error bar (NaN)."""

_SHARE = 1.0
"""Of the lag of half correlation, that one batch may last."""

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


def error_of_mean(series: Tensor) -> MeanError:
    """Standard error of the mean over time of every series, and its effective number of samples.

    Args:
        series: Shape (..., N, m), equally spaced in time.

    Returns:
        A :class:`MeanError`; NaN with fewer than 40 points, or with so few effective ones that the error bar has less
        than one degree of freedom (3 of a normal series, more of one with heavy tails), or with less than one
        altogether, as a drift has.  Cost O(N) a series, and an autoregression of at most 399 batch means.
    """
    size = finest_size(series.shape[-2])
    return error_from_batches(in_batches(series, size).mean(-2), series.var(-2, correction=0), series.shape[-2])


def error_from_batches(batches: Tensor, variance: Tensor, count: int) -> MeanError:
    """The same from means over batches (..., M, m) and the variance g_0 of the ``count`` points, shape (..., m)."""
    if count < FEWEST_POINTS:
        unknown = torch.full_like(variance, torch.nan)
        return MeanError(unknown, unknown, unknown)
    of_batches, degrees = variance_of_batch_mean(batches)
    # The batches hold all points but a few left over, so the mean of all is better by their share.
    square = of_batches * (batches.shape[-2] * finest_size(count) / count)
    still = ~(square > 0.0)
    effective = torch.where(still, float(count), variance / torch.where(still, 1.0, square))
    known = (degrees >= _FEWEST_DEGREES) & (effective >= _FEWEST_EFFECTIVE)
    return MeanError(
        torch.where(known, square.sqrt(), torch.nan), torch.where(known, effective, torch.nan),
        torch.where(known, degrees, torch.nan),
    )  # fmt: skip


def variance_of_batch_mean(batches: Tensor) -> tuple[Tensor, Tensor]:
    """Squared standard error of the mean of (..., M, m) batch means, 0 where they do not move, and its degrees."""
    number = batches.shape[-2]
    series = batches.movedim(-2, -1).reshape(-1, number)
    times = times_to_join(series.unsqueeze(-1), _SHARE).squeeze(-1)
    square, degrees = torch.empty_like(series[:, 0]), torch.empty_like(series[:, 0])
    for joint in distinct(times):
        which = times == joint
        means = joined(series[which].unsqueeze(-1), joint).squeeze(-1)
        found, degrees[which] = _variance_by_autoregression(means)
        square[which] = found * (means.shape[-1] * joint / number)
    shape = (*batches.shape[:-2], batches.shape[-1])
    return square.reshape(shape), degrees.reshape(shape)


def _variance_by_autoregression(means: Tensor) -> tuple[Tensor, Tensor]:
    """C/M of the mean of series (B, M) and the degrees of freedom of C, 2 C^2/Var(C), each (B,).

    Var(C)/C^2 is (K - 1)/M_eff of the variance, K the kurtosis and M_eff = M g_0/C, and 4 Var(s)/s^2 of s = A(1).
    """
    number = means.shape[-1]
    series = means - means.mean(-1, keepdim=True)
    variance = series.square().mean(-1)
    unit = series / torch.where(variance > 0.0, variance.sqrt(), 1.0).unsqueeze(-1)
    model = fit_autoregression(unit.unsqueeze(-1))
    total = _coefficient_sum(model.coefficients[..., 0, 0], number)
    power = model.innovation[:, 0, 0] * number / (number - total.order - 1.0)
    gain, fitted = (power / each.square() for each in (total.without_bias(), total.value))
    spread = (_kurtosis(series) - 1.0) / (number / fitted).clamp_max(number)
    return variance * gain / number, 2.0 / (spread + 4.0 * total.variance / total.value.square())


@dataclass(frozen=True, eq=False)
class _CoefficientSum:
    """s = A(1) = 1 + a_1 + ... + a_p of fitted autoregressions (B,), its bias and its variance to order 1/M."""

    value: Tensor
    bias: Tensor
    variance: Tensor
    order: Tensor

    def without_bias(self) -> Tensor:
        """s - bias to first order, and positive however large the bias is."""
        s, high = self.value, self.bias
        return torch.where(high > 0.0, s.square() / (s + high.clamp_min(0.0)), s - high)


def _coefficient_sum(coefficients: Tensor, number: int) -> _CoefficientSum:
    """Of 1, a_1 ... a_p, shape (B, p + 1), zero beyond each series' own order, fitted to M = ``number`` points.

    The order p is the series' own, and the mean that of the record:

        bias = (1/M) sum_j (p + [p/2] - 4 j) a_j,      variance = (s/M) sum_j (p - 2 j) a_j.

    Of the bias (1/M) sum_j ([p/2] - 2 j) a_j is there with a known mean too; the rest is the error of the mean.
    """
    j = torch.arange(coefficients.shape[-1], dtype=coefficients.dtype, device=coefficients.device)
    order = ((coefficients != 0.0) * j).amax(-1)
    s, moment = coefficients.sum(-1), (coefficients * j).sum(-1)
    bias = ((order + torch.floor(0.5 * order)) * s - 4.0 * moment) / number
    return _CoefficientSum(s, bias, s * (order * s - 2.0 * moment) / number, order)


def _kurtosis(deviation: Tensor) -> Tensor:
    """<d^4>/<d^2>^2 of every series (B, M) of mean 0, shape (B,), at least 3 (a normal variate's)."""
    square = deviation.square()
    variance = square.mean(-1)
    still = ~(variance > 0.0)
    ratio = square.square().mean(-1) / torch.where(still, 1.0, variance).square()
    return torch.where(still, 3.0, ratio.clamp_min(3.0))
