"""How far a mean from a Krylov subspace is off: its defect, carried on to the end time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tngd_hw.linear_sde.arnoldi import Subspace, norm
from tngd_hw.linear_sde.dense import eig, eigh, eigvals, frobenius
from tngd_hw.linear_sde.mean import state_mean_at
from tngd_hw.linear_sde.system import LinearSDE

__all__ = ["mean_and_error"]

Array = npt.NDArray[np.float64]

_NODES = 6
_LARGEST, _HUGE = 200.0, 1e100
_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


def mean_and_error(space: Subspace, t: float, tolerance: float) -> tuple[Tensor, float]:
    """V y(t) with dy/ds = H y + beta e_1, y(0) = 0, and the estimated norm of its error.

    V y(s) misses the equation by next_norm y_m(s) v_(m+1), y_m the last entry, so the error is at most the integral of
    next_norm |y_m(s)| g(t - s) over 0..t with g(a) the norm of e^(F a).  See :func:`_gains` for g; rounding, times the
    square of the largest g, is added.

    Args:
        space: What the products gave.
        t: Seconds.
        tolerance: Relative error from which on a sharper and dearer g is worth its cost.

    Returns:
        The vector, shape (N,), and its error; infinite where the small solution grows past 1e100.  Cost O(m^3) times
        log(norm(H) t).
    """
    m = space.H.shape[0]
    fractions, weights = _panels(t * float(frobenius(space.H)))
    push = torch.zeros(m, dtype=torch.float64)
    push[0] = space.beta
    small = LinearSDE(space.H, torch.eye(m, dtype=torch.float64))
    path = state_mean_at(small, t * np.append(fractions, 1.0), u=push)
    value = space.basis @ path[-1].to(space.basis.device)
    if not bool(torch.isfinite(path).all()) or float(path.abs().max()) > _HUGE:
        return value, math.inf
    pieces = t * weights * space.next_norm * path[:-1, -1].abs().numpy()
    size = norm(path[-1])
    gains = _gains(space, t * fractions[::-1], pieces, tolerance * size)
    return value, float(pieces @ gains) + _ROUNDING * float(gains.max()) ** 2 * size


def _gains(space: Subspace, waits: Array, pieces: Array, goal: float) -> Array:
    """An estimate of the norm of e^(F a) at the waits a (falling), from what the subspace knows of F.

    e^(r a) with r the largest eigenvalue of the symmetric part of H, not counted as decay.  Where that is not good
    enough: the norm of e^(H a) itself, which knows of decay and of transients, times e^(d a); d is by how much the
    right edge of the spectrum may lie beyond that of H, from the residuals of its eigenpairs.
    """
    H, symmetric = space.H, bool((space.H - space.H.mT).abs().max() <= 1e-8 * space.H.abs().max())
    values, axes = eigh(0.5 * (H + H.mT))
    plain = _exponential(max(0.0, float(values[-1])) * waits)
    if float(pieces @ plain) <= goal and float(plain.max()) < math.e:
        return plain
    if symmetric:
        edge = float((values + space.next_norm * axes[-1].abs()).max())
        return np.minimum(plain, _exponential(min(edge, float(values[-1])) * waits) if edge < 0.0 else plain)
    slowest = float(eigvals(H).real.max())
    if float(pieces @ _exponential(min(0.0, slowest) * waits)) > goal:
        return plain
    rates, vectors = eig(H)
    edge = float((rates.real + space.next_norm * vectors[-1].abs()).max())
    growth = np.log(_norms(H, waits)) + max(0.0, edge - slowest) * waits
    return np.minimum(plain, _exponential(growth))


def _norms(H: Tensor, waits: Array) -> Array:
    """The norm of e^(H a), or a little more, at every third wait and the last; between them the larger neighbour."""
    last = waits.shape[0] - 1
    some = np.array([*range(0, last, 3), last], dtype=np.int64)
    rising, identity = waits[some][::-1].copy(), torch.eye(H.shape[0], dtype=torch.float64)
    powers = state_mean_at(LinearSDE(H), rising, x0=identity).abs()
    norms = (powers.sum(-1).amax(-1) * powers.sum(-2).amax(-1)).sqrt().clamp_min(1e-300).numpy()[::-1]
    after = np.searchsorted(some, np.arange(last + 1, dtype=np.int64))
    return np.maximum(norms[after], norms[np.maximum(after - 1, 0)])


def _exponential(exponent: Array) -> Array:
    return np.exp(np.minimum(exponent, _LARGEST))


def _panels(stiffness: float) -> tuple[Array, Array]:
    """Gauss points and weights on 0..1, on panels that halve towards both ends: symmetric about 1/2."""
    count = math.ceil(math.log2(max(2.0, min(stiffness, 1e15)))) + 2
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    edges = np.append(0.0, 0.5 ** np.arange(count, 0, -1.0))
    lengths = np.diff(edges)[:, None]
    left = (edges[:-1, None] + 0.5 * lengths * (1.0 + nodes)).ravel()
    part = (0.5 * lengths * weights).ravel()
    return np.concatenate((left, 1.0 - left[::-1])), np.concatenate((part, part[::-1]))
