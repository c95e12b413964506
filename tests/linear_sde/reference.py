"""Slow answers of another origin: 50 digits from an eigen-decomposition in mpmath, and dense loops in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_DIGITS = 360
_NUDGE = 110
"""F is changed by 1e-110 of its norm: no eigenvalue is exactly double or zero, and 360 digits pay for the rest."""


@dataclass(frozen=True)
class ExactStep:
    """Phi, the weights of the input at start and end (for E = I), and Q, rounded to float64 at the very end."""

    Phi: Array
    G0: Array
    G1: Array
    Q: Array


@lru_cache(maxsize=64)
def _modes(key: tuple[bytes, bytes, int, int]) -> tuple[Any, Any, Any, Any]:
    F_bytes, B_bytes, n, q = key
    F = np.frombuffer(F_bytes).reshape(n, n)
    B = np.frombuffer(B_bytes).reshape(n, q)
    with mp.workdps(_DIGITS):
        rng = np.random.default_rng(0)
        size = mp.mpf(float(np.abs(F).max()) or 1.0) * mp.mpf(10) ** -_NUDGE
        nudged = mp.matrix(n, n)
        for i in range(n):
            for j in range(n):
                nudged[i, j] = mp.mpf(float(F[i, j])) + size * mp.mpf(float(rng.normal()))
        values, V = mp.eig(nudged)
        V_inverse = V**-1
        noise = mp.matrix([[mp.mpf(float(entry)) for entry in row] for row in B])
        W = V_inverse * noise
        return values, V, V_inverse, W * W.T


def exact_step(F: Array, B: Array, dt: float) -> ExactStep:
    """The exact step in 50 digits or more: V f(l dt) V^-1 with scalar closed forms, no series and no doubling."""
    n = F.shape[0]
    key = (np.ascontiguousarray(F).tobytes(), np.ascontiguousarray(B).tobytes(), n, B.shape[1])
    values, V, V_inverse, W = _modes(key)
    with mp.workdps(_DIGITS):
        t = mp.mpf(dt)
        grown = [mp.exp(value * t) for value in values]
        summed = [(g - 1) / (value * t) for g, value in zip(grown, values, strict=True)]
        late = [(g - s) / (value * t) for g, s, value in zip(grown, summed, values, strict=True)]
        inner = mp.matrix(n, n)
        for i in range(n):
            for j in range(n):
                rate = values[i] + values[j]
                inner[i, j] = W[i, j] * (mp.exp(rate * t) - 1) / rate
        return ExactStep(
            Phi=_rounded(V * mp.diag(grown) * V_inverse),
            G0=_rounded(V * mp.diag([t * end for end in late]) * V_inverse),
            G1=_rounded(V * mp.diag([t * (all_ - end) for all_, end in zip(summed, late, strict=True)]) * V_inverse),
            Q=_rounded(V * inner * V.T),
        )


def exact_stationary(F: Array, B: Array) -> Array:
    """F S + S F^T + B B^T = 0 as a linear system of n^2 unknowns, solved in 60 digits."""
    n = F.shape[0]
    with mp.workdps(60):
        drift = mp.matrix(F.tolist())
        noise = mp.matrix(B.tolist())
        Q = noise * noise.T
        system, right = mp.zeros(n * n), mp.zeros(n * n, 1)
        for i in range(n):
            for j in range(n):
                right[i * n + j] = -Q[i, j]
                for k in range(n):
                    system[i * n + j, k * n + j] += drift[i, k]
                    system[i * n + j, i * n + k] += drift[j, k]
        solution = mp.lu_solve(system, right)
        return np.array([[float(solution[i * n + j]) for j in range(n)] for i in range(n)])


def joint_covariance(F: Array, B: Array, times: list[float]) -> Array:
    """Covariance of (x(t_1), x(t_2), ...) from x(0) = 0, block by block: Cov(x(t), x(s)) = Phi(t - s) P(s)."""
    n = F.shape[0]
    joint = np.zeros((n * len(times), n * len(times)))
    for j, s in enumerate(times):
        P = exact_step(F, B, s).Q
        for i in range(j, len(times)):
            Phi = np.eye(n) if i == j else exact_step(F, B, times[i] - s).Phi
            joint[i * n : (i + 1) * n, j * n : (j + 1) * n] = Phi @ P
            joint[j * n : (j + 1) * n, i * n : (i + 1) * n] = (Phi @ P).T
    return joint


def _rounded(matrix: Any) -> Array:
    return np.array([[float(mp.re(matrix[i, j])) for j in range(matrix.cols)] for i in range(matrix.rows)])


def distance(value: Array, reference: Array) -> float:
    """Norm-wise relative distance."""
    size = float(np.linalg.norm(reference))
    return float(np.linalg.norm(np.asarray(value) - reference)) / (size or 1.0)


def one_ulp(matrix: Array, seed: int) -> Array:
    """Every entry moved by one ulp of the largest entry of the matrix, up or down at random, zeros too."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=matrix.shape)
    return matrix + signs * np.spacing(np.abs(matrix).max())


def one_ulp_of_each(matrix: Array, seed: int) -> Array:
    """Every entry moved by one ulp of its own, up or down at random: zeros stay zero, small entries nearly so."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=matrix.shape)
    return matrix + signs * np.where(matrix == 0.0, 0.0, np.spacing(np.abs(matrix)))
