r"""A x = b read from the covariance of a circuit that gives no solution by its mean: x = Cov(x) b / kappa.

With readings y_1 ... y_N of zero mean, x_hat = (1/N) sum_k y_k (y_k . b) / kappa.  Readings far enough apart are
independent, and Gaussian, so with S the covariance at the time of the readings

    E x_hat = S b / kappa,      tr Cov x_hat = (tr S  b.S b + |S b|^2) / (N kappa^2).

settling is |(S - S_inf) b| / kappa over |x*|, systematic |S_inf b / kappa - x*|, sampling the root of the trace: kappa
drops out of all three.  The first reading comes after the duration, every other one a duration after the last (from
rest again), so that all have the covariance S and none knows of another.

Source: the moments of a Gaussian of fourth order (Isserlis); hardware.md 1.4 has the same law for the whole matrix.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE, covariance_at, stationary_covariance
from tngd_hw.linear_sde.dense import solve
from tngd_hw.topologies import LoadedChip

__all__ = ["errors_by_covariance"]


def errors_by_covariance(
    loaded: LoadedChip, sde: LinearSDE, right: Tensor, samples: int, duration: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Settling, sampling, systematic and total, each (...), of the chips of ``sde``.

    Args:
        loaded: The chip, programmed with A and noise, without b.
        sde: Its equations, stable.
        right: b, shape (n,); it meets the readings outside the chip.
        samples: N.
        duration: Seconds from rest to a reading.
    """
    settled, _ = stationary_covariance(sde)
    now, end = (_in_unknowns(loaded, sde, P) for P in (covariance_at(sde, duration), settled))
    exact = solve(loaded.problem.dense_matrix(), right.unsqueeze(-1)).squeeze(-1)
    answer, limit = (S @ right for S in (now, end))
    trace = torch.diagonal(now, dim1=-2, dim2=-1).sum(-1)
    variance = (trace * (answer * right).sum(-1) + answer.square().sum(-1)) / samples
    size = _norm(exact)
    total = torch.sqrt(_norm(answer - exact) ** 2 + variance)
    return _norm(answer - limit) / size, torch.sqrt(variance) / size, _norm(limit - exact) / size, total / size


def _in_unknowns(loaded: LoadedChip, sde: LinearSDE, covariance: Tensor) -> Tensor:
    """S/kappa, shape (..., n, n), of the covariance of the states: dimensionless, A^-1 of a perfect circuit."""
    to_unknown = loaded.unknowns(torch.ones(loaded.n, dtype=torch.float64))
    seen = sde.C @ covariance @ sde.C.mT
    return seen * (to_unknown[:, None] * to_unknown) / loaded.kappa


def _norm(value: Tensor) -> Tensor:
    return cast("Tensor", torch.linalg.vector_norm(value, dim=-1))
