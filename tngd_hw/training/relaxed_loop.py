"""Training with the device of one node a parameter: TNGD, and TNGD-Adam, at the paper's scale."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from tngd_hw.outcome import DivergedError
from tngd_hw.training.baselines import MakeOptimizer
from tngd_hw.training.record import TrainingRecord, TrainingTask, accuracy, evaluation_steps
from tngd_hw.training.relaxation import AnalogSchedule
from tngd_hw.training.relaxed_gradient import RelaxedGradient, relaxed_gradient

__all__ = ["train_relaxed"]

RelaxedObserver = Callable[[int, RelaxedGradient, float | None], None]
"""Called after every update with the number of the step (from 0), its natural gradient, and an accuracy or None."""


def train_relaxed(
    make_optimizer: MakeOptimizer,
    task: TrainingTask,
    schedule: AnalogSchedule,
    *,
    network_seed: int,
    batches_seed: int,
    batch_size: int,
    steps: int,
    damping: float,
    noise_seed: int = 0,
    evaluate_every: int = 10,
    name: str = "TNGD",
    observe: RelaxedObserver | None = None,
) -> TrainingRecord:
    """Train a fresh network on cross-entropy along what the device reads.

    Network and batches depend only on their seeds: :func:`tngd_hw.training.train_digital` with the same seeds sees the
    same ones.

    Args:
        make_optimizer: The base update, for example ``DigitalOptimizer.SGD.factory(0.01)``.
        task: Data, network and batches.
        schedule: Analog time, start, delay, readouts, noise.
        network_seed: Seed of the initial parameters.
        batches_seed: Seed of the order of the samples.
        batch_size: Samples a step.
        steps: Number of updates.
        damping: lambda > 0.
        noise_seed: Seed of the injected noise.
        evaluate_every: Held-out accuracy is taken every so many updates and after the last.
        name: Name of the record.
        observe: Watches every step.

    Returns:
        Mini-batch losses, held-out accuracies, and per step the ``products`` used and the ``gain`` |x|/|g|.  A run
        that diverges ends there, its last loss NaN: the record says at which step.

    Raises:
        MisuseError: What task, optimizer and curvature refuse.
        OutcomeError: A step could not be simulated to its tolerance.

    Cost: for the MNIST network, batch 64 and t = 50 tau, 20 to 40 curvature products a step.
    """
    network, loss = task.make_network(network_seed), nn.CrossEntropyLoss()
    optimizer = make_optimizer(network.parameters())
    evaluations = frozenset(evaluation_steps(steps, evaluate_every))
    losses: list[float] = []
    accuracies: list[float] = []
    extra: dict[str, list[float]] = {"products": [], "gain": []}
    device: Tensor | None = None
    for step, batch in enumerate(task.minibatches(batch_size, steps, batches_seed)):
        try:
            found = relaxed_gradient(
                network, loss, batch, schedule, damping=damping, previous=device, seed=noise_seed, step=step
            )
        except DivergedError:
            losses.append(math.nan)
            break
        optimizer.step()
        device = found.relaxed.state
        losses.append(found.loss)
        extra["products"].append(float(found.relaxed.products))
        extra["gain"].append(_length(found.direction) / max(_length(found.gradient), 1e-300))
        taken = None
        if step + 1 in evaluations:
            taken = accuracy(network, task.test_inputs, task.test_targets)
            accuracies.append(taken)
        if observe is not None:
            observe(step, found, taken)
    taken_at = tuple(sorted(evaluations))[: len(accuracies)]
    series = {key: tuple(values) for key, values in extra.items()}
    return TrainingRecord(name, tuple(losses), tuple(accuracies), taken_at, series)


def _length(vector: Tensor) -> float:
    return float(vector.square().sum().sqrt())
