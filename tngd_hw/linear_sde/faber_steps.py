"""Noise of a non-symmetric operator over times in which its numerical range grows: steps joined exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde.arnoldi import Product, norm
from tngd_hw.linear_sde.faber import Array, NoisePlan, apply_plan, carry_weights, horizon, least_variance, plan_noise
from tngd_hw.linear_sde.numerical_range import Box

__all__ = ["StepPlan", "SteppedNoise", "plan_steps", "stepped_noise"]

_GROWTH_A_STEP, _GROWTH_AT_ONCE = 4.0, 6.0
_DEGREE = 400.0
"""Steps are chosen so short that about this degree suffices; coefficients are computed for half as much again."""

_FEW = 6
"""Up to so many steps are simply done; with more, the decay of the first one is watched."""

_FORGOTTEN, _SAFETY = 0.02, 10.0
"""Part of the tolerance that noise measured to be too old may have, and by how much more it counts in the error."""


@dataclass(frozen=True, eq=False)
class SteppedNoise:
    """A draw of the noise for c = 1 and how good it is.

    Attributes:
        value: Shape (N,), in sqrt(s).
        size: Estimated root mean square of the norm of such a draw.
        relative: Bound of the root mean square error, relative to ``size``.
        products: How many products with F.
    """

    value: Tensor
    size: float
    relative: float
    products: int


@dataclass(frozen=True, eq=False)
class StepPlan:
    """How t is cut.

    Attributes:
        box: Around the numerical range of F.
        noise: The noise of one step.
        h: Length of a step, seconds.
        count: How many reach back to t, or to where everything is forgotten.
        forgotten: Root mean square of a component of the noise before that, in sqrt(s).
        level: l, the least standard deviation that the noise of a step has in any direction, in sqrt(s).
    """

    box: Box
    noise: NoisePlan
    h: float
    count: int
    forgotten: float
    level: float


def plan_steps(box: Box, t: float, tolerance: float, most: int) -> StepPlan:
    """One step, unless the bound e^(right t) is large or the degree would be."""
    level = math.sqrt(least_variance(2.0 * box.left, t))
    reach, forgotten = horizon(box.right, t, 0.1 * tolerance * level)
    count = _steps(box, reach)
    h = reach / count
    degree = min(most, int(1.5 * _DEGREE))
    joined = count > 1
    noise = plan_noise(
        box, h, 0.5 * tolerance if joined else tolerance, degree, exponent=_GROWTH_AT_ONCE if joined else 25.0
    )
    return StepPlan(box, noise, h, count, forgotten, math.sqrt(least_variance(2.0 * box.left, h)))


def stepped_noise(
    product: Product, plan: StepPlan, tolerance: float, *, most: int, draw: Callable[[int], Tensor]
) -> SteppedNoise:
    """x(t) from equal steps of length h:  x <- e^(F h) x + (noise of a step),  x = 0 at first.

    Both terms use the same Faber polynomials, so a step costs about as many products as its noise alone.  The errors
    need no bound of e^(F t), which is of no use where transients grow.  Let Q be the covariance of a step, at least
    l^2 I with l^2 the integral of e^(2 left s) over 0..h.

    Noise: the error of each step has a covariance of at most (eta/l)^2 Q, so that of all steps together has at most
    (eta/l)^2 times the covariance of x, whatever F does to it.

    Carry: step j adds an error d_j of norm at most delta_j norm(x_j), so d_j d_j^T is at most theta_j^2 Q with
    theta_j = delta_j norm(x_j) / l, and by Cauchy and Schwarz all of them together have at most the norm
    sqrt(sum of theta_j^2) times the root mean square norm of x.

    Long times: with right < 0 noise older than a horizon is below the tolerance, and steps before it are not made.
    Beside that a copy y of the first step is carried on without noise (as many products again); once what all terms
    like it could still add is below 0.02 of the tolerance, extrapolated from how y last decayed, x has its stationary
    law.  That is a measurement on one draw, not a bound.  Either way the cost stops growing with t.

    Args:
        product: v -> F v.
        plan: From :func:`plan_steps`.
        tolerance: Wanted error relative to the root mean square norm of x.
        most: Largest number of products.
        draw: Number of vectors -> that many rows of N normal variates.

    Returns:
        A :class:`SteppedNoise`; when the products ran out before t, its error counts what is missing as far as y tells,
        and is infinite where y did not decay.
    """
    run, count, forgotten = _Run(product, plan, tolerance), plan.count, plan.forgotten
    x = run.advance(None, draw, most)
    if count == 1:
        worst = math.sqrt(x.shape[0]) * (plan.noise.error + forgotten)
        return SteppedNoise(x, norm(x), worst / norm(x), run.products)
    y, old, sizes, faded = x, math.inf, [norm(x)], [norm(x)]
    watched = 0 if count <= _FEW else count // 2 if forgotten else count
    for done in range(2, count + 1):
        if run.products >= most or not math.isfinite(sizes[-1]):
            return run.result(x, sizes, _SAFETY * old)
        x = run.advance(x, draw, most)
        sizes.append(norm(x))
        if done <= watched:
            y = run.advance(y, None, most)
            faded.append(norm(y))
            old = _still_to_come(faded)
            if old <= _FORGOTTEN * tolerance * _size(sizes):
                return run.result(x, sizes, _SAFETY * old)
    return run.result(x, sizes, forgotten * math.sqrt(x.shape[0]))


def _steps(box: Box, t: float) -> int:
    """The number of steps with the fewest products, none growing by more than e^4 or of a degree above 400."""
    growth = box.right * t
    least = 1 if growth <= _GROWTH_AT_ONCE else math.ceil(growth / _GROWTH_A_STEP)
    counts = np.unique(np.ceil(least * 1.15 ** np.arange(400.0)))
    degrees = _degree(box, t / counts)
    fits = np.flatnonzero(degrees <= _DEGREE)
    return int(counts[fits[np.argmin((counts * degrees)[fits])]])


def _degree(box: Box, h: Array) -> Array:
    """About: 4 sqrt(width h) of a flat range, and height h more, wider the longer the box is beside its edges."""
    wide = (box.right - box.left) * h
    return 10.0 + 4.0 * np.sqrt(wide) + box.height * h * np.sqrt(1.0 + wide / 16.0)


class _Run:
    """The steps made so far: products spent and squared relative errors."""

    def __init__(self, product: Product, plan: StepPlan, tolerance: float) -> None:
        self.products = 0
        self._product, self._plan, self._level = product, plan.noise, plan.level
        length = 4 * plan.noise.weights.shape[0] + 64
        self._carry, self._beyond, self._rounding = carry_weights(plan.noise.ellipse, plan.h, length)
        self._target, self._squares = 0.3 * tolerance / math.sqrt(min(plan.count, 64)), 0.0

    def advance(self, x: Tensor | None, draw: Callable[[int], Tensor] | None, most: int) -> Tensor:
        """e^(F h) x, plus the noise of a step when ``draw`` is given."""
        weights = self._plan.weights
        rows: list[Tensor] = []
        if draw is not None:
            rows.append(draw(weights.shape[1]))
        if x is not None:
            column, error = self._column(norm(x), most - self.products)
            length = max(column.shape[0], weights.shape[0] if draw is not None else 0)
            parts = [_longer(weights, length)] if draw is not None else []
            weights = torch.cat((*parts, _longer(column.unsqueeze(1), length)), dim=1)
            rows.append(x.unsqueeze(0))
            if draw is not None:
                self._squares += error**2 + (self._rounding * norm(x) / self._level) ** 2 / x.shape[0]
        self.products += weights.shape[0] - 1
        return apply_plan(self._product, NoisePlan(self._plan.ellipse, weights, 0.0), torch.cat(rows))

    def _column(self, size: float, left: int) -> tuple[Tensor, float]:
        """The weights of x and theta, for the lowest degree that reaches the target, if any does."""
        thetas = self._beyond * (size / self._level)
        reached = np.flatnonzero(thetas <= self._target)
        degree = int(reached[0]) if reached.size else len(thetas) - 1
        degree = max(1, min(degree, left))
        return torch.from_numpy(self._carry[: degree + 1]), float(thetas[degree])

    def result(self, x: Tensor, sizes: list[float], older: float) -> SteppedNoise:
        """Put together; ``older`` is the norm of what was left out."""
        size = _size(sizes)
        noise, missing = self._plan.error / self._level, older / size if size > 0.0 else math.inf
        relative = math.sqrt(noise**2 + self._squares) + missing
        return SteppedNoise(x, size, relative if math.isfinite(relative) else math.inf, self.products)


def _longer(weights: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(weights, (0, 0, 0, length - weights.shape[0]))


def _size(sizes: list[float]) -> float:
    """Root mean square over the last half of the steps; the covariance only grows, so it is not too large."""
    last = np.array(sizes[len(sizes) // 2 :])
    return math.sqrt(float(np.mean(last**2)))


def _still_to_come(faded: list[float]) -> float:
    """Norm of the sum of all later terms, if they go on shrinking as over the last half; infinite if they do not."""
    now, before = faded[-1], max(faded[len(faded) // 2 : -1], default=math.inf)
    if now == 0.0:
        return 0.0
    if not now < 0.5 * before or not math.isfinite(before):
        return math.inf
    ratio = (now / before) ** (2.0 / max(1, len(faded) - 1 - len(faded) // 2))
    return now / math.sqrt(1.0 - ratio)
