"""``solve``: right answers, in the form that was asked for."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from cases import spd_matrix

from tngd_hw.readout import Estimate

A = np.array([[2.0, -0.5, 0.25], [-0.5, 1.5, 0.5], [0.25, 0.5, 1.0]])
B = np.array([1.0, -0.5, 0.25])
X = np.linalg.solve(A, B)

pytestmark = pytest.mark.usefixtures("folder")


def solved(cli, *options: str) -> dict:
    """The document of a run that must succeed, and must be strict JSON."""
    result = cli("solve", "A.npy", "b.npy", *options, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize(
    "engine", ["ideal", "behavioral", "state_space", pytest.param("ngspice", marks=pytest.mark.ngspice)]
)
def test_every_engine_answers(cli, engine: str) -> None:
    document = solved(cli, "--engine", engine, "--duration", "400tau")
    np.testing.assert_allclose(document["x"], X, rtol=0, atol=1e-5)
    assert document["engine"] == engine


def test_the_document(cli) -> None:
    document = solved(cli, "--duration", "400tau", "--seed", "3", "--hardware", "pcb_1k_1n")
    assert document["outcome"] == document["message"] == "ok"
    assert document["tau_s"] == pytest.approx(1e-9 * 1e3 * 2)  # tau = C/g0, g0 = 1/(R max|A|)
    assert document["duration_s"] == pytest.approx(400 * document["tau_s"])
    assert document["duration_tau"] == pytest.approx(400)
    assert document["stderr"] == [0.0, 0.0, 0.0]
    assert (document["seed"], document["topology"], document["kappa"]) == (3, "integrator", 0.0)
    assert (document["hardware"], len(document["hardware_hash"])) == ("pcb_1k_1n", 16)
    assert document["mapping"]["inverted_components"] == 2
    np.testing.assert_allclose(document["x_digital"], X)
    error = np.linalg.norm(document["x"] - X) / np.linalg.norm(X)
    assert document["relative_error"] == pytest.approx(error)
    assert 1e-6 < error < 0.05  # 0.1 % resistors, offsets


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_die(cli) -> None:
    options = ["A.npy", "b.npy", "--hardware", "pcb_1k_1n", "--json", "--seed"]
    first, again, other = (cli("solve", *options, seed).stdout for seed in ("1", "1", "2"))
    assert first == again != other


@pytest.mark.ngspice
def test_64_nodes_with_both_signs_in_ngspice(cli) -> None:
    """Settling leaves exp(-400 lambda_min), ngspice's end values are within 1e-5: 1e-4 leaves room for that."""
    A64 = spd_matrix(64, seed=5, condition=20.0)
    assert (A64 < 0).any()
    assert (A64 - np.diag(np.diag(A64)) > 0).any()
    b64 = np.random.default_rng(6).normal(size=64)
    np.save("A.npy", A64)
    np.save("b.npy", b64)
    document = solved(cli, "--topology", "integrator", "--engine", "ngspice", "--duration", "400tau")
    slowest = 1 / 20  # of A; tau is the time unit of A x = b itself
    exact = np.linalg.solve(A64, b64)
    assert document["relative_error"] < math.exp(-400 * slowest) + 1e-4
    assert np.linalg.norm(document["x"] - exact) / np.linalg.norm(exact) == pytest.approx(document["relative_error"])
    assert len(document["x"]) == len(document["stderr"]) == 64


def test_a_run_that_is_too_short_fails_and_still_shows_x(cli) -> None:
    result = cli("solve", "A.npy", "b.npy", "--duration", "1tau", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["outcome"] == "not_settled"
    assert result.stderr == f"failed: {document['message']}\n"
    mu, Q = np.linalg.eigh(A)
    np.testing.assert_allclose(document["x"], Q @ ((1 - np.exp(-mu)) / mu * (Q.T @ B)), atol=1e-9)
    text = cli("solve", "A.npy", "b.npy", "--duration", "1tau")
    assert text.exit_code == 1
    assert "x[0]" in text.stdout


def test_noise_has_an_error_bar(cli) -> None:
    """kappa = 1e-4 over 2,000 tau: the answer within 6 of its own standard errors, which are above 0."""
    document = solved(cli, "--kappa", "1e-4", "--duration", "2000tau", "--seed", "1")
    stderr = np.array(document["stderr"])
    assert (stderr > 0).all()
    assert (np.abs(document["x"] - X) < 6 * stderr + 1e-9).all()
    assert document["kappa"] == 1e-4


def test_a_relative_error_that_cannot_be_had_is_null(cli) -> None:
    np.save("b.npy", np.zeros(3))
    document = solved(cli)
    assert document["relative_error"] is None  # the digital answer is 0
    assert document["x"] == pytest.approx([0.0, 0.0, 0.0])


def test_several_right_hand_sides(cli) -> None:
    np.save("b.npy", np.stack([B, 2 * B], axis=1))
    document = solved(cli, "--duration", "400tau")
    np.testing.assert_allclose(document["x"], np.stack([X, 2 * X], axis=1), atol=1e-9)
    assert "x[2,1]" in cli("solve", "A.npy", "b.npy").stdout


def test_text_files(cli) -> None:
    np.savetxt("A.csv", A, delimiter=",")
    np.savetxt("b.txt", B)
    result = cli("solve", "A.csv", "b.txt", "--duration", "400tau", "--quiet")
    np.testing.assert_allclose(np.array(result.stdout.split(), dtype=float), X, atol=1e-9)


def test_what_people_see(cli) -> None:
    plain = cli("solve", "A.npy", "b.npy").stdout
    assert "3 unknowns on integrator of ideal, state_space" in plain
    assert "relative error" in plain
    assert "scale of x" not in plain
    assert "v0 = " in cli("solve", "A.npy", "b.npy", "-v").stdout
    quiet = cli("solve", "A.npy", "b.npy", "-q").stdout
    np.testing.assert_allclose(np.array(quiet.split(), dtype=float), X, atol=1e-5)


def test_long_answers_are_cut_and_shown_whole_on_demand(cli) -> None:
    np.save("A.npy", np.eye(30))
    np.save("b.npy", np.arange(30.0))
    assert "18 more; --verbose shows all" in cli("solve", "A.npy", "b.npy").stdout
    assert "x[29]" in cli("solve", "A.npy", "b.npy", "-v").stdout


def test_a_toml_made_from_a_preset(cli) -> None:
    Path("my.toml").write_text(
        cli("presets", "pcb_1k_1n").stdout.replace("resistance_ohm = 1000.0", 'resistance_ohm = "2k"')
    )
    document = solved(cli, "--hardware", "my.toml")
    assert document["tau_s"] == pytest.approx(1e-9 * 2e3 * 2)


def test_keep_and_draw(cli) -> None:
    result = cli(
        "solve", "A.npy", "b.npy", "--save", "kept/estimate.nc", "--plot", "kept/x.png", "--plot", "kept/x.svg"
    )
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(Estimate.load("kept/estimate.nc").value.numpy(), X, atol=1e-5)
    assert Path("kept/x.svg").read_text().lstrip().startswith("<?xml")
    assert cli("solve", "A.npy", "b.npy", "--plot", "x.png").exit_code == 0
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in Path("kept").iterdir()) == ["estimate.nc", "x.svg"]


def test_a_failed_run_can_be_kept(cli) -> None:
    np.save("A.npy", -A)
    result = cli("solve", "A.npy", "b.npy", "--save", "estimate.nc", "--plot", "x.png")
    assert result.exit_code == 1
    assert Estimate.load("estimate.nc").status.outcome.value == "unstable"
