r"""The law of an average of N noisy readings, in closed form.

Readings y_k = C x_k are taken at t_0, t_0 + h, ..., and averaged.  Between them x_(k+1) = Phi x_k + w_k with
w ~ N(0, Q), both exact.  The running sum z_k = y_0 + ... + y_(k-1) is one more block of the state,

    (x, z)_(k+1) = M (x, z)_k + (w, 0),     M = [[Phi, 0], [C, I]],

and N steps come from doubling,  M_2k = M_k M_k,  G_2k = M_k G_k M_k^T + G_k,  along the binary digits of N: log2 N
products whatever N is.  With P the covariance at t_0, mean d_0 and (z) the lower block:

    mean = (M_N (d_0, 0))_z / N,      covariance = (M_N diag(P, 0) M_N^T + G_N)_zz / N^2.

It counts the correlation of the readings, and that the first may come before the law is stationary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE, covariance_at, transition
from tngd_hw.linear_sde.dense import broadcast

__all__ = ["AverageLaw", "Reading", "average_of_readings"]


@dataclass(frozen=True)
class Reading:
    """When and how often a chip is read.

    Attributes:
        duration_tau: Time of the first reading in tau, or None to wait until the slowest mode has decayed.
        kappa: Injected noise.
        samples: Readings that are averaged.
        spacing_tau: Time between them in tau.
    """

    duration_tau: float | None
    kappa: float
    samples: int
    spacing_tau: float


@dataclass(frozen=True, eq=False)
class AverageLaw:
    """Mean and covariance of the average.

    Attributes:
        mean: Shape (..., p).
        covariance: Shape (..., p, p); infinite where an output has white noise of its own.
        first_spread: Covariance of the states at the first reading, shape (..., n, n).
    """

    mean: Tensor
    covariance: Tensor
    first_spread: Tensor


def average_of_readings(
    sde: LinearSDE,
    *,
    first: float,
    spacing: float,
    count: int,
    deviation: Tensor,
    noisy: bool,
    covariance0: Tensor | None = None,
) -> AverageLaw:
    """The average of ``count`` readings, ``spacing`` seconds apart, the first at ``first`` seconds.

    Args:
        sde: Equations; without inputs here, since x is counted from the end value.
        first: Seconds from the start to the first reading.
        spacing: Seconds between readings.
        count: N, at least 1.
        deviation: Mean of the state at the first reading, less the end value, shape (..., n).
        noisy: False leaves the covariance at zero without computing it.
        covariance0: Covariance of the state at the start, shape (..., n, n); None for no spread.

    Returns:
        An :class:`AverageLaw`.  Cost: two transitions and 2 log2 N products of size n + p.
    """
    spread = covariance_at(sde, first, covariance0=covariance0) if noisy else torch.zeros_like(sde.F)
    if count == 1:
        mean = (sde.C @ deviation.unsqueeze(-1)).squeeze(-1)
        covariance = sde.C @ spread @ sde.C.mT
    else:
        power, noise = _many_steps(sde, spacing, count)
        n = sde.n_states
        above = power[..., n:, :n]
        mean = (above @ deviation.unsqueeze(-1)).squeeze(-1) / count
        covariance = (above @ spread @ above.mT + noise[..., n:, n:]) / count**2
    if noisy and bool((sde.D_w != 0).any()):
        white = (sde.D_w @ sde.D_w.mT) != 0
        covariance = torch.where(white, torch.inf, covariance)
    return AverageLaw(mean, covariance, spread)


def _many_steps(sde: LinearSDE, spacing: float, count: int) -> tuple[Tensor, Tensor]:
    """M^count and the noise gathered in as many steps, shapes (..., n + p, n + p)."""
    step = transition(sde, spacing)
    n, p = sde.n_states, sde.n_outputs
    batch = broadcast(step.Phi.shape[:-2], sde.C.shape[:-2])
    power = torch.zeros(*batch, n + p, n + p, dtype=torch.float64)
    power[..., :n, :n], power[..., n:, :n] = step.Phi, sde.C
    power[..., n:, n:] = torch.eye(p, dtype=torch.float64)
    noise = torch.zeros_like(power)
    noise[..., :n, :n] = step.covariance
    done, gathered = torch.eye(n + p, dtype=torch.float64), torch.zeros_like(power)
    for digit in bin(count)[:1:-1]:  # lowest digit first
        if digit == "1":
            done, gathered = power @ done, power @ gathered @ power.mT + noise
        power, noise = power @ power, power @ noise @ power.mT + noise
    return done, gathered
