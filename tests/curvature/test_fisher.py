"""Fisher matrices against sums over drawn or listed targets, each gradient by a reverse pass of its own."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.curvature import Fisher, FisherFactors, fisher_factors, ggn_factors
from tngd_hw.outcome import MisuseError

_CLASSES = torch.tensor([2, 0, 1])
_REAL = torch.tensor([[0.1, 1.0, -2.0], [3.0, 0.0, 0.2], [0.3, 0.7, 1.1]], dtype=torch.float64)


def _close(actual: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def _gradient(model: nn.Module, loss: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """d loss(model(x), y) / d theta of one sample, shape (N,)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    pieces = torch.autograd.grad(loss(model(x[None]), y[None]), parameters)
    return torch.cat([piece.reshape(-1) for piece in pieces])


def _softmax_fisher(model: nn.Module, inputs: Tensor) -> Tensor:
    """Every class of every sample, weighted with its probability."""
    rows: list[Tensor] = []
    for x in inputs:
        p = torch.softmax(model(x[None])[0].detach(), dim=0)
        for label in range(len(p)):
            g = _gradient(model, nn.CrossEntropyLoss(), x, torch.tensor(label))
            rows.append(math.sqrt(float(p[label]) / len(inputs)) * g)
    R = torch.stack(rows)
    return R.T @ R


def _gaussian_fisher(model: nn.Module, inputs: Tensor) -> Tensor:
    """Targets z + sigma (+-1, +-1, ...): Gauss-Hermite quadrature of two nodes an output, exact for this integrand."""
    rows: list[Tensor] = []
    for x in inputs:
        z = model(x[None])[0].detach()
        sigma = math.sqrt(len(z) / 2)
        for signs in itertools.product((-1.0, 1.0), repeat=len(z)):
            g = _gradient(model, nn.MSELoss(), x, z + sigma * torch.tensor(signs, dtype=torch.float64))
            rows.append(g / math.sqrt(len(inputs) * 2 ** len(z)))
    R = torch.stack(rows)
    return R.T @ R


_Maker = Callable[[nn.Module, Tensor], Tensor]
_KNOWN: list[tuple[nn.Module, _Maker]] = [(nn.CrossEntropyLoss(), _softmax_fisher), (nn.MSELoss(), _gaussian_fisher)]


def _targets(model: nn.Module, inputs: Tensor, loss: nn.Module) -> Tensor:
    if isinstance(loss, nn.CrossEntropyLoss):
        return _CLASSES
    return _REAL if model(inputs).shape[1] == 3 else torch.cat([_REAL, _REAL[:, :1] ** 2], dim=1)


@pytest.mark.parametrize(("loss", "expected"), _KNOWN)
def test_true_fisher_is_the_expectation_over_targets_and_the_ggn(case, loss: nn.Module, expected: _Maker):
    model, inputs = case
    batch = (inputs, _targets(model, inputs, loss))
    factors = fisher_factors(model, loss, batch, Fisher.TRUE)
    F = expected(model, inputs)
    assert float(F.abs().max()) > 0.05
    _close(factors.matrix(), F)
    _close(ggn_factors(model, loss, batch).ggn_matrix(), F)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.MSELoss()])
def test_empirical_fisher_is_the_mean_over_the_data(case, loss: nn.Module):
    model, inputs = case
    targets = _targets(model, inputs, loss)
    factors = fisher_factors(model, loss, (inputs, targets), Fisher.EMPIRICAL)
    G = torch.stack([_gradient(model, loss, x, y) for x, y in zip(inputs, targets, strict=True)])
    _close(factors.W, G / math.sqrt(3))
    _close(factors.matrix(), sum((torch.outer(g, g) / 3 for g in G), start=torch.zeros(())))
    _close(factors.g, G.mean(dim=0))


