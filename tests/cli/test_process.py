"""The program as the shell sees it: streams, exit codes, signals, pipes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

Start = Callable[..., "subprocess.Popen[str]"]

SLEEPER = """#!/bin/sh
if [ "$1" = --version ]; then echo "** ngspice-39 : Circuit level simulation program"; exit; fi
echo $$ > {pid}.new
sleep 300 &
echo $! >> {pid}.new
mv {pid}.new {pid}
wait
"""


@pytest.fixture
def sleeper(folder: Path) -> Iterator[tuple[Path, Path]]:
    """An ngspice that never ends, with a child of its own, and the file where both leave their process ids."""
    program, pids = folder / "slow_ngspice", folder / "pids"
    program.write_text(SLEEPER.format(pid=pids))
    program.chmod(0o755)
    yield program, pids
    if pids.exists():
        for pid in pids.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not yet waited for counts as gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return True


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, ""), (signal.SIGHUP, 129, "")],
)
def test_ending_us_ends_ngspice(
    start: Start, sleeper: tuple[Path, Path], number: signal.Signals, code: int, says: str
) -> None:
    program, pids = sleeper
    process = start("solve", "A.npy", "b.npy", "--engine", "ngspice", TNGD_NGSPICE=str(program))
    try:
        assert wait_for(pids.exists, 60), "the simulator was never started"
        children = [int(pid) for pid in pids.read_text().split()]
        assert len(children) == 2
        assert all(is_alive(pid) for pid in children)
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert out == ""
    assert errors == says
    assert wait_for(lambda: not any(is_alive(pid) for pid in children), 5)


def test_streams_are_apart(start: Start) -> None:
    process = start("solve", "A.npy", "b.npy", "--duration", "1tau", "--json")
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(out)["outcome"] == "not_settled"
    assert errors.startswith("failed: not_settled: ")
    assert errors.count("\n") == 1


def test_misuse_leaves_stdout_empty(start: Start) -> None:
    process = start("solve", "A.npy", "none.npy", "--json")
    assert process.communicate(timeout=60) == (
        "",
        "error: b = none.npy: cannot be read (No such file or directory); check the path\n",
    )
    assert process.returncode == 2


@pytest.mark.parametrize(
    "arguments", [["presets", "pcb_1k_1n"], ["solve", "A.npy", "b.npy", "--json"], ["solve", "--help"]]
)
def test_a_reader_that_has_gone_is_no_error(start: Start, arguments: list[str]) -> None:
    process = start(*arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) in (1, 141)  # 1: typer's own answer, for help


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line(start: Start) -> None:
    with Path("/dev/full").open("w") as full:
        process = start("presets", stdout=full)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


def test_the_console_script_is_this_program() -> None:
    (script,) = entry_points(group="console_scripts", name="tngd-hw")
    assert script.value == "tngd_hw.cli:main"
