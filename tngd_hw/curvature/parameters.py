"""The trainable parameters of a network as one vector, in one fixed order.

Order: ``model.named_parameters()`` restricted to those with ``requires_grad``, each flattened in C order.  Everything
in this package that has a dimension N (columns of J, gradients, updates) uses it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tngd_hw.outcome import MisuseError

__all__ = ["flatten_parameters", "trainable_parameters", "unflatten_like"]


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training may move, by name, in the package's order.

    Tied parameters (one tensor under two names) appear once, under their first name.

    Args:
        model: Any network.

    Returns:
        name -> parameter; the tensors are the model's own, not copies.

    Raises:
        MisuseError: No parameter requires a gradient, or one is not real floating point.
    """
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not parameters:
        raise MisuseError(
            "model has no parameter with requires_grad=True, so there is nothing to train: "
            "unfreeze at least one with parameter.requires_grad_(True)"
        )
    for name, parameter in parameters.items():
        if not parameter.is_floating_point():
            raise MisuseError(
                f"model parameter {name} has dtype {parameter.dtype}: use real floating point (float64 or float32)"
            )
    return parameters


def flatten_parameters(model: nn.Module) -> Tensor:
    """The trainable parameters as one detached vector theta, shape (N,), float64, a copy.

    Raises:
        MisuseError: The model has no trainable parameters.
    """
    return torch.cat([p.detach().reshape(-1).to(torch.float64) for p in trainable_parameters(model).values()])


def unflatten_like(vector: Tensor, model: nn.Module) -> dict[str, Tensor]:
    """Cut an N-vector (an update, a gradient) into tensors shaped like the trainable parameters.

    The inverse of :func:`flatten_parameters` in order and shape.  Each piece has its parameter's dtype and device, so
    it can be assigned to ``parameter.grad``.

    Args:
        vector: Shape (N,), real floating point.
        model: The network whose trainable parameters give N, names, shapes and dtypes.

    Returns:
        name -> copy of that piece of the vector.

    Raises:
        MisuseError: The vector's shape or dtype does not fit.
    """
    parameters = trainable_parameters(model)
    total = sum(p.numel() for p in parameters.values())
    if vector.shape != (total,) or not vector.is_floating_point():
        raise MisuseError(
            f"vector has shape {tuple(vector.shape)} and dtype {vector.dtype}: "
            f"this model needs shape ({total},) in floating point, one entry per trainable parameter"
        )
    pieces = torch.split(vector.detach(), [p.numel() for p in parameters.values()])
    return {
        name: piece.reshape(p.shape).to(dtype=p.dtype, device=p.device, copy=True)
        for (name, p), piece in zip(parameters.items(), pieces, strict=True)
    }
