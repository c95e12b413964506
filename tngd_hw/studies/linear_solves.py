"""What a cell of a study measures: the error of A x = b on a batch of chips, in three parts, without sampling.

With x* = A^-1 b, x_inf the value that this chip's own circuit settles to, and x_bar the average of N noisy readings:

    settling     |E x_bar - x_inf| / |x*|           the run was too short
    sampling     sqrt(tr Cov x_bar) / |x*|          noise: the root mean square over all noise that could have been
    systematic   |x_inf - x*| / |x*|                what the parts do: mismatch, rounding, gain, offset ...
    total        sqrt(|E x_bar - x*|^2 + tr Cov x_bar) / |x*|

All are closed forms of the equations of the circuit (mean and covariance at a time, stationary mean, the law of an
average), for all chips at once; nothing is drawn but the dies.  total <= settling + systematic + sampling.

A circuit that gives no solution by its mean (``rlc_spu``) is read through its covariance, see
:mod:`tngd_hw.studies.covariance_solves`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from tngd_hw.engines import StateSpace
from tngd_hw.engines.equations import with_constant
from tngd_hw.hardware import Chip, HardwareSpec
from tngd_hw.linear_sde import LinearSDE, state_mean_at, stationary_mean
from tngd_hw.linear_sde.dense import solve
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.studies.covariance_solves import errors_by_covariance
from tngd_hw.studies.readings import Reading, average_of_readings
from tngd_hw.studies.study import StudyEngine
from tngd_hw.topologies import LoadedChip, Quantity, find_topology, manufacture, program

__all__ = ["SETTLED", "ChipErrors", "chip_equations", "exact_answer", "measure_solves", "reading_duration"]

SETTLED = 1e-6
"""Without a duration the first reading waits until the slowest mode of the perfect circuit has decayed to this."""

_LOOKS = 8
"""Saturation is looked for at so many times of the noise-free run."""


@dataclass(frozen=True, eq=False)
class ChipErrors:
    """The errors of every chip, each (chips,), NaN where the status gives no answer; relative to |x*|.

    Attributes:
        settling: See the module.
        sampling: See the module.
        systematic: See the module.
        total: See the module.
        statuses: One a chip.
        tau_s: Time unit of the programmed chips; NaN where the matrix does not fit.
        duration_s: Time of the first reading.
    """

    settling: Tensor
    sampling: Tensor
    systematic: Tensor
    total: Tensor
    statuses: tuple[Status, ...]
    tau_s: float
    duration_s: float


def measure_solves(
    topology: str,
    problem: LinearProblem,
    hardware: HardwareSpec,
    reading: Reading,
    *,
    chips: int,
    seed: int,
    engine: StudyEngine = StudyEngine.BEHAVIORAL,
) -> ChipErrors:
    """Errors of ``chips`` dies that solve ``problem`` once each.

    A matrix that the circuit cannot hold, dies that cannot be made or do not settle, and voltages beyond the range are
    outcomes in the statuses, never exceptions.  A circuit that has no place for injected noise (``amc_inverse``) is run
    without: its sampling error is NaN, and not in its total.

    Args:
        topology: Name of the circuit.
        problem: A and b, shape (n,).
        hardware: What the dies are made of.
        reading: When and how often they are read.
        chips: Number of dies.
        seed: Seed of the dies.
        engine: Where the equations come from.

    Returns:
        A :class:`ChipErrors`.  Cost: about five decompositions of the equations of every chip.
    """
    by_mean = Quantity.SOLUTION in find_topology(topology).quantities
    A, right = problem.dense_matrix(), problem.b
    if right is None or right.ndim != 1:
        raise MisuseError("problem: a study solves for one right-hand side, b of shape (n,)")
    kappa = reading.kappa if by_mean or reading.kappa > 0 else 1.0  # without noise nothing could be read
    given = problem if by_mean else LinearProblem(A)
    try:
        die = manufacture(topology, problem.n, hardware, seed=seed, chips=chips)
        loaded = _programmed(die, given, kappa, seed=seed)
    except MisuseError as error:  # names and numbers were checked with the study: what is left is a die that cannot be
        return _no_answer(Status(Outcome.NOT_REALIZABLE, str(error)), chips)
    if not loaded.status.ok:
        return _no_answer(loaded.status, chips)
    equations, status = chip_equations(loaded, engine)
    if equations is None:
        return _no_answer(status, chips)
    stable = equations.stable_mask.expand(equations.batch_shape)
    if not bool(stable.any()):
        return _no_answer(_status(stable=False, excess=0.0), chips)
    duration = reading_duration(loaded, reading)
    members = equations if bool(stable.all()) else _members(equations, stable)
    if by_mean:
        found = _errors_by_mean(loaded, members, reading, duration, stable)
    else:
        found = (*errors_by_covariance(loaded, members, right, reading.samples, duration), torch.zeros(()))
    settling, sampling, systematic, total, excess = (_per_chip(_spread(part, stable), chips) for part in found)
    flags = _per_chip(stable, chips)
    statuses = tuple(_status(bool(flags[k]), float(excess[k])) for k in range(chips))
    if loaded.kappa < kappa:
        sampling = torch.full_like(total, torch.nan)
    return ChipErrors(settling, sampling, systematic, total, statuses, loaded.tau, duration)


def _programmed(die: Chip, problem: LinearProblem, kappa: float, *, seed: int) -> LoadedChip:
    """With injected noise, or without where the circuit has no place for it."""
    try:
        loaded = program(die, problem, seed=seed, kappa=kappa)
        if loaded.status.ok or kappa == 0:
            return loaded
    except MisuseError:
        if kappa == 0:
            raise
    return program(die, problem, seed=seed)


def chip_equations(loaded: LoadedChip, engine: StudyEngine) -> tuple[LinearSDE | None, Status]:
    """Equations of the batch; None with its status where the netlists of an unstable batch give none."""
    if engine is StudyEngine.BEHAVIORAL:
        return loaded.linear_sde(), Status()
    state = StateSpace().init(loaded)
    return (cast("LinearSDE", state.prepared) if state.status.ok else None), state.status


def reading_duration(loaded: LoadedChip, reading: Reading) -> float:
    """Seconds to the first reading; nobody knows the die, so the perfect circuit says how long to wait."""
    if reading.duration_tau is not None:
        return reading.duration_tau * loaded.tau
    rate = -float(loaded.topology.linear_sde(loaded.nominal).eigenvalues().real.max())
    return math.log(1 / SETTLED) / rate if rate > 0 else loaded.tau


def _errors_by_mean(
    loaded: LoadedChip, sde: LinearSDE, reading: Reading, duration: float, stable: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Settling, sampling, systematic, total, and the largest voltage over its limit; all members are stable."""
    inputs = with_constant(loaded.drive())
    # Derivatives of the sources, where a netlist asks for them, are 0.
    still = inputs.new_zeros(*inputs.shape[:-1], sde.n_inputs - inputs.shape[-1])
    inputs = torch.cat([inputs, still], -1).expand(*sde.batch_shape, sde.n_inputs)
    end, _ = stationary_mean(sde, inputs)
    looks = torch.arange(1, _LOOKS + 1, dtype=torch.float64) * (duration / _LOOKS)
    states, feed = state_mean_at(sde, looks, u=inputs), (sde.D @ inputs.unsqueeze(-1)).squeeze(-1)
    law = average_of_readings(
        sde, first=duration, spacing=reading.spacing_tau * loaded.tau, count=reading.samples,
        deviation=states[..., -1, :] - end, noisy=bool((sde.B != 0).any()),
    )  # fmt: skip
    exact = exact_answer(loaded.problem)
    off = loaded.unknowns((sde.C @ end.unsqueeze(-1)).squeeze(-1) + feed) - exact
    away = loaded.unknowns(law.mean)
    to_unknown = loaded.unknowns(torch.ones(loaded.n, dtype=torch.float64))
    variance = (torch.diagonal(law.covariance, dim1=-2, dim2=-1) * to_unknown**2).sum(-1)
    total = torch.sqrt(_norm(off + away) ** 2 + variance)
    size = _norm(exact)
    limit = loaded.voltage_limit
    limit = limit if limit.ndim == 1 or bool(stable.all()) else limit[stable]
    volts = states @ sde.C.mT + feed.unsqueeze(-2)
    excess = (volts.abs().amax(-2) / limit).amax(-1)
    return _norm(away) / size, torch.sqrt(variance) / size, _norm(off) / size, total / size, excess


