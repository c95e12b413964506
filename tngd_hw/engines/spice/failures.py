"""What a failed run of ngspice means: an outcome and one sentence, from its exit status and its words."""

from __future__ import annotations

import re
import signal

from tngd_hw.outcome import Outcome, Status

__all__ = ["FAILURE", "failure_status", "stopped_after"]

FAILURE = re.compile(r"error|aborted|singular|too small", re.IGNORECASE)
"""Words on stderr after which no result is believed, whatever the exit status."""

_MEMORY = re.compile(r"can't allocate|out of memory|cannot allocate|bad_alloc|failed to map segment", re.IGNORECASE)


def stopped_after(seconds: float) -> Status:
    """The wall time is over."""
    return Status(Outcome.TIMED_OUT, f"ngspice was stopped after {seconds:g} s")


def failure_status(detail: str, notes: str, *, code: int = 0, memory_bytes: int, cpu_s: int) -> Status:
    """Why a run is no result.

    Args:
        detail: What was found wrong; used where the exit status and the words say nothing better.
        notes: stderr without progress.
        code: Exit status, negative for a signal.
        memory_bytes: The limit that was set.
        cpu_s: The limit that was set.
    """
    lines = [line.strip() for line in notes.splitlines() if line.strip()]
    if any(_MEMORY.search(line) for line in lines):
        text = f"ngspice needed more memory than its limit of {memory_bytes / 2**30:.3g} GiB"
        return Status(Outcome.SIMULATOR_FAILED, text)
    if code == -signal.SIGXCPU:
        return Status(Outcome.TIMED_OUT, f"ngspice used up its {cpu_s} s of processor time")
    if code < 0:
        detail = f"ngspice was killed by signal {-code}"
        if code == -signal.SIGXFSZ:
            detail += ", its results are too large a file"
    elif code > 0:
        detail = f"ngspice exited with status {code}"
    said = next((line for line in lines if FAILURE.search(line)), "")
    return Status(Outcome.SIMULATOR_FAILED, f"{detail}{f' ({said})' if said else ''}")
