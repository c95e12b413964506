"""The cells of a study: every combination of its axes, each a pure function of its configuration.

Matrices and dies come from seeds derived from the study's seed and the number of the repetition alone.  So the same
matrices meet the same dies at every value of the sweep: curves differ by the swept quantity and not by luck, and a
cell's numbers depend on no other cell, no order and no number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from tngd_hw.hardware import HardwareSpec
from tngd_hw.random import derived_seed
from tngd_hw.studies.solves.linear import ChipErrors, measure_solves
from tngd_hw.studies.solves.readings import Reading
from tngd_hw.studies.sweeps.fisher import TrainingStages
from tngd_hw.studies.sweeps.matrices import MatrixSource, make_problem
from tngd_hw.studies.sweeps.study import RunQuantity, Study, StudyEngine

__all__ = ["PARTS", "Cell", "expand", "run_cell"]

PARTS = ("settling", "sampling", "systematic", "total")
"""The errors that a cell holds for every chip."""


@dataclass(frozen=True)
class Cell:
    """One combination: a matrix, a batch of dies, a value.

    Attributes:
        topology: Name of the circuit.
        source: Matrix family.
        n: Unknowns.
        repetition: Number of the matrix and of the batch of dies.
        value: Of the swept quantity; it is in ``hardware`` or in ``reading`` already.
        hardware: What the dies are made of.
        reading: When and how often they are read.
        chips: Dies.
        engine: Where the equations come from.
        seed: Of the study.
    """

    topology: str
    source: MatrixSource
    n: int
    repetition: int
    value: float
    hardware: HardwareSpec
    reading: Reading
    chips: int
    engine: StudyEngine
    seed: int

    def configuration(self) -> dict[str, Any]:
        """All that the numbers depend on, as plain data (of a user's file its contents' hash, not its place)."""
        source = self.source
        return {
            "topology": self.topology,
            "matrix": {"family": source.family.value, "condition": source.condition, "digest": source.digest},
            "n": self.n,
            "repetition": self.repetition,
            "hardware": self.hardware.to_dict(),
            "duration_tau": self.reading.duration_tau,
            "kappa": self.reading.kappa,
            "samples": self.reading.samples,
            "spacing_tau": self.reading.spacing_tau,
            "chips": self.chips,
            "engine": self.engine.value,
            "seed": self.seed,
        }


def expand(study: Study) -> Iterator[Cell]:
    """Every cell, in the order topologies, matrices, sizes, samples, values, repetitions."""
    specs = {value: study.hardware_at(value) for value in study.values}
    axes = product(study.topologies, study.matrices, study.sizes, study.samples, study.values)
    for topology, source, n, samples, value in axes:
        base = Reading(study.duration_tau, study.kappa, samples, study.spacing_tau)
        reading = _reading_at(base, study.run_quantity, value)
        for repetition in range(study.repetitions):
            yield Cell(
                topology, source, n, repetition, value, specs[value], reading, study.chips, study.engine, study.seed
            )


def run_cell(cell: Cell, stages: TrainingStages | None = None) -> dict[str, Any]:
    """The errors of every chip as plain data: lists of ``chips`` numbers (null where there is no answer) and outcomes.

    Args:
        cell: The combination.
        stages: The training run, where the matrix comes from one.
    """
    problem = make_problem(cell.source, cell.n, seed=cell.seed, repetition=cell.repetition, stages=stages)
    dies = derived_seed(cell.seed, "study.dies", cell.repetition)
    found = measure_solves(
        cell.topology, problem, cell.hardware, cell.reading, chips=cell.chips, seed=dies, engine=cell.engine
    )
    return _plain(found)


def _reading_at(base: Reading, quantity: RunQuantity | None, value: float) -> Reading:
    match quantity:
        case RunQuantity.DURATION_TAU:
            return replace(base, duration_tau=value)
        case RunQuantity.KAPPA:
            return replace(base, kappa=value)
        case RunQuantity.SAMPLES:
            return replace(base, samples=int(value))
        case None:
            return base


def _plain(found: ChipErrors) -> dict[str, Any]:
    parts: dict[str, Any] = {name: [_number(x) for x in getattr(found, name).tolist()] for name in PARTS}
    statuses = found.statuses
    return parts | {
        "outcomes": [status.outcome.value for status in statuses],
        "detail": next((status.detail for status in statuses if not status.ok), ""),
        "tau_s": _number(found.tau_s),
        "duration_s": _number(found.duration_s),
    }


def _number(x: float) -> float | None:
    return x if math.isfinite(x) else None
