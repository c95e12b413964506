"""Curvature matrices of a real training run: the digits network at the start, in the middle and at the end.

One network is trained by natural gradient descent, 200 steps of batches of 8 samples, each step the exact filter of
50 tau that a perfect chip would give (learning rate 0.1, damping 0.1: the demonstration's run).  Kept are its
parameters before the first, after the middle and after the last step.  A matrix of n rows is the dual form of the
damped generalized Gauss-Newton matrix (for cross-entropy: the Fisher matrix) of ceil(n/10) fresh training samples,

    A = W_n W_n^T + 0.1 I,   b = u_n,   W = H^(1/2) J,

W_n and u_n the first n rows (samples outer, classes inner).  It is the matrix a chip of n nodes holds in training.
"""

from __future__ import annotations

import enum
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tngd_hw.curvature import ggn_factors
from tngd_hw.engines import Ideal
from tngd_hw.hardware import presets
from tngd_hw.outcome import MisuseError
from tngd_hw.random import derived_seed
from tngd_hw.storage import atomic_path
from tngd_hw.tasks import digits_task
from tngd_hw.topologies import dual_problem, manufacture
from tngd_hw.training import TNGD, AnalogSolver, DualChip, accuracy

__all__ = ["DAMPING", "LARGEST_FISHER", "TrainingStage", "TrainingStages", "training_stages"]

Array = NDArray[np.float64]

DAMPING = 0.1
_BATCH_SIZE, _CLASSES, _STEPS, _LEARNING_RATE, _DURATION_TAU = 8, 10, 200, 0.1, 50.0
_TRAINING_SAMPLES = 1400

LARGEST_FISHER = _TRAINING_SAMPLES * _CLASSES
"""Rows of the largest matrix: all training samples in one batch."""


class TrainingStage(enum.Enum):
    """When in the run the parameters were kept; the value is the name in the file."""

    START = "start"
    MIDDLE = "middle"
    END = "end"


@dataclass(frozen=True, eq=False)
class TrainingStages:
    """Parameters of one network along its training.

    Attributes:
        seed: Of the network and of the batches.
        parameters: Flat parameters, shape (2410,), by stage.
        accuracy: Held-out accuracy by stage.
    """

    seed: int
    parameters: dict[TrainingStage, Tensor]
    accuracy: dict[TrainingStage, float]

    def fisher(self, stage: TrainingStage, n: int, *, seed: int, repetition: int) -> tuple[Array, Array]:
        """A of shape (n, n) and b of shape (n,) for batch number ``repetition``.

        Raises:
            MisuseError: More rows than the training set gives.
        """
        if n > LARGEST_FISHER:
            raise MisuseError(f"sizes: {n} nodes, a Fisher matrix of this task has at most {LARGEST_FISHER} rows")
        task = digits_task()
        network = task.make_network(self.seed)
        nn.utils.vector_to_parameters(self.parameters[stage], network.parameters())
        batch_seed = derived_seed(seed, "study.fisher.batch", repetition)
        batch = next(task.minibatches(-(-n // _CLASSES), 1, batch_seed))
        factors = ggn_factors(network, nn.CrossEntropyLoss(), batch)
        problem = dual_problem(factors.whitened_jacobian()[:n], factors.u[:n], DAMPING).problem
        assert problem.b is not None
        return problem.dense_matrix().numpy(), problem.b.numpy()

    def save(self, path: Path) -> None:
        """Write an .npz, whole or not at all."""
        start, middle, end = (self.parameters[stage].numpy() for stage in TrainingStage)
        held_out = np.array([self.accuracy[stage] for stage in TrainingStage])
        with atomic_path(path) as temporary:
            np.savez(temporary, seed=str(self.seed), accuracy=held_out, start=start, middle=middle, end=end)

    @classmethod
    def load(cls, path: Path) -> TrainingStages:
        """Read what :meth:`save` wrote.

        Raises:
            MisuseError: Not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                parameters = {stage: torch.from_numpy(held[stage.value]) for stage in TrainingStage}
                held_out = dict(zip(TrainingStage, held["accuracy"].tolist(), strict=True))
                return cls(int(str(held["seed"])), parameters, held_out)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise MisuseError(f"{path}: not the training run of a study ({error}); delete it to train again") from None


def training_stages(path: Path, seed: int) -> TrainingStages:
    """The run of ``seed``: read from ``path`` if it is there, else trained (some seconds) and written there.

    Raises:
        MisuseError: A file that is something else, or the run of another seed.
    """
    if not path.exists():
        _train(seed).save(path)
    stages = TrainingStages.load(path)
    if stages.seed != seed:
        raise MisuseError(f"{path}: is the training run of seed {stages.seed}, not {seed}; delete it to train again")
    return stages


def _train(seed: int) -> TrainingStages:
    task, kept, held_out = digits_task(), dict[TrainingStage, Tensor](), dict[TrainingStage, float]()
    network = task.make_network(seed)
    chip = manufacture("integrator", _BATCH_SIZE * _CLASSES, presets.ideal(), seed=seed)
    solver = AnalogSolver(chip, Ideal(), duration_tau=_DURATION_TAU, seed=seed)
    optimizer = TNGD(network.parameters(), DualChip(solver), lr=_LEARNING_RATE, damping=DAMPING)

    def keep(stage: TrainingStage) -> None:
        kept[stage] = nn.utils.parameters_to_vector(network.parameters()).detach().clone()
        held_out[stage] = accuracy(network, task.test_inputs, task.test_targets)

    keep(TrainingStage.START)
    for step, batch in enumerate(task.minibatches(_BATCH_SIZE, _STEPS, seed), start=1):
        optimizer.natural_gradient(network, nn.CrossEntropyLoss(), batch)
        optimizer.step()
        if step == _STEPS // 2:
            keep(TrainingStage.MIDDLE)
    keep(TrainingStage.END)
    return TrainingStages(seed, kept, held_out)
