"""Many small runs: one ngspice process a run, against ngspice's shared library kept alive in worker processes.

A batch of 1,000 runs of 16 nodes over 50 tau, the same topology throughout, where either only the right-hand side
changes (the library is told by ``alter``) or the whole matrix does (it loads the new deck).  Both ways get the decks
ready and give the voltages as one array, so that nothing is in the times that they share; the library's workers are
started beforehand.  The ways take turns in blocks of the same 50 runs; medians are over blocks.  Processor time, of all
that either way starts, is less shaken by a busy machine; it is taken of runs one at a time.

Decided by it: every run is a process.  The library gains 1.04 to 2.1 times (integrator, gm_c), reaching the 2 times
that were wanted of it only for gm_c with another right-hand side, and there not the same numbers to 1e-12, since
``alter`` rounds otherwise than the deck's reader.

    python -m benchmarks.many_runs [RUNS]     (RUNS = 1000; minutes; prints the figures as JSON)
"""

from __future__ import annotations

import json
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib.externals import loky
from numpy.typing import NDArray

from benchmarks.shared_library import MEMORY, Worker, library_workers
from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.engines import Ngspice
from tngd_hw.engines.pyspice import find_library
from tngd_hw.engines.spice.process import NgspiceVersion, find_ngspice, ngspice_version, run_deck
from tngd_hw.topologies import LoadedChip

__all__ = ["measurements"]

_NODES = 16
_TAUS = 50.0
_BLOCK = 50
_TOPOLOGIES = ("integrator", "gm_c")
_NAMES = ("time", *(f"v(out{i})" for i in range(_NODES)))
_SOURCE = re.compile(r"(vin\d+) \S+ 0 dc (\S+)")
_WANTED = 2.0
"""The library is worth its workers from this ratio on."""


