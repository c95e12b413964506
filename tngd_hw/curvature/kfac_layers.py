r"""Layers whose curvature has Kronecker factors, and one forward pass that records their inputs and outputs.

A layer computes s_r = W a_r + b for rows r: one a sample, or T a sample where it serves every position of a sequence or
an image.  With 1 as the last entry of a_r the bias is the last column of [W b].

    Linear      a_r: the last axis of the input
    Conv2d      a_r: the patch under the kernel at one position, in the order of the weight's columns (channel, row,
                column); entries outside the image are 0
    Embedding   a_r: the unit vector of the token; W is the transposed weight; the padding token has a_r = 0
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.curvature.kfac_block import matrix_pieces
from tngd_hw.outcome import MisuseError

__all__ = ["KFACLayer", "LayerPass", "Moment", "check_pass", "kfac_layers", "recorded_pass"]

_REMEDY = "freeze it with requires_grad_(False), or use ggn_factors or ggn_operator, which need no layer structure"


class Moment(enum.Enum):
    """What is kept of the second moments of rows."""

    MATRIX = "matrix"
    DIAGONAL = "diagonal"

    def sum(self, rows: Tensor) -> Tensor:
        """sum_r v_r v_r^T of rows (rows, d), shape (d, d), or its diagonal, shape (d,).  Cost: rows d^2, or rows d."""
        return rows.mT @ rows if self is Moment.MATRIX else rows.square().sum(dim=0)


@dataclass(frozen=True, eq=False)
class KFACLayer:
    """A module with trainable parameters s = [W b] (a, 1).

    Attributes:
        name: Of the module, "" for the model itself.
        module: The module.
        has_weight: Whether the weight is trainable.
        has_bias: Whether it has a trainable bias.
    """

    name: str
    module: nn.Linear | nn.Conv2d | nn.Embedding
    has_weight: bool
    has_bias: bool

    @property
    def label(self) -> str:
        """How messages call it."""
        return _label(self.name, self.module)

    def parameter_name(self, own: str) -> str:
        """The model's name of the parameter ``own`` ("weight" or "bias")."""
        return f"{self.name}.{own}" if self.name else own

    @property
    def transposed(self) -> bool:
        """Whether the weight is stored (in, out)."""
        return isinstance(self.module, nn.Embedding)

    @property
    def weight_shape(self) -> torch.Size | None:
        """Of the trainable weight, or None where only the bias is."""
        return self.module.weight.shape if self.has_weight else None

    def pieces(self, X: Tensor) -> dict[str, Tensor]:
        """A matrix (d_G, d_A) as tensors of the parameters' shapes, by the model's names; the weight first."""
        return matrix_pieces(
            X, self.name, weight_shape=self.weight_shape, has_bias=self.has_bias, transposed=self.transposed
        )

    def input_factor(self, x: Tensor, moment: Moment = Moment.MATRIX) -> tuple[Tensor, int, Tensor | None]:
        """A = (1/rows) sum_r a_r a_r^T of the trainable columns or its diagonal, float64, and the number of rows.

        Beside a matrix the rows themselves, shape (rows, d_A), where they are fewer than d_A; else None.
        """
        if isinstance(self.module, nn.Embedding):
            counts, number = _token_counts(self.module, x)
            return (torch.diag(counts) if moment is Moment.MATRIX else counts), number, None
        rows = _patches(self.module, x) if isinstance(self.module, nn.Conv2d) else x.reshape(-1, x.shape[-1])
        columns = [rows.to(torch.float64)] if self.has_weight else []
        if self.has_bias:
            columns.append(torch.ones(len(rows), 1, dtype=torch.float64, device=x.device))
        a = torch.cat(columns, dim=1)
        keep = moment is Moment.MATRIX and len(a) < a.shape[1]
        return moment.sum(a) / len(a), len(a), a if keep else None

    def output_rows(self, gradient: Tensor) -> Tensor:
        """A gradient in the layer's output as rows, shape (rows, out), float64."""
        last = gradient.movedim(-3, -1) if isinstance(self.module, nn.Conv2d) else gradient
        return last.reshape(-1, last.shape[-1]).to(torch.float64)


@dataclass(frozen=True, eq=False)
class LayerPass:
    """What one pass showed of a layer.

    Attributes:
        A: Input factor, shape (d_A, d_A), or its diagonal, shape (d_A,); float64.
        rows: Number of rows r.
        output: The layer's output s with its graph.
        a: The rows a_r, shape (rows, d_A), float64, where they are fewer than d_A.
    """

    A: Tensor
    rows: int
    output: Tensor
    a: Tensor | None


