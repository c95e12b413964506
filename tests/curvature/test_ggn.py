import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.curvature import GGNFactors, flatten_parameters, ggn_factors, unflatten_like
from tngd_hw.outcome import MisuseError

_CLASSES = torch.tensor([2, 0, 3])
_REAL = torch.tensor([[0.1, 1.0, -2.0], [3.0, 0.0, 0.2], [0.3, 0.7, 1.1]], dtype=torch.float64)


def _close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def _targets(model: nn.Module, inputs: Tensor) -> Tensor:
    return _CLASSES if model(inputs).shape[1] > 3 else torch.tensor([2, 0, 1])


def test_matrix_equals_the_sum_over_samples(case, jacobian_loop):
    model, inputs = case
    targets = _targets(model, inputs)
    factors = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, targets))
    expected = torch.zeros_like(factors.ggn_matrix())
    for sample, target in zip(inputs, targets, strict=True):
        z, J = jacobian_loop(model, sample[None])
        block = torch.autograd.functional.hessian(lambda v, y=target: functional.cross_entropy(v[None], y[None]), z[0])
        expected += J.T @ block @ J / len(inputs)
    _close(factors.ggn_matrix(), expected)


def test_gradient_equals_backward(case):
    model, inputs = case
    targets = _targets(model, inputs)
    factors = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, targets))
    twin = copy.deepcopy(model)
    loss = functional.cross_entropy(twin(inputs), targets)
    loss.backward()
    for name, piece in unflatten_like(factors.gradient(), model).items():
        grad = twin.get_parameter(name).grad
        assert grad is not None
        _close(piece, grad)
    assert factors.loss == pytest.approx(float(loss.detach()), rel=1e-13)


def test_whitened_factors_carry_matrix_and_gradient(case):
    model, inputs = case
    factors = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, _targets(model, inputs)))
    W = factors.whitened_jacobian()
    assert W.shape == factors.J.shape
    _close(W.T @ W, factors.ggn_matrix())
    _close(W.T @ factors.u, factors.gradient())
    wrong = (torch.block_diag(*factors.S) @ factors.J).T @ factors.u  # S where S^T belongs
    assert float((wrong - factors.gradient()).abs().max()) > 1e-3


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCEWithLogitsLoss()])
def test_is_the_hessian_where_the_network_is_linear(loss: nn.Module):
    generator = torch.Generator().manual_seed(5)
    model = nn.Linear(2, 3).double()
    inputs = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    targets = torch.tensor([2, 0, 1]) if isinstance(loss, nn.CrossEntropyLoss) else torch.sigmoid(_REAL)

    def of_parameters(theta: Tensor) -> Tensor:
        return loss(inputs @ theta[:6].reshape(3, 2).T + theta[6:], targets)

    hessian = torch.autograd.functional.hessian(of_parameters, flatten_parameters(model))
    assert isinstance(hessian, Tensor)
    _close(ggn_factors(model, loss, (inputs, targets)).ggn_matrix(), hessian)


def test_dual_solve_equals_primal_solve(mlp):
    model, inputs = mlp
    factors = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, _CLASSES))
    W, damping = factors.whitened_jacobian(), 0.1
    dual = W.T @ torch.linalg.solve(W @ W.T + damping * torch.eye(len(W)).double(), factors.u)
    primal = torch.linalg.solve(
        factors.ggn_matrix() + damping * torch.eye(factors.parameter_count).double(), factors.gradient()
    )
    _close(dual, primal)


def test_a_confident_mistake_still_gives_the_gradient(mlp):
    model, inputs = mlp
    with torch.no_grad():
        model.get_parameter("2.bias").copy_(torch.tensor([28.0, 0.0, 0.0, 0.0]))  # p_y about 1e-12 for y != 0
    factors = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, torch.tensor([1, 2, 3])))
    assert float(factors.u.abs().max()) > 1e5
    _close(factors.whitened_jacobian().T @ factors.u, factors.gradient())


def test_batch_of_one_and_shapes(mlp):
    model, inputs = mlp
    factors = ggn_factors(model, nn.CrossEntropyLoss(), (inputs[:1], _CLASSES[:1]))
    assert (factors.batch_size, factors.parameter_count) == (1, 34)
    assert [t.shape for t in (factors.J, factors.H, factors.S, factors.r, factors.u)] == [
        (4, 34), (1, 4, 4), (1, 4, 4), (4,), (4,),
    ]  # fmt: skip


def test_doubling_the_batch_changes_nothing(mlp):
    model, inputs = mlp
    once = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, _CLASSES))
    twice = ggn_factors(model, nn.CrossEntropyLoss(), (inputs.repeat(2, 1), _CLASSES.repeat(2)))
    _close(once.ggn_matrix(), twice.ggn_matrix())
    _close(once.gradient(), twice.gradient())


def test_float32_model(mlp):
    model, inputs = mlp
    exact = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, _CLASSES)).gradient()
    factors = ggn_factors(model.float(), nn.CrossEntropyLoss(), (inputs.float(), _CLASSES))
    assert all(t.dtype == torch.float64 for t in (factors.J, factors.H, factors.S, factors.r, factors.u))
    assert float((factors.gradient() - exact).norm() / exact.norm()) < 1e-6


def test_misuse_is_named(mlp):
    model, inputs = mlp
    loss = nn.CrossEntropyLoss()
    with pytest.raises(MisuseError, match=r"batch is a Tensor: give a pair of tensors \(inputs, targets\)"):
        ggn_factors(model, loss, inputs)
    with pytest.raises(MisuseError, match="batch is a tuple"):
        ggn_factors(model, loss, (inputs, [1, 2, 3]))
    with pytest.raises(MisuseError, match=r"targets have shape \(2,\)"):
        ggn_factors(model, loss, (inputs, _CLASSES[:2]))
    with pytest.raises(MisuseError, match="NaN"):
        ggn_factors(model, loss, (inputs * torch.nan, _CLASSES))
    with pytest.raises(MisuseError, match="requires_grad"):
        ggn_factors(model.requires_grad_(False), loss, (inputs, _CLASSES))


def test_factors_cannot_be_changed(mlp):
    model, inputs = mlp
    factors = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, _CLASSES))
    assert isinstance(factors, GGNFactors)
    with pytest.raises(AttributeError):
        factors.loss = 0.0  # pyright: ignore[reportAttributeAccessIssue] - frozen: the point
