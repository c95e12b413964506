"""Kronecker factors: closed forms and loops over samples and positions, the cases in which K-FAC is exact, refusals."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.curvature import Fisher, KFACBlock, KFACDamping, kfac_factors
from tngd_hw.curvature.monte_carlo import drawn_scores
from tngd_hw.outcome import MisuseError, OutcomeError
from tngd_hw.random import stream

_CLASSES = torch.tensor([2, 0, 1])
_CE = nn.CrossEntropyLoss()


def _close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-13)


def _random(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _filled(model: nn.Module) -> nn.Module:
    """The model in float64 with the same weights in every test."""
    model.double()
    with torch.no_grad():
        for k, parameter in enumerate(model.parameters()):
            parameter.copy_(_random(*parameter.shape, seed=10 + k))
    return model


def _gauss_newton(model: nn.Module, batch: tuple[Tensor, Tensor], jacobian_loop, loss=_CE) -> Tensor:
    """J^T H J with a scalar-by-scalar J and torch's Hessian of the batch loss."""
    z, J = jacobian_loop(model, batch[0])
    H = torch.autograd.functional.hessian(lambda v: loss(v.reshape(z.shape), batch[1]), z.reshape(-1))
    return J.T @ H @ J


def _own_blocks(whole: Tensor, model: nn.Module) -> list[Tensor]:
    """The layers' diagonal blocks of a matrix over all trainable parameters."""
    sizes: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        layer = name.rpartition(".")[0]
        sizes[layer] = sizes.get(layer, 0) + parameter.numel() * parameter.requires_grad
    ends = np.cumsum([size for size in sizes.values() if size])
    starts = [0, *ends[:-1]]
    return [whole[a:b, a:b] for a, b in zip(starts, ends, strict=True)]


def _with_one(rows: Tensor) -> Tensor:
    return torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], dim=1)


def test_factors_of_a_small_network_are_the_closed_forms(mlp):
    model, x = mlp
    first, last = model[0], model[2]
    a = torch.tanh(x @ first.weight.T + first.bias).detach()
    p = torch.softmax(a @ last.weight.T + last.bias, dim=1).detach()
    G = [torch.zeros(3, 3, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)]
    for sample in range(3):
        H = (torch.diag(p[sample]) - torch.outer(p[sample], p[sample])) / 3
        back = last.weight.detach() @ torch.diag(1 - a[sample] ** 2)
        G[1] += H
        G[0] += back.T @ H @ back
    found = kfac_factors(model, _CE, (x, _CLASSES))
    assert [block.layer for block in found.blocks] == ["0", "2"]
    for block, rows, expected in zip(found.blocks, (x, a), G, strict=True):
        _close(block.A, _with_one(rows).T @ _with_one(rows) / 3)
        _close(block.G, expected)
    assert found.loss == pytest.approx(_CE(model(x), _CLASSES).item(), rel=1e-14)


def test_empirical_factors_come_from_the_gradients_of_the_samples(mlp):
    model, x = mlp
    found = kfac_factors(model, _CE, (x, _CLASSES), fisher=Fisher.EMPIRICAL)
    G = [torch.zeros(3, 3, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)]
    for row, label in zip(x, _CLASSES, strict=True):
        loss = _CE(model(row[None]), label[None])
        biases = torch.autograd.grad(loss, [model[0].bias, model[2].bias])  # dL_i/ds of both layers
        for k in range(2):
            G[k] += torch.outer(biases[k], biases[k]) / 3
    for block, expected in zip(found.blocks, G, strict=True):
        _close(block.G, expected)


def test_a_linear_layer_with_squared_error_is_exact_and_a_softmax_is_not(jacobian_loop):
    model = _filled(nn.Linear(2, 3))
    x = _random(4, 2)
    (block,) = kfac_factors(model, nn.MSELoss(), (x, _random(4, 3, seed=6))).blocks
    rows = _with_one(x)
    _close(block.G, torch.eye(3, dtype=torch.float64) * 2 / 3)  # 2/(batch d_z), summed over the batch
    in_order = torch.zeros(9, 9, dtype=torch.float64)  # weight by rows, then bias: index 2 o + i, and 6 + o
    place = torch.tensor([[0, 1, 6], [2, 3, 7], [4, 5, 8]])
    for o in range(3):
        in_order[place[o][:, None], place[o]] = 2 / (4 * 3) * rows.T @ rows
    _close(block.matrix(), in_order)
    batch = (x, torch.tensor([2, 0, 1, 1]))
    (softmax,) = kfac_factors(model, _CE, batch).blocks
    exact = _gauss_newton(model, batch, jacobian_loop)
    assert float((softmax.matrix() - exact).norm() / exact.norm()) > 0.05


