"""state_space against ngspice, the version of the machine and a newer one: seconds for the same answers.

A dense gm_c circuit of N nodes, 200 points over 5 tau.  A first run has the set-up in it (equations; deck and process);
a repeated one is the same circuit with another right-hand side, which ngspice has to be told all over again.
``TNGD_NGSPICE_NEXT`` names the newer binary (scripts/ngspice_next.sh prints the path of one).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.engines import StateSpace, Trajectory
from tngd_hw.engines.ngspice_process import NgspiceVersion, find_ngspice, ngspice_version, run_deck
from tngd_hw.netlist import Transient, write_deck
from tngd_hw.topologies import LoadedChip

__all__ = ["measurements"]

_POINTS = 200
_TAUS = 5.0
_LARGEST_WITHOUT_KLU = 128
"""Nodes; at 256 one run without KLU takes half a minute and says nothing new."""
_WANTED = {(False, 64): 20, (False, 128): 100, (True, 64): 10, (True, 128): 20, (True, 256): 30}


def measurements(progress: Callable[[str], None], sizes: tuple[int, ...] = (16, 64, 128, 256)) -> list[dict[str, Any]]:
    """A row for each size and each ngspice there is."""
    rows: list[dict[str, Any]] = []
    for n in sizes:
        loaded, b = _circuit(n)
        progress(f"engines, {n} nodes: state_space")
        first, again, exact = _state_space(loaded, b)
        for version in _versions():
            progress(f"engines, {n} nodes: ngspice {version.major}")
            row: dict[str, Any] = {"n": n, "ngspice": version.major, "klu": version.has_klu, "ours_s": first}
            if n > _LARGEST_WITHOUT_KLU and not version.has_klu:
                rows.append(row | {"skipped": "minutes without KLU"})
                continue
            seconds, difference = _ngspice(loaded, b, version, exact)
            wanted = _WANTED.get((version.has_klu, n))
            rows.append(row | {
                "ngspice_s": seconds, "ratio": seconds / first, "again_s": again, "again_ratio": seconds / again,
                "difference": difference, "wanted": wanted,
            })  # fmt: skip
    return rows


def _circuit(n: int) -> tuple[LoadedChip, np.ndarray]:
    wide = np.random.default_rng(n).normal(size=(n, 2 * n)) / np.sqrt(2 * n)
    A = wide @ wide.T + 0.1 * np.eye(n)
    b = np.random.default_rng(n + 1).normal(size=n)
    return program(manufacture("gm_c", n, presets.ideal()), LinearProblem(A, b)), b


def _versions() -> list[NgspiceVersion]:
    paths = [find_ngspice(), os.environ.get("TNGD_NGSPICE_NEXT")]
    return [version for version in map(ngspice_version, filter(None, dict.fromkeys(paths))) if version.major]


def _state_space(loaded: LoadedChip, b: np.ndarray) -> tuple[float, float, Trajectory]:
    """Seconds of a run with its set-up, seconds of one more run, and the first one's answer for ``b``."""
    engine, duration = StateSpace(), _TAUS * loaded.tau
    times = np.linspace(0, duration, _POINTS + 1)
    firsts: list[float] = []
    seconds: list[float] = []
    for _ in range(4):
        begun = time.perf_counter()
        state = engine.init(loaded)
        state, found = engine.run(state, duration=duration, b=b, times_s=times)
        firsts.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        engine.run(state, duration=duration, b=-2 * b, times_s=times)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(firsts[1:]), statistics.median(seconds[1:]), found


def _ngspice(loaded: LoadedChip, b: np.ndarray, version: NgspiceVersion, exact: Trajectory) -> tuple[float, float]:
    """Seconds from the circuit to its voltages, and the largest difference at the end over the largest voltage."""
    duration = _TAUS * loaded.tau
    step = duration / _POINTS
    begun = time.perf_counter()
    netlist = loaded.netlist(loaded.drive(b))
    deck = write_deck(netlist, Transient(duration, step, step, relative_tolerance=1e-3, use_klu=version.has_klu))
    run = run_deck(deck, version, plot="Transient", stop_s=duration, timeout_s=600.0)
    seconds = time.perf_counter() - begun
    run.status.require_ok()
    assert run.plot is not None
    column = {name: k for k, name in enumerate(run.plot.names)}
    final = run.plot.values.real[-1, [column[f"v({name})"] for name in exact.node_names]]
    expected = exact.final_volt.numpy()
    return seconds, float(np.abs(final - expected).max() / np.abs(expected).max())
