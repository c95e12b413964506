"""Errors of the entries of a covariance whose samples are Gaussian, as those of a linear circuit are.

The product x_i x_j has in every Fourier component of the record the two eigenvalues a_k and -b_k of the symmetric part,

    a - b = Re F_ij,   a b = det F/4,       F(w): the 2 x 2 spectrum of (x_i, x_j);  a = F_ii and b = 0 for i = j,

so S_ij = P - N, the difference of two mean squares that are independent of each other
(:mod:`tngd_hw.readout.gaussian_form`), and Var(S_ij) = 2 sum_k (a_k^2 + b_k^2)/N^2.  Distances of the limits of the two
from their estimates add in squares:

    low = S - {[P - low(P)]^2 + [high(N) - N]^2}^(1/2),   high = S + {[high(P) - P]^2 + [N - low(N)]^2}^(1/2).

F is that of an autoregression (:mod:`tngd_hw.readout.lattice`) of at most 399 batch means; what the x_i x_j of a batch
have beyond the product of its means enters as one more component, of the variance that its own series shows (where the
two are anti-correlated by more than that, as a turning pair is, the components count for more of them instead).  As
that variance is an estimate, the normal quantile becomes the one of Student's law of as many degrees of freedom.

Source for the differences: G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.readout.gaussian_form import GaussianForm
from tngd_hw.readout.lattice import fit_autoregression
from tngd_hw.readout.student import student_quantile

__all__ = ["FEWEST_GAUSSIAN", "GaussianLaw", "GaussianLaws"]

FEWEST_GAUSSIAN = 20
"""Fewer samples tell nothing about their own memory: no error bar (NaN)."""

_FEW, _MANY = 4.0, 1e9
"""Degrees of freedom: fewer are not believed, for the doubt itself is an estimate; so many make a normal law."""

_LEAST = 0.1
"""Smallest share of the variance of the batch means' products that what is inside may leave."""

_NUMBERS = 2**21
"""Numbers of one kind in flight at a time (16 MB)."""


