r"""The curvature layer by layer: what is left of W^T W when the blocks between layers are dropped.

With W = [W_1 ... W_L], the columns of each layer side by side, layer l solves a system of its own,

    (W_l^T W_l + lambda I) x_l = g_l,     g_l = W_l^T u

with the *same* u for every layer: it belongs to the outputs, not to the parameters.  So g_l lies in the row space of
W_l wherever g lies in that of W, and each layer is a dual problem of the same number of nodes as the whole, with a
matrix of its own.  The sum of the layers' matrices W_l W_l^T is the matrix W W^T of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tngd_hw.curvature.any_gradient import factors_dual_problem
from tngd_hw.curvature.parameters import trainable_parameters
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies import DualProblem

__all__ = ["LayerBlock", "layer_blocks"]


@dataclass(frozen=True, eq=False)
class LayerBlock:
    """One layer's block W_l^T W_l and gradient.

    Attributes:
        layer: Name of the module that holds the parameters, "" for the model itself.
        columns: Where they are in the vector of all N.
        W: Shape (m, N_l), a view of the whole factor.
        u: Shape (m,), the whole's, or None where g is not in the row space.
        g: Gradient of the layer, shape (N_l,).
    """

    layer: str
    columns: slice
    W: Tensor
    u: Tensor | None
    g: Tensor

    def matrix(self) -> Tensor:
        """Dense W_l^T W_l, shape (N_l, N_l), for tests and small layers.  Cost: m N_l^2."""
        return self.W.mT @ self.W

    def dual_problem(self, damping: float) -> DualProblem:
        """(W_l^T W_l + damping I) x_l = g_l for a chip of m nodes, or of m + 1 where u is None.

        Raises:
            MisuseError: damping not above 0.

        Cost: m^2 N_l.
        """
        return factors_dual_problem(self.W, self.u, self.g, damping)


def layer_blocks(model: nn.Module, W: Tensor, u: Tensor | None, g: Tensor) -> tuple[LayerBlock, ...]:
    """Cut the factors of a curvature matrix into layers, in the order of the parameters.

    ``torch.cat`` of the layers' answers is the direction x, shape (N,).  Weight and bias of a module make one layer; a
    parameter used in several modules belongs to the first.

    Args:
        model: The network.
        W: Shape (m, N): ``GGNFactors.whitened_jacobian()`` or ``FisherFactors.W``.
        u: Shape (m,) with g = W^T u, or None.
        g: The gradient, shape (N,).

    Raises:
        MisuseError: Shapes that do not fit the model or each other, a model without trainable parameters.

    Cost: none; the blocks are views.
    """
    sizes: dict[str, int] = {}
    for name, parameter in trainable_parameters(model).items():
        layer = name.rpartition(".")[0]
        sizes[layer] = sizes.get(layer, 0) + parameter.numel()
    total = sum(sizes.values())
    if W.ndim != 2 or W.shape[1] != total or g.shape != (total,) or (u is not None and u.shape != W.shape[:1]):
        drive = "None" if u is None else str(tuple(u.shape))
        raise MisuseError(
            f"W has shape {tuple(W.shape)}, u {drive} and g {tuple(g.shape)}: "
            f"this model needs (m, {total}), (m,) or None, and ({total},)"
        )
    blocks: list[LayerBlock] = []
    start = 0
    for layer, size in sizes.items():
        columns = slice(start, start + size)
        blocks.append(LayerBlock(layer, columns, W[:, columns], u, g[columns]))
        start += size
    return tuple(blocks)
