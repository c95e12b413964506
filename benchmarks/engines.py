"""state_space against ngspice, the version of the machine and a newer one: seconds for the same answers.

A dense gm_c circuit of N nodes, 200 points over 5 tau.  Both sides start from the same loaded chip and end with all
voltages in an array.  A first run has the set-up in it.  Ours: the check that the circuit is stable, the netlist, its
state equations, their modes, the run.  ngspice's: the netlist, the deck's text, the process, the run, reading its file.
A repeated run is the same circuit with another right-hand side: ours is ``run`` alone on a prepared state, ngspice has
to be told all over again.  One core for either: ngspice has one thread, and so has torch here (its two are up to four
times slower as soon as something else runs).  A is symmetric, or off by 1 % an entry as every real chip is.  Medians
after one run to warm up, three of ours and one of ngspice's in turn.

``TNGD_NGSPICE_NEXT`` names the newer binary (scripts/ngspice_next.sh prints the path of one).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.engines import StateSpace, Trajectory
from tngd_hw.engines.spice.process import NgspiceVersion, find_ngspice, ngspice_version, run_deck
from tngd_hw.engines.spice.raw_file import Plot
from tngd_hw.netlist import Transient, write_deck
from tngd_hw.topologies import LoadedChip

__all__ = ["measurements"]

_POINTS = 200
_TAUS = 5.0
_LARGEST_WITHOUT_KLU = 128
"""Nodes; at 256 one run without KLU takes half a minute and says nothing new."""
_ROUNDS, _PATIENCE_S = 8, 10.0
"""At least 3 runs of ngspice after the first, up to 7 while they take no more than 10 s together."""
_WANTED = {(False, 64): 20, (False, 128): 100, (True, 64): 10, (True, 128): 20, (True, 256): 30}


def measurements(progress: Callable[[str], None], sizes: tuple[int, ...] = (16, 64, 128, 256)) -> list[dict[str, Any]]:
    """A row for each size and each ngspice there is."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _rows(progress, sizes)
    finally:
        torch.set_num_threads(threads)


def _rows(progress: Callable[[str], None], sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for n in sizes:
        for mismatched in (False, True):
            loaded, b = _circuit(n, mismatched=mismatched)
            for version in _versions():
                progress(f"engines, {n} nodes{', mismatched' * mismatched}: state_space and ngspice {version.major}")
                row: dict[str, Any] = {"n": n, "mismatched": mismatched, "ngspice": version.major}
                row |= {"klu": version.has_klu}
                if n > _LARGEST_WITHOUT_KLU and not version.has_klu:
                    rows.append(row | {"ours_s": _state_space(loaded, b).first_s, "skipped": "minutes without KLU"})
                    continue
                rows.append(row | _compared(loaded, b, version) | {"wanted": _WANTED.get((version.has_klu, n))})
    return rows


def _compared(loaded: LoadedChip, b: np.ndarray, version: NgspiceVersion) -> dict[str, float]:
    ours, theirs = [_state_space(loaded, b)], [_ngspice(loaded, b, version)]  # to warm up, the last to compare
    while len(theirs) < 4 or (len(theirs) < _ROUNDS and sum(run.seconds for run in theirs) < _PATIENCE_S):
        ours += [_state_space(loaded, b) for _ in range(3)]
        theirs.append(_ngspice(loaded, b, version))
    first, again = (statistics.median(getattr(run, name) for run in ours[1:]) for name in ("first_s", "again_s"))
    seconds = statistics.median(run.seconds for run in theirs[1:])
    expected, found = ours[-1].exact, theirs[-1].final_volt(ours[-1].exact.node_names)
    difference = np.abs(found - expected.final_volt.numpy()).max() / float(expected.final_volt.abs().max())
    return {
        "ours_s": first, "ngspice_s": seconds, "ratio": seconds / first, "again_s": again,
        "again_ratio": seconds / again, "difference": float(difference),
    }  # fmt: skip


def _circuit(n: int, *, mismatched: bool) -> tuple[LoadedChip, np.ndarray]:
    wide = np.random.default_rng(n).normal(size=(n, 2 * n)) / np.sqrt(2 * n)
    off = 0.01 * np.random.default_rng(n + 2).normal(size=(n, n)) if mismatched else np.zeros((n, n))
    A = (wide @ wide.T + 0.1 * np.eye(n)) * (1 + off)
    b = np.random.default_rng(n + 1).normal(size=n)
    return program(manufacture("gm_c", n, presets.ideal()), LinearProblem(A, b)), b


def _versions() -> list[NgspiceVersion]:
    paths = [find_ngspice(), os.environ.get("TNGD_NGSPICE_NEXT")]
    return [version for version in map(ngspice_version, filter(None, dict.fromkeys(paths))) if version.major]


@dataclass(frozen=True)
class _Ours:
    """Seconds of a run with its set-up, seconds of one more run, and the first one's answer."""

    first_s: float
    again_s: float
    exact: Trajectory


def _state_space(loaded: LoadedChip, b: np.ndarray) -> _Ours:
    fresh = replace(loaded)  # a loaded chip keeps what it was asked once, such as whether it is stable
    engine, duration = StateSpace(), _TAUS * loaded.tau
    times = np.linspace(0, duration, _POINTS + 1)
    begun = time.perf_counter()
    state = engine.init(fresh)
    state, found = engine.run(state, duration=duration, b=b, times_s=times)
    first = time.perf_counter() - begun
    seconds: list[float] = []
    for scale in (-2.0, 0.5, 3.0):
        begun = time.perf_counter()
        engine.run(state, duration=duration, b=scale * b, times_s=times)
        seconds.append(time.perf_counter() - begun)
    return _Ours(first, statistics.median(seconds), found)


@dataclass(frozen=True)
class _Theirs:
    """Seconds from the loaded chip to its voltages, and what ngspice wrote."""

    seconds: float
    plot: Plot

    def final_volt(self, nodes: tuple[str, ...]) -> np.ndarray:
        column = {name: k for k, name in enumerate(self.plot.names)}
        return self.plot.values.real[-1, [column[f"v({name})"] for name in nodes]]


def _ngspice(loaded: LoadedChip, b: np.ndarray, version: NgspiceVersion) -> _Theirs:
    duration = _TAUS * loaded.tau
    step = duration / _POINTS
    begun = time.perf_counter()
    netlist = loaded.netlist(loaded.drive(b))
    deck = write_deck(netlist, Transient(duration, step, step, relative_tolerance=1e-3, use_klu=version.has_klu))
    run = run_deck(deck, version, plot="Transient", stop_s=duration, timeout_s=600.0)
    seconds = time.perf_counter() - begun
    run.status.require_ok()
    assert run.plot is not None
    return _Theirs(seconds, run.plot)
