"""LinearProblem: what it takes, and one sentence for everything it does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem

A2 = [[2.0, -1.0], [0.5, 3.0]]


def test_lists_arrays_and_tensors_become_float64() -> None:
    for A in (A2, np.array(A2, dtype=np.float32), torch.tensor(A2, dtype=torch.float32), np.array([[2, 1], [0, 3]])):
        problem = LinearProblem(A, [1, 2])
        assert problem.n == 2
        assert problem.dense_matrix().dtype == torch.float64
        assert problem.b is not None
        assert problem.b.tolist() == [1.0, 2.0]


def test_the_callers_array_is_copied() -> None:
    A = np.array(A2)
    problem = LinearProblem(A)
    A[0, 0] = 99.0
    assert problem.dense_matrix()[0, 0] == 2.0


def test_gradients_are_not_followed() -> None:
    assert not LinearProblem(torch.tensor(A2, requires_grad=True)).dense_matrix().requires_grad


@pytest.mark.parametrize(
    ("A", "says"),
    [
        ([[1.0, 2.0]], r"A has shape \(1, 2\): expected a square matrix"),
        ([1.0, 2.0], r"A has shape \(2,\): expected a square matrix"),
        (3.0, r"A has shape \(\): expected a square matrix"),
        (np.zeros((2, 2, 2)), r"A has shape \(2, 2, 2\)"),
        (np.zeros((0, 0)), r"A is empty \(0 x 0\)"),
        ([[1.0, np.nan], [0.0, 1.0]], r"A\[0, 1\] = nan: every entry must be finite"),
        ([[1.0, 0.0], [-np.inf, 1.0]], r"A\[1, 0\] = -inf: every entry must be finite"),
        (np.eye(2) * 1j, r"A is complex"),
        (torch.eye(2, dtype=torch.complex64), r"A is complex"),
        ([[1.0], [1.0, 2.0]], r"A has rows of different lengths"),
        ([["a", "b"], ["c", "d"]], r"A has dtype <U1: pass an array of real numbers"),
        ([[None, 1.0], [1.0, 2.0]], r"A has dtype object"),
        (None, r"either a matrix A or factors"),
    ],
)
def test_bad_matrix(A: object, says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        LinearProblem(A, None)  # pyright: ignore[reportArgumentType] - the point of the test


@pytest.mark.parametrize(
    ("b", "says"),
    [
        ([1.0], r"b has shape \(1,\): A has 2 rows, so b must have shape \(2,\) or \(2, k\)"),
        (1.0, r"b has shape \(\)"),
        (np.zeros((3, 2)), r"b has shape \(3, 2\)"),
        (np.zeros((2, 1, 1)), r"b has shape \(2, 1, 1\)"),
        (np.zeros((2, 0)), r"b has shape \(2, 0\): expected at least one right-hand side"),
        ([1.0, np.inf], r"b\[1\] = inf"),
        ([1.0, 1j], r"b is complex"),
    ],
)
def test_bad_right_hand_side(b: object, says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        LinearProblem(A2, b)  # pyright: ignore[reportArgumentType] - the point of the test


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_numbers_whose_squares_are_not_finite_are_refused(size: float) -> None:
    with pytest.raises(MisuseError, match=r"A has .* as its largest entry: scale A and b"):
        LinearProblem(np.eye(2) * size)
    if size > 1:
        with pytest.raises(MisuseError, match=r"b has 1e\+300 as its largest entry: scale A and b"):
            LinearProblem(np.eye(2), np.full(2, size))


def test_factors_are_kept_and_never_densified() -> None:
    problem = LinearProblem.from_factors(np.ones((6, 4)), np.stack([np.eye(3), np.eye(3)]), 0.5, np.ones(4))
    assert problem.n == 4
    assert problem.A is None
    with pytest.raises(MisuseError, match=r"kept as factors.*dual_problem"):
        problem.dense_matrix()


@pytest.mark.parametrize(
    ("J", "H", "damping", "says"),
    [
        (np.ones(6), np.ones((2, 3, 3)), 0.5, r"J has shape \(6,\)"),
        (np.ones((6, 4)), np.ones((3, 3)), 0.5, r"H has shape \(3, 3\): expected blocks"),
        (np.ones((6, 4)), np.ones((2, 3, 2)), 0.5, r"H has shape \(2, 3, 2\)"),
        (np.ones((6, 4)), np.ones((3, 3, 3)), 0.5, r"H has 3 blocks of 3, J has 6 rows"),
        (np.ones((6, 4)), np.ones((2, 3, 3)), 0.0, r"damping = 0.0"),
        (np.ones((6, 4)), np.ones((2, 3, 3)), float("nan"), r"damping = nan"),
        (np.ones((6, 4)), np.ones((2, 3, 3)), -1.0, r"damping = -1.0"),
        (np.full((6, 4), np.nan), np.ones((2, 3, 3)), 0.5, r"J\[0, 0\] = nan"),
    ],
)
def test_bad_factors(J: np.ndarray, H: np.ndarray, damping: float, says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        LinearProblem.from_factors(J, H, damping)


def test_matrix_and_factors_together_are_refused() -> None:
    factors = LinearProblem.from_factors(np.ones((6, 4)), np.ones((2, 3, 3)), 0.5).factors
    with pytest.raises(MisuseError, match="exactly one"):
        LinearProblem(np.eye(4), factors=factors)


def test_a_problem_keeps_its_numbers_when_the_callers_tensor_changes():
    A, b = torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    problem = LinearProblem(A, b)
    A[0, 0], b[0] = 7.0, 7.0
    assert problem.dense_matrix()[0, 0] == 1.0
    assert problem.b is not None
    assert problem.b[0] == 1.0
