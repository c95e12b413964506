"""The training loop with a chip in it."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tngd_hw.training.analog_solver import AnalogSolver
from tngd_hw.training.natural_gradient import NaturalGradient
from tngd_hw.training.record import TrainingRecord, TrainingTask, accuracy, evaluation_steps
from tngd_hw.training.tngd import TNGD

__all__ = ["Observer", "train_tngd"]

Observer = Callable[[int, NaturalGradient, float | None], None]
"""Called after every update with the number of the step (from 0), its natural gradient, and an accuracy or None."""


def train_tngd(
    task: TrainingTask,
    solver: AnalogSolver,
    *,
    network_seed: int,
    batches_seed: int,
    batch_size: int,
    steps: int,
    lr: float,
    damping: float,
    evaluate_every: int = 10,
    name: str = "TNGD",
    observe: Observer | None = None,
) -> TrainingRecord:
    """Train a fresh network with TNGD on cross-entropy.

    Network and batches depend only on their seeds: the digital controls see the same ones.

    Args:
        task: Data, network and batches.
        solver: Die, engine, analog time and noise.
        network_seed: Seed of the initial parameters.
        batches_seed: Seed of the order of the samples.
        batch_size: Samples a step; the chip needs batch_size * d_z nodes.
        steps: Number of updates.
        lr: Learning rate.
        damping: lambda.
        evaluate_every: Held-out accuracy is taken every so many updates and after the last.
        name: Name of the record.
        observe: Watches every step.

    Returns:
        Mini-batch losses, held-out accuracies, and per step ``v0_volt``, ``tau_s``, ``peak_volt`` in ``extra``.

    Raises:
        OutcomeError: A step gave no usable answer.
    """
    network, loss = task.make_network(network_seed), nn.CrossEntropyLoss()
    optimizer = TNGD(network.parameters(), solver, lr=lr, damping=damping)
    evaluations = frozenset(evaluation_steps(steps, evaluate_every))
    losses: list[float] = []
    accuracies: list[float] = []
    extra: dict[str, list[float]] = {"v0_volt": [], "tau_s": [], "peak_volt": []}
    for step, batch in enumerate(task.minibatches(batch_size, steps, batches_seed)):
        found = optimizer.natural_gradient(network, loss, batch)
        optimizer.step()
        losses.append(found.loss)
        _log(extra, found)
        taken = None
        if step + 1 in evaluations:
            taken = accuracy(network, task.test_inputs, task.test_targets)
            accuracies.append(taken)
        if observe is not None:
            observe(step, found, taken)
    series = {key: tuple(values) for key, values in extra.items()}
    return TrainingRecord(name, tuple(losses), tuple(accuracies), tuple(sorted(evaluations)), series)


def _log(extra: dict[str, list[float]], found: NaturalGradient) -> None:
    solve = found.solve
    extra["v0_volt"].append(solve.loaded.scales.voltage_volt)
    extra["tau_s"].append(solve.loaded.tau)
    extra["peak_volt"].append(float(solve.trajectory.voltage_volt.abs().max()))
