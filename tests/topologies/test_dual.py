"""The dual form: W^T y(t) is the primal relaxation x(t), at every finite t, not only at the end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from relaxation import relaxation

from tngd_hw import MisuseError
from tngd_hw.topologies import dual_problem


def example() -> tuple[np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(4, 7)), rng.normal(size=4), 0.3


def test_recovered_path_is_the_primal_one() -> None:
    W, u, damping = example()
    times = [0.0, 0.01, 0.3, 1.0, 5.0, 40.0]
    dual = dual_problem(torch.from_numpy(W), torch.from_numpy(u), damping)
    small = relaxation(dual.problem.dense_matrix().numpy(), u, times)
    primal = relaxation(W.T @ W + damping * np.eye(7), W.T @ u, times)
    np.testing.assert_allclose(dual.recover(torch.from_numpy(small)).numpy(), primal, atol=1e-12)


def test_five_per_cent_of_damping_would_show() -> None:
    W, u, damping = example()
    dual = dual_problem(torch.from_numpy(W), torch.from_numpy(u), damping * 1.05)
    small = relaxation(dual.problem.dense_matrix().numpy(), u, [40.0])
    primal = relaxation(W.T @ W + damping * np.eye(7), W.T @ u, [40.0])
    assert np.abs(dual.recover(torch.from_numpy(small)).numpy() - primal).max() > 1e-3


def test_matrix_is_symmetric_to_the_bit() -> None:
    W, u, damping = example()
    A = dual_problem(torch.from_numpy(W), torch.from_numpy(u), damping).problem.dense_matrix()
    assert torch.equal(A, A.T)


@pytest.mark.parametrize("damping", [0.0, -1.0, float("nan"), float("inf")])
def test_damping_above_0(damping: float) -> None:
    with pytest.raises(MisuseError, match="damping = "):
        dual_problem(torch.ones(2, 3), torch.ones(2), damping)


def test_shapes() -> None:
    with pytest.raises(MisuseError, match=r"W has shape \(2, 3\) and u \(3,\)"):
        dual_problem(torch.ones(2, 3), torch.ones(3), 1.0)
    with pytest.raises(MisuseError, match=r"W has shape \(3,\)"):
        dual_problem(torch.ones(3), torch.ones(3), 1.0)
