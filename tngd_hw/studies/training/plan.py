"""One training run as a user asks for it: which task, which form on which chip, which optimizer; and what builds it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tngd_hw.curvature import kfac_factors, trainable_parameters
from tngd_hw.engines import Engine
from tngd_hw.hardware import HardwareSpec
from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import ClassificationTask, digits_task, mnist_task
from tngd_hw.topologies import manufacture
from tngd_hw.training import (
    TNGD,
    AnalogSchedule,
    AnalogSolver,
    AnalogStart,
    ArrayDevice,
    BlockChip,
    Checkpoint,
    DualChip,
    DualForm,
    KFACChip,
    KFACForm,
    LevenbergMarquardt,
    NaturalGradientMethod,
    NaturalGradientOptimizer,
    PrimalChip,
    RelaxedDevice,
    TNGDAdam,
    TrainingRecord,
    train_tngd,
)

__all__ = ["BaseUpdate", "Form", "TaskName", "TrainingPlan", "run_plan"]


class TaskName(enum.Enum):
    """The tasks that need no model of others."""

    DIGITS = "digits"
    MNIST = "mnist"


class Form(enum.Enum):
    """What stands on the chip: dual forms of batch * d_z nodes, one node a parameter, layers, K-FAC."""

    DUAL = "dual"
    DUAL_OUTPUT = "dual-output"
    PRIMAL = "primal"
    BLOCKS = "blocks"
    KFAC = "kfac"
    KFAC_DUAL = "kfac-dual"
    DEVICE = "device"
    ARRAYS = "arrays"


class BaseUpdate(enum.Enum):
    """The digital update along the natural gradient."""

    SGD = "tngd"
    ADAM = "tngd-adam"


_WITHOUT_CIRCUIT = (Form.DEVICE, Form.ARRAYS)


@dataclass(frozen=True)
class TrainingPlan:
    """A run.

    Attributes:
        task: What is learnt.
        form: What stands on the chip.
        base: Base update.
        topology: Circuit of the forms that are one.
        hardware: What the die is made of.
        engine: What simulates it.
        start: Where a relaxation starts; None: at the last state with a delay, else at 0.
        duration_tau: Analog time t in tau.
        delay_tau: Delay t_d in tau.
        readouts: Averaged readouts.
        chopped: Run with b and with -b, so that offsets cancel.
        kappa: Injected noise.
        lr: Learning rate.
        damping: lambda.
        adapt_damping: Levenberg-Marquardt.
        batch_size: Samples a step.
        steps: Updates.
        seed: Of network, batches, die and noise.
        data_dir: Folder of the data.
    """

    task: TaskName
    form: Form
    base: BaseUpdate
    topology: str
    hardware: HardwareSpec
    engine: Engine
    start: AnalogStart | None = None
    duration_tau: float = 50.0
    delay_tau: float = 0.0
    readouts: int = 1
    chopped: bool = False
    kappa: float = 0.0
    lr: float = 0.1
    damping: float = 0.1
    adapt_damping: bool = False
    batch_size: int = 8
    steps: int = 100
    seed: int = 0
    data_dir: str | None = None

    def __post_init__(self) -> None:
        if self.form is Form.DEVICE and self.hardware.effects():
            raise MisuseError(
                f"hardware = {self.hardware.name!r}: the form 'device' has perfect parts; use 'arrays' or a circuit"
            )
        if self.form in _WITHOUT_CIRCUIT and self.chopped:
            raise MisuseError(f"chopped with the form {self.form.value!r}: it has no offsets to cancel; leave it out")

    @property
    def name(self) -> str:
        """For figures and records."""
        return f"{self.base.value}, {self.form.value}, t = {self.duration_tau:g} tau"

    @property
    def analog_start(self) -> AnalogStart:
        """Where a relaxation starts."""
        if self.start is not None:
            return self.start
        return AnalogStart.PREVIOUS if self.delay_tau > 0 else AnalogStart.ZERO

    def make_task(self) -> ClassificationTask:
        """Data and network; float32 where the network is large and no circuit is solved."""
        if self.task is TaskName.DIGITS:
            return digits_task()
        dtype = torch.float32 if self.form in _WITHOUT_CIRCUIT else torch.float64
        return mnist_task(data_dir=self.data_dir, dtype=dtype)

    def method(self, task: ClassificationTask) -> NaturalGradientMethod[Any]:
        """What computes natural gradients.

        Raises:
            MisuseError: What chip, schedule and form refuse.
        """
        schedule = AnalogSchedule(self.duration_tau, self.analog_start, self.delay_tau, self.readouts, kappa=self.kappa)
        match self.form:
            case Form.DEVICE:
                return RelaxedDevice(schedule, self.seed)
            case Form.ARRAYS:
                return ArrayDevice(self.hardware, schedule, seed=self.seed, noise_seed=self.seed)
            case Form.DUAL | Form.DUAL_OUTPUT:
                nodes = self._rows(task) + (self.analog_start is not AnalogStart.ZERO)
                return DualChip(self._solver(nodes), _DUAL_FORMS[self.form])
            case Form.PRIMAL:
                count = sum(p.numel() for p in trainable_parameters(task.make_network(self.seed)).values())
                return PrimalChip(self._solver(count, outputs=self._rows(task)))
            case Form.BLOCKS:
                return BlockChip(self._solver(self._rows(task)))
            case Form.KFAC | Form.KFAC_DUAL:
                return KFACChip(self._solver(self._largest_factor(task)), form=_KFAC_FORMS[self.form])

    def _rows(self, task: ClassificationTask) -> int:
        """batch * d_z."""
        return self.batch_size * int(task.train_targets.max() + 1)

    def _largest_factor(self, task: ClassificationTask) -> int:
        batch = next(iter(task.minibatches(self.batch_size, 1, self.seed)))
        factors = kfac_factors(task.make_network(self.seed), nn.CrossEntropyLoss(), batch)
        dual = self.form is Form.KFAC_DUAL
        inputs = [len(b.A) if b.rows is None or not dual else len(b.rows.a) for b in factors.blocks]
        return max(*inputs, *(len(b.G) for b in factors.blocks))

    def _solver(self, nodes: int, outputs: int | None = None) -> AnalogSolver:
        outputs = outputs if self.topology == "three_array" else None
        chip = manufacture(self.topology, nodes, self.hardware, seed=self.seed, outputs=outputs)
        return AnalogSolver(
            chip, self.engine, self.duration_tau, self.kappa, self.seed, self.analog_start, self.readouts,
            delay_tau=self.delay_tau, chopped=self.chopped,
        )  # fmt: skip


_KFAC_FORMS = {Form.KFAC: KFACForm.FACTOR, Form.KFAC_DUAL: KFACForm.DUAL}
_DUAL_FORMS = {Form.DUAL: DualForm.SYMMETRIC, Form.DUAL_OUTPUT: DualForm.OUTPUT}


def run_plan(
    plan: TrainingPlan,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int, float, float | None], None] | None = None,
) -> TrainingRecord:
    """Train; ``progress(steps done, loss, accuracy or None)`` is called after every update.

    Raises:
        MisuseError: What task, chip and checkpoint refuse.
        OutcomeError: A step gave no usable answer; what was done is in the checkpoint.
    """
    task = plan.make_task()
    method = plan.method(task)
    rule = LevenbergMarquardt() if plan.adapt_damping else None

    def make(parameters: Iterable[nn.Parameter]) -> NaturalGradientOptimizer[Any]:
        options: dict[str, Any] = {"lr": plan.lr, "damping": plan.damping, "levenberg_marquardt": rule}
        if plan.base is BaseUpdate.SGD:
            return TNGD(parameters, method, **options)
        return TNGDAdam(parameters, method, **options)

    def observe(step: int, found: Any, accuracy: float | None) -> None:
        if progress is not None:
            progress(step + 1, found.loss, accuracy)

    return train_tngd(
        make,
        task,
        network_seed=plan.seed,
        batches_seed=plan.seed,
        batch_size=plan.batch_size,
        steps=plan.steps,
        evaluate_every=max(1, plan.steps // 10),
        name=plan.name,
        observe=observe,
        checkpoint=checkpoint,
    )
