"""Natural gradients by three digital methods: against each other and against dense numpy."""

import pytest
import torch
from small_network import DAMPING, dense_answer, small_case
from torch import nn

from tngd_hw.curvature import ggn_factors, ggn_operator
from tngd_hw.outcome import MisuseError, Outcome
from tngd_hw.training.directions import conjugate_gradient, dense, woodbury


def length(vector: torch.Tensor) -> float:
    return float(vector @ vector) ** 0.5


def case():
    model, batch = small_case()
    loss = nn.CrossEntropyLoss()
    return ggn_factors(model, loss, batch), ggn_operator(model, loss, batch, damping=DAMPING)


def test_the_three_agree_and_solve_the_problem_of_another_origin():
    factors, operator = case()
    x = dense(factors, damping=DAMPING)
    found = conjugate_gradient(operator, max_iterations=400, tolerance=1e-12)
    assert found.status.ok
    for other in (woodbury(factors, damping=DAMPING), found.direction):
        assert length(other - x) < 1e-8 * length(x)
    expected = torch.from_numpy(dense_answer(*small_case(), 1e5)[0])
    assert length(expected - x) < 1e-7 * length(x)
    assert length(dense(factors, damping=2 * DAMPING) - x) > 1e-3 * length(x)


def test_iterations_residual_and_warm_start():
    _, operator = case()
    found = conjugate_gradient(operator, max_iterations=3, tolerance=1e-12)
    g = operator.gradient()
    true = length(g - operator.apply(found.direction)) / length(g)
    assert found.iterations == 3
    assert found.residual == pytest.approx(true, rel=1e-8)
    assert found.status.outcome is Outcome.NOT_SETTLED
    exact = conjugate_gradient(operator, max_iterations=400, tolerance=1e-12).direction
    assert conjugate_gradient(operator, max_iterations=9, tolerance=1e-9, start=exact).iterations == 0


def test_misuse_is_refused():
    factors, operator = case()
    with pytest.raises(MisuseError, match="dense takes up to 5 parameters"):
        dense(factors, damping=DAMPING, largest=5)
    with pytest.raises(MisuseError, match="damping = 0"):
        woodbury(factors, damping=0)
    with pytest.raises(MisuseError, match="max_iterations = 0"):
        conjugate_gradient(operator, max_iterations=0)
    with pytest.raises(MisuseError, match="tolerance = 1"):
        conjugate_gradient(operator, max_iterations=1, tolerance=1)
    with pytest.raises(MisuseError, match="start has shape"):
        conjugate_gradient(operator, max_iterations=1, start=torch.zeros(2))
