"""A batch through a network, checked once for every kind of curvature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tngd_hw.outcome import DivergedError, MisuseError

__all__ = ["check_inputs", "check_modules", "check_pair", "constants", "first_line", "forward_pass"]

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def check_pair(batch: object) -> tuple[Tensor, Tensor]:
    """The inputs and targets of a batch, or MisuseError."""
    match batch:
        case (Tensor() as inputs, Tensor() as targets):
            return inputs, targets
        case _:
            raise MisuseError(f"batch is a {type(batch).__name__}: give a pair of tensors (inputs, targets)")


def constants(model: nn.Module, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Frozen parameters, and copies of the buffers so that no forward pass writes into the model's own.

    Called once a forward pass: torch.func lets a pass write only into tensors that it made itself.
    """
    frozen = {name: p.detach() for name, p in model.named_parameters() if name not in parameters}
    return frozen | {name: buffer.detach().clone() for name, buffer in model.named_buffers()}


def forward_pass(model: nn.Module, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """One plain pass over the whole batch, checked to be a finite floating point (batch, d_z) tensor."""
    try:
        with torch.no_grad():
            outputs: object = functional_call(model, tensors, (inputs,))
    except RuntimeError as error:
        raise MisuseError(
            f"inputs of shape {tuple(inputs.shape)} are refused by the model ({first_line(error)}): "
            "give a batch that model(inputs) accepts"
        ) from error
    if not isinstance(outputs, Tensor):
        raise MisuseError(f"model returns a {type(outputs).__name__}: wrap it so that it returns one tensor")
    if not outputs.is_floating_point():
        raise MisuseError(f"model outputs have dtype {outputs.dtype}: they must be floating point to have a Jacobian")
    if outputs.ndim != 2 or outputs.shape[0] != inputs.shape[0] or outputs.shape[1] == 0:
        raise MisuseError(
            f"model outputs have shape {tuple(outputs.shape)} for {inputs.shape[0]} samples: they must be "
            "(batch, d_z), for example with torch.nn.Flatten() as the last layer"
        )
    if not bool(torch.isfinite(outputs).all()):
        raise DivergedError(
            "model outputs hold NaN or infinity: the parameters have diverged; lower the learning rate or start again"
        )
    return outputs


def check_inputs(inputs: Tensor, dtype: torch.dtype) -> None:
    """MisuseError for an empty batch, another dtype than the parameters', NaN or infinity."""
    if inputs.ndim == 0 or inputs.numel() == 0:
        raise MisuseError(f"inputs have shape {tuple(inputs.shape)}: give at least one sample, shape (batch, ...)")
    if inputs.is_complex() or (inputs.is_floating_point() and inputs.dtype != dtype):
        raise MisuseError(f"inputs have dtype {inputs.dtype}, the parameters {dtype}: use inputs.to({dtype})")
    bad = int(torch.count_nonzero(~torch.isfinite(inputs)))
    if bad:
        raise MisuseError(f"inputs hold {bad} values that are NaN or infinite: remove or replace them")


def check_modules(model: nn.Module) -> None:
    """Refuse layers that, in their present mode, mix the samples of a batch or draw random numbers."""
    for name, module in cast("Iterator[tuple[str, nn.Module]]", model.named_modules()):  # torch types it partly
        label = f"model layer {name or 'model'} ({type(module).__name__})"
        if isinstance(module, _BATCH_NORMS) and (module.training or module.running_mean is None):
            raise MisuseError(
                f"{label} normalises over the batch, so a sample has no Jacobian of its own: "
                "call model.eval() with running statistics, or use GroupNorm or LayerNorm"
            )
        if isinstance(module, _DROPOUTS) and module.training and module.p > 0:
            raise MisuseError(f"{label} draws random numbers in training mode: call model.eval() or set p = 0")


def first_line(error: Exception) -> str:
    """The first line of what an exception says."""
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
