"""A^-1 from the covariance of a noisy chip: Cov(x) = kappa A^-1 for symmetric A and equal injected noise.

Two readings: the law the circuit settles to (what an infinitely long measurement gives, mismatch included), and the
average of x x^T over a run, which has a sampling error.  The mean of x is known to be the noiseless settled answer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.engines import Trajectory
from tngd_hw.linear_sde import LinearSDE, stationary_output_covariance
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.random import check_seed
from tngd_hw.readout.estimate import Estimate
from tngd_hw.topologies import LoadedChip, Quantity

__all__ = ["read_inverse", "stationary_inverse"]

_BLOCKS = 20
_SAMPLES_PER_BLOCK = 2


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


def read_inverse(trajectory: Trajectory, loaded: LoadedChip, *, seed: int = 0, average_from_s: float) -> Estimate:
    """A^-1 = <x x^T>/kappa over the points from ``average_from_s`` on, with b = 0.

    The standard error comes from the scatter of 20 blocks of consecutive points, so autocorrelation shorter than a
    block is accounted for; fewer than 40 points have no error bar (NaN).

    Raises:
        MisuseError: No injected noise, several right-hand sides, or a start outside the run.
    """
    check_seed(seed)
    _check(loaded)
    if trajectory.node_axis != -1:
        raise MisuseError("read_inverse takes runs of one right-hand side: run with b of shape (n,)")
    if not 0 <= average_from_s <= trajectory.duration_s:
        raise MisuseError(f"average_from_s = {average_from_s!r}: the run lasts from 0 to {trajectory.duration_s} s")
    if len(trajectory.times_s) == 0:
        shape = (loaded.n, loaded.n) if trajectory.chips is None else (trajectory.chips, loaded.n, loaded.n)
        value = torch.full(shape, torch.nan, dtype=torch.float64)
        stderr = value
    else:
        chosen = trajectory.voltage_volt[..., trajectory.times_s >= average_from_s, :]
        value = _second_moment(loaded, chosen)
        stderr = _block_error(loaded, chosen) if chosen.shape[-2] >= _BLOCKS * _SAMPLES_PER_BLOCK else value * torch.nan
    return _estimate(
        loaded, value, stderr, trajectory.statuses, engine=trajectory.engine, seed=trajectory.seed,
        duration_s=trajectory.duration_s,
    )  # fmt: skip


def _second_moment(loaded: LoadedChip, volt: Tensor) -> Tensor:
    return _to_unknowns(loaded, volt.mT @ volt / volt.shape[-2])


def _block_error(loaded: LoadedChip, volt: Tensor) -> Tensor:
    blocks = torch.stack([_second_moment(loaded, block) for block in volt.tensor_split(_BLOCKS, -2)])
    return blocks.std(0) / _BLOCKS**0.5


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
