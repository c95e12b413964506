"""``tngd-hw validate``: the table, its JSON, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("folder")


def test_our_matrices(cli) -> None:
    result = cli("validate", "--engine", "behavioral", "--hardware", "ideal")
    assert result.exit_code == 0
    assert "comparisons agree: path" in result.stdout
    assert "rlc_spu, not symmetric 6: A[1, 5]" in result.stdout  # a refusal says why, once


def test_json(cli) -> None:
    result = cli("validate", "--topology", "integrator", "--engine", "behavioral", "--json")
    document = json.loads(result.stdout)
    assert document["agrees"] is True
    assert {row["topology"] for row in document["rows"]} == {"integrator"}
    assert all(row["path"] < 1e-9 for row in document["rows"])


@pytest.mark.ngspice
def test_a_matrix_of_ones_own(cli) -> None:
    np.save("mine.npy", np.array([[2.0, -0.5], [0.25, 1.0]]))
    np.save("right.npy", np.array([1.0, -1.0]))
    result = cli("validate", "mine.npy", "right.npy", "--topology", "integrator", "--engine", "ngspice")
    assert result.exit_code == 0
    assert "mine.npy" in result.stdout
    assert "2 comparisons agree" in result.stdout


def test_nothing_to_compare_is_said(cli) -> None:
    np.save("mine.npy", np.array([[2.0, -0.5], [0.25, 1.0]]))
    result = cli("validate", "mine.npy", "--topology", "rlc_spu", "--engine", "behavioral")
    assert result.exit_code == 0
    assert "nothing was compared" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--engine", "ngspcie"], "engine = 'ngspcie'"),
        (["--topology", "x"], "topology = 'x'"),
        (["--hardware", "pcb"], "hardware = 'pcb'"),
        (["nothing.npy"], "nothing.npy"),
    ],
)
def test_wrong_input_is_one_sentence(cli, arguments: list[str], sentence: str) -> None:
    result = cli("validate", *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_a_seed_that_cannot_be(refused) -> None:
    assert "seed = -2: a seed is an integer of 0 or more" in refused(2, "validate", "--seed", "-2")


def test_an_unstable_matrix_is_called_that(cli, folder: Path) -> None:
    np.save(folder / "up.npy", -np.eye(2))
    result = cli("validate", "up.npy", "--engine", "behavioral", "--topology", "integrator")
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: unstable: integrator (ideal), matrix 'up.npy': ")
