"""A chip whose injected noise is measured: programmed once, then its law or one recorded run of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tngd_hw.engines import Engine, EngineState, find_engine
from tngd_hw.hardware import HardwareSpec, Role, load_hardware
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.dense import eigh
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import derived_seed
from tngd_hw.readout import Estimate, Quantity, measured_points
from tngd_hw.topologies import TOPOLOGIES, LoadedChip, find_topology, manufacture, program

__all__ = ["NoisyChip", "noisy_filter", "symmetric_root"]


@dataclass(frozen=True, eq=False)
class NoisyChip:
    """A programmed chip with an engine that is ready to run it.

    Attributes:
        loaded: The chip, its noise injected.
        engine: What simulates it.
        state: From the engine's ``init``.
        seed: Of the die and of the runs.
    """

    loaded: LoadedChip
    engine: Engine
    state: EngineState
    seed: int

    @property
    def status(self) -> Status:
        """OK, or why it cannot run."""
        return self.state.status

    def law(self) -> LinearSDE:
        """The equations whose stationary law is asked for; MisuseError where the engine has none."""
        if not isinstance(self.state.prepared, LinearSDE):
            raise MisuseError(f"engine = {self.engine.name!r}: it has no law to settle to; pass a duration")
        return self.state.prepared

    def record(self, duration_s: float, spacing_s: float) -> tuple[Tensor, Status]:
        """x of the second half of a run with b = 0, shape (T, n), ``spacing_s`` apart; none if it failed."""
        steps = max(2, round(duration_s / spacing_s))
        samples = spacing_s * torch.arange(steps // 2, steps + 1, dtype=torch.float64)
        readings = measured_points(self.state, self.engine, samples, seed=derived_seed(self.seed, "run"))
        return self.loaded.unknowns(readings.volt), readings.statuses[0]

    def estimate(
        self, quantity: Quantity, value: Tensor, stderr: Tensor, status: Status, *, duration_s: float | None
    ) -> Estimate:
        """What was found, with where it comes from; an endless run where there is no duration."""
        return Estimate(
            quantity=quantity, value=value, stderr=stderr, statuses=(status,), engine=self.engine.name,
            hardware_hash=self.loaded.chip.hardware.hash, seed=self.seed, tau_s=self.loaded.tau,
            duration_s=float("inf") if duration_s is None else duration_s,
        )  # fmt: skip

    def failure(self, quantity: Quantity, shape: tuple[int, ...], *, duration_s: float | None) -> Estimate:
        """NaN, with the status of the chip."""
        nothing = torch.full(shape, torch.nan, dtype=torch.float64)
        return self.estimate(quantity, nothing, nothing, self.status, duration_s=duration_s)


def noisy_filter(
    what: str,
    A: Tensor,
    densities: Tensor,
    *,
    topology: str,
    hardware: HardwareSpec | str,
    engine: Engine | str,
    seed: int,
) -> NoisyChip:
    """A chip that is dx = -(A x/tau) dt + sqrt(2 q/tau) dW, node i with the density q_i = ``densities[i]``.

    Args:
        what: Of which function, for the sentence of a refusal.
        A: Shape (n, n).
        densities: Shape (n,), 0 or more, one of them above 0.
        topology: Name of the circuit: a filter with noise.
        hardware: A specification, a preset's name or a TOML file.
        engine: An engine or its name.
        seed: Of the die, the programming and the runs.

    Raises:
        MisuseError: A topology that has no noise or moves otherwise.
    """
    circuit = find_topology(topology)
    if not (circuit.is_filter and Quantity.SAMPLES in circuit.quantities):
        able = ", ".join(t.name for t in TOPOLOGIES if t.is_filter and Quantity.SAMPLES in t.quantities)
        raise MisuseError(
            f"topology = {topology!r}: {what} needs noise in a circuit with dx/dt = -(A x - b)/tau at every time; "
            f"use {able}"
        )
    simulator = find_engine(engine) if isinstance(engine, str) else engine
    spec = load_hardware(hardware) if isinstance(hardware, str) else hardware
    largest = float(densities.max())
    chip = manufacture(topology, len(A), spec, seed=seed)
    loaded = program(chip, LinearProblem(A), seed=seed, kappa=largest)
    if loaded.scaling is not None:
        detail = f"{topology} can hold this A only as D A D, and {what} of D A D is another"
        loaded = replace(loaded, status=Status(Outcome.NOT_REALIZABLE, detail), programmed=None)
    if loaded.programmed is not None:
        share = densities / largest
        uneven = loaded.programmed.with_values(Role.NOISE, lambda noise: noise.value * share[noise.row])
        loaded = replace(loaded, programmed=uneven)
    return NoisyChip(loaded, simulator, simulator.init(loaded), seed)


def symmetric_root(Q: Tensor) -> tuple[Tensor, Tensor]:
    """R and R^-1 with R R = Q for a symmetric positive definite Q; cost about 10 n^3."""
    values, vectors = eigh(Q)
    root = values.sqrt()
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
