"""The natural gradient from an ideal device with one node a parameter, for networks too large for factors of J."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from tngd_hw.curvature import GGNOperator, ggn_operator
from tngd_hw.training.method import Batch, Loss, check_damping, check_step, fill_gradients
from tngd_hw.training.relaxation import Relaxed, run_schedule
from tngd_hw.training.schedule import AnalogSchedule

__all__ = ["RelaxedDevice", "RelaxedGradient", "relaxed_gradient"]


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

    @property
    def state(self) -> Tensor:
        """Where the device is when the next matrix arrives, shape (N,)."""
        return self.relaxed.state

    def curvature(self, v: Tensor) -> Tensor:
        """G v, shape (N,).  Cost: one curvature product."""
        return replace(self.operator, damping=0.0).apply(v)

    def log(self) -> Mapping[str, float]:
        """Curvature ``products`` used, and the ``gain`` |x|/|g|."""
        return {"products": float(self.relaxed.products), "gain": gain_of(self.direction, self.gradient)}


@dataclass(frozen=True)
class RelaxedDevice:
    """A device with one node a parameter and perfect parts: the paper's algorithm at the network's own size.

    Attributes:
        schedule: Analog time, start, delay, readouts, noise.
        seed: Seed of the noise.
    """

    schedule: AnalogSchedule
    seed: int = 0

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> RelaxedGradient:
        """See :func:`relaxed_gradient`."""
        return relaxed_gradient(
            model, loss, batch, self.schedule, damping=damping, previous=state, seed=self.seed, step=step
        )


def gain_of(direction: Tensor, gradient: Tensor) -> float:
    """|x|/|g|."""
    return float(direction.square().sum().sqrt()) / max(float(gradient.square().sum().sqrt()), 1e-300)


def relaxed_gradient(
    model: nn.Module,
    loss: Loss,
    batch: Batch,
    schedule: AnalogSchedule,
    *,
    damping: float,
    previous: Tensor | None = None,
    seed: int = 0,
    step: int = 0,
) -> RelaxedGradient:
    """Fill ``p.grad`` of every trainable parameter with what the device reads; any torch optimizer can take the step.

    :class:`tngd_hw.training.TNGD` and :class:`~tngd_hw.training.TNGDAdam` do this with a :class:`RelaxedDevice`, and
    keep the device's state (arXiv 2405.13817, Algorithm 1).

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
    operator = ggn_operator(model, loss, batch, damping=check_damping(damping))
    gradient = operator.gradient()
    relaxed = run_schedule(operator.apply, gradient, schedule, previous=previous, seed=seed, use=step)
    check_step(relaxed.status, step)
    fill_gradients(model, relaxed.reading)
    return RelaxedGradient(operator.loss, relaxed.reading, gradient, operator, relaxed)
