"""``solve``: the whole chain in one call."""

from __future__ import annotations

import numpy as np
import pytest
from cases import spd_matrix
from relaxation import filtered

import tngd_hw as tngd
from tngd_hw.api import solve_in_steps
from tngd_hw.engines import Ngspice, find_engine
from tngd_hw.outcome import MisuseError, Outcome

N = 6
A, b = spd_matrix(N, seed=3, condition=20.0), np.random.default_rng(1).normal(size=N)
ENGINES = ["ideal", "behavioral", "state_space", pytest.param("ngspice", marks=pytest.mark.ngspice)]


@pytest.mark.parametrize("engine", ENGINES)
def test_default_duration_settles_to_a_millionth(engine: str) -> None:
    estimate = tngd.solve(A, b, engine=engine)
    assert estimate.outcome is Outcome.OK
    expected = np.linalg.solve(A, b)
    error = np.linalg.norm(estimate.value.numpy() - expected) / np.linalg.norm(expected)
    assert error < 2e-5 if engine == "ngspice" else 1e-8 < error < 1e-5
    assert estimate.engine == engine
    assert estimate.seed == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_real_parts_leave_their_systematic_error(engine: str) -> None:
    """0.1 % resistors at a condition number of 20: between 1e-4 and 5 %; the ideal engine has none."""
    estimate = tngd.solve(A, b, hardware="pcb_1k_1n", engine=engine, seed=3)
    assert estimate.outcome is Outcome.OK
    expected = np.linalg.solve(A, b)
    error = np.linalg.norm(estimate.value.numpy() - expected) / np.linalg.norm(expected)
    assert error < 1e-5 if engine == "ideal" else 1e-4 < error < 5e-2
    assert estimate.hardware_hash == tngd.presets.pcb_1k_1n().hash


def test_short_run_is_the_filter_and_says_that_it_is_not_settled() -> None:
    tau = tngd.solve(A, b).tau_s
    estimate = tngd.solve(A, b, duration=3 * tau)
    np.testing.assert_allclose(estimate.value, filtered(A, b, 3.0), rtol=0, atol=1e-9)
    assert estimate.outcome is Outcome.NOT_SETTLED
    assert estimate.status.detail.startswith("after 3 tau")


def test_noise_is_averaged_over_the_second_half_with_an_error_bar() -> None:
    """x is within 5 error bars, and the bars are of the size that 101 independent readings have."""
    kappa, duration_tau = 1e-3, 20_000.0
    loaded, trajectory, estimate = steps(kappa=kappa, duration_tau=duration_tau, engine="behavioral")
    assert trajectory.noisy
    assert estimate.outcome is Outcome.OK
    expected = np.linalg.solve(A, b)
    error = np.abs(estimate.value.numpy() - expected)
    assert (error < 5 * estimate.stderr.numpy()).all()
    inverse = np.linalg.inv(A)
    # 101 points of the second half: independent where they are 100 tau apart and the slowest mode takes 20
    predicted = np.sqrt(kappa * np.diag(inverse) / 101)
    assert 0.5 < np.sqrt((estimate.stderr.numpy() / predicted) ** 2).mean() < 2
    assert loaded.kappa == kappa


def steps(**options: object) -> tuple[tngd.topologies.LoadedChip, tngd.Trajectory, tngd.Estimate]:
    given = {
        "topology": "integrator", "hardware": "ideal", "engine": "state_space", "duration": None, "kappa": 0.0,
        "x_max": None, "seed": 0,
    }  # fmt: skip
    return solve_in_steps(tngd.LinearProblem(A, b), **(given | options))  # pyright: ignore[reportArgumentType] - by name


def test_duration_in_tau() -> None:
    loaded, trajectory, estimate = steps(duration_tau=7.0)
    assert trajectory.duration_s == estimate.duration_s == pytest.approx(7 * loaded.tau, rel=1e-15)


def test_seed_is_the_die_and_the_noise() -> None:
    options = {"hardware": "pcb_1k_1n", "kappa": 1e-4}
    one, same, other = (tngd.solve(A, b, seed=seed, **options) for seed in (1, 1, 2))  # pyright: ignore[reportArgumentType] - by name
    assert one.value.tolist() == same.value.tolist()
    assert one.value.tolist() != other.value.tolist()


def test_several_right_hand_sides() -> None:
    right = np.random.default_rng(2).normal(size=(N, 3))
    estimate = tngd.solve(A, right)
    assert estimate.outcome is Outcome.OK
    np.testing.assert_allclose(estimate.value, np.linalg.solve(A, right), atol=1e-4)


