"""Where the program starts and ends: signals, the last flush, the exit status."""

from __future__ import annotations

import io
import signal
import sys
from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run ``tngd-hw`` with the arguments of the process and exit with its status."""
    try:
        _prepare()
        from tngd_hw.cli.app import app

        try:
            app(prog_name="tngd-hw")
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:  # before a command has begun; within one, the guard is first
        from tngd_hw.cli.guard import INTERRUPTED, complain

        complain("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        from tngd_hw.cli.guard import BROKEN_PIPE, drop_output

        drop_output()
        sys.exit(BROKEN_PIPE)


def _prepare() -> None:
    """SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that a simulator in its own process group ends too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # leave nohup and a caller's own handling alone
            signal.signal(number, _stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no failure


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + number)
