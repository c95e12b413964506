"""What a system is: checked, never assumed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import eigh, frobenius, identity

__all__ = ["Structure", "is_symmetric", "structure_of"]

_TOLERANCE = 64 * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Structure:
    """Properties that hold for every member of the batch, up to rounding (64 epsilon, relative to the terms compared).

    Attributes:
        symmetric: F = F^T.
        reversible: Detailed balance, F Q = Q F^T with Q = B B^T; then the stationary law is one of equilibrium.
        isotropic: Q = c I with c > 0.
        normal_in_noise_metric: Q is regular and Q^(-1/2) F Q^(1/2) is a normal matrix (reversible systems are).
        singular_noise: Q has rank below n: noise enters only some states.
    """

    symmetric: bool
    reversible: bool
    isotropic: bool
    normal_in_noise_metric: bool
    singular_noise: bool


def structure_of(F: Tensor, B: Tensor) -> Structure:
    """Check a system.  Cost: two eigen-decompositions of symmetric matrices and a few products, O(n^3).

    Args:
        F: Drift, shape (..., n, n).
        B: Noise matrix, shape (..., n, q).
    """
    diffusion = B @ B.mT
    rates, basis = eigh(diffusion)
    largest = rates[..., -1:]
    singular = bool((rates <= F.shape[-1] * _TOLERANCE * largest).any())
    return Structure(
        symmetric=is_symmetric(F),
        reversible=_alike(F @ diffusion, diffusion @ F.mT, _product_size(F, diffusion)),
        isotropic=_is_isotropic(diffusion),
        normal_in_noise_metric=not singular and _is_normal(_in_noise_metric(F, rates, basis)),
        singular_noise=singular,
    )


def is_symmetric(F: Tensor) -> bool:
    """F = F^T in every batch member.  Cost O(n^2)."""
    return _alike(F, F.mT, F.abs().amax((-2, -1), keepdim=True))


def _alike(left: Tensor, right: Tensor, size: Tensor) -> bool:
    return bool(((left - right).abs() <= _TOLERANCE * size).all())


def _product_size(left: Tensor, right: Tensor) -> Tensor:
    norms = frobenius(left) * frobenius(right)
    return norms / left.shape[-1] ** 0.5


def _is_isotropic(diffusion: Tensor) -> bool:
    level = diffusion[..., :1, :1]
    return bool((level > 0).all()) and _alike(diffusion, level * identity(diffusion.shape[-1], diffusion.device), level)


def _in_noise_metric(F: Tensor, rates: Tensor, basis: Tensor) -> Tensor:
    root = rates.clamp_min(0.0).sqrt()
    return (basis.mT @ F @ basis) * (root.unsqueeze(-2) / root.unsqueeze(-1))


def _is_normal(M: Tensor) -> bool:
    return _alike(M @ M.mT, M.mT @ M, _product_size(M, M))
