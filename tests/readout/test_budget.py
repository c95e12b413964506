"""The error budget: it adds up exactly, and every part is what circuit theory says by hand."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from cases import spd_matrix
from numpy.typing import NDArray

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.hardware import Elements, Role
from tngd_hw.outcome import Outcome
from tngd_hw.readout import ErrorBudget, error_budget, mean_average_error, with_hardware
from tngd_hw.report import budget_figure
from tngd_hw.topologies import LoadedChip

Vector = NDArray[np.float64]

POSITIVE = np.array([[1.0, 0.2, 0.1], [0.05, 0.8, 0.3], [0.15, 0.1, 0.6]])
b = np.array([1.0, -0.5, 0.25])
EXACT = np.linalg.solve(POSITIVE, b)


def load(hardware: HardwareSpec, chips: int | None = 4, *, kappa: float = 0.0, A: Vector = POSITIVE) -> LoadedChip:
    n = len(A)
    chip = manufacture("integrator", n, hardware, seed=7, chips=chips)
    return program(chip, LinearProblem(A, np.resize(b, n)), kappa=kappa, seed=5)


def solved(matrix: Vector, right: Vector) -> Vector:
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


def parts_of(elements: Elements, chip: int) -> tuple[Vector, Vector]:
    """Array and input conductances of one chip."""
    own = elements.chip(chip)
    return own.components[Role.ARRAY].dense(1).numpy(), own.value(Role.INPUT).numpy()


def budget_of(hardware: HardwareSpec) -> tuple[LoadedChip, ErrorBudget]:
    loaded = load(hardware)
    return loaded, error_budget(loaded, 40 * loaded.tau)


@pytest.mark.parametrize("preset", [presets.pcb_1k_1n, presets.cmos_sky130, presets.rram_1t1r])
def test_adds_up_as_vectors(preset: Callable[[], HardwareSpec]) -> None:
    loaded = load(preset(), A=spd_matrix(4, 1, condition=8.0))
    budget = error_budget(loaded, 3 * loaded.tau)
    summed = budget.nominal + sum(budget.alone.values()) + budget.interaction
    torch.testing.assert_close(summed, budget.systematic, rtol=0, atol=1e-15 * 50)
    assert set(budget.alone) == set(budget.marginal) == set(loaded.chip.hardware.effects())
    shares = [budget.share(v) for v in (budget.nominal, *budget.alone.values(), budget.interaction, budget.settling)]
    whole = (budget.systematic + budget.settling).square().sum(-1).sqrt() / budget.exact.square().sum().sqrt()
    torch.testing.assert_close(torch.stack(shares).sum(0), whole, rtol=1e-12, atol=0)


def test_whole_error_is_that_of_a_run() -> None:
    """settling + systematic against a run of the engine on the netlist, chip by chip."""
    loaded = load(presets.pcb_1k_1n())
    budget = error_budget(loaded, 2 * loaded.tau)
    engine = find_engine("state_space")
    _, run = engine.run(engine.init(loaded), duration=2 * loaded.tau)
    error = loaded.unknowns(run.final_volt).numpy() - EXACT
    np.testing.assert_allclose((budget.systematic + budget.settling).numpy(), error, atol=1e-9)
    assert float(budget.relative(budget.settling).min()) > 0.1


def test_offset_alone() -> None:
    """dV = G^-1 U v_os: every summing node sits at its offset, U its total conductance."""
    loaded, budget = budget_of(presets.pcb_1k_1n())
    nominal = with_hardware(loaded, loaded.chip.hardware.only("amplifiers.offset")).elements
    for chip in range(4):
        G, g_in = parts_of(nominal, chip)
        offsets = loaded.elements.amplifiers[Role.INTEGRATOR_AMPLIFIER].offset_volt
        v_os = np.asarray(offsets[chip].numpy(), dtype=np.float64)
        dV = solved(G, (G.sum(1) + g_in) * v_os)
        expected = dV / loaded.scales.voltage_volt
        np.testing.assert_allclose(budget.alone["amplifiers.offset"][chip].numpy(), expected, rtol=1e-8)


def test_gain_alone() -> None:
    """Finite gain adds sum|G|/A0 to the diagonal."""
    loaded, budget = budget_of(presets.pcb_1k_1n())
    nominal = with_hardware(loaded, loaded.chip.hardware.only()).elements
    G, g_in = parts_of(nominal, 0)
    lossy = G + np.diag(G.sum(1) + g_in) / 75e3
    expected = np.linalg.solve(lossy, G @ EXACT) - EXACT
    for chip in range(4):
        np.testing.assert_allclose(budget.alone["amplifiers.gain"][chip].numpy(), expected, rtol=1e-5)


def test_tolerance_alone_with_the_die_s_own_draws() -> None:
    """G_ij/(1 + d_ij) and g_in/(1 + d_i) with the very deviations of each die; capacitors do nothing."""
    loaded, budget = budget_of(presets.pcb_1k_1n())
    drawn = loaded.chip.deviations["resistors"]["tolerance"]
    for chip in range(4):
        G, right = POSITIVE / (1 + drawn[Role.ARRAY][chip].numpy()), b / (1 + drawn[Role.INPUT][chip, :, 0].numpy())
        expected = np.linalg.solve(G, right) - EXACT
        np.testing.assert_allclose(budget.alone["resistors.tolerance"][chip].numpy(), expected, atol=1e-11)
    assert float(budget.alone["capacitors.tolerance"].abs().max()) < 1e-12
    assert float(budget.relative(budget.nominal).max()) < 1e-10


def test_interaction_of_gain_and_tolerance() -> None:
    """Together, less each alone, by hand; far above rounding, so that a wrong sign cannot hide."""
    spec = (
        presets.pcb_1k_1n().with_value("amplifiers.open_loop_gain", 50.0).with_value("resistors.tolerance_dtod", 0.05)
    )
    spec = spec.with_value("amplifiers.offset_volt_dtod", 0.0)
    loaded, budget = budget_of(spec)
    drawn = loaded.chip.deviations["resistors"]["tolerance"]
    for chip in range(4):
        G0, g0 = POSITIVE, np.full(3, 1.0 / abs(loaded.scales.input_gain))
        d, d_in = drawn[Role.ARRAY][chip].numpy(), drawn[Role.INPUT][chip, :, 0].numpy()
        unit = np.zeros(3)

        def answer(
            d: Vector,
            d_in: Vector,
            gain: float,
            G: Vector = G0,
            g: Vector = g0,
        ) -> Vector:
            array, source = G / (1 + d), g / (1 + d_in)
            return solved(array + np.diag(array.sum(1) + source) / gain, source / g * b)

        together, none = answer(d, d_in, 50.0), answer(0 * d, unit, np.inf)
        expected = together - answer(d, d_in, np.inf) - answer(0 * d, unit, 50.0) + none
        np.testing.assert_allclose(budget.interaction[chip].numpy(), expected, atol=1e-10)
        assert np.abs(expected).max() > 1e-5
        rest = together - answer(d, d_in, np.inf)
        np.testing.assert_allclose(budget.marginal["amplifiers.gain"][chip].numpy(), rest, atol=1e-10)


def test_converters() -> None:
    """Levels of the ADC alone: v to the nearest multiple of max|v|/31 (6 bits); of the DAC: its sources."""
    spec = presets.ideal().with_value("adc.bits", 6).with_value("dac.bits", 6).with_value("adc.noise_volt_std", 1e-3)
    right = np.array([1.0, -0.52, 0.27])  # no ties
    exact = solved(POSITIVE, right)
    loaded = program(manufacture("integrator", 3, spec, chips=2), LinearProblem(POSITIVE, right))
    budget, v0 = error_budget(loaded, 40 * loaded.tau), loaded.scales.voltage_volt

    def rounded(value: Vector) -> Vector:
        step = np.abs(value).max() / 31
        return np.floor(value / step + 0.5) * step

    given = solved(POSITIVE, rounded(right) - right)
    np.testing.assert_allclose(budget.alone["adc.levels"][1].numpy(), rounded(exact) - exact, atol=1e-12)
    np.testing.assert_allclose(budget.alone["dac.levels"][1].numpy(), given, atol=1e-12)
    np.testing.assert_allclose(budget.sampling_covariance[0].numpy(), np.eye(3) * (1e-3 / v0) ** 2, rtol=1e-12)
    whole = rounded(exact + given) - exact
    np.testing.assert_allclose(budget.systematic[0].numpy(), whole, atol=1e-12)
    assert min(np.abs(given).max(), np.abs(rounded(exact) - exact).max()) > 1e-3


def test_settling_and_sampling_of_a_perfect_filter() -> None:
    """settling = -e^(-A t/tau) A^-1 b;  Cov = kappa A^-1 (1 - e^(-2 A t/tau))."""
    A, kappa = spd_matrix(3, 4, condition=6.0), 1e-3
    loaded = load(presets.ideal(), None, kappa=kappa, A=A)
    budget = error_budget(loaded, 1.5 * loaded.tau)
    decay, inverse = scipy.linalg.expm(-1.5 * A), np.linalg.inv(A)
    np.testing.assert_allclose(budget.settling[0].numpy(), -decay @ inverse @ b, rtol=1e-10)
    expected = kappa * inverse @ (np.eye(3) - decay @ decay)
    np.testing.assert_allclose(budget.sampling_covariance[0].numpy(), expected, rtol=1e-9, atol=1e-15)
    size = np.linalg.norm(inverse @ b)
    assert float(budget.sampling) == pytest.approx(np.sqrt(np.trace(expected)) / size, rel=1e-9)
    assert budget.effects == ()
    assert float(budget.relative(budget.systematic)) < 1e-12


def test_sampling_error_of_an_average() -> None:
    """Long after the start, the closed form of the error law."""
    half, kappa = spd_matrix(3, 4, condition=6.0) / 2, 1e-3
    A = half + half.T
    loaded = load(presets.ideal(), None, kappa=kappa, A=A)
    budget = error_budget(loaded, 200 * loaded.tau, window=12 * loaded.tau)
    expected = float(mean_average_error(A, 12.0, kappa=kappa)) / np.linalg.norm(np.linalg.solve(A, b))
    assert float(budget.sampling) == pytest.approx(expected, rel=1e-8)
    assert float(budget.relative(budget.settling)) < 1e-12


def test_total_against_readings() -> None:
    """3,000 noisy readings of one design: mean square within 4 standard errors, 6.4 %; 5 % more noise would be 10 %."""
    spec = presets.pcb_1k_1n().without("resistors.tolerance", "capacitors.tolerance", "amplifiers.offset")
    loaded = load(spec, 3000, kappa=3e-4)
    duration = 12 * loaded.tau
    budget = error_budget(load(loaded.chip.hardware, 2, kappa=3e-4), duration)
    engine = find_engine("behavioral")
    _, run = engine.run(engine.init(loaded), duration=duration, times_s=[duration], seed=1)
    square = np.square(loaded.unknowns(run.final_volt).numpy() - EXACT).sum(1) / np.square(EXACT).sum()
    expected = float(budget.total[0] ** 2)
    stderr = square.std() / np.sqrt(3000)
    assert stderr < 0.017 * expected
    assert abs(square.mean() - expected) < 4 * stderr
    assert float(budget.sampling[0]) > 3 * float(budget.relative(budget.settling)[0])


def test_one_die_of_a_batch_has_the_same_budget() -> None:
    """Programming errors and tolerances of die 2, drawn again for it alone."""
    A = spd_matrix(4, 1, condition=8.0)
    loaded = load(presets.rram_1t1r(), 4, A=A)
    many, one = error_budget(loaded, 3 * loaded.tau), error_budget(loaded.select(2), 3 * loaded.tau)
    for name in many.alone:
        torch.testing.assert_close(one.alone[name][0], many.alone[name][2], rtol=0, atol=1e-12)
    torch.testing.assert_close(one.interaction[0], many.interaction[2], rtol=0, atol=1e-12)
    assert float(many.relative(many.alone["programming.error"]).std()) > 0


def test_an_unstable_die_leaves_the_others() -> None:
    spec = HardwareSpec.from_dict({"name": "g", "transconductors": {"tolerance_dtod": 0.05}})
    chip = manufacture("gm_c", 2, spec, chips=8)
    loaded = program(chip, LinearProblem([[1.0, 0.999], [0.999, 1.0]], [1.0, 0.0]), x_max=1.0)
    budget = error_budget(loaded, loaded.tau)
    stable = [status.outcome is not Outcome.UNSTABLE for status in budget.statuses]
    assert 0 < sum(stable) < 8
    assert torch.isfinite(budget.relative(budget.systematic)).tolist() == stable
    assert f"8 chips ({sum(status.ok for status in budget.statuses)} of them ok)" in str(budget)
    json.dumps(budget.to_dict(), allow_nan=False)


def test_table_document_and_figure() -> None:
    loaded = load(presets.rram_1t1r(), A=spd_matrix(4, 1, condition=8.0))
    budget = error_budget(loaded, 3 * loaded.tau, window=loaded.tau)
    text = str(budget)
    for word in (
        "settling",
        "sampling (rms)",
        "  programming.levels",
        "  wiring.resistance",
        "interaction",
        "all but it",
    ):
        assert word in text
    assert "no part in the settled answer: amplifiers.bandwidth" in text
    assert "read after 3 tau" in text
    document = budget.to_dict()
    json.dumps(document, allow_nan=False)
    mean = document["relative_errors"]["programming.levels"]["mean"]
    assert mean == pytest.approx(float(budget.relative(budget.alone["programming.levels"]).mean()))
    axes = budget_figure(budget).axes
    assert all("[1]" in ax.get_xlabel() for ax in axes)
    assert len(axes[0].patches) >= 8


def test_misuse() -> None:
    ideal = presets.ideal()
    loaded = load(ideal, None)
    with pytest.raises(MisuseError, match="duration = 0"):
        error_budget(loaded, 0)
    with pytest.raises(MisuseError, match="window = 2"):
        error_budget(loaded, 1.0, window=2.0)
    chip = manufacture("integrator", 2, ideal)
    with pytest.raises(MisuseError, match="problem has no b"):
        error_budget(program(chip, LinearProblem(np.eye(2))), 1.0)
    with pytest.raises(MisuseError, match="problem has 2 right-hand sides"):
        error_budget(program(chip, LinearProblem(np.eye(2), np.eye(2))), 1.0)
    with pytest.raises(MisuseError, match="b = 0"):
        error_budget(program(chip, LinearProblem(np.eye(2), np.zeros(2))), 1.0)
    with pytest.raises(MisuseError, match="A is singular"):
        error_budget(program(chip, LinearProblem(np.ones((2, 2)), np.ones(2))), 1.0)
    cells = program(manufacture("rlc_spu", 2, ideal), LinearProblem([[2.0, -0.5], [-0.5, 2.0]], np.ones(2)))
    with pytest.raises(MisuseError, match="topology = 'rlc_spu'"):
        error_budget(cells, 1.0)
