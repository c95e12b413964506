"""What the optimizer asks of whatever computes natural gradients: a chip in one of its forms, or a digital method.

A new form is one new file with a class that has ``natural_gradient``; no registry, no base class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from torch import Tensor, nn

from tngd_hw.curvature import trainable_parameters, unflatten_like
from tngd_hw.outcome import MisuseError, OutcomeError, Status

__all__ = ["Batch", "Loss", "NaturalGradientMethod", "NaturalStep", "check_damping", "check_step", "fill_gradients"]

Batch = tuple[Tensor, Tensor]
"""Inputs and targets."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""From outputs and targets to one number."""


class NaturalStep(Protocol):
    """One natural gradient and how it came about."""

    @property
    def loss(self) -> float:
        """Batch loss before the update."""
        ...

    @property
    def direction(self) -> Tensor:
        """x, shape (N,), float64: what stands in ``p.grad``."""
        ...

    @property
    def gradient(self) -> Tensor:
        """The plain gradient g, shape (N,), float64."""
        ...

    @property
    def state(self) -> Tensor | None:
        """Where the device is when the next matrix arrives; None for a method that starts anew."""
        ...

    def curvature(self, v: Tensor) -> Tensor:
        """G v without damping, shape (N,), at the parameters before the update."""
        ...

    def log(self) -> Mapping[str, float]:
        """Numbers worth a series of the record, by name."""
        ...


StepT_co = TypeVar("StepT_co", bound=NaturalStep, covariant=True)


class NaturalGradientMethod(Protocol[StepT_co]):
    """Computes natural gradients."""

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> StepT_co:
        """Fill ``p.grad`` of every trainable parameter.

        Args:
            model: The network.
            loss: For example ``torch.nn.CrossEntropyLoss()``.
            batch: Inputs and targets.
            damping: lambda > 0.
            state: The last step's ``state``, or None at the first one.
            step: Number of the step; only noise depends on it.
        """
        ...


def fill_gradients(model: nn.Module, direction: Tensor) -> None:
    """``p.grad`` of every trainable parameter from a vector (N,)."""
    parameters = trainable_parameters(model)
    for name, piece in unflatten_like(direction, model).items():
        parameters[name].grad = piece


def check_damping(damping: float) -> float:
    """``damping`` if it is a finite number above 0, else MisuseError."""
    if not 0 < damping < float("inf"):
        raise MisuseError(f"damping = {damping!r}: expected a finite number above 0")
    return damping


def check_step(status: Status, step: int, where: str = "") -> None:
    """OutcomeError with the step (and ``where``) in it unless the status is OK."""
    if not status.ok:
        detail = f"at training step {step}{where}: {status.detail}"
        raise OutcomeError(Status(status.outcome, detail, status.advice))
