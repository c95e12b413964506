"""The natural gradient of a batch, read from a chip that solves its dual form, in the place of the gradient."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from tngd_hw.curvature import GGNFactors, ggn_factors
from tngd_hw.topologies import DualProblem, dual_problem, output_dual_problem
from tngd_hw.training.analog_solver import AnalogSolve, AnalogSolver
from tngd_hw.training.method import Batch, Loss, check_step, fill_gradients
from tngd_hw.training.schedule import AnalogStart

__all__ = ["ChipGradient", "DualChip", "DualForm", "NaturalGradient", "natural_gradient"]


class DualForm(enum.Enum):
    """Which small system stands on the chip; see ``tngd_hw.topologies.dual``.

    SYMMETRIC: W W^T + lambda I with W = H^(1/2) J.
    OUTPUT: H J J^T + lambda I, not symmetric, with bounded voltages for confident mistakes.
    """

    SYMMETRIC = "symmetric"
    OUTPUT = "output"


@dataclass(frozen=True, eq=False)
class ChipGradient:
    """One natural gradient of one run of a chip, and how it came about.

    Attributes:
        loss: Batch loss before the update.
        direction: x, shape (N,): the answer to (J^T H J + lambda I) x = g at the analog time t.
        gradient: The plain gradient g, shape (N,).
        state: What the device still holds when the next matrix arrives, in the form's own units, shape (N,).
        factors: Curvature and gradient of the batch.
        solve: The chip's run.
    """

    loss: float
    direction: Tensor
    gradient: Tensor
    state: Tensor
    factors: GGNFactors
    solve: AnalogSolve

    def curvature(self, v: Tensor) -> Tensor:
        """J^T H J v, shape (N,)."""
        return self.factors.product(v)

    def log(self) -> Mapping[str, float]:
        """``v0_volt``, ``tau_s`` and ``peak_volt`` of the chip."""
        return {
            "v0_volt": self.solve.loaded.scales.voltage_volt,
            "tau_s": self.solve.loaded.tau,
            "peak_volt": float(self.solve.trajectory.voltage_volt.abs().max()),
        }


@dataclass(frozen=True, eq=False)
class NaturalGradient(ChipGradient):
    """From the dual form; ``state`` is x when the next matrix arrives.

    Attributes:
        dual: The problem that the chip was given.
    """

    dual: DualProblem


@dataclass(frozen=True, eq=False)
class DualChip:
    """A chip of batch * d_z nodes that solves the dual form: x = R^T y is exact at every analog time.

    A start is loaded by the reset: x0 = g, or the last step's x, makes one more node (``tngd_hw.topologies.dual``).

    Attributes:
        solver: Die, engine, analog time, start, noise.
        form: Which dual form.
    """

    solver: AnalogSolver
    form: DualForm = DualForm.SYMMETRIC

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> NaturalGradient:
        """See :func:`natural_gradient`."""
        return natural_gradient(
            model, loss, batch, self.solver, damping=damping, form=self.form, state=state, step=step
        )


def natural_gradient(
    model: nn.Module,
    loss: Loss,
    batch: Batch,
    solver: AnalogSolver,
    *,
    damping: float,
    form: DualForm = DualForm.SYMMETRIC,
    state: Tensor | None = None,
    step: int = 0,
) -> NaturalGradient:
    """Fill ``p.grad`` of every trainable parameter with the natural gradient; any torch optimizer can take the step.

    The curvature is the generalized Gauss-Newton matrix of the batch; the chip solves its dual form, of
    batch * d_z unknowns, and x = R^T y is exact at every analog time (see ``tngd_hw.topologies.dual``).

    Args:
        model: A torch module.
        loss: For example ``torch.nn.CrossEntropyLoss()``.
        batch: Inputs and targets.
        solver: Die, engine, analog time, start and noise.
        damping: lambda > 0, added to the curvature matrix.
        form: Which dual form.
        state: Where the device is, shape (N,); asked for by ``AnalogStart.PREVIOUS``, None at the first step.
        step: Number of the step; only noise depends on it.

    Raises:
        MisuseError: What curvature, dual form or chip refuse.
        OutcomeError: The chip gave no usable answer (saturated, unstable, simulator failed ...), with the step.
    """
    factors = ggn_factors(model, loss, batch)
    gradient = factors.gradient()
    x0 = _start(solver.start, gradient, state)
    if form is DualForm.SYMMETRIC:
        dual = dual_problem(factors.whitened_jacobian(), factors.u, damping, x0)
    else:
        dual = output_dual_problem(factors.J, factors.H, factors.r, damping, x0)
    solve = solver.solve(dual.problem, step, x0=None if x0 is None else dual.start)
    check_step(solve.estimate.status, step)
    direction = dual.recover(solve.estimate.value)
    after = dual.recover(solve.loaded.unknowns(solve.trajectory.final_volt))
    fill_gradients(model, direction)
    return NaturalGradient(factors.loss, direction, gradient, after, factors, solve, dual)


def _start(start: AnalogStart, gradient: Tensor, state: Tensor | None) -> Tensor | None:
    if start is AnalogStart.ZERO:
        return None
    return gradient if start is AnalogStart.GRADIENT or state is None else state
