"""``tngd-hw study``: what it prints and leaves, its refusals, its resumption."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("folder")

FILE = """
quantity = "resistors.tolerance_dtod"
values = [0.01, 0.1]
topologies = ["integrator", "passive_rc"]
matrices = ["wishart_2n", "laplacian"]
sizes = [6]
chips = 2
repetitions = 2
kappa = 1e-6
"""

ARGUMENTS = ("study", "own.toml", "--out", "out", "--workers", "1")


@pytest.fixture(autouse=True)
def _file(folder: Path) -> None:
    (folder / "own.toml").write_text(FILE)


def test_table_and_files(cli, folder: Path) -> None:
    result = cli(*ARGUMENTS)
    assert result.exit_code == 0, result.output
    assert "integrator, wishart_2n, n = 6" in result.stdout
    assert "not_realizable: diagonal dominance" in result.stdout
    for part in ("settling", "sampling", "systematic", "total"):
        assert part in result.stdout
    assert {path.name for path in (folder / "out").iterdir()} >= {
        "cells.sqlite", "result.nc", "summary.json", "table.txt", "figure.png", "figure.svg",
    }  # fmt: skip


def test_json_is_the_summary(cli, folder: Path) -> None:
    result = cli(*ARGUMENTS, "--json")
    document = json.loads(result.stdout)
    kept = json.loads((folder / "out" / "summary.json").read_text())
    assert document == {**kept, "out": "out"}
    assert [one["topology"] for one in document["series"]] == ["integrator"] * 2 + ["passive_rc"] * 2
    assert document["series"][0]["points"][1]["outcomes"] == {"ok": 4}
    assert document["series"][2]["points"][0]["total"]["mean"] is None


def test_quiet_names_the_folder_alone(cli) -> None:
    assert cli(*ARGUMENTS, "--quiet").stdout == "out\n"


def test_options_replace_what_the_file_says(cli, folder: Path) -> None:
    np.save(folder / "mine.npy", np.array([[2.0, -0.5], [-0.5, 1.0]]))
    more = ("--topology", "gm_c", "--topology", "rlc_spu", "--matrix", "mine.npy", "--nodes", "2", "--chips", "5")
    result = cli(*ARGUMENTS, *more, "--seed", "4", "--hardware", "pcb_1k_1n", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["study"]["seed"] == 4
    assert document["study"]["hardware"]["name"] == "pcb_1k_1n"
    assert [one["topology"] for one in document["series"]] == ["gm_c", "rlc_spu"]
    assert document["series"][0]["points"][0]["outcomes"] == {"ok": 10}


def test_a_named_study(cli) -> None:
    arguments = ("mismatch", "--topology", "integrator", "--matrix", "laplacian", "--nodes", "4", "--chips", "2")
    result = cli("study", *arguments, "--workers", "1", "--json")
    document = json.loads(result.stdout)
    assert document["out"] == "results/study_mismatch"
    medians = [point["systematic"]["median"] for point in document["series"][0]["points"]]
    assert medians == sorted(medians)


def test_an_existing_store_needs_resume(cli, refused) -> None:
    assert cli(*ARGUMENTS).exit_code == 0
    assert (
        refused(2, *ARGUMENTS)
        == "error: out/cells.sqlite: exists; give --resume to run what is missing, or choose another --out"
    )
    assert cli(*ARGUMENTS, "--resume").exit_code == 0
    assert "chips (there 2, here 3)" in refused(2, *ARGUMENTS, "--resume", "--chips", "3")


def test_hardware_replaces_what_the_file_says_before_the_sweep(cli, folder: Path) -> None:
    (folder / "own.toml").write_text(FILE.replace("resistors.tolerance_dtod", "amplifiers.open_loop_gain"))
    (folder / "own.toml").write_text((folder / "own.toml").read_text().replace("[0.01, 0.1]", "[1e3, 1e5]"))
    arguments = (*ARGUMENTS, "--topology", "integrator", "--matrix", "laplacian")
    assert cli(*arguments).exit_code == 2
    assert cli(*arguments, "--hardware", "pcb_1k_1n").exit_code == 0


def test_resume_without_a_store_begins(cli) -> None:
    assert cli(*ARGUMENTS, "--resume").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mismach"], "noise, settling, covariance, training, or give a file FILE.toml"),
        (["nothing.toml"], "study = nothing.toml: cannot be read"),
        (["own.toml", "--topology", "integrater"], "did you mean 'integrator'"),
        (["own.toml", "--matrix", "wishart"], "the families are wishart_n"),
        (["own.toml", "--matrix", "A.npy"], "A has 3 rows, the study 6 nodes"),
        (["own.toml", "--matrix", "no.npy"], "cannot be read"),
        (["own.toml", "--nodes", "0"], "sizes = 0"),
        (["own.toml", "--chips", "-1"], "chips = -1"),
        (["own.toml", "--workers", "0"], "workers = 0"),
        (["own.toml", "--seed", "-3"], "seed = -3"),
        (["own.toml", "--hardware", "pcb"], "hardware = 'pcb'"),
        (["own.toml", "--out", "own.toml"], "out = own.toml: cannot be written"),
    ],
)
def test_wrong_input_is_one_sentence(refused, arguments: list[str], sentence: str) -> None:
    assert sentence in refused(2, "study", *arguments)


def test_a_broken_store_is_one_sentence(refused, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "cells.sqlite").write_text("no database " * 100)
    assert "not a readable store" in refused(2, *ARGUMENTS, "--resume")


@pytest.mark.slow
def test_interrupt_keeps_finished_cells_and_resume_goes_on(start, cli, folder: Path) -> None:
    """Ctrl-C to the program and its two workers: exit code 130, one line, and the rest runs afterwards."""
    (folder / "own.toml").write_text(FILE.replace("[0.01, 0.1]", str([k / 1000 for k in range(1, 21)])))
    process = start("study", "own.toml", "--out", "out", "--workers", "2")
    try:
        end = time.monotonic() + 60
        while count(folder) < 5 and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, errors) == (130, "", "interrupted\n")
    kept = count(folder)
    assert 5 <= kept < 160
    result = cli("study", "own.toml", "--out", "out", "--workers", "1", "--resume", "--quiet")
    assert result.exit_code == 0
    assert count(folder) == 160


def count(folder: Path) -> int:
    path = folder / "out" / "cells.sqlite"
    if not path.exists():
        return 0
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT count(*) FROM cell").fetchone()[0]
    except sqlite3.OperationalError:  # it is just being created
        return 0
    finally:
        connection.close()


def test_covariance_of_the_board(cli, folder: Path) -> None:
    """Two sources of noise, two tolerances; the options of the other studies are refused."""
    result = cli("study", "covariance", "--chips", "20", "--out", "floors", "--json")
    document = json.loads(result.stdout)
    assert [curve["bath"] for curve in document["curves"]] == ["generator"] * 2 + ["resistor"] * 2
    assert document["curves"][1]["floor"] > 4 * document["curves"][0]["floor"] > 1e5 * document["curves"][3]["floor"]
    assert {path.name for path in (folder / "floors").iterdir()} == {
        "summary.json", "table.txt", "figure.png", "figure.svg",
    }  # fmt: skip
    refused = cli("study", "covariance", "--nodes", "4")
    assert refused.exit_code == 2
    assert "--nodes: the study covariance is about the 8 cells of spu8_board" in refused.stderr
