"""The whole chain in one call."""

from __future__ import annotations

from dataclasses import replace

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines import Engine, Trajectory, find_engine
from tngd_hw.engines.ideal import refuse_other_motion
from tngd_hw.hardware import Encoding, HardwareSpec, load_hardware
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import check_seed, derived_seed
from tngd_hw.readout import (
    ColumnRunner,
    Estimate,
    block_solve,
    read,
    read_inverse,
    settled_status,
    settling_error,
    settling_time,
    stationary_inverse,
)
from tngd_hw.topologies import (
    TOPOLOGIES,
    LoadedChip,
    Preconditioning,
    Quantity,
    find_topology,
    manufacture,
    program,
    spectrum,
)

__all__ = ["DEFAULT_SETTLING", "SETTLING_TOLERANCE", "inverse", "solve", "solve_in_steps"]

SETTLING_TOLERANCE = 1e-3
"""Relative settling error above which an answer to A x = b is called not settled."""

DEFAULT_SETTLING = 1e-6
"""A run without a stated duration lasts until the slowest mode has decayed to this."""


def solve(
    A: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    *,
    topology: str = "integrator",
    hardware: HardwareSpec | str = "ideal",
    engine: Engine | str = "state_space",
    duration: float | None = None,
    kappa: float = 0.0,
    x_max: float | None = None,
    nodes: int | None = None,
    encoding: Encoding | None = None,
    preconditioning: Preconditioning = Preconditioning.NONE,
    seed: int = 0,
) -> Estimate:
    """Solve A x = b on one chip: manufacture, program, run, read.

    Args:
        A: Shape (n, n), every eigenvalue with a positive real part.
        b: Shape (n,), or (n, k) where the engine takes several right-hand sides.
        topology: Name of the circuit.
        hardware: A specification, a preset's name or a TOML file.
        engine: An engine or its name.
        duration: Seconds; default: until the slowest mode has decayed to 1e-6.
        kappa: Injected noise, Cov(x) -> kappa A^-1 for symmetric A; the second half of the run is averaged.
        x_max: Largest |x| to plan for; default: the bound |b|/mu_min.
        nodes: Nodes of the chip; default n.  With fewer, the matrix is solved block by block and refined once (see
            :func:`~tngd_hw.readout.block_solve`).
        encoding: How entries of both signs are made; default: the circuit's first.
        preconditioning: UNIT_DIAGONAL lets the chip hold D A D: the same end by another path.
        seed: Seed of the die and of the noise.

    Returns:
        An Estimate; its status says NOT_SETTLED, SATURATED, UNSTABLE ... where that is so.

    Raises:
        MisuseError: Arguments that cannot be meant.
    """
    problem = LinearProblem(A, b)
    if nodes is not None and (isinstance(nodes, bool) or not isinstance(nodes, int) or nodes < 1):
        raise MisuseError(f"nodes = {nodes!r}: a chip has an integer number of nodes, at least 1")
    if nodes is not None and nodes < problem.n:
        if duration is not None or kappa > 0 or x_max is not None:
            raise MisuseError(f"nodes = {nodes}: a matrix solved by blocks takes no duration, kappa or x_max")
        return _solve_by_blocks(problem, nodes, topology=topology, hardware=hardware, engine=engine, seed=seed)
    return solve_in_steps(
        problem, topology=topology, hardware=hardware, engine=engine, duration=duration, kappa=kappa,
        x_max=x_max, seed=seed, encoding=encoding, preconditioning=preconditioning,
    )[2]  # fmt: skip


def solve_in_steps(
    problem: LinearProblem,
    *,
    topology: str,
    hardware: HardwareSpec | str,
    engine: Engine | str,
    duration: float | None,
    kappa: float,
    x_max: float | None,
    seed: int,
    duration_tau: float | None = None,
    encoding: Encoding | None = None,
    preconditioning: Preconditioning = Preconditioning.NONE,
) -> tuple[LoadedChip, Trajectory, Estimate]:
    """As :func:`solve`, with the loaded chip and the trajectory; ``duration_tau`` is the duration in units of tau."""
    check_seed(seed)
    _refuse_without(Quantity.SOLUTION, topology)
    simulator = find_engine(engine) if isinstance(engine, str) else engine
    if simulator.name == "ideal":
        refuse_other_motion(find_topology(topology))
    spec = load_hardware(hardware) if isinstance(hardware, str) else hardware
    chip = manufacture(topology, problem.n, spec, seed=seed, encoding=encoding)
    loaded = program(chip, problem, seed=seed, x_max=x_max, kappa=kappa, preconditioning=preconditioning)
    reference = _perfect(loaded) if simulator.name == "ideal" and loaded.status.ok else loaded
    if duration_tau is not None:
        duration = duration_tau * loaded.tau
    if duration is None:
        duration = settling_time(reference, DEFAULT_SETTLING) if reference.circuit_status.ok else loaded.tau
    state, trajectory = simulator.run(simulator.init(loaded), duration=duration, seed=derived_seed(seed, "run"))
    del state
    estimate = read(trajectory, loaded, seed=seed, average_from_s=duration / 2 if trajectory.noisy else None)
    if estimate.status.ok:
        status = settled_status(reference, duration, SETTLING_TOLERANCE, settling_error(reference, duration))
        estimate = replace(estimate, statuses=_with(estimate.statuses, status))
    return loaded, trajectory, replace(estimate, seed=seed)


