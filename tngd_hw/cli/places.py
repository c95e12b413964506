"""Files that a command is going to write: checked before the work, not after it."""

from __future__ import annotations

from pathlib import Path

from tngd_hw.outcome import MisuseError
from tngd_hw.storage import make_directory

__all__ = ["output_file"]


def output_file(path: Path, field: str, suffixes: tuple[str, ...]) -> Path:
    """``path`` if it can be written, its directory made where it is missing.

    Raises:
        MisuseError: Another ending than ``suffixes``, a directory in its place, or a place that cannot be written.
    """
    if path.suffix.lower() not in suffixes:
        raise MisuseError(f"{field} = {path}: expected a name that ends in {', '.join(suffixes)}")
    if path.is_dir():
        raise MisuseError(f"{field} = {path}: is a directory; choose the name of a file")
    make_directory(path.parent, field)
    return path
