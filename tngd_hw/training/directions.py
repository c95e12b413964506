"""Digital natural gradients: x with (G + lambda I) x = g, by conjugate gradients, by the dual form, by Cholesky.

A matrix that rounding has made indefinite raises OutcomeError (singular).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from tngd_hw.curvature import GGNFactors, GGNOperator
from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status

__all__ = ["ConjugateGradient", "conjugate_gradient", "dense", "woodbury"]


@dataclass(frozen=True, eq=False)
class ConjugateGradient:
    """What conjugate gradients found.

    Attributes:
        direction: x, shape (N,), float64.
        iterations: Curvature products after the first residual.
        residual: |g - (G + lambda I) x| / |g|, as the recurrence carries it; 0 when g = 0.
        status: Not OK when the residual is above the tolerance.
    """

    direction: Tensor
    iterations: int
    residual: float
    status: Status


def conjugate_gradient(
    operator: GGNOperator, *, max_iterations: int, tolerance: float = 0.0, start: Tensor | None = None
) -> ConjugateGradient:
    """NGD-CG: at most ``max_iterations`` of Hestenes and Stiefel's method on (G + lambda I) x = g.

    Written in torch, not scipy, so that vectors stay on the operator's device and the residual is reported.

    Args:
        operator: Damped curvature of the batch, lambda > 0.
        max_iterations: c >= 1.
        tolerance: Stop at this relative residual; 0 runs all iterations, OK if finite.
        start: Where to begin, shape (N,), for example the last step's direction; zero by default.

    Raises:
        MisuseError: A damping of 0, a count below 1, a tolerance outside [0, 1), a start of another shape.

    Cost: one curvature product an iteration, one more with a start; four vectors of N.
    """
    _check_damping(operator.damping)
    if max_iterations < 1:
        raise MisuseError(f"max_iterations = {max_iterations!r}: give 1 or more")
    if not 0 <= tolerance < 1:
        raise MisuseError(f"tolerance = {tolerance!r}: give a relative residual from 0 to below 1")
    g = operator.gradient()
    if start is not None and start.shape != g.shape:
        raise MisuseError(f"start has shape {tuple(start.shape)}: this operator takes {tuple(g.shape)}")
    x = torch.zeros_like(g) if start is None else start.detach().to(g).clone()
    r = g.clone() if start is None else g - operator.apply(x)
    size = math.sqrt(float(g @ g))
    p, square, target = r.clone(), float(r @ r), tolerance * size
    iterations = 0
    while iterations < max_iterations and square**0.5 > target:
        Ap = operator.apply(p)
        step = square / float(p @ Ap)
        x, r = x + step * p, r - step * Ap
        before, square = square, float(r @ r)
        p = r + (square / before) * p
        iterations += 1
    residual = square**0.5 / size if size > 0 else square**0.5
    if residual <= tolerance or (tolerance == 0 and math.isfinite(residual)):
        return ConjugateGradient(x, iterations, residual, Status())
    detail = f"residual {residual:.3g} after {iterations} iterations, above {tolerance:g}"
    advice = "allow more iterations, or raise the damping"
    return ConjugateGradient(x, iterations, residual, Status(Outcome.NOT_SETTLED, detail, advice))


def woodbury(factors: GGNFactors, *, damping: float) -> Tensor:
    """x = W^T (W W^T + lambda I)^-1 u, shape (N,), lambda > 0.  Cost: (batch d_z)^2 N and (batch d_z)^3 / 3."""
    _check_damping(damping)
    W = factors.whitened_jacobian()
    return W.mT @ _cholesky_solve(W @ W.mT, factors.u, damping)


def dense(factors: GGNFactors, *, damping: float, largest: int = 5000) -> Tensor:
    """x by Cholesky of G + lambda I, shape (N,).  Cost: N^3 / 3 and 16 N^2 bytes; N above ``largest`` is refused."""
    _check_damping(damping)
    n = factors.parameter_count
    if n > largest:
        raise MisuseError(
            f"N = {n}: dense takes up to {largest} parameters ({16e-9 * n * n:.3g} GB here); use woodbury"
        )
    return _cholesky_solve(factors.ggn_matrix(), factors.gradient(), damping)


def _cholesky_solve(matrix: Tensor, b: Tensor, damping: float) -> Tensor:
    matrix.diagonal().add_(damping)
    root, flag = cast("tuple[Tensor, Tensor]", torch.linalg.cholesky_ex(matrix))
    if int(flag) != 0:
        raise OutcomeError(Status(Outcome.SINGULAR, f"with damping {damping:g} the matrix is not positive definite"))
    return torch.cholesky_solve(b[:, None], root)[:, 0]


def _check_damping(damping: float) -> None:
    if not 0 < damping < float("inf"):
        raise MisuseError(f"damping = {damping!r}: expected a finite number above 0")
