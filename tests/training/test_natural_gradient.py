"""The natural gradient that a chip gives is the exact finite-time filter of the dense problem."""

import numpy as np
import pytest
import torch
from small_network import DAMPING, dense_answer, small_case
from torch import nn

from tngd_hw.curvature import ggn_factors
from tngd_hw.engines import Behavioral, Ideal, StateSpace
from tngd_hw.hardware import HardwareSpec, presets
from tngd_hw.outcome import MisuseError, Outcome, OutcomeError
from tngd_hw.topologies import manufacture
from tngd_hw.training import TNGD, AnalogSolver, DualChip, natural_gradient


def chip(nodes=12, hardware=None, **options):
    return manufacture("integrator", nodes, hardware or presets.ideal(), **options)


@pytest.mark.parametrize("t", [0.5, 5.0, 200.0])
@pytest.mark.parametrize("engine", [Ideal(), StateSpace(), Behavioral()], ids=lambda e: e.name)
def test_an_ideal_chip_gives_the_finite_time_filter_of_the_dense_problem(engine, t):
    model, batch = small_case()
    expected, gradient = dense_answer(model, batch, t)
    found = natural_gradient(model, nn.CrossEntropyLoss(), batch, AnalogSolver(chip(), engine, t), damping=DAMPING)
    assert np.linalg.norm(found.direction.numpy() - expected) < 1e-9 * np.linalg.norm(expected)
    # The check can fail: the plain gradient, and the same filter at another time, are far away.
    assert np.linalg.norm(gradient - expected) > 1e-2 * np.linalg.norm(expected)
    other, _ = dense_answer(model, batch, 1.05 * t)
    if t < 100:
        assert np.linalg.norm(other - expected) > 1e-3 * np.linalg.norm(expected)


def test_it_fills_grad_in_the_shapes_of_the_parameters_and_counts_frozen_ones_out():
    model, batch = small_case()
    model[0].bias.requires_grad_(False)
    expected, _ = dense_answer_of_trainable(model, batch)
    natural_gradient(model, nn.CrossEntropyLoss(), batch, AnalogSolver(chip(), Ideal(), 300.0), damping=DAMPING)
    assert model[0].bias.grad is None
    filled = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.requires_grad])
    assert torch.linalg.vector_norm(filled - expected) < 1e-9 * torch.linalg.vector_norm(expected)


def dense_answer_of_trainable(model, batch):
    factors = ggn_factors(model, nn.CrossEntropyLoss(), batch)
    dense = factors.ggn_matrix() + DAMPING * torch.eye(factors.parameter_count, dtype=torch.float64)
    return torch.linalg.solve(dense, factors.gradient()), factors


def test_a_step_of_tngd_is_sgd_along_the_natural_gradient():
    model, batch = small_case()
    before = torch.cat([p.detach().reshape(-1).clone() for p in model.parameters()])
    optimizer = TNGD(model.parameters(), DualChip(AnalogSolver(chip(), Ideal(), 20.0)), lr=0.3, damping=DAMPING)
    found = optimizer.natural_gradient(model, nn.CrossEntropyLoss(), batch)
    optimizer.step()
    after = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    torch.testing.assert_close(after, before - 0.3 * found.direction, rtol=0, atol=1e-14)


def test_step_takes_a_closure_and_state_resumes_with_the_same_noise():
    def run(steps, state=None):
        model, batch = small_case()
        optimizer = TNGD(
            model.parameters(),
            DualChip(AnalogSolver(chip(), StateSpace(), 5.0, kappa=1e-3, seed=4)),
            lr=0.1,
            damping=DAMPING,
        )
        if state is not None:
            model.load_state_dict(state[0])
            optimizer.load_state_dict(state[1])
        loss = nn.CrossEntropyLoss()
        for _ in range(steps):
            optimizer.step(lambda: optimizer.natural_gradient(model, loss, batch).loss)
        return model.state_dict(), optimizer.state_dict()

    whole, half = run(4), run(2)
    resumed = run(2, half)
    for name, value in whole[0].items():
        assert torch.equal(value, resumed[0][name])
    assert resumed[1]["param_groups"][0]["solves"] == 4


def test_momentum_schedulers_and_groups_are_those_of_torch():
    model, batch = small_case()
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[2].parameters()}]
    optimizer = TNGD(groups, DualChip(AnalogSolver(chip(), Ideal(), 5.0)), lr=0.1, damping=DAMPING, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.natural_gradient(model, nn.CrossEntropyLoss(), batch)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.05]
    assert [group["damping"] for group in optimizer.param_groups] == [DAMPING, DAMPING]


def test_noise_depends_on_the_step_and_the_seed_and_on_nothing_else():
    def direction(seed, step):
        model, batch = small_case()
        solver = AnalogSolver(chip(), Behavioral(), 5.0, kappa=1e-2, seed=seed)
        loss = nn.CrossEntropyLoss()
        return natural_gradient(model, loss, batch, solver, damping=DAMPING, step=step).direction

    assert torch.equal(direction(1, 0), direction(1, 0))
    assert not torch.equal(direction(1, 0), direction(1, 1))
    assert not torch.equal(direction(1, 0), direction(2, 0))


def test_a_chip_that_is_too_small_is_an_outcome_with_the_step_in_it():
    model, batch = small_case()
    solver = AnalogSolver(chip(nodes=11), Ideal())
    with pytest.raises(OutcomeError, match=r"not_realizable: at training step 3: A has 12 rows") as caught:
        natural_gradient(model, nn.CrossEntropyLoss(), batch, solver, damping=DAMPING, step=3)
    assert caught.value.status.outcome is Outcome.NOT_REALIZABLE
    assert all(p.grad is None for p in model.parameters())


def test_a_saturating_chip_is_an_outcome():
    model, batch = small_case()
    document = presets.pcb_1k_1n().to_dict()
    document["amplifiers"]["offset_volt_dtod"] = 0.5
    solver = AnalogSolver(chip(hardware=HardwareSpec.from_dict(document), seed=1), Behavioral())
    with pytest.raises(OutcomeError, match="saturated"):
        natural_gradient(model, nn.CrossEntropyLoss(), batch, solver, damping=DAMPING)


@pytest.mark.parametrize("damping", [0.0, -1.0, float("nan"), float("inf")])
def test_damping_is_above_zero(damping):
    model, batch = small_case()
    solver = AnalogSolver(chip(), Ideal())
    with pytest.raises(MisuseError, match="damping"):
        natural_gradient(model, nn.CrossEntropyLoss(), batch, solver, damping=damping)
    with pytest.raises(MisuseError, match="damping"):
        TNGD(model.parameters(), DualChip(solver), damping=damping)


@pytest.mark.parametrize("duration_tau", [0.0, -5.0, float("nan"), float("inf")])
def test_the_analog_time_is_above_zero(duration_tau):
    with pytest.raises(MisuseError, match="duration_tau"):
        AnalogSolver(chip(), Ideal(), duration_tau)


def test_training_uses_a_single_die():
    with pytest.raises(MisuseError, match="chips = 2"):
        AnalogSolver(chip(chips=2), Ideal())
