import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import DIGITS_SPLIT_SEED, digits_split, digits_task, make_network


def test_the_split_of_all_reported_numbers():
    train, test = digits_split()
    indices = np.concatenate([train.numpy(), test.numpy()]).astype("<i8")
    assert (train.shape, test.shape) == ((1400,), (397,))
    assert sorted(indices.tolist()) == list(range(1797))
    assert (
        hashlib.sha256(indices.tobytes()).hexdigest()
        == "8e2561f2f19c03e5de44a922d94e507ddb17b0833ac7fbda69f5694d82efe5a5"
    )
    assert train[:3].tolist() == [168, 918, 353]


def test_images_are_scikit_learns_divided_by_16():
    task = digits_task()
    pixels, classes = load_digits(return_X_y=True)
    train, test = digits_split(DIGITS_SPLIT_SEED)
    assert task.train_inputs.dtype == task.test_inputs.dtype == torch.float64
    assert np.array_equal(task.train_inputs.numpy() * 16, pixels[train.numpy()])
    assert np.array_equal(task.test_inputs.numpy() * 16, pixels[test.numpy()])
    assert np.array_equal(task.train_targets.numpy(), classes[train.numpy()])
    assert np.array_equal(task.test_targets.numpy(), classes[test.numpy()])
    assert (float(task.train_inputs.min()), float(task.train_inputs.max())) == (0.0, 1.0)
    assert task.name == "digits"


def test_both_parts_hold_every_class():
    task = digits_task()
    for targets in (task.train_targets, task.test_targets):
        share = torch.bincount(targets, minlength=10) / len(targets)
        assert 0.06 < float(share.min()) <= float(share.max()) < 0.14


def test_another_split_is_another_split_of_the_same_sizes():
    task, other = digits_task(), digits_task(split_seed=1)
    assert other.train_inputs.shape == task.train_inputs.shape
    assert not torch.equal(other.train_targets, task.train_targets)
    with pytest.raises(MisuseError, match="seed"):
        digits_task(split_seed=-1)


def test_network_shape_and_formula():
    network = make_network(3)
    assert [tuple(p.shape) for p in network.parameters()] == [(32, 64), (32,), (10, 32), (10,)]
    assert sum(p.numel() for p in network.parameters()) == 2410
    w1, b1, w2, b2 = (p.detach() for p in network.parameters())
    x = digits_task().test_inputs[:5]
    torch.testing.assert_close(network(x).detach(), torch.tanh(x @ w1.T + b1) @ w2.T + b2)
    assert all(p.dtype == torch.float64 and p.requires_grad for p in network.parameters())


def test_network_depends_on_its_seed_only():
    state = torch.get_rng_state()
    first = torch.nn.utils.parameters_to_vector(make_network(7).parameters())
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    assert torch.equal(first, torch.nn.utils.parameters_to_vector(make_network(7).parameters()))
    assert not torch.equal(first, torch.nn.utils.parameters_to_vector(make_network(8).parameters()))
    with pytest.raises(MisuseError, match="seed"):
        make_network(-1)


@pytest.mark.parametrize(("name", "fan_in"), [("0.weight", 64), ("0.bias", 64), ("2.weight", 32), ("2.bias", 32)])
def test_initial_values_are_uniform_within_one_over_root_fan_in(name: str, fan_in: int):
    values = torch.cat([make_network(seed).get_parameter(name).detach().reshape(-1) for seed in range(400)])
    scaled = values * fan_in**0.5
    assert float(scaled.abs().max()) <= 1.0
    # E s^2 = 1/3 with variance 4/45 a sample: 4 standard errors, which a 5 % error of the bound must exceed.
    tolerance = 4 * (4 / 45 / scaled.numel()) ** 0.5
    assert abs(float(scaled.square().mean()) - 1 / 3) < tolerance
    assert abs(float((1.05 * scaled).square().mean()) - 1 / 3) > tolerance or scaled.numel() < 10_000
    assert abs(float(scaled.mean())) < 4 / (3 * scaled.numel()) ** 0.5


def test_scikit_learn_is_imported_only_when_the_data_is_wanted():
    code = "import sys, tngd_hw.tasks; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
