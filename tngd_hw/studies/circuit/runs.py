"""Training runs whose natural gradients come from circuits, each step asked of a second engine as well.

Two questions are kept apart.  The same step: one network, one batch, one die, two engines: how far are their directions
from each other?  And the drift: every engine trains its own network; how far are the losses from each other after k
steps?
"""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

import torch
from torch import Tensor, nn

from tngd_hw.curvature import kfac_factors
from tngd_hw.engines import Behavioral, Engine, Ideal, Ngspice, StateSpace
from tngd_hw.hardware import presets
from tngd_hw.topologies import manufacture
from tngd_hw.training import (
    TNGD,
    AnalogSolver,
    DualChip,
    KFACChip,
    KFACForm,
    KFACGradient,
    NaturalGradient,
    NaturalGradientMethod,
    NaturalStep,
    TrainingRecord,
    TrainingTask,
    train_tngd,
)
from tngd_hw.training.analog_solver import AnalogSolve
from tngd_hw.training.method import Batch, Loss

__all__ = [
    "DIFFERENCE",
    "ENGINES",
    "ENGINE_S",
    "REFERENCE",
    "REFERENCE_S",
    "STEP_S",
    "WALL_S",
    "CircuitRun",
    "Form",
    "train_run",
]

ENGINES: Final[Mapping[str, Engine]] = {
    "ngspice": Ngspice(accuracy=1e-3),  # along the path; at the end, where an answer is read, a tenth
    "state_space": StateSpace(),
    "behavioral": Behavioral(),
    "ideal": Ideal(),
}
"""By name.  Ideal is the filter without a die: how far the real circuit is from what it is meant to be."""

REFERENCE: Final = "state_space"

DIFFERENCE: Final = "direction_difference"
"""Series of |x - x_ref|/|x_ref| of the same step."""

STEP_S: Final = "step_s"
"""Series of wall times of a whole natural gradient."""

ENGINE_S, REFERENCE_S = "engine_processor_s: ", "reference_processor_s: "
"""Beginnings of the names of series of processor times of the engine and of the reference, one a circuit."""

WALL_S: Final = "engine_wall_s"
"""Series of wall times of the engine, all circuits of a step together."""

_LEARNING_RATE: Final = 0.1
_DAMPING: Final = 0.1
_LIVES: Final = 5.0

StepT = TypeVar("StepT", bound=NaturalStep)


class Form(enum.Enum):
    """What stands on the chip.

    DUAL: The dual form of the whole network, batch * d_z nodes.
    KFAC: Two circuits a layer, the input factor in its dual form where that is smaller.
    """

    DUAL = "dual"
    KFAC = "kfac"


@dataclass(frozen=True)
class CircuitRun:
    """One training.

    Attributes:
        form: What stands on the chip.
        engine: Name of the engine.
        batch_size: Samples a step.
    """

    form: Form
    engine: str
    batch_size: int = 8

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.form.value}, {self.engine}"

    @property
    def duration_tau(self) -> float:
        """Analog time: 5 time constants of the slowest mode, lambda in the dual form and sqrt(lambda) in K-FAC."""
        return _LIVES / (_DAMPING if self.form is Form.DUAL else math.sqrt(_DAMPING))

    def configuration(self) -> dict[str, Any]:
        """All that its numbers depend on beside seed and length, as plain data."""
        return {
            "form": self.form.value,
            "engine": self.engine,
            "accuracy": getattr(ENGINES[self.engine], "accuracy", None),
            "batch_size": self.batch_size,
            "lr": _LEARNING_RATE,
            "damping": _DAMPING,
            "duration_tau": self.duration_tau,
            "hardware": "pcb_1k_1n",
        }


def train_run(run: CircuitRun, task: TrainingTask, *, seed: int, steps: int) -> TrainingRecord:
    """Train along the directions of ``run.engine``; at every step the reference is asked for its own.

    Die, network and batches have the number ``seed``.  The record has the series ``DIFFERENCE``, ``STEP_S``,
    ``WALL_S``, ``ENGINE_S`` and
    ``REFERENCE_S``.

    Raises:
        OutcomeError: An engine gave no usable answer, with the step.

    Cost: the two engines' runs at every step.
    """
    chip = manufacture("integrator", _nodes(run, task, seed), presets.pcb_1k_1n(), seed=seed)
    own, other = (AnalogSolver(chip, ENGINES[name], run.duration_tau) for name in (run.engine, REFERENCE))
    if run.form is Form.DUAL:
        return _trained(run, _Compared(DualChip(own), DualChip(other), _dual_circuit), task, seed=seed, steps=steps)
    form = KFACForm.DUAL
    chips = _Compared(KFACChip(own, form=form), KFACChip(other, form=form), _kfac_circuits)
    return _trained(run, chips, task, seed=seed, steps=steps)