@dataclass(frozen=True, eq=False)
class GaussianLaw:
    """What the errors of a covariance are worked out from, of many chips.

    Attributes:
        batches: Means over batches of consecutive samples, the mean of all taken off, shape (C, N, n).
        within: Mean over the batches of the covariance inside each, shape (C, n, n).
        within_square: What it adds to Var(S_ij), its covariance with the product of the means included, same shape.
        within_doubt: Variance of that estimate, same shape.
        known_mean: Whether the mean that was taken off is the true one, not the samples' own.
    """

    batches: Tensor
    within: Tensor
    within_square: Tensor
    within_doubt: Tensor
    known_mean: bool

    def variance(self) -> Tensor:
        """Var(S_ij), shape (C, n, n).  Cost: an autoregression of two components for every pair."""
        found = torch.full_like(self.within, torch.nan)
        for chip, i, j, unit, plus, minus in self._pairs():
            entry = unit.square() * (plus.variance() + minus.variance())
            found[chip, i, j] = found[chip, j, i] = entry
        return found

    def interval(self, value: Tensor, level: float) -> tuple[Tensor, Tensor]:
        """Limits about S = ``value``, each (C, n, n).  Cost: fits again."""
        found = torch.full((2, *self.within.shape), torch.nan, dtype=value.dtype, device=value.device)
        for chip, i, j, unit, plus, minus in self._pairs():
            variance = unit.square() * (plus.variance() + minus.variance())
            degrees = 2.0 * variance.square() / self.within_doubt[chip, i, j].clamp_min(torch.finfo(value.dtype).tiny)
            quantile = student_quantile(level, degrees.nan_to_num(_MANY).clamp(_FEW, _MANY))
            P, P_low, P_high = plus.limits(quantile)
            N, N_low, N_high = minus.limits(quantile)
            middle = value[chip, i, j] + unit * (P - plus.fitted() - N + minus.fitted())
            low = middle - unit * torch.hypot(P - P_low, N_high - N)
            high = middle + unit * torch.hypot(P_high - P, N - N_low)
            ends = torch.stack((low, high))
            found[:, chip, i, j] = found[:, chip, j, i] = torch.where(unit > 0.0, ends, 0.0)
        return found[0], found[1]

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, GaussianForm, GaussianForm]]:
        """Chips, rows and columns in pieces, with the unit of S_ij and the two forms, in that unit."""
        chips, count, n = self.batches.shape
        if count < FEWEST_GAUSSIAN:
            return
        device = self.batches.device
        square = self.batches.square().mean(1) + torch.diagonal(self.within, dim1=-2, dim2=-1)
        deviation = square.sqrt()
        series = (self.batches / torch.where(deviation > 0.0, deviation, 1.0).unsqueeze(1)).mT.contiguous()
        pieces = max(1, _NUMBERS // (4 * count))
        for offset in (0, 1):
            rows, columns = torch.triu_indices(n, n, 1, device=device) if offset else torch.arange(n).expand(2, n)
            rows, columns = rows.to(device), columns.to(device)
            total = chips * len(rows)
            for start in range(0, total, pieces):
                index = torch.arange(start, min(start + pieces, total), device=device)
                chip, pair = index // len(rows), index % len(rows)
                i, j = rows[pair], columns[pair]
                unit = deviation[chip, i] * deviation[chip, j]
                together = series[chip, i].unsqueeze(-1)
                if offset:
                    together = torch.stack((series[chip, i], series[chip, j]), -1)
                yield chip, i, j, unit, *self._forms(together, chip, i, j, unit)

    def _forms(
        self, series: Tensor, chip: Tensor, i: Tensor, j: Tensor, unit: Tensor
    ) -> tuple[GaussianForm, GaussianForm]:
        """P and N of series (B, N, 1 or 2) of variance 1."""
        count = series.shape[1]
        F = fit_autoregression(series).spectrum(count)
        root = (F.cospectrum.square() + F.determinant).sqrt()
        # The larger of the two first: the other one is then right to the last digit, and 0 where it should be.
        larger = 0.5 * (root + F.cospectrum.abs())
        smaller = 0.25 * F.determinant / larger
        ahead = F.cospectrum > 0.0
        plus, minus = torch.where(ahead, larger, smaller), torch.where(ahead, smaller, larger)
        weight = torch.full_like(plus, 2.0)
        weight[:, 0] = 1.0
        if count % 2 == 0:
            weight[:, -1] = 1.0
        unit = torch.where(unit > 0.0, unit, 1.0)
        inside = self.within[chip, i, j] / unit
        both = (self.within[chip, i, i] * self.within[chip, j, j]).sqrt() / unit
        square = self.within_square[chip, i, j] / unit.square()
        own = 2.0 * (weight * (plus.square() + minus.square())).sum(-1) / count**2
        shrunk = (1.0 + square.clamp_max(0.0) / own).clamp_min(_LEAST).unsqueeze(-1)
        # A chi-square part of N/s components, with 2 s (a^2 + b^2)/N the variance seen, a - b the mean, 4 a b the rest.
        spread = both.square() + inside.square()
        there = (square > 0.0) & (spread > 0.0)
        s = torch.where(there, square * count / torch.where(there, spread, 1.0), 1.0)
        more = torch.where(there, count / s, 0.0).unsqueeze(-1)
        a, b = (0.5 * s * (both + inside)).unsqueeze(-1), (0.5 * s * (both - inside).clamp_min(0.0)).unsqueeze(-1)
        weight = torch.cat((weight / shrunk, more), -1)
        observed = weight
        if not self.known_mean:
            observed = weight.clone()
            observed[:, 0] = 0.0
        positive = GaussianForm(torch.cat((shrunk * plus, a), -1), weight, observed, count)
        return positive, GaussianForm(torch.cat((shrunk * minus, b), -1), weight, observed, count)


@dataclass(frozen=True, eq=False)
class GaussianLaws:
    """Of many chips, whose records are cut into batches of different lengths.

    Attributes:
        parts: Indices of chips and the law of those, which share the length.
    """

    parts: tuple[tuple[Tensor, GaussianLaw], ...]

    def variance(self) -> Tensor:
        """Var(S_ij), shape (C, n, n)."""
        return self._joined([law.variance().unsqueeze(0) for _, law in self.parts])[0]

    def interval(self, value: Tensor, level: float) -> tuple[Tensor, Tensor]:
        """Limits about S = ``value``, each (C, n, n)."""
        low, high = self._joined([torch.stack(law.interval(value[which], level)) for which, law in self.parts])
        return low, high

    def _joined(self, found: list[Tensor]) -> Tensor:
        """Fields (F, chips of the part, n, n) of all parts in the chips' order."""
        chips = torch.cat([which for which, _ in self.parts])
        return torch.cat(found, 1)[:, torch.argsort(chips)]
