"""ngspice against state_space on the same noiseless deck, at ngspice's own time points."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from cases import spd_matrix

from tngd_hw import LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.engines import Ngspice, find_engine
from tngd_hw.engines.spice.raw_file import read_raw
from tngd_hw.topologies import LoadedChip

pytestmark = pytest.mark.ngspice

ALONG_THE_PATH, AT_THE_END = 1e-4, 1e-5
"""Largest difference, relative to the largest voltage, that is called agreement."""


def load(n: int, hardware: str = "pcb_1k_1n") -> LoadedChip:
    A = spd_matrix(n, seed=n, condition=30.0)
    assert n == 1 or (A < 0).any()
    b = np.random.default_rng(n).normal(size=n)
    return program(manufacture("integrator", n, getattr(presets, hardware)(), seed=1), LinearProblem(A, b))


def differences(loaded: LoadedChip, duration: float, x0: object = None) -> tuple[float, float]:
    """Along the path and at the end, relative to the largest voltage of the path."""
    spice, exact = Ngspice(), find_engine("state_space")
    _, found = spice.run(spice.init(loaded), duration=duration, x0=x0)  # pyright: ignore[reportArgumentType] - array
    assert found.status.ok, found.status
    times = found.times_s.clamp(max=duration)
    _, expected = exact.run(exact.init(loaded), duration=duration, x0=x0, times_s=times)  # pyright: ignore[reportArgumentType] - array
    difference = (found.voltage_volt - expected.voltage_volt).abs()
    scale = expected.voltage_volt.abs().max()
    return float(difference.max() / scale), float(difference[-1].max() / scale)


SETTLED, UNSETTLED, FROM_A_START = (400, True), (50, True), (50, False)
CASES = [(n, *run) for n in (1, 4, 16) for run in (SETTLED, UNSETTLED, FROM_A_START)]


@pytest.mark.parametrize(("n", "duration_tau", "from_rest"), [*CASES, (64, *UNSETTLED)])
def test_agreement(n: int, duration_tau: float, from_rest: bool) -> None:
    loaded = load(n)
    x0 = None if from_rest else np.random.default_rng(3).normal(size=n) * 0.3
    path, end = differences(loaded, duration_tau * loaded.tau, x0)
    assert path < ALONG_THE_PATH
    assert end < AT_THE_END


def test_agreement_would_not_survive_five_per_cent() -> None:
    loaded = load(4)
    spice, exact = Ngspice(), find_engine("state_space")
    _, found = spice.run(spice.init(loaded), duration=50 * loaded.tau)
    assert loaded.problem.b is not None
    _, wrong = exact.run(exact.init(loaded), duration=50 * loaded.tau, b=1.05 * loaded.problem.b)
    assert float((found.final_volt - wrong.final_volt).abs().max()) > 100 * AT_THE_END * float(
        wrong.final_volt.abs().max()
    )


def test_ideal_parts() -> None:
    loaded = load(4, "ideal")
    path, end = differences(loaded, 50 * loaded.tau)
    assert path < ALONG_THE_PATH
    assert end < AT_THE_END


def test_run_covers_the_whole_duration_and_only_the_outputs() -> None:
    loaded = load(4)
    spice = find_engine("ngspice")
    _, found = spice.run(spice.init(loaded), duration=20 * loaded.tau)
    assert found.times_s[0] >= 0
    assert float(found.times_s[-1]) == pytest.approx(20 * loaded.tau, rel=1e-9)
    assert (found.times_s.diff() > 0).all()
    assert found.node_names == ("out0", "out1", "out2", "out3")
    assert found.voltage_volt.shape[1] == 4
    assert not found.noisy


def ngspice(*arguments: str, folder: Path) -> str:
    command = ["ngspice", "-b", "-n", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout


def test_standalone_deck_runs_as_it_is(tmp_path: Path) -> None:
    """``ngspice -b deck.cir`` in an empty directory, nothing beside it: the values it prints are the engine's."""
    loaded = load(4)
    duration = 50 * loaded.tau
    (tmp_path / "deck.cir").write_text(Ngspice().deck(loaded, duration=duration, standalone=True))
    done = ngspice("deck.cir", folder=tmp_path)
    printed: dict[str, float] = {}  # the last row under every header
    header: list[str] = []
    for words in (line.split() for line in done.splitlines()):
        if words[:2] == ["Index", "time"]:
            header = words[2:]
        elif header and len(words) == len(header) + 2 and words[0].isdigit():
            printed |= dict(zip(header, map(float, words[2:]), strict=True))
    _, found = Ngspice().run(Ngspice().init(loaded), duration=duration)
    expected = dict(zip((f"v({name})" for name in found.node_names), found.final_volt.tolist(), strict=True))
    assert printed == pytest.approx(expected, rel=1e-5)


def test_raw_file_of_a_run_is_read_whole(tmp_path: Path) -> None:
    loaded = load(4)
    (tmp_path / "deck.cir").write_text(Ngspice().deck(loaded, duration=loaded.tau))
    ngspice("-r", "out.raw", "deck.cir", folder=tmp_path)
    (plot,) = read_raw(tmp_path / "out.raw")
    assert plot.name.startswith("Transient")
    assert plot.names == ("time", "v(out0)", "v(out1)", "v(out2)", "v(out3)")


def test_batches_are_refused_with_the_way_out() -> None:
    problem = LinearProblem(np.eye(2), [1.0, 2.0])
    spice = find_engine("ngspice")
    with pytest.raises(MisuseError, match=r"chips = 3: .*loaded.select\(k\)"):
        spice.init(program(manufacture("integrator", 2, presets.ideal(), chips=3), problem))
    loaded = program(manufacture("integrator", 2, presets.ideal()), problem)
    with pytest.raises(MisuseError, match="this drive has 2"):
        spice.run(spice.init(loaded), duration=1e-6, b=np.ones((2, 2)))
    noisy = program(manufacture("integrator", 2, presets.ideal()), problem, kappa=0.1)
    with pytest.raises(MisuseError, match="this drive has 2"):
        spice.run(spice.init(noisy), duration=1e-6, b=np.ones((2, 2)))


def test_unstable_circuit_is_not_run() -> None:
    loaded = program(manufacture("integrator", 1, presets.ideal()), LinearProblem([[-1.0]], [1.0]))
    spice = find_engine("ngspice")
    _, found = spice.run(spice.init(loaded), duration=1e-6)
    assert found.status.outcome is Outcome.UNSTABLE
