"""``compile``: a folder that a simulator, a layout and a shop can use."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.engines import Ngspice
from tngd_hw.random import derived_seed

A = np.array([[2.0, -0.5, 0.25], [-0.5, 1.5, 0.5], [0.25, 0.5, 1.0]])
B = np.array([1.0, -0.5, 0.25])
FILES = [
    "deck.cir", "ports.json", "mapping.json", "mapping.txt", "design.json", "design.txt", "bill_of_materials.csv",
    "schematic_cell.svg", "schematic_cell.png", "schematic_array.svg", "schematic_array.png",
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("folder")


def test_the_files(cli) -> None:
    result = cli("compile", "A.npy", "b.npy", "-o", "deep/out", "--hardware", "pcb_1k_1n", "--quiet")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [f"deep/out/{name}" for name in FILES]
    assert sorted(path.name for path in Path("deep/out").iterdir()) == sorted(FILES)
    mapping = json.loads(Path("deep/out/mapping.json").read_text())
    assert mapping["matrix_components"] == 9
    assert "expected loss in x" in Path("deep/out/mapping.txt").read_text()
    rows = list(csv.DictReader(Path("deep/out/bill_of_materials.csv").read_text().splitlines()))
    assert sum(int(row["count"]) for row in rows if row["role"] == "array resistor") == 9
    assert Path("deep/out/schematic_array.png").read_bytes().startswith(b"\x89PNG")


def test_the_document_and_the_prose(cli) -> None:
    result = cli("compile", "A.npy", "b.npy", "-o", "out", "--duration", "50tau", "--json")
    document = json.loads(result.stdout)
    assert (document["outcome"], document["files"]) == ("ok", FILES)
    assert document["duration_s"] == pytest.approx(50 * document["tau_s"])
    assert "expected loss in x" in cli("compile", "A.npy", "b.npy", "-o", "out").stdout


def ngspice_end(deck: Path) -> dict[str, float]:
    """Last printed value of every column of ``ngspice -b``, as a user runs it: no raw file, no other option."""
    done = subprocess.run(
        ["ngspice", "-b", deck.name], cwd=deck.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    end: dict[str, float] = {}
    names: list[str] = []
    for line in done.stdout.splitlines():
        if line.startswith("Index"):
            names = line.split()[1:]
        elif re.match(r"\d+\t", line):
            end.update(zip(names, map(float, line.split()[1:]), strict=True))
    return end


@pytest.mark.ngspice
def test_the_deck_runs_as_it_is_and_the_port_map_reads_it(cli) -> None:
    assert cli("compile", "A.npy", "b.npy", "-o", "out", "--duration", "400tau").exit_code == 0
    end = ngspice_end(Path("out/deck.cir"))
    ports = json.loads(Path("out/ports.json").read_text())
    x = [end[port["output"]] * port["x_per_volt"] for port in ports["ports"]]
    np.testing.assert_allclose(x, np.linalg.solve(A, B), rtol=0, atol=1e-4)
    assert end["time"] == pytest.approx(ports["duration_s"])


@pytest.mark.ngspice
def test_the_deck_is_the_circuit_that_solve_runs(cli) -> None:
    """The same die for the same seed: end values agree with solve's to the six digits that ngspice prints."""
    options = ["--hardware", "pcb_1k_1n", "--seed", "4", "--duration", "400tau"]
    assert cli("compile", "A.npy", "b.npy", "-o", "out", *options).exit_code == 0
    solved = json.loads(cli("solve", "A.npy", "b.npy", "--engine", "ngspice", "--json", *options).stdout)["x"]
    ports = json.loads(Path("out/ports.json").read_text())["ports"]
    end = ngspice_end(Path("out/deck.cir"))
    np.testing.assert_allclose([end[p["output"]] * p["x_per_volt"] for p in ports], solved, rtol=2e-5, atol=1e-6)
    assert abs(solved[0] - np.linalg.solve(A, B)[0]) > 1e-5  # a real die, not the ideal one


