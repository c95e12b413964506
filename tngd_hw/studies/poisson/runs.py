"""One training of the Poisson study: plain gradients, or natural ones, exact, of an analog device or of a real chip.

All runs see the full batch at every step and start from the network of their seed.
"""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from tngd_hw.outcome import DivergedError, OutcomeError
from tngd_hw.studies.poisson.solvers import DualDie, Solver, method_of, plain
from tngd_hw.tasks import PoissonTask
from tngd_hw.training import TNGD, DigitalOptimizer, LevenbergMarquardt, LineSearch, TrainingRecord, gradient_step

__all__ = ["FirstOrderRun", "NaturalRun", "PoissonRun", "Rule", "train_run"]

_SMALLEST_DAMPING: Final = 1e-12
_LOOKS_A_DECADE: Final = 12


class Rule(enum.Enum):
    """The step size of natural gradients.

    LINE_SEARCH: the best of 1, 1/2 ... 2^-15 on the full batch, or no step.
    ONE: always 1.
    LEVENBERG_MARQUARDT: always 1, and the damping follows how well the quadratic model predicts the loss.
    """

    LINE_SEARCH = "line search"
    ONE = "1"
    LEVENBERG_MARQUARDT = "Levenberg-Marquardt"


@dataclass(frozen=True)
class FirstOrderRun:
    """Plain gradients.

    Attributes:
        name: For legends and tables.
        optimizer: The update.
        lr: Learning rate.
        cosine: The rate falls to 0 along a half cosine.
    """

    name: str
    optimizer: DigitalOptimizer
    lr: float
    cosine: bool = False

    @property
    def setting(self) -> float:
        """What was searched for."""
        return self.lr

    def configuration(self) -> dict[str, Any]:
        """All that its numbers depend on beside seed and length, as plain data."""
        return {"task": "poisson", "optimizer": self.optimizer.value, "lr": self.lr, "cosine": self.cosine}


@dataclass(frozen=True)
class NaturalRun:
    """Natural gradients.

    Attributes:
        name: For legends and tables.
        damping: lambda; with Levenberg-Marquardt the first one.
        solver: What finds them.
        rule: Step size.
    """

    name: str
    damping: float
    solver: Solver = None
    rule: Rule = Rule.LINE_SEARCH

    @property
    def setting(self) -> float:
        """What was searched for."""
        return self.damping

    def configuration(self) -> dict[str, Any]:
        """All that its numbers depend on beside seed and length, as plain data."""
        return {"task": "poisson", "damping": self.damping, "rule": self.rule.value, "solver": plain(self.solver)}


PoissonRun = FirstOrderRun | NaturalRun


def train_run(run: PoissonRun, seed: int, steps: int) -> TrainingRecord:
    """Train the network of ``seed`` on the full batch; the seed is also that of dies and write errors.

    Returns:
        The loss before every step; held out are, at about twelve numbers of steps a decade, the series ``at`` (steps
        made), ``error`` (relative L2 error of u), ``loss_at`` (loss then) and ``cpu_seconds`` (of the steps alone).
        ``products``: curvature products of every step, where they are counted; ``analog_seconds`` of every step of a
        die.  A run that diverges or whose chip has no answer ends there: ``stopped: OUTCOME`` holds the step.

    Cost: on one core 0.5 ms a step for first order, 3 ms for an exact natural gradient and 5 ms with its line search,
    25 to 50 ms for a device, 30 to 100 ms for a die.
    """
    task = PoissonTask()
    network, batch, loss = task.make_network(seed), task.batch(), nn.MSELoss()
    match run:
        case FirstOrderRun():
            update = _first_order(run, network, loss, batch, steps)
        case NaturalRun():
            update = _natural(run, network, loss, batch, seed)
    looks, losses, spent = _looks(steps), list[float](), 0.0
    series: dict[str, list[float]] = {}

    def note(**numbers: float) -> None:
        for name, value in numbers.items():
            series.setdefault(name, []).append(value)

    def look() -> None:
        with torch.no_grad():
            now = float(loss(network(batch[0]), batch[1]))
        note(at=len(losses), error=task.relative_error(network), loss_at=now, cpu_seconds=spent)

    look()
    for step in range(steps):
        begun = time.process_time()
        try:
            value, numbers = update()
        except (DivergedError, OutcomeError) as error:
            reason = error.status.outcome.value if isinstance(error, OutcomeError) else "diverged"
            note(**{f"stopped: {reason}": step})
            break
        spent += time.process_time() - begun
        losses.append(value)
        note(**numbers)
        if len(losses) in looks:
            look()
        if not math.isfinite(value):
            note(**{"stopped: diverged": step})
            break
    return TrainingRecord(run.name, tuple(losses), extra={name: tuple(values) for name, values in series.items()})


_Update = Callable[[], tuple[float, Mapping[str, float]]]
"""One step; gives the loss before it, and numbers for the record."""

_Batch = tuple[torch.Tensor, torch.Tensor]


def _first_order(run: FirstOrderRun, network: nn.Module, loss: nn.Module, batch: _Batch, steps: int) -> _Update:
    optimizer = run.optimizer.factory(run.lr)(network.parameters())
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if run.cosine else None

    def update() -> tuple[float, Mapping[str, float]]:
        value = gradient_step(network, optimizer, loss, batch)
        if fall is not None:
            fall.step()
        return value, {}

    return update


def _natural(run: NaturalRun, network: nn.Module, loss: nn.Module, batch: _Batch, seed: int) -> _Update:
    adapt = LevenbergMarquardt(smallest=_SMALLEST_DAMPING) if run.rule is Rule.LEVENBERG_MARQUARDT else None
    method = method_of(run.solver, len(batch[0]), seed)
    optimizer = TNGD(network.parameters(), method, lr=1.0, damping=run.damping, levenberg_marquardt=adapt)
    if run.rule is Rule.LINE_SEARCH:
        optimizer.register_step_pre_hook(LineSearch(network, loss, batch))

    def update() -> tuple[float, Mapping[str, float]]:
        found = optimizer.update(network, loss, batch)
        numbers = {name: value for name, value in found.log().items() if name == "products"}
        if isinstance(run.solver, DualDie):
            numbers["analog_seconds"] = run.solver.duration_tau * found.log()["tau_s"]
        return found.loss, numbers | {"rate": optimizer.param_groups[0]["lr"], "damping": optimizer.damping}

    return update


def _looks(steps: int) -> frozenset[int]:
    """Numbers of steps at which a run is looked at: 1, then about twelve a decade, and the last."""
    last = math.ceil(_LOOKS_A_DECADE * math.log10(steps))
    return frozenset({*(min(round(10 ** (k / _LOOKS_A_DECADE)), steps) for k in range(last + 1)), steps})
