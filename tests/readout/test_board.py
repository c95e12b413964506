"""Measured voltages: a file as a trajectory, round trip from a simulated die, and every refusal with its sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tngd_hw as tngd
from tngd_hw import LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.readout import effective_temperature, fit_path, read_board, read_inverse, write_board
from tngd_hw.topologies import LoadedChip

M = np.array([[2.0, -0.5, -0.3], [-0.5, 1.0, -0.2], [-0.3, -0.2, 1.5]])


@pytest.fixture(scope="module")
def measured() -> tuple[LoadedChip, tngd.Trajectory]:
    engine = find_engine("behavioral")
    loaded = program(manufacture("integrator", 3, presets.pcb_1k_1n(), seed=1), LinearProblem(M), kappa=1e-3)
    times = 0.4 * loaded.tau * np.arange(2001)
    return loaded, engine.run(engine.init(loaded), duration=float(times[-1]), times_s=times, seed=2)[1]


def write(folder: Path, text: str) -> Path:
    path = folder / "scope.csv"
    path.write_text(text, encoding="utf-8")
    return path


def ramp(header: str = "time [us],out0 [mV],out1 [mV]", rows: int = 6) -> str:
    lines = [f"{0.5 * k:.6g},{k + 1},{-2 * k}" for k in range(rows)]
    return "\n".join([header, *lines]) + "\n"


def test_round_trip_of_a_simulated_die(measured: tuple[LoadedChip, tngd.Trajectory], tmp_path: Path) -> None:
    """Every digit of the voltages, and so every reading: the inverse, the fitted matrix, the temperatures."""
    loaded, run = measured
    path = tmp_path / "die.csv"
    write_board(run, path)
    board = read_board(path)
    assert torch.equal(board.voltage_volt, run.voltage_volt)
    np.testing.assert_allclose(board.times_s, run.times_s, rtol=1e-14, atol=0)
    assert board.node_names == run.node_names
    assert board.engine == "board"
    assert board.status.ok
    start = 50 * loaded.tau
    one, other = (read_inverse(r, loaded, average_from_s=start) for r in (run, board))
    assert torch.equal(one.value, other.value)
    assert torch.equal(one.stderr, other.stderr)
    assert float(((one.value - torch.from_numpy(np.linalg.inv(M))) / one.stderr).abs().max()) < 5
    np.testing.assert_allclose(fit_path(loaded, board).matrix, fit_path(loaded, run).matrix, rtol=1e-6, atol=1e-8)
    assert effective_temperature(board, loaded, average_from_s=start).suspects == ()


def test_units_names_and_order(tmp_path: Path) -> None:
    path = write(tmp_path, "time [ms],b [uV],a [V]\n1.0,100,3\n1.5,-200,4\n2.0,300,5.5\n")
    board = read_board(path, channels=["a", "b"])
    assert board.node_names == ("a", "b")
    np.testing.assert_allclose(board.times_s, [0.0, 0.5e-3, 1e-3], rtol=1e-12)  # begins at 0
    np.testing.assert_allclose(board.voltage_volt, [[3.0, 1e-4], [4.0, -2e-4], [5.5, 3e-4]], rtol=1e-15)
    assert board.duration_s == pytest.approx(1e-3, rel=1e-12)
    assert read_board(path, channels=["b"]).voltage_volt.shape == (3, 1)


@pytest.mark.parametrize("sign", ["µ", "μ"])
def test_micro_in_both_alphabets(tmp_path: Path, sign: str) -> None:
    path = write(tmp_path, f"t [{sign}s],v [{sign}V]\n0,1\n1,2\n2,4\n")
    assert float(read_board(path).voltage_volt[2, 0]) == pytest.approx(4e-6)


def test_clipping_is_an_outcome(tmp_path: Path) -> None:
    rows = [f"{k},{min(k, 5)},{k}" for k in range(9)]
    path = write(tmp_path, "\n".join(["t [s],out0 [V],out1 [V]", *rows]) + "\n")
    clipped = read_board(path)
    assert clipped.status.outcome is Outcome.SATURATED
    assert "channel out0 is clipped in 4 samples at 5 V; measure again with a larger range" in str(clipped.status)
    assert read_board(path, channels=["out1"]).status.ok
    assert read_board(path, channels=["out1"], range_volt=7.5).status.outcome is Outcome.SATURATED
    assert read_board(path, channels=["out0"], range_volt=7.5).status.ok


def test_a_channel_at_rest_is_not_clipped(tmp_path: Path) -> None:
    path = write(tmp_path, "t [s],out0 [V]\n" + "".join(f"{k},0.0\n" for k in range(9)))
    assert read_board(path).status.ok


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ramp("time,out0 [mV],out1 [mV]"), r"column 'time' has no unit .* name \[unit\] with s, ms"),
        (ramp("time [us],out0,out1 [mV]"), "column 'out0' has no unit"),
        (ramp("time [V],out0 [V],out1 [V]"), "no unit that fits"),
        (ramp("time [us],out0 [A],out1 [mV]"), r"'out0 \[A\]'"),
        (ramp("time [us],out0 [V],out0 [V]"), "occur twice"),
        (ramp().replace("1,3,-4", "1,3"), "line 4: 2 fields"),
        (ramp().replace("1,3,-4", "1,3,"), "line 4: could not convert"),
        (ramp().replace("1,3,-4\n", ""), "line 4: 1 missing samples before it"),
        (ramp().replace("1,3,-4", "1.1,3,-4"), "line 4: the time is 0.2 of a step off"),
        (ramp().replace("1,3,-4", "0.5,3,-4"), "does not come after"),
        (ramp().replace("1,3,-4", "1,nan,-4"), "finite"),
        (ramp(rows=2), "2 samples"),
        ("", "no unit"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(MisuseError, match=words):
        read_board(write(tmp_path, text))


def test_small_jitter_is_put_on_the_grid(tmp_path: Path) -> None:
    path = write(tmp_path, ramp().replace("1,3,-4", "1.0002,3,-4"))
    assert float(read_board(path).times_s[2]) == pytest.approx(1e-6, rel=1e-12)
    with pytest.raises(MisuseError, match="raise jitter"):
        read_board(path, jitter=1e-5)


def test_misuse(tmp_path: Path, measured: tuple[LoadedChip, tngd.Trajectory]) -> None:
    path = write(tmp_path, ramp())
    with pytest.raises(MisuseError, match=r"'out7': .* has out0, out1"):
        read_board(path, channels=["out7"])
    with pytest.raises(MisuseError, match="range_volt = -1"):
        read_board(path, range_volt=-1)
    with pytest.raises(MisuseError, match="jitter = 2"):
        read_board(path, jitter=2)
    with pytest.raises(MisuseError, match="cannot be read"):
        read_board(tmp_path / "nothing.csv")
    run = measured[1]
    with pytest.raises(MisuseError, match="several chips"):
        write_board(replace(run, voltage_volt=run.voltage_volt[None], chips=1), path)
