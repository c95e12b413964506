"""What a training run is made of and what it leaves behind: the task's contract, the measurements, the record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from tngd_hw.outcome import MisuseError

__all__ = ["TrainingRecord", "TrainingTask", "accuracy", "check_count", "evaluation_steps"]


class TrainingTask(Protocol):
    """What training asks of a classification task; :class:`tngd_hw.tasks.ClassificationTask` is one.

    Inputs have shape (samples, ...), targets are class numbers of shape (samples,).
    """

    @property
    def name(self) -> str:
        """Short name for tables and files."""
        ...

    @property
    def train_inputs(self) -> Tensor:
        """Inputs to learn from."""
        ...

    @property
    def train_targets(self) -> Tensor:
        """Their classes."""
        ...

    @property
    def test_inputs(self) -> Tensor:
        """Held-out inputs, never trained on."""
        ...

    @property
    def test_targets(self) -> Tensor:
        """Their classes."""
        ...

    def make_network(self, seed: int, /) -> nn.Module:
        """A fresh network; the same seed gives the same parameters."""
        ...

    def minibatches(self, batch_size: int, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """``steps`` batches (inputs, targets); the same seed gives the same batches."""
        ...


@dataclass(frozen=True)
class TrainingRecord:
    """The course of one training run.  A run that diverges keeps its NaNs: they are data.

    Attributes:
        name: What was run, for legends and tables.
        loss: Mini-batch loss of every step, taken before the update of that step.
        accuracy: Held-out accuracy, a fraction of 1, at each of ``accuracy_steps``.
        accuracy_steps: Number of updates made when each accuracy was taken, increasing, 1 to ``len(loss)``.
        extra: Any further series of the run by name (for example a solver error at every step).
    """

    name: str
    loss: tuple[float, ...]
    accuracy: tuple[float, ...] = ()
    accuracy_steps: tuple[int, ...] = ()
    extra: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])

    def __post_init__(self) -> None:
        if len(self.accuracy) != len(self.accuracy_steps):
            raise MisuseError(
                f"accuracy has {len(self.accuracy)} entries and accuracy_steps {len(self.accuracy_steps)}: "
                "give one each"
            )
        previous = 0
        for step in self.accuracy_steps:
            if not previous < step <= len(self.loss):
                raise MisuseError(
                    f"accuracy_steps = {self.accuracy_steps}: give increasing step numbers from 1 to {len(self.loss)}"
                )
            previous = step

    @property
    def steps(self) -> int:
        """Number of updates."""
        return len(self.loss)

    @property
    def final_accuracy(self) -> float:
        """The last held-out accuracy; NaN if none was taken."""
        return self.accuracy[-1] if self.accuracy else math.nan

    @property
    def diverged(self) -> bool:
        """True if a loss was NaN or infinite."""
        return not all(math.isfinite(value) for value in self.loss)

    def final_loss(self, tail: int = 10) -> float:
        """Mean mini-batch loss of the last ``tail`` steps (all of them in a shorter run); not finite if diverged."""
        last = self.loss[-check_count(tail, "tail") :]
        return sum(last) / len(last) if last else math.nan

    def as_dict(self) -> dict[str, object]:
        """Plain lists, numbers and strings, in the order of the attributes."""
        return {
            "name": self.name,
            "loss": list(self.loss),
            "accuracy": list(self.accuracy),
            "accuracy_steps": list(self.accuracy_steps),
            "extra": {key: list(values) for key, values in self.extra.items()},
        }


def accuracy(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """Fraction of ``inputs``, shape (samples, ...), whose largest output is the target class.

    Evaluated in eval mode without gradients; the model's modes are restored.  Outputs that are NaN count as wrong.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            outputs: Tensor = model(inputs)
    finally:
        for module, mode in modes.items():
            module.training = mode
    right = (outputs.argmax(dim=1) == targets) & ~outputs.isnan().any(dim=1)
    return float(right.to(torch.float64).mean())


def evaluation_steps(steps: int, evaluate_every: int) -> tuple[int, ...]:
    """Update counts at which accuracy is taken: every ``evaluate_every`` updates and after the last."""
    check_count(evaluate_every, "evaluate_every")
    regular = range(evaluate_every, check_count(steps, "steps") + 1, evaluate_every)
    return (*regular, steps) if steps % evaluate_every else tuple(regular)


def check_count(value: int, name: str) -> int:
    """Return ``value`` if it is an integer of 1 or more, else raise MisuseError naming ``name``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise MisuseError(f"{name} = {value!r}: give an integer of 1 or more")
    return value
