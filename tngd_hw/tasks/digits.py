"""Handwritten digits: scikit-learn's 1,797 real 8x8 images, embedded in that package, and a small network for them."""

from __future__ import annotations

import math
from typing import Final, cast

import numpy as np
import torch
from torch import Tensor, nn

from tngd_hw.random import stream
from tngd_hw.tasks.classification import ClassificationTask

__all__ = ["DIGITS_SPLIT_SEED", "digits_split", "digits_task", "make_network"]

DIGITS_SPLIT_SEED: Final = 0
"""Seed of the one split that every reported number uses."""

_SAMPLES: Final = 1797
_TRAIN: Final = 1400


def digits_task(*, split_seed: int = DIGITS_SPLIT_SEED) -> ClassificationTask:
    """The digits, pixels divided by 16 (0 to 1), split into 1,400 training and 397 held-out images.

    The split is fixed: it does not depend on any seed of a training run.  Another ``split_seed`` gives another split of
    the same sizes, for repeated hold-out studies.

    Args:
        split_seed: Leave it alone to get the split of the reported numbers.

    Returns:
        Inputs of shape (samples, 64) in float64 and class numbers 0 to 9; the network is :func:`make_network`.

    Raises:
        MisuseError: A bad seed.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository (its test part), as
    shipped with scikit-learn.  Cost: about 0.1 s, most of it importing scikit-learn the first time.
    """
    train, test = digits_split(split_seed)
    pixels, classes = _load_digits()
    inputs = torch.from_numpy(pixels / 16.0)
    targets = torch.from_numpy(classes)
    return ClassificationTask(
        train_inputs=inputs[train],
        train_targets=targets[train],
        test_inputs=inputs[test],
        test_targets=targets[test],
        name="digits",
        make_network=make_network,
    )


def digits_split(split_seed: int = DIGITS_SPLIT_SEED) -> tuple[Tensor, Tensor]:
    """Indices into scikit-learn's order: training, shape (1400,), and held-out, shape (397,).

    The permutation sorts 1,797 raw 64-bit words of ``stream(split_seed, "tasks.digits.split")``.  NumPy promises that
    the raw words of a bit generator never change (it does not promise that of ``permutation``), so the split is the
    same with every version.
    """
    words = stream(split_seed, "tasks.digits.split").bit_generator.random_raw(_SAMPLES)
    order = torch.from_numpy(np.argsort(words, kind="stable"))
    return order[:_TRAIN], order[_TRAIN:]


def make_network(seed: int) -> nn.Module:
    """A 64-32-10 tanh network in float64: 2,410 parameters.

    Weights and biases of a layer are uniform within 1/sqrt(fan_in), each tensor from its own keyed stream, so that
    torch's global random state is neither read nor moved.

    Args:
        seed: The same seed gives the same parameters.

    Raises:
        MisuseError: A bad seed.
    """
    network = nn.Sequential(_linear(64, 32), nn.Tanh(), _linear(32, 10))
    for layer, fan_in in (("0", 64), ("2", 32)):
        for kind in ("weight", "bias"):
            parameter = network.get_parameter(f"{layer}.{kind}")
            rng = stream(seed, f"tasks.digits.network.{layer}.{kind}")
            bound = 1.0 / math.sqrt(fan_in)
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(rng.uniform(-bound, bound, size=tuple(parameter.shape))))
    return network


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A float64 layer with memory but no values yet: torch's own initialisation would draw from the global state."""
    return nn.Linear(inputs, outputs, dtype=torch.float64, device="meta").to_empty(device="cpu")


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels, shape (1797, 64), float64 from 0 to 16, and classes, shape (1797,), int64; scikit-learn is untyped."""
    from sklearn.datasets import load_digits

    pixels, classes = cast("tuple[object, object]", load_digits(return_X_y=True))
    return np.asarray(pixels, dtype=np.float64), np.asarray(classes, dtype=np.int64)
