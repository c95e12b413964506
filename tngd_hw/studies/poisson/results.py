"""What is kept of the Poisson study's cells: error against steps and seconds, and one row a method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tngd_hw.studies.poisson.plan import CHIP_DAMPINGS, CHIPS, MAP_DAMPINGS, MAP_TIMES, METHODS, SEARCH_SEED
from tngd_hw.studies.poisson.runs import PoissonRun

__all__ = ["GOAL", "Cells", "Course", "chip_table", "courses_of", "error_map", "method_row"]

GOAL: Final = 1e-3
"""Relative error to which times are compared."""

Cells = Mapping[tuple[str, int], dict[str, Any]]
"""By name of the run and seed."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Course:
    """One run over its seeds, at the numbers of steps at which it was looked at.

    Attributes:
        run: What was run.
        at: Steps made, shape (looks,).
        error: Relative L2 error of u, shape (seeds, looks); NaN after a run that stopped.
        loss: Training loss, the same shape.
        seconds: Processor time of the steps, the same shape.
        products: Mean number of curvature products a step; 0 where none are counted.
    """

    run: PoissonRun
    at: _Floats
    error: _Floats
    loss: _Floats
    seconds: _Floats
    products: float


def courses_of(runs: Sequence[PoissonRun], seeds: Sequence[int], cells: Cells) -> list[Course]:
    """The courses of several runs from their cells."""
    courses: list[Course] = []
    for run in runs:
        records: list[dict[str, Any]] = [cells[run.name, seed]["record"]["extra"] for seed in seeds]
        at = max((record["at"] for record in records), key=len)
        parts = [_filled(records, name, len(at)) for name in ("error", "loss_at", "cpu_seconds")]
        products = [fmean(record.get("products") or [0.0]) for record in records]
        courses.append(Course(run, np.array(at), parts[0], parts[1], parts[2], fmean(products)))
    return courses


def _filled(records: Sequence[Mapping[str, Any]], name: str, looks: int) -> _Floats:
    values = np.full((len(records), looks), np.nan)
    for row, record in zip(values, records, strict=True):
        found = [np.nan if value is None else value for value in record[name]]
        row[: len(found)] = found
    return values


def method_row(course: Course) -> dict[str, Any]:
    """The end of a run over its seeds, and what it took to come to an error of ``GOAL`` (None where not all did)."""
    end = course.error[:, -1]
    reached = [_first_below(course, k) for k in range(len(course.error))]
    steps = [float(course.at[k]) for k in reached if k is not None]
    seconds = [float(row[k]) for row, k in zip(course.seconds, reached, strict=True) if k is not None]
    everyone = len(steps) == len(reached)
    return {
        "method": course.run.name,
        "setting": course.run.setting,
        "steps": int(course.at[-1]),
        "error": [float(value) for value in end],
        "error_median": float(np.median(end)),
        "loss_median": float(np.median(course.loss[:, -1])),
        "products_a_step": course.products,
        "cpu_seconds_median": float(np.median(course.seconds[:, -1])),
        "steps_to_goal": median(steps) if everyone else None,
        "cpu_seconds_to_goal": median(seconds) if everyone else None,
    }


def _first_below(course: Course, seed: int) -> int | None:
    below = np.flatnonzero(course.error[seed] <= GOAL)
    return int(below[0]) if len(below) else None


def error_map(cells: Cells) -> list[list[float]]:
    """Final error on the search network, rows ``MAP_TIMES``, columns ``MAP_DAMPINGS``."""
    by_name = {method.name: method for method in METHODS}
    rows = [by_name[f"TNGD, t = {t:g} tau"].trials() for t in MAP_TIMES]
    return [[final_error(cells[run.name, SEARCH_SEED]) for run in row[: len(MAP_DAMPINGS)]] for row in rows]


def final_error(cell: Mapping[str, Any]) -> float:
    """Relative error at the end of a run, or where it stopped; NaN after a divergence."""
    last = cell["record"]["extra"]["error"][-1]
    return math.nan if last is None else float(last)


def stopped(cell: Mapping[str, Any]) -> str | None:
    """Why and after which step a run stopped, or None."""
    extra: dict[str, list[float]] = cell["record"]["extra"]
    found = [
        (name.removeprefix("stopped: "), values[0]) for name, values in extra.items() if name.startswith("stopped")
    ]
    return f"{found[0][0]} at step {found[0][1]:.0f}" if found else None


def chip_table(cells: Cells, seed: int) -> list[dict[str, Any]]:
    """One row a chip and damping: final error, why it stopped, analog time of a step, curvature products a step."""
    rows: list[dict[str, Any]] = []
    for name in CHIPS:
        for damping in CHIP_DAMPINGS:
            cell = cells[f"{name}, {damping:.3g}", seed]
            extra: dict[str, list[float]] = cell["record"]["extra"]
            rows.append(
                {
                    "chip": name,
                    "damping": damping,
                    "error": final_error(cell),
                    "stopped": stopped(cell),
                    "analog_seconds_a_step": _mean(extra.get("analog_seconds")),
                }
            )
    return rows


def _mean(values: Sequence[float] | None) -> float | None:
    return fmean(values) if values else None
