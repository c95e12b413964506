r"""AdaFisher: Adam with the diagonals of Kronecker factors in the place of squared gradients; a digital control.

For every layer with rows of inputs a_r (bias as 1) and of output gradients g_r, at the step t = 1, 2, ...

    H_D <- gamma H_D + (1 - gamma) diag E[a a^T],     S_D <- gamma S_D + (1 - gamma) diag E[g g^T]
    H' = (H_D - min H_D)/(max H_D - min H_D),         S' likewise
    F = S' (x) H' + lambda
    m <- beta m + (1 - beta) dL/dtheta
    x = m/(1 - beta^t)/F,                             theta <- theta - lr x          (no square root)

An entry of F lies between lambda and 1 + lambda: lambda is relative to the largest entry of a layer and is not that
of the other methods.

Source: D. Martins Gomes and others, arXiv 2405.16397 (ICLR 2025).  Written from the equations alone.  Ours, where they
leave a choice:

- Averages start at 0 without correction: a common factor of H_D or S_D cancels in H' and S', so a correction, a factor
  other than 1 - gamma, or the units of inputs and loss change nothing.
- Where all entries of an average are alike (a layer with one output), it becomes 1.
- The first moment is kept without the factor 1/(1 - beta^t), as in Adam.
- A convolution has one row a position, an embedding one unit vector a token (:mod:`tngd_hw.curvature.kfac`).
- The gradients g_r are those of the data's targets (the empirical Fisher) unless asked otherwise.
- gamma = beta = 0.9.  lambda and the learning rate are the optimizer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tngd_hw.curvature import Fisher, kfac_diagonals
from tngd_hw.outcome import MisuseError
from tngd_hw.training.digital_gradient import DigitalGradient
from tngd_hw.training.method import Batch, Loss, check_damping, fill_gradients

__all__ = ["AdaFisherMethod"]


@dataclass(frozen=True)
class AdaFisherMethod:
    """AdaFisher's direction x, with ``TNGD(..., momentum=0)`` as its base update.

    Attributes:
        decay: gamma, of the averaged diagonals.
        momentum: beta, of the averaged gradient; that of the optimizer is another one and stays 0.
        fisher: Whose output gradients: EMPIRICAL, or TRUE at d_z reverse passes.

    The state is one vector, so that checkpoints hold it: the step count t; H_D of every layer; S_D of every
    layer; the first moment m in the order of the parameters: 1 + sum_l (d_A + d_G) + N entries, float64.

    Raises:
        MisuseError: A decay or momentum outside [0, 1).
    """

    decay: float = 0.9
    momentum: float = 0.9
    fisher: Fisher = Fisher.EMPIRICAL

    def __post_init__(self) -> None:
        for name in ("decay", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise MisuseError(f"{name} = {getattr(self, name)!r}: give a number from 0 to below 1")

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> DigitalGradient:
        """Fill ``p.grad`` with x; ``damping`` is lambda, ``step`` is not used.

        ``curvature`` of what is returned is v -> (S' (x) H') v: the diagonal without lambda, in its own units.

        Raises:
            MisuseError: What ``kfac_diagonals`` refuses, a damping not above 0, a state of another model.

        Cost: that of ``kfac_diagonals``; O(N).
        """
        del step
        check_damping(damping)
        found = kfac_diagonals(model, loss, batch, fisher=self.fisher)
        gradient, layers = found.gradient(), len(found.layers)
        (steps, *old, moment) = _split(state, [gradient.new_ones(1), *found.H, *found.S, gradient])
        steps = steps + 1
        kept = [_average(self.decay, *each) for each in zip(old, (*found.H, *found.S), strict=True)]
        moment = _average(self.momentum, moment, gradient)
        spread = [_normalised(each) for each in kept]
        diagonal = found.outer(spread[:layers], spread[layers:])
        direction = moment / (1 - self.momentum ** float(steps)) / (diagonal + damping)
        fill_gradients(model, direction)
        return DigitalGradient(
            found.loss, direction, gradient, lambda v: diagonal * v, torch.cat([steps, *kept, moment])
        )


def _average(decay: float, old: Tensor, new: Tensor) -> Tensor:
    return decay * old + (1 - decay) * new


def _normalised(diagonal: Tensor) -> Tensor:
    """From 0 at the smallest entry to 1 at the largest; 1 where they are alike."""
    low, high = diagonal.min(), diagonal.max()
    return (diagonal - low) / (high - low) if bool(high > low) else torch.ones_like(diagonal)


def _split(state: Tensor | None, like: Sequence[Tensor]) -> list[Tensor]:
    """The state in pieces of the sizes of ``like``; zeros at the first step."""
    if state is None:
        return [torch.zeros_like(each) for each in like]
    sizes = [len(each) for each in like]
    if state.shape != (sum(sizes),):
        raise MisuseError(
            f"state has shape {tuple(state.shape)}, this model needs ({sum(sizes)},): the state is another model's; "
            "start anew"
        )
    return list(torch.split(state.to(like[0]), sizes))
