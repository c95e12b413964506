"""A step size for full batches: the best of a fixed grid of learning rates, taken anew at every step.

    lr = argmin over h of L(theta - h p.grad),     or 0 where no h lowers the loss

Far from a solution the Gauss-Newton step of an ill-conditioned problem overshoots; near it h = 1 is best.
Source: the grid search of J. Mueller and M. Zeinhofer, Achieving high accuracy with PINNs via energy natural gradient
descent, ICML 2023 (arXiv 2302.13163).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tngd_hw.outcome import MisuseError
from tngd_hw.training.method import Batch, Loss

__all__ = ["HALVINGS", "LineSearch"]

HALVINGS = tuple(2.0**-k for k in range(16))
"""1, 1/2 ... 2^-15."""


@dataclass(frozen=True, eq=False)
class LineSearch:
    """Sets the learning rate of a plain gradient step (``TNGD``, ``torch.optim.SGD``) just before it is taken.

    Used as::

        optimizer.register_step_pre_hook(LineSearch(model, loss, batch))

    Attributes:
        model: The network whose parameters the optimizer holds.
        loss: What is lowered.
        batch: On which it is evaluated; the one of the step.
        rates: To try.

    Raises:
        MisuseError: No rates, or one that is not above 0.

    Cost: a forward pass a rate, and one more.
    """

    model: nn.Module
    loss: Loss
    batch: Batch
    rates: Sequence[float] = HALVINGS

    def __post_init__(self) -> None:
        if not self.rates or not all(0 < rate < math.inf for rate in self.rates):
            raise MisuseError(f"rates = {tuple(self.rates)}: give at least one learning rate, each above 0")

    def __call__(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[Any, Any]) -> None:
        """The hook: leaves the parameters alone and writes ``lr`` of every group."""
        del args, kwargs
        moved = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        start = [p.detach().clone() for p in moved]
        best, lowest = 0.0, self._loss()
        for rate in self.rates:
            _place(moved, start, rate)
            found = self._loss()
            if found < lowest:
                best, lowest = rate, found
        _place(moved, start, 0.0)
        for group in optimizer.param_groups:
            group["lr"] = best

    def _loss(self) -> float:
        with torch.no_grad():
            return float(self.loss(self.model(self.batch[0]), self.batch[1]))


def _place(parameters: Sequence[nn.Parameter], start: Sequence[Tensor], rate: float) -> None:
    """theta = start - rate grad; bit for bit the start where the rate is 0."""
    with torch.no_grad():
        for p, origin in zip(parameters, start, strict=True):
            p.copy_(origin if rate == 0 or p.grad is None else origin - rate * p.grad)
