"""Matrix-free systems: exact samples of the noise from products with the drift, symmetric or not."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde.arnoldi import Arnoldi, Product, Subspace, norm
from tngd_hw.linear_sde.dense import eigh
from tngd_hw.linear_sde.faber_steps import plan_steps, stepped_noise
from tngd_hw.linear_sde.krylov import KrylovResult, check_limits, result
from tngd_hw.linear_sde.modal import exp_integral
from tngd_hw.linear_sde.numerical_range import box_around
from tngd_hw.linear_sde.tensors import as_duration, check_generator
from tngd_hw.outcome import MisuseError, Outcome, Status

__all__ = ["krylov_noise"]

_STRIDE = 10
_ROUNDING, _COARSE_ROUNDING = 1e-8, 1e-5
"""Relative asymmetry that counts as rounding: of float64 products, and of float32 ones, which a tolerance of 1e-5 or
more may have (1.3e-6 was seen in a training)."""


def krylov_noise(
    product: Product,
    t: float,
    *,
    size: int,
    noise: float,
    generator: np.random.Generator,
    adjoint: Product | None = None,
    tolerance: float = 1e-6,
    max_products: int | None = None,
) -> KrylovResult:
    """Draw the noise at t of dx = F x dt + sqrt(c) dW from x = 0, covariance c times the integral of e^(F s) e^(F^T s).

    Symmetric F (``adjoint`` left out):  sqrt(c f(F)) z with f(l) = (e^(2 l t) - 1)/(2 l) and z of N normal variates, by
    Lanczos from z.  The error is estimated from the change over the last ten products and the rate at which these
    changes shrink.

    Any F (``adjoint`` given): no function of F times one normal vector has this covariance, so the integral of
    e^(F s) dW(s) itself is expanded in Faber polynomials of an ellipse around the numerical range of F, with jointly
    normal coefficient vectors of exactly known covariance (:func:`tngd_hw.linear_sde.faber.plan_noise`).  It converges
    for every F.  The ellipse comes from Lanczos with the symmetric and the antisymmetric part.  The error is a bound
    of its root mean square over all draws, as certain as the ellipse is; usually far too high.

    Where the symmetric part of F has a positive eigenvalue (transients grow), and over long times, t is cut into steps
    that are joined exactly, with the same bound.  Once all that is older is forgotten the draw has the stationary law,
    and the cost no longer grows with t (:func:`tngd_hw.linear_sde.faber_steps.stepped_noise`).  An unstable F is drawn
    up to t.

    Adding :func:`krylov_mean` gives a sample of x(t).

    Args:
        product: v -> F v.
        t: Seconds, positive.
        size: N.
        noise: c, in state^2 per second.
        generator: Where the normal variates come from: N numbers, or r N a step (r about 10
            to 60).
        adjoint: v -> F^T v; left out, F is symmetric (its asymmetry along the way is checked).
        tolerance: Wanted error, relative to the 2-norm of the result (to its root mean square where t is cut).
        max_products: Stop after so many products, of both kinds, whatever the error; left out, 600 with symmetric F
            (each is a vector to be kept), 6000 otherwise.

    Returns:
        A :class:`KrylovResult`.  Symmetric: m products, O(N m^2), memory N m numbers.  Otherwise 50 to 480 products for
        the ellipse, then as many as the degree: about sqrt(16 width t) for a flat ellipse, height * t for a tall one,
        up to about 400, and so on for every step; O(N r) beside each, memory N r numbers.

    Raises:
        MisuseError: F is not symmetric and no adjoint is given, an adjoint of something else, arguments out of range.

    Source: V. Druskin and L. Knizhnerman, USSR Comput. Math. 29 (1989) 112, for Lanczos; see ``faber`` for the rest.
    """
    seconds = as_duration(t, "t")
    most = max_products if max_products is not None else 600 if adjoint is None else 6000
    check_limits(tolerance, most)
    check_generator(generator)
    if not 0.0 <= noise < math.inf:
        raise MisuseError(f"noise = {noise}: a variance per second is finite and not negative")
    if size < 1:
        raise MisuseError(f"size = {size}: give at least 1 state")
    if noise == 0.0:
        return KrylovResult(torch.zeros(size, dtype=torch.float64), 0.0, 0, Status())
    if adjoint is None:
        z = torch.from_numpy(generator.standard_normal(size))
        root = math.sqrt(noise)
        return _symmetric(product, root * z, seconds, tolerance, most)
    rounding = max(0.1 * _ROUNDING, 1e-3 * tolerance)
    box = box_around(product, adjoint, size, most // 2, 1.0 / seconds, rounding=rounding)
    left = max(1, most - box.products)

    def draw(rows: int) -> Tensor:
        return torch.from_numpy(generator.standard_normal((rows, size)))

    plan = plan_steps(box, seconds, tolerance, left)
    drawn = stepped_noise(product, plan, tolerance, most=left, draw=draw)
    root, products = math.sqrt(noise), box.products + drawn.products
    return result(root * drawn.value, root * drawn.relative * drawn.size, products, tolerance, root * drawn.size)


def _symmetric(product: Product, z: Tensor, t: float, tolerance: float, max_products: int) -> KrylovResult:
    shots: list[Tensor] = []
    best = KrylovResult(torch.zeros_like(z), math.inf, 0, Status(Outcome.NOT_SETTLED, "no product was made"))
    for space in Arnoldi(product, z, max_products):
        m = space.H.shape[0]
        if m % _STRIDE and space.next_norm > 0.0 and m < max_products:
            continue
        shots.append(_coordinates(space, t, asymmetry=_COARSE_ROUNDING if tolerance >= _COARSE_ROUNDING else _ROUNDING))
        error = 0.0 if space.next_norm == 0.0 else _extrapolated_error(shots)
        best = result(space.basis @ shots[-1], error, m, tolerance)
        if best.status.ok:
            break
    return best


def _coordinates(space: Subspace, t: float, *, asymmetry: float) -> Tensor:
    size = float(space.H.abs().max())
    if float((space.H - space.H.mT).abs().max()) > asymmetry * size:
        raise MisuseError("product is not symmetric: give v -> F^T v as adjoint too")
    rates, axes = eigh(0.5 * (space.H + space.H.mT))
    spread = exp_integral(2.0 * rates, torch.tensor(t, dtype=torch.float64)).sqrt()
    return space.beta * ((axes * spread) @ axes[0]).to(space.basis.device)


def _extrapolated_error(shots: list[Tensor]) -> float:
    """Sum of the changes still to come if they go on shrinking as they last did; infinite before three shots."""
    if len(shots) < 3:
        return math.inf
    older, old, new = shots[-3:]
    before, now = norm(_padded(older, old) - old), norm(_padded(old, new) - new)
    ratio = max(now / before, 0.1) if before > 0.0 else 0.1
    return now if ratio <= 0.5 else (now * ratio / (1.0 - ratio) if ratio < 1.0 else math.inf)


def _padded(short: Tensor, long: Tensor) -> Tensor:
    return torch.cat((short, torch.zeros(long.shape[0] - short.shape[0], dtype=short.dtype, device=short.device)))
