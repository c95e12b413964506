r"""Levenberg-Marquardt: a damping that follows how well the quadratic model predicts the loss.

    rho = (l(theta + p) - l(theta)) / (q(p) - q(0)),     q(p) - q(0) = g . p + p . G p/2

rho above the threshold a: the model is trusted, lambda falls by the factor alpha < 1; rho below 1 - a: it rises by
1/alpha.  The curvature G is undamped.  A model that predicts no fall at all (q(p) - q(0) >= 0) is not trusted.
Source: arXiv 2405.13817, Appendix A, Eqs. 20 and 21, which states no constants; 3/4 and 2/3 are those usual since
J. Martens, Deep learning via Hessian-free optimization, ICML 2010.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from tngd_hw.outcome import MisuseError

__all__ = ["LevenbergMarquardt", "reduction_ratio"]


@dataclass(frozen=True)
class LevenbergMarquardt:
    """The rule.

    Attributes:
        threshold: a, between 1/2 and 1.
        factor: alpha, between 0 and 1.
        smallest: Lower bound of lambda; the analog time constant of the flattest direction is tau/lambda.
        largest: Upper bound of lambda.

    Raises:
        MisuseError: A number out of range.
    """

    threshold: float = 0.75
    factor: float = 2.0 / 3.0
    smallest: float = 1e-6
    largest: float = 1e3

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold < 1:
            raise MisuseError(f"threshold = {self.threshold!r}: expected a number from 0.5 to below 1")
        if not 0 < self.factor < 1:
            raise MisuseError(f"factor = {self.factor!r}: expected a number between 0 and 1")
        if not 0 < self.smallest <= self.largest < math.inf:
            raise MisuseError(
                f"smallest = {self.smallest!r}, largest = {self.largest!r}: expected 0 < smallest <= largest"
            )

    def updated(self, damping: float, rho: float) -> float:
        """The next lambda; a rho that is NaN (the loss was) counts as a bad step."""
        if rho > self.threshold:
            damping *= self.factor
        elif not rho >= 1 - self.threshold:
            damping /= self.factor
        return min(max(damping, self.smallest), self.largest)


def reduction_ratio(
    curvature: Callable[[Tensor], Tensor], g: Tensor, p: Tensor, loss_before: float, loss_after: float
) -> float:
    """rho of the step p.

    Args:
        curvature: v -> G v, undamped, shape (N,).
        g: Gradient at the old parameters, shape (N,).
        p: The step that was taken, shape (N,).
        loss_before: l(theta) of the batch.
        loss_after: l(theta + p) of the same batch.

    Returns:
        rho; -infinity where the model predicts no fall.

    Cost: one curvature product.
    """
    predicted = float(g @ p + 0.5 * (p @ curvature(p)))
    return (loss_after - loss_before) / predicted if predicted < 0 else -math.inf
