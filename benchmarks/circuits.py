"""Circuits: speed at N = 512, and the exact solution against ngspice at N = 64."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.engines.spice.process import find_ngspice, ngspice_version
from tngd_hw.linear_sde.dense import eigvals
from tngd_hw.netlist import Transient, read_deck, state_equations, write_deck
from tngd_hw.studies.agreement.cross_validation import ValidationCase, cross_validate
from tngd_hw.studies.agreement.noise import projected_variances, random_projections
from tngd_hw.topologies import LoadedChip

__all__ = ["measurements"]

Array = npt.NDArray[np.float64]
_NODES = 64


def measurements(progress: Callable[[str], None]) -> dict[str, Any]:
    """Every row of the circuit tables."""
    progress("gm_c of 512 nodes")
    rows: dict[str, Any] = {"large": _large(512), "ngspice": _version()}
    if find_ngspice() is None:
        return rows | {"agreement": [], "noise": []}
    progress("ngspice against state_space, 64 nodes")
    rows["agreement"] = _agreement()
    progress("noise against .noise, 64 nodes")
    rows["noise"] = [_noise(topology) for topology in ("integrator", "gm_c")]
    return rows


def _version() -> str:
    path = find_ngspice()
    return "not found" if path is None else str(ngspice_version(path).major)


def _positive(n: int, seed: int) -> Array:
    wide = np.random.default_rng(seed).normal(size=(n, 2 * n)) / np.sqrt(2 * n)
    return wide @ wide.T + 0.1 * np.eye(n)


def _not_symmetric(n: int, seed: int) -> Array:
    M = np.random.default_rng(seed).normal(size=(n, n)) / np.sqrt(n)
    lowest = float(eigvals(torch.from_numpy(M)).real.min())
    return M + (0.3 - lowest) * np.eye(n)


def _couplings(n: int, seed: int, *, signs: bool) -> Array:
    rng = np.random.default_rng(seed)
    half = np.triu(rng.uniform(0.01, 0.1, (n, n)), 1)
    size = half + half.T
    sign = np.triu(np.sign(rng.normal(size=(n, n))), 1)
    return np.diag(size.sum(1) + 0.5) + size * (sign + sign.T if signs else -1.0)


def _median(call: Callable[[], object]) -> float:
    call()
    times: list[float] = []
    for _ in range(3):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _large(n: int) -> dict[str, float]:
    loaded = program(manufacture("gm_c", n, presets.ideal()), LinearProblem(_positive(n, 0), np.ones(n)))
    netlist, run = loaded.netlist(), Transient(1e-5, 1e-8, 1e-7)
    text = write_deck(netlist, run)
    return {
        "netlist_s": _median(loaded.netlist),
        "write_s": _median(lambda: write_deck(netlist, run)),
        "read_s": _median(lambda: read_deck(text)),
        "equations_s": _median(lambda: state_equations(netlist)),
    }


def _agreement() -> list[dict[str, Any]]:
    n = _NODES
    matrices = {
        "positive definite": _positive(n, 1),
        "not symmetric": _not_symmetric(n, 2),
        "dominant, both signs": _couplings(n, 3, signs=True),
        "M-matrix": _couplings(n, 4, signs=False),
    }
    circuits = {
        "positive definite": ["integrator", "gm_c", "three_array", "amc_inverse"],
        "not symmetric": ["integrator", "gm_c"],
        "dominant, both signs": ["passive_rc"],
        "M-matrix": ["rlc_spu", "passive_rc"],
    }
    rng = np.random.default_rng(9)
    rows: list[dict[str, Any]] = []
    for name, A in matrices.items():
        b, x0 = (torch.from_numpy(rng.normal(size=n)) for _ in range(2))
        case = ValidationCase(name, torch.from_numpy(A), b, x0)
        hardware = [presets.pcb_1k_1n()]
        for row in cross_validate([case], hardware, topologies=circuits[name], engines=["ngspice", "behavioral"]):
            rows.append(row.to_dict())
    return rows


def _noise(topology: str) -> dict[str, Any]:
    n = _NODES
    loaded: LoadedChip = program(
        manufacture(topology, n, presets.pcb_1k_1n(), seed=1), LinearProblem(_positive(n, 2)), kappa=1e-3
    )
    begun = time.perf_counter()
    found = projected_variances(loaded, np.vstack([np.eye(n), random_projections(n, 10, 0)]))
    relative = [abs(row.ngspice / row.lyapunov - 1) for row in found]
    return {
        "topology": topology,
        "nodes": n,
        "diagonal": max(relative[:n]),
        "projections": max(relative[n:]),
        "seconds": time.perf_counter() - begun,
    }
