"""The demonstration, shortened: it leaves every file it promises, and its numbers are those of its runs."""

import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from tngd_hw.demo import DemoOptions, run_demo
from tngd_hw.hardware import presets
from tngd_hw.outcome import MisuseError, Outcome, OutcomeError

FILES = {
    "agreement.png",
    "integrator_cell.png",
    "integrator_cell.svg",
    "last_step.cir",
    "metrics.json",
    "report.html",
    "settling.png",
    "training.png",
}


@pytest.fixture(scope="module")
def spice(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "ngspice"
    return out, run_demo(DemoOptions(out=out, engine="ngspice", steps=6, quiet=True))


@pytest.mark.ngspice
def test_it_leaves_every_file(spice):
    out, document = spice
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / "metrics.json").read_text()) == document
    ElementTree.parse(out / "integrator_cell.svg")
    assert "<img" in (out / "report.html").read_text()


@pytest.mark.ngspice
def test_ngspice_is_within_the_gate_at_every_step_and_the_curves_lie_on_top_of_each_other(spice):
    _, document = spice
    gated = document["agreement"]["per_step"][document["gated_difference"]]
    assert len(gated) == 6
    assert 0 < max(gated) < 3e-4  # the gate of the demonstration is 1e-3
    curves = {record["name"]: record["loss"] for record in document["records"]}
    assert curves["TNGD, ngspice"] == pytest.approx(curves["TNGD, state_space"], rel=1e-3)
    assert curves["TNGD, ngspice"] != curves["TNGD, ideal filter"]
    assert curves["TNGD, ngspice"][0] == curves["SGD"][0] == curves["Adam"][0]  # same network, same batches


@pytest.mark.ngspice
def test_the_document_says_what_was_run(spice):
    _, document = spice
    assert document["hardware"]["hash"] == presets.pcb_1k_1n().hash
    assert document["task"]["parameters"] == 2410
    assert (document["task"]["train_samples"], document["task"]["test_samples"]) == (1400, 397)
    assert document["mapping"]["nodes_used"] == document["mapping"]["nodes_on_chip"] == 80
    noise = document["noise"]
    per_volt2 = noise["kappa"] * 1e-9 / 1.380649e-23
    low, high = noise["v0_volt"]
    assert noise["effective_temperature_kelvin"] == pytest.approx([per_volt2 * low**2, per_volt2 * high**2])


@pytest.mark.ngspice
def test_the_last_deck_runs_as_it_is(spice, tmp_path):
    out, _ = spice
    shutil.copy(out / "last_step.cir", tmp_path)
    done = subprocess.run(
        ["ngspice", "-b", "last_step.cir"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0
    assert re.search(r"No\. of Data Rows : \d{2,}", done.stdout)


def test_it_runs_without_ngspice_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("TNGD_NGSPICE", "/nonexistent/ngspice")
    document = run_demo(DemoOptions(out=tmp_path, steps=2, quiet=True))
    assert document["main"] == "TNGD, state_space"
    assert "no ngspice" in document["note"]
    assert "no ngspice" in (tmp_path / "report.html").read_text()
    # With state_space as the main engine the closed-form equations are the referee.
    assert document["agreement"]["largest"][document["gated_difference"]] < 1e-9


def test_the_same_seed_gives_the_same_numbers(tmp_path):
    first, second = (
        run_demo(DemoOptions(out=tmp_path / name, engine="behavioral", steps=2, seed=5, quiet=True)) for name in "ab"
    )
    assert first["records"] == second["records"]


def test_ngspice_asked_for_and_missing_is_an_outcome(tmp_path, monkeypatch):
    monkeypatch.setenv("TNGD_NGSPICE", "/nonexistent/ngspice")
    with pytest.raises(OutcomeError) as caught:
        run_demo(DemoOptions(out=tmp_path, engine="ngspice", steps=1, quiet=True))
    assert caught.value.status.outcome is Outcome.SIMULATOR_MISSING


def test_bad_options_are_refused(tmp_path):
    with pytest.raises(MisuseError, match="steps = 0"):
        run_demo(DemoOptions(out=tmp_path, steps=0, quiet=True))
    with pytest.raises(MisuseError, match="engine = 'ngspise'"):
        run_demo(DemoOptions(out=tmp_path, engine="ngspise", steps=1, quiet=True))
    (tmp_path / "file").write_text("")
    with pytest.raises(MisuseError, match=r"out = .*file"):
        run_demo(DemoOptions(out=tmp_path / "file", steps=1, quiet=True))