def _deep_linear() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False), nn.Linear(2, 3))
    model[0].weight.requires_grad_(False)
    model[2].bias.requires_grad_(False)
    return _filled(model)


def test_a_deep_linear_network_with_squared_error_is_exact_with_frozen_parts_left_out(jacobian_loop):
    model, batch = _deep_linear(), (_random(5, 3), _random(5, 3, seed=6))
    found = kfac_factors(model, nn.MSELoss(), batch)
    exact = _own_blocks(_gauss_newton(model, batch, jacobian_loop, nn.MSELoss()), model)
    assert [tuple(block.V.shape) for block in found.blocks] == [(4, 1), (2, 4), (3, 2)]
    for block, expected in zip(found.blocks, exact, strict=True):
        _close(block.matrix(), expected)


@pytest.mark.parametrize("name", ["mlp", "convolution", "token"])
def test_a_batch_of_one_with_one_row_a_layer_is_exact(name, jacobian_loop):
    model, x = {
        "mlp": (nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 4)), _random(1, 5)),
        "convolution": (nn.Sequential(nn.Conv2d(2, 4, (2, 3)), nn.Flatten()), _random(1, 2, 2, 3)),
        "token": (nn.Sequential(nn.Embedding(5, 3), nn.Tanh(), nn.Linear(3, 4)), torch.tensor([3])),
    }[name]
    batch = (x, torch.tensor([2]))
    exact = _own_blocks(_gauss_newton(_filled(model), batch, jacobian_loop), model)
    for block, expected in zip(kfac_factors(model, _CE, batch).blocks, exact, strict=True):
        _close(block.matrix(), expected)


