r"""Low-rank adapters: a frozen linear layer and a trained product of two thin matrices (LoRA).

    y = W x + b + (alpha / r) B A x,     A (r, inputs),  B (outputs, r),  W and b frozen

Source: E. Hu et al., LoRA, arXiv 2106.09685, Eq. (3).  A starts uniform within 1/sqrt(inputs), as the library ``peft``
of the paper's experiment does, and B at zero, so that the adapted network begins as the pre-trained one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.outcome import MisuseError
from tngd_hw.random import stream
from tngd_hw.training.record import check_count

__all__ = ["LoRALinear", "insert_lora"]


class LoRALinear(nn.Module):
    """A linear layer with an adapter; see the module's page.

    Args:
        base: The layer; its parameters are frozen.
        rank: r, 1 to the smaller side of W.
        alpha: Numerator of the scale alpha / r.
        seed: Of A.
        name: Of the layer in its network; another name gives another A.

    Raises:
        MisuseError: A rank or alpha out of range, or a bad seed.

    Cost: 2 r (inputs + outputs) operations a token more than ``base``.
    """

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float, seed: int, name: str = "") -> None:
        super().__init__()
        if check_count(rank, "rank") > min(base.in_features, base.out_features):
            raise MisuseError(f"rank = {rank}: layer {name} is {base.in_features} x {base.out_features}, use less")
        if not 0 < alpha < math.inf:
            raise MisuseError(f"alpha = {alpha!r}: expected a finite number above 0, for example 32")
        bound = 1.0 / math.sqrt(base.in_features)
        values = stream(seed, f"tasks.lora.{name}").uniform(-bound, bound, size=(rank, base.in_features))
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.from_numpy(values).to(base.weight))
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """From (..., inputs) to (..., outputs)."""
        frozen: Tensor = self.base(x)
        return frozen + self.scale * functional.linear(functional.linear(x, self.A), self.B)


def insert_lora(
    model: nn.Module, layers: Sequence[str], *, rank: int = 2, alpha: float = 32.0, seed: int = 0
) -> tuple[str, ...]:
    """Freeze ``model`` and put an adapter on every linear layer whose name ends in one of ``layers``, in place.

    Args:
        model: Any network.
        layers: Ends of names, whole parts: ``"output.dense"`` fits ``encoder.0.output.dense``, not ``myoutput.dense``.
        rank: r.
        alpha: Numerator of the scale.
        seed: Of all A; each layer has its own stream.

    Returns:
        Names of the adapted layers, in the model's order.

    Raises:
        MisuseError: No layer fits, or what :class:`LoRALinear` refuses.
    """
    modules = cast("Iterator[tuple[str, nn.Module]]", model.named_modules())  # torch types it partly
    found = [(name, layer) for name, layer in modules if isinstance(layer, nn.Linear) and _fits(name, layers)]
    if not found:
        raise MisuseError(f"layers = {tuple(layers)}: the model has no linear layer whose name ends so")
    adapted = {name: LoRALinear(layer, rank=rank, alpha=alpha, seed=seed, name=name) for name, layer in found}
    model.requires_grad_(False)  # the adapters are not in it yet
    for name, layer in adapted.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)
    return tuple(adapted)


def _fits(name: str, ends: Sequence[str]) -> bool:
    return any(f".{name}".endswith(f".{end}") for end in ends)
