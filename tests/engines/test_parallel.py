"""Many runs at once: the bits of one by one, whatever dies or is interrupted on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import spd_matrix
from fragile_engine import DEADLY, ONCE, SLOW, Fragile

from tngd_hw import LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.engines import Behavioral, StateSpace
from tngd_hw.engines.parallel import run_many
from tngd_hw.topologies import LoadedChip

N = 6


def chip(chips: int | None = None, kappa: float = 0.0) -> LoadedChip:
    A, b = spd_matrix(N, seed=4), np.linspace(-1, 2, N)
    return program(manufacture("gm_c", N, presets.pcb_1k_1n(), seed=1, chips=chips), LinearProblem(A, b), kappa=kappa)


def right(*marks: float) -> np.ndarray:
    b = np.random.default_rng(2).normal(size=(N, len(marks)))
    b[0] = marks
    return b


def test_the_same_bits_for_any_number_of_workers() -> None:
    """Three chips by two columns, with noise: chips outer, columns inner, each what a single run of it gives."""
    loaded, b, engine = chip(chips=3, kappa=1e-3), right(1.0, 2.0), Behavioral()
    duration = 5 * loaded.tau
    found = [run_many(engine, loaded, duration=duration, b=b, seed=7, jobs=jobs) for jobs in (1, 3)]
    assert [len(runs) for runs in found] == [6, 6]
    for one, three in zip(*found, strict=True):
        assert one.status.ok
        assert torch.equal(one.voltage_volt, three.voltage_volt)
    single = loaded.select(1)
    _, alone = engine.run(engine.init(single), duration=duration, b=b[:, 0], seed=7)
    torch.testing.assert_close(found[1][2].voltage_volt, alone.voltage_volt, rtol=0, atol=1e-12)
    assert not torch.equal(found[1][2].voltage_volt, found[1][3].voltage_volt)
    assert not torch.equal(found[1][2].voltage_volt, found[1][4].voltage_volt)


def test_a_killed_worker_loses_one_run(tmp_path: Path) -> None:
    loaded, log = chip(), tmp_path / "log"
    seen: list[tuple[int, int]] = []
    marks = (1.0, DEADLY, 2.0, 3.0, 4.0, ONCE)
    found = run_many(
        Fragile(log), loaded, duration=5 * loaded.tau, b=right(*marks), jobs=2,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    outcomes = [trajectory.status.outcome for trajectory in found]
    assert outcomes == [Outcome.OK, Outcome.SIMULATOR_FAILED, *[Outcome.OK] * 4]
    assert "died twice" in found[1].status.detail
    assert seen == [(k, 6) for k in range(1, 7)]
    tries = [float(line.split()[1]) for line in log.read_text().splitlines()]
    assert (tries.count(DEADLY), tries.count(ONCE)) == (2, 2)
    assert all(tries.count(mark) <= 3 for mark in marks), "an innocent neighbour is repeated, not more"
    exact = run_many(StateSpace(), loaded, duration=5 * loaded.tau, b=right(*marks), jobs=1)
    for k in (0, 2, 3, 4, 5):
        assert torch.equal(found[k].voltage_volt, exact[k].voltage_volt)


PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from test_parallel import SLOW, Fragile, chip, right
from tngd_hw.engines.parallel import Interrupted, run_many
loaded = chip()
def progress(done, total):
    print("done", done, flush=True)
try:
    run_many(Fragile(Path({log!r})), loaded, duration=loaded.tau, b=right(1.0, 2.0, SLOW, SLOW), jobs=2,
             progress=progress)
except Interrupted as stopped:
    print("kept", [trajectory is not None for trajectory in stopped.finished], stopped, flush=True)
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc for processes that are left")
def test_ctrl_c_stops_the_workers_and_keeps_what_was_finished(tmp_path: Path) -> None:
    log, here = tmp_path / "log", Path(__file__).parent
    code = PROGRAM.format(path=[str(here), str(here.parent)], log=str(log))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["done 1\n", "done 2\n"]
    end = time.monotonic() + 30
    while log.read_text().count(f" {SLOW}\n") < 2 and time.monotonic() < end:
        time.sleep(0.05)
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    out, errors = process.communicate(timeout=30)
    assert time.monotonic() - begun < 10
    assert out == "kept [True, True, False, False] 2 of 4 runs were finished\n", errors
    assert "Traceback" not in errors
    pids = {int(line.split()[0]) for line in log.read_text().splitlines()}
    assert not any(is_alive(pid) for pid in pids)


def test_misuse() -> None:
    loaded = chip()
    with pytest.raises(MisuseError, match="jobs = 0"):
        run_many(StateSpace(), loaded, duration=1.0, jobs=0)
    with pytest.raises(MisuseError, match="at least one chip"):
        run_many(StateSpace(), [], duration=1.0)
    with pytest.raises(MisuseError, match="duration"):
        run_many(StateSpace(), loaded, duration=-1.0)
    with pytest.raises(MisuseError, match=r"b of shape \(1, 6, 1\)"):
        run_many(StateSpace(), loaded, duration=1.0, b=np.ones((1, N, 1)))
    with pytest.raises(MisuseError, match="b"):
        run_many(StateSpace(), [loaded, loaded], duration=1.0, b=np.ones(N + 1), jobs=2)
