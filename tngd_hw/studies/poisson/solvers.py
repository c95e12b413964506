"""What finds the natural gradients of the Poisson study, as plain data, and the training method that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tngd_hw.engines import StateSpace
from tngd_hw.hardware import HardwareSpec
from tngd_hw.topologies import manufacture
from tngd_hw.training import (
    AnalogSchedule,
    AnalogSolver,
    AnalogStart,
    ArrayDevice,
    ConjugateGradientMethod,
    DualChip,
    ExactMethod,
    NaturalGradientMethod,
    RelaxedDevice,
)

__all__ = ["Arrays", "Conjugate", "Device", "DualDie", "Solver", "method_of", "plain"]

_TOLERANCE: Final = 1e-6
"""Of simulated relaxations, relative to their result."""


@dataclass(frozen=True)
class Conjugate:
    """The digital rival of early stopping: so many conjugate gradient iterations; one is steepest descent."""

    iterations: int


@dataclass(frozen=True)
class Device:
    """One node a parameter, perfect parts, read once at ``duration_tau``; every step begins at 0, or where it is."""

    duration_tau: float
    keeps_state: bool = False


@dataclass(frozen=True)
class DualDie:
    """A die of one node a point that solves the dual form, as ``state_space`` simulates its netlist; begins at 0."""

    hardware: HardwareSpec
    duration_tau: float


@dataclass(frozen=True)
class Arrays:
    """Three written arrays J, H, J^T around one node a parameter, amplifiers ideal; begins at 0."""

    hardware: HardwareSpec
    duration_tau: float


Solver = Conjugate | Device | DualDie | Arrays | None
"""What finds the natural gradient; None: a Cholesky factor of the dual form."""


def method_of(solver: Solver, points: int, seed: int) -> NaturalGradientMethod[Any]:
    """The training method; a die has ``points`` nodes, and dies and write errors come from ``seed``."""
    match solver:
        case None:
            return ExactMethod()
        case Conjugate(iterations):
            return ConjugateGradientMethod(iterations)
        case Device(duration_tau, keeps_state):
            start = AnalogStart.PREVIOUS if keeps_state else AnalogStart.ZERO
            return RelaxedDevice(AnalogSchedule(duration_tau, start, tolerance=_TOLERANCE), seed)
        case DualDie(hardware, duration_tau):
            die = manufacture("integrator", points, hardware, seed=seed)
            return DualChip(AnalogSolver(die, StateSpace(), duration_tau, seed=seed))
        case Arrays(hardware, duration_tau):
            plan = AnalogSchedule(duration_tau, AnalogStart.ZERO, tolerance=_TOLERANCE)
            return ArrayDevice(hardware, plan, seed=seed, noise_seed=seed)


def plain(solver: Solver) -> dict[str, Any]:
    """All that the method depends on beside points and seed."""
    match solver:
        case None:
            return {"kind": "exact"}
        case Conjugate(iterations):
            return {"kind": "conjugate gradients", "iterations": iterations}
        case Device(duration_tau, keeps_state):
            return {"kind": "device", "duration_tau": duration_tau, "keeps_state": keeps_state, "tolerance": _TOLERANCE}
        case DualDie(hardware, duration_tau) | Arrays(hardware, duration_tau):
            kind = type(solver).__name__
            return {"kind": kind, "hardware": hardware.to_dict(), "duration_tau": duration_tau, "tolerance": _TOLERANCE}
