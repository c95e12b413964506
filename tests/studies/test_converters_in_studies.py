"""A study reads as the instrument does: its ADC, its DAC and its reset, against tngd.solve, by hand and by runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch

from tngd_hw import presets, solve
from tngd_hw.engines import Behavioral
from tngd_hw.hardware import HardwareSpec
from tngd_hw.outcome import MisuseError, Outcome
from tngd_hw.problem import LinearProblem
from tngd_hw.random import derived_seed
from tngd_hw.readout import read
from tngd_hw.studies.solves.linear import ChipErrors, measure_solves
from tngd_hw.studies.solves.readings import Reading
from tngd_hw.studies.sweeps.named import mismatch_study
from tngd_hw.studies.sweeps.study import StudyEngine
from tngd_hw.topologies import manufacture, program

A = np.array([[2.0, -0.5, 0.25], [-0.5, 1.5, 0.5], [0.25, 0.5, 1.0]])
M = np.array([[2.0, -0.5, -0.25], [-0.5, 1.5, -0.5], [-0.25, -0.5, 1.25]])  # what rlc_spu holds too
B = np.array([1.0, -0.52, 0.27])
X = np.linalg.solve(A, B)
PARTS = ("settling", "sampling", "systematic", "total")

OLD = {
    "settling": (0.06548916287579527, 0.0649219342089078),
    "sampling": (0.015912043750459695, 0.015928423206812033),
    "systematic": (0.002199788201964344, 0.0067638977650238165),
    "total": (0.06527126247617418, 0.07339436888369529),
}
"""Of pcb_1k_1n at 2 tau, 7 readings, kappa = 1e-4, before converters and reset acted in studies."""


def spec(**parts: Mapping[str, float | str]) -> HardwareSpec:
    return HardwareSpec.from_dict({"name": "t", **parts})


def measured(
    hardware: HardwareSpec, tau: float = 40.0, *, kappa: float = 0.0, samples: int = 1, chips: int = 2, seed: int = 3,
    engine: StudyEngine = StudyEngine.BEHAVIORAL, topology: str = "integrator",
) -> ChipErrors:  # fmt: skip
    held = M if topology == "rlc_spu" else A
    reading = Reading(tau, kappa, samples, 1.0)
    return measure_solves(topology, LinearProblem(held, B), hardware, reading, chips=chips, seed=seed, engine=engine)


def test_bits_round_as_by_hand_and_fall_with_their_step() -> None:
    """Levels of max|x|/(2^(N-1) - 1); over many answers the error is step/sqrt(12) of each unknown but the largest."""
    for bits in (4, 7, 10):
        step = np.abs(X).max() / (2 ** (bits - 1) - 1)
        expected = np.floor(X / step + 0.5) * step - X
        found = measured(spec(adc={"bits": bits}))
        assert found.systematic.numpy() == pytest.approx(np.linalg.norm(expected) / np.linalg.norm(X), rel=1e-6)
        assert float(found.settling.max()) < 2 * math.exp(-40 * np.linalg.eigvalsh(A)[0])  # the range follows max|x|
        assert float(found.sampling.max()) == 0
    rng, squares = np.random.default_rng(5), list[float]()
    for _ in range(100):
        x = rng.uniform(-1, 1, 3)
        found = measure_solves(
            "integrator", LinearProblem(A, A @ x), spec(adc={"bits": 8}), Reading(40.0, 0.0, 1, 1.0), chips=1, seed=0
        )
        step = np.abs(x).max() / 127
        squares.append((float(found.systematic[0]) * np.linalg.norm(x) / step) ** 2)
    # two of three unknowns are rounded: 2/12, by variates uniform over a step, of variance 1/180 each
    assert np.mean(squares) == pytest.approx(2 / 12, abs=4 * math.sqrt(2 / 180 / 100))


@pytest.mark.parametrize("tau", [2.0, 40.0])
@pytest.mark.parametrize(
    "parts",
    [
        {"adc": {"bits": 6}},
        {"adc": {"bits": 8, "inl_lsb_dtod": 2.0, "gain_dtod": 0.05, "offset_volt_dtod": 0.03}},
        {"adc": {"bits": 7, "range": "fixed", "range_volt": 3.0}, "dac": {"bits": 5, "noise_volt_std": 0.02}},
        {"adc": {"gain_dtod": 0.05}, "reset": {"charge_coulomb": 2e-10, "charge_coulomb_dtod": 1e-10}},
    ],
)
def test_without_noise_it_is_what_solve_says(parts: dict[str, Mapping[str, float | str]], tau: float) -> None:
    """The same spec and seed: |x - A^-1 b| of tngd.solve to rounding, settled or not; three parts that bound it."""
    hardware = spec(resistors={"tolerance_dtod": 0.01}, **parts)
    found = measured(hardware, tau)
    duration = found.duration_s
    said = solve(A, B, hardware=hardware, duration=duration, seed=3, engine="behavioral").value.numpy()
    assert float(found.total[0]) == pytest.approx(np.linalg.norm(said - X) / np.linalg.norm(X), rel=1e-9)
    assert bool((found.total <= found.settling + found.systematic + found.sampling + 1e-15).all())
    ideal = measured(spec(resistors={"tolerance_dtod": 0.01}), tau)
    assert abs(float(found.total[0] - ideal.total[0])) > 1e-4


def test_noise_before_the_levels_against_runs_of_the_instrument() -> None:
    """6,000 noisy runs, each read by the ADC: mean and variance of both dies to 4 standard errors; 5 % would show."""
    runs, kappa, hardware = 6000, 2e-3, spec(adc={"bits": 5, "noise_volt_std": 0.02, "gain_dtod": 0.03})
    found = measured(hardware, 3.0, kappa=kappa, chips=2)
    loaded = program(manufacture("integrator", 3, hardware, seed=3, chips=2), LinearProblem(A, B), seed=3, kappa=kappa)
    engine, end = Behavioral(), 3 * loaded.tau
    columns = np.repeat(B[:, None], runs, axis=1)
    _, run = engine.run(engine.init(loaded), duration=end, b=columns, seed=derived_seed(3, "run"), times_s=[end])
    x = read(run, loaded, seed=3, times_s=[end]).value.numpy()
    square = np.square(x - X[:, None]).sum(1) / (X @ X)
    total, own = np.square(found.total.numpy()), 0.0062  # scatter of the study's total^2 over 30 seeds
    allowed = 4 * np.hypot(square.std(1) / math.sqrt(runs), own * total)
    assert (np.abs(square.mean(1) - total) < allowed).all()
    assert (np.abs(square.mean(1) - 1.05**2 * total) > allowed).all()
    ratio = np.sqrt(x.var(2).sum(1) / (X @ X)) / found.sampling.numpy()
    allowed = 4 * math.hypot(
        1 / math.sqrt(2 * runs), 0.0034
    )  # the latter over 30 seeds; one unknown alone at the worst
    assert np.abs(ratio - 1).max() < allowed < np.abs(1.05 * ratio - 1).min()
    plain = measured(HardwareSpec(name="t"), 3.0, kappa=kappa)
    assert float(found.sampling.min()) > 1.1 * float(plain.sampling.max())  # the ADC's noise and steps are in it


def test_a_covariance_is_read_as_the_instrument_reads_it() -> None:
    """rlc_spu by 40,000 runs with a charge of the reset, offset, gain and noise: 4 standard errors; 5 % would show."""
    runs, kappa = 40_000, 1e-3
    converters = {"offset_volt_dtod": 0.1, "gain_dtod": 0.1, "noise_volt_std": 0.05}
    hardware = spec(adc=converters, reset={"charge_coulomb": 1e-10})
    found = measured(hardware, 1.0, kappa=kappa, chips=1, topology="rlc_spu")
    loaded = program(manufacture("rlc_spu", 3, hardware, seed=3, chips=1), LinearProblem(M), seed=3, kappa=kappa)
    engine, none = Behavioral(), np.zeros((3, runs))
    _, run = engine.run(engine.init(loaded), duration=loaded.tau, b=none, x0=none, seed=5, times_s=[loaded.tau])
    y = read(run, loaded, seed=9, times_s=[loaded.tau]).value[0].numpy()
    x = np.linalg.solve(M, B)
    square = np.square(y * (B @ y) / kappa - x[:, None]).sum(0) / (x @ x)
    total, allowed = float(found.total[0]) ** 2, 4 * square.std() / math.sqrt(runs)
    assert abs(square.mean() - total) < allowed < abs(square.mean() - 1.05**2 * total)


def test_unstable_dies_leave_the_readings_of_the_others() -> None:
    """With everything on that a die draws: the same numbers in a batch of 9 and of 7."""
    hardware = spec(
        transconductors={"tolerance_dtod": 0.02}, dac={"gain_dtod": 0.01},
        adc={"bits": 6, "noise_volt_std": 1e-3, "offset_volt_dtod": 0.01},
        reset={"charge_coulomb_dtod": 1e-12, "noise_kelvin": 300.0},
    )  # fmt: skip
    problem = LinearProblem([[1.0, 0.98], [0.98, 1.0]], [1.0, 1.0])
    many, few = (measure_solves("gm_c", problem, hardware, Reading(5.0, 1e-4, 3, 1.0), chips=k, seed=3) for k in (9, 7))
    unstable = [status.outcome is Outcome.UNSTABLE for status in many.statuses]
    assert any(unstable[:7])
    for part in PARTS:
        torch.testing.assert_close(getattr(few, part), getattr(many, part)[:7], rtol=1e-9, atol=0, equal_nan=True)
    assert many.total.isnan().tolist() == unstable


def test_linear_converters_have_closed_forms() -> None:
    """Noise of the ADC alone: kappa A^-1 and sigma^2 of one reading, sigma^2/N of an average."""
    hardware = spec(adc={"noise_volt_std": 0.01})
    loaded = program(manufacture("integrator", 3, hardware), LinearProblem(A, B))
    sigma = 0.01 / loaded.scales.voltage_volt
    one, many = (measured(hardware, samples=samples) for samples in (1, 25))
    assert one.sampling.numpy() == pytest.approx(sigma * math.sqrt(3 / (X @ X)), rel=1e-9)
    assert many.sampling.numpy() == pytest.approx(sigma * math.sqrt(3 / 25 / (X @ X)), rel=1e-9)
    both = measured(hardware, kappa=1e-3).sampling.numpy()
    noisy = program(manufacture("integrator", 3, hardware), LinearProblem(A, B), kappa=1e-3)  # room for noise: lower v0
    variance = 3 * (0.01 / noisy.scales.voltage_volt) ** 2 + 1e-3 * np.trace(np.linalg.inv(A))
    assert both == pytest.approx(math.sqrt(variance / (X @ X)), rel=1e-9)


@pytest.mark.parametrize("topology", ["integrator", "rlc_spu"])
def test_many_bits_go_over_into_the_closed_forms(topology: str) -> None:
    """Of 24 bits the same numbers as of none, whatever the draws are; a range that is too small says so."""
    plain, fine = (
        measured(hardware, 3.0, kappa=1e-3, samples=5, topology=topology)
        for hardware in (HardwareSpec(name="t"), spec(adc={"bits": 24}))
    )
    for part in PARTS:
        assert getattr(fine, part).numpy() == pytest.approx(getattr(plain, part).numpy(), rel=1e-4, abs=1e-6)
    coarse = measured(spec(adc={"bits": 3}), 3.0, kappa=1e-3, samples=5, topology=topology)
    assert float((coarse.total - plain.total).abs().min()) > 0.01
    narrow = measured(spec(adc={"range": "fixed", "range_volt": 1e-3}), kappa=1e-3, topology=topology)
    assert {status.outcome for status in narrow.statuses} == {Outcome.SATURATED}
    assert "ADC clipped" in narrow.statuses[0].detail


@pytest.mark.parametrize("engine", list(StudyEngine))
def test_a_charge_left_by_the_reset_is_settling_that_vanishes(engine: StudyEngine) -> None:
    """e^(-A t) (Q/(C v0) - x*) by hand, frozen noise k_B T/C e^(-2 A t) in the sampling; nothing of it at 40 tau."""
    kelvin, charge = 3e14, 4e-10  # absurd, so that it is seen
    hardware = spec(reset={"charge_coulomb": charge, "noise_kelvin": kelvin})
    loaded = program(manufacture("integrator", 3, hardware), LinearProblem(A, B))
    v0, farad = loaded.scales.voltage_volt, loaded.scales.capacitance_farad
    decay, size = scipy.linalg.expm(-A * 0.7), np.linalg.norm(X)
    early, late = measured(hardware, 0.7, engine=engine), measured(hardware, engine=engine)
    away = decay @ (charge / farad / v0 - X)
    frozen = 1.380649e-23 * kelvin / farad / v0**2 * np.trace(decay @ decay)
    assert early.settling.numpy() == pytest.approx(np.linalg.norm(away) / size, rel=1e-6)
    assert early.sampling.numpy() == pytest.approx(math.sqrt(frozen) / size, rel=1e-6)
    clean = measured(HardwareSpec(name="t"), 0.7, engine=engine)
    assert abs(float(early.settling[0] - clean.settling[0])) > 0.05
    assert float(late.settling.max()) < 1e-6
    assert float(late.sampling.max()) < 1e-6


def test_slow_noise_of_amplifiers_starts_before_the_run() -> None:
    """The sampling error is that of the error budget, which has it from its stationary law."""
    from tngd_hw.readout import error_budget

    amplifiers = {
        "open_loop_gain": 1e5, "gain_bandwidth_hz": 2e6, "output_swing_volt": 2.0, "output_current_ampere": 0.05,
        "voltage_noise_volt_per_rthz": 1e-7, "flicker_corner_hz": 1e6,
    }  # fmt: skip
    hardware = spec(amplifiers=amplifiers)
    loaded = program(manufacture("integrator", 3, hardware, seed=3, chips=2), LinearProblem(A, B), seed=3)
    budget = error_budget(loaded, 3 * loaded.tau)
    found = measured(hardware, 3.0)
    assert found.sampling.numpy() == pytest.approx(budget.sampling.numpy(), rel=1e-6)
    assert float(budget.sampling_by_cause["1/f noise"].min()) > 0.3 * float(budget.sampling.max())


def test_ideal_converters_give_the_old_numbers() -> None:
    """Numbers of the release before converters acted in studies, to rounding; and of a part that does nothing."""
    hardware = presets.pcb_1k_1n()
    found = measured(hardware, 2.0, kappa=1e-4, samples=7)
    for part, old in OLD.items():
        assert getattr(found, part).numpy() == pytest.approx(np.array(old), rel=1e-12)
    idle = HardwareSpec.from_dict(hardware.to_dict() | {"reset": {"switch_ohm": 100.0}})
    again = measured(idle, 2.0, kappa=1e-4, samples=7)
    for part in PARTS:
        torch.testing.assert_close(getattr(again, part), getattr(found, part), rtol=1e-12, atol=0)


def test_readings_that_the_converter_cannot_take() -> None:
    hardware = spec(adc={"sample_rate_hz": 1e3})
    fast, slow = measured(hardware, samples=2), measured(hardware)
    assert {status.outcome for status in fast.statuses} == {Outcome.NOT_REALIZABLE}
    assert "sample_rate_hz = 1000" in fast.statuses[0].detail
    assert all(status.ok for status in slow.statuses)
    for quantity in ("adc.aperture_s", "adc.skew_s_dtod", "adc.jitter_s_std"):
        with pytest.raises(MisuseError, match="timing of the ADC apart"):
            replace(mismatch_study(), quantity=quantity, values=(1e-9,))
        field = quantity.removeprefix("adc.")
        with pytest.raises(MisuseError, match=rf"^hardware\.{quantity} = 1e-09: .* set it to 0"):
            replace(mismatch_study(), hardware=spec(adc={field: 1e-9}))