def test_a_convolution_is_a_loop_over_samples_and_positions():
    conv = nn.Conv2d(2, 3, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(2, 1))
    model = _filled(nn.Sequential(conv, nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(3 * 2 * 6, 4)))
    x = _random(3, 2, 4, 4)
    padded = functional.pad(x, (2, 2, 1, 1))
    s = functional.conv2d(x, conv.weight, conv.bias, (2, 1), (1, 2), (2, 1)).detach().requires_grad_()
    z = model[3](torch.relu(s).flatten(1))
    H = torch.softmax(z.detach(), dim=1)
    A, G = torch.zeros(13, 13, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    J = torch.stack([torch.autograd.grad(z[:, k].sum(), s, retain_graph=True)[0] for k in range(4)])
    for i, r, c in np.ndindex(3, 2, 6):
        patch = padded[i, :, 2 * r : 2 * r + 3 : 2, c : c + 3]
        a = torch.cat([patch.reshape(-1), torch.ones(1, dtype=torch.float64)])
        A += torch.outer(a, a) / (3 * 12)
        G += J[:, i, :, r, c].T @ (torch.diag(H[i]) - torch.outer(H[i], H[i])) @ J[:, i, :, r, c] / 3
    block = kfac_factors(model, _CE, (x, _CLASSES)).blocks[0]
    _close(block.A, A)
    _close(block.G, G)


class _Sequence(nn.Module):
    """Tokens, a layer at every position, the mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(6, 2, padding_idx=1)
        self.each = nn.Linear(2, 3)
        self.last = nn.Linear(3, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.last(torch.tanh(self.each(input=self.table(tokens))).mean(dim=1))


def test_layers_that_serve_every_position_sum_over_positions():
    model, tokens = _filled(_Sequence()), torch.tensor([[0, 3], [1, 3], [4, 4]])
    found = {block.layer: block for block in kfac_factors(model, _CE, (tokens, _CLASSES)).blocks}
    _close(found["table"].A, torch.diag(torch.tensor([1.0, 0.0, 0.0, 2.0, 2.0, 0.0], dtype=torch.float64)) / 6)
    e = model.table.weight.detach()[tokens]
    _close(found["each"].A, _with_one(e.reshape(6, 2)).T @ _with_one(e.reshape(6, 2)) / 6)
    p = torch.softmax(model(tokens), dim=1).detach()
    G_each, G_table = torch.zeros(3, 3, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    for i, t in np.ndindex(3, 2):
        slope = 1 - torch.tanh(model.each(e[i, t])).detach() ** 2
        to_each = model.last.weight.detach() @ torch.diag(slope) / 2
        H = (torch.diag(p[i]) - torch.outer(p[i], p[i])) / 3
        G_each += to_each.T @ H @ to_each
        to_table = to_each @ model.each.weight.detach()
        G_table += to_table.T @ H @ to_table
    _close(found["each"].G, G_each)
    _close(found["table"].G, G_table)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_gradient_is_that_of_backward_and_the_model_is_left_alone(case, dtype):
    model, x = case
    if len({id(p) for p in model.parameters()}) < len(list(model.named_parameters(remove_duplicate=False))):
        with pytest.raises(MisuseError, match=r"first.weight is also third.weight"):
            kfac_factors(model, _CE, (x, _CLASSES))
        return
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(False)
    model, x = model.to(dtype), x.to(dtype) if x.is_floating_point() else x
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        found = kfac_factors(model, _CE, (x, _CLASSES))
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    _CE(model(x), _CLASSES).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.requires_grad]).double()
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found.gradient(), expected, rtol=tolerance, atol=tolerance)
    assert {block.A.dtype for block in found.blocks} == {block.G.dtype for block in found.blocks} == {torch.float64}


def test_directions_are_those_of_the_dense_damped_matrices():
    model, batch = _filled(_Sequence()), (torch.tensor([[0, 3], [2, 3], [4, 4]]), _CLASSES)
    found = kfac_factors(model, _CE, batch)
    damping, exact, factored = 0.03, [], []
    for block in found.blocks:
        A, G = block.A.numpy(), block.G.numpy()
        pi = np.sqrt((np.trace(A) / len(A)) / (np.trace(G) / len(G)))
        A_d = A + pi * np.sqrt(damping) * np.eye(len(A))
        G_d = G + np.sqrt(damping) / pi * np.eye(len(G))
        exact.append(np.linalg.solve(np.kron(G, A) + damping * np.eye(block.V.numel()), block.V.numpy().ravel()))
        factored.append(np.linalg.solve(np.kron(G_d, A_d), block.V.numpy().ravel()))
    for rule, answers in ((KFACDamping.EXACT, exact), (KFACDamping.FACTORED, factored)):
        X = [torch.from_numpy(x).reshape(block.V.shape) for x, block in zip(answers, found.blocks, strict=True)]
        grads = [X[0].T, X[1][:, :2], X[1][:, 2], X[2][:, :3], X[2][:, 3]]  # table, each and last, by hand
        torch.testing.assert_close(
            found.direction(damping, rule), torch.cat([g.reshape(-1) for g in grads]), rtol=1e-9, atol=1e-12
        )
    difference = found.direction(damping, KFACDamping.EXACT) - found.direction(damping)
    assert float(difference.norm() / found.direction(damping).norm()) > 0.05


def test_the_exact_direction_solves_the_damped_gauss_newton_block_where_kfac_is_exact(jacobian_loop):
    model, batch = _deep_linear(), (_random(5, 3), _random(5, 3, seed=6))
    blocks = _own_blocks(_gauss_newton(model, batch, jacobian_loop, nn.MSELoss()), model)
    found = kfac_factors(model, nn.MSELoss(), batch)
    damped = torch.block_diag(*blocks) + 0.1 * torch.eye(sum(map(len, blocks)), dtype=torch.float64)
    _close(damped @ found.direction(0.1, KFACDamping.EXACT), found.gradient())


def test_products_and_matrices_keep_the_order_of_the_parameters(mlp):
    found = kfac_factors(mlp[0], _CE, (mlp[1], _CLASSES))
    v = _random(34, seed=8)
    _close(found.product(v), torch.block_diag(*(block.matrix() for block in found.blocks)) @ v)
    _close(found.vector(found.matrices(v)), v)


def _block(A: Tensor, G: Tensor, V: Tensor) -> KFACBlock:
    return KFACBlock("layer", A, G, V, V.shape, has_bias=False, transposed=False)


def test_a_scale_moved_between_the_factors_changes_nothing():
    root_A, root_G, V = _random(3, 4), _random(2, 2, seed=6), _random(2, 3, seed=7)
    A, G = root_A @ root_A.T, root_G @ root_G.T
    plain, moved = _block(A, G, V), _block(50 * A, G / 50, V)
    for rule in KFACDamping:
        torch.testing.assert_close(moved.solve(0.1, rule), plain.solve(0.1, rule), rtol=1e-11, atol=1e-14)
    for mine, other in zip(plain.damped_factors(0.1), moved.damped_factors(0.1), strict=True):
        _close(other, mine)
    A_d, G_d = plain.damped_factors(0.1)
    _close(A_d @ plain.solve(0.1).T @ G_d, V.T)
    assert float(A_d.diagonal().mean()) == pytest.approx(float(G_d.diagonal().mean()), rel=1e-13)
    assert float((_block(50 * A, G, V).solve(0.1) - plain.solve(0.1)).norm()) > 0.1 * float(plain.solve(0.1).norm())


def test_a_factor_of_zero_has_no_scale():
    zero = _block(torch.zeros(3, 3).double(), torch.eye(2).double(), _random(2, 3))
    assert zero.pi == 1.0
    _close(zero.solve(0.25), _random(2, 3) / (0.5 * 1.5))
    _close(zero.solve(0.25, KFACDamping.EXACT), _random(2, 3) / 0.25)
    with pytest.raises(MisuseError, match="damping = 0"):
        zero.solve(0)
    with pytest.raises(MisuseError, match="rule = 'exact'"):
        zero.solve(0.1, "exact")
    with pytest.raises(MisuseError, match="damping = nan"):
        zero.damped_factors(float("nan"))
    one = torch.ones(3, 3, dtype=torch.float64)
    with pytest.raises(OutcomeError, match=r"singular: a factor of layer layer is not positive definite"):
        _block(one, one, one).solve(1e-40)


class _Wrapped(nn.Module):
    """A layer and what a forward pass does with it."""

    def __init__(self, layer: nn.Module, use) -> None:
        super().__init__()
        self.layer, self.head, self.use = layer, nn.Linear(4, 4), use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(self.layer, self.head, x)


class _Scaled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return 2 * super().forward(input)


def _plain(layer: nn.Module, head: nn.Module, x: Tensor) -> Tensor:
    return head(layer(x))


def _detached(layer: nn.Module, head: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        hidden = layer(x)
    return head(hidden)


def _image(layer: nn.Module, head: nn.Module, x: Tensor) -> Tensor:
    return head(layer(x.reshape(-1, 2, 1, 2)).flatten(1)[:, :4])


def _attention(layer: nn.Module, head: nn.Module, x: Tensor) -> Tensor:
    return head(layer(x[:, None], x[:, None], x[:, None])[0][:, 0])


def _positions(layer: nn.Module, head: nn.Module, x: Tensor) -> Tensor:
    return head(x + layer(torch.arange(3)).sum(dim=0))


def _tokens(layer: nn.Module, head: nn.Module, x: Tensor) -> Tensor:
    return head(layer((x[:, 0] > 0).long()))


@pytest.mark.parametrize(
    ("layer", "use", "message"),
    [
        (nn.LayerNorm(4), _plain, r"layer \(LayerNorm\) holds trainable parameters .* freeze it with requires_grad_"),
        (nn.MultiheadAttention(4, 1, batch_first=True), _attention, r"layer \(MultiheadAttention\) holds trainable"),
        (_Scaled(4, 4), _plain, r"layer \(_Scaled\) holds trainable"),
        (nn.Conv2d(2, 4, 1, groups=2), _image, "groups = 2"),
        (nn.Conv2d(2, 4, 1, padding=1, padding_mode="circular"), _image, "padding_mode = 'circular'"),
        (nn.Embedding(3, 4, sparse=True), _tokens, r"layer \(Embedding\) has max_norm, scale_grad_by_freq or sparse"),
        (nn.Embedding(3, 4), _positions, r"layer \(Embedding\) has 3 rows of inputs for 3 samples and 3 for one"),
        (nn.Linear(4, 4), lambda layer, head, x: head(layer(layer(x))), r"layer \(Linear\) runs 2 times"),
        (nn.Linear(4, 4), lambda layer, head, x: head(x @ layer.weight.T), r"layer \(Linear\) runs 0 times"),
        (nn.Linear(4, 4), _detached, r"layer \(Linear\) is cut off from the outputs"),
        (nn.Linear(4, 4), lambda layer, head, x: head(layer(x)).detach(), "cut off from the outputs"),
    ],
)
def test_what_has_no_factors_is_refused_by_name(layer, use, message):
    model = _Wrapped(layer, use).double()
    with pytest.raises(MisuseError, match=message):
        kfac_factors(model, _CE, (_random(3, 4), _CLASSES))
    assert not any(module._forward_hooks for module in model.modules())


def test_a_frozen_layer_of_another_kind_is_no_layer():
    model = _Wrapped(nn.LayerNorm(4).requires_grad_(False), _plain).double()
    assert [block.layer for block in kfac_factors(model, _CE, (_random(3, 4), _CLASSES)).blocks] == ["head"]


def test_tied_layers_and_other_curvatures_are_refused():
    model = _Wrapped(nn.Linear(4, 4), _plain).double()
    model.head.weight = model.layer.weight
    batch = (_random(3, 4), _CLASSES)
    with pytest.raises(MisuseError, match=r"model parameter layer.weight is also head.weight"):
        kfac_factors(model, _CE, batch)
    model.head = model.layer
    with pytest.raises(MisuseError, match=r"model parameter layer.weight is also head.weight"):
        kfac_factors(model, _CE, batch)
    with pytest.raises(MisuseError, match=r"fisher = true"):
        kfac_factors(model, _CE, batch, fisher="true")
    alone = _Wrapped(nn.Linear(4, 4), _plain).double()
    with pytest.raises(MisuseError, match=r"samples = 0: the Monte Carlo Fisher needs at least one draw"):
        kfac_factors(alone, _CE, batch, fisher=Fisher.MONTE_CARLO, samples=0)
    with pytest.raises(MisuseError, match=r"loss nll_loss names no distribution, so its monte_carlo Fisher"):
        kfac_factors(alone, functional.nll_loss, batch, fisher=Fisher.MONTE_CARLO)


@pytest.mark.parametrize("loss", [_CE, nn.MSELoss()])
def test_drawn_targets_give_the_true_factor_in_the_mean(mlp, loss):
    """G of 4,000 draws within 5 standard errors of the true one, twice it caught; A and V have no draws in them."""
    model, x = mlp
    batch = (x, _CLASSES if loss is _CE else _random(3, 4))
    true = kfac_factors(model, loss, batch)
    drawn = [kfac_factors(model, loss, batch, fisher=Fisher.MONTE_CARLO, samples=400, seed=seed) for seed in range(10)]
    for k, block in enumerate(true.blocks):
        G = torch.stack([found.blocks[k].G for found in drawn])
        error = (G.mean(0) - block.G).abs() / (G.std(0) / 10**0.5)
        assert float(error.max()) < 5.0
        assert float((G.mean(0) - 2.0 * block.G).abs().max()) > 0.5 * float(block.G.abs().max())
        _close(drawn[0].blocks[k].A, block.A)
        _close(drawn[0].blocks[k].V, block.V)


def test_draws_are_those_of_seed_and_step_and_fewer_passes_than_classes(mlp):
    """One layer alone: G is the sum of the outer products of the drawn scores, M passes in the place of d_z."""
    _, x = mlp
    model = _filled(nn.Sequential(nn.Linear(x.shape[1], 4)))
    options = {"fisher": Fisher.MONTE_CARLO, "samples": 2, "seed": 3}
    found = kfac_factors(model, _CE, (x, _CLASSES), **options, use=7)
    scores = drawn_scores(_CE, model(x).detach(), 2, stream(3, "fisher.monte_carlo", use=7))
    _close(found.blocks[0].G, torch.einsum("bmi,bmj->ij", scores, scores))
    assert torch.equal(kfac_factors(model, _CE, (x, _CLASSES), **options, use=7).blocks[0].G, found.blocks[0].G)
    for other in ({"use": 8}, {"use": 7, "seed": 4}):
        again = kfac_factors(model, _CE, (x, _CLASSES), **options | other)
        assert not torch.equal(again.blocks[0].G, found.blocks[0].G)
