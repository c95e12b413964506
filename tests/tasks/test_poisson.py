"""The Poisson task: derivatives against other ways to them, and a solution that the network holds exactly."""

import math

import mpmath
import numpy as np
import pytest
import torch

from tngd_hw.curvature import ggn_factors, ggn_operator
from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import PoissonProblem, PoissonTask, TanhNetwork, two_sines

_LOSS = torch.nn.MSELoss()


def _loss(task: PoissonTask, model: torch.nn.Module) -> float:
    x, targets = task.batch()
    with torch.no_grad():
        return float(_LOSS(model(x), targets))


def _mp_network(network: TanhNetwork, x: mpmath.mpf) -> mpmath.mpf:
    w, b, c, d = (p.detach().tolist() for p in network.parameters())
    return d[0] + sum(ck * mpmath.tanh(wk * x + bk) for wk, bk, ck in zip(w, b, c, strict=True))


def test_the_network_is_its_formula_and_its_second_derivative_that_of_mpmath_and_autograd():
    network = TanhNetwork(5, 3)
    x = torch.tensor([[0.0], [0.31], [0.77], [1.0]], dtype=torch.float64, requires_grad=True)
    u = network(x)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    found = network.second_derivative(x).detach()
    torch.testing.assert_close(found, bend, rtol=1e-12, atol=1e-12)
    with mpmath.workdps(40):
        for k, place in enumerate(x.detach()[:, 0].tolist()):
            value = _mp_network(network, mpmath.mpf(place))
            second = mpmath.diff(lambda y: _mp_network(network, y), mpmath.mpf(place), 2)
            assert float(u[k, 0].detach()) == pytest.approx(float(value), rel=1e-13)
            assert float(found[k, 0]) == pytest.approx(float(second), rel=1e-11)
            assert 1.05 * float(found[k, 0]) != pytest.approx(float(second), rel=1e-11)


