"""A chip used for many right-hand sides of one matrix, one settled run a column."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.engines import Engine
from tngd_hw.hardware import Chip
from tngd_hw.outcome import Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import derived_seed
from tngd_hw.readout.read import read
from tngd_hw.readout.settling import settling_time
from tngd_hw.topologies import program

__all__ = ["ColumnRunner"]

_SETTLED = 1e-6
"""Every run lasts until the slowest mode of its circuit has decayed to this."""


@dataclass
class ColumnRunner:
    """One die, and what its runs have cost so far.

    Attributes:
        chip: The die.
        engine: What simulates it.
        seed: Seed of the runs; every run derives its own.
        runs: Runs so far.
        analog_s: Seconds of analog time in all of them.
        tau_s: Time unit of the first matrix.
    """

    chip: Chip
    engine: Engine
    seed: int
    runs: int = 0
    analog_s: float = 0.0
    tau_s: float = 0.0

    def solve(self, problem: LinearProblem) -> tuple[Tensor, Status]:
        """A^-1 b of every column of b, shape (n, k), on one programming of the die; NaN where the status is not OK."""
        assert problem.b is not None
        loaded = program(self.chip, problem, seed=self.seed)
        state = self.engine.init(loaded)
        if not state.status.ok:
            return torch.full_like(problem.b, torch.nan), state.status
        duration = settling_time(loaded, _SETTLED)
        columns: list[Tensor] = []
        for column in problem.b.T:
            seed = derived_seed(self.seed, "column.run", self.runs)
            _, run = self.engine.run(state, duration=duration, b=column, seed=seed, times_s=[duration])
            if not run.status.ok:
                return torch.full_like(problem.b, torch.nan), run.status
            columns.append(read(run, loaded, seed=seed).value)
            self.runs += 1
            self.analog_s += duration
        self.tau_s = self.tau_s or loaded.tau
        return torch.stack(columns, dim=1), Status()
