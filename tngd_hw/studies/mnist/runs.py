"""The runs behind the paper's MNIST figures, and what they leave out: which optimizer, which schedule, which control.

Paper (arXiv 2405.13817, App. E.1): batches of 64, TNGD eta = 0.01, lambda = 0.01, Adam 1e-3.  Where it is silent: a
device without delay is reset to the gradient at every step (so t = 0 is SGD), one with a delay keeps its state
(Appendix B), and so does the control "state kept, no delay", which tells the two apart; one readout; no injected noise
but in the noise figure.  "Exact NGD" is a relaxation of 20/lambda.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from tngd_hw.training import (
    TNGD,
    AnalogSchedule,
    AnalogStart,
    DigitalOptimizer,
    MakeOptimizer,
    RelaxedDevice,
    TrainingRecord,
    TrainingTask,
    train_digital,
    train_tngd,
)

__all__ = ["BATCH_SIZE", "DAMPING", "GROUPS", "MnistRun", "train_run"]

BATCH_SIZE: Final = 64
DAMPING: Final = 0.01
_TNGD_RATE: Final = 0.01
_ADAM_RATE: Final = 1e-3


@dataclass(frozen=True)
class MnistRun:
    """One curve.

    Attributes:
        name: For legends and files.
        optimizer: The base update.
        lr: Its learning rate.
        schedule: What the device does, or None for a digital control.
        momentum: Of SGD, v <- momentum v + g, step lr v.
    """

    name: str
    optimizer: DigitalOptimizer
    lr: float
    schedule: AnalogSchedule | None = None
    momentum: float = 0.0

    def configuration(self) -> dict[str, Any]:
        """All that its numbers depend on beside seed and length, as plain data."""
        plan: dict[str, Any] | None = None
        if self.schedule is not None:
            s = self.schedule
            plan = {
                "duration_tau": s.duration_tau,
                "start": s.start.value,
                "delay_tau": s.delay_tau,
                "readouts": s.readouts,
                "kappa": s.kappa,
                "tolerance": s.tolerance,
                "damping": DAMPING,
            }
        whole = {"optimizer": self.optimizer.value, "lr": self.lr, "schedule": plan, "batch_size": BATCH_SIZE}
        return {**whole, "momentum": self.momentum} if self.momentum else whole

    def control(self) -> MakeOptimizer:
        """What makes the optimizer of a digital control."""
        return self.optimizer.factory(self.lr, momentum=self.momentum)


def _analog(
    name: str, duration_tau: float, *, delay_tau: float = 0.0, kappa: float = 0.0, keep_state: bool = False
) -> MnistRun:
    start = AnalogStart.PREVIOUS if keep_state or delay_tau > 0 else AnalogStart.GRADIENT
    plan = AnalogSchedule(duration_tau, start, delay_tau=delay_tau, kappa=kappa, tolerance=1e-4)
    return MnistRun(name, DigitalOptimizer.SGD, _TNGD_RATE, plan)


def _noisy(duration_tau: float) -> tuple[MnistRun, ...]:
    names = {kappa: f"TNGD, t = {duration_tau:g} tau, kappa = {kappa:g}" for kappa in (0.0, 0.001, 0.01, 0.1)}
    return tuple(_analog(name, duration_tau, kappa=kappa) for kappa, name in names.items())


def _flat_momentum(duration_tau: float) -> MnistRun:
    """Where the curvature is 0 a state that is kept is x <- e^(-lambda t) x + (1 - e^(-lambda t)) g/lambda."""
    kept = math.exp(-DAMPING * duration_tau)
    name = f"SGD, momentum {kept:.3f}, as flat directions have"
    return MnistRun(name, DigitalOptimizer.SGD, _TNGD_RATE * (1.0 - kept) / DAMPING, momentum=kept)


_GAIN_AT_50_TAU: Final = AnalogSchedule(50.0, AnalogStart.GRADIENT).flat_gain(DAMPING)

GROUPS: Final[dict[str, tuple[MnistRun, ...]]] = {
    "adam": (
        _analog("TNGD, t = 50 tau", 50.0),
        MnistRun("Adam, 1e-3", DigitalOptimizer.ADAM, _ADAM_RATE),
        MnistRun("SGD, 0.01", DigitalOptimizer.SGD, _TNGD_RATE),
        MnistRun("SGD, 0.01 times the gain at 50 tau", DigitalOptimizer.SGD, _TNGD_RATE * _GAIN_AT_50_TAU),
    ),
    "time": (
        *(_analog(f"TNGD, t = {t:g} tau", t) for t in (5.0, 10.0, 20.0, 50.0)),
        _analog("NGD, exact", 20.0 / DAMPING),
    ),
    "delay": (
        *(_analog(f"TNGD, t = 5 tau, delay {d:g} tau", 5.0, delay_tau=d) for d in (0.0, 0.2, 1.0)),
        _analog("TNGD, t = 5 tau, state kept, no delay", 5.0, keep_state=True),
        _flat_momentum(5.0),
        _analog("NGD, exact", 20.0 / DAMPING),
    ),
    "noise": _noisy(1.0),
    "noise_at_50_tau": _noisy(50.0),
}
"""Figures by name: Fig. 3 with controls, Fig. 4a, Fig. 4b, Fig. 7, and Fig. 7 at the time that Fig. 3 uses."""


def train_run(run: MnistRun, task: TrainingTask, *, seed: int, steps: int, evaluate_every: int) -> TrainingRecord:
    """Train one curve; network, batches and noise have the number ``seed``.

    Cost: 0.2 to 0.4 s a step for TNGD at 50 tau on one core, milliseconds for the controls.
    """
    if run.schedule is None:
        return train_digital(
            run.control(),
            task,
            network_seed=seed,
            batches_seed=seed,
            batch_size=BATCH_SIZE,
            steps=steps,
            evaluate_every=evaluate_every,
            name=run.name,
        )
    device = RelaxedDevice(run.schedule, seed)
    return train_tngd(
        lambda parameters: TNGD(parameters, device, lr=run.lr, damping=DAMPING),
        task,
        network_seed=seed,
        batches_seed=seed,
        batch_size=BATCH_SIZE,
        steps=steps,
        evaluate_every=evaluate_every,
        name=run.name,
    )
