"""The training loop of natural gradients: a chip, a device of the network's size, or a digital method in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeVar

from torch import Tensor, nn

from tngd_hw.outcome import DivergedError
from tngd_hw.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tngd_hw.training.method import Batch, NaturalStep
from tngd_hw.training.record import TrainingRecord, TrainingTask, accuracy, evaluation_steps
from tngd_hw.training.tngd import NaturalGradientOptimizer

__all__ = ["Observer", "train_tngd"]

StepT = TypeVar("StepT", bound=NaturalStep)
StepT_contra = TypeVar("StepT_contra", bound=NaturalStep, contravariant=True)

MakeNaturalOptimizer = Callable[[Iterable[nn.Parameter]], NaturalGradientOptimizer[StepT]]


class Observer(Protocol[StepT_contra]):
    """Called after every update."""

    def __call__(self, step: int, found: StepT_contra, accuracy: float | None, /) -> None:
        """The number of the step (from 0), its natural gradient, and an accuracy or None."""
        ...


def train_tngd(
    make_optimizer: MakeNaturalOptimizer[StepT],
    task: TrainingTask,
    *,
    network_seed: int,
    batches_seed: int,
    batch_size: int,
    steps: int,
    evaluate_every: int = 10,
    name: str = "TNGD",
    observe: Observer[StepT] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingRecord:
    """Train a fresh network on cross-entropy along natural gradients.

    Network and batches depend only on their seeds: :func:`tngd_hw.training.train_digital` with the same seeds sees the
    same ones.

    Args:
        make_optimizer: For example ``lambda parameters: TNGD(parameters, method, lr=0.1, damping=0.1)``.
        task: Data, network and batches.
        network_seed: Seed of the initial parameters.
        batches_seed: Seed of the order of the samples.
        batch_size: Samples a step; a chip in the dual form needs batch_size * d_z nodes.
        steps: Number of updates.
        evaluate_every: Held-out accuracy is taken every so many updates and after the last.
        name: Name of the record.
        observe: Watches every step.
        checkpoint: Where to keep the run; it goes on from a file that is there, with the same bits.

    Returns:
        Mini-batch losses, held-out accuracies, the damping and what the method logs of every step.  A run that
        diverges ends there, its last loss NaN: the record says at which step.

    Raises:
        MisuseError: What task, optimizer and curvature refuse; a checkpoint of another run.
        OutcomeError: A step gave no usable answer; what was done so far is in the checkpoint.
    """
    network, loss = task.make_network(network_seed), nn.CrossEntropyLoss()
    optimizer = make_optimizer(network.parameters())
    asked: dict[str, object] = {
        "task": task.name,
        "network_seed": network_seed,
        "batches_seed": batches_seed,
        "batch_size": batch_size,
        "steps": steps,
        "evaluate_every": evaluate_every,
    }
    course = _Course(name, frozenset(evaluation_steps(steps, evaluate_every)))
    if checkpoint is not None and checkpoint.path.exists():
        course.take_up(load_checkpoint(checkpoint.path, network, optimizer, asked))

    def keep() -> None:
        if checkpoint is not None:
            save_checkpoint(checkpoint.path, network, optimizer, course.record(), asked)

    due = steps + 1 if checkpoint is None else checkpoint.every
    try:
        for step, batch in course.rest(task.minibatches(batch_size, steps, batches_seed)):
            found = optimizer.update(network, loss, batch)
            course.note(found, optimizer.damping)
            taken = course.evaluate(network, task.test_inputs, task.test_targets)
            if observe is not None:
                observe(step, found, taken)
            del found  # what it holds of a large network leaves room for the next step
            if (step + 1) % due == 0:
                keep()
    except DivergedError:
        course.losses.append(math.nan)
    finally:
        keep()
    return course.record()


@dataclass
class _Course:
    """What a run has left behind so far."""

    name: str
    evaluations: frozenset[int]
    losses: list[float] = field(default_factory=list[float])
    accuracies: list[float] = field(default_factory=list[float])
    extra: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def take_up(self, record: TrainingRecord) -> None:
        self.losses, self.accuracies = [*record.loss], [*record.accuracy]
        self.extra = {key: [*values] for key, values in record.extra.items()}

    def rest(self, batches: Iterable[Batch]) -> Iterator[tuple[int, Batch]]:
        """The steps that are still to do; none of a run that diverged."""
        done = len(self.losses)
        if done and math.isnan(self.losses[-1]):
            return iter(())
        return islice(enumerate(batches), done, None)

    def note(self, found: NaturalStep, damping: float) -> None:
        self.losses.append(found.loss)
        for key, value in {**found.log(), "damping": damping}.items():
            self.extra.setdefault(key, []).append(value)

    def evaluate(self, network: nn.Module, inputs: Tensor, targets: Tensor) -> float | None:
        if len(self.losses) not in self.evaluations:
            return None
        self.accuracies.append(accuracy(network, inputs, targets))
        return self.accuracies[-1]

    def record(self) -> TrainingRecord:
        taken_at = tuple(sorted(self.evaluations))[: len(self.accuracies)]
        series = {key: tuple(values) for key, values in self.extra.items()}
        return TrainingRecord(self.name, tuple(self.losses), tuple(self.accuracies), taken_at, series)
