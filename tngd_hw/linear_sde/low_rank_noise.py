"""Noise of low-rank systems: the action of the covariance at t, and exact samples, in O(N r)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde.augment import blocks
from tngd_hw.linear_sde.balance import balancing_scale, scaled_norm
from tngd_hw.linear_sde.dense import eigh, identity
from tngd_hw.linear_sde.doubling import TERMS
from tngd_hw.linear_sde.low_rank import LowRankSDE, divided_difference, low_rank_mean
from tngd_hw.linear_sde.modal import exp_integral
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_duration, check_generator, real_tensor
from tngd_hw.linear_sde.transition import Transition, transition
from tngd_hw.outcome import MisuseError

__all__ = ["low_rank_covariance_action", "low_rank_sample"]

_NODES = 12
"""Gauss points over the first small step; with a norm of 1/2 they are exact to rounding."""


def low_rank_covariance_action(system: LowRankSDE, t: float, vectors: ArrayLike) -> Tensor:
    """P(t) z for the covariance P(t) of x(t) from a known start, without forming it.

    Args:
        system: The system.
        t: Seconds, positive.
        vectors: z, shape (N,) or (N, k).

    Returns:
        Same shape.  Cost O(N r k) after O(N r^2 + r^3 log(norm t)).

    Raises:
        MisuseError: t is not positive, shapes that do not fit.
    """
    given = real_tensor(vectors, "vectors", system.U.device)
    if given.ndim not in (1, 2) or given.shape[0] != system.n_states:
        raise MisuseError(f"vectors has shape {tuple(given.shape)}: it has to be ({system.n_states},) or with columns")
    z, seconds = given.reshape(system.n_states, -1), as_duration(t, "t")
    law = _isotropic_law(system, seconds)
    total = law.level * z + _sandwich(system, law.inner, z)
    if system.extra_noise.shape[1]:
        step = _extra_step(system, seconds)
        seen = torch.cat((system.extra_noise.mT @ z, system.U.mT @ z))
        total = total + _spread(system, step.covariance @ seen)
    return total.reshape(given.shape)


def low_rank_sample(
    system: LowRankSDE,
    t: float,
    *,
    x0: ArrayLike | None = None,
    w: ArrayLike | None = None,
    generator: np.random.Generator,
) -> Tensor:
    """Draw x(t) from its exact law, given x(0) = x0.  Repeat from the result for a path.

    Args:
        system: The system.
        t: Seconds, positive.
        x0: State at time 0, shape (N,); zero when left out.
        w: Constant forcing, shape (N,); zero when left out.
        generator: Where the N + r + q normal variates come from.

    Returns:
        Shape (N,), no gradient flows.  The isotropic noise is sqrt(g) (I + Z K Z^T) times N normal variates with
        Z = [U V]: see :func:`_root`.  Cost O(N r) after O(N r^2 + r^3 log(norm t)).

    Raises:
        MisuseError: t is not positive, shapes that do not fit, no generator.
    """
    check_generator(generator)
    state = low_rank_mean(system, [as_duration(t, "t")], x0=x0, w=w)[0]
    if system.noise > 0.0:
        level, root = _level_and_root(system, float(t))
        z = torch.from_numpy(generator.standard_normal((system.n_states, 1))).to(system.U.device)
        state = state + level**0.5 * (z + _sandwich(system, root, z)).squeeze(1)
    if system.extra_noise.shape[1]:
        step = _extra_step(system, float(t))
        normals = torch.from_numpy(generator.standard_normal((step.root.shape[-1], 1))).to(system.U.device)
        state = state + _spread(system, step.root @ normals).squeeze(1)
    return state


@dataclass(frozen=True, eq=False)
class _Law:
    """Covariance level * I + Z inner Z^T, with Z = [U V] (Z = U in the symmetric case)."""

    level: float
    inner: Tensor


def _isotropic_law(system: LowRankSDE, t: float) -> _Law:
    """P = c times the integral of e^(F s) e^(F^T s), with e^(F s) = e^(-s0 s) I - U K(s) V^T."""
    level = _level(system, t)
    if system.symmetric:
        return _Law(level, system.noise * _symmetric_inner(system, t))
    X, Y = _moments(system, t)
    zero = torch.zeros_like(X)
    return _Law(level, system.noise * torch.cat((torch.cat((Y, -X), 1), torch.cat((-X.mT, zero), 1))))


def _symmetric_inner(system: LowRankSDE, t: float) -> Tensor:
    """Divided difference of (1 - e^(-2 a t)) / (2 a), as a matrix."""
    axes = system.modes[1]
    time = torch.tensor([t], dtype=torch.float64, device=axes.device)
    return (axes * divided_difference(system, time, 2.0)) @ axes.mT


def _level(system: LowRankSDE, t: float) -> float:
    rate = torch.tensor(-2.0 * system.rate, dtype=torch.float64)
    return system.noise * float(exp_integral(rate, torch.tensor(t, dtype=torch.float64)))


def _level_and_root(system: LowRankSDE, t: float) -> tuple[float, Tensor]:
    """The isotropic part g and K of :func:`_root`.

    In a symmetric system all matrices share the eigenvectors of M, so k = n/(1 + sqrt(1 + l n)) needs no new ones.
    """
    level = _level(system, t)
    if not system.symmetric:
        return level, _root(system, _isotropic_law(system, t))
    values, axes = system.modes
    time = torch.tensor([t], dtype=torch.float64, device=axes.device)
    n = (system.noise / level) * divided_difference(system, time, 2.0)[0]
    return level, (axes * (n / (1.0 + (1.0 + values * n).clamp_min(0.0).sqrt()))) @ axes.mT


def _moments(system: LowRankSDE, t: float) -> tuple[Tensor, Tensor]:
    """X = integral of e^(-s tau) K(tau) and Y = integral of K(tau) V^T V K(tau)^T over 0..t.

    K(tau) = integral of e^(-(s + M)(tau - a)) e^(-s a) da.  Gauss points on a first step h, then doubling with
    a = e^(-s h), e = e^(-(s + M) h), g = integral of e^(-2 s tau) over 0..h:
    X <- X + a (e X + g K),  Y <- Y + e Y e^T + e X G K^T + (e X G K^T)^T + g K G K^T,  K <- e K + a K.
    """
    scale = balancing_scale(system.slope)
    norm = max(float(scaled_norm(system.slope, scale)), abs(system.rate))
    h, count = t, 0
    while norm * h > 0.5:
        h, count = h / 2.0, count + 1
    gram = system.gram_right
    single, double, kernel = _first_moments(system, h)
    e = identity(system.rank, gram.device) * float(np.exp(-system.rate * h)) - kernel @ system.core
    for _ in range(count):
        a = math.exp(min(-system.rate * h, 700.0))
        g = -math.expm1(min(-2.0 * system.rate * h, 700.0)) / (2.0 * system.rate) if system.rate else h
        moved, fed = e @ single, gram @ kernel.mT
        mixed = moved @ fed
        double = double + e @ double @ e.mT + mixed + mixed.mT + g * (kernel @ fed)
        single = single + a * (moved + g * kernel)
        kernel, e, h = e @ kernel + a * kernel, e @ e, 2.0 * h
    return single, 0.5 * (double + double.mT)


def _first_moments(system: LowRankSDE, h: float) -> tuple[Tensor, Tensor, Tensor]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    points = [0.5 * h * float(1.0 + node) for node in nodes]
    kernels = _kernels(system, [*points, h])
    single, double = torch.zeros_like(system.core), torch.zeros_like(system.core)
    for point, weight, kernel in zip(points, weights, kernels, strict=False):
        single = single + 0.5 * h * float(weight) * float(np.exp(-system.rate * point)) * kernel
        double = double + 0.5 * h * float(weight) * (kernel @ system.gram_right @ kernel.mT)
    return single, double, kernels[-1]


def _kernels(system: LowRankSDE, times: list[float]) -> list[Tensor]:
    """K(tau) = e^(-s tau) times the integral of e^(-M a) over 0..tau, by its series, norm of M tau at most about 1."""
    term = identity(system.rank, system.core.device)
    totals = [torch.zeros_like(term) for _ in times]
    for j in range(TERMS + 3):
        for total, tau in zip(totals, times, strict=True):
            total.add_(term, alpha=tau ** (j + 1))
        term = (system.core @ term) / -(j + 2.0)
    return [float(np.exp(-system.rate * tau)) * total for total, tau in zip(totals, times, strict=True)]


def _root(system: LowRankSDE, law: _Law) -> Tensor:
    """K with (I + Z K Z^T)^2 = I + Z N Z^T:  K = N/2 - N T [2 (1 + sqrt(1 + D))^2]^-1 T^T N.

    T T^T = Z^T Z from its eigen-decomposition and D = T^T N T.  Nothing is divided by an eigenvalue of the Gram matrix,
    so factors with dependent columns lose nothing (an orthonormal basis of them would).
    """
    N = law.inner / law.level
    gram = torch.cat((torch.cat((system.gram_left, system.core.mT), 1), torch.cat((system.core, system.gram_right), 1)))
    values, axes = eigh(gram)
    T = axes * values.clamp_min(0.0).sqrt()
    inner = T.mT @ N @ T
    shifts, turned = eigh(0.5 * (inner + inner.mT))
    weight = -0.5 / (1.0 + (1.0 + shifts).clamp_min(0.0).sqrt()).square()
    left = N @ T @ turned
    return 0.5 * N + (left * weight) @ left.mT


def _sandwich(system: LowRankSDE, inner: Tensor, z: Tensor) -> Tensor:
    """Z inner Z^T z."""
    if system.symmetric:
        return system.U @ (inner @ (system.U.mT @ z))
    r = system.rank
    small = inner @ torch.cat((system.U.mT @ z, system.V.mT @ z))
    return system.U @ small[:r] + system.V @ small[r:]


def _extra_step(system: LowRankSDE, t: float) -> Transition:
    """The extra noise reaches x as N alpha + U beta: a small system of q + r states."""
    q, r = system.extra_noise.shape[1], system.rank
    one = identity(q, system.U.device)
    F = blocks(((-system.rate * one, (q, r)), (-(system.V.mT @ system.extra_noise), -system.slope)))
    return transition(LinearSDE(F, B=torch.cat((one, torch.zeros((r, q), dtype=torch.float64, device=one.device)))), t)


def _spread(system: LowRankSDE, small: Tensor) -> Tensor:
    q = system.extra_noise.shape[1]
    return system.extra_noise @ small[:q] + system.U @ small[q:]
