"""``pyspice``: the netlist as a PySpice circuit, simulated by PySpice's NgSpiceShared.  For users of PySpice.

The circuit is :func:`tngd_hw.netlist.to_pyspice`'s; options, tolerances and the analysis are those of the process
engine, so that both give the same numbers at the same times.  The library runs in a worker process, one a run: a crash
costs that run, and nothing piles up in memory.  The success rule is ours: PySpice takes every line on stderr for a
failure, and a failed run for a successful one where ngspice returns 0.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tngd_hw.engines import pyspice_worker
from tngd_hw.engines.base import EngineState, check_run, check_settings, failed, node_names, run_statuses
from tngd_hw.engines.ngspice import Ngspice
from tngd_hw.engines.spice.failures import FAILURE
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.engines.watched import outputs_of, watched_names
from tngd_hw.netlist import to_pyspice
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.topologies import LoadedChip

__all__ = ["PySpice", "find_library"]

_LIBRARY_VARIABLE = "NGSPICE_LIBRARY_PATH"
_LOADER_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_PLACES = ("/usr/lib", "/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib")
_NAMES = ("libngspice.so.0", "libngspice.so", "libngspice.0.dylib", "libngspice.dylib")
_HARMLESS = re.compile(
    r"^\s*(Reference value|Note:|Warning: can't find the initialization file|Using |Trying gmin|Supplies reduced|$)"
)

NO_PYSPICE = "PySpice is not installed: pip install 'tngd-hw[pyspice]'"
NO_LIBRARY = (
    "there is no shared library of ngspice on this machine: apt-get install libngspice0 (Debian, Ubuntu), or "
    f"brew install libngspice (macOS), or set {_LIBRARY_VARIABLE} to the file"
)


_BROKEN_LIBRARY = (
    f"install ngspice's shared library again, with what it needs itself, or correct {_LIBRARY_VARIABLE}; "
    "or use the engine state_space"
)
_OTHERWISE = "or use the engine state_space, which needs neither"


@dataclass(frozen=True)
class PySpice:
    """PySpice 1.5 and libngspice >= 39; slower than the engine ``ngspice`` by the 0.3 s that a worker takes.

    Attributes:
        accuracy: As in :class:`~tngd_hw.engines.ngspice.Ngspice`, which chooses the steps for this engine too.
        relative_tolerance: As there.
        points: As there.
        timeout_s: A run is stopped after this many seconds (outcome timed_out).
    """

    accuracy: float = 1e-4
    relative_tolerance: float | None = None
    points: int | None = None
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        check_settings(self, ("accuracy", "relative_tolerance", "points", "timeout_s"))

    @property
    def name(self) -> str:
        """Name on the command line."""
        return "pyspice"

    def init(self, loaded: LoadedChip) -> EngineState:
        """Find PySpice and the library, and check the circuit: ngspice itself would run an unstable one."""
        if loaded.chip.chips is not None:
            raise MisuseError(f"chips = {loaded.chip.chips}: pyspice runs one chip at a time; pass loaded.select(k)")
        if loaded.status.ok and loaded.noisy:
            raise MisuseError(
                f"kappa = {loaded.kappa} (or noise of the parts): the pyspice engine runs the noiseless circuit; use "
                "ngspice or state_space"
            )
        library = find_library()
        missing = NO_LIBRARY if library is None else NO_PYSPICE if importlib.util.find_spec("PySpice") is None else ""
        if missing:
            return EngineState(loaded, None, Status(Outcome.SIMULATOR_MISSING, missing, _OTHERWISE))
        return EngineState(loaded, library, loaded.circuit_status)

    def run(
        self,
        state: EngineState,
        *,
        duration: float,
        b: ArrayLike | Tensor | None = None,
        x0: ArrayLike | Tensor | None = None,
        seed: int = 0,
        times_s: ArrayLike | Tensor | None = None,
    ) -> tuple[EngineState, Trajectory]:
        """See :class:`~tngd_hw.engines.base.Engine`; ngspice chooses its own times, ``times_s`` is not used."""
        del times_s
        check_run(duration, seed)
        loaded = state.loaded
        if not state.status.ok:
            return state, failed(self.name, loaded, state.status, duration=duration, seed=seed)
        deck = self.deck(loaded, duration=duration, b=b, x0=x0, seed=seed)
        found = run_in_worker(deck, state.prepared, watched_names(loaded), stop_s=duration, timeout_s=self.timeout_s)
        if not found.status.ok:
            return state, failed(self.name, loaded, found.status, duration=duration, seed=seed, notes=found.notes)
        times, voltage = torch.from_numpy(found.times_s), torch.from_numpy(found.voltage_volt)
        statuses = run_statuses(loaded, loaded.drive(b, x0, seed=seed), voltage, -1)
        outputs = outputs_of(loaded, voltage, -1)
        return state, Trajectory(
            times, outputs, node_names(loaded), self.name, statuses, False, seed, duration, notes=found.notes
        )

    def deck(
        self,
        loaded: LoadedChip,
        *,
        duration: float,
        b: ArrayLike | Tensor | None = None,
        x0: ArrayLike | Tensor | None = None,
        seed: int = 0,
    ) -> str:
        """PySpice's own text of the circuit, and the process engine's options, saved nodes and analysis below it."""
        twin = Ngspice(self.accuracy, self.relative_tolerance, self.points)
        # 39 has no KLU and does without a word.
        ours = twin.deck(loaded, duration=duration, b=b, x0=x0, seed=seed, use_klu=True, watched=True)
        with _quiet_log():
            circuit = str(to_pyspice(loaded.netlist(loaded.drive(b, x0, seed=seed))))
        return f"{circuit.rstrip()}\n{ours[ours.index('.options ') :]}"


@dataclass(frozen=True, eq=False)
class WorkerRun:
    """What a worker gave: times (T,), voltages (T, p) of the nodes asked for, what ngspice said that matters."""

    status: Status
    times_s: NDArray[np.float64]
    voltage_volt: NDArray[np.float64]
    notes: str


def find_library() -> str | None:
    """The shared library of ngspice: NGSPICE_LIBRARY_PATH, else what the system's loader finds, else known places.

    PySpice itself looks for ``libngspice.so`` alone, which Debian has only in its -dev package.
    """
    chosen = os.environ.get(_LIBRARY_VARIABLE)
    if chosen:
        path = chosen.replace("{}", "")  # PySpice's place for the number of an instance
        return path if Path(path).exists() or os.sep not in path else None
    known = ctypes.util.find_library("ngspice")
    if known is not None:
        return known
    folders = [folder for place in (str(Path(sys.prefix, "lib")), *_PLACES) for folder in Path("/").glob(place[1:])]
    return next((str(folder / name) for folder in folders for name in _NAMES if (folder / name).exists()), None)


def run_in_worker(deck: str, library: str, nodes: tuple[str, ...], *, stop_s: float, timeout_s: float) -> WorkerRun:
    """Run a transient of ``deck`` in a worker process and judge it.

    Success is a worker that ended by itself, a plot with points and every node, finite, that reaches ``stop_s``, and
    nothing on stderr that speaks of failure.  The worker's directory is empty and its home: no .spiceinit is read.
    """
    with tempfile.TemporaryDirectory(prefix="tngd-pyspice-") as folder:
        Path(folder, "deck.cir").write_text(deck, encoding="utf-8")
        job = {"plot": "tran", "path": [place for place in sys.path if place], "cpu_s": int(timeout_s) + 60}
        Path(folder, "job.json").write_text(json.dumps(job), encoding="utf-8")
        environment = {
            "HOME": folder, "TMPDIR": folder, "LC_ALL": "C", "PATH": os.defpath, "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", _LIBRARY_VARIABLE: library,
            **{name: os.environ[name] for name in _LOADER_VARIABLES if name in os.environ},
        }  # fmt: skip
        command = [sys.executable, "-I", str(Path(pyspice_worker.__file__).resolve())]
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, start_new_session=True, stdin=subprocess.DEVNULL,
                capture_output=True, timeout=timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return _failure(Outcome.TIMED_OUT, f"libngspice was stopped after {timeout_s:g} s", "")
        except OSError as error:
            return _failure(Outcome.SIMULATOR_FAILED, f"the worker could not be started ({error.strerror})", "")
        return _judged(done.returncode, Path(folder), nodes, stop_s)


def _judged(code: int, folder: Path, nodes: tuple[str, ...], stop_s: float) -> WorkerRun:
    answer = folder / "answer.json"
    if code != 0 or not answer.is_file():
        how = f"was killed by signal {-code}" if code < 0 else f"exited with status {code}"
        return _failure(Outcome.SIMULATOR_FAILED, f"the worker that runs libngspice {how}", "")
    said = json.loads(answer.read_text(encoding="utf-8"))
    lines = [line for line in said["stderr"] if not _HARMLESS.match(line)]
    notes = "\n".join(lines)
    first = next((line.strip() for line in lines if FAILURE.search(line)), "")
    if said["error"]:
        missing = said["error"].startswith("OSError: cannot load library")
        outcome = Outcome.SIMULATOR_MISSING if missing else Outcome.SIMULATOR_FAILED
        return _failure(outcome, f"PySpice: {said['error']}", notes, _BROKEN_LIBRARY if missing else "")
    values = folder / "answer.npz"
    if first or not values.is_file():
        detail = first or next(iter(lines), "it said nothing")
        return _failure(Outcome.SIMULATOR_FAILED, f"libngspice made no transient of this deck ({detail})", notes)
    with np.load(values) as found:
        names, table = found["names"].tolist(), found["values"]
    wrong = _wrong_with(names, table, nodes, stop_s)
    if wrong:
        return _failure(Outcome.SIMULATOR_FAILED, wrong, notes)
    columns = [names.index(f"v({node})") for node in nodes]
    return WorkerRun(Status(), table[:, 0].copy(), table[:, columns], notes)


def _wrong_with(names: list[str], table: NDArray[np.float64], nodes: tuple[str, ...], stop_s: float) -> str:
    """What is missing from a plot, in words; empty where it is whole."""
    lacking = [node for node in nodes if f"v({node})" not in names]
    if lacking or len(table) == 0:
        return f"libngspice gave no voltage v({(lacking or nodes)[0]})"
    if not np.isfinite(table).all():
        return "libngspice returned numbers that are not finite"
    last = float(table[-1, 0])
    return "" if last >= stop_s * (1 - 1e-6) else f"libngspice stopped at {last:.3g} s of {stop_s:.3g} s"


def _failure(outcome: Outcome, detail: str, notes: str, advice: str = "") -> WorkerRun:
    return WorkerRun(Status(outcome, detail, advice), np.zeros(0), np.zeros((0, 0)), notes)


@contextmanager
def _quiet_log() -> Generator[None]:
    """PySpice warns of every node called ``in`` (a keyword of Python), which our cells have."""
    logger = logging.getLogger("PySpice")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
