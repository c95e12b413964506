"""The runs behind the paper's question-answering figure, and the control that it leaves out.

Paper (arXiv 2405.13817, section 5.3 and App. E.2): TNGD eta = 0.01, t = 0.4 tau; TNGD-Adam eta = 0.001, betas (0, 0),
t = 0.1, 0.2, 0.4 tau; lambda = 1, no delay; Adam 0.001.  With betas (0, 0) the update of TNGD-Adam is the sign of what
the device reads, so sign descent on the plain gradient is its limit t -> 0: the control.  Where the paper is silent, a
device without delay is reset to the gradient at every step.  Other than in the paper: the encoder, the data, batches
of 8 instead of 32, and no dropout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor, nn

from tngd_hw.curvature import SplitCrossEntropy
from tngd_hw.outcome import DivergedError
from tngd_hw.tasks import QATask, qa_scores
from tngd_hw.tasks.qa_model import MODEL_PACKAGE
from tngd_hw.training import (
    TNGD,
    AnalogSchedule,
    AnalogStart,
    DigitalOptimizer,
    RelaxedDevice,
    RelaxedGradient,
    TNGDAdam,
    TrainingRecord,
    gradient_step,
)
from tngd_hw.training.record import evaluation_steps

__all__ = ["BATCH_SIZE", "DAMPING", "RUNS", "QARun", "train_run"]

_Batch = tuple[Tensor, Tensor]

BATCH_SIZE: Final = 8
DAMPING: Final = 1.0


@dataclass(frozen=True)
class QARun:
    """One curve.

    Attributes:
        name: For legends and files.
        optimizer: The base update: SGD is that of TNGD, SIGN_SGD (Adam with betas (0, 0)) that of TNGD-Adam.
        lr: Its learning rate.
        duration_tau: Analog time t in tau, or None for a digital control.
        batch_size: Questions a step.
        encoder: What the network is made from; only to tell runs apart.
    """

    name: str
    optimizer: DigitalOptimizer
    lr: float
    duration_tau: float | None = None
    batch_size: int = BATCH_SIZE
    encoder: str = MODEL_PACKAGE

    def configuration(self) -> dict[str, Any]:
        """All that its numbers depend on beside seed, length and data, as plain data."""
        return {
            "optimizer": self.optimizer.value,
            "lr": self.lr,
            "duration_tau": self.duration_tau,
            "damping": DAMPING,
            "batch_size": self.batch_size,
            "encoder": self.encoder,
        }

    def device(self) -> RelaxedDevice | None:
        """One node a parameter, perfect parts, no noise, reset to the gradient; None for a digital control."""
        if self.duration_tau is None:
            return None
        return RelaxedDevice(AnalogSchedule(self.duration_tau, AnalogStart.GRADIENT, tolerance=1e-3))


_SIGN: Final = DigitalOptimizer.SIGN_SGD

RUNS: Final = (
    QARun("TNGD, t = 0.4 tau", DigitalOptimizer.SGD, 0.01, 0.4),
    *(QARun(f"TNGD-Adam, t = {t:g} tau", _SIGN, 1e-3, t) for t in (0.1, 0.2, 0.4)),
    QARun("Adam", DigitalOptimizer.ADAM, 1e-3),
    QARun("sign-SGD", _SIGN, 1e-3),
)
"""Fig. 5 (a) and (b), and the control."""


def train_run(run: QARun, task: QATask, *, seed: int, steps: int, evaluate_every: int) -> TrainingRecord:
    """Train one curve; network and batches have the number ``seed``.

    Returns:
        Mini-batch losses; held-out exact match as ``accuracy``, and at the same steps ``f1`` and ``test_loss`` as extra
        series; with a device also ``products`` and ``gain`` of every step.  A run with a device that diverges ends
        there, its last loss NaN.

    Cost: for MiniLM-L6, batches of 8 and one core, 1 to 2 s a step for a control and 9 to 17 s with a device, most of
    it 6 curvature products; 7 s an evaluation.
    """
    network = task.make_network(seed)
    update = _updater(run, network)
    evaluations = evaluation_steps(steps, evaluate_every)
    losses: list[float] = []
    series: dict[str, list[float]] = {}
    for batch in task.minibatches(run.batch_size, steps, seed):
        try:
            loss, numbers = update(batch)
        except DivergedError:
            losses.append(math.nan)
            break
        losses.append(loss)
        if len(losses) in evaluations:
            scores = qa_scores(network, task)
            numbers = {**numbers, "exact_match": scores.exact_match, "f1": scores.f1, "test_loss": scores.loss}
        for name, value in numbers.items():
            series.setdefault(name, []).append(value)
    exact = tuple(series.pop("exact_match", ()))
    extra = {name: tuple(values) for name, values in series.items()}
    return TrainingRecord(run.name, tuple(losses), exact, evaluations[: len(exact)], extra)


def _updater(run: QARun, network: nn.Module) -> Callable[[_Batch], tuple[float, Mapping[str, float]]]:
    """One update on a batch; gives the loss before it, and numbers for the record."""
    loss, device = SplitCrossEntropy(2), run.device()
    if device is None:
        optimizer = run.optimizer.factory(run.lr)(network.parameters())

        def plain(batch: _Batch) -> tuple[float, Mapping[str, float]]:
            return gradient_step(network, optimizer, loss, batch), {}

        return plain
    make = TNGD[RelaxedGradient] if run.optimizer is DigitalOptimizer.SGD else TNGDAdam[RelaxedGradient]
    analog = make(network.parameters(), device, lr=run.lr, damping=DAMPING)

    def natural(batch: _Batch) -> tuple[float, Mapping[str, float]]:
        found = analog.update(network, loss, batch)
        return found.loss, found.log()

    return natural
