"""The Jacobian of a network's outputs with respect to its trainable parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from tngd_hw.curvature.parameters import trainable_parameters
from tngd_hw.outcome import MisuseError

__all__ = ["output_jacobian"]

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def output_jacobian(model: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    r"""Outputs of a batch and their Jacobian, samples outer and outputs inner.

        z_i = f_theta(x_i),     J[i d_z + a, k] = \partial z_{i,a} / \partial theta_k

    with samples i = 0 .. batch-1, outputs a = 0 .. d_z - 1 and parameters k in the order of
    :mod:`tngd_hw.curvature.parameters`.  Frozen parameters and buffers are constants.  The work is done in the model's
    own dtype; the results are then promoted to float64 (a float32 model therefore gives factors good to about 1e-7).
    The model is left unchanged: no gradient is stored and no buffer is written.

    Args:
        model: A network that treats the samples of a batch independently.  Normalisation and dropout layers must be in
            eval mode.
        inputs: Shape (batch, ...): what ``model(inputs)`` takes; integers (token numbers) are allowed.

    Returns:
        outputs, shape (batch, d_z), and J, shape (batch * d_z, N); float64, detached.

    Raises:
        MisuseError: No trainable parameters; inputs that are empty, not finite or of another dtype than the
            parameters; outputs that are not a finite floating point (batch, d_z) tensor; a model that mixes samples,
            draws random numbers, or holds an operation that cannot be vectorised over samples.

    Cost: about d_z backward passes over the batch; 8 batch d_z N bytes for J.
    """
    parameters = {name: p.detach() for name, p in trainable_parameters(model).items()}
    _check_inputs(inputs, next(iter(parameters.values())).dtype)
    _check_modules(model)
    expected = _forward(model, parameters | _constants(model, parameters), inputs)

    def sample_outputs(theta: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        z: Tensor = functional_call(model, theta | _constants(model, theta), (x.unsqueeze(0),)).squeeze(0)
        return z, z

    try:
        blocks, outputs = vmap(jacrev(sample_outputs, has_aux=True), in_dims=(None, 0))(parameters, inputs)
    except RuntimeError as error:
        raise MisuseError(
            f"model cannot be differentiated sample by sample ({_first_line(error)}): "
            "use operations that torch.vmap supports, and no random numbers in the forward pass"
        ) from error
    _check_independent(outputs, expected)
    rows = outputs.numel()
    jacobian = torch.cat([blocks[name].reshape(rows, -1) for name in parameters], dim=1)
    return outputs.detach().to(torch.float64), jacobian.detach().to(torch.float64)


def _constants(model: nn.Module, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Frozen parameters, and copies of the buffers so that no forward pass writes into the model's own.

    Called once a forward pass: torch.func lets a pass write only into tensors that it made itself.
    """
    frozen = {name: p.detach() for name, p in model.named_parameters() if name not in parameters}
    return frozen | {name: buffer.detach().clone() for name, buffer in model.named_buffers()}


def _forward(model: nn.Module, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """One plain pass over the whole batch, checked to be a finite floating point (batch, d_z) tensor."""
    try:
        with torch.no_grad():
            outputs: object = functional_call(model, tensors, (inputs,))
    except RuntimeError as error:
        raise MisuseError(
            f"inputs of shape {tuple(inputs.shape)} are refused by the model ({_first_line(error)}): "
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
        raise MisuseError(
            "model outputs hold NaN or infinity: the parameters have diverged; lower the learning rate or start again"
        )
    return outputs


def _check_inputs(inputs: Tensor, dtype: torch.dtype) -> None:
    if inputs.ndim == 0 or inputs.numel() == 0:
        raise MisuseError(f"inputs have shape {tuple(inputs.shape)}: give at least one sample, shape (batch, ...)")
    if inputs.is_complex() or (inputs.is_floating_point() and inputs.dtype != dtype):
        raise MisuseError(f"inputs have dtype {inputs.dtype}, the parameters {dtype}: use inputs.to({dtype})")
    bad = int(torch.count_nonzero(~torch.isfinite(inputs)))
    if bad:
        raise MisuseError(f"inputs hold {bad} values that are NaN or infinite: remove or replace them")


def _check_modules(model: nn.Module) -> None:
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


def _check_independent(outputs: Tensor, expected: Tensor) -> None:
    """Refuse a model whose samples depend on each other: alone and in the batch they must give the same outputs."""
    tolerance = torch.finfo(outputs.dtype).eps ** 0.5 * float(expected.abs().max())
    difference = float((outputs - expected).abs().max())
    if not difference <= tolerance:
        raise MisuseError(
            f"model outputs differ by {difference:.3g} between a sample alone and in its batch: "
            "the samples must not influence each other"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