@pytest.mark.parametrize("kind", [Fisher.TRUE, Fisher.EMPIRICAL])
def test_u_gives_the_gradient_where_there_is_one(case, kind: Fisher):
    model, inputs = case
    factors = fisher_factors(model, nn.CrossEntropyLoss(), (inputs, _CLASSES), kind)
    total = torch.stack([_gradient(model, nn.CrossEntropyLoss(), x, y) for x, y in zip(inputs, _CLASSES, strict=True)])
    assert factors.u is not None
    _close(factors.W.T @ factors.u, total.mean(dim=0))


def test_the_matrices_differ_by_hand():
    # One sample x = 1, z = w (three weights from 0), p = (1, 1, 1)/3, y = 1.  True: diag p - p p^T; empirical: s s^T
    # with s = p - e_1 = (1, -2, 1)/3; a draw of y = 0: (-2, 1, 1)/3.
    model = nn.Linear(1, 3, bias=False).double()
    nn.init.zeros_(model.weight)
    batch = (torch.ones(1, 1, dtype=torch.float64), torch.tensor([1]))
    true = fisher_factors(model, nn.CrossEntropyLoss(), batch, Fisher.TRUE)
    _close(9 * true.matrix(), torch.tensor([[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]]).double())
    empirical = fisher_factors(model, nn.CrossEntropyLoss(), batch, Fisher.EMPIRICAL)
    _close(9 * empirical.matrix(), torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]).double())
    _close(3 * empirical.W, torch.tensor([[1.0, -2.0, 1.0]]).double())
    drawn = fisher_factors(model, nn.CrossEntropyLoss(), batch, Fisher.MONTE_CARLO, samples=40)
    kinds = {tuple(round(float(v)) for v in 3 * math.sqrt(40) * row) for row in drawn.W}
    assert kinds == {(-2, 1, 1), (1, -2, 1), (1, 1, -2)}
    assert drawn.u is None
    _close(3 * drawn.g, torch.tensor([1.0, -2.0, 1.0]).double())


@pytest.mark.parametrize(("loss", "expected"), _KNOWN)
def test_monte_carlo_rows_are_gradients_and_their_mean_is_the_true_fisher(
    mlp, jacobian_loop, loss: nn.Module, expected: _Maker
):
    """Trace and one quadratic form within 4 standard errors of the true ones; the error is below 1 %."""
    model, inputs = mlp
    M = 40_000
    batch = (inputs, _targets(model, inputs, loss))
    W = fisher_factors(model, loss, batch, Fisher.MONTE_CARLO, samples=M, seed=3).W
    assert W.shape == (3 * M, 34)
    blocks = jacobian_loop(model, inputs)[1].reshape(3, 4, 34)
    for i in range(3):  # each row of sample i is in the row space of its own Jacobian block
        rows = W[i * M : i * M + 50]
        _close(rows @ torch.linalg.pinv(blocks[i]) @ blocks[i], rows)
    F = expected(model, inputs)
    v = torch.linspace(-1.0, 2.0, 34, dtype=torch.float64)
    per_draw = {"trace": W.square().sum(dim=1), "form": (W @ v) ** 2}
    true = {"trace": float(F.trace()), "form": float(v @ F @ v)}
    for name, terms in per_draw.items():
        by_draw = terms.reshape(3, M).sum(dim=0) * M
        error = float(by_draw.std()) / math.sqrt(M)
        assert error < 0.01 * true[name]
        assert abs(float(by_draw.mean()) - true[name]) < 4 * error
        assert abs(1.05 * float(by_draw.mean()) - true[name]) > 4 * error  # five per cent would show


