"""One die and one engine as the linear solver of a training loop."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tngd_hw.engines import Engine, EngineState, Trajectory
from tngd_hw.hardware import Chip
from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem
from tngd_hw.random import derived_seed
from tngd_hw.readout import Estimate, read
from tngd_hw.topologies import LoadedChip, program
from tngd_hw.training.schedule import AnalogSchedule, AnalogStart

__all__ = ["AnalogSolve", "AnalogSolver"]


@dataclass(frozen=True, eq=False)
class AnalogSolve:
    """One use of the chip: what it was programmed with, its voltages, and what was read.

    Attributes:
        loaded: The die with this problem.
        trajectory: Its voltages (of the run with b, if there are two); the last ones stand on the capacitors when the
            next problem arrives.
        estimate: What the readouts say, averaged.
        engine_s: Wall time of the engine, from its ``init`` to the end of its ``run``.
        processor_s: Processor time of the same, of this process and of simulators that it started and that have ended.
    """

    loaded: LoadedChip
    trajectory: Trajectory
    estimate: Estimate
    engine_s: float
    processor_s: float


@dataclass(frozen=True, eq=False)
class AnalogSolver:
    """A single die, programmed anew at every step and left to relax for a fixed analog time.

    Attributes:
        chip: The die; its deviations stay for the whole training.
        engine: What simulates it.
        duration_tau: Analog time t in units of tau.
        kappa: Injected noise, Cov(x) -> kappa A^-1 at stationarity.
        seed: Seed of noise and write errors; step k draws from seeds derived from it and k.
        start: Where a relaxation starts; what that means is the form's to say.
        readouts: Number M of readouts that are averaged, the first at t.
        spacing_tau: Time between two readouts.
        delay_tau: Time t_d for which the device stays on the old matrix after the last readout.
        chopped: Run twice, with b and with -b, start included, and take half the difference of what is read.  All that
            does not change its sign with b cancels: offsets and bias currents of amplifiers, offsets of converters.
            Costs twice the analog time, and halves the variance of the noise.

    Raises:
        MisuseError: A batch of dies, a chopped device that is not reset, and what :class:`AnalogSchedule` refuses.
    """

    chip: Chip
    engine: Engine
    duration_tau: float = 50.0
    kappa: float = 0.0
    seed: int = 0
    start: AnalogStart = AnalogStart.ZERO
    readouts: int = 1
    spacing_tau: float = 1.0
    delay_tau: float = 0.0
    chopped: bool = False

    def __post_init__(self) -> None:
        AnalogSchedule(self.duration_tau, self.start, self.delay_tau, self.readouts, self.spacing_tau, self.kappa)
        if self.chopped and self.start is AnalogStart.PREVIOUS:
            raise MisuseError(
                "chopped = True with start = 'previous': a device that runs with b and with -b is reset before each; "
                "use AnalogStart.ZERO or GRADIENT"
            )
        if self.chip.chips is not None:
            raise MisuseError(f"chips = {self.chip.chips}: training uses one die; manufacture it without chips")

    def solve(
        self,
        problem: LinearProblem,
        step: int,
        *,
        part: int = 0,
        x0: Tensor | None = None,
        x0_volt: Tensor | None = None,
    ) -> AnalogSolve:
        """Program the die with ``problem``, let it run, read it.

        Args:
            problem: What to solve.
            step: Number of the training step.
            part: Number of the solve in the step, where there are several.
            x0: Start of the unknowns, shape (n,); default 0.
            x0_volt: The same as voltages, which stay on the capacitors whatever the next matrix is.

        Cost: one ``program`` and one engine run.  A failure is in the estimate's status.
        """
        where = "training.step" if part == 0 else f"training.step.{part}"
        write_seed, seed = derived_seed(self.seed, f"{where}.write", step), derived_seed(self.seed, where, step)
        loaded = program(self.chip, problem, seed=write_seed, kappa=self.kappa)
        start = x0 if x0_volt is None else loaded.unknowns(x0_volt)
        begun, processor = time.perf_counter(), _processor_s()
        state = self.engine.init(loaded)
        trajectory, estimate = self._run(state, None, start, seed)
        if self.chopped and problem.b is not None:
            mirrored = None if start is None else -start
            _, other = self._run(state, -problem.b, mirrored, derived_seed(seed, "training.chopped"))
            estimate = _half_difference(estimate, other)
        spent = {"engine_s": time.perf_counter() - begun, "processor_s": _processor_s() - processor}
        return AnalogSolve(loaded, trajectory, estimate, **spent)

    def _run(
        self, state: EngineState, b: Tensor | None, start: Tensor | None, seed: int
    ) -> tuple[Trajectory, Estimate]:
        """One run of the schedule and what is read of it."""
        loaded = state.loaded
        looks = [(self.duration_tau + k * self.spacing_tau) * loaded.tau for k in range(self.readouts)]
        duration = looks[-1] + self.delay_tau * loaded.tau
        times = sorted({*looks, duration})
        _, trajectory = self.engine.run(state, duration=duration, b=b, x0=start, seed=seed, times_s=times)
        several = self.readouts > 1 or self.delay_tau > 0
        return trajectory, read(trajectory, loaded, seed=seed, times_s=looks if several else None)


def _half_difference(first: Estimate, second: Estimate) -> Estimate:
    value, stderr = (first.value - second.value) / 2, torch.hypot(first.stderr, second.stderr) / 2
    return replace(first, value=value, stderr=stderr, degrees=None, statuses=(*first.statuses, *second.statuses))


def _processor_s() -> float:
    """Of this process and its children so far; of this process alone where the system does not count children."""
    try:
        import resource
    except ImportError:
        return time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
