"""Whatever goes wrong with ngspice is an outcome with one clear sentence, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tngd_hw import LinearProblem, MisuseError, Outcome, Status, manufacture, presets, program
from tngd_hw.engines import Ngspice, find_ngspice, ngspice_version
from tngd_hw.topologies import LoadedChip

VERSION = 'if [ "$1" = --version ]; then echo "** ngspice-39 : Circuit level simulation program"; exit 0; fi\n'

HEADER = (
    "Title: x\\nDate: today\\nPlotname: Transient Analysis\\nFlags: real\\nNo. Variables: 2\\nNo. Points: {points}\\n"
    "Variables:\\n\\t0\\ttime\\ttime\\n\\t1\\tv(out0)\\tvoltage\\nBinary:\\n"
)


def loaded() -> LoadedChip:
    return program(manufacture("integrator", 1, presets.ideal()), LinearProblem([[1.0]], [1.0]))


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, *, version: str = VERSION) -> Path:
    """A shell script in the place of ngspice."""
    path = tmp_path / "ngspice"
    path.write_text("#!/bin/sh\n" + version + body)
    path.chmod(0o755)
    monkeypatch.setenv("TNGD_NGSPICE", str(path))
    return path


def outcome(timeout_s: float = 20.0) -> Status:
    engine = Ngspice(timeout_s=timeout_s)
    chip = loaded()
    _, trajectory = engine.run(engine.init(chip), duration=chip.tau)
    assert len(trajectory.times_s) == 0
    assert "\n" not in str(trajectory.status)
    assert "Traceback" not in str(trajectory.status)
    return trajectory.status


def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TNGD_NGSPICE", "/nonexistent")
    assert find_ngspice() is None
    status = outcome()
    assert status.outcome is Outcome.SIMULATOR_MISSING
    assert "TNGD_NGSPICE = '/nonexistent' is no program that can be run" in status.detail
    assert "apt-get install ngspice" in str(status)
    assert "state_space" in str(status)


@pytest.mark.parametrize(
    "version",
    [
        'if [ "$1" = --version ]; then echo "** ngspice-31 : Circuit level simulation program"; exit 0; fi\n',
        "echo hello\n",
        "exit 1\n",
        "printf '\\377\\376 not text'\n",
    ],
)
def test_too_old_or_something_else(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "", version=version)
    status = outcome()
    assert status.outcome is Outcome.SIMULATOR_MISSING
    assert "is not ngspice 39 or newer" in status.detail


def test_klu_is_asked_of_42_and_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(tmp_path, monkeypatch, "", version='echo "** ngspice-46+ : Circuit level simulation program"\n')
    assert ngspice_version(str(path)).has_klu
    assert ngspice_version(str(path)).major == 46


def raw(values: str, points: int = 2) -> str:
    """A script that writes a raw file of one output; ``values`` is printf text of little-endian doubles."""
    return f"printf '{HEADER.format(points=points)}' > out.raw\nprintf '{values}' >> out.raw\n"


ZERO, ONE = "\\000" * 8, "\\000" * 6 + "\\360\\077"
NAN = "\\000" * 6 + "\\370\\177"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("exit 1", "ngspice exited with status 1"),
        ("echo 'Error: unknown subckt: x' >&2; exit 1", "ngspice exited with status 1 (Error: unknown subckt: x)"),
        ("kill -9 $$", "ngspice was killed by signal 9"),
        ("kill -SEGV $$", "ngspice was killed by signal 11"),
        ("exit 0", "ngspice wrote no results"),
        (": > out.raw", "the raw file is empty"),
        ("echo garbage > out.raw", "the raw file has no binary section"),
        ("printf 'Binary:\\n' > out.raw", "lacks the numbers of variables and points"),
        (raw("", points=0), "the raw file holds 0 points"),
        (raw("", points=-1), "the raw file holds -1 points"),
        (raw(ZERO + ONE), "the raw file is cut off: 16 of 32 bytes"),
        (raw("", points=999999999999), "the raw file is cut off: 0 of"),
        (raw(ZERO + ONE + ONE + NAN), "not finite"),
        (raw(ZERO + ONE + ZERO + ONE), "ngspice stopped at 0 s of 1e-06 s"),
        (raw(ZERO + ONE + ONE + ONE).replace("Transient", "DC transfer"), "no plot called 'Transient'"),
        (raw(ZERO + ONE + ONE + ONE) + "echo 'Warning: singular matrix' >&2", "reported a failure (Warning: singular"),
        (raw(ZERO + ONE + ONE + ONE) + "printf 'error \\377\\n' >&2", "ngspice reported a failure"),
        (raw(ZERO + ONE + ONE + ONE).replace("v(out0)", "v(out9)"), "no voltage v(out0)"),
    ],
)  # fmt: skip
def test_failed_runs(body: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, body)
    status = outcome()
    assert status.outcome is Outcome.SIMULATOR_FAILED
    assert says in status.detail


def test_a_whole_file_and_harmless_words_are_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(
        tmp_path, monkeypatch, raw(ZERO + ONE + ONE + ONE) + "echo 'Note: all well' >&2; echo 'Reference value : 1' >&2"
    )
    engine, chip = Ngspice(), loaded()
    _, trajectory = engine.run(engine.init(chip), duration=chip.tau)
    assert trajectory.status.ok
    assert trajectory.times_s.tolist() == [0.0, 1.0]
    assert trajectory.notes == ""


def test_program_that_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(tmp_path, monkeypatch, "exit 0")
    engine, chip = Ngspice(), loaded()
    state = engine.init(chip)
    path.unlink()
    _, trajectory = engine.run(state, duration=chip.tau)
    assert trajectory.status.outcome is Outcome.SIMULATOR_FAILED
    assert "ngspice exited with status 127" in trajectory.status.detail


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").is_dir() else True


def gone_soon(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


SLEEPER = "sleep 60 &\necho $! > '{pid}'\nsleep 60\n"


def test_time_limit_ends_the_whole_process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, SLEEPER.format(pid=tmp_path / "pid"))
    start = time.monotonic()
    status = outcome(timeout_s=1.0)
    assert time.monotonic() - start < 8
    assert status.outcome is Outcome.TIMED_OUT
    assert status.detail == "ngspice was stopped after 1 s"
    assert gone_soon(int((tmp_path / "pid").read_text()))


def test_interrupt_ends_ngspice_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a Python process that waits for ngspice: KeyboardInterrupt there, and no child is left."""
    fake(tmp_path, monkeypatch, SLEEPER.format(pid=tmp_path / "pid"))
    script = """
        import signal
        from tngd_hw.engines.spice.process import find_ngspice, ngspice_version, run_deck
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background would ignore it
        try:
            run_deck("* x", ngspice_version(find_ngspice()), plot="Transient", stop_s=1.0, timeout_s=60.0)
        except KeyboardInterrupt:
            print("interrupted")
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    for _ in range(1000):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert output.strip() == "interrupted"
    assert gone_soon(int((tmp_path / "pid").read_text()))


def test_nothing_is_left_in_the_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    fake(tmp_path, monkeypatch, "sleep 60")
    outcome(timeout_s=0.5)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_ngspice_sees_a_minimal_environment_and_an_empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_USER", "1")
    fake(
        tmp_path, monkeypatch, f"env > '{tmp_path}/env'; ls -A > '{tmp_path}/files'; pwd -P > '{tmp_path}/pwd'; exit 1"
    )
    outcome()
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert "SECRET_OF_THE_USER" not in environment
    assert Path(environment["HOME"]).name == Path((tmp_path / "pwd").read_text().strip()).name
    assert (tmp_path / "files").read_text().split() == ["deck.cir"]


def test_limits_of_time_and_size_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, f"(ulimit -t; ulimit -f) > '{tmp_path}/limits'; exit 1")
    outcome(timeout_s=20.0)
    assert (tmp_path / "limits").read_text().split() == ["80", str(8 << 20)]


@pytest.mark.parametrize("field", ["relative_tolerance", "points", "timeout_s"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_settings_that_cannot_be(field: str, value: float) -> None:
    with pytest.raises(MisuseError, match=rf"Ngspice\.{field} = "):
        Ngspice(**{field: value})  # pyright: ignore[reportArgumentType] - the point of the test
