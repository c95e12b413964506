"""Decks that make ngspice itself fail, one for each of its ways: every one ends as an outcome with one sentence."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tngd_hw import Outcome
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.engines.spice.process import DEFAULT_MEMORY_BYTES, SpiceRun, run_deck

pytestmark = pytest.mark.ngspice

TRAN = ".tran 1u 10u 0 1u uic"


def run(
    *cards: str,
    plot: str = "Transient",
    stop_s: float | None = 1e-5,
    timeout_s: float = 20.0,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> SpiceRun:
    deck = "\n".join(["* a deck that fails", *cards, ".end", ""])
    return run_deck(deck, required_ngspice(), plot=plot, stop_s=stop_s, timeout_s=timeout_s, memory_bytes=memory_bytes)


def test_the_deck_without_a_fault_is_a_result() -> None:
    found = run("i1 0 a 1", "r1 a 0 1k", "c1 a 0 1n", TRAN)
    assert found.status.ok
    assert found.plot is not None
    assert found.notes == ""


CASES = {
    "two voltage sources in parallel": (("v1 a 0 1", "v2 a 0 2", "r1 a 0 1k", TRAN), "singular matrix"),
    "floating node with a current": (("i1 0 a 1", "i2 0 b 1", "c2 b 0 1n", "r1 a 0 1k", ".op"), "singular matrix"),
    "unknown node in .save": (("r1 a 0 1k", "i1 0 a 1", ".save v(nowhere)", TRAN), "ngspice"),
    "missing include": (("r1 a 0 1k", "i1 0 a 1", ".include nowhere.cir", TRAN), "exited with status 1"),
    "missing model": (("i1 0 a 1", "d1 a 0 nomodel", TRAN), "exited with status 1"),
    "unknown card": (("i1 0 a 1", "r1 a 0 1k", ".nonsense 1", TRAN), "exited with status 1"),
    "unknown subcircuit": (("i1 0 a 1", "x1 a nothing", TRAN), "exited with status 1"),
    "empty deck": ((), "ngspice"),
    "no analysis": (("i1 0 a 1", "r1 a 0 1k"), "ngspice"),
    "another analysis than asked for": (("i1 0 a 1", "r1 a 0 1k", ".op"), "no plot called 'Transient'"),
    "noise under a save that lacks its vectors": (
        ("v1 a 0 dc 0 ac 1", "r1 a b 1k", "c1 b 0 1n", ".save v(b)", ".noise v(b) v1 dec 5 1 1k"), "ngspice",
    ),
    "step too small": (
        ("i1 0 a 1m", "c1 a 0 1n ic=0", "b1 a 0 i=u(v(a)-0.5)*1e9*(v(a)+1)", TRAN), "imestep too small",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_failure(case: str) -> None:
    cards, says = CASES[case]
    plot = "Operating" if "floating" in case else "Transient"
    found = run(*cards, plot=plot, stop_s=None if "floating" in case else 1e-5)
    assert found.plot is None
    assert found.status.outcome is Outcome.SIMULATOR_FAILED
    assert says in found.status.detail
    assert "\n" not in str(found.status)


def test_a_circuit_that_runs_away_is_unstable() -> None:
    """dv/dt = v/RC with RC = 10 ns: e^1000 leaves the floating point numbers, e^60 is a number and no voltage."""
    cards = ("r1 a 0 -1k", "c1 a 0 10p ic=1")
    assert run(*cards, ".tran 1n 10u 0 10n uic").status.outcome is not Outcome.OK
    found = run(*cards, ".tran 0.1n 600n 0 1n uic", stop_s=6e-7)
    assert found.status.outcome is Outcome.UNSTABLE
    assert "grew to" in found.status.detail


def test_time_is_up() -> None:
    start = time.monotonic()
    found = run("v1 a 0 sin(0 1 1meg)", "r1 a 0 1k", ".tran 1p 1 0 1p uic", stop_s=1.0, timeout_s=0.5)
    assert found.status.outcome is Outcome.TIMED_OUT
    assert time.monotonic() - start < 10


def test_memory_is_limited() -> None:
    """300,000 resistors need more than they get."""
    resistors = "\n".join(f"r{k} a{k} 0 1k" for k in range(300_000))
    found = run("i1 0 a0 1", resistors, ".op", plot="Operating", stop_s=None, timeout_s=60.0, memory_bytes=200 << 20)
    assert found.plot is None
    assert found.status.outcome is Outcome.SIMULATOR_FAILED
    assert "more memory than its limit of 0.195 GiB" in found.status.detail


def test_no_home_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without HOME ngspice dies of a segmentation fault; the process gets an empty directory as its home."""
    monkeypatch.delenv("HOME", raising=False)
    assert "HOME" not in os.environ
    assert run("i1 0 a 1", "r1 a 0 1k", TRAN).status.ok


def test_start_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = tmp_path / "witness"
    (tmp_path / ".spiceinit").write_text(f"shell touch {witness}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPICE_USERINIT_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run("i1 0 a 1", "r1 a 0 1k", TRAN).status.ok
    assert not witness.exists()
