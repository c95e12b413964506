"""Closed forms of :class:`LossFactors` for softmax cross-entropy and squared error."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.curvature.loss_factors import LossFactors
from tngd_hw.outcome import DivergedError, MisuseError

__all__ = ["cross_entropy_factors", "squared_error_factors"]

_GENERAL = "or pass a callable loss(z, y) that is a mean over samples"


def cross_entropy_factors(loss: nn.CrossEntropyLoss, outputs: Tensor, targets: Tensor) -> LossFactors:
    r"""Softmax cross-entropy with class numbers as targets, averaged over the batch.

        l(z, y) = -log p_y,   p = softmax(z)
        H_i = (diag(p) - p p^T) / batch          S_i = (diag(sqrt p) - p sqrt(p)^T) / sqrt(batch)
        r_i = (p - e_y) / batch                  u_i = (sqrt p - e_y / sqrt(p_y)) / sqrt(batch)

    S S^T = H because sqrt(p) has length 1; S u = r by the same step, and u is orthogonal to the kernel of S, which is
    spanned by sqrt(p).  Note |u_i|^2 = (1/p_y - 1)/batch: a confident mistake gives a drive u without
    bound, unlike r.  sqrt(p) is computed as exp(log_softmax / 2), so p_y may fall to e^-1400 before u overflows.

    Args:
        loss: Default options only: no weight, no label smoothing, mean reduction.
        outputs: Logits, shape (batch, d_z), float64.
        targets: Class numbers, shape (batch,), integers 0 .. d_z - 1.

    Raises:
        MisuseError: Another option, a target out of range or ignored, or p_y below e^-1400.

    Cost: batch d_z^2.
    """
    _check_cross_entropy_options(loss)
    batch_size, d_z = outputs.shape
    labels = _check_labels(loss, targets, batch_size, d_z)
    log_p = functional.log_softmax(outputs, dim=1)
    log_p_target = log_p.gather(1, labels[:, None]).squeeze(1)
    lowest = float(log_p_target.min())
    if lowest < -1400.0:
        raise DivergedError(
            f"outputs give sample {int(log_p_target.argmin())} a target probability of e^{lowest:.0f}, "
            "below what float64 can whiten: the logits have diverged; lower the learning rate"
        )
    p, root_p = log_p.exp(), (log_p / 2).exp()
    one_hot = functional.one_hot(labels, d_z).to(torch.float64)
    H = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) / batch_size
    S = (torch.diag_embed(root_p) - p[:, :, None] * root_p[:, None, :]) / math.sqrt(batch_size)
    r = (p - one_hot) / batch_size
    u = (root_p - one_hot * (-log_p_target / 2).exp()[:, None]) / math.sqrt(batch_size)
    return LossFactors(H=H, S=S, r=r.reshape(-1), u=u.reshape(-1), loss=float(-log_p_target.mean()))


def squared_error_factors(loss: nn.MSELoss, outputs: Tensor, targets: Tensor) -> LossFactors:
    r"""Squared error in torch's convention: the mean over samples *and* outputs.

        L = sum_{i,a} (z_ia - y_ia)^2 / (batch d_z)
        H_i = c I,   S_i = sqrt(c) I,   r = c (z - y),   u = sqrt(c) (z - y),     c = 2 / (batch d_z)

    Args:
        loss: Mean reduction only.
        outputs: Shape (batch, d_z), float64.
        targets: Shape (batch, d_z), floating point.

    Raises:
        MisuseError: Another reduction, or targets of another shape or dtype.

    Cost: batch d_z^2.
    """
    if loss.reduction != "mean":
        raise MisuseError(f"loss MSELoss has reduction = {loss.reduction!r}: use reduction='mean', {_GENERAL}")
    if targets.shape != outputs.shape or not targets.is_floating_point():
        raise MisuseError(
            f"targets have shape {tuple(targets.shape)} and dtype {targets.dtype}: MSELoss needs floating point "
            f"targets of the outputs' shape {tuple(outputs.shape)}"
        )
    batch_size, d_z = outputs.shape
    scale = 2.0 / (batch_size * d_z)
    residual = (outputs - targets.to(torch.float64)).reshape(-1)
    identity = torch.eye(d_z, dtype=torch.float64, device=outputs.device).repeat(batch_size, 1, 1)
    return LossFactors(
        H=scale * identity,
        S=math.sqrt(scale) * identity,
        r=scale * residual,
        u=math.sqrt(scale) * residual,
        loss=float(residual.square().mean()),
    )


def _check_cross_entropy_options(loss: nn.CrossEntropyLoss) -> None:
    found: list[str] = []
    if loss.reduction != "mean":
        found.append(f"reduction = {loss.reduction!r}")
    if loss.weight is not None:
        found.append("class weights")
    if loss.label_smoothing != 0:
        found.append(f"label_smoothing = {loss.label_smoothing}")
    if found:
        raise MisuseError(
            f"loss CrossEntropyLoss has {' and '.join(found)}: only its default options have a closed form here; "
            f"use torch.nn.CrossEntropyLoss(), {_GENERAL}"
        )


def _check_labels(loss: nn.CrossEntropyLoss, targets: Tensor, batch_size: int, d_z: int) -> Tensor:
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise MisuseError(
            f"targets have dtype {targets.dtype}: CrossEntropyLoss is supported with class numbers of an "
            "integer dtype, for example targets.argmax(dim=1) of one-hot rows"
        )
    if targets.shape != (batch_size,):
        raise MisuseError(
            f"targets have shape {tuple(targets.shape)}: CrossEntropyLoss needs one class number a "
            f"sample, shape ({batch_size},)"
        )
    labels = targets.to(torch.int64)
    ignored = int(torch.count_nonzero(labels == loss.ignore_index))
    if ignored:
        raise MisuseError(
            f"targets hold ignore_index = {loss.ignore_index} in {ignored} samples: "
            "leave those samples out of the batch"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= d_z:
        raise MisuseError(f"targets range from {low} to {high}: the {d_z} outputs stand for classes 0 to {d_z - 1}")
    return labels