def _members(sde: LinearSDE, chosen: Tensor) -> LinearSDE:
    """The chosen members of a batch as a batch of their own."""
    F, E, B, C, D, D_w = (m.expand(*sde.batch_shape, *m.shape[-2:])[chosen] for m in sde.matrices)
    return LinearSDE(F, E, B, C, D=D, D_w=D_w)


def _spread(values: Tensor, chosen: Tensor) -> Tensor:
    """``values`` of the chosen members in their places, NaN in the others."""
    if bool(chosen.all()) or values.ndim == 0:
        return values
    return torch.full(chosen.shape, torch.nan, dtype=torch.float64).masked_scatter(chosen, values)


def _status(stable: bool, excess: float) -> Status:
    if not stable:
        return Status(Outcome.UNSTABLE, "with this die's parts the circuit has a mode that grows")
    if excess > 1:
        return Status(Outcome.SATURATED, f"a node asks for {excess:.3g} times the voltage its amplifier can deliver")
    return Status()


def exact_answer(problem: LinearProblem) -> Tensor:
    """x* = A^-1 b by LAPACK, shape (n,)."""
    assert problem.b is not None
    return solve(problem.dense_matrix(), problem.b.unsqueeze(-1)).squeeze(-1)


def _per_chip(value: Tensor, chips: int) -> Tensor:
    """One entry a chip, also where all chips are alike."""
    return value.reshape(-1).expand(chips) if value.numel() == 1 else value


def _norm(value: Tensor) -> Tensor:
    return cast("Tensor", torch.linalg.vector_norm(value, dim=-1))


def _no_answer(status: Status, chips: int) -> ChipErrors:
    nothing = torch.full((chips,), torch.nan, dtype=torch.float64)
    return ChipErrors(nothing, nothing, nothing, nothing, (status,) * chips, math.nan, math.nan)
