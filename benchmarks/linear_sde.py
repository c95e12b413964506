"""Measured comparisons of tngd_hw.linear_sde; ``python -m benchmarks`` runs them.

Times are medians of five calls after one that is not counted, on the number of threads that the document states.
"""

from __future__ import annotations

import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.peer import ask_peer, peer_name
from tngd_hw.linear_sde import (
    LinearSDE,
    LowRankSDE,
    covariance_at,
    krylov_mean,
    krylov_noise,
    low_rank_sample,
    state_sample_at,
    stationary_covariance,
)
from tngd_hw.linear_sde.dense import frobenius

REPEATS = 5
SAMPLES = 10_000


def median_seconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median time of ``repeats`` calls after one that is not counted."""
    taken: list[float] = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def wishart(n: int, seed: int) -> np.ndarray:
    """A symmetric positive definite matrix with eigenvalues between about 0.2 and 3."""
    W = np.random.default_rng(seed).normal(size=(n, 2 * n))
    return W @ W.T / (2 * n) + 0.1 * np.eye(n)


def paths(n: int) -> dict[str, Any]:
    """10,000 samples of a symmetric system, and of one with unequal noise (which the peer does not get right)."""
    A, times, generator = wishart(n, n), 0.1 * np.arange(SAMPLES), np.random.default_rng(0)
    equal = LinearSDE(-A, B=np.sqrt(2.0) * np.eye(n))
    unequal = LinearSDE(-A, B=np.diag(np.linspace(1.0, 2.0, n)))
    V = torch.from_numpy(A)
    row: dict[str, Any] = {
        "n": n,
        "equal_noise_s": median_seconds(lambda: state_sample_at(equal, times, generator=generator)),
        "unequal_noise_s": median_seconds(lambda: state_sample_at(unequal, times, generator=generator)),
        "floor_s": median_seconds(lambda: torch.from_numpy(generator.standard_normal((SAMPLES, n))) @ V),
    }
    spec = {"task": "time", "A": A.tolist(), "D": (2.0 * np.eye(n)).tolist(), "samples": SAMPLES, "repeats": REPEATS}
    peer = ask_peer(spec)
    row["thermox_s"] = peer["seconds"] if peer else "not measured"
    row["ratio"] = peer["seconds"] / row["equal_noise_s"] if peer else "not measured"
    return row


def correctness() -> list[dict[str, Any]]:
    """Relative error of the stationary covariance against the n^2 linear equations of Lyapunov, solved densely."""
    rlc = np.array([[1.0, 1.0], [-1.0, 0.0]])
    cases = {
        "not symmetric": (np.array([[3.0, 2.5], [2.0, 4.0]]), 2.0 * np.eye(2)),
        "unequal noise": (np.array([[3.0, 1.0], [1.0, 2.0]]), np.diag([1.0, 2.0])),
        "RLC, noise on the voltage": (rlc, np.diag([1.0, 0.0])),
    }
    rows: list[dict[str, Any]] = []
    for name, (A, D) in cases.items():
        n = A.shape[0]
        one = np.eye(n)
        exact = np.linalg.solve(np.kron(A, one) + np.kron(one, A), D.ravel()).reshape(n, n)
        ours = stationary_covariance(LinearSDE(-A, B=np.sqrt(D)))[0].numpy()
        peer = ask_peer({"task": "covariance", "A": A.tolist(), "D": D.tolist()})
        theirs = "not measured"
        if peer is not None:
            error = float(np.linalg.norm(np.array(peer["covariance"]) - exact) / np.linalg.norm(exact))
            theirs = error if np.isfinite(error) else "nan"
        rows.append(
            {"system": name, "ours": float(np.linalg.norm(ours - exact) / np.linalg.norm(exact)), "thermox": theirs}
        )
    return rows


def low_rank(n: int, r: int, *, two_arrays: bool) -> dict[str, Any]:
    """One mean and one sample, set-up included, next to 20 conjugate-gradient iterations with the same factors."""
    generator = np.random.default_rng(0)
    U = torch.from_numpy(generator.standard_normal((n, r))).mul_(5.0 / np.sqrt(n))
    V = U * torch.linspace(0.95, 1.05, r, dtype=torch.float64) if two_arrays else None
    w = U[:, 0].clone()
    ours = median_seconds(lambda: low_rank_sample(LowRankSDE(0.1, U, V, noise=1.0), 50.0, w=w, generator=generator), 3)
    peer = median_seconds(lambda: _conjugate_gradients(U, U if V is None else V), 3)
    return {"n": n, "rank": r, "two_arrays": two_arrays, "ours_s": ours, "cg20_s": peer, "ratio": ours / peer}


def _conjugate_gradients(U: torch.Tensor, V: torch.Tensor) -> torch.Tensor:
    return _iterate(lambda v: 0.1 * v + U @ (V.mT @ v), U[:, 0].clone(), 20)


def _solved(A: torch.Tensor, b: torch.Tensor, iterations: int) -> torch.Tensor:
    return _iterate(lambda v: A @ v, b, iterations)


def _iterate(product: Callable[[torch.Tensor], torch.Tensor], b: torch.Tensor, iterations: int) -> torch.Tensor:
    """Conjugate gradients from zero."""
    x, residual, direction = torch.zeros_like(b), b.clone(), b.clone()
    for _ in range(iterations):
        image = product(direction)
        size = residual @ residual
        step = size / (direction @ image)
        x, residual = x + step * direction, residual - step * image
        direction = residual + (residual @ residual) / size * direction
    return x


def krylov() -> dict[str, Any]:
    """Products with A for t = 50 tau at an error no larger than that of Euler's method at its largest stable step."""
    n, t = 1000, 50.0
    generator = np.random.default_rng(0)
    axes = np.linalg.qr(generator.normal(size=(n, n)))[0]
    values = np.geomspace(1e-2, 50.0, n)
    w = generator.normal(size=n)
    A = torch.from_numpy((axes * values) @ axes.T)
    exact = axes @ (-np.expm1(-values * t) / values * (axes.T @ w))
    steps = int(np.ceil(values[-1] * t / 2.0)) + 1
    x = torch.zeros(n, dtype=torch.float64)
    for _ in range(steps):
        x = x + t / steps * (torch.from_numpy(w) - A @ x)
    euler = float(np.linalg.norm(x.numpy() - exact) / np.linalg.norm(exact))
    ours = krylov_mean(lambda v: -(A @ v), t, w=torch.from_numpy(w), tolerance=euler)
    error = float(np.linalg.norm(ours.value.numpy() - exact) / np.linalg.norm(exact))
    solved, solution = _solved(A, torch.from_numpy(w), 200), axes @ ((axes.T @ w) / values)
    row = {
        "euler_products": steps,
        "euler_error": euler,
        "krylov_products": ours.products,
        "krylov_error": error,
        "cg_products": 200,
        "cg_error": float(np.linalg.norm(solved.numpy() - solution) / np.linalg.norm(solution)),
    }
    return row | {"ratio": steps / ours.products}


