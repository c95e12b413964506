"""A S + S A^T = 2 Q: the covariance that a filter settles to when its injected noise has the covariance 2 Q.

    dx = -(A x/tau) dt + sqrt(2/tau) dn,    <dn dn^T> = Q dt,    Cov(x) -> S

The generators of a chip are independent, one a node, so a diagonal Q is their densities.  For another Q the chip holds
Q^-1/2 A Q^1/2 with equal densities, y = Q^-1/2 x, and S = Q^1/2 Cov(y) Q^1/2.
"""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines import Engine
from tngd_hw.hardware import HardwareSpec
from tngd_hw.linalg.noisy_chip import noisy_filter, symmetric_root
from tngd_hw.linear_sde import stationary_output_covariance
from tngd_hw.linear_sde.dense import eigvalsh
from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem, as_real_tensor
from tngd_hw.random import check_seed
from tngd_hw.readout import Estimate, Quantity, estimate_covariance

__all__ = ["lyapunov"]

_SPACING_TAU = 0.5
_ROUNDING = 1e-12


def lyapunov(
    A: ArrayLike | Tensor,
    Q: ArrayLike | Tensor,
    *,
    topology: str = "integrator",
    hardware: HardwareSpec | str = "ideal",
    engine: Engine | str = "state_space",
    duration: float | None = None,
    seed: int = 0,
) -> Estimate:
    """S of A S + S A^T = 2 Q from the covariance of one chip.

    Digital cost: none for a diagonal Q; else one eigenvalue problem of Q and four products of matrices, O(n^3).

    Args:
        A: Shape (n, n), every eigenvalue with a positive real part.
        Q: Shape (n, n), symmetric; diagonal with entries of 0 or more, or positive definite.
        topology: Name of the circuit: one that is the filter at every time and has noise.
        hardware: A specification, a preset's name or a TOML file.
        engine: An engine or its name; those that simulate injected noise.
        duration: Seconds of a run whose second half is averaged, at steps of tau/2, about its own mean; default: the
            law that the circuit settles to, without sampling error.
        seed: Seed of the die, its programming and the noise.

    Returns:
        An Estimate of the COVARIANCE, value (n, n), with its standard error from sampling.

    Raises:
        MisuseError: A Q that is none, a topology that cannot do it.

    Source: M. Aifer et al., arXiv 2308.05660, for the primitive.
    """
    check_seed(seed)
    matrix = LinearProblem(A).dense_matrix()
    n = len(matrix)
    right = _checked(as_real_tensor(Q, "Q"), n)
    diagonal = torch.diagonal(right)
    root: Tensor | None = None
    if bool((right == torch.diag(diagonal)).all()):
        held, densities = matrix, diagonal
    else:
        root, back = symmetric_root(right)
        held, densities = back @ matrix @ root, torch.ones(n, dtype=torch.float64)
    chip = noisy_filter(
        "a Lyapunov equation", held, densities, topology=topology, hardware=hardware, engine=engine, seed=seed
    )
    if not chip.status.ok:
        return chip.failure(Quantity.COVARIANCE, (n, n), duration_s=duration)
    if duration is None:
        volts, status = stationary_output_covariance(chip.law())
        value = volts / chip.loaded.scales.voltage_volt**2
        value = value if root is None else root @ value @ root
        return chip.estimate(Quantity.COVARIANCE, value, torch.zeros_like(value), status, duration_s=None)
    points, status = chip.record(duration, _SPACING_TAU * chip.loaded.tau)
    if len(points) < 2:
        return chip.failure(Quantity.COVARIANCE, (n, n), duration_s=duration)
    found = estimate_covariance(points if root is None else points @ root)
    return chip.estimate(Quantity.COVARIANCE, found.value, found.stderr, status, duration_s=duration)


def _checked(Q: Tensor, n: int) -> Tensor:
    if tuple(Q.shape) != (n, n):
        raise MisuseError(f"Q has shape {tuple(Q.shape)}: A has {n} rows, so Q must have shape ({n}, {n})")
    largest = float(Q.abs().max())
    if largest == 0:
        raise MisuseError("Q is zero: give at least one node a noise")
    if float((Q - Q.T).abs().max()) > _ROUNDING * largest:
        i, j = divmod(int((Q - Q.T).abs().argmax()), n)
        raise MisuseError(f"Q[{i}, {j}] = {float(Q[i, j]):.6g} and Q[{j}, {i}] = {float(Q[j, i]):.6g}: Q is symmetric")
    even = (Q + Q.T) / 2
    smallest = float(eigvalsh(even)[0])
    diagonal = bool((even == torch.diag(torch.diagonal(even))).all())
    if smallest < 0 or (smallest <= _ROUNDING * largest and not diagonal):
        allowed = "0 or more for a diagonal Q" if diagonal else "above 0 for a Q that is not diagonal"
        raise MisuseError(f"Q has the eigenvalue {smallest:.3g}: they have to be {allowed}")
    return even
