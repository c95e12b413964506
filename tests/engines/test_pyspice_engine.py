"""The PySpice engine is the process engine through another door; what fails in the library is an outcome."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import spd_matrix
from pyspice_here import needs_pyspice

import tngd_hw
from tngd_hw import LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.engines import Ngspice, PySpice, find_engine, pyspice
from tngd_hw.engines.pyspice import NO_LIBRARY, NO_PYSPICE, WorkerRun, find_library, run_in_worker
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.topologies import LoadedChip

RC = """step into an RC
v1 in 0 1
r1 in out 1k
c1 out 0 1n ic=0
.options method=trap reltol=1e-06
.save v(out)
.tran 1e-08 5e-06 0 1e-08 uic
.end
"""
RC_STOP_S, RC_TAU_S = 5e-6, 1e-6


def load(topology: str, n: int = 4) -> LoadedChip:
    A = spd_matrix(n, seed=n, condition=30.0)
    if topology == "passive_rc":
        A = np.diag(np.abs(A).sum(1) + 0.2) + A - np.diag(np.diag(A))
    b = np.random.default_rng(n).normal(size=n)
    return program(manufacture(topology, n, presets.pcb_1k_1n(), seed=1), LinearProblem(A, b))


def run(deck: str, stop_s: float = RC_STOP_S, timeout_s: float = 30.0) -> WorkerRun:
    library = find_library()
    assert library is not None
    return run_in_worker(deck, library, ("out",), stop_s=stop_s, timeout_s=timeout_s)


@functools.cache
def library_major() -> int:
    """Version of the library, by what it says of itself to ``ngSpice_SendChar`` when it starts; in a process apart."""
    code = (
        "import ctypes, sys\n"
        "T = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)\n"
        "say = T(lambda text, *rest: print(text.decode(errors='replace')) or 0)\n"
        "lib = ctypes.CDLL(sys.argv[1])\n"
        "lib.ngSpice_Init(say, *[None] * 6)\n"
        "lib.ngSpice_Command(b'version -f')\n"
        "sys.stdout.flush()\n"
        "import os; os._exit(0)\n"
    )
    command = [sys.executable, "-c", code, str(find_library())]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    found = re.search(r"ngspice-(\d+)", said)
    return int(found[1]) if found else 0


@needs_pyspice
@pytest.mark.ngspice
@pytest.mark.parametrize("topology", ["integrator", "gm_c", "passive_rc", "three_array"])
def test_same_numbers_as_the_process_engine(topology: str) -> None:
    program_major, library = required_ngspice().major, library_major()
    if program_major != library:
        pytest.skip(
            f"the program is ngspice {program_major} and the library {library}: their steps differ "
            "(NGSPICE_LIBRARY_PATH chooses another library); both are held against state_space"
        )
    loaded = load(topology)
    x0 = np.array([0.1, -0.2, 0.3, 0.05])
    ours, theirs = Ngspice(), find_engine("pyspice")
    _, expected = ours.run(ours.init(loaded), duration=30 * loaded.tau, x0=x0)
    _, found = theirs.run(theirs.init(loaded), duration=30 * loaded.tau, x0=x0)
    assert found.status.ok, found.status
    assert found.times_s.shape == expected.times_s.shape  # the same steps, so no interpolation
    assert found.engine == "pyspice"
    assert float((found.times_s - expected.times_s).abs().max()) < 1e-9 * 30 * loaded.tau
    size = float(expected.voltage_volt.abs().max())
    assert float((found.voltage_volt - expected.voltage_volt).abs().max()) < 1e-9 * size
    assert float(expected.voltage_volt[-1].std()) > 1e-2 * size  # nodes in another order would show


@needs_pyspice
@pytest.mark.parametrize("topology", ["integrator", "gm_c", "passive_rc", "three_array"])
def test_stated_accuracy_whatever_the_version(topology: str) -> None:
    loaded, x0, exact = load(topology), np.array([0.1, -0.2, 0.3, 0.05]), find_engine("state_space")
    duration = 30 * loaded.tau
    _, found = find_engine("pyspice").run(find_engine("pyspice").init(loaded), duration=duration, x0=x0)
    assert found.status.ok, found.status
    _, expected = exact.run(exact.init(loaded), duration=duration, x0=x0, times_s=found.times_s.clamp(max=duration))
    size = float(expected.voltage_volt.abs().max())
    difference = (found.voltage_volt - expected.voltage_volt).abs()
    assert float(difference.max()) < 1e-4 * size
    assert float(difference[-1].max()) < 1e-5 * size


@needs_pyspice
def test_charging_by_hand() -> None:
    found = run(RC)
    assert found.status.ok, found.status
    assert found.times_s[-1] == pytest.approx(RC_STOP_S, rel=1e-9)
    exact = 1 - np.exp(-found.times_s / RC_TAU_S)
    assert np.abs(found.voltage_volt[:, 0] - exact).max() < 2e-5


HARD_START = """b1 0 x i=1e-3*tanh(1e4*(v(in)-v(x)-v(y)))
r2 x 0 1meg
b2 0 y i=1e-3*tanh(1e4*(v(x)-v(y)-0.3))
r3 y 0 1meg
"""
"""Newton's method needs help to find the operating point of these two, and ngspice says so on stderr."""