def chains() -> dict[str, Any]:
    """1,000 chains of 64 nodes and 1,000 steps in one batch."""
    A, times, generator = wishart(64, 1), 0.1 * np.arange(1000), np.random.default_rng(0)
    equal, unequal = LinearSDE(-A, B=np.eye(64)), LinearSDE(-A, B=np.diag(np.linspace(1.0, 2.0, 64)))
    return {
        "equal_noise_s": median_seconds(lambda: state_sample_at(equal, times, generator=generator, n_paths=1000), 3),
        "unequal_noise_s": median_seconds(
            lambda: state_sample_at(unequal, times, generator=generator, n_paths=1000), 3
        ),
        "normal_variates_s": median_seconds(lambda: generator.standard_normal((1000, 1000, 64)), 3),
    }


def krylov_noise_row() -> dict[str, Any]:
    """A noise sample of a non-symmetric operator, matrix-free, and the products Euler-Maruyama needs for its error.

    Errors are those of the covariance, Frobenius norm, relative.  Ours is twice the reported bound of the root mean
    square error of a draw, which is the most it can make of the covariance; that of Euler-Maruyama is computed.
    """
    n, t = 1000, 50.0
    rng = np.random.default_rng(0)
    U = torch.from_numpy(rng.standard_normal((n, 64)) / np.sqrt(n) * 3.0)
    V = U * (1.0 + 0.02 * torch.from_numpy(rng.standard_normal(U.shape)))
    start = time.perf_counter()
    drawn = krylov_noise(
        lambda v: -0.1 * v - U @ (V.mT @ v),
        t,
        size=n,
        noise=1.0,
        generator=rng,
        adjoint=lambda v: -0.1 * v - V @ (U.mT @ v),
        tolerance=1e-3,
        max_products=2000,
    )
    seconds = time.perf_counter() - start
    fastest = float(np.abs(np.linalg.eigvals((V.mT @ U).numpy())).max()) + 0.1
    F = -0.1 * torch.eye(n, dtype=torch.float64) - U @ V.mT
    exact = covariance_at(LinearSDE(F, B=np.eye(n)), t)
    relative = drawn.error / float(torch.sqrt(drawn.value @ drawn.value))
    stable = int(np.ceil(fastest * t / 2.0))
    wanted = 2.0 * relative
    needed, errors = stable, [_euler_error(F, exact, t, stable)]
    while abs(errors[-1] / wanted - 1.0) > 0.02 and len(errors) < 8:  # of first order in the step
        needed = max(stable, math.ceil(needed * errors[-1] / wanted))
        errors.append(_euler_error(F, exact, t, needed))
    return {
        "products": drawn.products,
        "seconds": seconds,
        "estimated_error": relative,
        "covariance_error": wanted,
        "outcome": drawn.status.outcome.value,
        "euler_products": stable,
        "euler_error": errors[0],
        "euler_products_for_our_error": needed,
        "euler_error_then": errors[-1],
        "ratio": needed / drawn.products,
    }


