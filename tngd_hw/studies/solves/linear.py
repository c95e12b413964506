"""What a cell of a study measures: the error of A x = b on a batch of chips, in three parts.

With x* = A^-1 b, x_bar the average of N noisy readings as the ADC says them, E its mean over all noise that could have
been, and x_inf = E x_bar of a run that has settled (without noise: what the ADC says of the settled voltages):

    settling     |E x_bar - x_inf| / |x*|           the run was too short
    sampling     sqrt(tr Cov x_bar) / |x*|          noise: the root mean square
    systematic   |x_inf - x*| / |x*|                what the parts do: mismatch, rounding, gain, offset ...
    total        sqrt(|E x_bar - x*|^2 + tr Cov x_bar) / |x*|

so that total <= settling + systematic + sampling.  The run starts from what the reset leaves, driven by what the DAC
puts on (:mod:`tngd_hw.studies.solves.starts`).  All are closed forms of the equations of the circuit (mean and
covariance at a time, stationary mean, the law of an average), for all chips at once; nothing is drawn but the dies, and
what the levels of an ADC make of noise (:mod:`tngd_hw.studies.solves.converted_readings`).

A circuit that gives no solution by its mean (``rlc_spu``) is read through its covariance, see
:mod:`tngd_hw.studies.solves.covariance`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from tngd_hw.engines import StateSpace
from tngd_hw.hardware import Adc, Chip, HardwareSpec
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import derived_seed
from tngd_hw.readout.digitise import clipped_status, sample_times
from tngd_hw.studies.solves.covariance import errors_by_covariance
from tngd_hw.studies.solves.mean import errors_by_mean
from tngd_hw.studies.solves.parts_of_error import Dies, ErrorParts
from tngd_hw.studies.solves.readings import Reading
from tngd_hw.studies.solves.starts import study_start
from tngd_hw.studies.sweeps.study import StudyEngine
from tngd_hw.topologies import LoadedChip, Quantity, find_topology, manufacture, program

__all__ = ["SETTLED", "ChipErrors", "chip_equations", "measure_solves", "reading_duration"]

SETTLED = 1e-6
"""Without a duration the first reading waits until the slowest mode of the perfect circuit has decayed to this."""


_UNSTABLE = Status(Outcome.UNSTABLE, "with this die's parts the circuit has a mode that grows")


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
    try:
        times = _reading_times(loaded, reading)
    except MisuseError as error:  # readings faster than the ADC
        return _no_answer(Status(Outcome.NOT_REALIZABLE, str(error)), chips)
    start = study_start(loaded, equations, engine, seed=derived_seed(seed, "run"))
    equations = _each_its_own(equations, chips) if start.per_chip else equations
    stable = equations.stable_mask.expand(equations.batch_shape)
    if not bool(stable.any()):
        return _no_answer(_UNSTABLE, chips)
    if not bool(stable.all()):
        equations, start = _members(equations, stable), start.of(stable)
    dies = Dies(loaded, equations, start, stable, seed)
    found = errors_by_mean(dies, reading, times) if by_mean else errors_by_covariance(dies, right, reading, times[0])
    errors = found.each(lambda part: _per_chip(_spread(part, stable), chips))
    given = start.drive.statuses
    given = given if len(given) == chips else given * chips
    flags = _per_chip(stable, chips)
    statuses = tuple(_status(errors, k, given[k], hardware.adc) if bool(flags[k]) else _UNSTABLE for k in range(chips))
    sampling = torch.full_like(errors.total, torch.nan) if loaded.kappa < kappa else errors.sampling
    return ChipErrors(errors.settling, sampling, errors.systematic, errors.total, statuses, loaded.tau, float(times[0]))


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


def _reading_times(loaded: LoadedChip, reading: Reading) -> Tensor:
    """Seconds of the readings, ones that the ADC can take."""
    after = reading.spacing_tau * loaded.tau * torch.arange(reading.samples, dtype=torch.float64)
    return sample_times(loaded.chip.hardware.adc, reading_duration(loaded, reading) + after)


def _each_its_own(sde: LinearSDE, chips: int) -> LinearSDE:
    """The same equations for every die, where their starts or drives differ."""
    F = sde.F.expand(chips, sde.n_states, sde.n_states)
    return LinearSDE(F, sde.E, sde.B, sde.C, D=sde.D, D_w=sde.D_w)


def _members(sde: LinearSDE, chosen: Tensor) -> LinearSDE:
    """The chosen members of a batch as a batch of their own."""
    F, E, B, C, D, D_w = (m.expand(*sde.batch_shape, *m.shape[-2:])[chosen] for m in sde.matrices)
    return LinearSDE(F, E, B, C, D=D, D_w=D_w)


def _spread(values: Tensor, chosen: Tensor) -> Tensor:
    """``values`` of the chosen members in their places, NaN in the others."""
    if bool(chosen.all()) or values.ndim == 0:
        return values
    return torch.full(chosen.shape, torch.nan, dtype=torch.float64).masked_scatter(chosen, values)


def _status(errors: ErrorParts, die: int, given: Status, adc: Adc) -> Status:
    """That of a stable die whose drive has the status ``given``."""
    excess, clipped = float(errors.excess[die]), float(errors.clipped[die])
    if excess > 1:
        return Status(Outcome.SATURATED, f"a node asks for {excess:.3g} times the voltage its amplifier can deliver")
    return given if not given.ok or clipped == 0 else clipped_status(clipped, adc)


def _per_chip(value: Tensor, chips: int) -> Tensor:
    """One entry a chip, also where all chips are alike."""
    return value.reshape(-1).expand(chips) if value.numel() == 1 else value


def _no_answer(status: Status, chips: int) -> ChipErrors:
    nothing = torch.full((chips,), torch.nan, dtype=torch.float64)
    return ChipErrors(nothing, nothing, nothing, nothing, (status,) * chips, math.nan, math.nan)
