"""The device with one node a parameter, in a network: against dense numpy, and as SGD, TNGD-Adam and sign descent."""

import numpy as np
import pytest
import torch
from small_network import DAMPING, dense_answer, small_case
from torch import nn

from tngd_hw.outcome import MisuseError, Outcome, OutcomeError
from tngd_hw.training import AnalogSchedule, AnalogStart, relaxed_gradient

FROM_ZERO = AnalogSchedule(5.0, start=AnalogStart.ZERO, tolerance=1e-11)


def test_it_is_the_finite_time_filter_of_the_dense_problem():
    model, batch = small_case()
    expected, gradient = dense_answer(model, batch, 5.0)
    found = relaxed_gradient(model, nn.CrossEntropyLoss(), batch, FROM_ZERO, damping=DAMPING)
    assert np.linalg.norm(found.direction.numpy() - expected) < 1e-9 * np.linalg.norm(expected)
    assert np.allclose(found.gradient.numpy(), gradient, rtol=1e-12)
    filled = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    assert torch.equal(filled, found.direction)


def test_a_warm_start_with_a_delay_continues_on_the_old_matrix_and_then_on_the_new():
    """Two steps by hand: e^(-A t) moves in numpy, the second step's A and g from the updated network."""
    model, batch = small_case()
    plan = AnalogSchedule(0.8, delay_tau=0.5, tolerance=1e-11)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.4)
    state, device = None, None
    for step in range(2):
        operator_A, g = dense_curvature(model, batch)
        state = g if state is None else state
        state = moved(operator_A, g, state, 0.8)
        found = relaxed_gradient(model, nn.CrossEntropyLoss(), batch, plan, damping=DAMPING, previous=device, step=step)
        assert np.linalg.norm(found.direction.numpy() - state) < 1e-9 * np.linalg.norm(state)
        state, device = moved(operator_A, g, state, 0.5), found.relaxed.state
        optimizer.step()


def dense_curvature(model, batch):
    eye = np.eye(sum(p.numel() for p in model.parameters()))
    A = np.stack([curvature_column(model, batch, e) for e in eye], axis=1)
    return A, dense_answer(model, batch, 1.0)[1]


def curvature_column(model, batch, e):
    """(G + lambda) e from central differences of softmax outputs: no product of the package."""
    parameters = dict(model.named_parameters())
    sizes = [p.numel() for p in parameters.values()]

    def outputs(shift):
        pieces = torch.split(torch.from_numpy(shift), sizes)
        there = {n: p.detach() + d.reshape(p.shape) for (n, p), d in zip(parameters.items(), pieces, strict=True)}
        return torch.func.functional_call(model, there, (batch[0],))

    step = 1e-5
    Jv = (outputs(step * e) - outputs(-step * e)).detach() / (2 * step)
    p = torch.softmax(model(batch[0]), dim=1).detach()
    HJv = (p * Jv - p * (p * Jv).sum(dim=1, keepdim=True)) / len(batch[0])
    pulled = torch.autograd.grad((model(batch[0]) * HJv).sum(), list(model.parameters()))
    return torch.cat([x.reshape(-1) for x in pulled]).numpy() + DAMPING * e


def moved(A, g, x, t):
    mu, Q = np.linalg.eigh((A + A.T) / 2)
    return Q @ (np.exp(-mu * t) * (Q.T @ x) - np.expm1(-mu * t) / mu * (Q.T @ g))


def test_adam_without_memory_descends_by_the_sign_of_the_natural_gradient():
    model, batch = small_case()
    before = torch.cat([p.detach().reshape(-1).clone() for p in model.parameters()])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.0, 0.0))
    found = relaxed_gradient(model, nn.CrossEntropyLoss(), batch, FROM_ZERO, damping=DAMPING)
    optimizer.step()
    after = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    expected = -0.01 * found.direction / (found.direction.abs() + 1e-8)
    assert torch.allclose(after - before, expected, atol=1e-12)


def test_noise_in_a_float32_network_is_that_of_the_float64_one():
    """Products of float32 passes are symmetric to 1e-7 only; the draw is the same to that."""
    model, batch = small_case()
    plan = AnalogSchedule(3.0, kappa=0.01, tolerance=1e-4)
    exact = relaxed_gradient(model, nn.CrossEntropyLoss(), batch, plan, damping=DAMPING, seed=2).direction
    single = (batch[0].float(), batch[1])
    found = relaxed_gradient(model.float(), nn.CrossEntropyLoss(), single, plan, damping=DAMPING, seed=2).direction
    assert torch.linalg.vector_norm(found - exact) < 1e-4 * torch.linalg.vector_norm(exact)


def test_a_step_that_misses_its_tolerance_says_which():
    model, batch = small_case()
    plan = AnalogSchedule(50.0, max_products=2)
    with pytest.raises(OutcomeError, match="at training step 7") as caught:
        relaxed_gradient(model, nn.CrossEntropyLoss(), batch, plan, damping=DAMPING, step=7)
    assert caught.value.status.outcome is Outcome.NOT_SETTLED


def test_damping_has_to_be_above_zero():
    model, batch = small_case()
    with pytest.raises(MisuseError, match=r"damping = 0\.0"):
        relaxed_gradient(model, nn.CrossEntropyLoss(), batch, FROM_ZERO, damping=0.0)
