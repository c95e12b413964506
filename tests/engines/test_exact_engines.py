"""``behavioral`` (closed form) and ``state_space`` (netlist, cells, MNA) are two derivations of one circuit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import spd_matrix, stable_matrix
from relaxation import relaxation

from tngd_hw import HardwareSpec, LinearProblem, Trajectory, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.topologies import LoadedChip

TIMES_TAU = np.array([0.0, 1e-3, 0.05, 0.4, 1.0, 3.0, 10.0, 60.0])


def rough() -> HardwareSpec:
    """Parts bad enough that every effect is far above 1e-9: 5 % tolerances, gain 300, 5 MHz, offsets of 10 mV."""
    return HardwareSpec.from_dict(
        {
            "name": "rough",
            "resistors": {"resistance_ohm": 1e3, "tolerance_dtod": 0.05},
            "capacitors": {"capacitance_farad": 1e-9, "tolerance_dtod": 0.05},
            "amplifiers": {
                "open_loop_gain": 300.0, "gain_bandwidth_hz": "5 MHz", "offset_volt_dtod": "10 mV",
                "output_swing_volt": 100.0, "output_current_ampere": 10.0,
            },
        }
    )  # fmt: skip


def sparse() -> np.ndarray:
    A = np.diag([3.0, 1.0, 2.0, 1.5])
    A[0, 2], A[3, 1] = -0.5, 0.25
    return A


MATRICES = {
    "one": np.array([[0.7]]),
    "signs": spd_matrix(6, seed=3),
    "not symmetric": -stable_matrix(5, seed=4),
    "zeros": sparse(),
}


def mismatched() -> HardwareSpec:
    """Ideal amplifiers between parts of 10 %."""
    tolerance = {"tolerance_dtod": 0.1}
    return HardwareSpec.from_dict({"name": "mismatched", "resistors": tolerance, "capacitors": tolerance})


HARDWARE = {"ideal": presets.ideal, "mismatched": mismatched, "pcb": presets.pcb_1k_1n, "rough": rough}


def run(name: str, loaded: LoadedChip, **options: object) -> Trajectory:
    engine = find_engine(name)
    times = TIMES_TAU * loaded.tau
    return engine.run(engine.init(loaded), duration=float(times[-1]), times_s=times, **options)[1]  # pyright: ignore[reportArgumentType] - b, x0


def load(matrix: str, hardware: str, seed: int = 1) -> LoadedChip:
    A = MATRICES[matrix]
    b = np.random.default_rng(8).normal(size=len(A))
    return program(manufacture("integrator", len(A), HARDWARE[hardware](), seed=seed), LinearProblem(A, b))


@pytest.mark.parametrize("hardware", list(HARDWARE))
@pytest.mark.parametrize("matrix", list(MATRICES))
@pytest.mark.parametrize("from_rest", [True, False])
def test_closed_form_is_the_netlist(matrix: str, hardware: str, from_rest: bool) -> None:
    loaded = load(matrix, hardware)
    x0 = None if from_rest else np.random.default_rng(9).normal(size=loaded.n)
    one, two = (run(name, loaded, x0=x0).voltage_volt.numpy() for name in ("behavioral", "state_space"))
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-9 * np.abs(one).max())


@pytest.mark.parametrize("matrix", list(MATRICES))
@pytest.mark.parametrize("from_rest", [True, False])
def test_netlist_of_ideal_parts_is_the_relaxation(matrix: str, from_rest: bool) -> None:
    """state_space of the op-amp array against expm of A: 1e-9 along the whole path."""
    loaded = load(matrix, "ideal")
    x0 = np.zeros(loaded.n) if from_rest else np.random.default_rng(9).normal(size=loaded.n)
    assert loaded.problem.b is not None
    expected = relaxation(MATRICES[matrix], loaded.problem.b, TIMES_TAU, x0)
    found = run("state_space", loaded, x0=x0).voltage_volt.numpy() / loaded.scales.voltage_volt
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("matrix", list(MATRICES))
def test_settled_ideal_chip_gives_the_solution(matrix: str) -> None:
    """After 50/lambda_min tau e^-50 is left: A^-1 b to 1e-9."""
    loaded = load(matrix, "ideal")
    engine = find_engine("state_space")
    duration = 50 / float(np.linalg.eigvals(MATRICES[matrix]).real.min()) * loaded.tau
    _, trajectory = engine.run(engine.init(loaded), duration=duration)
    assert loaded.problem.b is not None
    expected = np.linalg.solve(MATRICES[matrix], loaded.problem.b.numpy())
    found = trajectory.final_volt.numpy() / loaded.scales.voltage_volt
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_rough_parts_are_seen() -> None:
    """What the agreement above would be worth if the effects were absent: they are of the order of 5 % and more."""
    for matrix in MATRICES:
        ideal, bad = load(matrix, "ideal"), load(matrix, "rough")
        x, y = (run("behavioral", c).voltage_volt.numpy() / c.scales.voltage_volt for c in (ideal, bad))
        assert np.abs(x - y)[3:].max() > 0.02 * np.abs(x).max()


def finite_gain_and_offset(loaded: LoadedChip, A: np.ndarray, *, gain: float, offset: float, load: float) -> np.ndarray:
    """The settled integrator by hand, positive A (no inverters): out = gain (offset - s), all currents into s are 0."""
    G = loaded.scales.conductance_siemens * A
    v_in = loaded.drive().inputs.numpy()
    # sum_j G_ij (V_j - s_i) + g_in (v_in,i - s_i) = 0  with  s_i = offset - V_i / gain
    total = np.diag(G.sum(1) + load)
    return np.linalg.solve(G + total / gain, total @ np.full(len(A), offset) - load * v_in)


def test_finite_gain_and_offset_by_hand() -> None:
    A, b = np.array([[2.0, 0.5], [0.25, 1.0]]), np.array([1.0, -0.5])
    spec = HardwareSpec.from_dict(
        {
            "name": "gain",
            "amplifiers": {
                "open_loop_gain": 200.0, "gain_bandwidth_hz": 1e7, "offset_volt_dtod": 1e-2,
                "output_swing_volt": 10.0, "output_current_ampere": 1.0,
            },
        }
    )  # fmt: skip
    chip = manufacture("integrator", 2, spec, seed=3)
    offsets = chip.deviations["amplifiers"]["offset"]
    for values in offsets.values():
        values.fill_(0.01)  # the same offset everywhere, so that the hand calculation stays short
    loaded = program(chip, LinearProblem(A, b))
    expected = finite_gain_and_offset(loaded, A, gain=200.0, offset=0.01, load=1e-3)
    engine = find_engine("state_space")
    _, trajectory = engine.run(engine.init(loaded), duration=200 * loaded.tau)
    np.testing.assert_allclose(trajectory.final_volt, expected, rtol=1e-9)
    ideal = np.linalg.solve(A, b) * loaded.scales.voltage_volt
    assert np.abs(expected / ideal - 1).min() > 0.01


@pytest.mark.parametrize("name", ["ideal", "behavioral", "state_space"])
def test_several_right_hand_sides_are_single_runs(name: str) -> None:
    loaded = load("signs", "pcb")
    rng = np.random.default_rng(2)
    b, x0 = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    together = run(name, loaded, b=b, x0=x0)
    assert together.voltage_volt.shape == (len(TIMES_TAU), 6, 3)
    assert together.node_axis == -2
    assert together.final_volt.shape == (6, 3)
    for k in range(3):
        alone = run(name, loaded, b=b[:, k], x0=x0[:, k])
        np.testing.assert_allclose(together.voltage_volt[..., k], alone.voltage_volt, rtol=0, atol=1e-12)


def test_b_of_a_run_replaces_the_problems() -> None:
    loaded = load("signs", "ideal")
    b = np.arange(1.0, 7.0)
    found = run("state_space", loaded, b=b).voltage_volt.numpy() / loaded.scales.voltage_volt
    np.testing.assert_allclose(found, relaxation(MATRICES["signs"], b, TIMES_TAU), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["ideal", "behavioral", "state_space"])
def test_same_call_twice_gives_the_same_bits(name: str) -> None:
    loaded = load("not symmetric", "rough")
    engine = find_engine(name)
    state = engine.init(loaded)
    first = engine.run(state, duration=10 * loaded.tau)[1]
    again = engine.run(state, duration=10 * loaded.tau)[1]
    assert torch.equal(first.voltage_volt, again.voltage_volt)


def test_saturated_node_is_named() -> None:
    loaded = program(manufacture("integrator", 2, presets.pcb_1k_1n()), LinearProblem(np.eye(2), [0.0, 1.0]), x_max=0.1)
    engine = find_engine("behavioral")
    _, trajectory = engine.run(engine.init(loaded), b=[0.0, 30.0], duration=20 * loaded.tau)
    assert trajectory.status.outcome.value == "saturated"
    assert trajectory.status.detail.startswith("node 1 reached")
