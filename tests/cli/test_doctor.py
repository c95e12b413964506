"""``doctor``: what is there, what is missing, whether it works."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tngd_hw.cli import machine
from tngd_hw.cli.self_check import SelfCheck


def test_what_is_installed(cli) -> None:
    result = cli("doctor", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["python"] == platform.python_version()
    assert document["packages"]["torch"] == version("torch")
    assert {"numpy", "scipy", "sympy", "matplotlib", "h5netcdf", "scikit-learn"} <= set(document["packages"])
    assert "pytest" not in document["packages"]  # of an extra
    assert document["self_check"]["state_space_error"] < 1e-4


@pytest.mark.ngspice
def test_ngspice_is_tried(cli) -> None:
    document = json.loads(cli("doctor", "--json").stdout)
    assert document["ngspice"]["version"] >= 39
    assert document["self_check"]["difference"] < 1e-4
    assert "ngspice is" in cli("doctor").stdout


def test_without_ngspice_it_says_how_to_get_it_and_all_is_well(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TNGD_NGSPICE", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    result = cli("doctor")
    assert result.exit_code == 0, result.output
    assert "apt-get install ngspice" in result.stdout
    assert "brew install ngspice" in result.stdout


def test_a_variable_that_names_no_program_is_shown(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TNGD_NGSPICE", "/nowhere/ngspice")
    result = cli("doctor")
    assert result.exit_code == 0
    assert "TNGD_NGSPICE = '/nowhere/ngspice' is no program" in result.stdout


def test_an_ngspice_that_is_broken_is_a_failure(cli, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    fake = folder / "ngspice"
    fake.write_text('#!/bin/sh\nif [ "$1" = --version ]; then echo "** ngspice-39 :"; exit; fi\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("TNGD_NGSPICE", str(fake))
    result = cli("doctor", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["outcome"] == "simulator_failed"
    assert result.stderr.count("\n") == 1


def test_a_package_that_is_missing_is_named(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_joblib(name: str) -> str:
        if name == "joblib":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(machine.importlib.metadata, "version", without_joblib)
    result = cli("doctor")
    assert result.exit_code == 1
    assert "joblib" in result.stdout
    assert "joblib" in result.stderr


@pytest.mark.parametrize("check", [SelfCheck(1e-3, None, None, 1e-4), SelfCheck(float("nan"), 0.0, 0.0, 1e-4)])
def test_a_wrong_answer_of_our_own_is_a_failed_check(check: SelfCheck) -> None:
    assert check.status.outcome.value == "check_failed"


def test_a_wrong_answer_of_ngspice_is_its_failure() -> None:
    assert SelfCheck(1e-9, 1e-2, 1e-2, 1e-4).status.outcome.value == "simulator_failed"
    assert SelfCheck(1e-9, None, None, 1e-4).status.ok


def test_a_program_that_is_no_ngspice_is_a_failure(cli, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    liar = folder / "liar"
    liar.write_text("#!/bin/sh\necho hello\n")
    liar.chmod(0o755)
    monkeypatch.setenv("TNGD_NGSPICE", str(liar))
    result = cli("doctor")
    assert result.exit_code == 1
    assert "liar does not answer --version as ngspice does" in result.stdout
    assert result.stderr.startswith("failed: simulator_missing: ")
