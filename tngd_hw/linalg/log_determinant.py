"""log det A by thermodynamic integration: one die, reprogrammed along a path from a I to A.

On A_s = (1 - s) a I + s A with a = tr(A)/n, whose eigenvalues keep positive real parts,

    d/ds log det A_s = tr(A_s^-1 (A - a I)) = <x^T (A - a I) x>/kappa       (the last for a symmetric A)

so log det A = n log a + the integral over s from 0 to 1, each point one programming and one average of a quadratic
form: 2 n^2 digital operations a reading, no factorisation.  The rule is Clenshaw and Curtis's in t, s = t^2 (3 - 2 t),
which needs no reading at the ends and is fine near them, where a small eigenvalue makes the integrand steep; the rule
of half the points is part of it and bounds its error.
Also known: ramps between the two matrices with the work done during them (Crooks, Bennett; arXiv 2308.05660), which
need components that change while the circuit runs; and the determinant of the measured covariance, whose digital
cost is that of log det A itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines import Engine, find_engine
from tngd_hw.hardware import Chip, HardwareSpec, load_hardware
from tngd_hw.linalg.noisy_chip import NoisyChip
from tngd_hw.linear_sde import stationary_output_covariance
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import check_seed, derived_seed
from tngd_hw.readout import ColumnRunner, Estimate, Quantity, estimate_mean
from tngd_hw.topologies import find_topology, manufacture, program, spectrum

__all__ = ["logdet"]

_SPACING_TAU = 0.5
_RULE_TOLERANCE = 0.01
"""Largest error of the rule, an unknown, that passes."""


@dataclass(frozen=True)
class _Slope:
    """d/ds log det A_s as one programming gave it, in seconds of analog time."""

    value: float
    stderr: float
    status: Status
    tau_s: float
    duration_s: float


def logdet(
    A: ArrayLike | Tensor,
    *,
    topology: str = "rlc_spu",
    hardware: HardwareSpec | str = "ideal",
    engine: Engine | str = "state_space",
    duration: float | None = None,
    points: int = 16,
    seed: int = 0,
) -> Estimate:
    """log det A of a matrix whose eigenvalues have positive real parts, by thermodynamic integration.

    A circuit with a covariance holds a symmetric A; other matrices, and circuits that only solve, take n settled runs a
    point (the trace of A_s^-1 (A - a I) column by column) and have no sampling error without noise.

    Args:
        A: Shape (n, n), one that the topology can hold, and with it the path from a I.
        topology: Name of the circuit.
        hardware: A specification, a preset's name or a TOML file.
        engine: An engine or its name.
        duration: Seconds of the run at each point, whose second half is averaged; default: the law that the circuit
            settles to.  Not used where columns are solved.
        points: Intervals of the rule, even, 4 or more: one programming fewer.
        seed: Seed of the die, its programmings and the noise.

    Returns:
        An Estimate of the LOG_DETERMINANT, value (1,), its standard error from sampling; CHECK_FAILED where the rule of
        half the points differs by more than 0.01 n and four standard errors.

    Raises:
        MisuseError: Points that are none; arguments that cannot be meant.

    Source: J. G. Kirkwood, J. Chem. Phys. 3 (1935) 300.
    """
    check_seed(seed)
    if isinstance(points, bool) or not isinstance(points, int) or points < 4 or points % 2:
        raise MisuseError(f"points = {points!r}: an even number of intervals, 4 or more, for example 16")
    matrix = LinearProblem(A).dense_matrix()
    n, start = len(matrix), float(torch.diagonal(matrix).mean())
    simulator = find_engine(engine) if isinstance(engine, str) else engine
    spec = load_hardware(hardware) if isinstance(hardware, str) else hardware
    chip = manufacture(topology, n, spec, seed=seed)
    quantities = find_topology(topology).quantities
    by_columns = Quantity.INVERSE not in quantities or (
        Quantity.SOLUTION in quantities and not spectrum(matrix).symmetric
    )
    slopes: list[_Slope] = []
    identity = torch.eye(n, dtype=torch.float64)
    change = matrix - start * identity
    for index, s in enumerate(_places(points) if start > 0 else []):
        between, own = start * identity + s * change, derived_seed(seed, "logdet", index)
        if by_columns:
            slopes.append(_by_columns(chip, simulator, between, change, own))
        else:
            slopes.append(_by_noise(chip, simulator, between, change, own, duration=duration))
        if not slopes[-1].status.ok:
            break
    value, stderr, status = _integrated(slopes, points, n, start)
    return Estimate(
        quantity=Quantity.LOG_DETERMINANT, value=torch.tensor([value], dtype=torch.float64),
        stderr=torch.tensor([stderr], dtype=torch.float64), statuses=(status,), engine=simulator.name,
        hardware_hash=spec.hash, seed=seed, tau_s=slopes[-1].tau_s if slopes else math.nan,
        duration_s=sum(slope.duration_s for slope in slopes),
    )  # fmt: skip


def _by_noise(chip: Chip, engine: Engine, A: Tensor, change: Tensor, seed: int, *, duration: float | None) -> _Slope:
    loaded = program(chip, LinearProblem(A), seed=seed, kappa=1.0)
    noisy = NoisyChip(loaded, engine, engine.init(loaded), seed)
    length = math.inf if duration is None else duration
    if not noisy.status.ok:
        return _Slope(math.nan, math.nan, noisy.status, loaded.tau, length)
    if duration is None:
        volts, status = stationary_output_covariance(noisy.law())
        x = loaded.unknowns(loaded.unknowns(volts).T)
        return _Slope(float((x * change).sum()), 0.0, status, loaded.tau, length)
    points, status = noisy.record(duration, _SPACING_TAU * loaded.tau)
    points = points - points.mean(0)
    forms = ((points @ change.T) * points).sum(-1, keepdim=True)
    found = estimate_mean(forms)
    return _Slope(float(found.value), float(found.stderr), status, loaded.tau, duration)


def _by_columns(chip: Chip, engine: Engine, A: Tensor, change: Tensor, seed: int) -> _Slope:
    runner = ColumnRunner(chip, engine, seed)
    inverse, status = runner.solve(LinearProblem(A, torch.eye(len(A), dtype=torch.float64)))
    return _Slope(float((inverse.T * change).sum()), 0.0, status, runner.tau_s, runner.analog_s)


def _integrated(slopes: list[_Slope], points: int, n: int, start: float) -> tuple[float, float, Status]:
    if not slopes:
        detail = f"the trace of A is {start * n:.3g}: an eigenvalue has no positive real part"
        return math.nan, math.nan, Status(Outcome.UNSTABLE, detail)
    if not slopes[-1].status.ok:
        return math.nan, math.nan, slopes[-1].status
    fine, coarse = _weights(points), _weights(points // 2)
    values = np.array([slope.value for slope in slopes])
    errors = np.array([slope.stderr for slope in slopes])
    total, stderr = float(fine @ values), float(np.sqrt((fine**2) @ (errors**2)))
    doubt = abs(total - float(coarse @ values[1::2]))
    status = Status()
    if doubt > _RULE_TOLERANCE * n + 4 * stderr:
        detail = f"the rules of {points} and of {points // 2} intervals differ by {doubt:.3g}"
        status = Status(Outcome.CHECK_FAILED, detail, f"the integrand is steep; raise points to {2 * points}")
    return n * math.log(start) + total, stderr, status


def _places(points: int) -> list[float]:
    """s of the inner nodes of the rule."""
    t = (1 - np.cos(np.pi * np.arange(1, points) / points)) / 2
    return [float(s) for s in t**2 * (3 - 2 * t)]


def _weights(points: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Weights of the inner nodes for an integral over s from 0 to 1: the rule's times ds/dt = 6 t (1 - t)."""
    angle = np.pi * np.arange(1, points) / points
    total = np.ones_like(angle)
    for k in range(1, points // 2 + 1):
        share = 1.0 if k == points // 2 else 2.0
        total -= share * np.cos(2 * k * angle) / (4 * k**2 - 1)
    t = (1 - np.cos(angle)) / 2
    return 6 * t * (1 - t) * total / points