def measurements(progress: Callable[[str], None], runs: int = 1000) -> dict[str, Any]:
    """A row for each topology, change and number of workers; or why there is none."""
    program_path, library = find_ngspice(), find_library()
    if program_path is None or library is None:
        return {"rows": [], "skipped": "no ngspice" if program_path is None else "no shared library of ngspice"}
    if not MEMORY.exists():
        return {"rows": [], "skipped": f"the memory of a process is read from {MEMORY}, which is not there"}
    version = ngspice_version(program_path)
    rows: list[dict[str, Any]] = []
    with library_workers(library, 2, _NAMES) as workers:
        found = workers[0].version
        if found != version.major:
            return {"rows": [], "skipped": f"the library is of version {found}, the program of {version.major}"}
        for topology in _TOPOLOGIES:
            for only_sources in (True, False):
                decks, duration = _decks(topology, version, only_sources=only_sources)
                for count in (1, 2):
                    change = "right-hand side" if only_sources else "matrix"
                    progress(f"many runs, {topology}, {change}, {count} at a time")
                    case = _Case(decks, duration, version, only_sources)
                    row = _measured(case, workers[:count], max(runs // _BLOCK, 1))
                    rows.append({"topology": topology, "changes": change, "workers": count, **row})
    return {"rows": rows, "ngspice": version.major, "runs": runs, "wanted": _WANTED}


@dataclass(frozen=True)
class _Case:
    """Decks of one circuit, alike but for their sources where ``only_sources``."""

    decks: list[str]
    duration: float
    version: NgspiceVersion
    only_sources: bool


def _measured(case: _Case, workers: Sequence[Worker], blocks: int) -> dict[str, Any]:
    """Milliseconds a run of both ways, their ratio, memory that the library gained, largest difference."""
    wall: dict[str, list[float]] = {"process": [], "library": []}
    cpu: dict[str, list[float]] = {"process": [], "library": []}
    with _process_way(case, len(workers)) as by_process:
        expected, found = by_process(), _by_library(case, workers)
        before = [worker.ask("memory", None) for worker in workers]
        for k in range(blocks):
            for way in ("process", "library") if k % 2 == 0 else ("library", "process"):
                begun, used = time.perf_counter(), _processor_s(workers)
                by_process() if way == "process" else _by_library(case, workers)
                wall[way].append(1e3 * (time.perf_counter() - begun) / len(case.decks))
                cpu[way].append(1e3 * (_processor_s(workers) - used) / len(case.decks))
        after = [worker.ask("memory", None) for worker in workers]
    row = {f"{way}_ms": statistics.median(wall[way]) for way in wall}
    row["ratio"] = row["process_ms"] / row["library_ms"]
    if len(workers) == 1:  # the processes of joblib's workers cannot be asked
        row |= {f"{way}_cpu_ms": statistics.median(cpu[way]) for way in cpu}
        row["cpu_ratio"] = row["process_cpu_ms"] / row["library_cpu_ms"]
    row["growth_mb"] = max(b - a for a, b in zip(before, after, strict=True)) / 2**20
    return row | {"difference": max(map(_difference, expected, found))}


def _processor_s(workers: Sequence[Worker]) -> float:
    """Of this process, its children that have ended, and the library's workers."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time() + ended.ru_utime + ended.ru_stime
    return own + sum(worker.ask("processor", None) for worker in workers)


def _difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Over the largest voltage or time; infinite where the time points are not as many."""
    return float(np.abs(ours - theirs).max() / np.abs(ours).max()) if ours.shape == theirs.shape else np.inf


def _decks(topology: str, version: NgspiceVersion, *, only_sources: bool) -> tuple[list[str], float]:
    """The engine's own decks of a block, and their duration."""
    first = _circuit(topology, 0)
    duration, engine = _TAUS * first.tau, Ngspice()
    right = np.random.default_rng(7).normal(size=(_BLOCK, _NODES))
    chips = [first if only_sources else _circuit(topology, k) for k in range(_BLOCK)]
    return [
        engine.deck(chip, duration=duration, b=b, use_klu=version.has_klu) for chip, b in zip(chips, right, strict=True)
    ], duration


def _circuit(topology: str, seed: int) -> LoadedChip:
    wide = np.random.default_rng(seed).normal(size=(_NODES, 2 * _NODES)) / np.sqrt(2 * _NODES)
    problem = LinearProblem(wide @ wide.T + 0.1 * np.eye(_NODES), np.ones(_NODES))
    return program(manufacture(topology, _NODES, presets.pcb_1k_1n(), seed=1), problem)


@contextmanager
def _process_way(case: _Case, workers: int) -> Generator[Callable[[], list[NDArray[np.float64]]]]:
    """The process engine's runs, from this process or from as many of joblib's as ``run_many`` would take."""
    jobs = [(deck, case.version, case.duration) for deck in case.decks]
    if workers == 1:
        yield lambda: [_by_process(job) for job in jobs]
        return
    pool: Any = loky.ProcessPoolExecutor(workers)
    try:
        yield lambda: list(pool.map(_by_process, jobs))
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _by_process(job: tuple[str, NgspiceVersion, float]) -> NDArray[np.float64]:
    deck, version, duration = job
    run = run_deck(deck, version, plot="Transient", stop_s=duration, timeout_s=60.0)
    run.status.require_ok()
    assert run.plot is not None
    return run.plot.values.real[:, [run.plot.names.index(name) for name in _NAMES]]


def _by_library(case: _Case, workers: Sequence[Worker]) -> list[NDArray[np.float64]]:
    """A block in which worker k takes every so many-th run."""
    what = "altered" if case.only_sources else "loaded"
    for k, worker in enumerate(workers):
        decks = case.decks[k :: len(workers)]
        changes = [_SOURCE.findall(deck) for deck in decks] if case.only_sources else None
        worker.pipe.send((what, (case.decks[0], changes) if case.only_sources else decks))
    found: list[NDArray[np.float64]] = [np.zeros(0)] * len(case.decks)
    for k, worker in enumerate(workers):
        found[k :: len(workers)] = worker.answer()
    return found


if __name__ == "__main__":
    print(json.dumps(measurements(lambda text: print(text, file=sys.stderr), *map(int, sys.argv[1:2])), indent=2))
