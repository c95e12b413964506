"""The dual forms: N unknowns solved on a chip of batch * d_z nodes, exactly, at every finite time, from any start.

A = J^T H J + lambda I and dx/dt = -(A x - g)/tau.  With a recovery matrix R, x = e^(-lambda t/tau) x0 + R^T y solves it
when y relaxes on the small matrix K, from y(0) = 0, with a forcing that forgets x0:

    dy/dt = -(K y - f + e^(-lambda t/tau) c)/tau

    symmetric form      R = W = H^(1/2) J,  K = W W^T + lambda I,    f = u (g = W^T u),         c = W x0
    output form         R = J,              K = H J J^T + lambda I,  f = r = dL/dz (g = J^T r), c = H J x0

Proof: put x into the large equation and use R^T K = A R^T.  K of the symmetric form is symmetric, but its u grows as
sqrt(1/p_y - 1) for a confident mistake of a softmax; the output form has bounded forcing and a K that is not symmetric.
The decaying exponential needs no waveform generator: it is one more node, dz/dt = -lambda z/tau from z(0) = s, that
drives row i with the weight c_i/s.  g must lie in the row space of R (weight decay and momentum go outside).  Noise of
the chip reaches x through R^T.  Forming K costs what Woodbury costs; the chip replaces the small solve.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem

__all__ = ["DualProblem", "dual_problem", "output_dual_problem"]


@dataclass(frozen=True, eq=False)
class DualProblem:
    """A problem for the chip and the way back.

    Attributes:
        problem: K y = f: m unknowns, or m + 1 where there is a start x0.
        recovery: R, shape (m, N).
        start: State of the chip's unknowns at t = 0: zeros, and s for the node of the decaying start.
        x0: Shape (N,), or None for a start at 0.
    """

    problem: LinearProblem
    recovery: Tensor
    start: Tensor
    x0: Tensor | None

    def recover(self, y: Tensor) -> Tensor:
        """x, shape (..., N), for y of shape (..., m) or (..., m + 1): R^T y + x0 z/s, z/s being e^(-lambda t/tau)."""
        if self.x0 is None:
            return y @ self.recovery
        return y[..., :-1] @ self.recovery + (y[..., -1:] / self.start[-1]) * self.x0


def dual_problem(W: Tensor, u: Tensor, damping: float, x0: Tensor | None = None) -> DualProblem:
    """The symmetric form of (W^T W + damping I) x = W^T u.

    Args:
        W: Whitened Jacobian H^(1/2) J, shape (m, N).
        u: Shape (m,).
        damping: lambda > 0.
        x0: Start, shape (N,); default 0.

    Raises:
        MisuseError: Shapes that do not fit, damping not above 0.
    """
    if W.ndim != 2 or u.shape != W.shape[:1]:
        raise MisuseError(f"W has shape {tuple(W.shape)} and u {tuple(u.shape)}: expected (m, N) and (m,)")
    gram = W @ W.T
    return _dual((gram + gram.T) / 2, W, W, u, damping=damping, x0=x0)


def output_dual_problem(J: Tensor, H: Tensor, r: Tensor, damping: float, x0: Tensor | None = None) -> DualProblem:
    """The output form of (J^T H J + damping I) x = J^T r.

    Args:
        J: Jacobian of the outputs, shape (m, N).
        H: Blocks of the loss Hessian, shape (batch, d_z, d_z), batch * d_z = m.
        r: Gradient of the loss in the outputs, shape (m,).
        damping: lambda > 0.
        x0: Start, shape (N,); default 0.

    Raises:
        MisuseError: Shapes that do not fit, damping not above 0.
    """
    if J.ndim != 2 or r.shape != J.shape[:1]:
        raise MisuseError(f"J has shape {tuple(J.shape)} and r {tuple(r.shape)}: expected (m, N) and (m,)")
    if H.ndim != 3 or H.shape[1] != H.shape[2] or H.shape[0] * H.shape[1] != len(r):
        raise MisuseError(
            f"H has shape {tuple(H.shape)}: expected blocks (batch, d_z, d_z) with batch * d_z = {len(r)}"
        )
    weighted = torch.einsum("bij,bjn->bin", H, J.reshape(H.shape[0], H.shape[1], -1)).reshape(J.shape)
    return _dual(weighted @ J.T, J, weighted, r, damping=damping, x0=x0)


def _dual(gram: Tensor, R: Tensor, to_start: Tensor, f: Tensor, *, damping: float, x0: Tensor | None) -> DualProblem:
    if not 0 < damping < float("inf"):
        raise MisuseError(f"damping = {damping!r}: expected a finite number above 0")
    m = len(f)
    K = gram + damping * torch.eye(m, dtype=gram.dtype)
    if x0 is None:
        return DualProblem(LinearProblem(K, f), R, torch.zeros_like(f), None)
    if x0.shape != R.shape[1:]:
        raise MisuseError(f"x0 has shape {tuple(x0.shape)}: expected ({R.shape[1]},)")
    coupling = to_start @ x0
    largest = float(coupling.abs().max())
    s = largest / float(K.abs().max()) if largest > 0 else 1.0  # the new column then needs no larger range than K
    last = torch.cat([torch.zeros_like(f), torch.tensor([damping], dtype=K.dtype)])
    extended = torch.cat([torch.cat([K, (coupling / s)[:, None]], dim=1), last[None]], dim=0)
    start = torch.cat([torch.zeros_like(f), torch.tensor([s], dtype=K.dtype)])
    return DualProblem(LinearProblem(extended, torch.cat([f, torch.zeros_like(f[:1])])), R, start, x0)
