"""One SQLite file that holds every finished cell of a study, committed at once.

A cell is finished when its row is committed, and the process that computed it commits it: a worker writes its own
cells, each in a transaction of its own.  Were the parent to write, a ``kill -9`` of the parent would lose what the
workers had handed over and it had not written yet.  Several writers are no burden here: a cell takes 10 ms and more, a
commit about 1 ms, and a writer that finds the file busy waits (up to a minute).

Write-ahead log and ``synchronous = FULL``: every commit is on the disk before the cell counts, so that a crash of the
machine loses none either; half a commit is rolled back by whoever opens the file next.  The file has to lie on a disk
of this machine (the log needs shared memory); after a kill the log, cells.sqlite-wal, stays
beside it and is part of it.

A row is unique by the hash of its configuration, the version of the package and the version of the schema: the same
cell is never computed twice, and another version's numbers are never taken for one's own.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import math
import sqlite3
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tngd_hw import __version__
from tngd_hw.outcome import MisuseError

__all__ = ["SCHEMA_VERSION", "CellRecord", "Store", "canonical_json", "cell_hash"]

SCHEMA_VERSION = 1
"""Of the tables and of what a result holds; raise it when either changes."""

_APPLICATION = 0x746E6764  # "tngd", written into the file's header
_BUSY_S = 60.0
_TABLES = """
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE cell (
    hash TEXT PRIMARY KEY, configuration TEXT NOT NULL, seed TEXT NOT NULL, result TEXT NOT NULL,
    seconds REAL NOT NULL, finished_at TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class CellRecord:
    """One finished cell.

    Attributes:
        configuration: All that its numbers depend on.
        hash: Of the configuration and the versions.
        seed: Of the study.
        result: The numbers, as plain data.
        seconds: Time it took.
        finished_at: When, UTC.
    """

    configuration: dict[str, Any]
    hash: str
    seed: int
    result: dict[str, Any]
    seconds: float
    finished_at: str


class Store:
    """An open store; made by :meth:`create` or :meth:`open`.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    @contextlib.contextmanager
    def create(cls, path: Path, study: Mapping[str, Any]) -> Generator[Store]:
        """A new file that carries the study's own configuration.

        Raises:
            MisuseError: A file that is there already, or a place that cannot be written.
        """
        if path.exists():
            raise MisuseError(f"{path}: exists; give --resume to run what is missing, or choose another --out")
        with _connected(path) as connection, _readable(path):
            connection.execute("PRAGMA journal_mode = WAL")
            content = {"study": canonical_json(study), "version": __version__}
            with connection:
                connection.executescript(f"BEGIN; PRAGMA application_id = {_APPLICATION}; {_TABLES}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.executemany("INSERT INTO study VALUES (?, ?)", content.items())
            yield cls(path, connection)

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Generator[Store]:
        """A file that is there.

        Raises:
            MisuseError: No such file, a damaged one, a database of something else, or of another schema.
        """
        if not path.is_file():
            raise MisuseError(f"{path}: there is no such store; leave out --resume to begin one")
        with _connected(path) as connection:
            with _readable(path):
                application = connection.execute("PRAGMA application_id").fetchone()[0]
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if application == version == 0 and not connection.execute("SELECT * FROM sqlite_master").fetchall():
                    raise MisuseError(f"{path}: is empty (a study was stopped as it began); delete it")
                if application != _APPLICATION:
                    raise MisuseError(f"{path}: is a database of another program; choose another --out")
                if version != SCHEMA_VERSION:
                    advice = "delete it and run the study again, or use the version that wrote it"
                    raise MisuseError(f"{path}: has schema {version}, this version reads {SCHEMA_VERSION}; {advice}")
            yield cls(path, connection)

    def study(self) -> dict[str, Any]:
        """The configuration it was created for."""
        with _readable(self.path):
            rows = dict(self._connection.execute("SELECT key, value FROM study").fetchall())
            return json.loads(rows["study"]) | {"version": rows["version"]}

    def add(self, configuration: Mapping[str, Any], seed: int, result: Mapping[str, Any], seconds: float) -> None:
        """Commit one finished cell; one that is there already stays as it is."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        row = (cell_hash(configuration), canonical_json(configuration), str(seed), canonical_json(result), seconds, now)
        with _readable(self.path), self._connection:
            self._connection.execute("INSERT OR IGNORE INTO cell VALUES (?, ?, ?, ?, ?, ?)", row)

    def missing(self, configurations: Iterable[Mapping[str, Any]]) -> list[int]:
        """Places in the list of the cells that are not finished."""
        with _readable(self.path):
            done = {row[0] for row in self._connection.execute("SELECT hash FROM cell")}
        return [place for place, one in enumerate(configurations) if cell_hash(one) not in done]

    def records(self) -> dict[str, CellRecord]:
        """Every finished cell by its hash.

        Raises:
            MisuseError: A damaged file.
        """
        with _readable(self.path):
            rows = self._connection.execute("SELECT * FROM cell ORDER BY rowid").fetchall()
            return {row[0]: _record(row) for row in rows}


def canonical_json(value: Mapping[str, Any]) -> str:
    """The one spelling of a configuration: sorted keys, no blanks, numbers by their shortest exact digits."""
    return json.dumps(_strict(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def cell_hash(configuration: Mapping[str, Any]) -> str:
    """SHA-256 of the configuration with the versions of package and schema, 64 hex digits."""
    whole = {"configuration": configuration, "schema": SCHEMA_VERSION, "version": __version__}
    return hashlib.sha256(canonical_json(whole).encode()).hexdigest()


def _record(row: tuple[Any, ...]) -> CellRecord:
    found, configuration, seed, result, seconds, finished_at = row
    return CellRecord(json.loads(configuration), found, int(seed), json.loads(result), seconds, finished_at)


@contextlib.contextmanager
def _connected(path: Path) -> Generator[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_S)
    except sqlite3.OperationalError as error:
        raise MisuseError(f"{path}: cannot be opened ({error}); choose another --out") from None
    with contextlib.closing(connection):
        with _readable(path):
            connection.execute("PRAGMA synchronous = FULL")
        yield connection


@contextlib.contextmanager
def _readable(path: Path) -> Generator[None]:
    """What SQLite and the parser say of a damaged file, as one sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise MisuseError(f"{path}: cannot be used ({error}); make room, or choose another --out") from None
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, MisuseError):
            raise
        raise MisuseError(f"{path}: not a readable store ({error}); delete it and run the study again") from None


def _strict(value: Any) -> Any:
    """NaN and infinity, which JSON has no words for, as null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): _strict(item) for key, item in cast("dict[object, Any]", value).items()}
        case list() | tuple():
            return [_strict(item) for item in cast("list[Any]", value)]
        case _:
            return value
