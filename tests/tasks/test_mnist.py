import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from real_data import needs_data

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import (
    MNIST_FILES,
    find_data,
    mnist_network,
    mnist_subset,
    mnist_task,
    obtain_data,
    read_idx,
    verified_content,
)

real = needs_data(*MNIST_FILES)


def _digest(indices: torch.Tensor) -> str:
    return hashlib.sha256(indices.numpy().astype("<i8").tobytes()).hexdigest()


def test_the_subset_of_all_reported_numbers():
    chosen = mnist_subset()
    assert _digest(chosen) == "3db6e155bd74041160837643c9bcea93c14de80b34ebeb506e3a711b43b0695b"
    assert chosen[:5].tolist() == [27580, 33731, 26944, 32653, 16080]
    assert len(set(chosen.tolist())) == 10_000
    assert (int(chosen.min()) >= 0, int(chosen.max()) < 60_000) == (True, True)
    assert torch.equal(mnist_subset(300), chosen[:300])
    assert sorted(mnist_subset(60_000).tolist()) == list(range(60_000))
    assert not torch.equal(mnist_subset(subset_seed=1), chosen)


def test_network_shapes_and_count():
    network = mnist_network(3)
    shapes = [tuple(p.shape) for p in network.parameters()]
    assert shapes == [(8, 1, 5, 5), (8,), (32, 1152), (32,), (10, 32), (10,)]
    assert sum(p.numel() for p in network.parameters()) == 8 * 26 + 32 * 1153 + 10 * 33 == 37_434
    assert all(p.dtype == torch.float64 and p.requires_grad and p.device.type == "cpu" for p in network.parameters())


def test_network_formula():
    network = mnist_network(3)
    kernels, offsets, w1, b1, w2, b2 = (p.detach().numpy() for p in network.parameters())
    images = np.random.default_rng(0).uniform(size=(3, 1, 28, 28))
    windows = sliding_window_view(images[:, 0], (5, 5), axis=(1, 2))[:, ::2, ::2]  # (3, 12, 12, 5, 5)
    maps = np.einsum("nijab,cab->ncij", windows, kernels[:, 0]) + offsets[:, None, None]
    hidden = np.maximum(np.maximum(maps, 0).reshape(3, -1) @ w1.T + b1, 0)
    logits = network(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(logits, hidden @ w2.T + b2, rtol=1e-12, atol=1e-14)
    one = (
        network(torch.from_numpy(images[1])).detach().numpy()
    )  # without a batch dimension, as per-sample code calls it
    np.testing.assert_allclose(one, logits[1], rtol=1e-12, atol=1e-14)


def test_network_depends_on_its_seed_only():
    state = torch.get_rng_state()
    first = torch.nn.utils.parameters_to_vector(mnist_network(7).parameters())
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    assert torch.equal(first, torch.nn.utils.parameters_to_vector(mnist_network(7).parameters()))
    assert not torch.equal(first, torch.nn.utils.parameters_to_vector(mnist_network(8).parameters()))
    single = torch.nn.utils.parameters_to_vector(mnist_network(7, torch.float32).parameters())
    assert torch.equal(single, first.float())


@pytest.mark.parametrize(("layer", "fan_in"), [("0", 25), ("3", 1152), ("5", 32)])
def test_initial_values_are_uniform_within_one_over_root_fan_in(layer: str, fan_in: int):
    weights = [mnist_network(seed).get_parameter(f"{layer}.weight").detach().reshape(-1) for seed in range(30)]
    scaled = torch.cat(weights) * fan_in**0.5
    assert float(scaled.abs().max()) <= 1.0
    # E s^2 = 1/3 with variance 4/45 a sample: 4 standard errors, which a 5 % error of the bound must exceed.
    tolerance = 4 * (4 / 45 / scaled.numel()) ** 0.5
    assert abs(float(scaled.square().mean()) - 1 / 3) < tolerance
    assert abs(float((1.05 * scaled).square().mean()) - 1 / 3) > tolerance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_samples": 60_001}, "train_samples = 60001: MNIST has 60000"),
        ({"train_samples": 0}, "train_samples = 0"),
        ({"subset_seed": -1}, "seed = -1"),
        ({"dtype": torch.float16}, r"dtype = torch\.float16"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str):
    with pytest.raises(MisuseError, match=message):
        mnist_task(may_download=False, **arguments)  # pyright: ignore[reportArgumentType]
    with pytest.raises(MisuseError, match="seed = -1"):
        mnist_network(-1)


@real
def test_the_published_labels_and_images():
    paths = obtain_data(MNIST_FILES, may_download=False)
    images, labels, test_images, test_labels = map(read_idx, paths)
    assert (images.shape, test_images.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # the mean and the deviation that half the world normalises with
    assert images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert images.std() / 255 == pytest.approx(0.3081, abs=5e-5)


@real
def test_the_task():
    task = mnist_task(may_download=False)
    assert task.train_inputs.shape == task.test_inputs.shape == (10_000, 1, 28, 28)
    assert task.train_inputs.dtype == task.test_inputs.dtype == torch.float64
    assert task.train_targets.dtype == task.test_targets.dtype == torch.int64
    assert (float(task.train_inputs.min()), float(task.train_inputs.max())) == (0.0, 1.0)
    images, labels = (read_idx(path) for path in obtain_data(MNIST_FILES[:2], may_download=False))
    for place, index in enumerate([27580, 33731, 26944, 32653, 16080]):
        assert np.array_equal(np.rint(task.train_inputs[place, 0].numpy() * 255), images[index])
        assert int(task.train_targets[place]) == labels[index]
    assert float(torch.bincount(task.train_targets).min()) > 850
    assert task.name == "mnist"
    assert task.make_network(0)(task.test_inputs[:2]).shape == (2, 10)


@real
def test_the_task_in_float32():
    task = mnist_task(may_download=False, dtype=torch.float32, train_samples=100)
    assert task.train_inputs.shape == (100, 1, 28, 28)
    assert task.train_inputs.dtype == task.make_network(0)(task.train_inputs[:1]).dtype == torch.float32


@real
def test_a_corrupted_file_is_refused(tmp_path: Path):
    """One label of 10,000 changed, and packed anew so that gzip's own checksum is right."""
    original = find_data(MNIST_FILES[3])
    assert original is not None
    content = bytearray(verified_content(MNIST_FILES[3], original))
    content[8 + 1234] ^= 1
    path = tmp_path / "mnist" / MNIST_FILES[3].name
    path.parent.mkdir()
    path.write_bytes(gzip.compress(bytes(content), compresslevel=1))
    with pytest.raises(MisuseError, match=f"^{path}: this is not the published t10k-labels"):
        mnist_task(data_dir=tmp_path, may_download=False)
