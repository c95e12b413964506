"""More unknowns than nodes: block elimination against LAPACK, its cost, its refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tngd_hw as tngd
from tngd_hw import LinearProblem, MisuseError, Outcome, manufacture, presets
from tngd_hw.engines import find_engine
from tngd_hw.readout import block_solve
from tngd_hw.topologies.blocks import block_sizes


def problem(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n, 2 * n)) / np.sqrt(2 * n)
    return W @ W.T + 0.2 * np.eye(n), rng.normal(size=n)


@pytest.mark.parametrize(("n", "nodes", "sizes"), [(7, 3, (3, 2, 2)), (8, 8, (8,)), (9, 8, (5, 4)), (5, 1, (1,) * 5)])
def test_sizes(n: int, nodes: int, sizes: tuple[int, ...]) -> None:
    assert block_sizes(n, nodes) == sizes


@pytest.mark.parametrize("nodes", [3, 5, 12])
def test_ideal_chips_solve_it(nodes: int) -> None:
    A, b = problem(12)
    found = block_solve(
        manufacture("integrator", nodes, presets.ideal()), LinearProblem(A, b), find_engine("behavioral")
    )
    np.testing.assert_allclose(found.value, np.linalg.solve(A, b), rtol=1e-9)
    assert found.status.ok
    assert found.residuals[-1] < 1e-9


def test_runs_are_the_coupling_columns_and_the_right_hand_side() -> None:
    """12 unknowns in blocks of 4: 9, 5 and 1 runs, and the same again for one refinement."""
    A, b = problem(12)
    chip = manufacture("integrator", 4, presets.ideal())
    found = block_solve(chip, LinearProblem(A, b), find_engine("behavioral"), refinements=1)
    assert found.runs == 2 * (9 + 5 + 1)
    assert found.analog_s > found.runs * found.tau_s


def test_matrix_without_symmetry() -> None:
    """Rows and columns told apart: a block triangular matrix with couplings below only, and one above only."""
    A = np.array([[1.0, 0.0, 0.5], [0.25, 2.0, 0.0], [-0.5, 1.0, 1.5]])
    b = np.array([1.0, -2.0, 0.5])
    found = block_solve(manufacture("integrator", 2, presets.ideal()), LinearProblem(A, b), find_engine("state_space"))
    np.testing.assert_allclose(found.value, np.linalg.solve(A, b), rtol=1e-9)


def test_refinement_divides_the_error_of_a_real_chip() -> None:
    A, b = problem(12, 3)
    chip = manufacture("integrator", 4, presets.pcb_1k_1n(), seed=2)
    found = block_solve(chip, LinearProblem(A, b), find_engine("behavioral"), refinements=3)
    first, second, third, _ = found.residuals
    assert 1e-4 < first < 0.2
    assert second < 0.2 * first
    assert third < 0.2 * second


def test_in_one_call() -> None:
    A, b = problem(10)
    estimate = tngd.solve(A, b, nodes=4, engine="behavioral")
    assert estimate.outcome is Outcome.OK
    np.testing.assert_allclose(estimate.value, np.linalg.solve(A, b), rtol=1e-9)
    whole = tngd.solve(A, b, nodes=10, engine="behavioral")
    assert torch.equal(whole.value, tngd.solve(A, b, engine="behavioral").value)


def test_a_block_that_cannot_be_solved_is_an_outcome() -> None:
    A = np.diag([1.0, -1.0, 2.0])  # the second block is unstable
    found = block_solve(
        manufacture("integrator", 1, presets.ideal()), LinearProblem(A, np.ones(3)), find_engine("ideal")
    )
    assert found.status.outcome is Outcome.UNSTABLE
    assert bool(found.value.isnan().any())


def test_misuse() -> None:
    A, b = problem(4)
    chip, engine = manufacture("integrator", 2, presets.ideal()), find_engine("ideal")
    with pytest.raises(MisuseError, match="chips = 3"):
        block_solve(manufacture("integrator", 2, presets.ideal(), chips=3), LinearProblem(A, b), engine)
    with pytest.raises(MisuseError, match="one right-hand side"):
        block_solve(chip, LinearProblem(A), engine)
    with pytest.raises(MisuseError, match="refinements = -1"):
        block_solve(chip, LinearProblem(A, b), engine, refinements=-1)
    with pytest.raises(MisuseError, match="nodes = 0"):
        tngd.solve(A, b, nodes=0)
    with pytest.raises(MisuseError, match=r"nodes = 2: .*duration"):
        tngd.solve(A, b, nodes=2, duration=1e-6)
