"""The facts of a demonstration, for ``metrics.json`` and the report."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from importlib.metadata import version

import torch

from tngd_hw import __version__
from tngd_hw.engines import find_ngspice, ngspice_version
from tngd_hw.report import Metrics, NoiseFacts, RunFacts, hardware_facts
from tngd_hw.studies import AgreementWatch, AnalogRun, DigitalRun, RunResult, SideBySide
from tngd_hw.tasks import DIGITS_SPLIT_SEED
from tngd_hw.topologies import effective_temperature_kelvin
from tngd_hw.training import NaturalGradient

__all__ = ["Demonstration", "metrics_of"]


@dataclass(frozen=True, eq=False)
class Demonstration:
    """Everything that was done.

    Attributes:
        shared: What all runs share.
        runs: What was run, in order; the main run first.
        results: Their results by name.
        watch: Per-step differences of the main run.
        last: Last step of the main run.
        started_at: ``time.perf_counter()`` at the start.
        accuracy_gate: Held-out accuracy that the main run must reach, or None for a short run.
        command: How to do it again.
        note: What the reader must be told first, or nothing.
    """

    shared: SideBySide
    runs: tuple[AnalogRun | DigitalRun, ...]
    results: dict[str, RunResult]
    watch: AgreementWatch
    last: NaturalGradient
    started_at: float
    accuracy_gate: float | None
    command: str
    note: str


def metrics_of(done: Demonstration) -> Metrics:
    """The facts, as plain data with finite numbers."""
    shared = done.shared
    metrics: Metrics = {
        "task": {
            "description": "scikit-learn's digits: 8 x 8 grey images of handwritten digits",
            "train_samples": len(shared.task.train_targets),
            "test_samples": len(shared.task.test_targets),
            "network": "64-32-10 network with tanh",
            "parameters": done.last.factors.parameter_count,
        },
        "training": {
            "steps": shared.steps,
            "batch_size": shared.batch_size,
            "learning_rate": shared.learning_rate,
            "damping": shared.damping,
            "duration_tau": shared.duration_tau,
            "choice": "Learning rate and damping of the analog runs are those of a first prototype and were not "
            "searched; the learning rates of SGD and Adam were.",
        },
        "runs": {run.name: _facts_of(shared, run, done.results[run.name]) for run in done.runs},
        "noise": _noise_facts(done),
        "hardware": hardware_facts(shared.chip.hardware, seed=shared.chip.seed),
        "mapping": done.last.solve.loaded.report.to_dict(),
        "learning_rate_searches": [r.search.as_dict() for r in done.results.values() if r.search is not None],
        "gated_difference": next(iter(done.watch.differences)),
        "accuracy_gate": done.accuracy_gate,
        "seeds": {
            "network, batches and noise": shared.network_seed,
            "die": shared.chip.seed,
            "split of the data": DIGITS_SPLIT_SEED,
        },
        "versions": _versions(),
        "machine": f"{platform.system()}, {platform.machine()}, {torch.get_num_threads()} threads",
        "wall_time_s": time.perf_counter() - done.started_at,
        "command": done.command,
        "files": {
            "metrics.json": "every figure of this page",
            "last_step.cir": "the circuit of the last step; run it with: ngspice -b last_step.cir",
        },
    }
    if done.note:
        metrics["note"] = done.note
    return metrics


def _facts_of(shared: SideBySide, run: AnalogRun | DigitalRun, result: RunResult) -> RunFacts:
    if isinstance(run, AnalogRun):
        engine, rate, kappa = run.engine.name, shared.learning_rate, run.kappa
    else:
        engine, rate, kappa = run.optimizer.value, result.searched_rate, 0.0
    return {"engine": engine, "learning_rate": rate, "kappa": kappa, "wall_time_s": result.wall_time_s}


def _noise_facts(done: Demonstration) -> NoiseFacts | None:
    """kappa, v0 and T_eff over the steps of the first run with injected noise."""
    noisy = next((run for run in done.runs if isinstance(run, AnalogRun) and run.kappa > 0), None)
    if noisy is None:
        return None
    scales = done.results[noisy.name].record.extra["v0_volt"]
    span = (min(scales), max(scales))
    capacitance = done.shared.chip.hardware.capacitors.capacitance_farad
    return {
        "record": noisy.name,
        "kappa": noisy.kappa,
        "v0_volt": list(span),
        "effective_temperature_kelvin": [effective_temperature_kelvin(noisy.kappa, v0, capacitance) for v0 in span],
    }


def _versions() -> dict[str, str]:
    found = {"tngd_hw": __version__, "python": platform.python_version()}
    found |= {name: version(name) for name in ("torch", "numpy", "scipy")}
    path = find_ngspice()
    return found if path is None else {**found, "ngspice": str(ngspice_version(path).major)}
