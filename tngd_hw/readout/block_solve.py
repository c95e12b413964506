"""A x = b with more unknowns than the chip has nodes: block elimination, and digital refinement of what it leaves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.engines import Engine
from tngd_hw.hardware import Chip
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.readout.columns import ColumnRunner
from tngd_hw.readout.refinement import residual_step
from tngd_hw.topologies.blocks import block_sizes, schur_complement, top_block

__all__ = ["BlockSolution", "block_solve"]


@dataclass(frozen=True, eq=False)
class BlockSolution:
    """What came of it.

    Attributes:
        value: x, shape (n,); NaN where a block failed.
        status: OK, or that of the first block that failed.
        blocks: Sizes of the blocks.
        runs: Runs of the chip.
        residuals: |b - A x|/|b| after the elimination and after every refinement.
        analog_s: Seconds of analog time in all runs.
        tau_s: Time unit of the first block.
    """

    value: Tensor
    status: Status
    blocks: tuple[int, ...]
    runs: int
    residuals: tuple[float, ...]
    analog_s: float
    tau_s: float


def block_solve(
    chip: Chip, problem: LinearProblem, engine: Engine, *, refinements: int = 1, seed: int = 0
) -> BlockSolution:
    """Solve a problem of any size on a chip of ``chip.nodes`` nodes.

    Args:
        chip: A single die.
        problem: A dense problem with one right-hand side.
        engine: What simulates the chip.
        refinements: Times the elimination is repeated for the digital residual b - A x: each multiplies the error by
            about the relative error of the chip's own answers.
        seed: Seed of the runs.

    Returns:
        A BlockSolution.  Cost: n - size + 1 runs a block (its coupling columns and the right-hand side), times
        1 + refinements.

    Raises:
        MisuseError: A batch of chips, no right-hand side or several, refinements below 0.
    """
    if chip.chips is not None:
        raise MisuseError(f"chips = {chip.chips}: block_solve uses one die; manufacture it without chips")
    if problem.b is None or problem.b.ndim != 1:
        raise MisuseError("block_solve takes a problem with one right-hand side b of shape (n,)")
    if isinstance(refinements, bool) or refinements < 0:
        raise MisuseError(f"refinements = {refinements!r}: expected an integer of 0 or more")
    A, b = problem.dense_matrix(), problem.b
    sizes, runner = block_sizes(problem.n, chip.nodes), ColumnRunner(chip, engine, seed)
    x, status = torch.zeros_like(b), Status()
    residuals: list[float] = []
    size, entry = _norm(b), float(A.abs().max())

    def eliminated(c: Tensor) -> tuple[Tensor, Status]:
        step, ended = _eliminate(A, c[:, None], sizes, runner)
        return step.squeeze(1), ended

    for _ in range(1 + refinements):  # beside the coupling columns a small residual would drown in offsets: unit entry
        x, status = residual_step(A, b, x, eliminated, entry)
        residuals.append(_norm(b - A @ x) / size if size > 0 else 0.0)
        if not status.ok:
            break
    return BlockSolution(x, status, sizes, runner.runs, tuple(residuals), runner.analog_s, runner.tau_s)


def _norm(vector: Tensor) -> float:
    return float(vector.square().sum().sqrt())


def _eliminate(A: Tensor, b: Tensor, sizes: tuple[int, ...], runner: ColumnRunner) -> tuple[Tensor, Status]:
    """x of A x = b, shape (n, 1), the first block of rows on the chip, the rest by itself."""
    block = top_block(A, b, sizes[0])
    Z, status = runner.solve(block.problem)
    if not status.ok or len(sizes) == 1:
        return torch.cat([Z[:, -1:], torch.full_like(b[sizes[0] :], torch.nan)]), status
    below, status = _eliminate(*schur_complement(A, b, Z), sizes[1:], runner)
    return torch.cat([Z[:, -1:] - Z[:, :-1] @ below, below]), status
