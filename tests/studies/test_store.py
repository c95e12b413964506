"""The file of finished cells: what it keeps, what it refuses, and what a kill leaves of it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tngd_hw.outcome import MisuseError
from tngd_hw.studies.sweeps import store as module
from tngd_hw.studies.sweeps.store import Store, canonical_json, cell_hash

STUDY = {"name": "test", "values": [1, 2.5]}

WRITER = """
import sys
from pathlib import Path
from tngd_hw.studies.sweeps.store import Store
path = Path(sys.argv[1])
with Store.create(path, {"name": "test"}) as store:
    k = 0
    while True:
        store.add({"cell": k}, 0, {"x": [k / 7]}, 0.1)
        print(k, flush=True)
        k += 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cells.sqlite"


def test_what_goes_in_comes_out(path: Path) -> None:
    result = {"settling": [0.1, 1 / 3, None], "outcomes": ["ok", "ok", "unstable"]}
    with Store.create(path, STUDY) as store:
        store.add({"b": 1, "a": 0.1}, 2**70, result, 0.25)
    with Store.open(path) as store:
        (record,) = store.records().values()
        assert {key: store.study()[key] for key in STUDY} == STUDY
    assert record.configuration == {"a": 0.1, "b": 1}
    assert record.seed == 2**70
    assert record.result == result
    assert record.seconds == 0.25
    assert record.hash == cell_hash({"a": 0.1, "b": 1})
    assert record.finished_at.startswith("20")


def test_numbers_keep_every_bit(path: Path) -> None:
    numbers = [5e-324, 0.1 + 0.2, -1.7976931348623157e308, 2 / 3]
    with Store.create(path, STUDY) as store:
        store.add({}, 0, {"x": numbers}, 0.0)
        (record,) = store.records().values()
    assert record.result["x"] == numbers


def test_a_cell_is_kept_once(path: Path) -> None:
    with Store.create(path, STUDY) as store:
        store.add({"k": 1}, 0, {"x": 1}, 0.0)
        store.add({"k": 1}, 0, {"x": 2}, 0.0)
        (record,) = store.records().values()
    assert record.result == {"x": 1}


def test_missing_are_those_that_are_not_there(path: Path) -> None:
    cells = [{"k": k} for k in range(5)]
    with Store.create(path, STUDY) as store:
        for k in (1, 4):
            store.add(cells[k], 0, {}, 0.0)
        assert store.missing(cells) == [0, 2, 3]


def test_the_hash_is_of_numbers_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    one = cell_hash({"a": 1, "b": [0.1, None]})
    assert one == cell_hash({"b": [0.1, float("nan")], "a": 1})  # the order of keys is nothing; NaN is written null
    assert one != cell_hash({"a": 1, "b": [0.2, None]})
    monkeypatch.setattr(module, "SCHEMA_VERSION", module.SCHEMA_VERSION + 1)
    assert one != cell_hash({"a": 1, "b": [0.1, None]})
    monkeypatch.undo()
    monkeypatch.setattr(module, "__version__", "0.0.0")
    assert one != cell_hash({"a": 1, "b": [0.1, None]})


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": (1, 2.0), "a": {"y": None, "x": "µ"}}) == '{"a":{"x":"\\u00b5","y":null},"b":[1,2.0]}'


def test_kill_9_of_the_writer_loses_nothing(path: Path) -> None:
    """Every cell whose number the writer printed after its commit is there."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(25):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    printed = 25 + len(process.stdout.read().split())
    process.wait()
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    with Store.open(path) as store:
        kept = sorted(record.configuration["cell"] for record in store.records().values())
        assert kept == list(range(len(kept)))
        assert printed <= len(kept) <= printed + 1  # one may be committed and not yet printed
        store.add({"cell": -1}, 0, {}, 0.0)  # and it can be written to
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_several_writers_wait_for_each_other(path: Path) -> None:
    with Store.create(path, STUDY):
        pass

    def write(who: int) -> None:
        for k in range(20):
            with Store.open(path) as store:
                store.add({"who": who, "k": k}, 0, {}, 0.0)

    writers = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with Store.open(path) as store:
        assert len(store.records()) == 80


def opened(path: Path) -> str:
    with pytest.raises(MisuseError) as caught, Store.open(path) as store:
        store.records()
    sentence = str(caught.value)
    assert path.name in sentence
    assert "\n" not in sentence
    return sentence


def test_what_is_no_store_is_refused(path: Path, tmp_path: Path) -> None:
    assert "there is no such store" in opened(path)
    path.write_bytes(b"")
    assert "is empty" in opened(path)
    path.write_text("not a database at all, only text that is long enough to have a header of its own " * 20)
    assert "not a readable store (file is not a database); delete it" in opened(path)
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    assert "database of another program" in opened(tmp_path / "other.sqlite")


def test_another_schema_is_refused(path: Path) -> None:
    with Store.create(path, STUDY):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "has schema 99, this version reads 1" in opened(path)


def test_damage_is_one_sentence(path: Path) -> None:
    with Store.create(path, STUDY) as store:
        for k in range(200):
            store.add({"k": k}, 0, {"x": [0.1] * 50}, 0.0)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\x5a" * (40960 - 8192)
    path.write_bytes(content)
    assert "delete it and run the study again" in opened(path)


def test_a_result_that_is_no_json_is_one_sentence(path: Path) -> None:
    with Store.create(path, STUDY) as store:
        store.add({"k": 1}, 0, {}, 0.0)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE cell SET result = 'half a resu'")
    connection.close()
    assert "not a readable store" in opened(path)


def test_an_existing_file_is_never_overwritten(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(MisuseError, match=r"exists; give --resume"), Store.create(path, STUDY):
        pass
    assert path.read_text() == "mine"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="cannot be opened"), Store.create(tmp_path / "no" / "cells.sqlite", STUDY):
        pass
