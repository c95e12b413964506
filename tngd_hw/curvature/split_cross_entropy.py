"""Several softmaxes side by side in one output vector: the loss of extractive question answering, start and end."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.curvature.closed_form_losses import cross_entropy_factors
from tngd_hw.curvature.loss_factors import LossFactors
from tngd_hw.outcome import MisuseError

__all__ = ["SplitCrossEntropy", "split_cross_entropy_factors"]


class SplitCrossEntropy(nn.Module):
    r"""Mean of the cross-entropies of ``parts`` softmaxes of equal size, and over the batch.

        L = (1 / (batch parts)) sum_{i,k} -log softmax(z_ik)[y_ik],     z_i = (z_i1, ..., z_i,parts)

    Args:
        parts: Number of softmaxes; with 2, outputs (batch, 2 tokens) are the start logits, then the end logits.

    Raises:
        MisuseError: ``parts`` below 1; at a call, outputs or targets of another shape.

    Cost: batch d_z.
    """

    def __init__(self, parts: int = 2) -> None:
        super().__init__()
        if isinstance(parts, bool) or parts < 1:
            raise MisuseError(f"parts = {parts!r}: give the number of softmaxes, 1 or more")
        self.parts = parts

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of outputs (batch, parts * classes) and class numbers (batch, parts)."""
        return functional.cross_entropy(*self.split(outputs, targets))

    def split(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Every softmax as a sample of its own: shapes (batch * parts, classes) and (batch * parts,)."""
        if outputs.ndim != 2 or outputs.shape[1] % self.parts:
            raise MisuseError(
                f"outputs have shape {tuple(outputs.shape)}: expected (batch, {self.parts} * classes), "
                f"{self.parts} softmaxes side by side"
            )
        if targets.shape != (outputs.shape[0], self.parts):
            raise MisuseError(
                f"targets have shape {tuple(targets.shape)}: expected ({outputs.shape[0]}, {self.parts}), "
                "one class number a sample and softmax"
            )
        return outputs.reshape(-1, outputs.shape[1] // self.parts), targets.reshape(-1)


def split_cross_entropy_factors(loss: SplitCrossEntropy, outputs: Tensor, targets: Tensor) -> LossFactors:
    """Closed form: blocks of :func:`cross_entropy_factors` on the diagonal, as the softmaxes do not touch each other.

    Args:
        loss: Says how many softmaxes.
        outputs: Shape (batch, d_z), float64.
        targets: Class numbers, shape (batch, parts), integers.

    Raises:
        MisuseError: Other shapes, a target out of range.

    Cost: batch d_z^2 / parts, and memory for 2 batch d_z^2.
    """
    inner = cross_entropy_factors(nn.CrossEntropyLoss(), *loss.split(outputs, targets))
    return LossFactors(
        H=_side_by_side(inner.H, loss.parts),
        S=_side_by_side(inner.S, loss.parts),
        r=inner.r,
        u=inner.u,
        loss=inner.loss,
    )


def _side_by_side(blocks: Tensor, parts: int) -> Tensor:
    """Blocks (batch * parts, c, c) on the diagonals of (batch, parts * c, parts * c)."""
    classes = blocks.shape[-1]
    pieces = blocks.reshape(-1, parts, classes, classes)
    whole = blocks.new_zeros(len(pieces), parts, classes, parts, classes)
    for k in range(parts):
        whole[:, k, :, k, :] = pieces[:, k]
    return whole.reshape(len(pieces), parts * classes, parts * classes)
