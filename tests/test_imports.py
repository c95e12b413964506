"""Who may import whom: a folder imports only from those above it, and heavy libraries come only when used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tngd_hw

PACKAGE = Path(tngd_hw.__file__).parent

GROUND = ("problem", "outcome", "units", "random", "storage")  # these may import each other
FOLDERS = (
    "linear_sde",
    "netlist",
    "hardware",
    "topologies",
    "engines",
    "readout",
    "curvature",
    "training",
    "tasks",
    "cost",
    "report",
    "studies",
    "api",
    "linalg",
    "demo",
    "cli",
)
ORDER = dict.fromkeys(GROUND, 0) | {name: level for level, name in enumerate(FOLDERS, start=1)}
ROOT = "tngd_hw"


def target(module: str, names: list[str]) -> list[str]:
    """The folders meant by ``from module import names``; names of the package itself are the public face: ``api``."""
    parts = module.split(".")
    if len(parts) > 1:
        return [parts[1]]
    return [name if name in ORDER else "api" for name in names if name != "__version__"]


def imported_folders(tree: ast.AST, package: list[str]) -> list[tuple[int, str]]:
    """Line and folder of every import of this package in ``tree``, in functions and under TYPE_CHECKING too."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                modules = [(alias.name, [""]) for alias in node.names]
            case ast.ImportFrom():
                base = package[: len(package) + 1 - node.level] if node.level else []
                modules = [(".".join([*base, *filter(None, [node.module])]), [alias.name for alias in node.names])]
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                modules = [(name, [""])]
            case _:
                continue
        for module, names in modules:
            if module.split(".")[0] == ROOT:
                found += [(node.lineno, folder) for folder in target(module, names)]
    return found


def violations(source: str, path: str) -> list[str]:
    """What in ``source``, the file at ``path`` inside the package, imports from a folder below its own."""
    parts = path.removesuffix(".py").split("/")
    own = parts[0]
    if own not in ORDER:
        return [f"{path}: {own} has no place in the import order; give it one in tests/test_imports.py"]
    return [
        f"{path}:{line}: {own} imports {folder}, which comes after it"
        for line, folder in imported_folders(ast.parse(source), [ROOT, *parts[:-1]])
        if ORDER.get(folder, len(ORDER)) > ORDER[own]
    ]


def test_each_folder_imports_only_from_those_above_it() -> None:
    files = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"})
    assert len(files) > 10
    found = [line for file in files for line in violations(file.read_text(), file.relative_to(PACKAGE).as_posix())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "from tngd_hw.engines.base import Engine",
        "import tngd_hw.engines.ngspice as ngspice",
        "from tngd_hw import engines",
        "from tngd_hw import solve",
        "import tngd_hw as tngd",
        "from ..engines import base",
        "from .. import engines",
        "import importlib\nimportlib.import_module('tngd_hw.engines')",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tngd_hw.engines import Engine",
        "def late():\n    from tngd_hw.engines import Engine\n    return Engine",
        "from tngd_hw.unheard_of import thing",
    ],
)
def test_an_import_against_the_order_is_found(source: str) -> None:
    assert len(violations(source, "topologies/integrator.py")) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from tngd_hw.hardware import Chip",
        "from tngd_hw.topologies.base import Topology",
        "from tngd_hw.outcome import MisuseError",
        "from tngd_hw import __version__",
        "from . import base",
        "from .base import Topology",
        "from ..netlist import Netlist",
        "import numpy, tngd_hardware",
    ],
)
def test_an_import_along_the_order_passes(source: str) -> None:
    assert violations(source, "topologies/integrator.py") == []


def test_a_file_without_a_place_in_the_order_is_found() -> None:
    assert violations("", "helpers.py") != []


def run_python(code: str, cwd: Path) -> str:
    """Standard output of ``code`` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_is_light(tmp_path: Path) -> None:
    code = "import sys, tngd_hw; print([m for m in ('PySpice', 'torch', 'matplotlib') if m in sys.modules])"
    assert run_python(code, tmp_path) == "[]"


def test_everything_public_works_without_pyspice(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['PySpice'] = None\n"
        "import tngd_hw, tngd_hw.api, tngd_hw.engines, tngd_hw.netlist\n"
        "for name in tngd_hw.__all__: getattr(tngd_hw, name)\n"
        "print('fine')"
    )
    assert run_python(code, tmp_path) == "fine"
