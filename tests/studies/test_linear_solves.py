"""What a cell measures, against closed forms by hand, matrix exponentials of scipy, and draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from tngd_hw import presets, solve
from tngd_hw.hardware import HardwareSpec
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.outcome import MisuseError, Outcome
from tngd_hw.problem import LinearProblem
from tngd_hw.studies.solves.linear import measure_solves
from tngd_hw.studies.solves.readings import Reading, average_of_readings
from tngd_hw.studies.sweeps.dotted import with_hardware_value
from tngd_hw.studies.sweeps.study import StudyEngine

A = np.array([[2.0, -0.5, 0.25], [-0.5, 1.5, 0.5], [0.25, 0.5, 1.0]])
M = np.array([[2.0, -0.5, -0.25], [-0.5, 1.5, -0.5], [-0.25, -0.5, 1.25]])  # what rlc_spu holds too
B = np.array([1.0, -0.5, 0.25])
ROTATING = np.array([[1.0, 3.0], [-1.0, 0.5]])
KAPPA = 1e-3


def once(duration_tau: float | None = None, kappa: float = 0.0, samples: int = 1, spacing_tau: float = 1.0) -> Reading:
    return Reading(duration_tau, kappa, samples, spacing_tau)


def toleranced(sigma: float) -> HardwareSpec:
    return with_hardware_value(presets.ideal(), "resistors.tolerance_dtod", sigma)


@pytest.mark.parametrize("topology", ["integrator", "gm_c", "three_array"])
def test_perfect_parts_by_hand(topology: str) -> None:
    """Settling e^(-A t) x*, one reading of covariance kappa A^-1 (I - e^(-2 A t)), nothing systematic."""
    t = 1.7
    found = measure_solves(topology, LinearProblem(A, B), presets.ideal(), once(t, KAPPA), chips=3, seed=0)
    x = np.linalg.solve(A, B)
    size = np.linalg.norm(x)
    away = scipy.linalg.expm(-A * t) @ x
    covariance = KAPPA * np.linalg.inv(A) @ (np.eye(3) - scipy.linalg.expm(-2 * A * t))
    assert found.settling.numpy() == pytest.approx(np.linalg.norm(away) / size, rel=1e-9)
    assert found.sampling.numpy() == pytest.approx(math.sqrt(np.trace(covariance)) / size, rel=1e-9)
    assert float(found.systematic.max()) < 1e-12
    total = math.sqrt(np.linalg.norm(away) ** 2 + np.trace(covariance)) / size
    assert found.total.numpy() == pytest.approx(total, rel=1e-9)
    assert all(status.ok for status in found.statuses)
    assert found.total.shape == (3,)


def test_the_average_of_readings_by_hand() -> None:
    """Seven readings of a rotating system: every covariance of every pair, one by one."""
    F, noise, C = -ROTATING, np.array([[0.3, 0.0], [0.1, 0.4]]), np.array([[1.0, 2.0], [0.0, 1.0], [1.0, -1.0]])
    first, spacing, count, start = 0.4, 0.3, 7, np.array([1.0, -2.0])
    stationary = scipy.linalg.solve_continuous_lyapunov(F, -noise @ noise.T)

    def covariance(t: float) -> np.ndarray:
        decay = scipy.linalg.expm(F * t)
        return stationary - decay @ stationary @ decay.T

    times = first + spacing * np.arange(count)
    wanted, mean = np.zeros((3, 3)), np.zeros(3)
    for s in times:
        mean += C @ scipy.linalg.expm(F * (s - first)) @ start / count
        for t in times:
            between = scipy.linalg.expm(F * abs(t - s))
            pair = between @ covariance(min(s, t))  # Cov(x_later, x_earlier)
            wanted += C @ (pair if t <= s else pair.T) @ C.T / count**2
    law = average_of_readings(
        LinearSDE(F, B=noise, C=C), first=first, spacing=spacing, count=count, deviation=torch.tensor(start), noisy=True
    )
    assert law.covariance.numpy() == pytest.approx(wanted, rel=1e-10, abs=1e-14)
    assert law.mean.numpy() == pytest.approx(mean, rel=1e-10)


def test_many_readings_approach_the_time_average() -> None:
    """Spaced far apart N readings are independent: the variance falls as 1/N; together they are one."""
    one, far, near = (
        measure_solves("integrator", LinearProblem(A, B), presets.ideal(), reading, chips=1, seed=0)
        for reading in (once(60, KAPPA), once(60, KAPPA, 1024, 60), once(60, KAPPA, 1024, 1e-9))
    )
    assert float(one.sampling[0] / far.sampling[0]) == pytest.approx(32, rel=1e-9)
    assert float(one.sampling[0] / near.sampling[0]) == pytest.approx(1, rel=1e-6)


def test_parts_and_total_by_noisy_runs_of_the_same_dies() -> None:
    """4,000 draws of the noise of two dies: their scatter about the answer is the total, within 4 standard errors."""
    from tngd_hw.engines import Behavioral
    from tngd_hw.topologies import manufacture, program

    problem, spec, draws = LinearProblem(A, B), toleranced(0.05), 4000
    found = measure_solves("integrator", problem, spec, once(3.0, 0.05), chips=2, seed=5)
    loaded = program(manufacture("integrator", 3, spec, seed=5, chips=2), problem, seed=5, kappa=0.05)
    engine, x = Behavioral(), np.linalg.solve(A, B)
    columns = np.repeat(B[:, None], draws, axis=1)
    _, run = engine.run(engine.init(loaded), duration=3 * loaded.tau, b=columns, seed=7, times_s=[3 * loaded.tau])
    read = run.voltage_volt[:, -1].numpy() / loaded.scales.voltage_volt  # chip, node, draw
    squares = ((read - x[:, None]) ** 2).sum(1) / (x @ x)
    error = squares.std(1) / math.sqrt(draws)
    assert np.abs(squares.mean(1) - found.total.numpy() ** 2) == pytest.approx(0, abs=float(4 * error.max()))
    assert float(4 * error.max()) < 0.1 * float(found.total.min()) ** 2  # so that a tenth would show


def test_systematic_is_what_solve_gives_in_the_end() -> None:
    spec = toleranced(0.02)
    found = measure_solves("integrator", LinearProblem(A, B), spec, once(), chips=1, seed=11)
    x = np.linalg.solve(A, B)
    settled = solve(A, B, topology="integrator", hardware=spec, duration=1e-3, seed=11).value.numpy().ravel()
    assert float(found.systematic[0]) == pytest.approx(np.linalg.norm(settled - x) / np.linalg.norm(x), rel=1e-6)
    assert float(found.settling[0]) < 1e-5


@pytest.mark.parametrize("topology", ["integrator", "gm_c", "passive_rc", "three_array", "amc_inverse"])
def test_netlist_and_closed_form_give_the_same_numbers(topology: str) -> None:
    spec = presets.pcb_1k_1n()
    one, other = (
        measure_solves(topology, LinearProblem(M, B), spec, once(2.0, 1e-4), chips=2, seed=1, engine=engine)
        for engine in StudyEngine
    )
    assert float(one.systematic.min()) > 1e-9 or topology == "gm_c"
    for part in ("settling", "sampling", "systematic", "total"):
        found, wanted = getattr(one, part).numpy(), getattr(other, part).numpy()
        assert found == pytest.approx(wanted, rel=1e-6, abs=1e-12, nan_ok=True)
        assert np.isnan(found).all() == (topology == "amc_inverse" and part == "sampling")  # it can hold no noise


def test_dies_do_not_depend_on_the_batch() -> None:
    few, many = (
        measure_solves("integrator", LinearProblem(A, B), toleranced(0.1), once(2.0, KAPPA), chips=k, seed=2)
        for k in (2, 9)
    )
    assert few.total.numpy() == pytest.approx(many.total[:2].numpy(), rel=1e-12)
    assert float(many.total.std()) > 0


def test_a_sampling_circuit_is_read_through_its_covariance() -> None:
    """rlc_spu: Isserlis by brute force over all fourth moments of the stationary law kappa A^-1."""
    N = 50
    found = measure_solves("rlc_spu", LinearProblem(M, B), presets.ideal(), once(None, 0.0, N), chips=2, seed=0)
    S, x = np.linalg.inv(M), np.linalg.solve(M, B)
    moments = sum(
        B[j] * B[k] * (S[i, i] * S[j, k] + S[i, j] * S[i, k] + S[i, k] * S[i, j])
        for i in range(3) for j in range(3) for k in range(3)
    )  # fmt: skip
    variance = (moments - x @ x) / N
    assert found.sampling.numpy() == pytest.approx(math.sqrt(variance / (x @ x)), rel=1e-6)
    assert float(found.systematic.max()) < 1e-9
    assert 0 < float(found.settling.max()) < 1e-5
    early = measure_solves("rlc_spu", LinearProblem(M, B), presets.ideal(), once(0.5), chips=1, seed=0)
    assert float(early.settling[0]) > 0.01
    noisier = measure_solves("rlc_spu", LinearProblem(M, B), presets.ideal(), once(None, 7.0, N), chips=2, seed=0)
    assert noisier.sampling.numpy() == pytest.approx(found.sampling.numpy(), rel=1e-9)  # kappa drops out


def test_what_cannot_be_held_is_data() -> None:
    found = measure_solves(
        "passive_rc", LinearProblem(A - 1.9 * np.eye(3), B), presets.ideal(), once(), chips=4, seed=0
    )
    assert {status.outcome for status in found.statuses} == {Outcome.NOT_REALIZABLE}
    assert len(found.statuses) == 4
    assert bool(found.total.isnan().all())


def test_unstable_dies_do_not_spoil_the_others() -> None:
    """diag(0.05, 1) with a coupling that cancels but for mismatch: some dies run away, the rest keep their numbers."""
    near = np.array([[1.0, 0.98], [0.98, 1.0]])
    found = measure_solves("gm_c", LinearProblem(near, np.ones(2)), _gm(0.02), once(5.0), chips=40, seed=3)
    outcomes = [status.outcome for status in found.statuses]
    unstable = outcomes.count(Outcome.UNSTABLE)
    assert 3 < unstable < 37
    assert [outcome is Outcome.UNSTABLE for outcome in outcomes] == found.total.isnan().tolist()
    for k in range(40):  # each die by itself says the same
        if outcomes[k] is not Outcome.UNSTABLE:
            break
    some = measure_solves("gm_c", LinearProblem(near, np.ones(2)), _gm(0.02), once(5.0), chips=k + 1, seed=3)
    assert float(some.total[k]) == pytest.approx(float(found.total[k]), rel=1e-9)


def _gm(sigma: float) -> HardwareSpec:
    return with_hardware_value(presets.ideal(), "transconductors.tolerance_dtod", sigma)


def test_voltages_beyond_the_range_are_said() -> None:
    """x_max is planned from |b|/mu_min of the symmetric part; a die with a far smaller mu exceeds it."""
    spec = with_hardware_value(presets.pcb_1k_1n(), "resistors.tolerance_dtod", 0.02)
    near = np.array([[1.0, 0.97], [0.97, 1.0]])
    found = measure_solves(
        "integrator", LinearProblem(near, np.array([1.0, -1.0])), spec, once(400.0), chips=40, seed=3
    )
    outcomes = {status.outcome for status in found.statuses}
    assert Outcome.SATURATED in outcomes
    assert any("times the voltage" in status.detail for status in found.statuses)


def test_one_right_hand_side() -> None:
    with pytest.raises(MisuseError, match="one right-hand side"):
        measure_solves("gm_c", LinearProblem(A), presets.ideal(), once(), chips=1, seed=0)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("resistor.tolerance_dtod", "did you mean 'resistors'"),
        ("resistors", "name the field too"),
        ("resistors.tolerance", "hardware.resistors.tolerance = 0.01: unknown key"),
        ("name", "a specification has the parts"),
        ("amplifiers.open_loop_gain", "hardware 'ideal' has no amplifiers; give hardware that has them"),
    ],
)
def test_wrong_paths(path: str, sentence: str) -> None:
    with pytest.raises(MisuseError, match=sentence):
        with_hardware_value(presets.ideal(), path, 0.01)


def test_a_dotted_path_sets_one_number() -> None:
    spec = toleranced(0.03)
    assert spec.resistors.tolerance_dtod == 0.03
    assert with_hardware_value(spec, "resistors.tolerance_dtod", 0.0).hash == presets.ideal().hash
    with pytest.raises(MisuseError, match=r"tolerance_dtod = -1"):
        toleranced(-1)
