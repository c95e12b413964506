"""Measured comparisons of tngd_hw.linear_sde: ``python -m benchmarks.linear_sde`` prints one JSON document.

The peer thermox runs in an interpreter of its own, named by THERMOX_PYTHON (it brings JAX, which we do not depend on):
``python -m venv /tmp/peer && /tmp/peer/bin/pip install thermox==0.0.6``.  Without it its rows say "not measured".
Times are medians of five calls after one that is not counted, on the number of threads that the document states.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tngd_hw.linear_sde import (
    LinearSDE,
    LowRankSDE,
    krylov_mean,
    low_rank_sample,
    state_sample_at,
    stationary_covariance,
)

REPEATS = 5
SAMPLES = 10_000

PEER = """
import json, sys, time, statistics, numpy as np, jax
jax.config.update("jax_enable_x64", True)
import thermox
spec = json.load(sys.stdin)
A, D = np.array(spec["A"]), np.array(spec["D"])
n = A.shape[0]
if spec["task"] == "covariance":
    from thermox.sampler import transition_cov_sqrt_vp
    drift, diffusion = thermox.preprocess(jax.numpy.array(A), jax.numpy.array(D))
    far = 40.0 / float(np.linalg.eigvals(A).real.min())
    columns = [transition_cov_sqrt_vp(drift, column, far) for column in jax.numpy.eye(n)]
    half = np.array(diffusion.sqrt) @ np.stack(columns, axis=1)
    print(json.dumps({"covariance": (half @ half.T).tolist()}))
else:
    times = 0.1 * jax.numpy.arange(spec["samples"])
    zero, A, D = jax.numpy.zeros(n), jax.numpy.array(A), jax.numpy.array(D)
    def seconds(call, key):
        start = time.perf_counter()
        call(jax.random.PRNGKey(key)).block_until_ready()
        return time.perf_counter() - start
    trials = {}
    for mode in (False, True):
        call = jax.jit(lambda key, mode=mode: thermox.sample(key, times, zero, A, zero, D, associative_scan=mode))
        seconds(call, 0)
        trials[seconds(call, 1)] = call
    faster = trials[min(trials)]
    print(json.dumps({"seconds": statistics.median(seconds(faster, key) for key in range(2, 2 + spec["repeats"]))}))
"""


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


def ask_peer(spec: dict[str, Any]) -> dict[str, Any] | None:
    """Run the peer on a task; None when there is none or it failed."""
    python = os.environ.get("THERMOX_PYTHON")
    if python is None:
        return None
    done = subprocess.run([python, "-c", PEER], input=json.dumps(spec), capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-800:], file=sys.stderr)
        return None
    return json.loads(done.stdout)


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
            theirs = float(np.linalg.norm(np.array(peer["covariance"]) - exact) / np.linalg.norm(exact))
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
    residual = U[:, 0].clone()
    x, direction = torch.zeros_like(residual), residual.clone()
    for _ in range(20):
        image = 0.1 * direction + U @ (V.mT @ direction)
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
    row = {"euler_products": steps, "euler_error": euler, "krylov_products": ours.products, "krylov_error": error}
    return row | {"ratio": steps / ours.products}


def chains() -> dict[str, Any]:
    """1,000 chains of 64 nodes and 1,000 steps in one batch."""
    A, times, generator = wishart(64, 1), 0.1 * np.arange(1000), np.random.default_rng(0)
    equal, unequal = LinearSDE(-A, B=np.eye(64)), LinearSDE(-A, B=np.diag(np.linspace(1.0, 2.0, 64)))
    many = {"generator": generator, "n_paths": 1000}
    return {
        "equal_noise_s": median_seconds(lambda: state_sample_at(equal, times, **many), 3),
        "unequal_noise_s": median_seconds(
            lambda: state_sample_at(unequal, times, generator=generator, n_paths=1000), 3
        ),
        "normal_variates_s": median_seconds(lambda: generator.standard_normal((1000, 1000, 64)), 3),
    }


def measurements() -> dict[str, Any]:
    """Everything, with the machine it ran on; the largest memory is that of the whole run."""
    rows = {
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "paths": [paths(n) for n in (64, 256, 1000)],
        "correctness": correctness(),
        "krylov": krylov(),
        "low_rank": [
            low_rank(n, r, two_arrays=two) for n, r in ((1_000_000, 64), (37_000, 640)) for two in (False, True)
        ],
    }
    rows["peak_GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return rows | {"chains": chains()}


if __name__ == "__main__":
    json.dump(measurements(), sys.stdout, indent=2)
    print()