def test_the_port_map(cli) -> None:
    """One entry an unknown, with the source's volts as they stand in the deck: v_in = -(g0 v0/g_in) b."""
    assert cli("compile", "A.npy", "b.npy", "-o", "out").exit_code == 0
    ports = json.loads(Path("out/ports.json").read_text())
    deck = Path("out/deck.cir").read_text()
    assert [port["output"] for port in ports["ports"]] == ["v(out0)", "v(out1)", "v(out2)"]
    for i, port in enumerate(ports["ports"]):
        assert port["unknown"] == i
        assert port["initial_volt"] == 0.0
        assert port["source_value"] == pytest.approx(port["source_per_b"] * B[i])
        assert port["source_per_b"] < 0
        (card,) = re.findall(rf"^{port['source']} in{i} 0 dc (\S+)$", deck, re.MULTILINE)
        assert float(card) == port["source_value"]


def test_without_b_nothing_is_driven(cli) -> None:
    assert cli("compile", "A.npy", "-o", "out").exit_code == 0
    ports = json.loads(Path("out/ports.json").read_text())["ports"]
    assert [port["source_value"] for port in ports] == [0.0, 0.0, 0.0]


def test_the_same_request_gives_the_same_files(cli) -> None:
    for name in ("first", "second"):
        assert cli("compile", "A.npy", "b.npy", "-o", name, "--hardware", "pcb_1k_1n", "--seed", "1").exit_code == 0
    for name in FILES:
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes(), name
    assert str(Path.cwd()) not in Path("first/deck.cir").read_text()


def test_the_schematics_are_of_the_topology(cli) -> None:
    for name in ("integrator", "gm_c"):
        assert cli("compile", "A.npy", "b.npy", "-o", name, "--topology", name).exit_code == 0
    for name in FILES[-4:]:
        assert Path("integrator", name).read_bytes() != Path("gm_c", name).read_bytes(), name


def test_the_design_report_is_told_and_kept(cli) -> None:
    result = cli("compile", "A.npy", "b.npy", "-o", "out", "--hardware", "pcb_1k_1n")
    assert "damping ratio" in result.stdout
    design = json.loads(Path("out/design.json").read_text())
    assert design["stable"] is True
    assert 0 < design["peak_current_ampere"]["integrator amplifier"] <= design["current_limit_ampere"]


def test_an_unstable_design_shows_its_report_and_ends_with_1(cli) -> None:
    """A rotating matrix on slow amplifiers: the report says by how much, nothing is written."""
    Path("slow.toml").write_text(
        'name = "slow"\n[amplifiers]\nopen_loop_gain = 1e5\ngain_bandwidth_hz = "10k"\noutput_swing_volt = 5.0\n'
        "output_current_ampere = 1.0\n"
    )
    M = np.random.default_rng(1).normal(size=(24, 24))
    np.save("M.npy", M - M.T + 0.3 * np.eye(24))
    result = cli("compile", "M.npy", "-o", "out", "--hardware", "slow.toml")
    assert result.exit_code == 1
    assert "UNSTABLE, margin -" in result.stdout
    assert "mode growing" in result.stderr
    assert not Path("out").exists()


@pytest.mark.parametrize("topology", ["passive_rc", "gm_c", "three_array", "rlc_spu"])
def test_every_topology_is_written(cli, topology: str) -> None:
    np.save("M.npy", np.array([[2.0, -0.5, 0.0], [-0.5, 1.0, -0.25], [0.0, -0.25, 1.5]]))
    result = cli("compile", "M.npy", "-o", "out", "--topology", topology, "--quiet")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(FILES)


