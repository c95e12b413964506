r"""Natural gradients under K-FAC: digitally, or from two small circuits a layer.

A layer's factored system (G + sqrt(lambda)/pi I) X (A + pi sqrt(lambda) I) = V is two linear problems with several
right-hand sides.  On one die, programmed anew for each,

    first circuit    (A/pi + sqrt(lambda) I) y = (a row of V),        out runs of d_A nodes:      Y^T = V F_A(t)
    second circuit   (pi G + sqrt(lambda) I) x = (a column of Y^T),   d_A runs of d_G nodes:      X = F_G(t) V F_A(t)

with the filter F_Z(t) = (1 - e^(-Z t/tau)) Z^-1 of a relaxation from rest.  The factors are brought to one scale by pi
(:meth:`tngd_hw.curvature.KFACBlock.damped_factors`), so that both relax with the same average rate, none slower than
sqrt(lambda)/tau, and the answer at finite t does not depend on the units of inputs and outputs.  Every right-hand side
is driven at length 1 and its answer multiplied back: converters and noise act on all alike, and the injected noise
kappa is relative to that drive.  An entry that is small beside others of its own right-hand side gains nothing by it.

A batch of fewer rows r than the layer has inputs, A = a^T a/rows and V = g^T a, has a dual form (KFACForm.DUAL), exact
at every time because F_A(t) a^T = a^T F_K(t) with K = a a^T/(rows pi) + sqrt(lambda) I:

    first circuit    K y = (a column of g),                           d_G runs of ``rows`` nodes:       Y = F_K(t) g
    second circuit   (pi G + sqrt(lambda) I) x = (a column of Y^T),   ``rows`` runs of d_G nodes:       X = F_G(t) Y^T a

A layer of 1152 x 32 with its bias and a batch of 8 is 32 runs of 8 nodes and 8 of 32, in the place of 32 of 1153 and
1153 of 32.  Noise and errors of the chip reach X through a.

EXACT damping has no such form: G X A + lambda X = V does not factor into two systems.
Source of the scheme: K. Donatella and others, arXiv 2502.08603 (thermodynamic K-FAC).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from tngd_hw.curvature import Fisher, KFACBlock, KFACDamping, KFACFactors, kfac_factors
from tngd_hw.engines import Ngspice, PySpice
from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem
from tngd_hw.random import derived_seed
from tngd_hw.training.analog_solver import AnalogSolve, AnalogSolver
from tngd_hw.training.digital_gradient import DigitalGradient
from tngd_hw.training.method import Batch, Loss, check_step, fill_gradients
from tngd_hw.training.schedule import AnalogStart

__all__ = ["KFACChip", "KFACForm", "KFACGradient", "KFACMethod", "KFACSolve", "kfac_solve"]


class KFACForm(enum.Enum):
    """What stands on the chip for the factor A of a layer.

    FACTOR: A itself, d_A nodes.
    DUAL: One node a row of the batch, where there are fewer of them than d_A; else A itself.
    """

    FACTOR = "factor"
    DUAL = "dual"


@dataclass(frozen=True, eq=False)
class KFACSolve:
    """One layer on the chip.

    Attributes:
        X: The answer, shape (d_G, d_A).
        first: Runs with the factor A, one right-hand side a row of V; or with its dual, one a column of g.
        second: Runs with the factor G, one right-hand side a column of A, or a row of the batch in the dual form.

    A single entry holds all right-hand sides, or, of the engines that write decks, each entry holds one.
    """

    X: Tensor
    first: tuple[AnalogSolve, ...]
    second: tuple[AnalogSolve, ...]


@dataclass(frozen=True, eq=False)
class KFACGradient:
    """One K-FAC natural gradient from a chip and how it came about.

    Attributes:
        loss: Batch loss before the update.
        direction: The layers' answers in the order of the parameters, shape (N,).
        gradient: The plain gradient g, shape (N,).
        factors: Kronecker factors of the batch.
        solves: The chip's runs, one pair a layer.
    """

    loss: float
    direction: Tensor
    gradient: Tensor
    factors: KFACFactors
    solves: tuple[KFACSolve, ...]

    @property
    def state(self) -> None:
        """None: every circuit starts from rest."""
        return

    def curvature(self, v: Tensor) -> Tensor:
        """(G (x) A) v layer by layer, shape (N,)."""
        return self.factors.product(v)

    def log(self) -> Mapping[str, float]:
        """``peak_volt``, the largest of all runs, ``runs``, and ``total_tau_s``, their time constants summed."""
        used = [solve for pair in self.solves for solve in pair.first + pair.second]
        runs = [float(solve.estimate.value[0].numel()) for solve in used]
        return {
            "peak_volt": max(float(solve.trajectory.voltage_volt.abs().max()) for solve in used),
            "runs": sum(runs),
            "total_tau_s": sum(count * solve.loaded.tau for count, solve in zip(runs, used, strict=True)),
        }


@dataclass(frozen=True)
class KFACMethod:
    """K-FAC on a digital computer.

    Attributes:
        rule: Where lambda is added.
        fisher: Which curvature (see :func:`tngd_hw.curvature.kfac_factors`).
        samples: Draws a sample of the batch, of Fisher.MONTE_CARLO.
        seed: Of the draws; every step draws anew.
    """

    rule: KFACDamping = KFACDamping.FACTORED
    fisher: Fisher = Fisher.TRUE
    samples: int = 1
    seed: int = 0

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> DigitalGradient:
        """Fill ``p.grad``; ``state`` is not used.

        Raises:
            MisuseError: What ``kfac_factors`` refuses, a damping not above 0.
            OutcomeError: A damping too small for float64, with the layer.

        Cost: that of ``kfac_factors``, and of a ``KFACBlock.solve`` a layer.
        """
        del state
        factors = kfac_factors(model, loss, batch, fisher=self.fisher, samples=self.samples, seed=self.seed, use=step)
        direction = factors.direction(damping, self.rule)
        fill_gradients(model, direction)
        return DigitalGradient(factors.loss, direction, factors.gradient(), factors.product)


@dataclass(frozen=True, eq=False)
class KFACChip:
    """One die that solves two circuits a layer, layer after layer, every right-hand side from rest for the same time.

    It needs as many nodes as the largest factor has rows.  Every circuit has a time constant of its own; the runs of a
    step are sum_l (d_G + d_A).  In the dual form ``min(d_A, rows)`` stands for d_A, in the nodes and in the runs.

    Attributes:
        solver: Die, engine, analog time, noise; ``start`` ZERO.
        fisher: Which curvature (see :func:`tngd_hw.curvature.kfac_factors`).
        form: What stands on the chip for A.
        samples: Draws a sample of the batch, of Fisher.MONTE_CARLO; their seed is the solver's.

    Raises:
        MisuseError: Another start.
    """

    solver: AnalogSolver
    fisher: Fisher = Fisher.TRUE
    form: KFACForm = KFACForm.FACTOR
    samples: int = 1

    def __post_init__(self) -> None:
        if self.solver.start is not AnalogStart.ZERO:
            raise MisuseError(
                f"start = {self.solver.start.value!r}: one die that serves factor after factor starts at "
                "AnalogStart.ZERO"
            )

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> KFACGradient:
        """Fill ``p.grad`` with the answers of the layers; ``state`` is not used.

        Raises:
            MisuseError: What ``kfac_factors`` and the chip refuse, a damping not above 0.
            OutcomeError: The chip gave no usable answer, with the step, the layer and the factor.

        Cost: that of ``kfac_factors``, and a program and an engine run a factor; of engines that write decks, a
        program and an engine run a right-hand side.
        """
        del state
        seed = self.solver.seed
        factors = kfac_factors(model, loss, batch, fisher=self.fisher, samples=self.samples, seed=seed, use=step)
        solves = tuple(
            kfac_solve(self.solver, block, damping=damping, step=step, number=number, form=self.form)
            for number, block in enumerate(factors.blocks)
        )
        direction = factors.vector([solve.X for solve in solves])
        fill_gradients(model, direction)
        return KFACGradient(factors.loss, direction, factors.gradient(), factors, solves)


def kfac_solve(
    solver: AnalogSolver,
    block: KFACBlock,
    *,
    damping: float,
    step: int = 0,
    number: int = 0,
    form: KFACForm = KFACForm.FACTOR,
) -> KFACSolve:
    """X = F_G(t) V F_A(t) of one layer, from two circuits on one die.

    Args:
        solver: Die, engine, analog time and noise.
        block: The layer.
        damping: lambda > 0.
        step: Number of the training step.
        number: Of the layer; only noise depends on it and on the step.
        form: What stands on the chip for A.

    Raises:
        MisuseError: damping not above 0, what the chip refuses.
        OutcomeError: The chip gave no usable answer, with the step, the layer and the factor.
    """
    A, G = block.damped_factors(damping)
    layer = f", layer {block.layer or 'of the model itself'}"
    K = block.damped_dual_factor(damping) if form is KFACForm.DUAL else None
    rows = None if K is None else block.rows
    problem = LinearProblem(A, block.V.mT) if K is None or rows is None else LinearProblem(K, rows.g)
    Y, first = _columns(solver, problem, step=step, part=2 * number, where=f"{layer}, factor A")
    X, second = _columns(solver, LinearProblem(G, Y.mT), step=step, part=2 * number + 1, where=f"{layer}, factor G")
    return KFACSolve(X if rows is None else X @ rows.a, first, second)


def _columns(
    solver: AnalogSolver, problem: LinearProblem, *, step: int, part: int, where: str
) -> tuple[Tensor, tuple[AnalogSolve, ...]]:
    """F(t) B for the right-hand sides B of the problem, shape (n, k), each driven at length 1."""
    assert problem.b is not None
    lengths = cast("Tensor", torch.linalg.vector_norm(problem.b, dim=0))
    B = problem.b / torch.where(lengths > 0, lengths, 1.0)
    uses: list[tuple[Tensor, int]] = [(B, part)]
    if isinstance(solver.engine, Ngspice | PySpice):  # a deck has one right-hand side
        uses = [(column, derived_seed(part, "kfac.column", k)) for k, column in enumerate(B.T)]
    solves: list[AnalogSolve] = []
    for b, use in uses:
        solves.append(solver.solve(LinearProblem(problem.A, b), step, part=use))
        check_step(solves[-1].estimate.status, step, where)
    answers = [solve.estimate.value.reshape(len(B), -1) for solve in solves]
    return torch.cat(answers, dim=1) * lengths, tuple(solves)