def test_standard_error_falls_as_the_root_of_the_draws(mlp):
    """Var(trace) over 400 seeds against sum_i Var_y(|g_i(y)|^2)/(batch^2 M), listed by classes; 4 sd of a variance."""
    model, inputs = mlp
    loss, batch, M, seeds = nn.CrossEntropyLoss(), (inputs, torch.tensor([2, 0, 3])), 5, 400
    exact = 0.0
    for x in inputs:
        p = torch.softmax(model(x[None])[0].detach(), dim=0)
        squares = torch.stack([_gradient(model, loss, x, torch.tensor(k)).square().sum() for k in range(4)])
        exact += float(p @ squares**2 - (p @ squares) ** 2) / (9 * M)
    found = [
        float(fisher_factors(model, loss, batch, Fisher.MONTE_CARLO, samples=M, seed=seed).W.square().sum())
        for seed in range(seeds)
    ]
    mean = float(torch.tensor(found).double().mean())
    deviations = torch.tensor(found).double() - mean
    variance = float(deviations.square().sum()) / (seeds - 1)
    fourth = float((deviations**4).mean())
    assert abs(variance - exact) < 4 * math.sqrt((fourth - variance**2) / seeds)
    assert abs(mean - float(_softmax_fisher(model, inputs).trace())) < 4 * math.sqrt(exact / seeds)


def _draws(model: nn.Module, inputs: Tensor, *, samples: int, seed: int = 0, use: int = 0) -> Tensor:
    loss = nn.CrossEntropyLoss()
    return fisher_factors(
        model, loss, (inputs, _CLASSES), Fisher.MONTE_CARLO, samples=samples, seed=seed, use=use
    ).W.reshape(3, samples, -1)


def test_draws_are_keyed(mlp):
    model, inputs = mlp
    before = torch.get_rng_state()
    first = _draws(model, inputs, samples=20)
    assert torch.equal(first, _draws(model, inputs, samples=20))
    assert not torch.equal(first, _draws(model, inputs, samples=20, seed=1))
    assert not torch.equal(first, _draws(model, inputs, samples=20, use=1))
    _close(_draws(model, inputs, samples=30)[:, :20] * math.sqrt(30), first * math.sqrt(20))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", list(Fisher))
def test_dual_problem_solves_the_damped_system(mlp, kind: Fisher):
    model, inputs = mlp
    factors = fisher_factors(model, nn.CrossEntropyLoss(), (inputs, _CLASSES), kind, samples=2)
    dual = factors.dual_problem(0.2)
    x = dual.recover(torch.linalg.solve(dual.problem.formed_matrix(), dual.problem.b))
    A = factors.matrix() + 0.2 * torch.eye(34, dtype=torch.float64)
    value = functional.cross_entropy(model(inputs), _CLASSES)
    g = torch.cat([piece.reshape(-1) for piece in torch.autograd.grad(value, list(model.parameters()))])
    _close(x, torch.linalg.solve(A, g))


def test_misuse_is_named(mlp):
    model, inputs = mlp
    loss, batch = nn.CrossEntropyLoss(), (inputs, _CLASSES)

    class Doubled(nn.MSELoss):
        def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002
            return 2 * super().forward(input, target)

    for kind in (Fisher.TRUE, Fisher.MONTE_CARLO):
        with pytest.raises(MisuseError, match=f"loss Doubled names no distribution, so its {kind.value} Fisher"):
            fisher_factors(model, Doubled(), (inputs, _targets(model, inputs, nn.MSELoss())), kind)
        with pytest.raises(MisuseError, match="loss cross_entropy names no distribution"):
            fisher_factors(model, functional.cross_entropy, batch, kind)
    assert isinstance(fisher_factors(model, functional.cross_entropy, batch, Fisher.EMPIRICAL), FisherFactors)
    with pytest.raises(MisuseError, match="samples = 0"):
        fisher_factors(model, loss, batch, Fisher.MONTE_CARLO, samples=0)
    with pytest.raises(MisuseError, match="seed = -1"):
        fisher_factors(model, loss, batch, Fisher.MONTE_CARLO, seed=-1)
    with pytest.raises(MisuseError, match="damping = 0"):
        fisher_factors(model, loss, batch, Fisher.MONTE_CARLO).dual_problem(0.0)
