"""Autoregression of a stationary series of one component, or of two together, by the lattice of normalised reflections.

    x_t + A_1 x_(t-1) + ... + A_p x_(t-p) = e_t,   Cov(e) = V,   F(w) = A(w)^-1 V A(w)^-H,   A(w) = sum_m A_m e^(-i m w)

Every step predicts the present and the past end of a stretch from its middle, and takes the correlation of the two
errors, each in units of its own, as the next reflection: no assumption is made about what lies beyond the ends, which
costs Yule and Walker's equations a share of about tau/T of V, and the fit is stable always.  The order is that of the
smallest corrected AIC.

Sources: M. Morf, A. Vieira, D. T. L. Lee and T. Kailath, IEEE Trans. Geoscience Electronics 16 (1978) 85, for the
lattice; C. M. Hurvich and C.-L. Tsai, J. Time Series Analysis 14 (1993) 271, for the criterion with several components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

__all__ = ["Autoregression", "CrossSpectrum", "fit_autoregression"]

_FLOOR = 1e-12
"""White noise added to a series of unit variance, so that a dead one and one that repeats the other can be fitted."""

_PATIENCE = 5
"""A series is done when so many further orders have not lowered its criterion."""


@dataclass(frozen=True, eq=False)
class CrossSpectrum:
    """F(w) at w_j = 2 pi j/N, j = 0 ... N//2; the mean over all N frequencies is the covariance at lag 0.

    Attributes:
        cospectrum: Re F_1k(w), shape (B, N//2 + 1): F itself for k = 1 component.
        determinant: det F(w) for two components, 0 for one, same shape.
    """

    cospectrum: Tensor
    determinant: Tensor


@dataclass(frozen=True, eq=False)
class Autoregression:
    """Fitted models, one a series.

    Attributes:
        coefficients: I, A_1 ... A_p, shape (B, p + 1, k, k), zero beyond a series' own order.
        innovation: V, shape (B, k, k).
    """

    coefficients: Tensor
    innovation: Tensor

    def spectrum(self, count: int) -> CrossSpectrum:
        """At the Fourier frequencies of ``count`` points, more than p.  Cost: O(N log N) a series."""
        A = cast("Tensor", torch.fft.rfft(self.coefficients, n=count, dim=1))
        if A.shape[-1] == 1:
            power = self.innovation[..., 0] / _square(A[..., 0, 0])
            return CrossSpectrum(power, torch.zeros_like(power))
        size = _square(A[..., 0, 0] * A[..., 1, 1] - A[..., 0, 1] * A[..., 1, 0])
        V = self.innovation.unsqueeze(1)
        first = (A[..., 1, 1], -A[..., 0, 1])  # rows of A^-1, times its determinant
        second = (-A[..., 1, 0], A[..., 0, 0])
        cross = sum(first[m] * V[..., m, n] * second[n].conj() for m in (0, 1) for n in (0, 1))
        return CrossSpectrum(cast("Tensor", cross).real / size, cast("Tensor", torch.linalg.det(V)) / size)


def fit_autoregression(series: Tensor) -> Autoregression:
    """Models of series (B, N, k), k = 1 or 2, with zero mean and a variance of about 1 or of 0, N >= 20.

    Cost: O(N k^2) a series and order; orders up to 10 log10 N are tried.
    """
    members, count, width = series.shape
    highest = min(int(10 * math.log10(count)), count // (4 * width))
    one = torch.eye(width, dtype=series.dtype, device=series.device).expand(members, width, width)
    start = series.mT @ series / count + _FLOOR * one
    coefficients = series.new_zeros((members, highest + 1, width, width))
    coefficients[:, 0] = one
    chosen = Autoregression(coefficients, start.clone())
    criterion = _criterion(start, 0, count)
    order_of = torch.zeros(members, dtype=torch.long, device=series.device)
    live = torch.arange(members, device=series.device)
    state = _Lattice(series, series, one.unsqueeze(1), one.unsqueeze(1), start, start)
    for order in range(1, highest + 1):
        state = state.reflected()
        found = _criterion(state.ahead_error, order, count)
        better = found < criterion[live]
        winners = live[better]
        criterion[winners], order_of[winners] = found[better], order
        chosen.coefficients[winners, : order + 1] = state.ahead[better]
        chosen.innovation[winners] = state.ahead_error[better]
        going = order - order_of[live] < _PATIENCE
        if 2 * int(going.sum()) < len(live):
            live, state = live[going], state.of(going)
        if len(live) == 0:
            break
    return chosen


@dataclass(frozen=True, eq=False)
class _Lattice:
    """Errors (B, M, k) of predicting each point ahead and back, the two predictors, and their error covariances."""

    forward: Tensor
    backward: Tensor
    ahead: Tensor
    back: Tensor
    ahead_error: Tensor
    back_error: Tensor

    def of(self, which: Tensor) -> _Lattice:
        return _Lattice(
            self.forward[which], self.backward[which], self.ahead[which], self.back[which], self.ahead_error[which],
            self.back_error[which],
        )  # fmt: skip

    def reflected(self) -> _Lattice:
        """The next order."""
        f, b = self.forward[:, 1:], self.backward[:, :-1]
        one = _FLOOR * torch.eye(f.shape[-1], dtype=f.dtype, device=f.device)
        root_f = _root(f.mT @ f / f.shape[1] + one)
        root_b = _root(b.mT @ b / f.shape[1] + one)
        rho = _under(root_b, _under(root_f, f.mT @ b / f.shape[1]).mT).mT
        ahead_root, back_root = _root(self.ahead_error), _root(self.back_error)
        K_f, K_b = ahead_root @ _over(rho, back_root), back_root @ _over(rho.mT, ahead_root)
        zero = torch.zeros_like(self.ahead[:, :1])
        longer, shifted = torch.cat((self.ahead, zero), 1), torch.cat((zero, self.back), 1)
        return _Lattice(
            f - b @ K_f.mT,
            b - f @ K_b.mT,
            longer - K_f.unsqueeze(1) @ shifted,
            shifted - K_b.unsqueeze(1) @ longer,
            _left(ahead_root, rho),
            _left(back_root, rho.mT),
        )


def _root(matrix: Tensor) -> Tensor:
    """Lower triangular root of symmetric positive definite (B, k, k)."""
    return cast("Tensor", torch.linalg.cholesky(matrix))


def _over(matrix: Tensor, root: Tensor) -> Tensor:
    """matrix root^-1."""
    return cast("Tensor", torch.linalg.solve_triangular(root, matrix, upper=False, left=False))


def _under(root: Tensor, matrix: Tensor) -> Tensor:
    """root^-1 matrix."""
    return cast("Tensor", torch.linalg.solve_triangular(root, matrix, upper=False))


def _left(root: Tensor, rho: Tensor) -> Tensor:
    """root (1 - rho rho^T) root^T, and a trace of it where nothing is left."""
    scaled = root @ rho
    whole = root @ root.mT
    left = whole - scaled @ scaled.mT
    floor = _FLOOR * torch.diagonal(whole, dim1=-2, dim2=-1).mean(-1)[:, None, None]
    return 0.5 * (left + left.mT) + floor * torch.eye(rho.shape[-1], dtype=rho.dtype, device=rho.device)


def _criterion(error: Tensor, order: int, count: int) -> Tensor:
    """N log det V + 2 q N/(N - q/k - 1), q = p k^2 + k (k + 1)/2 parameters: the corrected AIC."""
    width = error.shape[-1]
    parameters = order * width**2 + width * (width + 1) / 2
    return count * torch.logdet(error) + 2.0 * parameters * count / (count - parameters / width - 1.0)


def _square(value: Tensor) -> Tensor:
    return value.real.square() + value.imag.square()
