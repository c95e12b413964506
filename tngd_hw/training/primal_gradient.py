"""The natural gradient from a chip with one node a parameter: for small networks, any topology, any hardware."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tngd_hw.curvature import GGNFactors, ggn_factors
from tngd_hw.problem import LinearProblem
from tngd_hw.training.analog_solver import AnalogSolver
from tngd_hw.training.method import Batch, Loss, check_damping, check_step, fill_gradients
from tngd_hw.training.natural_gradient import ChipGradient
from tngd_hw.training.schedule import AnalogStart

__all__ = ["PrimalChip"]


@dataclass(frozen=True, eq=False)
class PrimalChip:
    """A chip of N nodes that holds A = J^T H J + lambda I itself: as one matrix, or as arrays of J, H and J^T.

    ``three_array`` gets the factors, every other topology the dense matrix.  With ``AnalogStart.PREVIOUS`` the
    *voltages* stay on the capacitors from step to step; a new matrix may come with another voltage scale v0, and the
    device then starts at another x.

    Attributes:
        solver: Die of N nodes, engine, analog time, start, delay, readouts, noise.
    """

    solver: AnalogSolver

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> ChipGradient:
        """Fill ``p.grad`` with x(t) of the chip; ``state`` are the nodes' voltages, in V.

        Raises:
            MisuseError: A damping not above 0, and what curvature and chip refuse.
            OutcomeError: The chip gave no usable answer, with the step.

        Cost: batch d_z N^2 to form A, one program (N^3) and one engine run.
        """
        check_damping(damping)
        factors, solver = ggn_factors(model, loss, batch), self.solver
        g = factors.gradient()
        x0 = g if solver.start is AnalogStart.GRADIENT or state is None else None
        if solver.start is AnalogStart.ZERO:
            x0, state = None, None
        problem = _problem(solver.chip.topology, factors, g, damping)
        solve = solver.solve(problem, step, x0=x0, x0_volt=None if x0 is not None else state)
        check_step(solve.estimate.status, step)
        direction = solve.estimate.value
        fill_gradients(model, direction)
        return ChipGradient(factors.loss, direction, g, solve.trajectory.final_volt, factors, solve)


def _problem(topology: str, factors: GGNFactors, g: Tensor, damping: float) -> LinearProblem:
    if topology == "three_array":
        return LinearProblem.from_factors(factors.J, factors.H, damping, g)
    G = factors.ggn_matrix()
    symmetric = (G + G.mT) / 2
    symmetric.diagonal().add_(damping)
    return LinearProblem(symmetric, g)
