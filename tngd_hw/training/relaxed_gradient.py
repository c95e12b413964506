"""The natural gradient from an ideal device with one node a parameter, for networks too large for factors of J."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from tngd_hw.curvature import GGNOperator, ggn_operator, trainable_parameters, unflatten_like
from tngd_hw.outcome import MisuseError, OutcomeError, Status
from tngd_hw.training.relaxation import AnalogSchedule, Relaxed, run_schedule

__all__ = ["RelaxedGradient", "relaxed_gradient"]


@dataclass(frozen=True, eq=False)
class RelaxedGradient:
    """One natural gradient and how it came about.

    Attributes:
        loss: Batch loss before the update.
        direction: What was read, shape (N,), float64.
        gradient: The plain gradient g, shape (N,).
        operator: The damped curvature of the batch, at the parameters before the update.
        relaxed: The device's step; ``relaxed.state`` is the ``previous`` of the next one.
    """

    loss: float
    direction: Tensor
    gradient: Tensor
    operator: GGNOperator
    relaxed: Relaxed


def relaxed_gradient(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    schedule: AnalogSchedule,
    *,
    damping: float,
    previous: Tensor | None = None,
    seed: int = 0,
    step: int = 0,
) -> RelaxedGradient:
    """Fill ``p.grad`` of every trainable parameter with what the device reads; any torch optimizer can take the step.

    With ``torch.optim.SGD`` this is TNGD (arXiv 2405.13817, Algorithm 1), with ``torch.optim.Adam`` TNGD-Adam::

        device = None
        for step, batch in enumerate(batches):
            found = relaxed_gradient(model, loss, batch, AnalogSchedule(50.0), damping=0.01, previous=device, step=step)
            optimizer.step()
            device = found.relaxed.state

    The device has perfect parts: matrix and gradient are held as computed, only the injected noise acts.

    Args:
        model: A network that :func:`tngd_hw.curvature.ggn_operator` takes.
        loss: For example ``torch.nn.CrossEntropyLoss()``.
        batch: Inputs and targets.
        schedule: Analog time, start, delay, readouts, noise.
        damping: lambda > 0.
        previous: Where the device is, or None at the first step.
        seed: Seed of the noise.
        step: Number of the step; only noise depends on it.

    Raises:
        MisuseError: What curvature and schedule refuse, a damping not above 0.
        OutcomeError: The relaxation could not be simulated to its tolerance, with the step.

    Cost: two forward and four reverse passes, then two reverse passes a curvature product.
    """
    if not 0 < damping < float("inf"):
        raise MisuseError(f"damping = {damping!r}: expected a finite number above 0")
    operator = ggn_operator(model, loss, batch, damping=damping)
    gradient = operator.gradient()
    relaxed = run_schedule(operator.apply, gradient, schedule, previous=previous, seed=seed, use=step)
    if not relaxed.status.ok:
        raise OutcomeError(Status(relaxed.status.outcome, f"at training step {step}: {relaxed.status.detail}"))
    parameters = trainable_parameters(model)
    for name, piece in unflatten_like(relaxed.reading, model).items():
        parameters[name].grad = piece
    return RelaxedGradient(operator.loss, relaxed.reading, gradient, operator, relaxed)
