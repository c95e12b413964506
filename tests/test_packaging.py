"""The wheel, installed somewhere else: whole, and able to write and run a deck without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SYSTEM = np.array([[2.0, -0.5, 0.25], [-0.5, 1.5, 0.5], [0.25, 0.5, 1.0]])  # entries of either sign
RIGHT = np.array([1.0, -0.5, 0.25])


def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """Standard output of a command that must succeed; ``path`` goes before everything else Python imports from."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout with the installed build backend (nothing is fetched)."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", out, CHECKOUT, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel's contents as pip installs them, and nothing else."""
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "install", *options, "--target", target, wheel, cwd=target)
    return target


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory outside the checkout with the matrix and the right-hand side."""
    np.save(tmp_path / "A.npy", SYSTEM)
    np.save(tmp_path / "b.npy", RIGHT)
    return tmp_path


def test_the_wheel_holds_the_package_the_cells_and_the_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    cells = {f"tngd_hw/circuits/{cell.name}" for cell in (CHECKOUT / "circuits").glob("*.lib")}
    sources = {file.relative_to(CHECKOUT).as_posix() for file in (CHECKOUT / "tngd_hw").rglob("*.py")}
    assert cells
    assert cells | sources | {"tngd_hw/py.typed"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    strays = {name for name in names if not name.startswith(("tngd_hw/", "tngd_hw-")) or "__pycache__" in name}
    assert not strays


def test_the_installed_package_is_the_one_imported(site: Path, tmp_path: Path) -> None:
    where = run(sys.executable, "-c", "import tngd_hw; print(tngd_hw.__file__)", cwd=tmp_path, path=site)
    assert Path(where.strip()).parent == site / "tngd_hw"


def test_the_installed_package_writes_a_deck(site: Path, files: Path) -> None:
    command = ["compile", "A.npy", "b.npy", "--topology", "integrator", "--hardware", "pcb_1k_1n", "-o", "out"]
    run(sys.executable, "-m", "tngd_hw.cli", *command, cwd=files, path=site)
    decks = list((files / "out").glob("*.cir"))
    assert decks
    assert str(CHECKOUT) not in decks[0].read_text()  # a deck that runs anywhere


@pytest.mark.ngspice
def test_the_installed_package_runs_a_deck(site: Path, files: Path) -> None:
    system = ["A.npy", "b.npy", "--topology", "integrator", "--hardware", "ideal"]
    options = ["--engine", "ngspice", "--duration", "400tau", "--seed", "0", "--json"]
    answer = json.loads(run(sys.executable, "-m", "tngd_hw.cli", "solve", *system, *options, cwd=files, path=site))
    assert answer["outcome"] == "ok"
    # settled (lambda_min is 0.53); ngspice's final values are within 1e-5 of the largest voltage
    np.testing.assert_allclose(answer["x"], np.linalg.solve(SYSTEM, RIGHT), rtol=0, atol=1e-4)