@needs_pyspice
def test_a_note_on_stderr_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    deck = RC.replace("r1 in", f"{HARD_START}r1 in").replace(" uic", "")
    assert run(deck).notes == ""
    monkeypatch.setattr(pyspice, "_HARMLESS", re.compile("^$"))
    found = run(deck)
    assert "Note: Starting dynamic gmin stepping" in found.notes  # which PySpice itself raises NgSpiceCommandError for
    assert found.status.ok, found.status
    assert float(found.voltage_volt[-1, 0]) == pytest.approx(1.0, abs=1e-6)


@needs_pyspice
@pytest.mark.parametrize(
    ("deck", "says"),
    [
        (RC.replace("r1 in out 1k", "v2 in 0 2\nr1 in out 1k").replace(" uic", ""), "singular"),
        (RC.replace("c1 out", "zz out"), "libngspice made no transient|PySpice"),
        (RC.replace(".tran 1e-08 5e-06 0 1e-08 uic\n", ""), "made no transient"),
        (RC.replace("5e-06 0", "1e-06 0"), "stopped at 1e-06 s of 5e-06 s"),
        (RC.replace(".save v(out)", ".save v(in)"), r"no voltage v\(out\)"),
        (RC.replace("c1 out 0 1n ic=0", "c1 out 0 1n ic=0\ng1 out 0 out 0 -1"), "not finite|too small|made no"),
    ],
    ids=["two sources", "unknown card", "no analysis", "short", "unsaved", "diverges"],
)
def test_a_failed_run_is_told(deck: str, says: str) -> None:
    found = run(deck)
    assert found.status.outcome is Outcome.SIMULATOR_FAILED
    assert re.search(says, found.status.detail), found.status.detail


@needs_pyspice
def test_a_library_that_ends_the_process_costs_one_run() -> None:
    crash = RC.replace(".end\n", ".control\nquit 3\n.endc\n.end\n")
    found = run(crash)
    assert found.status.outcome is Outcome.SIMULATOR_FAILED
    assert run(RC).status.ok


@needs_pyspice
def test_time_limit() -> None:
    found = run(RC.replace("5e-06 0 1e-08", "1 0 1e-08"), stop_s=1.0, timeout_s=1.5)
    assert found.status.outcome is Outcome.TIMED_OUT
    assert "1.5 s" in found.status.detail


def test_without_pyspice_or_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, engine = load("gm_c"), PySpice()
    with monkeypatch.context() as patch:
        patch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so.0")
        state = engine.init(loaded)
    assert (state.status.outcome, state.status.detail) == (Outcome.SIMULATOR_MISSING, NO_LIBRARY)
    _, found = engine.run(state, duration=1e-6)
    assert found.status == state.status
    assert found.voltage_volt.shape == (0, 4)
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "libngspice.so.0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    state = engine.init(loaded)
    assert (state.status.outcome, state.status.detail) == (Outcome.SIMULATOR_MISSING, NO_PYSPICE)


@pytest.mark.skipif(importlib.util.find_spec("PySpice") is None, reason="PySpice is not installed")
def test_a_file_that_is_no_library_is_told(tmp_path: Path) -> None:
    (tmp_path / "libngspice.so.0").write_text("nothing")
    found = run_in_worker(RC, str(tmp_path / "libngspice.so.0"), ("out",), stop_s=RC_STOP_S, timeout_s=30)
    assert found.status.outcome is Outcome.SIMULATOR_MISSING
    assert "libngspice.so.0" in found.status.detail
    assert "correct NGSPICE_LIBRARY_PATH; or use the engine state_space" in found.status.remedy


def test_library_is_found_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "libngspice.so.0"
    file.touch()
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(tmp_path / "libngspice{}.so.0"))
    assert find_library() == str(file)


def test_library_is_found_where_the_loader_knows_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NGSPICE_LIBRARY_PATH", raising=False)
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libngspice.so").touch()
    assert find_library() == str(tmp_path / "lib" / "libngspice.so")


def test_misuse_is_refused_with_the_way_out() -> None:
    problem = LinearProblem(np.eye(2), [1.0, 2.0])
    with pytest.raises(MisuseError, match=r"kappa = 0.1.*use ngspice or state_space"):
        PySpice().init(program(manufacture("integrator", 2, presets.ideal()), problem, kappa=0.1))
    with pytest.raises(MisuseError, match=r"chips = 3: .*loaded.select\(k\)"):
        PySpice().init(program(manufacture("integrator", 2, presets.ideal(), chips=3), problem))
    with pytest.raises(MisuseError, match=r"PySpice\.points = 0"):
        PySpice(points=0)


@needs_pyspice
def test_unstable_circuit_is_not_run() -> None:
    loaded = program(manufacture("integrator", 1, presets.ideal()), LinearProblem([[-1.0]], [1.0]))
    _, found = PySpice().run(PySpice().init(loaded), duration=1e-6)
    assert found.status.outcome is Outcome.UNSTABLE


def test_pyspice_is_imported_in_two_files_and_only_when_used() -> None:
    package = Path(tngd_hw.__file__).parent
    found: set[str] = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                names += [str(node.args[0].value)] if "import_module" in ast.unparse(node.func) else []
            found |= {file.relative_to(package).as_posix() for name in names if name.split(".")[0] == "PySpice"}
    assert found == {"netlist/pyspice.py", "engines/pyspice_worker.py"}
    code = "import sys, tngd_hw.engines; print('PySpice' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
