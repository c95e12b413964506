"""The whole chain in one call."""

from __future__ import annotations

from dataclasses import replace

from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines import Engine, Trajectory, find_engine
from tngd_hw.hardware import HardwareSpec, load_hardware
from tngd_hw.outcome import Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import check_seed, derived_seed
from tngd_hw.readout import Estimate, read, settled_status, settling_error, settling_time
from tngd_hw.topologies import LoadedChip, manufacture, program

__all__ = ["DEFAULT_SETTLING", "SETTLING_TOLERANCE", "solve", "solve_in_steps"]

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
        seed: Seed of the die and of the noise.

    Returns:
        An Estimate; its status says NOT_SETTLED, SATURATED, UNSTABLE ... where that is so.

    Raises:
        MisuseError: Arguments that cannot be meant.
    """
    return solve_in_steps(
        LinearProblem(A, b), topology=topology, hardware=hardware, engine=engine, duration=duration, kappa=kappa,
        x_max=x_max, seed=seed,
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
) -> tuple[LoadedChip, Trajectory, Estimate]:
    """As :func:`solve`, with the loaded chip and the trajectory; ``duration_tau`` is the duration in units of tau."""
    check_seed(seed)
    simulator = find_engine(engine) if isinstance(engine, str) else engine
    spec = load_hardware(hardware) if isinstance(hardware, str) else hardware
    chip = manufacture(topology, problem.n, spec, seed=seed)
    loaded = program(chip, problem, seed=seed, x_max=x_max, kappa=kappa)
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


def _perfect(loaded: LoadedChip) -> LoadedChip:
    """The same circuit of perfect parts: what the engine ``ideal`` settles like."""
    return replace(loaded, chip=replace(loaded.chip, chips=None), programmed=loaded.nominal)


def _with(statuses: tuple[Status, ...], status: Status) -> tuple[Status, ...]:
    return tuple(status if old.ok else old for old in statuses)
