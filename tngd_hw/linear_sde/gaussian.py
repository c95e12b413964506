"""Square roots of covariances that may have no full rank."""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import eigh

__all__ = ["square_root"]


def square_root(covariance: Tensor) -> Tensor:
    """R with R R^T = P for a symmetric positive semidefinite P, shape (..., n, n), of any rank.

    P is brought to unit diagonal first, so that a variance of 1e-20 V^2 beside one of 1 A^2 keeps its digits; then
    R = diag(s) V sqrt(l) V^T with the eigenvalues l of the correlation, negative ones (rounding) taken as zero.  This
    root is the only one that does not hang on the signs of the eigenvectors or on how a double eigenvalue is resolved:
    samples of a system do not change when the last bit of P does, in a batch of another size for example.
    Cost about 12 n^3.
    """
    deviations = torch.diagonal(covariance, dim1=-2, dim2=-1).clamp_min(0.0).sqrt()
    safe = torch.where(deviations > 0.0, deviations, 1.0)
    correlation = covariance / safe.unsqueeze(-1) / safe.unsqueeze(-2)
    values, vectors = eigh(correlation)
    root = (vectors * values.clamp_min(0.0).sqrt().unsqueeze(-2)) @ vectors.mT
    return deviations.unsqueeze(-1) * root