def _euler_error(F: torch.Tensor, exact: torch.Tensor, t: float, steps: int) -> float:
    return float(frobenius(_euler_covariance(F, t, steps) - exact) / frobenius(exact))


def _euler_covariance(F: torch.Tensor, t: float, steps: int) -> torch.Tensor:
    """Covariance of Euler-Maruyama's x after ``steps`` steps, x <- (I + h F) x + sqrt(h) z: sums by doubling."""
    h, one = t / steps, torch.eye(F.shape[0], dtype=torch.float64)
    power, total = one + h * F, h * one
    done_power, done = one, torch.zeros_like(one)
    while steps:
        if steps & 1:
            done, done_power = done + done_power @ total @ done_power.mT, done_power @ power
        total, power = total + power @ total @ power.mT, power @ power
        steps >>= 1
    return done


def measurements(progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything, with the machine it ran on; the largest memory is that of everything up to the low-rank rows."""
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    rows: dict[str, Any] = {"machine": machine | {"torch": torch.__version__}, "peer": peer_name()}
    progress("low rank")
    rows["low_rank"] = [
        low_rank(n, r, two_arrays=two) for n, r in ((1_000_000, 64), (37_000, 640)) for two in (False, True)
    ]
    rows["peak_GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    progress("correctness")
    rows["correctness"] = correctness()
    progress("matrix-free")
    rows |= {"krylov": krylov(), "krylov_noise": krylov_noise_row()}
    progress("chains")
    rows["chains"] = chains()
    rows["paths"] = []
    for n in (64, 256, 1000):
        progress(f"paths, n = {n}")
        rows["paths"].append(paths(n))
    return rows
