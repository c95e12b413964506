"""The generalized Gauss-Newton matrix of a batch, held in factors and never formed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tngd_hw.curvature.forward import check_pair
from tngd_hw.curvature.jacobian import output_jacobian
from tngd_hw.curvature.loss_hessian import loss_factors

__all__ = ["GGNFactors", "ggn_factors"]


@dataclass(frozen=True)
class GGNFactors:
    r"""Factors of the curvature G = J^T H J and of the gradient g = J^T r of one batch.

    With H = S S^T and r = S u (block by block) and W = S^T J

        G = W^T W,     g = W^T u

    which is what the dual form needs: (W W^T + lambda I) y = u, x = W^T y solves (G + lambda I) x = g.  The damping
    lambda is not part of the factors.  All tensors are float64; rows run over samples (outer) and outputs (inner),
    columns over the trainable parameters in the order of :mod:`tngd_hw.curvature.parameters`.

    Attributes:
        J: Output Jacobian, shape (batch * d_z, N).
        H: Loss Hessian blocks with their 1/batch, shape (batch, d_z, d_z).
        S: Roots of the blocks, S_i S_i^T = H_i, shape (batch, d_z, d_z).
        r: Output gradient dL/dz with its 1/batch, shape (batch * d_z,).
        u: The shortest vector with S u = r, shape (batch * d_z,).
        loss: The batch loss L.
    """

    J: Tensor
    H: Tensor
    S: Tensor
    r: Tensor
    u: Tensor
    loss: float

    @property
    def batch_size(self) -> int:
        """Number of samples."""
        return self.H.shape[0]

    @property
    def parameter_count(self) -> int:
        """N, the number of trainable parameters."""
        return self.J.shape[1]

    def gradient(self) -> Tensor:
        """The batch gradient g = J^T r, shape (N,).  Cost: batch d_z N."""
        return self.J.mT @ self.r

    def whitened_jacobian(self) -> Tensor:
        """W = S^T J, shape (batch * d_z, N), so that W^T W = G and W^T u = g.  Cost: batch d_z^2 N."""
        return self._blockwise(self.S.mT)

    def ggn_matrix(self) -> Tensor:
        """Dense G = J^T H J, shape (N, N), for tests and small N.  Cost: batch d_z N^2, and 8 N^2 bytes."""
        return self.J.mT @ self._blockwise(self.H)

    def product(self, v: Tensor) -> Tensor:
        """G v, shape (N,), G never formed.  Cost: 2 batch d_z N."""
        batch_size, d_z, _ = self.H.shape
        weighted = torch.bmm(self.H, (self.J @ v).reshape(batch_size, d_z, 1))
        return self.J.mT @ weighted.reshape(-1)

    def _blockwise(self, blocks: Tensor) -> Tensor:
        """The block-diagonal matrix of ``blocks`` times J."""
        batch_size, d_z, _ = blocks.shape
        return torch.bmm(blocks, self.J.reshape(batch_size, d_z, -1)).reshape(self.J.shape)


def ggn_factors(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
) -> GGNFactors:
    """Generalized Gauss-Newton factors of ``loss(model(inputs), targets)``.

    The Jacobian is computed in the model's dtype and promoted to float64; loss, gradient and Hessian in the outputs are
    computed in float64 from the promoted outputs.  Neither the model nor its ``grad`` fields change.

    Args:
        model: A network with independent samples; normalisation and dropout layers in eval mode.
        loss: ``torch.nn.CrossEntropyLoss()``, ``torch.nn.MSELoss()`` or a callable (see
            :func:`tngd_hw.curvature.loss_factors`).
        batch: inputs, shape (batch, ...), and targets, shape (batch, ...).

    Returns:
        The factors; nothing of size N x N.

    Raises:
        MisuseError: Anything :func:`output_jacobian` or :func:`loss_factors` refuses, or a batch that is not a pair.

    Cost: about d_z backward passes, and 8 batch d_z N bytes.
    Source: equation 9 of arXiv 2405.13817, with the transposes as A = J^T H J + lambda I requires.
    """
    inputs, targets = check_pair(batch)
    outputs, jacobian = output_jacobian(model, inputs)
    factors = loss_factors(loss, outputs, targets)
    return GGNFactors(J=jacobian, H=factors.H, S=factors.S, r=factors.r, u=factors.u, loss=factors.loss)
