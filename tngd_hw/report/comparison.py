"""What the report shows: several trainings of one network side by side, one solve, and the facts of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tngd_hw.outcome import MisuseError
from tngd_hw.report.metrics import Metrics
from tngd_hw.training import TrainingRecord

__all__ = ["SettlingExample", "TrainingComparison", "is_analog"]


@dataclass(frozen=True, eq=False)
class SettlingExample:
    """One solve: what a simulator says of the circuit, the exact solution of the same circuit, the digital answer.

    Attributes:
        simulator: Name of the engine that simulated, as "ngspice".
        times_s: Its times, shape (T,).
        voltage_volt: Its node voltages, shape (T, n).
        exact_times_s: Times of the exact solution, shape (T2,).
        exact_volt: Node voltages of the exact solution of the same netlist, shape (T2, n).
        digital_volt: v0 A^-1 b, shape (n,).
        tau_s: Time unit of the programmed chip.
        node_names: n names.
    """

    simulator: str
    times_s: Tensor
    voltage_volt: Tensor
    exact_times_s: Tensor
    exact_volt: Tensor
    digital_volt: Tensor
    tau_s: float
    node_names: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.node_names)
        expected = {
            "voltage_volt": (len(self.times_s), n),
            "exact_volt": (len(self.exact_times_s), n),
            "digital_volt": (n,),
        }
        for name, shape in expected.items():
            if tuple(getattr(self, name).shape) != shape:
                raise MisuseError(f"{name} has shape {tuple(getattr(self, name).shape)}: expected {shape}")


@dataclass(frozen=True, eq=False)
class TrainingComparison:
    """The same training done in several ways.

    Attributes:
        records: Analog runs first, the main one at their head; then the digital controls.
        main: Name of the main record.
        differences: Legend text -> relative difference of two answers at every step.
        gate: What the difference ``metrics["gated_difference"]`` must stay below.
        settling: One solve.
        metrics: Everything else that is shown.
    """

    records: tuple[TrainingRecord, ...]
    main: str
    differences: Mapping[str, tuple[float, ...]]
    gate: float
    settling: SettlingExample
    metrics: Metrics

    def __post_init__(self) -> None:
        names = [record.name for record in self.records]
        if len(set(names)) < len(names):
            raise MisuseError(f"records are named {names}: give each run its own name")
        self.record(self.main)
        gated = self.metrics["gated_difference"]
        if gated is not None and gated not in self.differences:
            raise MisuseError(f"gated_difference = {gated!r}: the differences are {list(self.differences)}")
        for name in names:
            if name not in self.metrics["runs"]:
                raise MisuseError(f"metrics['runs'] has no entry for the record {name!r}")

    def record(self, name: str) -> TrainingRecord:
        """The record called ``name``; MisuseError if there is none."""
        for record in self.records:
            if record.name == name:
                return record
        raise MisuseError(f"there is no record {name!r}; there are {[record.name for record in self.records]}")

    def largest_difference(self, name: str) -> float:
        """The largest value of one difference; NaN if a value is NaN or there is none, which no gate lets pass."""
        values = self.differences[name]
        return math.nan if not values or any(math.isnan(value) for value in values) else max(values)

    def as_dict(self) -> dict[str, Any]:
        """The whole comparison as plain JSON data; numbers that JSON cannot hold (a diverged run) become None."""
        document = {
            **self.metrics,
            "main": self.main,
            "agreement": {
                "gate": self.gate,
                "largest": {name: self.largest_difference(name) for name in self.differences},
                "per_step": self.differences,
            },
            "final_accuracy": {record.name: record.final_accuracy for record in self.records},
            "final_loss": {record.name: record.final_loss() for record in self.records},
            "records": [record.as_dict() for record in self.records],
        }
        return _plain(document)


def is_analog(record: TrainingRecord) -> bool:
    """True for a run whose steps came from a chip: it has the chip's time unit at every step."""
    return "tau_s" in record.extra


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - nested plain data
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - nested plain data
    return None if isinstance(value, float) and not math.isfinite(value) else value
