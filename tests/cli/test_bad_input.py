"""What cannot be meant is misuse (2), what cannot be had is a failed outcome (1); one sentence each, no traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("folder")

Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.ones((2, 3)), "A has shape (2, 3): expected a square matrix"),
        (np.ones(3), "A has shape (3,)"),
        (np.array(2.0), "A has shape ()"),
        (np.zeros((0, 0)), "A is empty"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), "A[0, 1] = nan: every entry must be finite"),
        (np.array([[np.inf, 0.0], [0.0, 1.0]]), "A[0, 0] = inf"),
        (np.eye(2) * 1j, "A is complex"),
        (np.array([["a", "b"]]), "A has dtype"),
    ],
)
@pytest.mark.parametrize("command", ["solve", "compile"])
def test_a_matrix_that_cannot_be_meant(refused: Refused, command: str, matrix: np.ndarray, says: str) -> None:
    np.save("bad.npy", matrix)
    options = ["-o", "out"] if command == "compile" else []
    line = refused(2, command, "bad.npy", "b.npy", *options)
    assert line.startswith("error: ")
    assert says in line
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("right", "says"),
    [
        (np.ones(4), "b has shape (4,): A has 3 rows"),
        (np.ones((2, 3)), "b has shape (2, 3)"),
        (np.array(1.0), "b has shape ()"),
        (np.array([1.0, np.nan, 0.0]), "b[1] = nan"),
        (np.ones(3) * 1j, "b is complex"),
    ],
)
def test_a_right_hand_side_that_does_not_fit(refused: Refused, right: np.ndarray, says: str) -> None:
    np.save("bad.npy", right)
    assert says in refused(2, "solve", "A.npy", "bad.npy")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--topology", "integratr"],
            "topology = 'integratr': the topologies are passive_rc, gm_c, integrator, rlc_spu, three_array, "
            "amc_inverse; did you mean 'integrator'?",
        ),
        (["--engine", "ngspcie"], "engine = 'ngspcie'"),
        (["--hardware", "pcb"], "hardware = 'pcb': the presets are ideal, pcb_1k_1n"),
        (["--hardware", "none.toml"], "hardware = none.toml: cannot be read"),
        (["--hardware", "directory.toml"], "hardware = directory.toml: cannot be read"),
        (["--hardware", "key.toml"], "hardware.resistors.colour"),
        (["--hardware", "value.toml"], "resistance_ohm = '1 nF'"),
        (["--hardware", "negative.toml"], "hardware.capacitors.capacitance_farad = -1.0"),
        (["--hardware", "broken.toml"], "not readable as TOML"),
        (["--hardware", "bytes.toml"], "not readable as TOML"),
        (["--duration", "soon"], "--duration = 'soon': not a time"),
        (["--duration", "0tau"], "--duration = '0tau': expected a time above 0"),
        (["--kappa", "-1"], "kappa = -1.0"),
        (["--kappa", "nan"], "kappa = nan"),
        (["--x-max", "0"], "x_max = 0.0"),
        (["--seed", "-1"], "seed = -1: a seed is an integer of 0 or more"),
        (["-q", "-v"], "--quiet and --verbose exclude each other"),
        (["--save", "estimate.txt"], "--save = estimate.txt: expected a name that ends in .nc"),
        (["--plot", "figure.bmp"], "--plot = figure.bmp"),
        (["--plot", "directory.png"], "--plot = directory.png: is a directory"),
        (["--save", "file/estimate.nc"], "--save = file: cannot be written"),
    ],
)
def test_options_that_cannot_be_meant(refused: Refused, options: list[str], says: str) -> None:
    for name in ("directory.toml", "directory.png"):
        Path(name).mkdir()
    Path("file").touch()
    Path("key.toml").write_text('name = "x"\n[resistors]\ncolour = "red"\n')
    Path("value.toml").write_text('name = "x"\n[resistors]\nresistance_ohm = "1 nF"\n')
    Path("negative.toml").write_text('name = "x"\n[capacitors]\ncapacitance_farad = -1.0\n')
    Path("broken.toml").write_text("name = \n")
    Path("bytes.toml").write_bytes(b"\xff\xfe\x00")
    assert says in refused(2, "solve", "A.npy", "b.npy", *options)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.npy", None, "A = none.npy: cannot be read (No such file or directory)"),
        ("folder.npy", "directory", "A = folder.npy: cannot be read (Is a directory)"),
        ("empty.npy", "", "A = empty.npy: not an array of numbers"),
        ("text.npy", "1 2\n3 4\n", "A = text.npy: not an array of numbers"),
        ("A.mat", "", "A = A.mat: expected a file that ends in .npy, .csv or .txt"),
        ("A", "", "A = A: expected a file that ends in"),
        ("words.csv", "a,b\n1,2\n", "A = words.csv: not an array of numbers"),
        ("ragged.csv", "1,2\n3\n", "A = ragged.csv: not an array of numbers"),
        ("empty.csv", "", "A has shape"),
        ("line\nbreak.npy", None, "A = line break.npy: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read(refused: Refused, name: str, content: str | None, says: str) -> None:
    if content == "directory":
        Path(name).mkdir()
    elif content is not None:
        Path(name).write_text(content)
    assert says in refused(2, "solve", name, "b.npy")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_permissions(refused: Refused) -> None:
    Path("A.npy").chmod(0)
    assert "Permission denied" in refused(2, "solve", "A.npy", "b.npy")


@pytest.mark.parametrize("place", ["/dev/null/out", "file/out", "file"])
def test_a_directory_that_cannot_be_written(refused: Refused, place: str) -> None:
    Path("file").touch()
    assert f"--out = {place}: cannot be written" in refused(2, "compile", "A.npy", "b.npy", "-o", place)


def test_compile_takes_one_right_hand_side(refused: Refused) -> None:
    np.save("b2.npy", np.ones((3, 2)))
    assert "one right-hand side" in refused(2, "compile", "A.npy", "b2.npy", "-o", "out")


@pytest.mark.parametrize("command", ["solve", "compile"])
def test_a_matrix_beyond_the_range_of_floating_point_products(refused: Refused, command: str) -> None:
    np.save("huge.npy", np.eye(3) * 1e300)
    options = ["-o", "out"] if command == "compile" else []
    assert "A has 1e+300 as its largest entry: scale A and b" in refused(2, command, "huge.npy", "b.npy", *options)


def unstable_with_real_amplifiers() -> np.ndarray:
    """Eigenvalues 0.01 +- 60i: stable on paper, and not with amplifiers of 75 MHz (tau = 60 us there, 1 us here)."""
    return np.array([[0.01, 60.0], [-60.0, 0.01]])


FAILURES = [
    (-np.eye(3), "unstable", "A has an eigenvalue with real part -1"),
    (np.ones((3, 3)), "singular", "add damping"),
    (np.zeros((3, 3)), "singular", "add damping"),
]


@pytest.mark.parametrize(
    ("matrix", "outcome", "says"), FAILURES, ids=[f"{row[1]}_{k}" for k, row in enumerate(FAILURES)]
)
@pytest.mark.parametrize("command", ["solve", "compile"])
def test_a_matrix_that_no_circuit_can_answer(cli, command: str, matrix: np.ndarray, outcome: str, says: str) -> None:
    np.save("bad.npy", matrix)
    options = ["-o", "out"] if command == "compile" else []
    result = cli(command, "bad.npy", "b.npy", "--json", *options)
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["outcome"] == outcome
    assert says in document["message"]
    assert result.stderr == f"failed: {document['message']}\n"
    assert not Path("out").exists()


def test_a_circuit_that_its_amplifiers_make_unstable(cli) -> None:
    np.save("bad.npy", unstable_with_real_amplifiers())
    np.save("b2.npy", np.ones(2))
    arguments = ["bad.npy", "b2.npy", "--hardware", "pcb_1k_1n"]
    for command in (["solve"], ["compile", "-o", "out"]):
        result = cli(command[0], *arguments, *command[1:], "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout)["outcome"] == "unstable"
        assert "with its real amplifiers" in result.stderr


@pytest.mark.parametrize("place", ["/nowhere/ngspice", "not_executable", "liar", "silent"])
def test_no_ngspice(cli, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    Path("not_executable").touch()
    for name, body in (("liar", "echo 'something-40'"), ("silent", "exit 0")):
        Path(name).write_text(f"#!/bin/sh\n{body}\n")
        Path(name).chmod(0o755)
    monkeypatch.setenv("TNGD_NGSPICE", place if place.startswith("/") else f"./{place}")
    result = cli("solve", "A.npy", "b.npy", "--engine", "ngspice", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["outcome"] == "simulator_missing"
    assert document["x"] == [None, None, None]
    assert document["relative_error"] is None
    assert "apt-get install ngspice" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 3", "echo 'Error: no' >&2; exit 0"])
def test_an_ngspice_that_dies(cli, monkeypatch: pytest.MonkeyPatch, folder: Path, end: str) -> None:
    fake = folder / "ngspice"
    fake.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "** ngspice-39 :"; exit; fi\n{end}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("TNGD_NGSPICE", str(fake))
    result = cli("solve", "A.npy", "b.npy", "--engine", "ngspice", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["outcome"] == "simulator_failed"
    assert result.stderr.startswith("failed: simulator_failed: ngspice ")
    assert result.stderr.count("\n") == 1
