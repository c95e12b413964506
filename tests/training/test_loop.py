"""The loop: by hand, as SGD on the same batches, diverging, stopped and taken up again."""

import json
import math

import pytest
import torch
from torch import nn

from tngd_hw.engines import Ideal
from tngd_hw.hardware import presets
from tngd_hw.outcome import MisuseError, OutcomeError
from tngd_hw.tasks import digits_task
from tngd_hw.topologies import manufacture
from tngd_hw.training import (
    TNGD,
    AnalogSchedule,
    AnalogSolver,
    AnalogStart,
    Checkpoint,
    DigitalOptimizer,
    DualChip,
    LevenbergMarquardt,
    RelaxedDevice,
    TNGDAdam,
    relaxed_gradient,
    train_digital,
    train_tngd,
)

RUN = {"network_seed": 3, "batches_seed": 4, "batch_size": 8, "evaluate_every": 5}
NOISY = RelaxedDevice(AnalogSchedule(5.0, delay_tau=0.3, kappa=1e-3), seed=9)


@pytest.fixture(scope="module")
def task():
    return digits_task()


def sgd(method, lr, **options):
    return lambda parameters: TNGD(parameters, method, lr=lr, damping=0.1, **options)


def test_it_is_the_loop_written_out_by_hand(task):
    record = train_tngd(sgd(NOISY, 0.1), task, steps=6, **RUN)
    network, device, losses = task.make_network(3), None, []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step, batch in enumerate(task.minibatches(8, 6, 4)):
        found = relaxed_gradient(
            network, nn.CrossEntropyLoss(), batch, NOISY.schedule, damping=0.1, previous=device, seed=9, step=step
        )
        optimizer.step()
        losses.append(found.loss)
        device = found.relaxed.state
    assert record.loss == tuple(losses)
    assert record.accuracy_steps == (5, 6)
    assert len(record.extra["products"]) == len(record.extra["gain"]) == 6
    assert record.extra["damping"] == (0.1,) * 6


def test_a_vanishing_time_from_the_gradient_is_sgd_on_the_same_batches(task):
    device = RelaxedDevice(AnalogSchedule(1e-9, start=AnalogStart.GRADIENT))
    analog = train_tngd(sgd(device, 0.2), task, steps=8, **RUN)
    digital = train_digital(DigitalOptimizer.SGD.factory(0.2), task, steps=8, **RUN)
    assert analog.loss == pytest.approx(digital.loss, rel=1e-6)
    assert analog.extra["gain"] == pytest.approx([1.0] * 8, rel=1e-6)


def test_a_run_that_diverges_ends_where_it_did_and_keeps_what_it_has(task, tmp_path):
    kept = Checkpoint(tmp_path / "run.pt")
    device = RelaxedDevice(AnalogSchedule(1.0))
    record = train_tngd(sgd(device, 1e200), task, steps=9, checkpoint=kept, **RUN)
    assert record.diverged
    assert math.isnan(record.loss[-1])
    assert 1 < record.steps < 9
    again = train_tngd(sgd(device, 1e200), task, steps=9, checkpoint=kept, **RUN)
    assert json.dumps(again.as_dict()) == json.dumps(record.as_dict())


@pytest.mark.parametrize("optimizer", [TNGD, TNGDAdam])
def test_a_stopped_run_goes_on_with_the_same_bits(task, tmp_path, optimizer):
    """Momentum or Adam's moments, the device's state, the noise and an adapting damping all come back."""

    def make(parameters):
        memory = {"momentum": 0.9} if optimizer is TNGD else {"betas": (0.8, 0.9)}
        rule = LevenbergMarquardt()
        return optimizer(parameters, NOISY, lr=0.01, damping=0.1, levenberg_marquardt=rule, **memory)

    whole = train_tngd(make, task, steps=9, **RUN)
    kept = Checkpoint(tmp_path / "run.pt", every=4)

    def stop(step, _found, _accuracy):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_tngd(make, task, steps=9, checkpoint=kept, observe=stop, **RUN)
    seen = []
    resumed = train_tngd(
        make, task, steps=9, checkpoint=kept, observe=lambda step, _found, _accuracy: seen.append(step), **RUN
    )
    assert seen == [6, 7, 8]  # the six steps before the interruption were all kept
    assert resumed.as_dict() == whole.as_dict()
    assert len(set(whole.extra["damping"])) > 1


def test_a_checkpoint_of_another_run_is_refused_and_stays(task, tmp_path):
    kept = Checkpoint(tmp_path / "run.pt")
    train_tngd(sgd(NOISY, 0.1), task, steps=2, checkpoint=kept, **RUN)
    before = kept.path.read_bytes()
    with pytest.raises(MisuseError, match=r"another run \(steps = 2, here 3\)"):
        train_tngd(sgd(NOISY, 0.1), task, steps=3, checkpoint=kept, **RUN)
    with pytest.raises(MisuseError, match=r'optimizer = "TNGD", here "TNGDAdam"'):
        train_tngd(lambda p: TNGDAdam(p, NOISY), task, steps=2, checkpoint=kept, **RUN)
    assert kept.path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"broken", b"c\n", b"PK\x03\x04 half an archive"])
def test_a_damaged_checkpoint_is_one_sentence(task, tmp_path, content):
    kept = Checkpoint(tmp_path / "run.pt")
    kept.path.write_bytes(content)
    with pytest.raises(MisuseError, match=r"run\.pt: cannot be read as a checkpoint .*delete it to start anew"):
        train_tngd(sgd(NOISY, 0.1), task, steps=2, checkpoint=kept, **RUN)
    assert kept.path.read_bytes() == content


def test_a_chip_that_fails_leaves_what_was_done_so_far(task, tmp_path):
    kept = Checkpoint(tmp_path / "run.pt")
    chip = manufacture("integrator", 79, presets.ideal())
    with pytest.raises(OutcomeError, match="at training step 0: A has 80 rows"):
        train_tngd(sgd(DualChip(AnalogSolver(chip, Ideal())), 0.1), task, steps=3, checkpoint=kept, **RUN)
    assert kept.path.exists()
