"""The error of a chip against its number of samples: a sampling part that falls, and a floor that stays.

    e(N)^2 = floor^2 + c/N

The floor is the systematic error of the analog parts; -log2(floor) is the analog precision in bits, and beyond the
knee N* = c/floor^2 more samples bring little.  e^2 is linear in floor^2 and in c, so both come from weighted linear
least squares.  Weights: 1/Var(e^2), from the given standard errors or, without them, of equal relative size (the
scatter of the points then gives the size); both use the fitted curve, since weights from the points themselves would
favour those that happen to be low.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from tngd_hw.outcome import MisuseError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ErrorLawFit", "fit_error_law", "plot_error_law"]

_PASSES = 20
_LEVEL = 0.95

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class ErrorLawFit:
    """A fitted error law.

    Attributes:
        floor: Error that no number of samples removes, 0 or more; 0 where the best fit has none.
        floor_stderr: Its standard error; infinite at floor 0.
        floor_upper: The floor is below this with 95 % probability.
        floor_resolved: True where floor^2 is above 0 with 95 % probability; otherwise only ``floor_upper`` says much.
        c: Sampling part: e^2 = c/N for few samples.
        c_stderr: Its standard error.
    """

    floor: float
    floor_stderr: float
    floor_upper: float
    floor_resolved: bool
    c: float
    c_stderr: float

    @property
    def knee(self) -> float:
        """N* = c/floor^2, where both parts are equal; infinite without a floor."""
        return self.c / self.floor**2 if self.floor > 0.0 else math.inf

    @property
    def bits(self) -> float:
        """Analog precision -log2(floor) of a relative error; where the floor is not resolved: at least so many."""
        floor = self.floor if self.floor_resolved else self.floor_upper
        return -math.log2(floor) if floor > 0.0 else math.inf

    def error(self, count: ArrayLike) -> Vector:
        """e(N)."""
        return np.sqrt(self.floor**2 + self.c / np.asarray(count, dtype=np.float64))

    def __str__(self) -> str:
        """One line."""
        if self.floor_resolved:
            floor = (
                f"floor {self.floor:.3g} ± {self.floor_stderr:.1g} ({self.bits:.1f} bits), knee at N = {self.knee:.3g}"
            )
        else:
            floor = f"floor not resolved, below {self.floor_upper:.3g} (at least {self.bits:.1f} bits)"
        return f"{floor}, c = {self.c:.4g} ± {self.c_stderr:.1g}"


def fit_error_law(count: ArrayLike, error: ArrayLike, stderr: ArrayLike | None = None) -> ErrorLawFit:
    """Fit sqrt(floor^2 + c/N) to measured root-mean-square errors.

    Args:
        count: N, positive, shape (K,), at least two different ones.
        error: Errors, positive, shape (K,).
        stderr: Their standard errors, positive, shape (K,); None: equal in relative size and taken from the scatter of
            the points about the curve, which needs three of them.

    Returns:
        An :class:`ErrorLawFit`.  Cost: 20 least-squares problems of two unknowns.

    Raises:
        MisuseError: Shapes that do not fit, numbers that are not positive, too few points.
    """
    N, measured = _positive(count, "count"), _positive(error, "error")
    given = None if stderr is None else _positive(stderr, "stderr")
    for field, value in (("error", measured), ("stderr", given)):
        if value is not None and value.shape != N.shape:
            raise MisuseError(f"{field} has shape {value.shape} and count {N.shape}: give one number a point")
    fewest = 3 if given is None else 2
    if N.size < fewest or np.unique(N).size < 2:
        raise MisuseError(f"count has {N.size} points: a floor and a slope need {fewest} at 2 different N or more")
    both = np.stack((np.ones_like(N), 1.0 / N), axis=1)
    solution, covariance, quantile = _fit(both, measured, given)
    square, variance = float(solution[0]), float(covariance[0, 0])
    spread = math.sqrt(variance)
    resolved = bool(square > quantile * spread)
    upper = math.sqrt(max(square, 0.0) + quantile * spread)
    if square <= 0.0:
        solution, covariance, _ = _fit(both[:, 1:], measured, given)
        return ErrorLawFit(0.0, math.inf, upper, False, float(solution[0]), math.sqrt(float(covariance[0, 0])))
    floor = math.sqrt(square)
    return ErrorLawFit(
        floor, spread / (2.0 * floor), upper, resolved, float(solution[1]), math.sqrt(float(covariance[1, 1]))
    )


def _fit(design: Vector, measured: Vector, stderr: Vector | None) -> tuple[Vector, Vector, float]:
    """Coefficients of e^2, their covariance, and the one-sided 95 % quantile that goes with it."""
    target, model = measured**2, measured**2
    solution = covariance = np.empty(0)
    for _ in range(_PASSES):
        size = model if stderr is None else 2.0 * np.sqrt(model) * stderr
        rows = design / size[:, None]
        scale = np.sqrt(np.sum(rows**2, axis=0))
        values = cast("Vector", np.linalg.lstsq(rows / scale, target / size, rcond=None)[0])
        solution = values / scale
        normal = (rows / scale).T @ (rows / scale)
        covariance = cast("Vector", np.linalg.inv(normal)) / np.outer(scale, scale)
        # A fit that crosses zero gives no weight: fall back on the point there.
        fitted = design @ solution
        model = np.where(fitted > 0.1 * target, fitted, target)
    if stderr is not None:
        return solution, covariance, cast("float", stdtrit(math.inf, _LEVEL))
    degrees = len(target) - design.shape[1]
    scatter = float(np.sum(((target - design @ solution) / model) ** 2)) / degrees
    quantile = cast("float", stdtrit(degrees, _LEVEL))
    return solution, scatter * covariance, quantile


def plot_error_law(
    ax: Axes, count: ArrayLike, error: ArrayLike, fit: ErrorLawFit, *, stderr: ArrayLike | None = None
) -> Axes:
    """Draw measured relative errors against N, the fitted law and its two parts, on logarithmic axes.

    Args:
        ax: Where to draw.
        count: N of every point.
        error: Relative error of every point.
        fit: From :func:`fit_error_law`.
        stderr: Standard errors of the points, drawn as bars.

    Returns:
        ``ax``.
    """
    N, measured = _positive(count, "count"), _positive(error, "error")
    line = np.geomspace(float(N.min()) / 1.5, float(N.max()) * 1.5, 200)
    ax.loglog(line, np.sqrt(fit.c / line), color="#6b6b6b", lw=1.2, ls="--", label="sampling part sqrt(c/N)")
    if fit.floor_resolved:
        label = f"floor {fit.floor:.2g} ({fit.bits:.1f} bits)"
        ax.axhline(fit.floor, color="#d55e00", lw=1.2, ls=":", label=label)
    else:
        label = f"floor below {fit.floor_upper:.2g} (95 %)"
        ax.axhline(fit.floor_upper, color="#d55e00", lw=1.2, ls=":", label=label)
    ax.loglog(line, fit.error(line), color="#0072b2", lw=1.8, label="fit sqrt(floor² + c/N)")
    bars = None if stderr is None else _positive(stderr, "stderr")
    ax.errorbar(N, measured, bars, fmt="o", ms=5, color="#1a1a1a", capsize=2, label="measured")
    ax.set(xlabel="number of samples N", ylabel="relative error [1]", xlim=(line[0], line[-1]))
    ax.grid(True, which="major", color="#e3e3e3", lw=0.8)
    ax.set_axisbelow(True)
    ax.legend()
    return ax


def _positive(value: ArrayLike, field: str) -> Vector:
    array = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if array.ndim != 1:
        raise MisuseError(f"{field} has shape {array.shape}: give a vector, one number a point")
    wrong = np.flatnonzero(~(np.isfinite(array) & (array > 0.0)))
    if wrong.size:
        raise MisuseError(f"{field}[{wrong[0]}] = {array[wrong[0]]}: give positive numbers")
    return array
