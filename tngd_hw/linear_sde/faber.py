"""Noise of a non-symmetric operator as a sum of Faber polynomials of it, applied to normal vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tngd_hw.linear_sde.arnoldi import Product, checked_product
from tngd_hw.linear_sde.numerical_range import Box

__all__ = ["Array", "Ellipse", "NoisePlan", "apply_plan", "carry_weights", "horizon", "least_variance", "plan_noise"]

Array = npt.NDArray[np.float64]

_NODES = 16
_EPSILON = float(np.finfo(np.float64).eps)
_LARGEST_EXPONENT = 25.0


@dataclass(frozen=True)
class Ellipse:
    """Half axes ``wide`` (real direction) and ``tall`` around ``centre`` on the real line; all in 1/s.

    Its boundary is z(w) = centre + (wide + tall)/2 (w + kappa/w), |w| = 1, kappa = (wide - tall)/(wide + tall).
    """

    centre: float
    wide: float
    tall: float

    @property
    def kappa(self) -> float:
        """1 for a piece of the real line, 0 for a disc, -1 for a piece of a vertical line."""
        return (self.wide - self.tall) / (self.wide + self.tall)

    def coefficients(self, times: Array, length: int) -> Array:
        """c_k(s) of e^(z s) = sum_k c_k(s) F_k(z), shape (len(times), length), by a fast Fourier transform."""
        w = np.exp(1j * np.pi * np.arange(length + 1) / length)  # the other half of the circle is the conjugate
        boundary = np.outer(times, self.centre + 0.5 * (self.wide + self.tall) * (w + self.kappa / w))
        values = np.exp(np.minimum(boundary.real, 300.0) + 1j * boundary.imag)
        return np.fft.hfft(values, n=2 * length, axis=1)[:, :length] / (2 * length)


@dataclass(frozen=True, eq=False)
class NoisePlan:
    """x = sum_k F_k(F) sum_i weights[k, i] xi_i with r independent normal vectors xi_i.

    Attributes:
        ellipse: Holds the numerical range of F.
        weights: Shape (degree + 1, r), in sqrt(s).
        error: Bound of the root mean square of the error of one component of x, for unit noise, in sqrt(s).
    """

    ellipse: Ellipse
    weights: Tensor
    error: float


def plan_noise(box: Box, t: float, tolerance: float, most: int, *, exponent: float = _LARGEST_EXPONENT) -> NoisePlan:
    """Write  x = integral of e^(F s) dW(s) over 0..t  with polynomials of F and independent normal vectors.

    With e^(z s) = sum_k c_k(s) F_k(z), F_k the Faber polynomials of an ellipse,  x = sum_k F_k(F) zeta_k  where the
    vectors zeta_k = integral of c_k dW are Gaussian with covariance (integral of c_k c_l ds) I.  A singular value
    decomposition of c_k(s_q) sqrt(w_q) at Gauss points of short panels gives them from r independent vectors.  When the
    ellipse holds the numerical range, the 2-norm of F_k(F) is at most 2: so the terms left out weigh at most
    tail(s) = 2 sum_(k > degree) |c_k(s)|, and the root mean square error is that of the integral of tail^2, plus that
    of the singular values left out, of noise older than the horizon (see :func:`horizon`) and of rounding.

    Args:
        box: Around the numerical range of F.
        t: Seconds.
        tolerance: Wanted error of x relative to the root mean square of x.
        most: Largest degree.
        exponent: How far e^(z t) may grow on the ellipse; each unit costs rounding a factor of e.

    Returns:
        A :class:`NoisePlan`.  The degree is about sqrt(16 width t) for a flat ellipse, height * t for a tall one.

    Source: B. Beckermann, C. R. Acad. Sci. Paris I 340 (2005) 855, for the bound of 2.
    """
    level = math.sqrt(least_variance(2.0 * box.left, t))
    target = 0.1 * tolerance * level / math.sqrt(t)
    ellipse, need = _best_ellipse(box, t, target, (most, exponent))
    times, weights = _panels(t, ellipse, most)
    length = _length(min(most, int(need) + 1))
    c = ellipse.coefficients(times, length)
    beyond = 2.0 * np.cumsum(np.abs(c[:, ::-1]), axis=1)[:, ::-1]
    tails = np.sqrt(weights @ beyond**2)
    degree = min(most, max(1, int(np.argmax(np.append(tails, 0.0) <= 0.3 * tolerance * level)) - 1))
    left, values, _ = np.linalg.svd(c[:, : degree + 1].T * np.sqrt(weights), full_matrices=False)
    sizes = 2.0 * np.abs(left).sum(0) * values
    dropped = np.sqrt(np.append(np.cumsum(sizes[::-1] ** 2)[::-1], 0.0))
    rank = max(1, int(np.argmax(dropped <= 0.1 * tolerance * level)))
    rounding = 2.0 * _EPSILON * (degree + 1) * math.sqrt(float(weights @ np.abs(c).sum(1) ** 2))
    tail = float(tails[degree + 1]) if degree + 1 < length else math.inf
    error = tail + float(dropped[rank]) + rounding
    return NoisePlan(ellipse, torch.from_numpy(left[:, :rank] * values[:rank]), error)


def apply_plan(product: Product, plan: NoisePlan, normals: Tensor) -> Tensor:
    """The sum of the plan by Clenshaw's recurrence:  b_k = d_k + M b_(k+1) - kappa b_(k+2), M = 2 (F - c)/(a + b).

    Args:
        product: v -> F v.
        plan: What to sum.
        normals: xi, shape (r, N).

    Returns:
        x, shape (N,).  Cost ``degree`` products and O(N r) each.
    """
    c, kappa = plan.ellipse.centre, plan.ellipse.kappa
    scale = 2.0 / (plan.ellipse.wide + plan.ellipse.tall)
    flat = normals.reshape(normals.shape[0], -1)
    older = newer = torch.zeros_like(normals[0])
    for k in range(plan.weights.shape[0] - 1, 0, -1):
        moved = older if k == plan.weights.shape[0] - 1 else _moved(product, newer, c, scale)
        fresh = (plan.weights[k] @ flat).reshape(newer.shape)
        older, newer = newer, fresh + moved - kappa * older
    return (plan.weights[0] @ flat).reshape(newer.shape) + _moved(product, newer, c, scale) - 2.0 * kappa * older


def _moved(product: Product, vector: Tensor, centre: float, scale: float) -> Tensor:
    return scale * (checked_product(product, vector) - centre * vector)


def carry_weights(ellipse: Ellipse, h: float, length: int) -> tuple[Array, Array, float]:
    """e^(F h) x = sum_k c_k F_k(F) x: the c_k, what is left out after each degree, and the rounding, per norm of x.

    Args:
        ellipse: Holds the numerical range of F.
        h: Seconds.
        length: Number of coefficients to look at; those that are rounding are left out.
    """
    c = ellipse.coefficients(np.array([h]), length)[0]
    size = np.abs(c)
    real = int(np.flatnonzero(size > 4.0 * _EPSILON * size.max())[-1]) + 1  # what follows is rounding
    c, size = c[:real], size[:real]
    beyond = 2.0 * (np.cumsum(size[::-1])[::-1] - size)
    return c, beyond, 2.0 * _EPSILON * math.sqrt(length) * float(size.sum())


def least_variance(rate: float, t: float) -> float:
    """Integral of e^(rate s) over 0..t; with rate = 2 left, noise over t has at least this variance everywhere."""
    return t if rate == 0.0 else math.expm1(min(600.0, rate * t)) / rate


def horizon(right: float, t: float, small: float) -> tuple[float, float]:
    """How far back to look, and the root mean square of the noise before that.

    The norm of e^(F s) is at most e^(right s): with right < 0, noise older than T adds e^(right T)/sqrt(-2 right).
    """
    if right >= 0.0:
        return t, 0.0
    far = math.log(small * math.sqrt(-2.0 * right)) / right
    return (far, small) if 0.0 < far < t else (t, 0.0)


def _best_ellipse(box: Box, t: float, target: float, limits: tuple[int, float]) -> tuple[Ellipse, float]:
    """The ellipse around the box that needs the lowest degree, and that; wide ones are flatter but reach far right."""
    most, exponent = limits
    half, centre = 0.5 * (box.right - box.left), 0.5 * (box.right + box.left)
    largest = 2.0 * max(half, box.height, 1.0 / t)
    times, length = t * 0.5 ** np.arange(6, dtype=np.float64), _length(most)
    best, least = Ellipse(centre, half + largest, largest), math.inf
    for more in np.geomspace(0.1 / t, largest, 32):
        wide = half + float(more)
        tall = box.height / math.sqrt(1.0 - (half / wide) ** 2)
        ellipse = Ellipse(centre, wide, tall)
        if least < math.inf and (centre + wide) * t > exponent:
            break
        beyond = 2.0 * np.cumsum(np.abs(ellipse.coefficients(times, length)[:, ::-1]), axis=1)[:, ::-1].max(0)
        reached = beyond <= target
        need = float(np.argmax(reached)) if reached.any() else length + math.log1p(float(beyond[min(most, length - 1)]))
        if need < least:
            best, least = ellipse, need
    return best, min(least, float(length))


def _panels(t: float, ellipse: Ellipse, most: int) -> tuple[Array, Array]:
    """Gauss points and weights on panels that grow from the fast end, at most 8 radians of phase or growth each."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    speed = max(abs(ellipse.centre) + ellipse.wide + ellipse.tall, 1.0 / t)
    longest = max(8.0 / max(ellipse.tall, ellipse.centre + ellipse.wide, 1e-300), 4.0 * t / most)
    edges = [0.0]
    while edges[-1] < t:
        edges.append(min(t, edges[-1] + min(longest, max(1.0 / speed, edges[-1]))))
    lengths = np.diff(edges)
    times = (np.array(edges[:-1])[:, None] + 0.5 * lengths[:, None] * (1.0 + nodes)).ravel()
    return times, (0.5 * lengths[:, None] * weights).ravel()


def _length(most: int) -> int:
    """Coefficients computed: a power of two, at least twice the largest degree."""
    return 2 ** math.ceil(math.log2(2 * most + 64))
