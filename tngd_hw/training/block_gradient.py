"""The natural gradient layer by layer: one die, programmed with the dual form of every layer in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tngd_hw.curvature import GGNFactors, LayerBlock, ggn_factors, layer_blocks
from tngd_hw.outcome import MisuseError
from tngd_hw.training.analog_solver import AnalogSolve, AnalogSolver
from tngd_hw.training.method import Batch, Loss, check_step, fill_gradients
from tngd_hw.training.schedule import AnalogStart

__all__ = ["BlockChip", "BlockGradient"]


@dataclass(frozen=True, eq=False)
class BlockGradient:
    """One block-diagonal natural gradient and how it came about.

    Attributes:
        loss: Batch loss before the update.
        direction: The layers' answers one after the other, shape (N,).
        gradient: The plain gradient g, shape (N,).
        factors: Curvature and gradient of the batch.
        blocks: The layers.
        solves: The chip's runs, one a layer.
    """

    loss: float
    direction: Tensor
    gradient: Tensor
    factors: GGNFactors
    blocks: tuple[LayerBlock, ...]
    solves: tuple[AnalogSolve, ...]

    @property
    def state(self) -> None:
        """None: every layer starts from rest."""
        return

    def curvature(self, v: Tensor) -> Tensor:
        """W_l^T W_l v_l of every layer, shape (N,)."""
        return torch.cat([block.W.mT @ (block.W @ v[block.columns]) for block in self.blocks])

    def log(self) -> Mapping[str, float]:
        """``peak_volt``, the largest of all layers, and ``total_tau_s``, the sum of their time constants."""
        peaks = [float(solve.trajectory.voltage_volt.abs().max()) for solve in self.solves]
        return {"peak_volt": max(peaks), "total_tau_s": sum(solve.loaded.tau for solve in self.solves)}


@dataclass(frozen=True, eq=False)
class BlockChip:
    """A chip of batch * d_z nodes that solves layer after layer, each from rest, for the same analog time.

    Every layer has a time constant of its own: the analog time of a step is t times the sum of them.

    Attributes:
        solver: Die, engine, analog time, noise; ``start`` ZERO and no delay.

    Raises:
        MisuseError: Another start.
    """

    solver: AnalogSolver

    def __post_init__(self) -> None:
        if self.solver.start is not AnalogStart.ZERO:
            raise MisuseError(
                f"start = {self.solver.start.value!r}: one die that serves layer after layer starts at AnalogStart.ZERO"
            )

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> BlockGradient:
        """Fill ``p.grad`` with the answers of the layers; ``state`` is not used.

        Raises:
            MisuseError: What curvature, dual form and chip refuse.
            OutcomeError: The chip gave no usable answer, with the step and the layer.

        Cost: m^2 N to form the matrices (m = batch d_z), and a program and an engine run a layer.
        """
        del state
        factors = ggn_factors(model, loss, batch)
        g = factors.gradient()
        blocks = layer_blocks(model, factors.whitened_jacobian(), factors.u, g)
        answers: list[Tensor] = []
        solves: list[AnalogSolve] = []
        for part, block in enumerate(blocks):
            dual = block.dual_problem(damping)
            solve = self.solver.solve(dual.problem, step, part=part)
            check_step(solve.estimate.status, step, f", layer {block.layer or 'of the model itself'}")
            answers.append(dual.recover(solve.estimate.value))
            solves.append(solve)
        direction = torch.cat(answers)
        fill_gradients(model, direction)
        return BlockGradient(factors.loss, direction, g, factors, blocks, tuple(solves))
