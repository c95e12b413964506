"""The one list of test systems: plain numbers, and small builders for families of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SDE_CASES", "STABLE_SDE_CASES", "SdeCase", "nonnormal_matrices", "rlc_cell", "spd_matrix", "stable_matrix"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SdeCase:
    """dx = (F x + E u) dt + B dW with E = the identity when it says nothing else; all in SI numbers.

    ``stable`` is a fact about F, known from how it was made; ``fastest`` is the largest |eigenvalue| in 1/s, roughly.
    """

    name: str
    F: Array
    B: Array
    stable: bool
    fastest: float

    def __str__(self) -> str:
        return self.name

    @property
    def n(self) -> int:
        return self.F.shape[0]


def rlc_cell(R: float = 1e3, L: float = 1e-4, C: float = 1e-9, current_noise: float = 1e-6) -> tuple[Array, Array]:
    """F and B of a parallel RLC cell, states (v, i): noise enters the voltage only.

    dv = (-v/(R C) - i/C) dt + current_noise/C dW,  di = v/L dt.
    """
    F = np.array([[-1.0 / (R * C), -1.0 / C], [1.0 / L, 0.0]])
    return F, np.array([[current_noise / C], [0.0]])


def spd_matrix(n: int, seed: int, condition: float = 50.0) -> Array:
    """A symmetric matrix with eigenvalues spread evenly in logarithm from 1/condition to 1, random eigenvectors."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return (axes * np.geomspace(1.0 / condition, 1.0, n)) @ axes.T


def stable_matrix(n: int, seed: int) -> Array:
    """A drift with every eigenvalue left of -0.2, neither symmetric nor normal."""
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(n, n)) / np.sqrt(n)
    return M - (np.linalg.eigvals(M).real.max() + 0.2) * np.eye(n)


def nonnormal_matrices(n: int) -> dict[str, Array]:
    """Stable drifts of very different numerical ranges: disc, thin, shifted disc, tall, beyond the spectrum."""
    rng = np.random.default_rng(0)
    U, K, shift = rng.normal(size=(n, n // 3)), rng.normal(size=(n, n)) / np.sqrt(n), np.diag(np.ones(n - 1), 1)
    return {
        "disc": stable_matrix(n, 2) - 0.3 * np.eye(n),
        "growing_first": stable_matrix(n, 3),
        "mismatched_arrays": -(0.1 * np.eye(n) + U @ (U * (1.0 + 0.02 * rng.normal(size=U.shape))).T / 4.0),
        "mismatched_rows": -spd_matrix(n, 0) @ np.diag(rng.uniform(0.5, 1.5, n)),
        "shifts": -2.0 * np.eye(n) + 1.5 * shift,
        "beyond_its_spectrum": -np.eye(n) + 1.5 * shift,
        "rotating": -0.05 * np.eye(n) + 2.0 * (K - K.T),
        "transport": -20.0 * np.eye(n) + 13.0 * shift + 7.0 * shift.T,
    }


def _case(name: str, F: object, B: object, *, stable: bool = True) -> SdeCase:
    drift, noise = np.array(F, dtype=np.float64), np.array(B, dtype=np.float64)
    return SdeCase(name, drift, noise, stable, float(np.abs(np.linalg.eigvals(drift)).max()) or 1.0)


_RLC_F, _RLC_B = rlc_cell()

SDE_CASES: tuple[SdeCase, ...] = (
    _case("one_state", [[-2.0]], [[0.5]]),
    _case("diagonal", np.diag([-1.0, -3.0, -0.25]), np.diag([1.0, 0.5, 2.0])),
    _case("symmetric", [[-3.0, 1.0, 0.5], [1.0, -2.0, 0.25], [0.5, 0.25, -1.0]], np.eye(3)),
    _case("nonsymmetric", [[-3.0, -2.5], [-2.0, -4.0]], np.sqrt(2.0) * np.eye(2)),
    _case("unequal_noise", [[-3.0, 1.0], [1.0, -2.0]], np.diag([1.0, np.sqrt(2.0)])),
    _case("rlc", _RLC_F, _RLC_B),
    _case(
        "rlc_network",
        [[-0.1, 0.03, -1.0, 0.0], [0.03, -0.2, 0.0, -1.2], [1.0, 0.0, 0.0, 0.0], [0.0, 0.9, 0.0, 0.0]],
        [[1.0, 0.0], [0.0, 0.7], [0.0, 0.0], [0.0, 0.0]],
    ),
    _case("noise_through_a_chain", [[-1.0, 0.0, 0.0], [2.0, -1.5, 0.0], [0.0, 3.0, -0.5]], [[1.0], [0.0], [0.0]]),
    _case("correlated_noise", [[-1.0, 0.4], [-0.3, -2.0]], [[1.0, 0.5, -0.2], [0.5, 0.25, -0.1]]),
    _case("defective", [[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, -1.0]], np.eye(3)),
    _case("defective_dense", [[-1.5, 0.5], [-0.5, -0.5]], [[1.0], [0.0]]),
    _case("nearly_defective", [[-1.0, 1.0], [1e-10, -1.0]], np.eye(2)),
    _case("very_nonnormal", [[-1.0, 300.0, -200.0], [0.0, -2.0, 150.0], [0.0, 0.0, -3.0]], np.eye(3)),
    _case("integrator", [[-1.0, 0.0], [1.0, 0.0]], [[1.0], [0.0]], stable=False),
    _case("double_integrator", [[0.0, 1.0], [0.0, 0.0]], [[0.0], [1.0]], stable=False),
    _case("no_drift", np.zeros((2, 2)), [[1.0, 0.5], [0.0, 1.0]], stable=False),
    _case("undamped", [[0.0, -2.0], [2.0, 0.0]], [[1.0], [0.0]], stable=False),
    _case("unstable", [[0.3, 1.0], [-1.0, -0.1]], np.eye(2), stable=False),
    _case("stiff_diagonal", np.diag([-1.0, -1e-9]), np.eye(2)),
    _case("stiff_network", [[-1e9, 1e9, 0.0], [1.0, -2.0, 1.0], [0.0, 1.0, -1.5]], np.diag([1e4, 1.0, 1.0])),
    _case("stiff_loop", [[-2e8, 0.0, -1e8], [3e8, -6e8, 0.0], [0.0, 1e5, -2e4]], np.diag([1e3, 1e3, 1.0])),
    _case("nearly_singular", [[-1.0, 1.0], [1.0, -1.0 - 1e-6]], np.eye(2)),
)

STABLE_SDE_CASES: tuple[SdeCase, ...] = tuple(case for case in SDE_CASES if case.stable)
