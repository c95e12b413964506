"""The Jacobian of a network's outputs with respect to its trainable parameters."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from tngd_hw.curvature.forward import check_inputs, check_modules, constants, first_line, forward_pass
from tngd_hw.curvature.parameters import trainable_parameters
from tngd_hw.outcome import MisuseError

__all__ = ["output_jacobian"]

_BLOCK_ENTRIES: Final = 2**25
"""Entries of J that are computed at once: the samples of a larger batch go through in blocks."""


def output_jacobian(model: nn.Module, inputs: Tensor, *, promote: bool = True) -> tuple[Tensor, Tensor]:
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
        promote: False: J stays in the model's dtype, which for float32 is half the memory, and the same numbers.

    Returns:
        outputs, shape (batch, d_z), float64, and J, shape (batch * d_z, N), float64 unless not promoted; detached.

    Raises:
        MisuseError: No trainable parameters; inputs that are empty, not finite or of another dtype than the
            parameters; outputs that are not a finite floating point (batch, d_z) tensor; a model that mixes samples,
            draws random numbers, or holds an operation that cannot be vectorised over samples.

    Cost: about d_z backward passes over the batch; 8 batch d_z N bytes for J (4 for float32), and some hundred
    megabytes.
    """
    parameters = {name: p.detach() for name, p in trainable_parameters(model).items()}
    check_inputs(inputs, next(iter(parameters.values())).dtype)
    check_modules(model)
    expected = forward_pass(model, parameters | constants(model, parameters), inputs)

    def sample_outputs(theta: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        z: Tensor = functional_call(model, theta | constants(model, theta), (x.unsqueeze(0),)).squeeze(0)
        return z, z

    count = sum(p.numel() for p in parameters.values())
    d_z, dtype = expected.shape[1], torch.float64 if promote else expected.dtype
    at_once = max(1, _BLOCK_ENTRIES // (d_z * count))
    outputs = torch.empty_like(expected)
    jacobian = torch.empty(expected.numel(), count, dtype=dtype, device=expected.device)
    for first in range(0, len(inputs), at_once):
        samples = slice(first, first + at_once)
        try:
            blocks, z = vmap(jacrev(sample_outputs, has_aux=True), in_dims=(None, 0))(parameters, inputs[samples])
        except RuntimeError as error:
            raise MisuseError(
                f"model cannot be differentiated sample by sample ({first_line(error)}): "
                "use operations that torch.vmap supports, and no random numbers in the forward pass"
            ) from error
        outputs[samples] = z.detach()
        _fill_columns(jacobian[first * d_z : (first + len(z)) * d_z], [blocks[name].detach() for name in parameters])
    _check_independent(outputs, expected)
    return outputs.to(torch.float64), jacobian


def _fill_columns(rows: Tensor, blocks: list[Tensor]) -> None:
    """The parameters' blocks side by side into the rows of J."""
    column = 0
    for block in blocks:
        flat = block.reshape(len(rows), -1)
        rows[:, column : column + flat.shape[1]] = flat
        column += flat.shape[1]


def _check_independent(outputs: Tensor, expected: Tensor) -> None:
    """Refuse a model whose samples depend on each other: alone and in the batch they must give the same outputs."""
    tolerance = torch.finfo(outputs.dtype).eps ** 0.5 * float(expected.abs().max())
    difference = float((outputs - expected).abs().max())
    if not difference <= tolerance:
        raise MisuseError(
            f"model outputs differ by {difference:.3g} between a sample alone and in its batch: "
            "the samples must not influence each other"
        )
