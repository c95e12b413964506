import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.curvature import Fisher, LayerBlock, fisher_factors, ggn_factors, layer_blocks
from tngd_hw.outcome import MisuseError

_CLASSES = torch.tensor([2, 0, 1])


def _close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def _ggn_blocks(model: nn.Module, inputs: Tensor) -> tuple[LayerBlock, ...]:
    factors = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, _CLASSES))
    return layer_blocks(model, factors.whitened_jacobian(), factors.u, factors.gradient())


def _layer_loop(model: nn.Module, parameters: list[nn.Parameter], inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Gauss-Newton matrix and gradient with only ``parameters`` variable: one sample, one output at a time."""
    size = sum(p.numel() for p in parameters)
    G, g = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for x, y in zip(inputs, _CLASSES, strict=True):
        z = model(x[None])[0]
        rows = [torch.autograd.grad(scalar, parameters, retain_graph=True) for scalar in z]
        J = torch.stack([torch.cat([piece.reshape(-1) for piece in row]) for row in rows])
        H = torch.autograd.functional.hessian(lambda v, y=y: functional.cross_entropy(v[None], y[None]), z.detach())
        G += J.T @ H @ J / len(inputs)
        loss = functional.cross_entropy(z[None], y[None])
        g += torch.cat([piece.reshape(-1) for piece in torch.autograd.grad(loss, parameters)]) / len(inputs)
    return G, g


def test_blocks_equal_the_loop_with_one_layer_free(case):
    model, inputs = case
    blocks = _ggn_blocks(model, inputs)
    trainable = dict(model.named_parameters())
    for block in blocks:
        own = [p for name, p in trainable.items() if name.rpartition(".")[0] == block.layer and p.requires_grad]
        G, g = _layer_loop(model, own, inputs)
        _close(block.matrix(), G)
        _close(block.g, g)
        assert block.u is not None
        _close(block.W.T @ block.u, g)
    covered = [k for block in blocks for k in range(block.columns.start, block.columns.stop)]
    assert covered == list(range(sum(p.numel() for p in trainable.values() if p.requires_grad)))


def test_layers_by_name(case):
    model, inputs = case
    names = [block.layer for block in _ggn_blocks(model, inputs)]
    modules = dict(model.named_modules())
    assert len(set(names)) == len(names)
    assert all(list(modules[name].parameters(recurse=False)) for name in names)


def test_answers_are_those_of_the_block_diagonal_matrix_and_not_of_the_whole(mlp):
    model, inputs = mlp
    damping = 0.05
    blocks = _ggn_blocks(model, inputs)
    assert [(block.layer, block.columns) for block in blocks] == [("0", slice(0, 18)), ("2", slice(18, 34))]
    answers: list[Tensor] = []
    for block in blocks:
        dual = block.dual_problem(damping)
        answers.append(dual.recover(torch.linalg.solve(dual.problem.formed_matrix(), dual.problem.b)))
    layers = [_layer_loop(model, [model.get_parameter(f"{k}.{s}") for s in ("weight", "bias")], inputs) for k in (0, 2)]
    A = torch.block_diag(*(G for G, _ in layers)) + damping * torch.eye(34, dtype=torch.float64)
    g = torch.cat([g for _, g in layers])
    x = torch.cat(answers)
    _close(x, torch.linalg.solve(A, g))
    whole, _ = _layer_loop(model, list(model.parameters()), inputs)
    exact = torch.linalg.solve(whole + damping * torch.eye(34, dtype=torch.float64), g)
    assert float((x - exact).norm() / exact.norm()) > 0.1
    W = ggn_factors(model, nn.CrossEntropyLoss(), (inputs, _CLASSES)).whitened_jacobian()
    _close(blocks[0].W @ blocks[0].W.T + blocks[1].W @ blocks[1].W.T, W @ W.T)


@pytest.mark.parametrize("kind", list(Fisher))
def test_cuts_every_fisher_matrix(mlp, kind: Fisher):
    model, inputs = mlp
    factors = fisher_factors(model, nn.CrossEntropyLoss(), (inputs, _CLASSES), kind, samples=2)
    F = factors.matrix()
    for block in layer_blocks(model, factors.W, factors.u, factors.g):
        _close(block.matrix(), F[block.columns, block.columns])
        dual = block.dual_problem(0.3)
        x = dual.recover(torch.linalg.solve(dual.problem.formed_matrix(), dual.problem.b))
        _close(block.matrix() @ x + 0.3 * x, factors.g[block.columns])


def test_a_parameter_of_the_model_itself_and_one_layer(jacobian_loop):
    model = nn.Linear(2, 3).double()
    inputs = torch.tensor([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]], dtype=torch.float64)
    (block,) = _ggn_blocks(model, inputs)
    assert (block.layer, block.columns) == ("", slice(0, 9))
    assert block.W.shape == jacobian_loop(model, inputs)[1].shape


def test_misuse_is_named(mlp):
    model, _ = mlp
    W, g = torch.zeros(4, 34).double(), torch.zeros(34).double()
    with pytest.raises(MisuseError, match=r"W has shape \(4, 33\), u None and g \(34,\): this model needs \(m, 34\)"):
        layer_blocks(model, W[:, 1:], None, g)
    with pytest.raises(MisuseError, match=r"u \(34,\)"):
        layer_blocks(model, W, g, g)
    with pytest.raises(MisuseError, match=r"g \(4,\)"):
        layer_blocks(model, W, None, g[:4])
    with pytest.raises(MisuseError, match="requires_grad"):
        layer_blocks(model.requires_grad_(False), W, None, g)