@pytest.mark.parametrize(
    ("matrix", "outcome"),
    [(np.zeros((2, 2)), Outcome.SINGULAR), (-np.eye(2), Outcome.UNSTABLE), (np.ones((2, 2)), Outcome.SINGULAR)],
)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kappa", [0.0, 1e-3])
def test_failed_outcomes_are_data(engine: str, matrix: np.ndarray, outcome: Outcome, kappa: float) -> None:
    estimate = tngd.solve(matrix, [1.0, 2.0], engine=engine, kappa=kappa)
    assert estimate.outcome is outcome
    assert estimate.value.isnan().all()


def test_missing_simulator_is_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TNGD_NGSPICE", "/nonexistent")
    assert tngd.solve(A, b, engine="ngspice").outcome is Outcome.SIMULATOR_MISSING


@pytest.mark.parametrize("engine", ["ideal", "behavioral"])
def test_circuit_that_only_slow_amplifiers_make_unstable(engine: str) -> None:
    """The engine ``ideal`` has no amplifiers: it settles where the circuit would not."""
    spec = tngd.presets.pcb_1k_1n()
    assert spec.amplifiers is not None
    slow = spec.model_copy(update={"amplifiers": spec.amplifiers.model_copy(update={"gain_bandwidth_hz": 1e6})})
    matrix = [[0.02, 1.0], [-1.0, 0.02]]
    estimate = tngd.solve(matrix, [1.0, 0.0], hardware=slow, engine=engine)
    if engine == "behavioral":
        assert estimate.outcome is Outcome.UNSTABLE
    else:
        assert estimate.outcome is Outcome.OK
        np.testing.assert_allclose(estimate.value, np.linalg.solve(matrix, [1.0, 0.0]), atol=1e-4)


@pytest.mark.ngspice
def test_engine_with_settings() -> None:
    assert tngd.solve(A, b, engine=Ngspice(points=50)).engine == "ngspice"
    assert find_engine("ngspice") == Ngspice()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"topology": "inverter"}, r"topology = 'inverter': the topologies are .*integrator"),
        ({"hardware": "pcb_1k"}, r"hardware = 'pcb_1k': .*did you mean 'pcb_1k_1n'"),
        ({"hardware": "nowhere.toml"}, r"hardware = nowhere\.toml: cannot be read"),
        ({"engine": "spice"}, r"engine = 'spice': .*did you mean 'pyspice'"),
        ({"kappa": -1.0}, r"kappa = -1.0"),
        ({"x_max": 0.0}, r"x_max = 0.0"),
        ({"duration": 0.0}, r"duration = 0.0"),
        ({"duration": float("nan")}, r"duration = nan"),
        ({"duration": True}, r"duration = True"),
        ({"seed": -1}, r"seed = -1"),
        ({"seed": 0.5}, r"seed = 0.5"),
    ],
)
@pytest.mark.parametrize("engine", ["ideal", "state_space"])
def test_misuse_is_named(options: dict[str, object], says: str, engine: str) -> None:
    with pytest.raises(MisuseError, match=says):
        tngd.solve(A, b, **({"engine": engine} | options))  # pyright: ignore[reportArgumentType] - the point


@pytest.mark.parametrize(
    ("matrix", "right", "says"),
    [
        ([[1.0, 2.0]], [1.0], r"A has shape \(1, 2\)"),
        (np.eye(2), [1.0, 2.0, 3.0], r"b has shape \(3,\): A has 2 rows"),
        ([[1.0, np.nan], [0, 1]], [1.0, 2.0], r"A\[0, 1\] = nan"),
        (np.eye(2), [np.inf, 2.0], r"b\[0\] = inf"),
        (np.eye(2) * 1j, [1.0, 2.0], "A is complex"),
        (np.zeros((0, 0)), [], "A is empty"),
        ([[1.0], [1.0, 2.0]], [1.0, 2.0], "A has rows of different lengths"),
    ],
)
def test_bad_problems_are_named(matrix: object, right: object, says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        tngd.solve(matrix, right)  # pyright: ignore[reportArgumentType] - the point of the test


def test_the_ideal_filter_is_refused_for_circuits_that_are_no_filter() -> None:
    with pytest.raises(MisuseError, match=r"engine = 'ideal' is the filter .* which amc_inverse is not"):
        tngd.solve(np.eye(2), [1.0, 2.0], topology="amc_inverse", hardware="pcb_1k_1n", engine="ideal")
