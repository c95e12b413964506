"""The eigenbasis of the drift, with its accuracy measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tngd_hw.linear_sde.balance import balancing_scale, scaled
from tngd_hw.linear_sde.dense import eig, eigh, frobenius, inverse

__all__ = ["ModalBasis", "equilibrium_basis", "exp_integral", "modal_basis", "modal_mean"]

_EPSILON = torch.finfo(torch.float64).eps


@dataclass(frozen=True, eq=False)
class ModalBasis:
    """F = V diag(values) V^-1, real (symmetric F) or complex.

    Attributes:
        values: Eigenvalues, shape (..., n), in 1/s.
        V: Eigenvectors as columns, shape (..., n, n).
        V_inverse: Rows are the left eigenvectors, shape (..., n, n).
        leak: |V^-1 F V - diag(values)|, shape (..., n, n), in 1/s: what the computed basis leaves undone.
        usable: False when the eigenvectors are singular to working precision (defective F) in some batch member.
        scale: The balancing units in which leak and conditioning are measured, shape (..., n).
    """

    values: Tensor
    V: Tensor
    V_inverse: Tensor
    leak: Tensor
    usable: bool
    scale: Tensor

    def holds(self, horizon: float, tolerance: float) -> bool:
        """Whether :meth:`error` is at most ``tolerance`` over ``horizon`` seconds.

        Where every mode decays the error has a bound for all times, measured once for all runs of a system.
        """
        if self._lasting_error <= tolerance:
            return True
        if horizon not in self._measured:  # of one horizon: runs are repeated over the same
            self._measured.clear()
            self._measured[horizon] = self.error(horizon)
        return self._measured[horizon] <= tolerance

    @cached_property
    def _lasting_error(self) -> float:
        """The error over all times; NaN or infinite where a mode never ends, which is no bound."""
        return self.error(math.inf)

    @cached_property
    def _measured(self) -> dict[float, float]:
        """The error by horizon."""
        return {}

    def error(self, horizon: float) -> float:
        """Estimated norm-wise error of exp(F t) over 0 <= t <= ``horizon`` seconds, relative to the identity.

        To first order a leak R_ij changes exp(F t) by R_ij (e^(l_i t) - e^(l_j t)) / (l_i - l_j) between modes i and j;
        its largest value over t is at most the smaller of 2/|l_i - l_j|, the horizon and the life of the longer mode.
        Rounding in the products adds epsilon times the condition number of V.
        """
        if not self.usable:
            return math.inf
        V = self.V / self.scale.unsqueeze(-1)
        V_inverse = self.V_inverse * self.scale.unsqueeze(-2)
        slow = torch.maximum(self.values.real.unsqueeze(-1), self.values.real.unsqueeze(-2))
        life = torch.where(slow < 0, (-1.0 / (math.e * slow.clamp_max(-1e-300))).clamp_max(horizon), horizon)
        gap = (self.values.unsqueeze(-1) - self.values.unsqueeze(-2)).abs()
        weight = torch.minimum(life, 2.0 / gap.clamp_min(1e-300))
        drifted = V @ (self.leak * weight).to(V.dtype) @ V_inverse
        norms = frobenius(V) * frobenius(V_inverse)
        rounding = _EPSILON * norms / V.shape[-1] ** 0.5
        return float((frobenius(drifted) + rounding).max())


def modal_basis(F: Tensor, *, symmetric: bool) -> ModalBasis:
    """Eigen-decomposition of F, shape (..., n, n), in balanced units.  Cost about 10 n^3 symmetric, 25 n^3 otherwise.

    A defective F yields ``usable=False``, no exception.
    """
    if symmetric:
        values, vectors = eigh(0.5 * (F + F.mT))
        leak = vectors.mT @ F @ vectors - torch.diag_embed(values)
        return ModalBasis(values, vectors, vectors.mT, leak.abs(), usable=True, scale=torch.ones_like(values))
    scale = balancing_scale(F)
    balanced = scaled(F, scale)
    values, V = eig(balanced)
    V_inverse, usable = inverse(V)
    leak = V_inverse @ (balanced.to(V.dtype) @ V) - torch.diag_embed(values)
    return ModalBasis(
        values, scale.unsqueeze(-1) * V, V_inverse / scale.unsqueeze(-2), leak.abs(), usable=usable, scale=scale
    )


def equilibrium_basis(F: Tensor, diffusion: Tensor) -> ModalBasis:
    """V = Q^(1/2) U with U the eigenvectors of Q^(-1/2) F Q^(1/2), which detailed balance makes symmetric.

    V V^T = Q: in these coordinates the modes are independent, with unit noise each.

    Args:
        F: Drift with F Q = Q F^T, shape (..., n, n); what is left of the difference shows in the measured error.
        diffusion: Q = B B^T, regular, shape (..., n, n).
    """
    rates, axes = eigh(diffusion)
    root = axes * rates.sqrt().unsqueeze(-2)
    inverse_root = axes / rates.sqrt().unsqueeze(-2)
    inner = inverse_root.mT @ F @ root
    values, turned = eigh(0.5 * (inner + inner.mT))
    leak = turned.mT @ inner @ turned - torch.diag_embed(values)
    V, V_inverse = root @ turned, turned.mT @ inverse_root.mT
    return ModalBasis(values, V, V_inverse, leak.abs(), usable=True, scale=torch.ones_like(values))


def exp_integral(rates: Tensor, times: Tensor) -> Tensor:
    """The integral of e^(l s) over 0 <= s <= t, that is (e^(l t) - 1)/l, right for small l t and for l = 0.

    Args:
        rates: l, real or complex, in 1/s; broadcasts with times.
        times: t, real, in s.
    """
    exponent = rates * times
    zero = exponent == 0
    safe = torch.where(zero, torch.ones_like(exponent), rates.expand_as(exponent))
    return torch.where(zero, times.expand_as(exponent).to(exponent.dtype), torch.expm1(exponent) / safe)


def modal_mean(basis: ModalBasis, W: Tensor, X0: Tensor, times: Tensor) -> Tensor:
    """x(t) = V [e^(l t) V^-1 x0 + ((e^(l t) - 1)/l) V^-1 w], for k starts and forcings at T times.

    Args:
        basis: The eigenbasis.
        W: Constant forcing, shape (..., n, k), in state per second.
        X0: Starts, shape (..., n, k).
        times: Shape (T,), in s.

    Returns:
        Shape (..., n, T, k).  Cost O(n^2 T k).
    """
    kind = basis.V.dtype
    rates = basis.values.unsqueeze(-1)
    forcing = basis.V_inverse @ W.to(kind)
    modes = exp_integral(rates, times).unsqueeze(-1) * forcing.unsqueeze(-2)
    if bool(X0.any()):  # from rest, the usual start, half of the exponentials are for nothing
        start = basis.V_inverse @ X0.to(kind)
        modes = modes + torch.exp(rates * times).unsqueeze(-1) * start.unsqueeze(-2)
    flat = modes.flatten(-2)
    states = basis.V @ flat if not basis.V.is_complex() else basis.V.real @ flat.real - basis.V.imag @ flat.imag
    return states.reshape(modes.shape)
