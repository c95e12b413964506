import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch import Tensor

from tngd_hw.curvature import any_gradient_dual_problem
from tngd_hw.outcome import MisuseError

_W = torch.tensor([[1.0, 2.0, 0.0, -1.0], [0.5, 0.0, 3.0, 1.0]], dtype=torch.float64)
_G = torch.tensor([1.0, -2.0, 0.3, 40.0], dtype=torch.float64)


def _relaxed(A: Tensor, b: Tensor, time: float) -> Tensor:
    """x(t) of dx/dt = -(A x - b) from 0, by the exponential of the augmented matrix."""
    n = len(b)
    augmented = np.zeros((n + 1, n + 1))
    augmented[:n, :n], augmented[:n, n] = -A.numpy(), b.numpy()
    return torch.from_numpy(expm(time * augmented)[:n, n])


@pytest.mark.parametrize("time", [0.01, 0.7, 5.0, 200.0])
def test_is_exact_at_every_time(time: float):
    dual = any_gradient_dual_problem(_W, _G, 0.25)
    A = _W.T @ _W + 0.25 * torch.eye(4, dtype=torch.float64)
    assert dual.start.tolist() == [0.0, 0.0, 0.0]
    y = _relaxed(dual.problem.formed_matrix(), dual.problem.b, time)
    torch.testing.assert_close(dual.recover(y), _relaxed(A, _G, time), rtol=1e-11, atol=1e-11)


def test_matrix_by_hand():
    # W W^T = [[6, -0.5], [-0.5, 10.25]], W g = [-43, 41.4], K = W W^T + I, s = 43/11.25.
    dual = any_gradient_dual_problem(_W, _G, 1.0)
    s = 43 / 11.25
    expected = torch.tensor([[7.0, -0.5, -43 / s], [-0.5, 11.25, 41.4 / s], [0.0, 0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(dual.problem.formed_matrix(), expected, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(dual.problem.b, torch.tensor([0.0, 0.0, s], dtype=torch.float64), rtol=1e-14, atol=0)


def test_a_gradient_orthogonal_to_every_row():
    dual = any_gradient_dual_problem(_W, torch.zeros(4, dtype=torch.float64), 0.25)
    y = torch.linalg.solve(dual.problem.formed_matrix(), dual.problem.b)
    assert dual.recover(y).tolist() == [0.0] * 4
    across = torch.tensor([2.0, -1.0, 0.0, 0.0], dtype=torch.float64)
    dual = any_gradient_dual_problem(_W[:1], across, 0.25)
    y = torch.linalg.solve(dual.problem.formed_matrix(), dual.problem.b)
    torch.testing.assert_close(dual.recover(y), 4 * across)


def test_misuse_is_named():
    with pytest.raises(MisuseError, match=r"W has shape \(2, 4\) and g \(2,\): expected \(m, N\) and \(N,\)"):
        any_gradient_dual_problem(_W, _G[:2], 1.0)
    with pytest.raises(MisuseError, match=r"damping = 0.0"):
        any_gradient_dual_problem(_W, _G, 0.0)
