"""The digital rivals of the chip, exact or by conjugate gradients, as methods of the same optimizer: NGD."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from tngd_hw.curvature import GGNFactors, ggn_factors, ggn_operator
from tngd_hw.training.directions import conjugate_gradient, woodbury
from tngd_hw.training.method import Batch, Loss, check_damping, check_step, fill_gradients
from tngd_hw.training.record import check_count

__all__ = ["ConjugateGradientMethod", "DigitalGradient", "ExactMethod"]


@dataclass(frozen=True, eq=False)
class DigitalGradient:
    """One digital natural gradient.

    Attributes:
        loss: Batch loss before the update.
        direction: x, shape (N,).
        gradient: The plain gradient g, shape (N,).
        product: v -> G v.
        state: Start of the next solve, or None.
        numbers: For the record.
    """

    loss: float
    direction: Tensor
    gradient: Tensor
    product: Callable[[Tensor], Tensor]
    state: Tensor | None = None
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])

    def curvature(self, v: Tensor) -> Tensor:
        """G v, shape (N,)."""
        return self.product(v)

    def log(self) -> Mapping[str, float]:
        """What the method counts."""
        return self.numbers


@dataclass(frozen=True)
class ConjugateGradientMethod:
    """NGD-CG: conjugate gradients on curvature products.

    Attributes:
        max_iterations: Budget of products a step.
        tolerance: Relative residual to stop at; 0 makes all iterations.
        warm_start: Begin at the last step's direction.

    Raises:
        MisuseError: A count below 1.
    """

    max_iterations: int = 20
    tolerance: float = 0.0
    warm_start: bool = False

    def __post_init__(self) -> None:
        check_count(self.max_iterations, "max_iterations")

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> DigitalGradient:
        """Fill ``p.grad``; with a tolerance, a budget that does not reach it raises OutcomeError with the step."""
        operator = ggn_operator(model, loss, batch, damping=check_damping(damping))
        start = state if self.warm_start else None
        found = conjugate_gradient(operator, max_iterations=self.max_iterations, tolerance=self.tolerance, start=start)
        check_step(found.status, step)
        fill_gradients(model, found.direction)

        def product(v: Tensor) -> Tensor:
            return operator.apply(v) - damping * v

        numbers = {"products": float(found.iterations + (start is not None)), "residual": found.residual}
        state = found.direction if self.warm_start else None
        return DigitalGradient(operator.loss, found.direction, operator.gradient(), product, state, numbers)


class _Solve(Protocol):
    def __call__(self, factors: GGNFactors, *, damping: float) -> Tensor: ...


@dataclass(frozen=True)
class ExactMethod:
    """Exact NGD.

    Attributes:
        solve: :func:`~tngd_hw.training.woodbury` (the dual form), or :func:`~tngd_hw.training.dense`.
    """

    solve: _Solve = woodbury

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> DigitalGradient:
        """Fill ``p.grad`` with (G + lambda I)^-1 g."""
        del state, step
        factors = ggn_factors(model, loss, batch)
        direction = self.solve(factors, damping=damping)
        fill_gradients(model, direction)
        return DigitalGradient(factors.loss, direction, factors.gradient(), factors.product)
