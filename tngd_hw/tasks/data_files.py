"""Find data files: an explicit folder, then TNGD_HW_DATA, then the user's cache, then the public mirrors.

A file is known by the SHA-256 of its *content*, after unpacking: the same IDX file is packed by gzip in more than one
way (the mirrors' ``train-images-idx3-ubyte.gz`` has 9,912,422 bytes, others are smaller), and some people unpack it.
In each folder, ``mnist/train-images-idx3-ubyte.gz`` may also lie directly in the folder, or without ``.gz``.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tngd_hw.outcome import MisuseError
from tngd_hw.storage import make_directory
from tngd_hw.tasks.download import download

__all__ = [
    "DATA_VARIABLE",
    "MNIST_FILES",
    "SQUAD_SAMPLE",
    "DataFile",
    "cache_directory",
    "file_content",
    "find_data",
    "obtain_data",
    "verified_content",
]

DATA_VARIABLE: Final = "TNGD_HW_DATA"
"""Environment variable that names the folder of all data."""

_LIMIT_BYTES: Final = 1 << 30
_GZIP_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True)
class DataFile:
    """A file that the project can check, and where to get it.

    Attributes:
        folder: Its folder below the data folder, for example ``"mnist"``.
        name: File name; one that ends in ``.gz`` may also lie there unpacked, without that ending.
        sha256: Of the content, unpacked.
        size_bytes: Of the content, unpacked.
        mirrors: URLs, the preferred one first; empty where there is none.
    """

    folder: str
    name: str
    sha256: str
    size_bytes: int
    mirrors: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Its place below the data folder."""
        return f"{self.folder}/{self.name}"

    def places(self, directory: Path) -> list[Path]:
        """Where it may lie in ``directory``, the usual place first."""
        names = dict.fromkeys((self.name, self.name.removesuffix(".gz")))
        return [folder / name for folder in (directory / self.folder, directory) for name in names]


def _mnist(name: str, sha256: str, size_bytes: int) -> DataFile:
    mirrors = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
    return DataFile("mnist", name, sha256, size_bytes, tuple(mirror + name for mirror in mirrors))


MNIST_FILES: Final = (
    _mnist(
        "train-images-idx3-ubyte.gz", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016
    ),
    _mnist("train-labels-idx1-ubyte.gz", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008),
    _mnist("t10k-images-idx3-ubyte.gz", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016),
    _mnist("t10k-labels-idx1-ubyte.gz", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008),
)
"""Training images and labels, test images and labels (Y. LeCun, C. Cortes, C. Burges)."""

SQUAD_SAMPLE: Final = DataFile(
    "squad_sample",
    "squad_v2_dev_5_articles.json",
    "db71d0a19c3f656b1ebefafce642b828cfab269f0d906312dfb0efdc7173b31a",
    482_661,
)
"""Five articles of the SQuAD 2.0 development set (P. Rajpurkar, R. Jia, P. Liang; CC BY-SA 4.0)."""


def cache_directory() -> Path:
    """The user's cache of this package, by the custom of the system; it may not exist yet.

    Raises:
        MisuseError: The user has no home directory.
    """
    variable, below_home = {
        "win32": ("LOCALAPPDATA", "AppData/Local"),
        "darwin": ("", "Library/Caches"),
    }.get(sys.platform, ("XDG_CACHE_HOME", ".cache"))
    chosen = os.environ.get(variable, "")
    if Path(chosen).is_absolute():
        return Path(chosen) / "tngd_hw"
    try:
        return Path.home() / below_home / "tngd_hw"
    except RuntimeError:
        raise MisuseError(f"there is no home directory for a cache: set {DATA_VARIABLE} to the data folder") from None


def find_data(file: DataFile, data_dir: str | Path | None = None) -> Path | None:
    """Where ``file`` lies: in ``data_dir``, then in the folder of TNGD_HW_DATA, then in the cache; None: nowhere.

    The first place counts, whatever the file holds: :func:`verified_content` refuses a wrong one by name.

    Raises:
        MisuseError: ``data_dir`` or TNGD_HW_DATA names no folder.
    """
    found = (place for directory in _directories(data_dir) for place in file.places(directory) if _is_file(place))
    return next(found, None)


