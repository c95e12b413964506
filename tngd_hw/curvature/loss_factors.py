"""What the curvature needs to know of a loss: value, gradient and Hessian with respect to the outputs, and a root."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["LossFactors"]


@dataclass(frozen=True)
class LossFactors:
    """Second-order description of L = (1/batch) sum_i l(z_i, y_i) at the outputs z; all tensors float64.

    The Hessian of L in z is block diagonal, one block a sample, and everything carries the 1/batch:

        H_i = (1/batch) d^2 l / dz_i^2 = S_i S_i^T,     r_i = (1/batch) dl/dz_i = S_i u_i

    S_i is a square root of H_i, not necessarily symmetric; u is the shortest vector with S u = r.

    Attributes:
        H: Blocks, shape (batch, d_z, d_z).
        S: Roots, shape (batch, d_z, d_z).
        r: Output gradient dL/dz, shape (batch * d_z,), samples outer.
        u: Whitened output gradient, shape (batch * d_z,), samples outer.
        loss: L itself.
    """

    H: Tensor
    S: Tensor
    r: Tensor
    u: Tensor
    loss: float
