"""The result of a study: a labelled dataset, its summary over chips and matrices, and the summary as a table.

Mean, standard deviation, median and the 10 % and 90 % quantiles are taken over all chips of all repetitions whose
outcome is ok; the others are counted by outcome.  The median is what the figures draw: near the limit of stability a
single die can be a thousand times worse than the rest and own the mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tngd_hw import __version__
from tngd_hw.outcome import Outcome
from tngd_hw.studies.sweeps.cells import PARTS
from tngd_hw.studies.sweeps.store import canonical_json
from tngd_hw.studies.sweeps.study import Study
from tngd_hw.studies.sweeps.sweep import FinishedCell

if TYPE_CHECKING:
    import xarray

__all__ = ["Point", "Series", "Spread", "study_dataset", "study_document", "study_series", "study_table"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """One error over chips and matrices; NaN where none has an answer."""

    mean: float
    std: float
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """One value of the sweep.

    Attributes:
        value: Of the swept quantity.
        errors: By part: settling, sampling, systematic, total.
        outcomes: How many chips ended how.
        detail: Why the first of those that are not ok is not.
    """

    value: float
    errors: dict[str, Spread]
    outcomes: dict[str, int]
    detail: str

    @property
    def failed_share(self) -> float:
        """Share of the chips that are not ok."""
        return 1 - self.outcomes.get(Outcome.OK.value, 0) / sum(self.outcomes.values())


@dataclass(frozen=True)
class Series:
    """One curve: a circuit, a matrix family, a size and a number of readings."""

    topology: str
    matrix: str
    size: int
    samples: int
    points: tuple[Point, ...]


def study_series(study: Study, cells: Sequence[FinishedCell]) -> tuple[Series, ...]:
    """Every curve, in the order of the cells.  A swept number of readings gives curves of ``samples`` 1."""
    held: dict[tuple[str, str, int, int], dict[float, list[FinishedCell]]] = {}
    each = iter(cells)
    for topology in study.topologies:
        for source in study.matrices:
            for size in study.sizes:
                for samples in study.samples:
                    key = (topology, str(source), size, samples)
                    held[key] = {value: [next(each) for _ in range(study.repetitions)] for value in study.values}
    return tuple(Series(*key, tuple(_point(v, group) for v, group in at.items())) for key, at in held.items())


def _point(value: float, cells: Sequence[FinishedCell]) -> Point:
    outcomes = [outcome for cell in cells for outcome in cell.record.result["outcomes"]]
    fine = np.array(outcomes) == Outcome.OK.value
    errors = {part: _spread(_numbers(cells, part).ravel()[fine]) for part in PARTS}
    detail = next((cell.record.result["detail"] for cell in cells if cell.record.result["detail"]), "")
    return Point(value, errors, dict(Counter(outcomes)), detail)


def _numbers(cells: Sequence[FinishedCell], part: str) -> Array:
    """Shape (repetitions, chips); null is NaN."""
    return np.array([cell.record.result[part] for cell in cells], dtype=np.float64)


def _spread(values: Array) -> Spread:
    values = values[np.isfinite(values)]
    if not len(values):
        return Spread(*[float("nan")] * 5)
    low, median, high = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    return Spread(float(values.mean()), float(values.std()), median, low, high)


def study_dataset(study: Study, cells: Sequence[FinishedCell]) -> xarray.Dataset:
    """Every chip's errors and outcome, by topology, matrix, size, samples, value, repetition and chip."""
    import xarray

    shape = (
        len(study.topologies), len(study.matrices), len(study.sizes), len(study.samples), len(study.values),
        study.repetitions, study.chips,
    )  # fmt: skip
    dims = ("topology", "matrix", "size", "samples", "value", "repetition", "chip")
    described = {"units": "1", "reference": "2-norm of the exact answer"}
    data: dict[str, Any] = {part: (dims, _numbers(cells, part).reshape(shape), described) for part in PARTS}
    outcomes = np.array([cell.record.result["outcomes"] for cell in cells], dtype=object)
    data["outcome"] = (dims, outcomes.reshape(shape))
    for name in ("tau_s", "duration_s"):
        numbers = np.array([cell.record.result[name] for cell in cells], dtype=np.float64)
        data[name] = (dims[:-1], numbers.reshape(shape[:-1]), {"units": "s"})
    coordinates = {
        "topology": list(study.topologies),
        "matrix": [str(source) for source in study.matrices],
        "size": list(study.sizes),
        "samples": list(study.samples),
        "value": ("value", np.array(study.values, dtype=np.float64), {"quantity": study.quantity}),
        "repetition": range(study.repetitions),
        "chip": range(study.chips),
    }
    about = {"study": canonical_json(study.to_dict()), "quantity": study.quantity, "version": __version__}
    return xarray.Dataset(data, coordinates, about)


def study_document(study: Study, series: Sequence[Series]) -> dict[str, Any]:
    """The summary for JSON; null where no chip has an answer."""
    curves = [
        {
            "topology": one.topology,
            "matrix": one.matrix,
            "size": one.size,
            "samples": one.samples,
            "points": [
                {"value": point.value, **{part: vars(error) for part, error in point.errors.items()}}
                | {"outcomes": point.outcomes, "detail": point.detail}
                for point in one.points
            ],
        }
        for one in series
    ]
    return {"study": study.to_dict(), "version": __version__, "series": curves}


def study_table(study: Study, series: Sequence[Series]) -> str:
    """Every curve as a block of rows: value, the four errors as mean and standard deviation, what went wrong."""
    lines: list[str] = []
    for one in series:
        readings = "" if study.samples == (1,) else f", {one.samples} readings"
        lines += ["", f"{one.topology}, {one.matrix}, n = {one.size}{readings}"]
        if all(point.failed_share == 1 for point in one.points):
            first = one.points[0]
            lines.append(f"  {', '.join(first.outcomes)}: {first.detail}")
            continue
        width = max(12, len(study.quantity) + 2)
        lines.append(f"{study.quantity:>{width}}" + "".join(f"{part:>21}" for part in PARTS))
        for point in one.points:
            errors = "".join(f"{_mean_and_std(point.errors[part]):>21}" for part in PARTS)
            wrong = ", ".join(f"{count} {name}" for name, count in point.outcomes.items() if name != Outcome.OK.value)
            lines.append(f"{point.value:>{width}.6g}{errors}" + (f"   {wrong}" if wrong else ""))
    return "\n".join(lines[1:])


def _mean_and_std(error: Spread) -> str:
    return "-" if np.isnan(error.mean) else f"{error.mean:.2e} ±{error.std:.0e}"
