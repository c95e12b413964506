"""Programming a die: scales, reports, and what it says of matrices it cannot hold."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from cases import spd_matrix, stable_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from tngd_hw import LinearProblem, MisuseError, Outcome, OutcomeError, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.topologies import LoadedChip

SPD = spd_matrix(4, seed=1)


def load(A: object, b: object = None, hardware: str = "ideal", **options: float) -> LoadedChip:
    problem = LinearProblem(A, b)  # pyright: ignore[reportArgumentType] - any array
    chip = manufacture("integrator", problem.n, getattr(presets, hardware)())
    return program(chip, problem, **options)  # pyright: ignore[reportArgumentType] - x_max, kappa


def test_report_relations() -> None:
    """G = g0 A, tau = C/g0, and the counts, for an example with known entries."""
    A = np.array([[4.0, -1.0, 0.0], [-1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])
    loaded = load(A, [1.0, 2.0, 3.0], "pcb_1k_1n")
    report = loaded.report
    g0 = 1e-3 / 4
    assert report.conductance_scale_siemens == pytest.approx(g0)
    assert loaded.tau == report.tau_s == pytest.approx(1e-9 / g0)
    low, high = report.component_range  # this die's, with its tolerance of 0.1 %
    assert low == pytest.approx(0.5 * g0, rel=5e-3)
    assert high == pytest.approx(1e-3, rel=5e-3)
    assert report.dynamic_range_db == pytest.approx(20 * math.log10(8), abs=0.1)
    assert (report.matrix_components, report.inverted_components, report.amplifiers) == (7, 2, 6)
    assert (report.nodes_used, report.nodes_on_chip) == (3, 3)
    mu = np.linalg.eigvalsh(A)
    assert report.slowest_tau == pytest.approx(1 / mu[0])
    assert report.condition_number == pytest.approx(mu[-1] / mu[0])
    limit = 0.02 / (1e-3 + 5.25 * g0)  # 20 mA into the inverter and the fullest rail: column 0 is 4 g0, column 1 3.5 g0
    assert report.voltage_limit_volt is not None
    assert report.voltage_limit_volt == pytest.approx(min(1.5, limit), rel=1e-2)
    bound = np.linalg.norm([1.0, 2.0, 3.0]) / mu[0]
    assert report.voltage_scale_volt == pytest.approx(0.8 * min(1.5, limit) / bound)  # of the design, not of this die
    assert report.bandwidth_slowdown == pytest.approx(1 + (1e-3 + 5 * g0) / (2 * math.pi * 75e6 * 1e-9), rel=2e-2)
    assert report.gain_damping == pytest.approx((1e-3 + 5 * g0) / (75e3 * g0), rel=1e-2)


def test_ideal_report_has_no_amplifier_effects() -> None:
    report = load(SPD, np.ones(4)).report
    assert (report.bandwidth_slowdown, report.gain_damping, report.voltage_limit_volt) == (1.0, 0.0, None)
    assert report.kappa == report.noise_psd_ampere2_per_hz == report.effective_temperature_kelvin == 0.0


def test_report_is_json_and_text() -> None:
    loaded = load(SPD, np.ones(4), "pcb_1k_1n", kappa=0.01)
    assert json.loads(json.dumps(loaded.report.to_dict(), allow_nan=False))["nodes_used"] == 4
    assert "kappa = 0.01" in str(loaded.report)
    unstable = load(-SPD, np.ones(4)).report.to_dict()
    assert json.loads(json.dumps(unstable, allow_nan=False))["slowest_tau"] is None


def test_effective_temperature_of_the_architecture() -> None:
    """kappa = 0.01 at v0 = 1 V and C = 1 nF means T_eff = 7e11 K (fact 10): 0.01 * 1 * 1e-9 / 1.380649e-23."""
    loaded = load(np.eye(2), None, kappa=0.01, x_max=1.0)
    assert loaded.scales.voltage_volt == pytest.approx(1.0)
    assert loaded.report.effective_temperature_kelvin == pytest.approx(7.24297e11, rel=1e-5)


def test_noise_density() -> None:
    """kappa = S_I/(4 C g0 v0^2)."""
    loaded = load(2 * np.eye(3), np.ones(3), kappa=0.02)
    s = loaded.scales
    density = loaded.report.noise_psd_ampere2_per_hz
    assert density / (4 * 1e-9 * 0.5e-3 * s.voltage_volt**2) == pytest.approx(0.02, rel=1e-12)


def test_x_max_replaces_the_bound_and_noise_gets_room() -> None:
    assert load(np.eye(2), [0.1, 0.0], x_max=4.0).scales.voltage_volt == pytest.approx(0.25)
    assert load(np.eye(2), [0.1, 0.0]).scales.voltage_volt == pytest.approx(10.0)  # |x| <= 0.1
    quiet, noisy = load(np.eye(2), [1.0, 0.0]), load(np.eye(2), [1.0, 0.0], kappa=0.04)
    assert quiet.scales.voltage_volt == pytest.approx(1.0)
    assert noisy.scales.voltage_volt == pytest.approx(1 / (1 + 5 * 0.2))


def test_inputsages_are_in_the_planned_range_too() -> None:
    """x_max = 1e-3 alone would ask for inputs of 1,000 V."""
    loaded = load(np.eye(2), [1.0, 0.5], x_max=1e-3)
    assert float(loaded.drive().inputs.abs().max()) == pytest.approx(1.0)


@settings(max_examples=60)
@given(
    n=st.integers(1, 8),
    seed=st.integers(0, 2**31),
    condition=st.floats(1.0, 1e4),
    size=st.floats(1e-6, 1e6),
    hardware=st.sampled_from(["ideal", "pcb_1k_1n"]),
)
def test_voltages_stay_in_the_planned_range(n: int, seed: int, condition: float, size: float, hardware: str) -> None:
    """For symmetric positive definite A and x0 = 0, of any scale, at all times.

    Perfect parts: of any conditioning.  Real ones: while the tolerance of 0.1 % times the condition number is within
    the headroom; beyond, a die may leave the range and says so (SATURATED).
    """
    A = spd_matrix(n, seed, condition if hardware == "ideal" else min(condition, 40.0)) * size
    b = np.random.default_rng(seed).normal(size=n)
    loaded = load(A, b, hardware)
    planned = 1.0 if loaded.report.voltage_limit_volt is None else loaded.report.voltage_limit_volt
    engine = find_engine("behavioral")
    _, trajectory = engine.run(engine.init(loaded), duration=20 * loaded.report.slowest_tau * loaded.tau)
    assert trajectory.status.ok, trajectory.status
    assert float(trajectory.voltage_volt.abs().max()) <= planned * (1 + 1e-9)
    assert float(loaded.drive().inputs.abs().max()) <= planned * (1 + 1e-9)


@pytest.mark.parametrize(
    ("A", "outcome", "says"),
    [
        (np.zeros((2, 2)), Outcome.SINGULAR, "eigenvalue of 0"),
        ([[1.0, 1.0], [1.0, 1.0]], Outcome.SINGULAR, "eigenvalue of 0"),
        ([[1.0, 2.0], [2.0, 1.0]], Outcome.UNSTABLE, "real part -1,"),
        (-np.eye(3), Outcome.UNSTABLE, "real part -1,"),
        ([[0.0, 1.0], [-1.0, 0.0]], Outcome.SINGULAR, "eigenvalue of 0"),
        ([[-1.0]], Outcome.UNSTABLE, "real part -1,"),
    ],
)
def test_matrices_that_do_not_settle(A: object, outcome: Outcome, says: str) -> None:
    loaded = load(A)
    assert loaded.status.outcome is outcome
    assert says in loaded.status.detail
    engine = find_engine("state_space")
    _, trajectory = engine.run(engine.init(loaded), duration=1e-6)
    assert trajectory.status == loaded.status
    assert len(trajectory.times_s) == 0


def test_stable_matrix_with_a_negative_symmetric_part_is_held() -> None:
    loaded = load([[1.0, 9.0], [0.0, 1.0]], [1.0, 1.0])
    assert loaded.status.ok
    assert loaded.circuit_status.ok


def test_too_many_unknowns_for_the_die() -> None:
    loaded = program(manufacture("integrator", 3, presets.ideal()), LinearProblem(SPD, np.ones(4)))
    assert loaded.status.outcome is Outcome.NOT_REALIZABLE
    assert loaded.status.detail == "A has 4 rows, the chip has 3 nodes"
    for call in (lambda: loaded.elements, lambda: loaded.report, loaded.netlist, loaded.linear_sde):
        with pytest.raises(OutcomeError, match="4 rows"):
            call()


def test_circuit_that_only_its_slow_amplifiers_make_unstable() -> None:
    """A rotation with little damping is stable; amplifiers of 1 MHz turn its phase and it grows."""
    A = [[0.02, 1.0], [-1.0, 0.02]]
    spec = presets.pcb_1k_1n()
    assert spec.amplifiers is not None
    slow = spec.model_copy(update={"amplifiers": spec.amplifiers.model_copy(update={"gain_bandwidth_hz": 1e6})})
    loaded = program(manufacture("integrator", 2, slow), LinearProblem(A, [1.0, 0.0]))
    assert loaded.status.ok
    assert loaded.circuit_status.outcome is Outcome.UNSTABLE
    assert "with its real amplifiers" in loaded.circuit_status.detail
    engine = find_engine("behavioral")
    _, trajectory = engine.run(engine.init(loaded), duration=1e-6)
    assert trajectory.status.outcome is Outcome.UNSTABLE


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), True, "0.1", None])
def test_bad_kappa(value: object) -> None:
    with pytest.raises(MisuseError, match=r"kappa = .*0 or more"):
        load(SPD, np.ones(4), kappa=value)  # pyright: ignore[reportArgumentType] - the point of the test


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), True, "1"])
def test_bad_x_max(value: object) -> None:
    with pytest.raises(MisuseError, match=r"x_max = .*above 0"):
        load(SPD, np.ones(4), x_max=value)  # pyright: ignore[reportArgumentType] - the point of the test


def test_factor_form_is_refused_with_the_way_out() -> None:
    problem = LinearProblem.from_factors(np.ones((6, 4)), np.ones((2, 3, 3)), 0.5)
    with pytest.raises(MisuseError, match=r"kept as factors.*dual_problem"):
        program(manufacture("integrator", 4, presets.ideal()), problem)


def test_drive_checks_and_broadcasts() -> None:
    loaded = load(SPD, np.ones(4))
    drive = loaded.drive(b=np.ones((4, 3)), x0=np.arange(4.0))
    assert drive.inputs.shape == drive.initial_volt.shape == (4, 3)
    assert torch.equal(drive.initial_volt[:, 0], drive.initial_volt[:, 2])
    for bad, says in (
        ({"b": np.ones(3)}, r"b has shape \(3,\)"),
        ({"x0": 1.0}, r"x0 has shape \(\)"),
        ({"x0": [np.nan] * 4}, "x0"),
    ):
        with pytest.raises(MisuseError, match=says):
            loaded.drive(**bad)  # pyright: ignore[reportArgumentType] - the point of the test
    with pytest.raises(MisuseError, match="b has 3 columns and x0 has 2"):
        loaded.drive(b=np.ones((4, 3)), x0=np.ones((4, 2)))


def test_netlist_has_one_right_hand_side() -> None:
    loaded = load(SPD, np.ones((4, 2)))
    with pytest.raises(MisuseError, match="this drive has 2"):
        loaded.netlist()


def test_select_takes_a_die_out_of_its_batch() -> None:
    problem = LinearProblem(stable_matrix(3, 1) * -1, np.ones(3))
    batch = program(manufacture("integrator", 3, presets.pcb_1k_1n(), seed=4, chips=3), problem)
    one = batch.select(2)
    assert one.chip.chips is None
    assert torch.equal(one.linear_sde().F, batch.linear_sde().F[2])
    for bad in (-1, 3):
        with pytest.raises(MisuseError, match="this batch has chips 0 to 2"):
            batch.select(bad)
