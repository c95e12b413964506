"""The peer thermox, in an interpreter of its own.

THERMOX_PYTHON names the interpreter (it brings JAX, which we do not need): ``pip install thermox==0.0.6 "jax[cpu]"``
into an environment of its own.  Without it nothing is measured, and the results say so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

__all__ = ["ask_peer", "peer_name"]

_PEER = """
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
    zero, A, D = jax.numpy.zeros(n), jax.numpy.array(A), jax.numpy.array(D)
    def compiled(mode, samples):
        times = 0.1 * jax.numpy.arange(samples)
        call = jax.jit(lambda key: thermox.sample(key, times, zero, A, zero, D, associative_scan=mode))
        seconds(call, 0)
        return call
    def seconds(call, key):
        start = time.perf_counter()
        call(jax.random.PRNGKey(key)).block_until_ready()
        return time.perf_counter() - start
    mode = min((False, True), key=lambda mode: seconds(compiled(mode, spec["samples"] // 10), 1))
    faster = compiled(mode, spec["samples"])
    print(json.dumps({"seconds": statistics.median(seconds(faster, key) for key in range(2, 2 + spec["repeats"]))}))
"""


def ask_peer(spec: dict[str, Any]) -> dict[str, Any] | None:
    """Run the peer on a task; None when there is none or it failed."""
    python = os.environ.get("THERMOX_PYTHON")
    if python is None:
        return None
    done = subprocess.run([python, "-c", _PEER], input=json.dumps(spec), capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-800:], file=sys.stderr)
        return None
    return json.loads(done.stdout)


def peer_name() -> str:
    """Which peer the rows were measured with, or why there are none."""
    python = os.environ.get("THERMOX_PYTHON")
    if python is None:
        return "none, THERMOX_PYTHON is not set"
    code = "import importlib.metadata as m; print('thermox', m.version('thermox'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "none, THERMOX_PYTHON has no thermox"
