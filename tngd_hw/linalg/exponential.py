"""exp(-A) from the noise of a chip, seen twice: x(t + tau) against x(t).

With M = A + alpha I and Q = (M + M^T)/2 positive definite, the process

    dx = -(M x/tau) dt + sqrt(2/tau) dn,    <dn dn^T> = Q dt

has the stationary covariance I, and <x(t + tau) x(t)^T> e^alpha = exp(-A).  The generators of a chip are independent
and equal, so it holds P = Q^-1/2 M Q^1/2, which is M itself for a symmetric A, and x = Q^1/2 y with <y y^T> -> Q^-1.
Source: arXiv 2311.12759.
"""

from __future__ import annotations

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines import Engine
from tngd_hw.hardware import HardwareSpec
from tngd_hw.linalg.noisy_chip import NoisyChip, noisy_filter, symmetric_root
from tngd_hw.linear_sde import autocovariance
from tngd_hw.linear_sde.dense import eigvalsh
from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem
from tngd_hw.random import check_seed
from tngd_hw.readout import Estimate, Quantity, error_of_mean
from tngd_hw.topologies import spectrum

__all__ = ["expm"]

_MARGIN = 0.1
_STEPS = 2
"""Readings a time constant: the lag is this many steps."""


def expm(
    A: ArrayLike | Tensor,
    *,
    alpha: float | None = None,
    topology: str = "integrator",
    hardware: HardwareSpec | str = "ideal",
    engine: Engine | str = "state_space",
    duration: float | None = None,
    seed: int = 0,
) -> Estimate:
    """exp(-A) from the covariance of one chip with itself, one time constant later.

    Digital cost: one eigenvalue problem of (A + A^T)/2 and products of matrices, O(n^3); each reading n^2.

    Args:
        A: Shape (n, n), any real matrix; ``expm(-X)`` is exp(X).
        alpha: Shift that makes A + alpha I dissipative, its smallest mu((A + A^T)/2) + alpha above 0; the error grows
            with e^alpha.  Default: the least that leaves 0.1.
        topology: Name of the circuit: one that is the filter at every time and has noise.
        hardware: A specification, a preset's name or a TOML file.
        engine: An engine or its name; those that simulate injected noise.
        duration: Seconds of a run whose second half is averaged, at steps of tau/2, about its own mean; default: the
            law that the circuit settles to, without sampling error.
        seed: Seed of the die, its programming and the noise.

    Returns:
        An Estimate of the EXPONENTIAL, value (n, n), with its standard error from sampling.

    Raises:
        MisuseError: An alpha that is too small, a topology that cannot do it.
    """
    check_seed(seed)
    matrix = LinearProblem(A).dense_matrix()
    n = len(matrix)
    shift = _shift(matrix, alpha)
    M = matrix + shift * torch.eye(n, dtype=torch.float64)
    root, back = symmetric_root((M + M.T) / 2)
    held = M if spectrum(M).symmetric else back @ M @ root
    equal = torch.ones(n, dtype=torch.float64)
    chip = noisy_filter(
        "a matrix exponential", held, equal, topology=topology, hardware=hardware, engine=engine, seed=seed
    )
    if not chip.status.ok:
        return chip.failure(Quantity.EXPONENTIAL, (n, n), duration_s=duration)
    if duration is None:
        lag = torch.tensor([chip.loaded.tau], dtype=torch.float64)
        volts, status = autocovariance(chip.law(), lag)
        value = math.exp(shift) * root @ volts[0] @ root / chip.loaded.scales.voltage_volt**2
        return chip.estimate(Quantity.EXPONENTIAL, value, torch.zeros_like(value), status, duration_s=None)
    return _from_run(chip, root, math.exp(shift), duration)


def _from_run(chip: NoisyChip, root: Tensor, factor: float, duration: float) -> Estimate:
    n = chip.loaded.n
    points, status = chip.record(duration, chip.loaded.tau / _STEPS)
    if len(points) <= _STEPS:
        return chip.failure(Quantity.EXPONENTIAL, (n, n), duration_s=duration)
    x = points @ root
    x = x - x.mean(0)
    products = (x[_STEPS:, :, None] * x[:-_STEPS, None, :]).flatten(1)
    value, stderr = products.mean(0).reshape(n, n), error_of_mean(products).stderr.reshape(n, n)
    return chip.estimate(Quantity.EXPONENTIAL, factor * value, factor * stderr, status, duration_s=duration)


def _shift(A: Tensor, alpha: float | None) -> float:
    smallest = float(eigvalsh((A + A.T) / 2)[0])
    if alpha is None:
        return max(0.0, _MARGIN - smallest)
    if not (isinstance(alpha, int | float) and math.isfinite(alpha) and smallest + alpha > 0):
        raise MisuseError(
            f"alpha = {alpha!r}: the smallest eigenvalue of (A + A^T)/2 is {smallest:.6g}, give a number above "
            f"{-smallest:.6g}"
        )
    return float(alpha)
