"""Iterative refinement: bits an iteration against the spectral radius, endings, converters of four bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, Outcome, Status, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.hardware import Role
from tngd_hw.readout import Ending, Refinement, refine
from tngd_hw.readout.refinement import predicted_bits, residual_step

ENGINE = find_engine("behavioral")
N = 8


def problem(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    G = rng.normal(size=(N, 8 * N))
    return G @ G.T / (8 * N), rng.normal(size=N)


def refined(seed: int, hardware: HardwareSpec, topology: str = "integrator", **options: float) -> Refinement:
    A, b = problem(seed)
    chip = manufacture(topology, N, hardware, seed=seed)
    given = {"limit": 12, "tolerance": 1e-14} | options
    return refine(chip, LinearProblem(A, b), ENGINE, seed=seed, **given)  # pyright: ignore[reportArgumentType] - by name


def fine_converters() -> HardwareSpec:
    """The memory cells with converters of any value, to see what the array alone does."""
    return presets.rram_1t1r().with_value("adc.bits", None).with_value("dac.bits", None)


def test_bits_of_memory_cells() -> None:
    """7 positive levels, 2 % write error, 8 x 8: near 2 bits an iteration on average, every case as rho says."""
    gained: list[float] = []
    for seed in range(6):
        found = refined(seed, fine_converters(), limit=24)
        gained.append(found.bits_per_iteration)
        slope = np.log2(found.residuals[8] / found.residuals[14]) / 6  # the slowest direction is left
        assert slope == pytest.approx(found.predicted_bits, rel=0.12)
        assert found.bits_per_iteration == pytest.approx(found.predicted_bits, abs=0.3)
    assert 1.5 < np.mean(gained) < 2.4


def test_converters_of_four_bits_change_little() -> None:
    """Each residual is rounded anew, so what rounding leaves falls with the residual."""
    coarse = presets.rram_1t1r()
    assert coarse.adc.bits == coarse.dac.bits == 4
    for seed in (1, 2, 7):
        assert refined(seed, coarse).bits_per_iteration > 0.85 * refined(seed, fine_converters()).bits_per_iteration


@pytest.mark.parametrize("topology", ["integrator", "amc_inverse", "gm_c", "three_array"])
def test_any_topology_reaches_digital_precision(topology: str) -> None:
    A, b = problem(3)
    hardware = presets.pcb_1k_1n().with_value("resistors.tolerance_dtod", 0.02)
    found = refined(3, hardware, topology, tolerance=1e-12, limit=40)
    assert found.ending is Ending.CONVERGED
    assert found.status.ok
    np.testing.assert_allclose(found.value, np.linalg.solve(A, b), rtol=1e-10)


def test_matrix_without_symmetry() -> None:
    A, b = np.array([[1.0, 0.5, 0.0], [-0.25, 2.0, 0.75], [0.1, -0.6, 1.5]]), np.array([1.0, -2.0, 0.5])
    found = refine(manufacture("integrator", 3, presets.pcb_1k_1n(), seed=1), LinearProblem(A, b), ENGINE)
    np.testing.assert_allclose(found.value, np.linalg.solve(A, b), rtol=1e-8)
    assert found.analog_s > 0


def test_prediction_by_hand() -> None:
    """An array of 1.25 times its conductances is A0 = 1.25 A: I - A A0^-1 = I/5, log2 5 bits."""
    A = np.array([[1.0, 0.5], [-0.25, 2.0]])
    loaded = program(manufacture("integrator", 2, presets.ideal()), LinearProblem(A, np.ones(2)))
    assert predicted_bits(loaded) > 40
    more = loaded.elements.with_values(Role.ARRAY, lambda array: 1.25 * array.value)
    assert predicted_bits(replace(loaded, programmed=more)) == pytest.approx(np.log2(5), rel=1e-9)
    less = loaded.elements.with_values(Role.ARRAY, lambda array: 0.25 * array.value)
    assert predicted_bits(replace(loaded, programmed=less)) == pytest.approx(-np.log2(3), rel=1e-9)


def test_three_endings_that_are_no_success() -> None:
    stalled = refined(1, presets.pcb_1k_1n(), tolerance=1e-18, limit=60)
    assert stalled.ending is Ending.STALLED
    assert stalled.status.outcome is Outcome.NOT_SETTLED
    assert "raise the tolerance" in str(stalled.status)
    assert min(stalled.residuals) < 1e-14
    limited = refined(1, presets.rram_1t1r(), limit=3)
    assert limited.ending is Ending.LIMIT
    assert len(limited.residuals) == 4
    failed = refine(manufacture("integrator", 2, presets.ideal()), LinearProblem(-np.eye(2), np.ones(2)), ENGINE)
    assert failed.ending is Ending.FAILED
    assert failed.status.outcome is Outcome.UNSTABLE


def test_divergence_is_seen() -> None:
    """15 steps write [[1, 0.9034], [0.9034, 0.966]] with det 0.062 for 0.150: a direction is 2.4 times off."""
    A = np.array([[1.0, 0.9034], [0.9034, 0.966]])
    written = np.array([[15.0, 14.0], [14.0, 14.0]]) / 15
    rho = np.abs(np.linalg.eigvals(np.eye(2) - A @ np.linalg.inv(written))).max()
    assert rho > 1.4
    chip = manufacture("integrator", 2, presets.ideal().with_value("programming.bits", 4))
    found = refine(chip, LinearProblem(A, np.array([1.0, -1.0])), ENGINE)
    assert found.predicted_bits == pytest.approx(-np.log2(rho), rel=1e-6)
    assert found.ending is Ending.DIVERGED
    assert found.status.outcome is Outcome.UNSTABLE
    assert "so that rho is below 1" in str(found.status)
    assert min(found.residuals) == pytest.approx(
        float(np.linalg.norm(np.array([1.0, -1.0]) - A @ found.value.numpy())) / 2**0.5, rel=1e-9
    )


def test_zero_right_hand_side() -> None:
    found = refine(manufacture("integrator", 2, presets.ideal()), LinearProblem(np.eye(2), np.zeros(2)), ENGINE)
    assert found.ending is Ending.CONVERGED
    assert bool((found.value == 0).all())


def test_step_scales_what_it_puts_on() -> None:
    seen: list[float] = []

    def solved(c: torch.Tensor) -> tuple[torch.Tensor, Status]:
        seen.append(float(c.square().sum().sqrt()))
        return c / 2, Status()

    A, b = 2 * torch.eye(2, dtype=torch.float64), torch.tensor([3.0, 4.0], dtype=torch.float64)
    x, status = residual_step(A, b, torch.zeros(2, dtype=torch.float64), solved, 0.25)
    assert seen == pytest.approx([0.25], rel=1e-15)
    assert status.ok
    np.testing.assert_allclose(x, [1.5, 2.0])


def test_misuse() -> None:
    chip = manufacture("integrator", 2, presets.ideal())
    for options, words in (({"tolerance": 0.0}, "tolerance = 0"), ({"limit": 0}, "limit = 0"), ({"seed": -1}, "seed")):
        with pytest.raises(MisuseError, match=words):
            refine(chip, LinearProblem(np.eye(2), np.ones(2)), ENGINE, **options)  # pyright: ignore[reportArgumentType] - by name
    with pytest.raises(MisuseError, match="one right-hand side"):
        refine(chip, LinearProblem(np.eye(2)), ENGINE)
    with pytest.raises(MisuseError, match="chips = 2"):
        refine(manufacture("integrator", 2, presets.ideal(), chips=2), LinearProblem(np.eye(2), np.ones(2)), ENGINE)


def test_figure() -> None:
    axes = refined(1, presets.rram_1t1r()).plot()
    assert axes.get_ylabel().endswith("[bits]")
    assert len(axes.get_lines()) == 2
