"""Targets drawn from the distribution of the outputs, for Monte Carlo Fisher matrices."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.outcome import MisuseError

__all__ = ["check_has_distribution", "drawn_scores"]


def drawn_scores(loss: object, outputs: Tensor, samples: int, generator: np.random.Generator) -> Tensor:
    """dl/dz at targets drawn from p(y | z), over sqrt(batch M): their outer products sum to the output-space Fisher.

        softmax cross-entropy:  p - e_y, y drawn from p;     squared error (mean over d_z):  (2/d_z)(z - y), Var = d_z/2

    Args:
        loss: One that :func:`check_has_distribution` lets through.
        outputs: z, shape (batch, d_z).
        samples: M, draws a sample of the batch.
        generator: Its draws are outer in the stream, so that more of them begin with the same ones.

    Returns:
        Shape (batch, M, d_z), without units.

    Raises:
        MisuseError: samples below 1.

    Source: J. Martens, New insights and perspectives on the natural gradient method, JMLR 21 (2020).
    """
    if samples < 1:
        raise MisuseError(f"samples = {samples}: the Monte Carlo Fisher needs at least one draw for every sample")
    batch_size, d_z = outputs.shape
    weight = 1 / math.sqrt(batch_size * samples)
    if isinstance(loss, nn.MSELoss):  # s = (2/d_z)(z - y) with y - z of variance d_z/2
        normal = torch.from_numpy(generator.standard_normal((samples, batch_size, d_z))).to(outputs.device)
        return (-weight * math.sqrt(2 / d_z)) * normal.transpose(0, 1)
    uniform = torch.from_numpy(generator.random((samples, batch_size, 1))).to(outputs.device)
    p = torch.softmax(outputs, dim=1)
    labels = (uniform >= p.cumsum(dim=1)[:, :-1]).sum(dim=2)
    return weight * (p[:, None, :] - functional.one_hot(labels, d_z).transpose(0, 1))


def check_has_distribution(loss: object, kind: str) -> None:
    """Refuse a loss that names no distribution p(y | z); a subclass with its own ``forward`` is another loss.

    Raises:
        MisuseError: Anything but cross-entropy (softmax) and squared error (Gaussian), with what to use instead of
            the ``kind`` of Fisher matrix that was asked for.
    """
    for known in (nn.CrossEntropyLoss, nn.MSELoss):
        if isinstance(loss, known) and type(loss).forward is known.forward:
            return
    name = getattr(loss, "__name__", type(loss).__name__)
    raise MisuseError(
        f"loss {name} names no distribution, so its {kind} Fisher matrix is not defined here: use "
        "torch.nn.CrossEntropyLoss() (softmax) or torch.nn.MSELoss() (Gaussian), or the Gauss-Newton matrix of "
        "ggn_factors, or Fisher.EMPIRICAL"
    )
