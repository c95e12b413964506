"""Levenberg-Marquardt: the rule in numbers, and the ratio against an exactly quadratic loss."""

import math

import numpy as np
import pytest
import torch

from tngd_hw.outcome import MisuseError
from tngd_hw.training import LevenbergMarquardt, reduction_ratio


@pytest.mark.parametrize(
    ("rho", "expected"),
    [(0.9, 0.2), (0.75, 0.3), (0.5, 0.3), (0.25, 0.3), (0.2, 0.45), (-math.inf, 0.45), (math.nan, 0.45)],
)
def test_damping_falls_when_the_model_predicts_well_and_rises_when_it_does_not(rho, expected):
    assert LevenbergMarquardt().updated(0.3, rho) == pytest.approx(expected)


def test_damping_stays_within_its_bounds():
    rule = LevenbergMarquardt(smallest=0.1, largest=1.0)
    assert rule.updated(0.11, 1.0) == 0.1
    assert rule.updated(0.9, 0.0) == 1.0


def test_the_ratio_is_one_for_a_quadratic_loss_and_counts_a_cubic_term():
    generator = np.random.default_rng(2)
    W = generator.normal(size=(5, 4))
    G, g, p = W.T @ W, generator.normal(size=4), None
    p = -0.3 * np.linalg.solve(G + np.eye(4), g)

    def loss(x, cubic):
        return float(g @ x + 0.5 * x @ G @ x + cubic * np.sum(x**3))

    def ratio(cubic):
        tensors = (torch.from_numpy(v) for v in (g, p))
        return reduction_ratio(lambda v: torch.from_numpy(G) @ v, *tensors, loss(0 * p, cubic), loss(p, cubic))

    assert ratio(0.0) == pytest.approx(1.0, abs=1e-12)
    predicted = loss(p, 0.0)
    assert ratio(2.0) == pytest.approx(1.0 + 2.0 * float(np.sum(p**3)) / predicted, abs=1e-12)


def test_a_model_that_predicts_a_rise_is_not_trusted():
    one = torch.ones(2, dtype=torch.float64)
    assert reduction_ratio(lambda v: v, one, one, 1.0, 0.5) == -math.inf


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"threshold": 0.4}, "threshold = 0.4"),
        ({"factor": 1.0}, "factor = 1.0"),
        ({"smallest": 2.0, "largest": 1.0}, "smallest = 2.0"),
    ],
)
def test_misuse(options, says):
    with pytest.raises(MisuseError, match=says):
        LevenbergMarquardt(**options)
