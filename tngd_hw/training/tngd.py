"""TNGD: thermodynamic natural gradient descent as torch optimizers, with SGD or Adam as the base update."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from tngd_hw.curvature import flatten_parameters
from tngd_hw.outcome import MisuseError
from tngd_hw.training.damping import LevenbergMarquardt, reduction_ratio
from tngd_hw.training.method import Batch, Loss, NaturalGradientMethod, NaturalStep, check_damping

__all__ = ["TNGD", "NaturalGradientOptimizer", "TNGDAdam"]

StepT = TypeVar("StepT", bound=NaturalStep)

_STATE, _STEP = "device_state", "solves"


class NaturalGradientOptimizer(torch.optim.Optimizer, Generic[StepT]):
    """What TNGD and TNGD-Adam have in common: ``p.grad`` comes from a method, and its state is the optimizer's.

    The first parameter group holds ``damping``, ``solves`` (the number of natural gradients so far, from which the
    noise is drawn) and ``device_state`` (where the device is), so they are in the state dict: a resumed run goes on
    with the same bits.
    """

    method: NaturalGradientMethod[StepT]
    levenberg_marquardt: LevenbergMarquardt | None

    def natural_gradient(self, model: nn.Module, loss: Loss, batch: Batch) -> StepT:
        """Fill ``p.grad`` of the model's parameters with the natural gradient of ``batch``: in the place of backward().

        Raises:
            MisuseError: A model whose trainable parameters are not this optimizer's, and what the method refuses.
            OutcomeError: The method found no usable answer, with the number of the step.
        """
        self._check_model(model)
        group = self.param_groups[0]
        found = self.method.natural_gradient(
            model, loss, batch, damping=group["damping"], state=group[_STATE], step=group[_STEP]
        )
        group[_STEP] += 1
        group[_STATE] = found.state
        return found

    def update(self, model: nn.Module, loss: Loss, batch: Batch) -> StepT:
        """One whole step on ``batch``: natural gradient, base update, and the damping where it adapts.

        Cost: with Levenberg-Marquardt one more forward pass and one curvature product.
        """
        rule = self.levenberg_marquardt
        before = flatten_parameters(model) if rule is not None else None
        found = self.natural_gradient(model, loss, batch)
        self.step()
        if rule is not None and before is not None:
            group = self.param_groups[0]
            moved = flatten_parameters(model) - before
            with torch.no_grad():
                after = float(loss(model(batch[0]), batch[1]))
            rho = reduction_ratio(found.curvature, found.gradient, moved, found.loss, after)
            group["damping"] = rule.updated(group["damping"], rho)
        return found

    @property
    def damping(self) -> float:
        """lambda of the next natural gradient."""
        return self.param_groups[0]["damping"]

    def _join(self, method: NaturalGradientMethod[StepT], damping: float, rule: LevenbergMarquardt | None) -> None:
        self.method, self.levenberg_marquardt = method, rule
        own: dict[str, Any] = {"damping": check_damping(damping), _STEP: 0, _STATE: None}
        self.defaults |= own
        for group in self.param_groups:
            for name, value in own.items():
                group.setdefault(name, value)

    def _check_model(self, model: nn.Module) -> None:
        own = {id(p) for group in self.param_groups for p in group["params"] if p.requires_grad}
        strangers = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in own]
        if strangers:
            raise MisuseError(
                f"model parameter {strangers[0]} is not in this optimizer: make the optimizer with "
                "model.parameters(), or freeze it with requires_grad_(False)"
            )


class TNGD(NaturalGradientOptimizer[StepT], torch.optim.SGD):
    """SGD along natural gradients that a device computes.

        theta <- theta - lr x(t),   dx/dt = -((J^T H J + lambda I) x - g)/tau

    A step is two calls, as with ``loss.backward()`` and ``optimizer.step()``, or one, ``update``::

        optimizer = TNGD(model.parameters(), DualChip(AnalogSolver(chip, engine)), lr=0.1, damping=0.1)
        found = optimizer.natural_gradient(model, torch.nn.CrossEntropyLoss(), (inputs, targets))
        optimizer.step()

    ``step(closure)``, momentum, weight decay, schedulers, parameter groups and state dicts are those of
    ``torch.optim.SGD``; momentum and weight decay act on the natural gradient, outside the device.

    Args:
        params: Parameters or groups, as for every torch optimizer.
        method: What computes natural gradients: ``DualChip``, ``PrimalChip`` or ``BlockChip`` (a die and an engine),
            ``RelaxedDevice`` (one node a parameter, perfect parts), or a digital one (``ExactMethod``,
            ``ConjugateGradientMethod``), which makes this NGD.
        lr: Learning rate eta.
        damping: lambda > 0; kept in every parameter group, so that it can be scheduled; the first group's is used.
        levenberg_marquardt: Adapt the damping after every ``update``; default: it stays.
        momentum: beta of the base update.
        weight_decay: Of the base update.

    Raises:
        MisuseError: damping not above 0.

    Source: arXiv 2405.13817, Eq. 18 and Algorithm 1; damping: Appendix A.
    """

    def __init__(
        self,
        params: Iterable[Any],
        method: NaturalGradientMethod[StepT],
        *,
        lr: float = 0.1,
        damping: float = 0.1,
        levenberg_marquardt: LevenbergMarquardt | None = None,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        torch.optim.SGD.__init__(self, params, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self._join(method, damping, levenberg_marquardt)


class TNGDAdam(NaturalGradientOptimizer[StepT], torch.optim.Adam):
    """Adam along natural gradients that a device computes: the paper's hybrid, TNGD-Adam.

    With betas (0, 0), which the paper uses, Adam's update is lr x/(|x| + eps) entry by entry: the sign of the natural
    gradient, whatever its size.  The honest control is the sign of the plain gradient (``DigitalOptimizer.SIGN_SGD``).

    Args:
        params: As for :class:`TNGD`.
        method: As for :class:`TNGD`.
        lr: Learning rate.
        damping: As for :class:`TNGD`.
        levenberg_marquardt: As for :class:`TNGD`.
        betas: Of Adam; the paper's are (0, 0).
        eps: Of Adam.
        weight_decay: Of Adam.

    Source: arXiv 2405.13817, Sec. 5.3 and App. E.2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        method: NaturalGradientMethod[StepT],
        *,
        lr: float = 1e-3,
        damping: float = 1.0,
        levenberg_marquardt: LevenbergMarquardt | None = None,
        betas: tuple[float, float] = (0.0, 0.0),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        torch.optim.Adam.__init__(self, params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        self._join(method, damping, levenberg_marquardt)
