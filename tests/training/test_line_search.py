"""The line search on parabolas whose best rates are known by hand."""

import pytest
import torch
from torch import nn

from tngd_hw.outcome import MisuseError
from tngd_hw.training import HALVINGS, TNGD, ConjugateGradientMethod, ExactMethod, LevenbergMarquardt, LineSearch

_LOSS = nn.MSELoss()


class _Valley(nn.Module):
    """Outputs (a theta_0, theta_1); MSELoss against 0 makes L = (a^2 theta_0^2 + theta_1^2)/2."""

    def __init__(self, a: float, start: tuple[float, float]) -> None:
        super().__init__()
        self.a = a
        self.theta = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.theta * torch.tensor([self.a, 1.0], dtype=torch.float64)


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(1, 2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)


def _sgd(model: nn.Module, **options: tuple[float, ...]) -> torch.optim.SGD:
    optimizer = torch.optim.SGD(model.parameters(), lr=7.0)
    optimizer.register_step_pre_hook(LineSearch(model, _LOSS, _batch(), **options))
    model.zero_grad()
    _LOSS(model(_batch()[0]), _batch()[1]).backward()
    return optimizer


def test_the_rate_is_the_best_of_the_grid_and_the_step_is_taken_with_it():
    model = _Valley(2.0, (1.0, 0.0))  # L = 2 theta_0^2, gradient 4: the minimum is at h = 1/4
    optimizer = _sgd(model)
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert model.theta.tolist() == [0.0, 0.0]
    model = _Valley(2.0, (1.0, 0.0))
    optimizer = _sgd(model, rates=(0.4, 0.2, 0.05))  # |1 - 4 h| = 0.6, 0.2, 0.8
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.2
    assert model.theta.tolist() == pytest.approx([0.2, 0.0])


def test_no_rate_that_helps_means_no_step_to_the_last_bit():
    model = _Valley(2.0, (0.1, 0.3))
    optimizer = _sgd(model)
    model.theta.grad = torch.tensor([-1.0, 0.0], dtype=torch.float64)  # against it goes uphill
    before = model.theta.detach().clone()
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0
    assert torch.equal(before, model.theta.detach())


def test_natural_gradients_and_levenberg_marquardt_take_it():
    model = _Valley(30.0, (1.0, -2.0))
    rule = LevenbergMarquardt(smallest=1e-9)
    optimizer = TNGD(model.parameters(), ExactMethod(), damping=1e-3, levenberg_marquardt=rule)
    optimizer.register_step_pre_hook(LineSearch(model, _LOSS, _batch()))
    optimizer.update(model, _LOSS, _batch())
    assert optimizer.param_groups[0]["lr"] == 1  # a quadratic loss: the whole step
    assert float(model.theta.detach().abs().max()) < 3e-3
    assert optimizer.damping == pytest.approx(2e-3 / 3)  # a good step, so less damping


def test_one_conjugate_gradient_step_is_steepest_descent():
    model = _Valley(2.0, (1.0, 0.0))
    optimizer = TNGD(model.parameters(), ConjugateGradientMethod(max_iterations=1), damping=1e-12)
    optimizer.register_step_pre_hook(LineSearch(model, _LOSS, _batch(), HALVINGS))
    optimizer.update(model, _LOSS, _batch())
    assert model.theta.tolist() == pytest.approx([0.0, 0.0], abs=1e-10)


def test_rates_that_are_none_are_refused():
    for rates in ((), (0.5, 0.0), (float("nan"),)):
        with pytest.raises(MisuseError, match="rates"):
            LineSearch(_Valley(1.0, (0.0, 0.0)), _LOSS, _batch(), rates)
