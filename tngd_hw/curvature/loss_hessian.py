"""Gradient, Hessian and Hessian root of a loss in the network's outputs: which formula serves which loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tngd_hw.curvature.closed_form_losses import cross_entropy_factors, squared_error_factors
from tngd_hw.curvature.general_loss import general_loss_factors
from tngd_hw.curvature.loss_factors import LossFactors
from tngd_hw.curvature.split_cross_entropy import SplitCrossEntropy, split_cross_entropy_factors
from tngd_hw.outcome import MisuseError

__all__ = ["loss_factors"]


def loss_factors(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> LossFactors:
    """Factors H = S S^T and r = S u of a batch loss (see :class:`LossFactors`).

    ``torch.nn.CrossEntropyLoss()``, ``torch.nn.MSELoss()`` and :class:`SplitCrossEntropy` use closed forms; any other
    callable, also a subclass of these with its own ``forward``, goes through automatic differentiation.

    Args:
        loss: The mean over the batch of a per-sample loss that is convex in the outputs.
        outputs: Shape (batch, d_z); promoted to float64.
        targets: Class numbers (batch,) for cross-entropy, (batch, parts) for split cross-entropy, (batch, d_z) for
            squared error, else (batch, ...).

    Returns:
        The factors, float64 and detached.

    Raises:
        MisuseError: Unsupported options, targets that do not fit, NaN, a loss without a Hessian root.

    Cost: batch d_z^2 for the closed forms, d_z derivative passes and batch d_z^3 otherwise.
    """
    if outputs.ndim != 2 or outputs.numel() == 0 or not outputs.is_floating_point():
        raise MisuseError(
            f"outputs have shape {tuple(outputs.shape)} and dtype {outputs.dtype}: give floating point (batch, d_z)"
        )
    if not bool(torch.isfinite(outputs).all()):
        raise MisuseError("outputs hold NaN or infinity: the model has diverged or its inputs are bad")
    if targets.is_floating_point() and not bool(torch.isfinite(targets).all()):
        raise MisuseError("targets hold NaN or infinity: remove or replace those samples")
    factors = _dispatch(loss, outputs.detach().to(torch.float64), targets.detach())
    if not math.isfinite(factors.loss):
        raise MisuseError(f"loss is {factors.loss} on finite outputs and targets: the loss function divides by zero")
    return factors


def _dispatch(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> LossFactors:
    if isinstance(loss, nn.CrossEntropyLoss) and type(loss).forward is nn.CrossEntropyLoss.forward:
        return cross_entropy_factors(loss, outputs, targets)
    if isinstance(loss, nn.MSELoss) and type(loss).forward is nn.MSELoss.forward:
        return squared_error_factors(loss, outputs, targets)
    if isinstance(loss, SplitCrossEntropy) and type(loss).forward is SplitCrossEntropy.forward:
        return split_cross_entropy_factors(loss, outputs, targets)
    return general_loss_factors(loss, outputs, targets)
