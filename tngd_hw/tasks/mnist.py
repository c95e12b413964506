"""MNIST: 10,000 training and 10,000 test images of 28x28 pixels, and a network of one convolution and two layers.

The paper (arXiv 2405.13817) trains on 10,000 images and tests on 10,000 others with one convolution and two linear
layers.  It states no sizes, no activation and no scaling of the pixels, so these are ours: 37,434 parameters.

    1x28x28 -- 8 kernels of 5x5, stride 2 -- 8x12x12 -- ReLU -- 1152 x 32 -- ReLU -- 32 x 10
    8 (25 + 1) = 208                                            36,896              330
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tngd_hw.outcome import MisuseError
from tngd_hw.random import stream
from tngd_hw.tasks.classification import ClassificationTask
from tngd_hw.tasks.data_files import MNIST_FILES, DataFile, obtain_data, verified_content
from tngd_hw.tasks.idx import parse_idx
from tngd_hw.training.record import check_count

__all__ = ["MNIST_SUBSET_SEED", "mnist_network", "mnist_subset", "mnist_task"]

MNIST_SUBSET_SEED: Final = 0
"""Seed of the one training subset that every reported number uses."""

_TRAIN_IMAGES: Final = 60_000
_DTYPES: Final = (torch.float32, torch.float64)


def mnist_task(
    *,
    data_dir: str | Path | None = None,
    train_samples: int = 10_000,
    subset_seed: int = MNIST_SUBSET_SEED,
    dtype: torch.dtype = torch.float64,
    may_download: bool = True,
) -> ClassificationTask:
    """MNIST, pixels divided by 255 (0 to 1): a fixed subset of the training images, and all 10,000 test images.

    The subset does not depend on any seed of a training run; another ``subset_seed`` gives another one.

    Args:
        data_dir: Folder to look in first (then TNGD_HW_DATA, the cache, the mirrors: see
            :mod:`tngd_hw.tasks.data_files`).
        train_samples: Training images, 1 to 60,000; a smaller number gives the beginning of a larger one's list.
        subset_seed: Leave it alone to get the subset of the reported numbers.
        dtype: Of inputs and network, float32 or float64.
        may_download: False: never touch the network.

    Returns:
        Inputs of shape (samples, 1, 28, 28) and class numbers 0 to 9; the network is :func:`mnist_network`.

    Raises:
        MisuseError: Missing, truncated, corrupt or other data, a bad count, seed or dtype.

    Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits.  Cost: about 1 s, 125 MB.
    """
    chosen = mnist_subset(train_samples, subset_seed)
    _check_dtype(dtype)
    images, labels, test_images, test_labels = _arrays(MNIST_FILES, data_dir, may_download)
    return ClassificationTask(
        train_inputs=_inputs(images[chosen.numpy()], dtype),
        train_targets=_targets(labels[chosen.numpy()]),
        test_inputs=_inputs(test_images, dtype),
        test_targets=_targets(test_labels),
        name="mnist",
        make_network=functools.partial(mnist_network, dtype=dtype),
    )


def mnist_subset(train_samples: int = 10_000, subset_seed: int = MNIST_SUBSET_SEED) -> Tensor:
    """Indices into the 60,000 training images in the file's order, shape (train_samples,), int64.

    The order sorts raw 64-bit words of ``stream(subset_seed, "tasks.mnist.subset")``, which NumPy promises never to
    change, so the subset is the same with every version.

    Raises:
        MisuseError: A count out of range or a bad seed.
    """
    if check_count(train_samples, "train_samples") > _TRAIN_IMAGES:
        raise MisuseError(
            f"train_samples = {train_samples}: MNIST has {_TRAIN_IMAGES} training images, use at most that"
        )
    words = stream(subset_seed, "tasks.mnist.subset").bit_generator.random_raw(_TRAIN_IMAGES)
    return torch.from_numpy(np.argsort(words, kind="stable")[:train_samples])


def mnist_network(seed: int, dtype: torch.dtype = torch.float64, *, hidden: int = 32, outputs: int = 10) -> nn.Module:
    """One convolution and two linear layers: 37,434 parameters (see the module's page for the shapes).

    Other widths give 208 + 1153 hidden + (hidden + 1) outputs.

    Weights and biases of a layer are uniform within 1/sqrt(fan_in), each tensor from its own keyed stream and drawn in
    float64, so that torch's global random state is neither read nor moved and float32 starts from the same values,
    rounded.

    Args:
        seed: The same seed gives the same parameters.
        dtype: float32 or float64.
        hidden: Units of the hidden layer.
        outputs: d_z.

    Returns:
        From inputs of shape (..., 1, 28, 28), at most one leading dimension, to logits of shape (..., outputs).

    Raises:
        MisuseError: A bad seed or dtype, a width below 1.
    """
    _check_dtype(dtype)
    fan_in = {"0": 25, "3": 1152, "5": check_count(hidden, "hidden")}  # by the layer's number in the network
    with torch.device("meta"):  # memory without values: torch's own initialisation would draw from the global state
        layers = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Flatten(-3), nn.Linear(1152, hidden), nn.ReLU(),
            nn.Linear(hidden, check_count(outputs, "outputs")),
        )  # fmt: skip
    network = layers.to(dtype).to_empty(device="cpu")
    for name, parameter in network.named_parameters():
        bound = 1.0 / math.sqrt(fan_in[name.split(".")[0]])
        values = stream(seed, f"tasks.mnist.network.{name}").uniform(-bound, bound, size=tuple(parameter.shape))
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values))
    return network


def _arrays(files: Sequence[DataFile], data_dir: str | Path | None, may_download: bool) -> tuple[npt.NDArray[Any], ...]:
    """The arrays of ``files``, each checked against its published checksum."""
    paths = obtain_data(files, data_dir, may_download=may_download)
    return tuple(parse_idx(verified_content(file, path), str(path)) for file, path in zip(files, paths, strict=True))


def _inputs(images: npt.NDArray[Any], dtype: torch.dtype) -> Tensor:
    """Pixels 0 to 1 with a channel dimension."""
    return torch.from_numpy(images).to(dtype).div_(255.0).unsqueeze(1)


def _targets(labels: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(labels).to(torch.int64)


def _check_dtype(dtype: torch.dtype) -> None:
    if dtype not in _DTYPES:
        raise MisuseError(f"dtype = {dtype}: MNIST comes in torch.float32 or torch.float64")
