"""Download one file from the first mirror that gives the right one; nothing half-finished is ever left behind."""

from __future__ import annotations

import contextlib
import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from tngd_hw.storage import atomic_path

__all__ = ["download"]

_TIMEOUT_S = 20.0
_BLOCK_BYTES = 1 << 16


def download(addresses: Sequence[str], target: Path, is_right: Callable[[Path], bool], limit_bytes: int) -> str | None:
    """Fetch ``target`` from the first of ``addresses`` that gives the right file.

    The file comes under a temporary name and takes its place only after the check, so that an interruption (Ctrl-C, a
    full disk, a lost connection) leaves nothing.  On a terminal, stderr shows a progress bar.

    Args:
        addresses: URLs of the same file, the preferred one first.
        target: Where it goes; its folder exists.
        is_right: Called with the path of what came; False for another or a broken file.
        limit_bytes: A longer answer is cut off and refused.

    Returns:
        None when the file is there, else why each address failed, as a clause.

    Raises:
        MisuseError: ``target`` cannot be written.
    """
    reasons: list[str] = []
    for address in addresses:
        try:
            _fetch(address, target, is_right, limit_bytes)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{address}: {_why(error)}")
        else:
            return None
    return "; ".join(reasons) or "no mirror has it"


class _OtherFileError(OSError):
    """The address gave something, but not the file."""


def _fetch(address: str, target: Path, is_right: Callable[[Path], bool], limit_bytes: int) -> None:
    with atomic_path(target) as temporary:
        with (
            urllib.request.urlopen(address, timeout=_TIMEOUT_S) as response,
            temporary.open("wb") as file,
            _bar(target.name, response.headers.get("Content-Length")) as tell,
        ):
            received = 0
            while block := response.read(_BLOCK_BYTES):
                received += len(block)
                if received > limit_bytes:
                    raise _OtherFileError("gave a longer file")
                file.write(block)
                tell(received)
        if not is_right(temporary):
            raise _OtherFileError("gave another file, or a broken one")


@contextlib.contextmanager
def _bar(name: str, announced: str | None) -> Generator[Callable[[int], None]]:
    """What to tell the number of bytes so far: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _received: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        total = int(announced) if announced is not None and announced.isdecimal() else None
        row = progress.add_task(name, total=total)
        yield lambda received: progress.update(row, completed=received)


def _why(error: Exception) -> str:
    """The cause without the classes around it: the network's own words, or what the server answered."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, urllib.error.URLError):
        return _why(error.reason) if isinstance(error.reason, Exception) else str(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
