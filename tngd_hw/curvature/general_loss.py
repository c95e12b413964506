"""Factors of any convex loss that is a mean over samples, by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.func import grad, grad_and_value, jacrev, vmap

from tngd_hw.curvature.loss_factors import LossFactors
from tngd_hw.outcome import MisuseError

__all__ = ["general_loss_factors"]

_ROUNDING = 100.0  # eigenvalues below this many d_z * eps * (largest) are rounding, of either sign
_RANGE_TOLERANCE = 1e-8  # |S u - r| above this fraction of |r| means that r is not in the range of S


def general_loss_factors(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> LossFactors:
    r"""Factors of L(z, y) = (1/batch) sum_i l(z_i, y_i) for a callable ``loss(z, y)`` on batches.

    l(z_i, y_i) is the loss of a batch of one.  Its gradient and Hessian come from torch.func; with the symmetric
    eigendecomposition H_i = V diag(mu) V^T

        S_i = V diag(sqrt mu) V^T,     u_i = V diag(1 / sqrt mu) V^T r_i   (pseudo-inverse)

    Eigenvalues within rounding of zero (100 d_z eps times the largest of the block) count as zero.

    Args:
        loss: Takes outputs (batch, d_z) and targets (batch, ...), returns a scalar; torch.vmap must support it.
        outputs: Shape (batch, d_z), float64.
        targets: Shape (batch, ...); floating point targets are promoted to float64.

    Raises:
        MisuseError: The loss is not a scalar, or not the mean over samples; a Hessian block has a negative eigenvalue;
            the gradient leaves the range of the Hessian, so that no u exists (absolute error, hinge).

    Cost: d_z derivative passes over the batch and batch d_z^3.
    """
    if targets.ndim == 0 or targets.shape[0] != outputs.shape[0]:
        raise MisuseError(
            f"targets have shape {tuple(targets.shape)}: the first dimension must be the {outputs.shape[0]} samples"
        )
    labels = targets.to(torch.float64) if targets.is_floating_point() else targets

    def sample_loss(z: Tensor, y: Tensor) -> Tensor:
        return _scalar(loss(z.unsqueeze(0), y.unsqueeze(0)))

    try:
        gradients, values = vmap(grad_and_value(sample_loss))(outputs, labels)
        H = vmap(jacrev(grad(sample_loss)))(outputs, labels) / outputs.shape[0]
        total = float(_scalar(loss(outputs, labels)))
    except (RuntimeError, IndexError) as error:
        reason = str(error).strip().splitlines()[0]
        raise MisuseError(
            f"loss cannot be differentiated twice sample by sample ({reason}): "
            "check the targets' shape and dtype, and use operations that torch.vmap supports"
        ) from error
    _check_mean(total, float(values.mean()))
    r = gradients / outputs.shape[0]
    S, u = _roots((H + H.mT) / 2, r)
    return LossFactors(H=(H + H.mT) / 2, S=S, r=r.reshape(-1), u=u.reshape(-1), loss=total)


def _scalar(value: Tensor) -> Tensor:
    if value.ndim != 0:
        raise MisuseError(
            f"loss returns shape {tuple(value.shape)}: it must return a scalar, the mean over the batch "
            "(reduction='mean')"
        )
    return value


def _check_mean(total: float, mean: float) -> None:
    """The 1/batch in every factor is right only if the loss of the batch is the mean of the losses of its samples."""
    if abs(total - mean) > 1e-9 * (abs(total) + abs(mean)):
        raise MisuseError(
            f"loss of the batch is {total:.6g} but the mean over its samples is {mean:.6g}: "
            "use a loss that is the mean over samples (not a sum, no weights, no terms across samples)"
        )


def _roots(H: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """S and u of every block; H is (batch, d_z, d_z) and symmetric, r is (batch, d_z)."""
    if not bool(torch.isfinite(H).all() and torch.isfinite(r).all()):
        raise MisuseError(
            "loss has a gradient or Hessian that is not finite at these outputs: check outputs and targets"
        )
    mu, V = cast("tuple[Tensor, Tensor]", torch.linalg.eigh(H))  # torch leaves it untyped
    rounding = _ROUNDING * H.shape[-1] * torch.finfo(H.dtype).eps * mu.abs().amax(dim=1, keepdim=True)
    _check_positive(mu, rounding)
    root = torch.where(mu > rounding, mu, 0.0).sqrt()
    inverse = torch.where(root > 0, 1.0 / torch.where(root > 0, root, 1.0), 0.0)
    S = (V * root[:, None, :]) @ V.mT
    u = torch.einsum("sij,sj,skj,sk->si", V, inverse, V, r)
    _check_range(torch.einsum("sij,sj->si", S, u) - r, r)
    return S, u


def _check_positive(mu: Tensor, rounding: Tensor) -> None:
    worst = int((mu + rounding).amin(dim=1).argmin())
    lowest = float(mu[worst, 0])
    if lowest < -float(rounding[worst, 0]):
        raise MisuseError(
            f"loss has a Hessian with the negative eigenvalue {lowest:.6g} at sample {worst}: "
            "the generalized Gauss-Newton matrix needs a loss that is convex in the outputs"
        )


def _check_range(residual: Tensor, r: Tensor) -> None:
    excess = _row_norms(residual) - _RANGE_TOLERANCE * _row_norms(r)
    worst = int(excess.argmax())
    if float(excess[worst]) > 0:
        raise MisuseError(
            f"loss has a gradient outside the range of its Hessian at sample {worst} (residual "
            f"{float(_row_norms(residual)[worst]):.3g}): use a loss with curvature wherever it has slope; "
            "for softmax cross-entropy pass torch.nn.CrossEntropyLoss(), which has a closed form"
        )


def _row_norms(rows: Tensor) -> Tensor:
    return rows.square().sum(dim=1).sqrt()