def obtain_data(
    files: Sequence[DataFile], data_dir: str | Path | None = None, *, may_download: bool = True
) -> tuple[Path, ...]:
    """Where ``files`` lie, after downloading into the cache what lies nowhere.

    Args:
        files: What is wanted.
        data_dir: The folder to look in first.
        may_download: False: never touch the network.

    Returns:
        One path a file; what was found is not checked yet (:func:`verified_content` does it).

    Raises:
        MisuseError: Files are missing (which, and where to put them), or a folder does not exist.
    """
    paths: list[Path] = []
    for number, file in enumerate(files):
        path = find_data(file, data_dir)
        if path is None:
            target = cache_directory() / file.folder / file.name
            failure = _download(file, target) if may_download else "downloading is off"
            if failure is not None:
                missing = [later for later in files[number:] if find_data(later, data_dir) is None]
                raise MisuseError(_missing(missing, target.parents[1], failure))
            path = target
        paths.append(path)
    return tuple(paths)


def verified_content(file: DataFile, path: Path) -> bytes:
    """The content of ``file`` at ``path``, unpacked and checked.

    Raises:
        MisuseError: The file cannot be read or unpacked, or its size or SHA-256 is another one.
    """
    content = file_content(path, limit_bytes=file.size_bytes)
    if len(content) != file.size_bytes or hashlib.sha256(content).hexdigest() != file.sha256:
        raise MisuseError(f"{path}: this is not the published {file.name} (its SHA-256 differs); {_replace(file)}")
    return content


def file_content(path: str | Path, *, limit_bytes: int = _LIMIT_BYTES) -> bytes:
    """The bytes of a file; one packed by gzip (seen by its first bytes, not by its name) is unpacked.

    Raises:
        MisuseError: The file is missing, truncated or corrupt, or holds more than ``limit_bytes``.
    """
    try:
        with Path(path).open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    content = unpacked.read(limit_bytes + 1)  # to the end, where gzip's own checksum is
            else:
                content = raw.read(limit_bytes + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise MisuseError(f"{path}: truncated or corrupt gzip file ({error}); get it again") from None
    except OSError as error:
        raise MisuseError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > limit_bytes:
        raise MisuseError(f"{path}: holds more than the {limit_bytes} bytes expected; this is another file")
    return content


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder above it may not be read
        return False


def _directories(data_dir: str | Path | None) -> list[Path]:
    """Where to look, in order; what the user named has to be there."""
    named = (("data_dir", data_dir), (DATA_VARIABLE, os.environ.get(DATA_VARIABLE) or None))
    directories = [(field, Path(name)) for field, name in named if name is not None]
    for field, directory in directories:
        if not directory.is_dir():
            raise MisuseError(f"{field} = {directory}: there is no such folder; name the one that holds mnist/")
        if not os.access(directory, os.R_OK | os.X_OK):
            raise MisuseError(f"{field} = {directory}: this folder may not be read; change its rights or name another")
    return [directory for _, directory in directories] + [cache_directory()]


def _download(file: DataFile, target: Path) -> str | None:
    """Download into the cache; None, or why not."""
    if not file.mirrors:
        return "no mirror has it"

    def is_right(path: Path) -> bool:
        try:
            verified_content(file, path)
        except MisuseError:
            return False
        return True

    try:
        make_directory(target.parent, "cache")
        limit_bytes = file.size_bytes + file.size_bytes // 1000 + 4096  # gzip adds that much at most
        return download(file.mirrors, target, is_right, limit_bytes)
    except MisuseError as error:  # the cache cannot be written
        return str(error)


def _missing(files: Sequence[DataFile], directory: Path, why: str) -> str:
    names = ", ".join(map(str, files))
    sources = list(dict.fromkeys(file.mirrors[0].rpartition("/")[0] for file in files if file.mirrors))
    source = f", from {' or '.join(sources)} or a copy of yours" if sources else ""
    return (
        f"data not found: {names} ({why}); put {'it' if len(files) == 1 else 'them'} under {directory}, "
        f"or under a folder named by data_dir or {DATA_VARIABLE}{source}"
    )


def _replace(file: DataFile) -> str:
    return "remove it, and it is downloaded again" if file.mirrors else "put the original there"
