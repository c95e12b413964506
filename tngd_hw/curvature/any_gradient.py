r"""The dual form for a gradient outside the row space of the curvature's factor: one more node, exact at every time.

A = W^T W + lambda I and dx/dt = -(A x - g)/tau from x = 0, for any g in R^N.  Put x = W^T y + c g:

    dc/dt = -(lambda c - 1)/tau,     dy/dt = -((W W^T + lambda I) y + c W g)/tau,     c(0) = 0,  y(0) = 0

Proof: W^T dy/dt + g dc/dt = -((W^T W + lambda I)(W^T y + c g) - g)/tau.  At rest c = 1/lambda, and x is Woodbury's
(g - W^T (W W^T + lambda I)^-1 W g)/lambda.  The node z = s c holds c to the scale of the others.  The matrix is upper
block triangular, so not symmetric; its eigenvalues are those of W W^T + lambda I and lambda.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies import DualProblem, dual_problem

__all__ = ["any_gradient_dual_problem", "factors_dual_problem"]


def any_gradient_dual_problem(W: Tensor, g: Tensor, damping: float) -> DualProblem:
    """(W^T W + damping I) x = g for any g, as m + 1 unknowns for a chip.

    Where g = W^T u with a known u, :func:`tngd_hw.topologies.dual_problem` is smaller by a node and symmetric.

    Args:
        W: Shape (m, N), float64.
        g: Shape (N,), float64.
        damping: lambda > 0.

    Returns:
        The problem, with the recovery matrix [W; g^T/s], shape (m + 1, N), and a start at rest.

    Raises:
        MisuseError: Shapes that do not fit, damping not above 0.

    Cost: m^2 N.
    """
    if W.ndim != 2 or g.shape != W.shape[1:]:
        raise MisuseError(f"W has shape {tuple(W.shape)} and g {tuple(g.shape)}: expected (m, N) and (N,)")
    if not 0 < damping < float("inf"):
        raise MisuseError(f"damping = {damping!r}: expected a finite number above 0")
    gram = W @ W.T
    K = (gram + gram.T) / 2 + damping * torch.eye(len(W), dtype=W.dtype, device=W.device)
    coupling = W @ g
    largest = float(coupling.abs().max())
    s = largest / float(K.abs().max()) if largest > 0 else 1.0  # the new column then needs no larger range than K
    size = len(W) + 1
    extended = torch.zeros(size, size, dtype=K.dtype, device=K.device)
    extended[:-1, :-1] = K
    extended[:-1, -1] = coupling / s
    extended[-1, -1] = damping
    drive = torch.zeros(size, dtype=K.dtype, device=K.device)
    drive[-1] = s
    recovery = torch.cat([W, g[None] / s])
    return DualProblem(LinearProblem(extended, drive), recovery, torch.zeros_like(drive), None)


def factors_dual_problem(W: Tensor, u: Tensor | None, g: Tensor, damping: float) -> DualProblem:
    """(W^T W + damping I) x = g in the smaller form where g = W^T u with a known u, else with one more node.

    Args, errors and cost: as :func:`any_gradient_dual_problem`; u has shape (m,).
    """
    return any_gradient_dual_problem(W, g, damping) if u is None else dual_problem(W, u, damping)
