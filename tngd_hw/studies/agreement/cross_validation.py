"""Every topology through every engine: one circuit, several simulators, and how far they are apart.

For each matrix and topology one die is programmed and released from a start x0 with the problem's b.  ``state_space``
(the netlist, solved exactly) is the reference, evaluated at the other engine's own times.  Path and end are the largest
difference of any output voltage, over the largest voltage of the run.  ``law`` compares the stationary covariance under
injected noise, in parts of sqrt(S_ii S_jj), for circuits that give one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tngd_hw.engines import ENGINES, Engine, Ngspice, RunEstimate, Trajectory, find_engine
from tngd_hw.hardware import HardwareSpec
from tngd_hw.linear_sde import LinearSDE, stationary_output_covariance
from tngd_hw.outcome import Outcome
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies import TOPOLOGIES, LoadedChip, Quantity, find_topology, manufacture, program

__all__ = [
    "END_TOLERANCE",
    "LAW_TOLERANCE",
    "PATH_TOLERANCE",
    "Disagreement",
    "ValidationCase",
    "cross_validate",
    "standard_cases",
    "table",
]

REFERENCE = "state_space"
PATH_TOLERANCE = 1e-4
END_TOLERANCE = 1e-5
LAW_TOLERANCE = 1e-6
_KAPPA = 1e-3
_DURATION_TAU = 20.0


@dataclass(frozen=True, eq=False)
class ValidationCase:
    """A matrix, a right-hand side and a start, each dimensionless."""

    name: str
    A: Tensor
    b: Tensor
    x0: Tensor


@dataclass(frozen=True)
class Disagreement:
    """One engine against the reference, on one circuit.

    Attributes:
        case: Name of the matrix.
        topology: Name of the circuit.
        hardware: Name of what it is made of.
        engine: Name of the engine.
        outcome: How its run ended, or why the circuit cannot hold the matrix.
        path: Largest difference along the run, over the largest voltage; None where there was no run.
        end: Largest difference at the end.
        law: Largest difference of the stationary covariance; None where it gives none.
        seconds: Time of the engine's run.
        exact: Whether the engine claims to solve this very circuit (``ideal`` does not: it shows what real parts cost).
        detail: The outcome's sentence where it is not ok.
    """

    case: str
    topology: str
    hardware: str
    engine: str
    outcome: Outcome
    path: float | None
    end: float | None
    law: float | None
    seconds: float
    exact: bool
    detail: str

    @property
    def agrees(self) -> bool:
        """Within tolerance, or with nothing to compare (a matrix that the circuit cannot hold)."""
        if not self.exact or self.outcome in (Outcome.NOT_REALIZABLE, Outcome.SIMULATOR_MISSING):
            return True
        if self.outcome not in (Outcome.OK, Outcome.SATURATED):
            return False
        limits = ((self.path, PATH_TOLERANCE), (self.end, END_TOLERANCE), (self.law, LAW_TOLERANCE))
        return all(found is None or found <= limit for found, limit in limits)

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {**asdict(self), "outcome": self.outcome.value, "agrees": self.agrees}


def standard_cases(seed: int = 0) -> tuple[ValidationCase, ...]:
    """Matrices that tell circuits apart: capacitive, dominant, positive definite, not symmetric, one node."""
    rng = np.random.default_rng(seed)
    wide = rng.normal(size=(8, 16)) / 4
    square = rng.normal(size=(6, 6)) / np.sqrt(6)
    couple = np.triu(rng.uniform(0.1, 0.5, (5, 5)), 1)
    couple = couple + couple.T
    signs = np.triu(np.sign(rng.normal(size=(5, 5))), 1)
    matrices: dict[str, npt.NDArray[np.float64]] = {
        "one node": np.array([[1.5]]),
        "M-matrix 5": np.diag(couple.sum(1) + 0.5) - couple,
        "dominant 5, both signs": np.diag(couple.sum(1) + 0.5) + couple * (signs + signs.T),
        "positive definite 8": wide @ wide.T + 0.1 * np.eye(8),
        "not symmetric 6": square + (0.5 - np.linalg.eigvals(square).real.min()) * np.eye(6),
    }
    return tuple(
        ValidationCase(name, torch.from_numpy(A), *(torch.from_numpy(rng.normal(size=len(A))) for _ in range(2)))
        for name, A in matrices.items()
    )


def cross_validate(
    cases: Sequence[ValidationCase],
    hardware: Sequence[HardwareSpec],
    *,
    topologies: Sequence[str] | None = None,
    engines: Sequence[str] | None = None,
    duration_tau: float = _DURATION_TAU,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[float, RunEstimate], None] | None = None,
) -> Iterator[Disagreement]:
    """Rows of the table, one at a time, in the order cases, topologies, hardware, engines.

    Args:
        cases: Matrices.
        hardware: Specifications.
        topologies: Names; default: all.
        engines: Names; default: all but the reference.
        duration_tau: Length of the run in the circuit's own tau.
        seed: Of the die.
        force: Begin runs of ngspice of any predicted length.
        progress: As in :class:`~tngd_hw.engines.Ngspice`.

    Raises:
        MisuseError: Unknown names.
    """
    circuits = [find_topology(name) for name in topologies] if topologies is not None else list(TOPOLOGIES)
    others = [engine.name for engine in ENGINES if engine.name != REFERENCE] if engines is None else list(engines)
    simulators = [_settled(find_engine(name), force=force, progress=progress) for name in others]
    for case in cases:
        for circuit in circuits:
            for spec in hardware:
                chip = manufacture(circuit.name, len(case.A), spec, seed=seed)
                problem = LinearProblem(case.A, case.b)
                loaded = program(chip, problem, x_max=_largest(case))
                for engine in simulators:
                    if engine.name == "ideal" and not circuit.is_filter:
                        continue  # it would compare two different laws of motion
                    yield _compare(case, loaded, engine, duration_tau * loaded.tau)


def _largest(case: ValidationCase) -> float:
    """Room for the start and the answer, also where a circuit overshoots."""
    start, answer = (float(np.abs(v).sum()) for v in (case.x0.numpy(), np.linalg.solve(case.A.numpy(), case.b.numpy())))
    return 2 * (start + answer)


def _compare(case: ValidationCase, loaded: LoadedChip, engine: Engine, duration: float) -> Disagreement:
    status = loaded.circuit_status
    path = end = law = None
    seconds = 0.0
    if status.ok:
        reference = find_engine(REFERENCE)
        state = engine.init(loaded)
        begun = time.perf_counter()
        _, run = engine.run(state, duration=duration, x0=case.x0)
        seconds, status = time.perf_counter() - begun, run.status
        if len(run.times_s):
            _, exact = reference.run(reference.init(loaded), duration=duration, x0=case.x0, times_s=run.times_s)
            path, end = _differences(run, exact)
        if Quantity.INVERSE in loaded.topology.quantities and isinstance(state.prepared, LinearSDE):
            law = _law_difference(loaded, engine.name)
    return Disagreement(
        case.name, loaded.chip.topology, loaded.chip.hardware.name, engine.name, status.outcome, path, end, law,
        seconds, engine.name != "ideal", status.detail,
    )  # fmt: skip


def _settled(engine: Engine, *, force: bool, progress: Callable[[float, RunEstimate], None] | None) -> Engine:
    return replace(engine, force=force, progress=progress) if isinstance(engine, Ngspice) else engine


def _differences(run: Trajectory, exact: Trajectory) -> tuple[float, float]:
    size = float(exact.voltage_volt.abs().max())
    difference = (run.voltage_volt - exact.voltage_volt).abs()
    return float(difference.max()) / size, float(difference[-1].max()) / size


def _law_difference(loaded: LoadedChip, name: str) -> float:
    """Largest |S - S_ref| in parts of sqrt(S_ii S_jj), of the same chip with injected noise."""
    noisy = program(loaded.chip, loaded.problem, kappa=_KAPPA)
    laws: list[Tensor] = []
    for engine in (find_engine(name), find_engine(REFERENCE)):
        covariance, _ = stationary_output_covariance(engine.init(noisy).prepared)
        laws.append(covariance)
    spread = torch.diagonal(laws[1]).sqrt()
    return float(((laws[0] - laws[1]).abs() / (spread[:, None] * spread)).max())


def table(rows: Sequence[Disagreement]) -> str:
    """The rows as text with aligned columns."""
    head = ("matrix", "topology", "hardware", "engine", "outcome", "path", "end", "law", "")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _cells(row: Disagreement) -> tuple[str, ...]:
    numbers = ("-" if value is None else f"{value:.1e}" for value in (row.path, row.end, row.law))
    verdict = "" if row.agrees else "DISAGREES"
    note = "(real parts against perfect ones)" if not row.exact and row.path is not None else verdict
    return (row.case, row.topology, row.hardware, row.engine, row.outcome.value, *numbers, note)
