"""One die and one engine as the linear solver of a training loop."""

from __future__ import annotations

from dataclasses import dataclass

from tngd_hw.engines import Engine, Trajectory
from tngd_hw.hardware import Chip
from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem
from tngd_hw.random import derived_seed
from tngd_hw.readout import Estimate, read
from tngd_hw.topologies import LoadedChip, program

__all__ = ["AnalogSolve", "AnalogSolver"]


@dataclass(frozen=True, eq=False)
class AnalogSolve:
    """One use of the chip: what it was programmed with, its voltages, and what was read."""

    loaded: LoadedChip
    trajectory: Trajectory
    estimate: Estimate


@dataclass(frozen=True, eq=False)
class AnalogSolver:
    """A single die, programmed anew at every step and left to relax for a fixed analog time.

    Attributes:
        chip: The die; its deviations stay for the whole training.
        engine: What simulates it.
        duration_tau: Analog time t in units of tau.
        kappa: Injected noise, Cov(x) -> kappa A^-1 at stationarity.
        seed: Seed of the noise; step k draws from a seed derived from it and k.
    """

    chip: Chip
    engine: Engine
    duration_tau: float = 50.0
    kappa: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.duration_tau < float("inf"):
            raise MisuseError(f"duration_tau = {self.duration_tau!r}: expected a finite number above 0")
        if self.chip.chips is not None:
            raise MisuseError(f"chips = {self.chip.chips}: training uses one die; manufacture it without chips")

    def solve(self, problem: LinearProblem, step: int) -> AnalogSolve:
        """Program the die with ``problem``, run it from rest and read the nodes once, at the end.

        Cost: one ``program`` and one engine run.  A failure is in the estimate's status.
        """
        loaded = program(self.chip, problem, seed=self.seed, kappa=self.kappa)
        duration = self.duration_tau * loaded.tau
        seed = derived_seed(self.seed, "training.step", step)
        state = self.engine.init(loaded)
        _, trajectory = self.engine.run(state, duration=duration, seed=seed, times_s=[duration])
        return AnalogSolve(loaded, trajectory, read(trajectory, loaded, seed=seed))
