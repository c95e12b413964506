"""The dual form: N unknowns solved on a chip of batch * d_z nodes, exactly, at every finite time.

With A = W^T W + lambda I and b = W^T u, the relaxation dx/dt = -(A x - b)/tau from x = 0 is

    x(t) = W^T y(t),    dy/dt = -((W W^T + lambda I) y - u)/tau,    y(0) = 0

because W^T maps the second equation onto the first.  The small matrix W W^T + lambda I is symmetric and positive
definite.  u grows as sqrt(1/p_y - 1) for a confident mistake of a softmax, so the voltage scale follows it.
Forming W W^T costs m^2 N, what Woodbury costs; the chip replaces the m^3 solve.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem

__all__ = ["DualProblem", "dual_problem"]


@dataclass(frozen=True, eq=False)
class DualProblem:
    """A problem for the chip and the way back.

    Attributes:
        problem: (W W^T + lambda I) y = u, m unknowns.
        W: Whitened Jacobian, shape (m, N).
    """

    problem: LinearProblem
    W: Tensor

    def recover(self, y: Tensor) -> Tensor:
        """x = W^T y, shape (..., N) for y of shape (..., m)."""
        return y @ self.W


def dual_problem(W: Tensor, u: Tensor, damping: float) -> DualProblem:
    """The dual of (W^T W + damping I) x = W^T u.

    Args:
        W: Shape (m, N).
        u: Shape (m,).
        damping: lambda > 0.

    Raises:
        MisuseError: Shapes that do not fit, damping not above 0.
    """
    if W.ndim != 2 or u.shape != W.shape[:1]:
        raise MisuseError(f"W has shape {tuple(W.shape)} and u {tuple(u.shape)}: expected (m, N) and (m,)")
    if not 0 < damping < float("inf"):
        raise MisuseError(f"damping = {damping!r}: expected a finite number above 0")
    gram = W @ W.T
    A = (gram + gram.T) / 2 + damping * torch.eye(len(u), dtype=W.dtype)
    return DualProblem(LinearProblem(A, u), W)
