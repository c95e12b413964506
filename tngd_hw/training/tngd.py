"""TNGD: thermodynamic natural gradient descent as a torch optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tngd_hw.outcome import MisuseError
from tngd_hw.training.analog_solver import AnalogSolver
from tngd_hw.training.natural_gradient import NaturalGradient, natural_gradient

__all__ = ["TNGD"]


class TNGD(torch.optim.SGD):
    """SGD along natural gradients that a chip computes.

        theta <- theta - lr x(t),   dx/dt = -((J^T H J + lambda I) x - g)/tau,  x(0) = 0

    A step is two calls, as with ``loss.backward()`` and ``optimizer.step()``::

        optimizer = TNGD(model.parameters(), solver, lr=0.1, damping=0.1)
        found = optimizer.natural_gradient(model, torch.nn.CrossEntropyLoss(), (inputs, targets))
        optimizer.step()

    ``step(closure)``, momentum, weight decay, schedulers, parameter groups and state dicts are those of
    ``torch.optim.SGD``; momentum and weight decay act on the natural gradient, outside the chip.

    Args:
        params: Parameters or groups, as for every torch optimizer.
        solver: Die, engine, analog time and noise.
        lr: Learning rate eta.
        damping: lambda > 0; kept in every parameter group, so that it can be scheduled; the first group's is used.
        momentum: beta of the base update.
        weight_decay: Of the base update.

    Raises:
        MisuseError: damping not above 0.

    Source: arXiv 2405.13817, Eq. 18 and Algorithm 1, with x(0) = 0.
    """

    def __init__(
        self,
        params: Iterable[Any],
        solver: AnalogSolver,
        *,
        lr: float = 0.1,
        damping: float = 0.1,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        if not 0 < damping < float("inf"):
            raise MisuseError(f"damping = {damping!r}: expected a finite number above 0")
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.solver = solver
        self.defaults |= {"damping": damping, "solves": 0}
        for group in self.param_groups:
            group.setdefault("damping", damping)
            group.setdefault("solves", 0)

    def natural_gradient(
        self, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], batch: tuple[Tensor, Tensor]
    ) -> NaturalGradient:
        """Fill ``p.grad`` of the model's parameters with the natural gradient of ``batch``.

        See :func:`tngd_hw.training.natural_gradient`.  The number of solves made is part of the state dict, so that a
        resumed run draws the same noise.
        """
        group = self.param_groups[0]
        found = natural_gradient(model, loss, batch, self.solver, damping=group["damping"], step=group["solves"])
        group["solves"] += 1
        return found
