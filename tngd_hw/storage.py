"""One way to write files (whole or not at all) and one versioned format for labelled results (netCDF)."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tngd_hw.outcome import MisuseError

if TYPE_CHECKING:
    import xarray

__all__ = [
    "FORMAT_VERSION",
    "atomic_path",
    "finite_data",
    "load_dataset",
    "make_directory",
    "save_dataset",
    "write_json",
    "write_text",
]

FORMAT_VERSION = 1
"""Version written into every saved result; a newer one is refused when read."""


def make_directory(path: str | Path, field: str) -> Path:
    """Create ``path`` (and parents) if missing and check that it can be written; MisuseError names ``field``."""
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise MisuseError(f"{field} = {directory}: cannot be written ({error.strerror}); choose another") from None
    return directory


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Generator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not."""
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    except OSError as error:
        raise MisuseError(f"{target}: cannot be written ({error.strerror}); choose another place") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        try:
            temporary.replace(target)
        except OSError as error:
            raise MisuseError(f"{target}: cannot be written ({error.strerror}); choose another place") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def finite_data(value: Any) -> Any:
    """Plain data with null in the place of every NaN and infinity, which JSON does not know."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: finite_data(item) for key, item in cast("dict[str, Any]", value).items()}
        case list() | tuple():
            return [finite_data(item) for item in cast("list[Any]", value)]
        case _:
            return value


def write_json(path: str | Path, document: Any) -> None:
    """Write ``document`` to ``path`` atomically as indented JSON; NaN and infinity are refused by the encoder."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def save_dataset(dataset: xarray.Dataset, path: str | Path, kind: str) -> None:
    """Write ``dataset`` to ``path`` as netCDF-4, marked with its ``kind`` and :data:`FORMAT_VERSION`."""
    dataset = dataset.assign_attrs(tngd_hw_kind=kind, tngd_hw_format=FORMAT_VERSION)
    with atomic_path(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")


def load_dataset(path: str | Path, kind: str) -> xarray.Dataset:
    """Read what :func:`save_dataset` wrote; MisuseError for another kind, a newer format or a foreign file."""
    import xarray

    try:
        dataset = xarray.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError) as error:
        raise MisuseError(f"{path}: not a readable netCDF file ({error})") from None
    found, version = dataset.attrs.get("tngd_hw_kind"), dataset.attrs.get("tngd_hw_format")
    if found != kind:
        raise MisuseError(f"{path} holds {found!r}, expected {kind!r}: load it with the class that saved it")
    if version is None or int(version) > FORMAT_VERSION:
        raise MisuseError(f"{path} has format {version}, this version reads up to {FORMAT_VERSION}: update tngd_hw")
    return dataset
