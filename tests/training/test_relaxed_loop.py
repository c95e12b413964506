"""The loop around the device with one node a parameter."""

import math

import pytest
import torch
from torch import nn

from tngd_hw.tasks import digits_task
from tngd_hw.training import (
    AnalogSchedule,
    AnalogStart,
    DigitalOptimizer,
    relaxed_gradient,
    train_digital,
    train_relaxed,
)

RUN = {"network_seed": 3, "batches_seed": 4, "batch_size": 8, "evaluate_every": 5}


@pytest.fixture(scope="module")
def task():
    return digits_task()


def test_it_is_the_loop_written_out_by_hand(task):
    plan = AnalogSchedule(5.0, kappa=1e-3)
    record = train_relaxed(DigitalOptimizer.SGD.factory(0.1), task, plan, steps=6, damping=0.1, noise_seed=9, **RUN)
    network, device, losses = task.make_network(3), None, []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step, batch in enumerate(task.minibatches(8, 6, 4)):
        found = relaxed_gradient(
            network, nn.CrossEntropyLoss(), batch, plan, damping=0.1, previous=device, seed=9, step=step
        )
        optimizer.step()
        losses.append(found.loss)
        device = found.relaxed.state
    assert record.loss == tuple(losses)
    assert record.accuracy_steps == (5, 6)
    assert len(record.extra["products"]) == 6


def test_a_vanishing_time_from_the_gradient_is_sgd_on_the_same_batches(task):
    plan = AnalogSchedule(1e-9, start=AnalogStart.GRADIENT)
    make = DigitalOptimizer.SGD.factory(0.2)
    analog = train_relaxed(make, task, plan, steps=8, damping=0.1, **RUN)
    digital = train_digital(make, task, steps=8, **RUN)
    assert analog.loss == pytest.approx(digital.loss, rel=1e-6)
    assert analog.extra["gain"] == pytest.approx([1.0] * 8, rel=1e-6)


def test_a_run_that_diverges_ends_where_it_did_and_keeps_what_it_has(task):
    plan = AnalogSchedule(1.0)
    record = train_relaxed(DigitalOptimizer.SGD.factory(1e200), task, plan, steps=9, damping=0.1, **RUN)
    assert record.diverged
    assert math.isnan(record.loss[-1])
    assert 1 < record.steps < 9
