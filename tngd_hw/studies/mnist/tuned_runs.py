"""The optimizers that are compared on MNIST at equal tuning budgets, their learning rates, and one run of one of them.

Every optimizer has its own range of learning rates, half decades around a middle that was set beforehand; nothing else
is tuned.  lambda = 0.01 as in the paper's MNIST runs (arXiv 2405.13817, App. E.1); rows of ten times that tell what the
damping is worth.  AdaFisher's lambda = 0.001 is relative to the largest entries of its diagonal and is ours.  Exact NGD
is a relaxation of 20/lambda.  A device is reset to the gradient at every step, or keeps its state, as in the paper's
Algorithm 1: its control is SGD with momentum.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from tngd_hw.outcome import DivergedError, OutcomeError
from tngd_hw.training import (
    TNGD,
    AdaFisherMethod,
    AnalogSchedule,
    AnalogStart,
    ConjugateGradientMethod,
    DigitalOptimizer,
    KFACMethod,
    NaturalGradientMethod,
    NaturalStep,
    RelaxedDevice,
    TNGDAdam,
    TrainingRecord,
    TrainingTask,
    accuracy,
    gradient_step,
)
from tngd_hw.training.method import Batch

__all__ = ["BATCH_SIZE", "OPTIMIZERS", "TunedOptimizer", "TunedRun", "train_run"]

BATCH_SIZE: Final = 64
_DAMPING: Final = 0.01


@dataclass(frozen=True)
class TunedOptimizer:
    """One row of the table.

    Attributes:
        name: For tables and legends.
        base: The base update: SGD, Adam, or SIGN_SGD (Adam with betas (0, 0)).
        middle: Common logarithm of the middle learning rate.
        method: What computes natural gradients, or None for a first-order optimizer.
        damping: Its lambda.
        momentum: Of SGD without a method.
    """

    name: str
    base: DigitalOptimizer
    middle: float
    method: NaturalGradientMethod[NaturalStep] | None = None
    damping: float = _DAMPING
    momentum: float = 0.0

    def rates(self, number: int) -> tuple[float, ...]:
        """``number`` learning rates, half decades apart."""
        return tuple(10.0 ** (self.middle + (k - (number - 1) / 2) / 2) for k in range(number))

    def updater(self, network: nn.Module, lr: float) -> Callable[[Batch], float]:
        """One update on a batch; gives the loss before it."""
        loss = nn.CrossEntropyLoss()
        if self.method is None:
            plain = self.base.factory(lr, momentum=self.momentum)(network.parameters())
            return lambda batch: gradient_step(network, plain, loss, batch)
        make = TNGD[NaturalStep] if self.base is DigitalOptimizer.SGD else TNGDAdam[NaturalStep]
        natural = make(network.parameters(), self.method, lr=lr, damping=self.damping)
        return lambda batch: natural.update(network, loss, batch).loss


@dataclass(frozen=True)
class TunedRun:
    """An optimizer at one learning rate.

    Attributes:
        optimizer: The optimizer.
        lr: Its learning rate.
    """

    optimizer: TunedOptimizer
    lr: float

    @property
    def name(self) -> str:
        """Unique in the study."""
        return f"{self.optimizer.name}, {self.lr:.4g}"

    def configuration(self) -> dict[str, Any]:
        """All that its numbers depend on beside seed and length, as plain data."""
        method = self.optimizer.method
        momentum = {"momentum": self.optimizer.momentum} if self.optimizer.momentum else {}
        return {
            **momentum,
            "base": self.optimizer.base.value,
            "method": None if method is None else repr(method),
            "damping": None if method is None else self.optimizer.damping,
            "lr": self.lr,
            "batch_size": BATCH_SIZE,
        }


def _relaxed(duration_tau: float, start: AnalogStart = AnalogStart.GRADIENT) -> RelaxedDevice:
    return RelaxedDevice(AnalogSchedule(duration_tau, start))


_SGD, _SIGN = DigitalOptimizer.SGD, DigitalOptimizer.SIGN_SGD

OPTIMIZERS: Final = (
    TunedOptimizer("SGD", _SGD, -1.0),
    TunedOptimizer("SGD, momentum 0.9", _SGD, -2.0, momentum=0.9),
    TunedOptimizer("sign-SGD", _SIGN, -2.5),
    TunedOptimizer("Adam", DigitalOptimizer.ADAM, -2.0),
    TunedOptimizer("AdaFisher", _SGD, -2.5, AdaFisherMethod(), 1e-3),
    TunedOptimizer("K-FAC", _SGD, -1.0, KFACMethod()),
    TunedOptimizer("NGD-CG, 20 warm", _SGD, -1.0, ConjugateGradientMethod(20, warm_start=True)),
    TunedOptimizer("NGD-CG, lambda 0.1", _SGD, -1.0, ConjugateGradientMethod(20, warm_start=True), 0.1),
    TunedOptimizer("NGD, exact", _SGD, -1.0, _relaxed(20.0 / _DAMPING)),
    TunedOptimizer("TNGD, 50 tau", _SGD, -1.0, _relaxed(50.0)),
    TunedOptimizer("TNGD, 50 tau, lambda 0.1", _SGD, -1.0, _relaxed(50.0), 0.1),
    TunedOptimizer("TNGD, 5 tau, state kept", _SGD, -2.0, _relaxed(5.0, AnalogStart.PREVIOUS)),
    TunedOptimizer("TNGD-Adam, 50 tau", _SIGN, -2.5, _relaxed(50.0)),
)
"""In the order of the table."""


def train_run(run: TunedRun, task: TrainingTask, *, seed: int, steps: int) -> TrainingRecord:
    """Train one network; network and batches have the number ``seed``.

    Returns:
        Mini-batch losses; the held-out accuracy after the last step; ``train_loss``, the loss over the whole training
        set after it, NaN where the run diverged or a step had no usable answer; ``step_seconds``, the median
        processor time of an update.

    Cost: on one idle core 1 ms a step for a first-order optimizer, 7 ms for AdaFisher, 0.1 s for K-FAC, NGD-CG and
    TNGD, 0.2 s for exact NGD.
    """
    network = task.make_network(seed)
    update = run.optimizer.updater(network, run.lr)
    losses: list[float] = []
    seconds: list[float] = []
    ended = False
    for batch in task.minibatches(BATCH_SIZE, steps, seed):
        begun = time.process_time()
        try:
            losses.append(update(batch))
        except (DivergedError, OutcomeError):
            losses.append(math.nan)
            ended = True
            break
        seconds.append(time.process_time() - begun)
    with torch.no_grad():
        whole = float(functional.cross_entropy(network(task.train_inputs), task.train_targets))
    final = accuracy(network, task.test_inputs, task.test_targets)
    middle = sorted(seconds)[len(seconds) // 2] if seconds else math.nan
    extra = {"train_loss": (math.nan if ended else whole,), "step_seconds": (middle,)}
    return TrainingRecord(run.name, tuple(losses), (final,), (len(losses),), extra)