def test_the_source_is_minus_the_second_derivative_of_the_solution():
    problem = two_sines(1, 3, 0.25)
    with mpmath.workdps(40):
        for place in (0.1, 0.62):
            x = torch.tensor([place], dtype=torch.float64)
            exact = lambda y: mpmath.sin(mpmath.pi * y) + mpmath.mpf("0.25") * mpmath.sin(3 * mpmath.pi * y)  # noqa: E731
            assert float(problem.solution(x)) == pytest.approx(float(exact(mpmath.mpf(place))), rel=1e-13)
            assert float(problem.source(x)) == pytest.approx(
                -float(mpmath.diff(exact, mpmath.mpf(place), 2)), rel=1e-11
            )
    ends = problem.solution(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert float(ends.abs().max()) < 1e-14


def _representable() -> tuple[PoissonTask, dict[str, list[float]]]:
    """u = tanh(3 x - 1) - 2 tanh(5 x - 4) + a tanh(x) + d with a and d such that u(0) = u(1) = 0, by NumPy alone."""
    bend = lambda x: np.tanh(3 * x - 1) - 2 * np.tanh(5 * x - 4)  # noqa: E731
    d = -bend(0.0)
    a = -(bend(1.0) + d) / math.tanh(1.0)

    def second(x, w, b):
        return -2 * w**2 * torch.tanh(w * x + b) / torch.cosh(w * x + b) ** 2

    problem = PoissonProblem(
        "three bends",
        lambda x: torch.tanh(3 * x - 1) - 2 * torch.tanh(5 * x - 4) + a * torch.tanh(x) + d,
        lambda x: -(second(x, 3.0, -1.0) - 2 * second(x, 5.0, -4.0) + a * second(x, 1.0, 0.0)),
    )
    exact = {"w": [3.0, 5.0, 1.0], "b": [-1.0, -4.0, 0.0], "c": [1.0, -2.0, a], "d": [d]}
    return PoissonTask(problem, interior=9, width=3, boundary_weight=2.0), exact


def _set(model: torch.nn.Module, values: dict[str, list[float]]) -> None:
    with torch.no_grad():
        for name, value in values.items():
            model.get_parameter(f"network.{name}").copy_(torch.tensor(value, dtype=torch.float64))


def test_loss_and_error_vanish_at_a_solution_that_the_network_holds_and_nowhere_near():
    task, exact = _representable()
    model = task.make_network(0)
    assert task.relative_error(model) > 0.1
    _set(model, exact)
    assert _loss(task, model) < 1e-28
    assert task.relative_error(model) < 1e-14
    _set(model, exact | {"c": [1.05, *exact["c"][1:]]})
    assert _loss(task, model) > 1e-5


def test_the_loss_is_the_weighted_sum_of_its_two_means():
    task, exact = _representable()
    model = task.make_network(0)
    _set(model, exact | {"c": [1.2, -2.0, 0.3], "d": [0.7]})
    x, targets = task.batch()
    assert x.shape == targets.shape == (11, 1)
    w, b, c, d = (p.detach().numpy() for p in model.parameters())
    inner = (np.arange(9) + 0.5) / 9
    bend = -2 * np.tanh(np.outer(inner, w) + b) / np.cosh(np.outer(inner, w) + b) ** 2 @ (c * w**2)
    f = task.problem.source(torch.from_numpy(inner)).numpy()
    ends = np.array([np.tanh(b) @ c + d[0], np.tanh(w + b) @ c + d[0]])
    expected = np.mean((bend + f) ** 2) / np.mean(f**2) + 2.0 * np.mean(ends**2)
    assert _loss(task, model) == pytest.approx(expected, rel=1e-12)


def test_its_curvature_is_two_over_points_times_j_transposed_j_by_differences():
    task = PoissonTask(interior=7, width=3)
    model, batch = task.make_network(1), task.batch()
    parameters = list(model.parameters())
    columns = []
    for p in parameters:
        for k in range(p.numel()):
            sides = []
            for h in (1e-5, -2e-5, 1e-5):  # forward, backward, back again
                with torch.no_grad():
                    p[k] += h
                    sides.append(model(batch[0])[:, 0].clone())
            columns.append((sides[0] - sides[1]) / 2e-5)
    J = torch.stack(columns, dim=1)
    G = 2 / 9 * J.T @ J
    factors, operator = ggn_factors(model, _LOSS, batch), ggn_operator(model, _LOSS, batch, damping=0.1)
    torch.testing.assert_close(factors.ggn_matrix(), G, rtol=1e-6, atol=1e-6)
    v = torch.linspace(-1, 2, 10, dtype=torch.float64)
    torch.testing.assert_close(operator.apply(v), G @ v + 0.1 * v, rtol=1e-6, atol=1e-6)


def test_networks_depend_on_their_seed_only_and_bend_inside():
    task, state = PoissonTask(), torch.get_rng_state()
    one, two = task.make_network(4), task.make_network(4)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.network.w, task.make_network(5).network.w)
    assert sum(p.numel() for p in one.parameters()) == 61
    bends = -(one.network.b / one.network.w).detach()
    assert float(bends.min()) > 0
    assert float(bends.max()) < 1
    assert float(one.network.w.detach().abs().max()) <= 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonTask(interior=0), "interior = 0"),
        (lambda: PoissonTask(width=0), "width = 0"),
        (lambda: PoissonTask(boundary_weight=0.0), r"boundary_weight = 0\.0"),
        (lambda: two_sines(0), "slow = 0"),
        (lambda: TanhNetwork(3, 0, steepest=-1.0), r"steepest = -1\.0"),
        (lambda: PoissonTask(PoissonProblem("nothing", torch.zeros_like, torch.zeros_like)).make_network(0), "nothing"),
    ],
)
def test_misuse_is_refused_in_one_sentence(make, message):
    with pytest.raises(MisuseError, match=message):
        make()