def test_encoding_and_scaling(cli) -> None:
    result = cli(
        "compile", "A.npy", "b.npy", "-o", "out", "--encoding", "offset", "--preconditioning", "unit_diagonal", "--json"
    )
    mapping = json.loads(result.stdout)["mapping"]
    assert (mapping["encoding"], mapping["scaled"]) == ("offset", True)
    wrong = cli("compile", "A.npy", "-o", "out", "--encoding", "ofset")
    assert wrong.exit_code == 2
    assert "--encoding ofset: the choices are balanced, offset, native" in wrong.stderr


NOISY = ["--kappa", "1e-4", "--duration", "10tau"]


def test_injected_noise_is_files_beside_the_deck(cli) -> None:
    result = cli("compile", "A.npy", "b.npy", "-o", "out", *NOISY, "--seed", "3")
    assert result.exit_code == 0, result.output
    document = json.loads(cli("compile", "A.npy", "b.npy", "-o", "same", *NOISY, "--seed", "3", "--json").stdout)
    assert document["files"] == ["deck.cir", "noise0.txt", *FILES[1:]]
    noise = document["noise"]
    assert len(noise["sources"]) == 3
    assert 0.005 < noise["variance_bias"] <= 0.01
    assert noise["step_s"] * (noise["samples"] - 1) == pytest.approx(document["duration_s"])
    sentence = next(
        line for line in result.stdout.splitlines() if line.startswith("injected noise      kappa = 0.0001, ")
    )
    assert f"{noise['samples']} samples of 3 sources" in sentence
    assert f"T_eff = {noise['effective_temperature_kelvin']:.3g} K" in sentence
    assert f"off by up to {noise['variance_bias']:.2%}" in sentence
    first, same = (Path(place, "noise0.txt").read_text() for place in ("out", "same"))
    assert first == same
    cli("compile", "A.npy", "b.npy", "-o", "other", *NOISY, "--seed", "4")
    assert Path("other/noise0.txt").read_text() != first


def test_noise_that_cannot_be(refused) -> None:
    assert "kappa = -1.0: the noise strength" in refused(2, "compile", "A.npy", "-o", "out", "--kappa", "-1")
    assert "kappa = nan" in refused(2, "compile", "A.npy", "-o", "out", "--kappa", "nan")
    line = refused(
        2, "compile", "A.npy", "-o", "out", "--kappa", "1e-4", "--topology", "amc_inverse", "--hardware", "pcb_1k_1n"
    )
    assert "amc_inverse has no capacitor" in line
    line = refused(2, "compile", "A.npy", "-o", "out", "--kappa", "1e-4", "--duration", "1e9tau")
    assert "samples of 3 sources; run at most" in line
    assert not Path("out").exists()


@pytest.mark.ngspice
def test_the_noisy_deck_runs_in_its_folder_on_the_path_of_solve(cli) -> None:
    """Plain ``ngspice -b`` prints where solve's own run ends, noise included: 6 digits of it."""
    assert cli("compile", "A.npy", "b.npy", "-o", "out", *NOISY, "--seed", "3").exit_code == 0
    ports = json.loads(Path("out/ports.json").read_text())["ports"]
    end = ngspice_end(Path("out/deck.cir"))
    loaded = program(manufacture("integrator", 3, presets.ideal(), seed=3), LinearProblem(A, B), seed=3, kappa=1e-4)
    engine = Ngspice()
    _, run = engine.run(engine.init(loaded), duration=10 * loaded.tau, seed=derived_seed(3, "run"))
    volts = [end[port["output"]] for port in ports]
    size = float(run.voltage_volt.abs().max())
    np.testing.assert_allclose(volts, run.voltage_volt[-1].numpy(), rtol=0, atol=1e-4 * size)
    quiet = program(loaded.chip, loaded.problem, seed=3)
    _, still = engine.run(engine.init(quiet), duration=10 * loaded.tau)
    gain = loaded.scales.voltage_volt / quiet.scales.voltage_volt
    assert np.abs(volts - gain * still.voltage_volt[-1].numpy()).max() > 1e-3 * size, "the noise is there"
