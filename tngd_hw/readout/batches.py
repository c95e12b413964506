"""A record in batches of consecutive points: as many as tell its memory, and none finer than that memory needs.

Means over batches keep the variance of the mean of all, and bring slow modes, which a fast mode or white noise hides
from point to point, to the front.  Batches much shorter than the memory do harm: a node that white noise drives looks
like a simple relaxation then, whatever turns it back later, and a short record does not pay for the many coefficients
that would tell.  So neighbours are joined, twice, four times ..., until one batch lasts about a given share of the lag
at which the autocorrelation has fallen to 1/2: for an OU process ln 2 tau, for one that turns at w about pi/(3 w).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError

__all__ = ["autocovariance", "distinct", "finest_size", "in_batches", "joined", "times_to_join"]

_BATCHES = 200
_FEWEST_BATCHES = 40
_LONGEST_LAG = 4
"""The lag of half correlation is looked for in so large a part of the record."""


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


def finest_size(count: int) -> int:
    """Points in a batch, so that there are 200 to 399 of them; 1 for shorter series."""
    return max(1, count // _BATCHES)


def in_batches(series: Tensor, size: int) -> Tensor:
    """The series (..., N, m) cut into batches, shape (..., M, size, m); the first few points that are left over go."""
    count, width = series.shape[-2:]
    number = count // size
    return series[..., count - number * size :, :].reshape(*series.shape[:-2], number, size, width)


def joined(means: Tensor, times: int) -> Tensor:
    """Means over ``times`` neighbours of batch means (..., M, m), shape (..., M // times, m)."""
    return in_batches(means, times).mean(-2)


def times_to_join(means: Tensor, share: float) -> Tensor:
    """How many neighbours to join, a power of 2, shape (..., m): ``share`` of the lag of half correlation or fewer.

    Args:
        means: Batch means (..., M, m).  At least 40 batches are left; a series that does not move is not joined.
        share: Of the lag of half correlation, interpolated between points; above 0.

    Returns:
        Whole numbers, shape (..., m).  Cost: two fast Fourier transforms a series.
    """
    number = means.shape[-2]
    most = max(1, number // _FEWEST_BATCHES)
    lags = max(1, number // _LONGEST_LAG)
    g = autocovariance(means, lags)
    moves = g[..., 0, :] > 0.0
    r = g / torch.where(moves, g[..., 0, :], 1.0).unsqueeze(-2)
    below = r < 0.5
    first = torch.where(below.any(-2), below.to(torch.long).argmax(-2), lags).clamp_min(1)
    before, after = (r.gather(-2, lag.unsqueeze(-2)).squeeze(-2) for lag in (first - 1, first))
    half = first - 1 + (before - 0.5) / (before - after).clamp_min(torch.finfo(r.dtype).tiny)
    times = torch.where(moves, share * half, 1.0).clamp(1.0, float(most))
    return torch.exp2(torch.floor(torch.log2(times))).to(torch.long)


def distinct(times: Tensor) -> list[int]:
    """The whole numbers among ``times``, ascending, each once."""
    return cast("list[int]", torch.unique(times).tolist())
