"""A classification task: data split into training and held-out parts, its network, and its mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from tngd_hw.outcome import MisuseError
from tngd_hw.random import check_seed, stream
from tngd_hw.training.record import check_count

__all__ = ["ClassificationTask", "TrainingData", "minibatches"]


@dataclass(frozen=True, eq=False)
class ClassificationTask:
    """Data and model of a classification task, ready for training.

    Attributes:
        train_inputs: Shape (train, ...), floating point.
        train_targets: Class numbers, shape (train,), int64.
        test_inputs: Held-out inputs, shape (test, ...).
        test_targets: Held-out class numbers, shape (test,).
        name: Short name for tables and files.
        make_network: From a seed to a fresh network in the inputs' dtype.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    name: str
    make_network: Callable[[int], nn.Module]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            inputs: Tensor = getattr(self, f"{part}_inputs")
            targets: Tensor = getattr(self, f"{part}_targets")
            if inputs.ndim == 0 or targets.shape != inputs.shape[:1]:
                raise MisuseError(
                    f"{part}_targets have shape {tuple(targets.shape)} for {part}_inputs of shape "
                    f"{tuple(inputs.shape)}: give one class number a sample"
                )

    def minibatches(self, batch_size: int, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The same as :func:`minibatches` of this task."""
        return minibatches(self, batch_size, steps, seed)


class TrainingData(Protocol):
    """What mini-batches are drawn from: samples and their targets along the first dimension."""

    @property
    def train_inputs(self) -> Tensor:
        """Shape (train, ...)."""
        ...

    @property
    def train_targets(self) -> Tensor:
        """Shape (train, ...)."""
        ...


def minibatches(task: TrainingData, batch_size: int, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``steps`` training batches of exactly ``batch_size`` samples.

    Every epoch goes through its own permutation of the training set, drawn from ``stream(seed, "tasks.minibatches",
    use=epoch)``; a remainder smaller than a batch is left out of that epoch, so that the number of circuit nodes never
    changes.  The first k batches do not depend on ``steps``.

    Args:
        task: Where the training data is.
        batch_size: Samples a batch, 1 to the size of the training set.
        steps: Number of batches.
        seed: The same seed gives the same batches.

    Returns:
        An iterator of (inputs, targets), shapes (batch_size, ...) both.

    Raises:
        MisuseError: A count out of range or a bad seed (at once, not at the first batch).
    """
    samples = task.train_inputs.shape[0]
    if check_count(batch_size, "batch_size") > samples:
        raise MisuseError(f"batch_size = {batch_size}: the training set has {samples} samples, use at most that")
    return _batches(task, batch_size, check_count(steps, "steps"), check_seed(seed))


def _batches(task: TrainingData, batch_size: int, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    samples = task.train_inputs.shape[0]
    per_epoch = samples // batch_size
    order = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        epoch, position = divmod(step, per_epoch)
        if position == 0:
            order = torch.from_numpy(stream(seed, "tasks.minibatches", use=epoch).permutation(samples))
        chosen = order[position * batch_size : (position + 1) * batch_size].to(task.train_inputs.device)
        yield task.train_inputs[chosen], task.train_targets[chosen]
