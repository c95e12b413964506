"""The settling error against formulas written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import spd_matrix
from relaxation import relaxation

import tngd_hw as tngd
from tngd_hw import LinearProblem, Outcome, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.readout import settled_status, settling_error, settling_time
from tngd_hw.topologies import LoadedChip


def load(A: object, b: object, hardware: str = "ideal", chips: int | None = None) -> LoadedChip:
    problem = LinearProblem(A, b)  # pyright: ignore[reportArgumentType] - arrays
    return program(manufacture("integrator", problem.n, getattr(presets, hardware)(), seed=2, chips=chips), problem)


def test_one_mode() -> None:
    """A = 2: e^(-2 t/tau) is left."""
    loaded = load([[2.0]], [3.0])
    for t in (0.1, 1.0, 5.0):
        assert settling_error(loaded, t * loaded.tau) == pytest.approx(math.exp(-2 * t), rel=1e-9)


def test_two_modes_and_a_start() -> None:
    A, b, x0 = spd_matrix(3, 1, 20.0), np.array([1.0, -2.0, 0.5]), np.array([0.5, 0.0, -1.0])
    loaded = load(A, b)
    end = np.linalg.solve(A, b)
    for start in (np.zeros(3), x0):
        found = settling_error(loaded, 4 * loaded.tau, x0=start)
        left = relaxation(A, b, [4.0], start)[0] - end
        assert found == pytest.approx(np.linalg.norm(left) / np.linalg.norm(end), rel=1e-8)


def test_worst_column_counts() -> None:
    A = np.diag([1.0, 10.0])
    loaded = load(A, np.eye(2))
    assert settling_error(loaded, 3 * loaded.tau) == pytest.approx(math.exp(-3), rel=1e-9)


def test_real_circuit_settles_to_its_own_end() -> None:
    """Systematic errors are not settling errors: a settled run of bad parts has none left."""
    loaded = load(spd_matrix(3, 1, 5.0), np.ones(3), "pcb_1k_1n")
    engine = find_engine("behavioral")
    long, short = (engine.run(engine.init(loaded), duration=t * loaded.tau)[1].final_volt.numpy() for t in (400, 8))
    expected = np.linalg.norm(short - long) / np.linalg.norm(long)
    assert settling_error(loaded, 8 * loaded.tau) == pytest.approx(expected, rel=1e-6)
    assert settling_error(loaded, 400 * loaded.tau) < 1e-12


def test_worst_chip_of_a_batch_counts() -> None:
    batch = load(spd_matrix(3, 1, 5.0), np.ones(3), "pcb_1k_1n", chips=4)
    alone = [settling_error(batch.select(k), 10 * batch.tau) for k in range(4)]
    assert settling_error(batch, 10 * batch.tau) == pytest.approx(max(alone), rel=1e-9)
    assert max(alone) > min(alone)


def test_settling_time() -> None:
    loaded = load(np.diag([0.5, 3.0]), [1.0, 1.0])
    assert settling_time(loaded, 1e-3) == pytest.approx(math.log(1e3) / 0.5 * loaded.tau, rel=1e-12)


def test_status() -> None:
    loaded = load([[0.5]], [1.0])
    assert settled_status(loaded, loaded.tau, 1e-3, 1e-3).ok
    status = settled_status(loaded, 2 * loaded.tau, 1e-3, 0.37)
    assert status.outcome is Outcome.NOT_SETTLED
    assert status.detail == (
        "after 2 tau the answer is 0.37 away from its end value (relative); 13.8 tau would leave the slowest mode 1e-03"
    )
    assert "run longer" in str(status)


def test_unstable_chips_of_a_batch_are_left_out() -> None:
    """Chips 2, 3, 5 and 7 grow; the slowest of the others settles as it does alone."""
    spec = tngd.presets.ideal().with_value("transconductors.tolerance_dtod", 0.3)
    problem = tngd.LinearProblem([[1.0, 0.9], [0.9, 1.0]], [1.0, 0.5])
    loaded = tngd.program(tngd.manufacture("gm_c", 2, spec, seed=1, chips=8), problem)
    alone = [loaded.select(k) for k in (0, 1, 4, 6)]
    assert settling_time(loaded, 1e-3) == pytest.approx(max(settling_time(one, 1e-3) for one in alone), rel=1e-9)
    duration = 20 * loaded.tau
    expected = max(settling_error(one, duration) for one in alone)
    assert settling_error(loaded, duration) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(tngd.OutcomeError, match="unstable"):
        settling_time(loaded.select(2), 1e-3)


def test_slow_noise_has_nothing_to_settle() -> None:
    """1/f noise of 0.3 mHz does not make a circuit of microseconds slow."""
    amplifiers = {
        "open_loop_gain": 1e5, "gain_bandwidth_hz": 1e8, "output_swing_volt": 2.0, "output_current_ampere": 0.05,
        "voltage_noise_volt_per_rthz": 5e-9,
    }  # fmt: skip
    times: list[float] = []
    for corner in (0.0, 10.0):
        document = {"name": "t", "amplifiers": amplifiers | {"flicker_corner_hz": corner}}
        chip = tngd.manufacture("integrator", 2, tngd.hardware.HardwareSpec.from_dict(document))
        loaded = tngd.program(chip, tngd.LinearProblem([[1.0, 0.2], [0.1, 0.8]], [1.0, 0.5]))
        times.append(settling_time(loaded, 1e-3))
    assert times[1] == pytest.approx(times[0], rel=1e-12)
