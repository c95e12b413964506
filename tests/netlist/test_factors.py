"""Nodes held by grounded sources: the same answers as a dense solve, and only those nodes are taken as held."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tngd_hw.netlist.factors import Factors, factors


def _circuit_matrix(nodes: int, grounded: list[int], seed: int) -> np.ndarray:
    """A random conductance matrix with a grounded source of sign +, -, + ... at each of the nodes ``grounded``."""
    rng = np.random.default_rng(seed)
    size = nodes + len(grounded)
    M = np.zeros((size, size))
    M[:nodes, :nodes] = rng.normal(size=(nodes, nodes)) * (rng.uniform(size=(nodes, nodes)) < 0.6) + 4 * np.eye(nodes)
    for k, node in enumerate(grounded):
        M[node, nodes + k] = M[nodes + k, node] = (-1.0) ** k
    return M


def _factored(M: np.ndarray) -> Factors:
    found = factors(sparse.csc_array(M))
    assert found is not None
    return found


@pytest.mark.parametrize("grounded", [[], [2], [4, 0, 3], [0, 1, 2, 3, 4, 5]])
def test_both_solutions_are_those_of_the_whole_matrix(grounded: list[int]) -> None:
    M = _circuit_matrix(6, grounded, seed=len(grounded))
    right = np.random.default_rng(9).normal(size=(len(M), 3))
    found = _factored(M)
    assert sorted(found.held.tolist()) == sorted(grounded)
    assert (found.lu is None) == (len(grounded) == 6)
    np.testing.assert_allclose(found.solve(sparse.csc_array(right)), np.linalg.solve(M, right), atol=1e-12)
    np.testing.assert_allclose(found.solve_transposed(sparse.csc_array(right)), np.linalg.solve(M.T, right), atol=1e-12)


def test_by_hand() -> None:
    # node 0 held at 5 V, 2 S to node 1, which has 3 S to ground: v1 = 2, the source delivers 2 (5 - 2) = 6 A
    M = np.array([[2.0, -2.0, 1.0], [-2.0, 5.0, 0.0], [1.0, 0.0, 0.0]])
    found = _factored(M)
    assert found.held.tolist() == [0]
    assert found.branch.tolist() == [2]
    np.testing.assert_allclose(found.solve(sparse.csc_array([[0.0], [0.0], [5.0]])), [[5.0], [2.0], [-6.0]])


def test_a_source_whose_current_controls_another_is_kept() -> None:
    M = _circuit_matrix(4, [1, 2], seed=1)
    M[3, 4] = 0.5  # the current of the first source enters node 3 too
    found = _factored(M)
    assert found.held.tolist() == [2]
    right = np.eye(6)
    np.testing.assert_allclose(found.solve(sparse.csc_array(right)), np.linalg.inv(M), atol=1e-12)


def test_what_is_left_may_be_singular() -> None:
    M = _circuit_matrix(4, [1], seed=2)
    M[2, [0, 2, 3]] = M[0, [0, 2, 3]]
    assert factors(sparse.csc_array(M)) is None


def test_two_sources_at_a_node_contradict_each_other() -> None:
    assert factors(sparse.csc_array(_circuit_matrix(4, [1, 1], seed=3))) is None
