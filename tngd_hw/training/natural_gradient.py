"""The natural gradient of a batch, read from a chip, in the place of the gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from tngd_hw.curvature import GGNFactors, ggn_factors, trainable_parameters, unflatten_like
from tngd_hw.outcome import OutcomeError, Status
from tngd_hw.topologies import DualProblem, dual_problem
from tngd_hw.training.analog_solver import AnalogSolve, AnalogSolver

__all__ = ["NaturalGradient", "natural_gradient"]


@dataclass(frozen=True, eq=False)
class NaturalGradient:
    """One natural gradient and how it came about.

    Attributes:
        loss: Batch loss before the update.
        direction: x, shape (N,): the answer to (J^T H J + lambda I) x = g at the analog time t.
        factors: Curvature and gradient of the batch.
        dual: The problem that the chip was given.
        solve: The chip's run.
    """

    loss: float
    direction: Tensor
    factors: GGNFactors
    dual: DualProblem
    solve: AnalogSolve


def natural_gradient(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    solver: AnalogSolver,
    *,
    damping: float,
    step: int = 0,
) -> NaturalGradient:
    """Fill ``p.grad`` of every trainable parameter with the natural gradient; any torch optimizer can take the step.

    The curvature is the generalized Gauss-Newton matrix of the batch; the chip solves its dual form, of
    batch * d_z unknowns, and x = W^T y is exact at every analog time (see ``tngd_hw.topologies.dual``).

    Args:
        model: A torch module.
        loss: For example ``torch.nn.CrossEntropyLoss()``.
        batch: Inputs and targets.
        solver: Die, engine, analog time and noise.
        damping: lambda > 0, added to the curvature matrix.
        step: Number of the step; only noise depends on it.

    Raises:
        MisuseError: What curvature, dual form or chip refuse.
        OutcomeError: The chip gave no usable answer (saturated, unstable, simulator failed ...), with the step.
    """
    factors = ggn_factors(model, loss, batch)
    dual = dual_problem(factors.whitened_jacobian(), factors.u, damping)
    solve = solver.solve(dual.problem, step)
    status = solve.estimate.status
    if not status.ok:
        raise OutcomeError(Status(status.outcome, f"at training step {step}: {status.detail}"))
    direction = dual.recover(solve.estimate.value)
    parameters = trainable_parameters(model)
    for name, gradient in unflatten_like(direction, model).items():
        parameters[name].grad = gradient
    return NaturalGradient(factors.loss, direction, factors, dual, solve)
