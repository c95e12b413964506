"""A^-1 from the covariance of a noisy chip: Cov(x) = kappa A^-1 for symmetric A and equal injected noise.

Two readings: the law the circuit settles to (what an infinitely long measurement gives, mismatch included), and the
average of x x^T over a run, which has a sampling error.  The mean of x is known to be the noiseless settled answer.
"""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines import Trajectory
from tngd_hw.linear_sde import LinearSDE, stationary_output_covariance
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.random import check_seed
from tngd_hw.readout.digitise import digitised
from tngd_hw.readout.estimate import Estimate
from tngd_hw.readout.estimators import estimate_covariance
from tngd_hw.topologies import LoadedChip, Quantity

__all__ = ["read_inverse", "stationary_inverse"]


def stationary_inverse(loaded: LoadedChip, sde: LinearSDE, engine: str) -> Estimate:
    """A^-1 = D Cov(v) D/(kappa v0^2) of the law that the equations ``sde`` settle to; no sampling error.

    Cost: one Lyapunov equation of the states.

    Raises:
        MisuseError: The chip has no injected noise, or gives no covariance.
    """
    _check(loaded)
    covariance, status = stationary_output_covariance(sde)
    value = _to_unknowns(loaded, covariance)
    statuses = (status,) * (loaded.chip.chips or 1)
    return _estimate(loaded, value, torch.zeros_like(value), statuses, engine=engine, seed=0, duration_s=float("inf"))


def read_inverse(
    trajectory: Trajectory,
    loaded: LoadedChip,
    *,
    seed: int = 0,
    average_from_s: float | None = None,
    times_s: ArrayLike | Tensor | None = None,
) -> Estimate:
    """A^-1 = <x x^T>/kappa over the points from ``average_from_s`` on, or samples at ``times_s``, with b = 0.

    ``seed`` is that of the ADC's noise and jitter.

    The standard error of every entry accounts for the autocorrelation of equally spaced points
    (:func:`estimate_covariance`, law GAUSSIAN); fewer than 20 points have no error bar (NaN).

    Raises:
        MisuseError: No injected noise, several right-hand sides, neither of the two times, or as ``read``.
    """
    check_seed(seed)
    _check(loaded)
    if trajectory.node_axis != -1:
        raise MisuseError("read_inverse takes runs of one right-hand side: run with b of shape (n,)")
    if average_from_s is None and times_s is None:
        raise MisuseError("average_from_s: give the time from which to average, or times_s, when to sample")
    if trajectory.status.ok and not trajectory.noisy:
        raise MisuseError(
            f"engine = {trajectory.engine!r}: this run has no noise, and a covariance is read from it; use "
            "state_space, behavioral or ngspice"
        )
    statuses = trajectory.statuses
    if len(trajectory.times_s) == 0:
        shape = (loaded.n, loaded.n) if trajectory.chips is None else (trajectory.chips, loaded.n, loaded.n)
        value = torch.full(shape, torch.nan, dtype=torch.float64)
        stderr = value
    else:
        readings = digitised(trajectory, loaded, seed=seed, average_from_s=average_from_s, times_s=times_s)
        points, statuses = loaded.unknowns(readings.volt), readings.statuses
        moments = estimate_covariance(points, mean=torch.zeros_like(points[..., 0, :]))
        value, stderr = moments.value / loaded.kappa, moments.stderr / loaded.kappa
    return _estimate(
        loaded, value, stderr, statuses, engine=trajectory.engine, seed=trajectory.seed,
        duration_s=trajectory.duration_s,
    )  # fmt: skip


def _to_unknowns(loaded: LoadedChip, covariance: Tensor) -> Tensor:
    scaled = covariance / (loaded.kappa * loaded.scales.voltage_volt**2)
    D = loaded.scaling
    return scaled if D is None else D[:, None] * scaled * D


def _check(loaded: LoadedChip) -> None:
    name = loaded.chip.topology
    if Quantity.INVERSE not in loaded.topology.quantities:
        raise MisuseError(f"topology = {name!r}: it gives no covariance; solve for the columns of the inverse instead")
    if loaded.kappa == 0:
        raise MisuseError("kappa = 0: A^-1 is read from the covariance of injected noise; program with kappa above 0")


def _estimate(
    loaded: LoadedChip,
    value: Tensor,
    stderr: Tensor,
    statuses: tuple[Status, ...],
    *,
    engine: str,
    seed: int,
    duration_s: float,
) -> Estimate:
    return Estimate(
        quantity=Quantity.INVERSE, value=value, stderr=stderr, statuses=statuses, engine=engine,
        hardware_hash=loaded.chip.hardware.hash, seed=seed, tau_s=loaded.tau, duration_s=duration_s,
        chips=loaded.chip.chips,
    )  # fmt: skip
