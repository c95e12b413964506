r"""The diagonals of the Kronecker factors of every layer: what is left of K-FAC for a method as cheap as Adam.

With the factors A and G of :mod:`tngd_hw.curvature.kfac`, rows a_r (bias as 1) and g_r,

    H_D = diag A = (1/rows) sum_r a_r^2,     S_D = diag G = sum g_r^2,     entry by entry
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tngd_hw.curvature.fisher import Fisher
from tngd_hw.curvature.kfac import trace_layers
from tngd_hw.curvature.kfac_layers import KFACLayer, Moment

__all__ = ["KFACDiagonals", "kfac_diagonals"]


@dataclass(frozen=True, eq=False)
class KFACDiagonals:
    """Of one batch.  All tensors float64.

    Attributes:
        layers: Those with trainable parameters, in the order of the modules.
        H: diag A of every layer, shape (d_A,).
        S: diag G of every layer, shape (d_G,).
        gradients: dL/dp by the names of the trainable parameters, in the package's order.
        loss: The batch loss L.
    """

    layers: tuple[KFACLayer, ...]
    H: tuple[Tensor, ...]
    S: tuple[Tensor, ...]
    gradients: dict[str, Tensor]
    loss: float

    def gradient(self) -> Tensor:
        """The batch gradient g, shape (N,)."""
        return self._flat(self.gradients)

    def outer(self, H: Sequence[Tensor], S: Sequence[Tensor]) -> Tensor:
        """S_l (x) H_l of every layer l as one vector over all parameters, shape (N,).

        Args:
            H: One vector (d_A,) a layer.
            S: One vector (d_G,) a layer.
        """
        pieces: dict[str, Tensor] = {}
        for layer, h, s in zip(self.layers, H, S, strict=True):
            pieces |= layer.pieces(s[:, None] * h)
        return self._flat(pieces)

    def _flat(self, pieces: dict[str, Tensor]) -> Tensor:
        return torch.cat([pieces[name].reshape(-1) for name in self.gradients])


def kfac_diagonals(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    *,
    fisher: Fisher = Fisher.EMPIRICAL,
) -> KFACDiagonals:
    """Diagonals of the factors of :func:`tngd_hw.curvature.kfac_factors`, without the factors.

    Arguments and errors are those of ``kfac_factors``.

    Cost: three forward and two reverse passes (Fisher.TRUE: d_z + 1), rows (d_A + d_G) a layer.
    """
    trace = trace_layers(model, loss, batch, fisher, Moment.DIAGONAL)
    H, S = (tuple(found) for found in ([seen.A for seen in trace.passes], trace.output_factors()))
    return KFACDiagonals(trace.layers, H, S, trace.gradients(), trace.known.loss)
