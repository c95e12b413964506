"""The chips of the training study: one imperfection at a time, several together, and the perfect one.

The paper (arXiv 2405.13817) assumes 16 bits and suspects that training tolerates errors of precision; it has no such
study.  Every run here is the same training (network, batches) through three arrays of J, H and J^T
(:class:`tngd_hw.training.ArrayDevice`); only the chip differs.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from typing import Any, Final

from tngd_hw.hardware import HardwareSpec, Role, presets
from tngd_hw.outcome import OutcomeError
from tngd_hw.training import (
    TNGD,
    AnalogSchedule,
    AnalogStart,
    ArrayDevice,
    ArrayGradient,
    TrainingRecord,
    TrainingTask,
    train_tngd,
)

__all__ = [
    "BATCH_SIZE",
    "DAMPING",
    "DURATION_TAU",
    "KEPT_TAU",
    "LEARNING_RATE",
    "Axis",
    "ChipRun",
    "chip_runs",
    "train_on_chip",
]

BATCH_SIZE: Final = 16
LEARNING_RATE: Final = 0.01
DAMPING: Final = 0.01
DURATION_TAU: Final = 50.0
"""Of a device that is reset to the gradient at every step."""
KEPT_TAU: Final = 5.0
"""Of one that keeps its state, as in the paper's Algorithm 1."""

_PRODUCTS: Final = 120
"""Budget of the mean a step: stable arrays take 15 to 60 products, growing ones any number."""

_BITS: Final = (2, 3, 4, 5, 6, 8, 12, 16)
_TOLERANCES: Final = (0.001, 0.01, 0.02, 0.05, 0.1, 0.15)
"""Of 12 million Gaussian resistors with 20 % some would be below 0: there is no such die."""
_KAPPAS: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_JOINT: Final = ((4, 0.1, 1e-3), (5, 0.05, 1e-3), (6, 0.02, 1e-4), (8, 0.01, 1e-4), (12, 0.001, 1e-5))
"""Bits of everything but the damping, tolerance of the resistors (arrays of their own), injected noise."""


class Axis(enum.Enum):
    """What a run varies: label, unit of its values, and whether a larger value is the better chip."""

    IDEAL = ("the ideal chip", "", True)
    JACOBIAN = ("bits of J and J^T", "bits", True)
    HESSIAN = ("bits of H", "bits", True)
    GRADIENT = ("bits of the gradient (DAC)", "bits", True)
    READOUT = ("bits of the readout (ADC)", "bits", True)
    SEPARATE = ("mismatch, J and J^T apart", "%", False)
    SHARED = ("mismatch, one array both ways", "%", False)
    NOISE = ("injected noise kappa", "", False)
    TOGETHER = ("everything together", "bits", True)
    KEPT = ("everything together, state kept", "bits", True)

    def __init__(self, label: str, unit: str, larger_is_better: bool) -> None:
        self.label = label
        self.unit = unit
        self.larger_is_better = larger_is_better


@dataclass(frozen=True)
class ChipRun:
    """One chip.

    Attributes:
        axis: What it varies.
        value: Of what is varied: bits, per cent, kappa.
        hardware: What the die is made of.
        kappa: Injected noise.
        exact: Arrays that are held as computed.
        note: What else is worth saying of it.
        start: Where the device starts at every step.
        duration_tau: Analog time.
    """

    axis: Axis
    value: float
    hardware: HardwareSpec
    kappa: float = 0.0
    exact: tuple[Role, ...] = ()
    note: str = ""
    start: AnalogStart = AnalogStart.GRADIENT
    duration_tau: float = DURATION_TAU

    @property
    def name(self) -> str:
        """For tables and cells."""
        value = f"{self.value:g}{' ' if self.axis.unit else ''}{self.axis.unit}"
        return self.axis.label + self.note if self.axis is Axis.IDEAL else f"{self.axis.label}: {value}{self.note}"

    def configuration(self) -> dict[str, Any]:
        """All that its numbers depend on beside seed and length, as plain data."""
        start = {} if self.start is AnalogStart.GRADIENT else {"start": self.start.value}
        return {
            **start,
            "hardware": self.hardware.to_dict(),
            "kappa": self.kappa,
            "exact": [role.name for role in self.exact],
            "batch_size": BATCH_SIZE,
            "lr": LEARNING_RATE,
            "damping": DAMPING,
            "duration_tau": self.duration_tau,
        }


def chip_runs() -> tuple[ChipRun, ...]:
    """Every chip of the study; the first one is ideal.  With everything together both starts are tried."""
    ideal = presets.ideal()
    arrays = (Role.JACOBIAN, Role.TRANSPOSE, Role.DAMPING)
    runs = [ChipRun(Axis.IDEAL, 0.0, ideal)]
    for bits in _BITS:
        rounded = ideal.with_value("programming.bits", bits)
        runs += [
            ChipRun(Axis.JACOBIAN, bits, rounded, exact=(Role.HESSIAN, Role.DAMPING)),
            ChipRun(Axis.HESSIAN, bits, rounded, exact=arrays),
            ChipRun(Axis.GRADIENT, bits, ideal.with_value("dac.bits", bits)),
            ChipRun(Axis.READOUT, bits, ideal.with_value("adc.bits", bits)),
        ]
    for tolerance in _TOLERANCES:
        apart = ideal.with_value("resistors.tolerance_dtod", tolerance)
        runs.append(ChipRun(Axis.SEPARATE, 100 * tolerance, apart))
        runs.append(ChipRun(Axis.SHARED, 100 * tolerance, apart.with_value("mismatch.shared_arrays", True)))
    runs += [ChipRun(Axis.NOISE, kappa, ideal, kappa) for kappa in _KAPPAS]
    for bits, tolerance, kappa in _JOINT:
        spec = ideal.with_value("resistors.tolerance_dtod", tolerance)
        for part in ("programming", "dac", "adc"):
            spec = spec.with_value(f"{part}.bits", bits)
        note = f", {100 * tolerance:g} %, kappa {kappa:g}"
        runs.append(ChipRun(Axis.TOGETHER, bits, spec, kappa, exact=(Role.DAMPING,), note=note))
    together = [run for run in runs if run.axis is Axis.TOGETHER]
    kept = [replace(run, axis=Axis.KEPT) for run in together] + [replace(runs[0], note=", state kept")]
    return (*runs, *(replace(run, start=AnalogStart.PREVIOUS, duration_tau=KEPT_TAU) for run in kept))


def train_on_chip(run: ChipRun, task: TrainingTask, *, seed: int, steps: int) -> TrainingRecord:
    """Train through one chip; network, batches, die and noise have the number ``seed``.

    A training that diverges, or has a step without an answer within the budget of products (a circuit that grows),
    ends its record there, its last loss NaN.

    Cost: about 0.5 s a step on one core for the MNIST network.
    """
    losses: list[float] = []

    def watch(_step: int, found: ArrayGradient, _accuracy: float | None) -> None:
        losses.append(found.loss)

    plan = AnalogSchedule(run.duration_tau, run.start, kappa=run.kappa, tolerance=1e-3, max_products=_PRODUCTS)
    device = ArrayDevice(run.hardware, plan, seed=seed, noise_seed=seed, exact=run.exact)
    try:
        return train_tngd(
            lambda parameters: TNGD(parameters, device, lr=LEARNING_RATE, damping=DAMPING),
            task,
            network_seed=seed,
            batches_seed=seed,
            batch_size=BATCH_SIZE,
            steps=steps,
            evaluate_every=steps,
            name=run.name,
            observe=watch,
        )
    except OutcomeError:
        return TrainingRecord(run.name, (*losses, math.nan))
