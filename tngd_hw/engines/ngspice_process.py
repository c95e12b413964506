"""One run of ngspice: found, fed, limited, watched and judged.

The process runs in an empty directory that is its home too, with a minimal environment, in a process group of its own,
under limits of CPU time and file size, set by the shell that becomes ngspice.  Only decks written by this package come
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
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tngd_hw.engines.raw_file import Plot, RawFileError, read_raw
from tngd_hw.outcome import Outcome, Status

__all__ = ["NgspiceVersion", "SpiceRun", "find_ngspice", "ngspice_version", "run_deck"]

_FILE_LIMIT_BLOCKS = 8 << 20
"""Largest file, in blocks of 512 bytes: 4 GiB."""

_LIMITED = 'ulimit -t "$1" 2>/dev/null; ulimit -f "$2" 2>/dev/null; shift 2; exec "$@"'
"""A limit that may not be set (an even lower one is in force) is no reason to stop."""

_NOISE_LINES = re.compile(r"^\s*(Reference value|Note:|Using |Doing |No\. of Data Rows|$)")
_FAILURE = re.compile(r"error|aborted|singular|too small", re.IGNORECASE)


@dataclass(frozen=True)
class NgspiceVersion:
    """What the program says of itself: its path, major version and whether the KLU solver can be asked for."""

    path: str
    major: int
    has_klu: bool


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


def run_deck(deck: str, version: NgspiceVersion, *, plot: str, stop_s: float | None, timeout_s: float) -> SpiceRun:
    """Run ``deck`` in batch mode and judge it.

    Success is exit status 0, a raw file that is whole, with a plot whose name starts with ``plot``, that reaches
    ``stop_s`` (None for an analysis that is no transient), finite everywhere, and nothing on stderr that speaks of
    failure: ngspice exits with 0 on floating nodes, divergence and missing analyses alike.  KLU cannot do ``.noise``.
    """
    with tempfile.TemporaryDirectory(prefix="tngd-ngspice-") as folder:
        Path(folder, "deck.cir").write_text(deck, encoding="utf-8")
        command = [version.path, "-b", "-n", "-r", "out.raw", "deck.cir"]
        try:
            code, errors = _watched(command, folder, timeout_s)
        except subprocess.TimeoutExpired:
            return SpiceRun(Status(Outcome.TIMED_OUT, f"ngspice was stopped after {timeout_s:g} s"), None, "")
        except OSError as error:
            detail = f"ngspice at {version.path} could not be started ({error.strerror})"
            return SpiceRun(Status(Outcome.SIMULATOR_FAILED, detail), None, "")
        notes = "\n".join(line for line in errors.splitlines() if not _NOISE_LINES.match(line))
        return _judged(code, notes, Path(folder, "out.raw"), plot, stop_s)


def _watched(command: list[str], folder: str, timeout_s: float) -> tuple[int, str]:
    environment = {"HOME": folder, "TMPDIR": folder, "LC_ALL": "C", "PATH": os.defpath, "OMP_NUM_THREADS": "1"}
    limits = (str(int(timeout_s) + 60), str(_FILE_LIMIT_BLOCKS))
    with subprocess.Popen(
        ["/bin/sh", "-c", _LIMITED, "sh", *limits, *command], cwd=folder, env=environment, start_new_session=True,
        text=True, errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process, _killed_with_us(process):  # fmt: skip
        _, errors = process.communicate(timeout=timeout_s)
        return process.returncode, errors


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


def _judged(code: int, notes: str, raw: Path, plot: str, stop_s: float | None) -> SpiceRun:
    def failure(detail: str) -> SpiceRun:
        said = next((line.strip() for line in notes.splitlines() if _FAILURE.search(line)), "")
        return SpiceRun(Status(Outcome.SIMULATOR_FAILED, f"{detail}{f' ({said})' if said else ''}"), None, notes)

    if code != 0:
        return failure(f"ngspice was killed by signal {-code}" if code < 0 else f"ngspice exited with status {code}")
    try:
        found, plots = _whole_plot(raw, plot, stop_s)
    except RawFileError as error:
        return failure(str(error))
    if _FAILURE.search(notes):
        return failure("ngspice reported a failure")
    return SpiceRun(Status(), found, notes, plots)


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
