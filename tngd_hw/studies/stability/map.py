"""Where circuits with real amplifiers become unstable: maps over mu_max and GBW, and ngspice on both sides.

``python -m tngd_hw.studies.stability.map OUT`` writes the figures (SVG and PNG) and the numbers (JSON).  Maps come from
the eigenvalues of the closed form; at marked points ngspice runs the netlist and its growth rate is compared.

Two circuits: ``three_array`` with random J, whose three poles make it oscillate however symmetric A is, and
``integrator``, which only matrices that are not symmetric make unstable.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tngd_hw.storage import make_directory, write_text
from tngd_hw.studies.stability.circuits import (
    Loop,
    Matrix,
    default_mu_max,
    integrator_loop,
    random_jacobian,
    random_rotating,
    random_spd,
    stability_limit,
    three_array_loop,
)
from tngd_hw.studies.stability.confirmed import Confirmation, confirm_least_damped_mode

__all__ = [
    "DAMPING", "LoopMap", "MarkedPoint", "UnstableFraction", "confirmed_integrator", "confirmed_three_array",
    "loop_map", "unstable_fraction", "unstable_spd_draws", "write_stability_study",
]  # fmt: skip

DAMPING = 0.1
"""lambda of every circuit of the study, as in architecture fact 14."""

_SIDES = (0.85, 1.15)
"""Confirmations stand this factor below and above the limit."""

_NODES, _OUTPUTS, _SEED = 64, 8, 1


@dataclass(frozen=True, eq=False)
class LoopMap:
    """``three_array`` with one random J scaled to every mu_max.

    Attributes:
        nodes: N.
        outputs: m.
        mu_max: Shape (M,).
        gain_bandwidth_hz: Shape (G,).
        damping_ratio: Smallest of any mode, shape (G, M).
        margin: Decay rate of the slowest mode over lambda, shape (G, M): 1 for the ideal circuit, negative: it grows.
        limit_mu_max: Where it becomes unstable, shape (G,).
        default_mu_max: What the topology's own scaling makes of this J.
    """

    nodes: int
    outputs: int
    mu_max: NDArray[np.float64]
    gain_bandwidth_hz: NDArray[np.float64]
    damping_ratio: NDArray[np.float64]
    margin: NDArray[np.float64]
    limit_mu_max: NDArray[np.float64]
    default_mu_max: float


@dataclass(frozen=True, eq=False)
class UnstableFraction:
    """``integrator`` with random matrices that are not symmetric.

    Attributes:
        nodes: n.
        draws: Matrices a point.
        mu_max: Shape (M,).
        gain_bandwidth_hz: Shape (G,).
        fraction: Unstable share of the draws, shape (G, M).
    """

    nodes: int
    draws: int
    mu_max: NDArray[np.float64]
    gain_bandwidth_hz: NDArray[np.float64]
    fraction: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MarkedPoint:
    """A circuit that ngspice ran."""

    mu_max: float
    gain_bandwidth_hz: float
    confirmation: Confirmation


def loop_map(
    nodes: int, outputs: int, mu_max: Sequence[float], gain_bandwidth_hz: Sequence[float], seed: int
) -> LoopMap:
    """Damping ratio, margin and limit of ``three_array``.  Cost: an eigenvalue problem of 3 N + 4 m states a point."""
    found = np.array(
        [[_three_array(nodes, outputs, seed, gbw, mu).stability() for mu in mu_max] for gbw in gain_bandwidth_hz]
    )
    limits = [_three_array_limit(nodes, outputs, seed, gbw) for gbw in gain_bandwidth_hz]
    default = default_mu_max(random_jacobian(nodes, outputs, 1.0, seed))
    axes = np.asarray(mu_max, dtype=np.float64), np.asarray(gain_bandwidth_hz, dtype=np.float64)
    return LoopMap(nodes, outputs, *axes, found[..., 0], found[..., 1] / DAMPING, np.array(limits), default)


def confirmed_three_array(
    nodes: int, outputs: int, gain_bandwidth_hz: Sequence[float], seed: int
) -> tuple[MarkedPoint, ...]:
    """ngspice 15 % below and above the limiting mu_max at every GBW."""
    points: list[MarkedPoint] = []
    for gbw in gain_bandwidth_hz:
        limit = _three_array_limit(nodes, outputs, seed, gbw)
        for side in _SIDES:
            loop = _three_array(nodes, outputs, seed, gbw, side * limit)
            points.append(MarkedPoint(side * limit, gbw, confirm_least_damped_mode(loop)))
    return tuple(points)


def unstable_fraction(
    nodes: int, mu_max: Sequence[float], gain_bandwidth_hz: Sequence[float], draws: int
) -> UnstableFraction:
    """Share of ``integrator`` circuits of :func:`random_rotating` matrices that have a growing mode."""
    matrices = {mu: [random_rotating(nodes, mu, DAMPING, seed) for seed in range(draws)] for mu in mu_max}
    fraction = [
        [float(np.mean([_unstable(integrator_loop(A, gbw)) for A in matrices[mu]])) for mu in mu_max]
        for gbw in gain_bandwidth_hz
    ]
    axes = np.asarray(mu_max, dtype=np.float64), np.asarray(gain_bandwidth_hz, dtype=np.float64)
    return UnstableFraction(nodes, draws, *axes, np.array(fraction))


def confirmed_integrator(nodes: int, mu_max: Sequence[float], seed: int) -> tuple[MarkedPoint, ...]:
    """ngspice 15 % above and below the limiting GBW of one rotating matrix at every mu_max."""
    points: list[MarkedPoint] = []
    for mu in mu_max:
        A = random_rotating(nodes, mu, DAMPING, seed)
        limit = stability_limit(partial(integrator_loop, A), 1e10, 1e5)
        for side in _SIDES:
            loop = integrator_loop(A, limit / side)
            points.append(MarkedPoint(mu, limit / side, confirm_least_damped_mode(loop)))
    return tuple(points)


def unstable_spd_draws(
    nodes: int, mu_max: Sequence[float], gain_bandwidth_hz: Sequence[float], draws: int
) -> tuple[int, int]:
    """How many ``integrator`` circuits of symmetric positive definite matrices are unstable, and of how many."""
    found = [
        _unstable(integrator_loop(random_spd(nodes, mu, DAMPING, seed), gbw))
        for mu in mu_max
        for gbw in gain_bandwidth_hz
        for seed in range(draws)
    ]
    return sum(found), len(found)


def write_stability_study(folder: Path) -> None:
    """The full study: two to four minutes."""
    from tngd_hw.studies.stability.figures import integrator_figure, loop_figure, save_both

    make_directory(folder, "folder")
    loops = loop_map(_NODES, _OUTPUTS, np.geomspace(1, 100, 33).tolist(), np.geomspace(1e6, 1e8, 25).tolist(), _SEED)
    marks = confirmed_three_array(_NODES, _OUTPUTS, (2e6, 5e6, 1e7, 2e7, 5e7), _SEED)
    save_both(loop_figure(loops, marks), folder / "three_array_stability")
    mu = np.geomspace(0.5, 50, 9).tolist()
    fractions = unstable_fraction(_NODES, mu, np.geomspace(5e5, 2e7, 9).tolist(), draws=20)
    rotating = confirmed_integrator(_NODES, (mu[3], mu[6]), _SEED)
    save_both(integrator_figure(fractions, rotating), folder / "integrator_stability")
    unstable, drawn = unstable_spd_draws(_NODES, (1.0, 10.0, 50.0, 200.0), (1e5, 1e6, 1e7), draws=20)
    numbers = {
        "three_array": {
            "nodes": loops.nodes,
            "outputs": loops.outputs,
            "default_mu_max": loops.default_mu_max,
            "gain_bandwidth_hz": loops.gain_bandwidth_hz.tolist(),
            "limit_mu_max": loops.limit_mu_max.tolist(),
            "confirmed": [_numbers(mark) for mark in marks],
        },
        "integrator": {
            "nodes": fractions.nodes,
            "draws": fractions.draws,
            "mu_max": fractions.mu_max.tolist(),
            "gain_bandwidth_hz": fractions.gain_bandwidth_hz.tolist(),
            "unstable_fraction": fractions.fraction.tolist(),
            "confirmed": [_numbers(mark) for mark in rotating],
            "symmetric_draws": drawn,
            "symmetric_unstable": unstable,
        },
    }
    write_text(folder / "stability.json", json.dumps(numbers, indent=2) + "\n")


def _three_array(nodes: int, outputs: int, seed: int, gain_bandwidth_hz: float, mu_max: float) -> Loop:
    J: Matrix = random_jacobian(nodes, outputs, mu_max, seed)
    return three_array_loop(J, DAMPING, gain_bandwidth_hz)


def _three_array_limit(nodes: int, outputs: int, seed: int, gain_bandwidth_hz: float) -> float:
    return stability_limit(partial(_three_array, nodes, outputs, seed, gain_bandwidth_hz), 1e-2, 1e4)


def _unstable(loop: Loop) -> bool:
    return loop.stability()[1] <= 0


def _numbers(mark: MarkedPoint) -> dict[str, float | bool]:
    found = mark.confirmation
    return {
        "mu_max": mark.mu_max,
        "gain_bandwidth_hz": mark.gain_bandwidth_hz,
        "predicted_rate_per_tau": found.predicted.real,
        "ngspice_rate_per_tau": found.measured.real,
        "predicted_radian_per_tau": found.predicted.imag,
        "ngspice_radian_per_tau": found.measured.imag,
        "grew": found.grew,
    }


if __name__ == "__main__":
    write_stability_study(Path(sys.argv[1] if len(sys.argv) > 1 else "stability"))
