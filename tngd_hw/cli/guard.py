"""How a command ends: exceptions and outcomes become one line on stderr and an exit code, here and nowhere else."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from tngd_hw.cli.output import print_document
from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status

__all__ = ["BROKEN_PIPE", "FAILED", "INTERRUPTED", "MISUSE", "complain", "drop_output", "guarded"]

FAILED = 1
"""Exit code of a failed outcome: the request makes sense, the answer cannot be had like this."""

MISUSE = 2
"""Exit code of a request that cannot be meant."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, 128 + SIGINT, as shells count."""

BROKEN_PIPE = 141
"""Exit code when the reader of our output has gone, 128 + SIGPIPE."""

Parameters = ParamSpec("Parameters")


def guarded(command: Callable[Parameters, Status]) -> Callable[Parameters, None]:
    """``command`` with its ways to end turned into exit codes.

    A command returns the status of what it did; it prints its own results.  One that is raised as
    :class:`~tngd_hw.outcome.OutcomeError` comes before there are results: with ``--json`` (the parameter ``as_json``)
    the document then holds the outcome alone.
    """

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            code = _ending(command, *args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            drop_output()
            code = BROKEN_PIPE
        except KeyboardInterrupt:
            complain("interrupted")
            code = INTERRUPTED
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            complain(f"error: {place}{error.strerror or error}; make room or choose another place")
            _flush_or_drop()
            code = MISUSE
        if code:
            raise typer.Exit(code)

    return run


def _ending(command: Callable[Parameters, Status], *args: Parameters.args, **kwargs: Parameters.kwargs) -> int:
    try:
        status = command(*args, **kwargs)
    except MisuseError as error:
        complain(f"error: {error}")
        return MISUSE
    except (OutcomeError, ArithmeticError, MemoryError, RuntimeError) as error:
        status = _status_of(error)
        if kwargs.get("as_json"):
            print_document({"outcome": status.outcome.value, "message": str(status)})
    if status.ok:
        return 0
    complain(f"failed: {status}")
    return FAILED


def _status_of(error: Exception) -> Status:
    """The outcome in an exception; one that nobody foresaw is raised again."""
    if isinstance(error, OutcomeError):
        return error.status
    if isinstance(error, MemoryError) or "allocate memory" in str(error):  # numpy's and torch's ways to say it
        return Status(Outcome.NOT_REALIZABLE, "this system needs more memory than there is")
    if isinstance(error, ArithmeticError) or type(error).__name__ == "_LinAlgError":  # torch does not export its name
        detail = f"the numbers are too large, too small or too far apart to compute with ({error}); scale A and b"
        return Status(Outcome.NOT_REALIZABLE, detail)
    raise error


def complain(sentence: str) -> None:
    """One line on stderr, whatever is in the sentence (a file's name may hold line breaks)."""
    words = " ".join(sentence.split())
    print("".join(c if c.isprintable() else "?" for c in words), file=sys.stderr, flush=True)


def _flush_or_drop() -> None:
    """What stdout still holds goes out, or nowhere if it cannot: the interpreter's last flush must not fail again."""
    try:
        sys.stdout.flush()
    except OSError:
        drop_output()


def drop_output() -> None:
    """Point stdout to nowhere, so that the interpreter's last flush does not fail too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