def kfac_layers(model: nn.Module) -> tuple[KFACLayer, ...]:
    """The modules that hold trainable parameters.

    Raises:
        MisuseError: A parameter with two names; a module other than Linear, Conv2d and Embedding; an option of these
            that K-FAC has no factors for.
    """
    names: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        first = names.setdefault(id(parameter), name)
        if first != name and parameter.requires_grad:
            raise MisuseError(
                f"model parameter {first} is also {name}: K-FAC has one pair of factors a layer and does not know "
                "tied layers; give each its own parameter, or use ggn_factors or ggn_operator"
            )
    layers: list[KFACLayer] = []
    for name, module in cast("Iterator[tuple[str, nn.Module]]", model.named_modules()):  # torch types it partly
        own = {key for key, parameter in module.named_parameters(recurse=False) if parameter.requires_grad}
        if own:
            known = _known(module, own)
            if isinstance(known, str):
                raise MisuseError(f"{_label(name, module)} {known}: {_REMEDY}")
            layers.append(KFACLayer(name, known, "weight" in own, "bias" in own))
    return tuple(layers)


def recorded_pass(
    layers: tuple[KFACLayer, ...], run: Callable[[], Tensor], moment: Moment = Moment.MATRIX
) -> tuple[Tensor, list[LayerPass]]:
    """Outputs of ``run`` and what every layer saw; the model's hooks are as before afterwards.

    Args:
        layers: Those to record.
        run: One forward pass of the model that holds them.
        moment: What to keep of the inputs.

    Raises:
        MisuseError: A layer that does not run exactly once.

    Cost: the pass, and rows d_A^2 a layer (diagonals: rows d_A).
    """
    seen: list[list[LayerPass]] = [[] for _ in layers]
    with ExitStack() as stack:
        for layer, passes in zip(layers, seen, strict=True):
            handle = layer.module.register_forward_hook(_recorder(layer, passes, moment), with_kwargs=True)
            stack.callback(handle.remove)
        outputs = run()
    for layer, passes in zip(layers, seen, strict=True):
        if len(passes) != 1:
            raise MisuseError(
                f"{layer.label} runs {len(passes)} times in a forward pass: K-FAC needs it exactly once, called as a "
                f"module; give every use a layer of its own, or {_REMEDY}"
            )
    return outputs, [passes[0] for passes in seen]


def check_pass(layer: KFACLayer, whole: LayerPass, alone: LayerPass, outputs: Tensor) -> None:
    """Refuse a layer without a graph, and one whose rows do not belong to one sample each (a table of positions).

    Args:
        layer: The layer.
        whole: Its pass of the batch.
        alone: Its pass of a single sample.
        outputs: The model's outputs of the batch.
    """
    if not (whole.output.requires_grad and outputs.requires_grad):
        raise MisuseError(
            f"{layer.label} is cut off from the outputs (no_grad or detach in the model): {_REMEDY.split(',')[0]}"
        )
    if whole.rows != alone.rows * len(outputs):
        raise MisuseError(
            f"{layer.label} has {whole.rows} rows of inputs for {len(outputs)} samples and {alone.rows} for one: "
            f"K-FAC needs rows that belong to one sample; expand its input to the batch, or {_REMEDY}"
        )


def _recorder(layer: KFACLayer, passes: list[LayerPass], moment: Moment) -> Callable[..., Tensor]:
    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor:
        x: Tensor = args[0] if args else kwargs["input"]
        A, rows, a = layer.input_factor(x.detach(), moment)
        passes.append(LayerPass(A, rows, output, a))
        return output.clone()  # so that an in-place activation behind the layer leaves s itself as it was

    return hook


def _known(module: nn.Module, own: set[str]) -> nn.Linear | nn.Conv2d | nn.Embedding | str:
    """The module, or why it has no factors.  A subclass with its own ``forward`` is another layer."""
    kinds = (nn.Linear, nn.Conv2d, nn.Embedding)
    if not isinstance(module, kinds) or own - {"weight", "bias"} or _forward_of(module, kinds) is None:
        return "holds trainable parameters that K-FAC has no factors for (it knows Linear, Conv2d and Embedding)"
    if isinstance(module, nn.Conv2d) and (module.groups != 1 or module.padding_mode != "zeros"):
        return f"has groups = {module.groups} and padding_mode = {module.padding_mode!r}, K-FAC takes 1 and 'zeros'"
    if isinstance(module, nn.Embedding) and (module.max_norm or module.scale_grad_by_freq or module.sparse):
        return "has max_norm, scale_grad_by_freq or sparse, which change the gradient"
    return module


def _forward_of(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> type[nn.Module] | None:
    return next((kind for kind in kinds if type(module).forward is kind.forward), None)


def _patches(module: nn.Conv2d, x: Tensor) -> Tensor:
    """Rows (rows, C h w): the convolution whose kernels are the unit matrix copies every entry of a patch."""
    size = module.weight[0].numel()
    kernels = torch.eye(size, dtype=x.dtype, device=x.device).reshape(size, *module.weight.shape[1:])
    found = functional.conv2d(x, kernels, None, module.stride, module.padding, module.dilation)
    return found.movedim(-3, -1).flatten(0, -2)


def _token_counts(module: nn.Embedding, tokens: Tensor) -> tuple[Tensor, int]:
    counts = torch.bincount(tokens.flatten(), minlength=module.num_embeddings).to(torch.float64)
    if module.padding_idx is not None:
        counts[module.padding_idx] = 0.0
    return counts / tokens.numel(), tokens.numel()


def _label(name: str, module: nn.Module) -> str:
    return f"model layer {name or 'model'} ({type(module).__name__})"
