"""``tngd-hw study training``: what bits, mismatch and noise do to the training of the MNIST network.

Every finished training (one chip, one seed) is kept at once; the result is accuracy and loss against each imperfection
and what a designer must buy to stay within half a per cent of the ideal chip.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from tngd_hw.outcome import MisuseError
from tngd_hw.report.style import save_figure
from tngd_hw.storage import finite_data, write_json, write_text
from tngd_hw.studies.curves.cells import kept_cells
from tngd_hw.studies.training.designs import (
    BATCH_SIZE,
    DAMPING,
    DURATION_TAU,
    KEPT_TAU,
    LEARNING_RATE,
    Axis,
    ChipRun,
    train_on_chip,
)
from tngd_hw.studies.training.designs import chip_runs as all_chip_runs
from tngd_hw.tasks import MNIST_FILES, mnist_task, obtain_data
from tngd_hw.training import TrainingRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ALLOWED_LOSS",
    "ChipResult",
    "needed",
    "run_training_study",
    "training_figure",
    "training_table",
    "write_training",
]

ALLOWED_LOSS: Final = 0.005
"""Held-out accuracy that a chip may lose against the ideal one, a fraction of 1."""

_TAIL: Final = 20
_NO_ANSWER: Final = "diverged, or a step without an answer within its budget"


@dataclass(frozen=True)
class ChipResult:
    """One chip over its seeds.

    Attributes:
        run: The chip.
        accuracy: Final held-out accuracy of every seed, NaN where it diverged.
        loss: Mean of the last mini-batch losses of every seed.
        seconds: Mean time of a training.
    """

    run: ChipRun
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    seconds: float

    def lost(self, ideal: ChipResult) -> tuple[float, float]:
        """Accuracy lost against the ideal chip, seed by seed: mean and standard error (NaN for one seed)."""
        differences = [b - a for a, b in zip(self.accuracy, ideal.accuracy, strict=True)]
        error = _spread(differences) / math.sqrt(len(differences)) if len(differences) > 1 else math.nan
        return fmean(differences), error


def run_training_study(
    out: Path, *, seeds: int, steps: int, workers: int, resume: bool, data_dir: str | None = None,
    runs: Sequence[ChipRun] | None = None,
) -> tuple[ChipResult, ...]:  # fmt: skip
    """Every chip and seed, from its cell in ``out`` where there is one, else computed and kept.

    Raises:
        MisuseError: Cells that are there without ``resume``, missing data, counts below 1.
    """
    if not resume and any((out / "cells").glob("*.json")):
        raise MisuseError(f"{out}: holds the cells of an earlier run; go on with --resume, or choose another --out")
    chips = all_chip_runs() if runs is None else runs
    found = kept_cells(
        chips,
        range(seeds),
        steps,
        out,
        functools.partial(_train, data_dir=data_dir),
        workers=workers,
        prepare=functools.partial(obtain_data, MNIST_FILES, data_dir),
        label="training",
    )
    return tuple(_result(run, seeds, found) for run in chips)


def _train(run: ChipRun, seed: int, steps: int, *, data_dir: str | None) -> TrainingRecord:
    return train_on_chip(run, mnist_task(data_dir=data_dir, dtype=torch.float32), seed=seed, steps=steps)


def _result(run: ChipRun, seeds: int, found: Mapping[tuple[str, int], dict[str, Any]]) -> ChipResult:
    cells = [found[run.name, seed] for seed in range(seeds)]
    accuracy = [(cell["record"]["accuracy"] or [math.nan])[-1] for cell in cells]
    losses = [[math.nan if x is None else x for x in cell["record"]["loss"][-_TAIL:]] for cell in cells]
    return ChipResult(run, tuple(accuracy), tuple(fmean(x) for x in losses), fmean(c["seconds"] for c in cells))


def ideal_for(result: ChipResult, results: Sequence[ChipResult]) -> ChipResult:
    """The ideal chip that starts as this one does; the first of all where there is none."""
    ideals = (other for other in results if other.run.axis is Axis.IDEAL and other.run.start is result.run.start)
    return next(ideals, results[0])


def needed(results: Sequence[ChipResult], axis: Axis) -> float | None:
    """The cheapest value of an axis from which on, towards the better chips, no mean loses more than is allowed."""
    ordered = sorted(
        (r for r in results if r.run.axis is axis), key=lambda r: r.run.value, reverse=axis.larger_is_better
    )
    cheapest = None
    for result in ordered:
        if not result.lost(ideal_for(result, results))[0] <= ALLOWED_LOSS:
            break
        cheapest = result.run.value
    return cheapest


def training_table(results: Sequence[ChipResult]) -> str:
    """What to buy, then every chip: accuracy, loss, accuracy lost against the ideal chip of the same start."""
    ideals = [result for result in results if result.run.axis is Axis.IDEAL]
    named = ", ".join(f"{result.run.name}: {100 * fmean(result.accuracy):.2f} %" for result in ideals)
    lines = [f"accuracy of {named}", f"to stay within {100 * ALLOWED_LOSS:g} % of the ideal chip of the same start:"]
    for axis in _axes(results):
        value = needed(results, axis)
        bound = "at least" if axis.larger_is_better else "at most"
        text = "none of those tried" if value is None else f"{bound} {value:g} {axis.unit}".rstrip()
        lines.append(f"  {axis.label:<34} {text}")
    lines += ["", f"{'chip':<62} {'accuracy':>9} {'loss':>8} {'lost':>16}"]
    for result in results:
        mean, error = result.lost(ideal_for(result, results))
        lost = f"{100 * mean:6.2f} ± {100 * error:4.2f} %" if math.isfinite(error) else f"{100 * mean:6.2f} %"
        accuracy, loss = 100 * fmean(result.accuracy), fmean(result.loss)
        numbers = f"{accuracy:7.2f} % {loss:8.4f} {lost:>16}"
        lines.append(f"{result.run.name:<62} {numbers if math.isfinite(loss) else _NO_ANSWER}")
    return "\n".join(lines)


def training_figure(results: Sequence[ChipResult], steps: int) -> Figure:
    """Accuracy against bits, against mismatch, against noise, and of several imperfections together."""
    from matplotlib.figure import Figure

    from tngd_hw.report.style import styled, tidy

    seeds = len(results[0].accuracy)
    with styled():
        figure = Figure(figsize=(10.5, 7.2), layout="constrained")
        charts = figure.subplots(2, 2, sharey=True).ravel()
        groups = (
            ((Axis.JACOBIAN, Axis.HESSIAN, Axis.GRADIENT, Axis.READOUT), "bits", "linear"),
            ((Axis.SEPARATE, Axis.SHARED), "tolerance of the resistors [%]", "log"),
            ((Axis.NOISE,), "injected noise kappa [1]", "log"),
            ((Axis.TOGETHER, Axis.KEPT), "bits (with mismatch and noise, see the table)", "linear"),
        )
        for chart, (axes, label, scale) in zip(charts, groups, strict=True):
            shown = {axis: [r for r in results if r.run.axis is axis] for axis in axes}
            if not any(shown.values()):
                chart.set_axis_off()
                continue
            for (axis, points), marker in zip(shown.items(), "osd^", strict=False):
                _draw(chart, points, axis.label, marker)
            if Axis.KEPT in axes:
                _draw_ideal_of_kept(chart, results)
            ideal = 100 * fmean(results[0].accuracy)
            chart.axhline(ideal, color="0.3", lw=1, label=f"ideal chip: {ideal:.1f} %")
            chart.axhspan(ideal - 100 * ALLOWED_LOSS, ideal, color="0.5", alpha=0.2, lw=0)
            chart.set(xlabel=label, ylabel="held-out accuracy [%]", xscale=scale)
            chart.legend(fontsize=8, loc="lower right" if scale == "linear" else "lower left")
            tidy(chart)
        figure.suptitle(
            f"MNIST network through imperfect arrays: {steps} steps of {BATCH_SIZE} samples, lambda = {DAMPING:g}, "
            f"eta = {LEARNING_RATE:g}\nt = {DURATION_TAU:g} tau, reset at every step, or {KEPT_TAU:g} tau with the "
            f"state kept; mean over {seeds} die{'s' if seeds > 1 else ''}, bars: one standard deviation\n"
            f"grey: within {100 * ALLOWED_LOSS:g} % of the ideal chip; crosses: a die without an answer, others hollow",
            fontsize=10,
        )
    return figure


def _draw_ideal_of_kept(chart: Axes, results: Sequence[ChipResult]) -> None:
    for result in results:
        if result.run.axis is Axis.IDEAL and result.run.start is not results[0].run.start:
            mean = 100 * fmean(result.accuracy)
            chart.axhline(mean, color="0.3", lw=1, ls="--", label=f"{result.run.name}: {mean:.1f} %")


def _draw(chart: Axes, results: Sequence[ChipResult], label: str, marker: str) -> None:
    x = [result.run.value for result in results]
    y = [100 * fmean(result.accuracy) for result in results]
    spread = [100 * _spread(r.accuracy) if len(r.accuracy) > 1 else 0.0 for r in results]
    line = chart.errorbar(x, y, yerr=spread, marker=marker, ms=5, lw=1.5, capsize=2, label=label)
    colour = line.lines[0].get_color()
    for result in results:
        answers = [100 * value for value in result.accuracy if math.isfinite(value)]
        if len(answers) < len(result.accuracy):
            chart.plot([result.run.value], [0.0], "x", color=colour, ms=8, mew=2)
            chart.plot([result.run.value] * len(answers), answers, marker, color=colour, ms=5, mfc="none")


def write_training(results: Sequence[ChipResult], out: Path, *, steps: int) -> tuple[str, dict[str, Any]]:
    """Write ``table.txt``, ``summary.json``, ``figure.png`` and ``.svg``; returns table and summary."""
    table = training_table(results)
    rows = [
        {
            "chip": r.run.name,
            "axis": r.run.axis.label,
            "value": r.run.value,
            "accuracy": list(r.accuracy),
            "loss": list(r.loss),
            "accuracy_lost_mean": r.lost(ideal_for(r, results))[0],
            "accuracy_lost_standard_error": r.lost(ideal_for(r, results))[1],
            "seconds": r.seconds,
        }
        for r in results
    ]
    document: dict[str, Any] = finite_data(
        {
            "steps": steps,
            "seeds": len(results[0].accuracy),
            "batch_size": BATCH_SIZE,
            "lr": LEARNING_RATE,
            "damping": DAMPING,
            "duration_tau": DURATION_TAU,
            "kept_tau": KEPT_TAU,
            "allowed_loss": ALLOWED_LOSS,
            "needed": {axis.label: needed(results, axis) for axis in _axes(results)},
            "chips": rows,
        }
    )
    write_text(out / "table.txt", table + "\n")
    write_json(out / "summary.json", document)
    figure = training_figure(results, steps)
    for ending in (".png", ".svg"):
        save_figure(figure, out / f"figure{ending}")
    return table, document


def _axes(results: Sequence[ChipResult]) -> list[Axis]:
    found = {result.run.axis for result in results}
    return [axis for axis in Axis if axis in found and axis is not Axis.IDEAL]


def _spread(values: Sequence[float]) -> float:
    """Standard deviation; NaN where a value is."""
    return float(np.std(values, ddof=1))
