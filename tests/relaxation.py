"""Oracle: the relaxation tau dx/dt = -(A x - b) by scipy's matrix exponential, one time at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

__all__ = ["filtered", "relaxation"]

Array = npt.NDArray[np.float64]


def relaxation(A: object, b: object, times_tau: object, x0: object = 0.0) -> Array:
    """x at the given multiples of tau, shape (T, n); exp of the matrix [[-A, b], [0, 0]] takes the forcing along."""
    matrix, right = np.asarray(A, dtype=np.float64), np.asarray(b, dtype=np.float64)
    n = len(right)
    joint = np.zeros((n + 1, n + 1))
    joint[:n, :n], joint[:n, n] = -matrix, right
    start = np.append(np.broadcast_to(np.asarray(x0, dtype=np.float64), (n,)), 1.0)
    return np.array([(expm(joint * t) @ start)[:n] for t in np.asarray(times_tau, dtype=np.float64)])


def filtered(A: Array, b: Array, time_tau: float) -> Array:
    """(1 - e^(-mu t))/mu in the eigenbasis of a symmetric A: architecture fact 13, written as it stands."""
    mu, axes = np.linalg.eigh(A)
    return axes @ ((1 - np.exp(-mu * time_tau)) / mu * (axes.T @ b))
