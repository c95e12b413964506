"""Shrinkage: a covariance from few samples, drawn towards a multiple of the identity.

    S* = (1 - rho) S + rho mu I,   mu = tr(S)/n,   S with divisor T (its own mean taken off when none is known)

The best rho for the Frobenius norm is E||S - Sigma||^2 / E||S - mu I||^2; three ways to estimate it:

- LEDOIT_WOLF: rho = min(1, b/d), d = ||S - mu I||^2, b = (1/T^2) sum_t ||x_t x_t^T - S||^2: independent samples of
  any distribution.  O. Ledoit and M. Wolf, J. Multivariate Analysis 88 (2004) 365.
- OAS: independent Gaussian samples, rho = min(1, [||S||^2/n^2 + mu^2] / ([T + 1] [||S||^2/n^2 - mu^2/n])).  Y. Chen,
  A. Wiesel, Y. C. Eldar and A. O. Hero, IEEE Trans. Signal Processing 58 (2010) 5016, in the form without the terms
  of order 1/n that scikit-learn uses.
- CORRELATED: rho = min(1, sum_ij stderr_ij^2/d): samples in time, each counted as its autocorrelation allows.
  A. Sancetta, J. Multivariate Analysis 99 (2008) 949.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.readout.estimators import centred, estimate_covariance

__all__ = ["Shrinkage", "ShrunkCovariance", "shrunk_covariance"]


class Shrinkage(enum.Enum):
    """How the intensity is chosen."""

    LEDOIT_WOLF = "ledoit_wolf"
    OAS = "oas"
    CORRELATED = "correlated"


@dataclass(frozen=True, eq=False)
class ShrunkCovariance:
    """A covariance drawn towards mu I.

    Attributes:
        value: S*, shape (..., n, n), symmetric and positive definite where S is not zero and rho is above 0.
        stderr: Standard error of its entries about their own expectation, (1 - rho) times that of S; the bias of
            shrinking is not in it.  NaN where too few samples tell.
        intensity: rho from 0 (S itself) to 1 (mu I), shape (...).
    """

    value: Tensor
    stderr: Tensor
    intensity: Tensor


def shrunk_covariance(samples: Tensor, kind: Shrinkage, *, mean: Tensor | None = None) -> ShrunkCovariance:
    """Covariance with a smaller expected error than S when there are few (effective) samples for its n^2 entries.

    Args:
        samples: Shape (..., T, n).
        kind: How rho is estimated; CORRELATED gives NaN where the samples are too few for error bars.
        mean: The known mean, shape (..., n); None takes off the mean of the samples.

    Returns:
        A :class:`ShrunkCovariance`.  Cost O(T n^2), as :func:`estimate_covariance`.

    Raises:
        MisuseError: Shapes that do not fit; fewer than 2 samples with an unknown mean.
    """
    plain = estimate_covariance(samples, mean=mean)
    count, n = samples.shape[-2:]
    deviation = centred(samples, mean)
    S = plain.value if mean is not None else plain.value * ((count - 1) / count)
    average = torch.diagonal(S, dim1=-2, dim2=-1).mean(-1)
    distance = (S.square().sum((-2, -1)) - n * average.square()).clamp_min(0.0)
    match kind:
        case Shrinkage.LEDOIT_WOLF:
            # sum_t ||x_t x_t^T - S||^2 = sum_t |x_t|^4 - T ||S||^2
            fourth = deviation.square().sum(-1).square().sum(-1)
            error = (fourth / count - S.square().sum((-2, -1))) / count
        case Shrinkage.OAS:
            mean_square = S.square().sum((-2, -1)) / n**2
            error = (mean_square + average.square()) * n**2 / (count + 1)
        case Shrinkage.CORRELATED:
            error = plain.stderr.square().sum((-2, -1))
    intensity = _share(error, distance)
    keep = (1.0 - intensity)[..., None, None]
    identity = torch.eye(n, dtype=S.dtype, device=S.device)
    value = keep * S + (intensity * average)[..., None, None] * identity
    return ShrunkCovariance(value, keep * plain.stderr, intensity)


def _share(error: Tensor, distance: Tensor) -> Tensor:
    """min(1, error/distance); 1 where S is mu I already."""
    flat = distance <= 0.0
    return torch.where(flat, 1.0, (error / torch.where(flat, 1.0, distance)).clamp(0.0, 1.0))