def _trained(run: CircuitRun, method: _Compared[StepT], task: TrainingTask, *, seed: int, steps: int) -> TrainingRecord:
    record = train_tngd(
        lambda parameters: TNGD(parameters, method, lr=_LEARNING_RATE, damping=_DAMPING),
        task,
        network_seed=seed,
        batches_seed=seed,
        batch_size=run.batch_size,
        steps=steps,
        evaluate_every=steps,
        name=run.name,
    )
    return replace(record, extra={**record.extra, **method.series()})


def _nodes(run: CircuitRun, task: TrainingTask, seed: int) -> int:
    """What the largest circuit of a batch needs."""
    network = task.make_network(seed)
    batch = next(iter(task.minibatches(run.batch_size, 1, seed)))
    if run.form is Form.DUAL:
        with torch.no_grad():
            return network(batch[0]).numel()
    blocks = kfac_factors(network, nn.CrossEntropyLoss(), batch).blocks
    return max(max(len(b.A) if b.rows is None else len(b.rows.a), len(b.G)) for b in blocks)


@dataclass(eq=False)
class _Compared(Generic[StepT]):
    """A method, and at every step another one on the same network and batch.

    Attributes:
        method: Whose directions are taken.
        reference: The other one.
        circuits: The solves of every circuit of a step, by its name.
        seen: Series by name.
    """

    method: NaturalGradientMethod[StepT]
    reference: NaturalGradientMethod[StepT]
    circuits: Callable[[StepT], dict[str, tuple[AnalogSolve, ...]]]
    seen: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> StepT:
        """Of ``method``; see :class:`tngd_hw.training.NaturalGradientMethod`."""
        given: dict[str, Any] = {"damping": damping, "state": state, "step": step}
        other = self.reference.natural_gradient(model, loss, batch, **given)
        begun = time.perf_counter()
        found = self.method.natural_gradient(model, loss, batch, **given)  # last: its direction stays in p.grad
        self._note({STEP_S: time.perf_counter() - begun}, "")
        self._note({DIFFERENCE: _length(found.direction - other.direction) / _length(other.direction)}, "")
        own, reference = self.circuits(found), self.circuits(other)
        self._note({WALL_S: sum(solve.engine_s for solves in own.values() for solve in solves)}, "")
        self._note(_processor_times(own), ENGINE_S)
        self._note(_processor_times(reference), REFERENCE_S)
        return found

    def series(self) -> dict[str, tuple[float, ...]]:
        """What was seen, one number a step."""
        return {name: tuple(values) for name, values in self.seen.items()}

    def _note(self, values: Mapping[str, float], beginning: str) -> None:
        for name, value in values.items():
            self.seen.setdefault(beginning + name, []).append(value)


def _length(vector: Tensor) -> float:
    return float(vector.square().sum().sqrt())


def _processor_times(circuits: Mapping[str, tuple[AnalogSolve, ...]]) -> dict[str, float]:
    """Seconds by "circuit: runs x nodes"."""
    times: dict[str, float] = {}
    for circuit, solves in circuits.items():
        runs = sum(solve.estimate.value[0].numel() for solve in solves)
        times[f"{circuit}: {runs} x {solves[0].loaded.n} nodes"] = sum(solve.processor_s for solve in solves)
    return times


def _dual_circuit(found: NaturalGradient) -> dict[str, tuple[AnalogSolve, ...]]:
    return {"dual problem": (found.solve,)}


def _kfac_circuits(found: KFACGradient) -> dict[str, tuple[AnalogSolve, ...]]:
    circuits: dict[str, tuple[AnalogSolve, ...]] = {}
    for block, pair in zip(found.factors.blocks, found.solves, strict=True):
        circuits |= {f"layer {block.layer}, A": pair.first, f"layer {block.layer}, G": pair.second}
    return circuits