def inverse(
    A: ArrayLike | Tensor,
    *,
    topology: str = "rlc_spu",
    hardware: HardwareSpec | str = "ideal",
    engine: Engine | str = "state_space",
    duration: float | None = None,
    samples: int = 4000,
    kappa: float = 1e-3,
    seed: int = 0,
) -> Estimate:
    """A^-1 of one chip: from the covariance of its noise where that gives it, else column by column.

    Cov(x) = kappa A^-1 needs a symmetric A and a circuit that gives a covariance.  Other matrices, and circuits that
    only solve, take n settled runs with the columns of the identity.

    Args:
        A: Shape (n, n), one that the topology can hold.
        topology: Name of the circuit.
        hardware: A specification, a preset's name or a TOML file.
        engine: An engine or its name; those that simulate injected noise.
        duration: Seconds of a run whose second half is averaged; default: the law that the circuit settles to, without
            sampling error (what an endless run would give, mismatch included).
        samples: Points of the run, uniform; not used without a duration.
        kappa: Strength of the injected noise, Cov(x) -> kappa A^-1.
        seed: Seed of the die and of the noise.

    Returns:
        An Estimate of the INVERSE, value (n, n), with its standard error from sampling.

    Raises:
        MisuseError: Arguments that cannot be meant, or a circuit that gives no covariance.
    """
    check_seed(seed)
    simulator = find_engine(engine) if isinstance(engine, str) else engine
    spec = load_hardware(hardware) if isinstance(hardware, str) else hardware
    problem = LinearProblem(A)
    quantities = find_topology(topology).quantities
    symmetric = spectrum(problem.dense_matrix()).symmetric
    if Quantity.SOLUTION in quantities and not (symmetric and Quantity.INVERSE in quantities):
        return _inverse_by_columns(problem, simulator, topology=topology, spec=spec, seed=seed)
    loaded = program(manufacture(topology, problem.n, spec, seed=seed), problem, seed=seed, kappa=kappa)
    state = simulator.init(loaded)
    if duration is None and state.status.ok:
        if not isinstance(state.prepared, LinearSDE):
            raise MisuseError(f"engine = {simulator.name!r}: it has no law to settle to; pass a duration")
        return stationary_inverse(loaded, state.prepared, simulator.name)
    length = loaded.tau if duration is None else duration
    times = torch.linspace(0.0, length, samples, dtype=torch.float64)
    _, trajectory = simulator.run(state, duration=length, seed=derived_seed(seed, "run"), times_s=times)
    return read_inverse(trajectory, loaded, seed=seed, average_from_s=length / 2)


def _inverse_by_columns(
    problem: LinearProblem, simulator: Engine, *, topology: str, spec: HardwareSpec, seed: int
) -> Estimate:
    runner = ColumnRunner(manufacture(topology, problem.n, spec, seed=seed), simulator, seed)
    columns = LinearProblem(problem.dense_matrix(), torch.eye(problem.n, dtype=torch.float64))
    value, status = runner.solve(columns)
    return Estimate(
        quantity=Quantity.INVERSE, value=value, stderr=torch.zeros_like(value), statuses=(status,),
        engine=simulator.name, hardware_hash=spec.hash, seed=seed, tau_s=runner.tau_s, duration_s=runner.analog_s,
    )  # fmt: skip


def _solve_by_blocks(
    problem: LinearProblem, nodes: int, *, topology: str, hardware: HardwareSpec | str, engine: Engine | str, seed: int
) -> Estimate:
    _refuse_without(Quantity.SOLUTION, topology)
    simulator = find_engine(engine) if isinstance(engine, str) else engine
    spec = load_hardware(hardware) if isinstance(hardware, str) else hardware
    found = block_solve(manufacture(topology, nodes, spec, seed=seed), problem, simulator, seed=seed)
    return Estimate(
        quantity=Quantity.SOLUTION, value=found.value, stderr=torch.zeros_like(found.value), statuses=(found.status,),
        engine=simulator.name, hardware_hash=spec.hash, seed=seed, tau_s=found.tau_s, duration_s=found.analog_s,
    )  # fmt: skip


def _refuse_without(quantity: Quantity, topology: str) -> None:
    circuit = find_topology(topology)
    if quantity in circuit.quantities:
        return
    able = ", ".join(other.name for other in TOPOLOGIES if quantity in other.quantities)
    reason = {
        Quantity.SOLUTION: "its inductors short direct current, so the mean of its voltages is 0 whatever b is",
        Quantity.INVERSE: "it has no covariance to read",
        Quantity.SAMPLES: "it has no noise to sample",
    }[quantity]
    raise MisuseError(f"topology = {topology!r}: it gives no {quantity.value} ({reason}); use {able}")


def _perfect(loaded: LoadedChip) -> LoadedChip:
    """The same circuit of perfect parts: what the engine ``ideal`` settles like."""
    return replace(loaded, chip=replace(loaded.chip, chips=None), programmed=loaded.nominal)


def _with(statuses: tuple[Status, ...], status: Status) -> tuple[Status, ...]:
    return tuple(status if old.ok else old for old in statuses)
