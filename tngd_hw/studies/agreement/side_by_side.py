"""The same training, same network, same batches, same die, done in several ways."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tngd_hw.engines import Engine
from tngd_hw.hardware import Chip
from tngd_hw.outcome import MisuseError
from tngd_hw.studies.agreement.engines import AgreementWatch
from tngd_hw.training import (
    TNGD,
    AnalogSolver,
    DigitalOptimizer,
    DualChip,
    LearningRateSearch,
    NaturalGradient,
    TrainingRecord,
    TrainingTask,
    search_learning_rate,
    train_digital,
    train_tngd,
)

__all__ = ["AnalogRun", "DigitalRun", "Progress", "RunResult", "SideBySide", "train_side_by_side"]

Progress = Callable[[str, int, float | None, float | None], None]
"""Called as progress(run, steps done, loss, accuracy); loss and accuracy are None where there is no new one."""


@dataclass(frozen=True)
class AnalogRun:
    """One training with the chip.

    Attributes:
        name: Name of its record.
        engine: What simulates the chip.
        kappa: Injected noise.
        watch: Compares other engines at every step.
    """

    name: str
    engine: Engine
    kappa: float = 0.0
    watch: AgreementWatch | None = None


@dataclass(frozen=True)
class DigitalRun:
    """One training without a chip, its learning rate searched first."""

    name: str
    optimizer: DigitalOptimizer


@dataclass(frozen=True)
class SideBySide:
    """What all runs share.

    Attributes:
        task: Data, network and batches.
        chip: The one die.
        network_seed: Of the initial parameters.
        batches_seed: Of the order of the samples.
        noise_seed: Of injected noise.
        batch_size: Samples a step.
        steps: Updates.
        learning_rate: Of the analog runs.
        damping: lambda of the analog runs.
        duration_tau: Analog time.
        evaluate_every: Updates between held-out accuracies.
    """

    task: TrainingTask
    chip: Chip
    network_seed: int
    batches_seed: int
    noise_seed: int
    batch_size: int
    steps: int
    learning_rate: float
    damping: float
    duration_tau: float
    evaluate_every: int = 10


@dataclass(frozen=True)
class RunResult:
    """A record, the seconds that it took, and for a digital run its search."""

    record: TrainingRecord
    wall_time_s: float
    search: LearningRateSearch | None = None

    @property
    def searched_rate(self) -> float:
        """The learning rate that a digital run's search chose."""
        if self.search is None:
            raise MisuseError(f"{self.record.name!r} is an analog run: its learning rate was given, not searched")
        return self.search.lr


def train_side_by_side(
    shared: SideBySide, runs: Sequence[AnalogRun | DigitalRun], progress: Progress
) -> dict[str, RunResult]:
    """Do every run, in order; results by name.

    Raises:
        OutcomeError: A step of an analog run gave no usable answer.
    """
    results: dict[str, RunResult] = {}
    for run in runs:
        start = time.perf_counter()
        if isinstance(run, AnalogRun):
            record, search = _analog(shared, run, progress), None
        else:
            record, search = _digital(shared, run)
            progress(run.name, shared.steps, record.loss[-1], record.final_accuracy)
        results[run.name] = RunResult(record, time.perf_counter() - start, search)
    return results


def _analog(shared: SideBySide, run: AnalogRun, progress: Progress) -> TrainingRecord:
    def observe(step: int, found: NaturalGradient, accuracy: float | None) -> None:
        if run.watch is not None:
            run.watch.watch(found)
        progress(run.name, step + 1, found.loss, accuracy)

    solver = AnalogSolver(shared.chip, run.engine, shared.duration_tau, run.kappa, shared.noise_seed)
    return train_tngd(
        lambda parameters: TNGD(parameters, DualChip(solver), lr=shared.learning_rate, damping=shared.damping),
        shared.task,
        network_seed=shared.network_seed,
        batches_seed=shared.batches_seed,
        batch_size=shared.batch_size,
        steps=shared.steps,
        evaluate_every=shared.evaluate_every,
        name=run.name,
        observe=observe,
    )


def _digital(shared: SideBySide, run: DigitalRun) -> tuple[TrainingRecord, LearningRateSearch]:
    search = search_learning_rate(
        run.optimizer, shared.task, batch_size=shared.batch_size, steps=shared.steps, seed=shared.network_seed
    )
    record = train_digital(
        run.optimizer.factory(search.lr),
        shared.task,
        network_seed=shared.network_seed,
        batches_seed=shared.batches_seed,
        batch_size=shared.batch_size,
        steps=shared.steps,
        evaluate_every=shared.evaluate_every,
        name=run.name,
    )
    return record, search
