"""One run of ngspice: found, fed, limited, watched and judged.

The process runs in an empty directory that is its home too, with a minimal environment, in a process group of its own,
under limits of CPU time, file size and memory (address space; not every system honours it), set by the shell that
becomes ngspice.  Only decks written by this package come
here: any deck can run shell commands.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tngd_hw.engines.spice.failures import FAILURE, failure_status, stopped_after
from tngd_hw.engines.spice.raw_file import Plot, RawFileError, read_raw
from tngd_hw.outcome import MisuseError, Outcome, Status

__all__ = ["DEFAULT_MEMORY_BYTES", "NgspiceVersion", "SpiceRun", "find_ngspice", "ngspice_version", "run_deck"]

_FILE_LIMIT_BLOCKS = 8 << 20
"""Largest file, in blocks of 512 bytes: 4 GiB."""

DEFAULT_MEMORY_BYTES = 4 << 30
"""Address space of a run whose need nobody has estimated."""

_TICK_S = 0.25
_LARGEST_VOLT = 1e15
"""A transient beyond this has run away: no circuit of parts gets there."""

_LIMITED = 'ulimit -t "$1" 2>/dev/null; ulimit -f "$2" 2>/dev/null; ulimit -v "$3" 2>/dev/null; shift 3; exec "$@"'
"""A limit that may not be set (an even lower one is in force) is no reason to stop."""

_NOISE_LINES = re.compile(r"^\s*(Reference value|Note:|Using |Doing |No\. of Data Rows|$)")
_FILE_NAME = re.compile(r"[a-z0-9_]+\.txt")


@dataclass(frozen=True)
class NgspiceVersion:
    """What the program says of itself: its path, major version and whether the KLU solver can be asked for."""

    path: str
    major: int
    has_klu: bool


@dataclass(frozen=True)
class _Limits:
    """What a run may use, and who is told how long it has taken so far."""

    timeout_s: float
    memory_bytes: int
    progress: Callable[[float], None] | None

    @property
    def cpu_s(self) -> int:
        """Processor time: a backstop behind the wall time."""
        return int(self.timeout_s) + 60


@dataclass(frozen=True, eq=False)
class SpiceRun:
    """What came of a run: a status, the plot when it is OK, the lines of stderr that matter, and every plot there is.

    A ``.noise`` makes two plots, ``"Noise Spectral Density Curves"`` and ``"Integrated Noise"``.
    """

    status: Status
    plot: Plot | None
    notes: str
    plots: tuple[Plot, ...] = ()


def find_ngspice() -> str | None:
    """Path of ngspice: the environment variable TNGD_NGSPICE, else the search path, else None."""
    chosen = os.environ.get("TNGD_NGSPICE")
    return shutil.which(chosen) if chosen else shutil.which("ngspice")


@functools.cache
def ngspice_version(path: str) -> NgspiceVersion:
    """Ask the program for its version, once; major 0 when it does not answer like ngspice."""
    try:
        answer = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        answer = b""
    match = re.search(rb"ngspice-(\d+)", answer)
    major = int(match[1]) if match else 0
    return NgspiceVersion(path, major, major >= 42)


def run_deck(
    deck: str,
    version: NgspiceVersion,
    *,
    plot: str,
    stop_s: float | None,
    timeout_s: float,
    files: Mapping[str, str] | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    progress: Callable[[float], None] | None = None,
) -> SpiceRun:
    """Run ``deck`` in batch mode and judge it.

    Success is exit status 0, a raw file that is whole, with a plot whose name starts with ``plot``, that reaches
    ``stop_s`` (None for an analysis that is no transient), finite everywhere, and nothing on stderr that speaks of
    failure: ngspice exits with 0 on floating nodes, divergence and missing analyses alike.  KLU cannot do ``.noise``.
    ``files`` are texts of our own beside the deck, by name.  ``progress`` is told the seconds since the start, four
    times a second; what it raises ends the run.
    """
    for name in files or {}:
        if not _FILE_NAME.fullmatch(name):
            raise MisuseError(f"file {name!r}: names are made of a-z, 0-9 and _ and end in .txt")
    with tempfile.TemporaryDirectory(prefix="tngd-ngspice-") as folder:
        for name, text in {**(files or {}), "deck.cir": deck}.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        limits = _Limits(timeout_s, memory_bytes, progress)
        command = [version.path, "-b", "-n", "-r", "out.raw", "deck.cir"]
        try:
            code, errors = _watched(command, folder, limits)
        except subprocess.TimeoutExpired:
            return SpiceRun(stopped_after(timeout_s), None, "")
        except OSError as error:
            detail = f"ngspice at {version.path} could not be started ({error.strerror})"
            return SpiceRun(Status(Outcome.SIMULATOR_FAILED, detail), None, "")
        notes = "\n".join(line for line in errors.splitlines() if not _NOISE_LINES.match(line))
        try:
            if code == 0:
                found, plots = _whole_plot(Path(folder, "out.raw"), plot, stop_s)
                if not FAILURE.search(notes):
                    return SpiceRun(_bounded(found, stop_s), found, notes, plots)
            detail = "ngspice reported a failure"
        except RawFileError as error:
            detail = str(error)
        status = failure_status(detail, notes, code=code, memory_bytes=memory_bytes, cpu_s=limits.cpu_s)
        return SpiceRun(status, None, notes)


def _watched(command: list[str], folder: str, limits: _Limits) -> tuple[int, str]:
    environment = {"HOME": folder, "TMPDIR": folder, "LC_ALL": "C", "PATH": os.defpath, "OMP_NUM_THREADS": "1"}
    numbers = (str(limits.cpu_s), str(_FILE_LIMIT_BLOCKS), str(limits.memory_bytes >> 10))
    with subprocess.Popen(
        ["/bin/sh", "-c", _LIMITED, "sh", *numbers, *command], cwd=folder, env=environment, start_new_session=True,
        text=True, errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process, _killed_with_us(process):  # fmt: skip
        errors = _stderr(process, limits)
        return process.returncode, errors


def _stderr(process: subprocess.Popen[str], limits: _Limits) -> str:
    """What the process said until it ended; TimeoutExpired after the wall time."""
    if limits.progress is None:
        return process.communicate(timeout=limits.timeout_s)[1]
    begun = time.monotonic()
    while True:
        left = limits.timeout_s - (time.monotonic() - begun)
        try:
            return process.communicate(timeout=max(min(_TICK_S, left), 0.0))[1]
        except subprocess.TimeoutExpired:
            if left <= 0:
                raise
            limits.progress(time.monotonic() - begun)


@contextlib.contextmanager
def _killed_with_us(process: subprocess.Popen[str]) -> Generator[None]:
    """Whatever ends the wait (time limit, Ctrl-C, an error) ends the whole process group."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _bounded(found: Plot, stop_s: float | None) -> Status:
    """UNSTABLE for a transient that has run away: ngspice follows it without a word."""
    largest = float(np.abs(found.values[:, 1:]).max(initial=0.0))
    if stop_s is None or largest < _LARGEST_VOLT:
        return Status()
    return Status(Outcome.UNSTABLE, f"a voltage or current grew to {largest:.3g}")


def _whole_plot(raw: Path, plot: str, stop_s: float | None) -> tuple[Plot, tuple[Plot, ...]]:
    """The plot that was asked for, and all of them."""
    if not raw.is_file():
        raise RawFileError("ngspice wrote no results")
    plots = read_raw(raw)
    found = next((p for p in plots if p.name.startswith(plot)), None)
    if found is None:
        raise RawFileError(f"ngspice wrote no plot called {plot!r}")
    if not np.isfinite(found.values).all():
        raise RawFileError("ngspice returned numbers that are not finite")
    last = float(found.values[-1, 0].real)
    if stop_s is not None and last < stop_s * (1 - 1e-6):
        raise RawFileError(f"ngspice stopped at {last:.3g} s of {stop_s:.3g} s")
    return found, plots
