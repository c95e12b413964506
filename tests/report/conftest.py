from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tngd_hw.hardware import presets
from tngd_hw.report import Metrics, SettlingExample, TrainingComparison, hardware_facts
from tngd_hw.training import DigitalOptimizer, LearningRateSearch, TrainingRecord
from tngd_hw.training.baselines import LearningRateTrial

STEPS = 30
GATED = "ngspice against the exact solution of the same circuit"
SEARCH = LearningRateSearch(
    kind=DigitalOptimizer.SGD,
    lr=0.316,
    trials=(
        LearningRateTrial(0.1, (0.9, 0.92)),
        LearningRateTrial(0.316, (0.76, 0.78)),
        LearningRateTrial(31.6, (3.0, math.inf)),
    ),
    seeds=((1, 2), (3, 4)),
    batch_size=8,
    steps=STEPS,
)
MAPPING: dict[str, Any] = {
    "topology": "integrator",
    "nodes_used": 80,
    "nodes_on_chip": 96,
    "matrix_components": 6400,
    "inverted_components": 4034,
    "amplifiers": 192,
    "conductance_scale_siemens": 1.9673e-3,
    "component_range": [1.561e-9, 1.001e-3],
    "dynamic_range_db": 116.14,
    "voltage_scale_volt": 0.0576,
    "voltage_limit_volt": 1.5,
    "tau_s": 5e-7,
    "slowest_tau": 10.0,
    "condition_number": 17.086,
    "bandwidth_slowdown": 1.017,
    "gain_damping": 5.41e-5,
    "kappa": 0,
    "noise_psd_ampere2_per_hz": 0.0,
    "effective_temperature_kelvin": 0.0,
}


def record(name: str, accuracy: float, *, analog: bool = True) -> TrainingRecord:
    """A run whose loss is exp(-k/10) and whose last accuracy is ``accuracy``."""
    loss = tuple(math.exp(-k / 10) for k in range(STEPS))
    extra = {"tau_s": (5e-7, 6e-7), "v0_volt": (0.05, 0.2), "peak_volt": (0.3, 0.9)} if analog else {}
    return TrainingRecord(name, loss, (accuracy / 2, accuracy), (10, STEPS), extra)


@pytest.fixture
def records() -> tuple[TrainingRecord, ...]:
    return (
        record("TNGD, ngspice", 0.912),
        record("TNGD, exact circuit", 0.912),
        record("TNGD, noise", 0.871),
        record("SGD", 0.834, analog=False),
        record("Adam", 0.912, analog=False),
    )


@pytest.fixture
def settling() -> SettlingExample:
    """Nodes v_k = k (1 - exp(-t)) volt, k = 0 to 7, in units of tau = 0.5 us; the simulator is 1e-3 too high."""
    exact, times = torch.linspace(0, 50, 101, dtype=torch.float64), torch.linspace(0, 50, 77, dtype=torch.float64)
    size = torch.arange(8, dtype=torch.float64)
    return SettlingExample(
        simulator="ngspice",
        times_s=5e-7 * times,
        voltage_volt=(1 - torch.exp(-times))[:, None] * size * (1 + 1e-3),
        exact_times_s=5e-7 * exact,
        exact_volt=(1 - torch.exp(-exact))[:, None] * size,
        digital_volt=1.25 * size,
        tau_s=5e-7,
        node_names=tuple(f"out{k}" for k in range(8)),
    )


@pytest.fixture
def metrics(records: tuple[TrainingRecord, ...]) -> Metrics:
    engines = dict(
        zip((r.name for r in records), ("ngspice", "state_space", "state_space", "sgd", "adam"), strict=True)
    )
    return {
        "task": {
            "description": "handwritten digits",
            "train_samples": 1400,
            "test_samples": 397,
            "network": "64-32-10 network",
            "parameters": 2410,
        },
        "training": {
            "steps": STEPS,
            "batch_size": 8,
            "learning_rate": 0.125,
            "damping": 0.1,
            "duration_tau": 50.0,
            "choice": "The rate of the analog runs was fixed beforehand.",
        },
        "runs": {
            name: {
                "engine": engine,
                "learning_rate": 0.125,
                "kappa": 1e-3 if "noise" in name else 0.0,
                "wall_time_s": 61.4,
            }
            for name, engine in engines.items()
        },
        "noise": {
            "record": "TNGD, noise",
            "kappa": 1e-3,
            "v0_volt": [0.05, 0.2],
            "effective_temperature_kelvin": [1.81e8, 2.9e9],
        },
        "hardware": hardware_facts(presets.pcb_1k_1n(), seed=7),
        "mapping": MAPPING,
        "learning_rate_searches": [SEARCH.as_dict()],
        "gated_difference": GATED,
        "accuracy_gate": 0.9,
        "seeds": {"network": 11, "die": 7},
        "versions": {"tngd_hw": "0.1.0", "ngspice": "39"},
        "machine": "Linux, 2 cores",
        "wall_time_s": 187.0,
        "command": "tngd-hw demo",
        "files": {"last_step.cir": "the last deck"},
    }


@pytest.fixture
def comparison(records: tuple[TrainingRecord, ...], settling: SettlingExample, metrics: Metrics) -> TrainingComparison:
    differences = {GATED: (2e-6,) * (STEPS - 1) + (4.2e-6,), "circuit against the ideal filter": (0.02,) * STEPS}
    return TrainingComparison(records, records[0].name, differences, 1e-3, settling, metrics)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write the page of a comparison (with fields and metrics changed) and return its text."""
    from tngd_hw.report import write_report

    def written(
        comparison: TrainingComparison,
        pictures: dict[str, Path] | None = None,
        facts: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        metrics = {**comparison.metrics, **(facts or {})}
        changed = replace(comparison, metrics=metrics, **changes)
        return write_report(tmp_path / "report.html", changed, pictures or {}).read_text(encoding="utf-8")

    return written
