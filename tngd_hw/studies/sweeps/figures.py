"""The figure of a study: for every circuit and matrix family the error parts against the swept quantity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tngd_hw.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, styled, tidy
from tngd_hw.studies.sweeps.results import Series
from tngd_hw.studies.sweeps.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["study_figure"]

_PANEL_INCH = (4.3, 3.3)
_COLOURS = {"settling": GREEN, "systematic": BLUE, "sampling": ORANGE, "total": BLACK}
_SAMPLING = (ORANGE, VERMILION, PURPLE, SKY, GREY)
_DECADES = 9.0
"""Errors this far below the largest are left out: rounding, and nothing to see."""

_UNITS = {
    "kappa": "injected noise κ (1)",
    "duration_tau": "time of the first reading / τ",
    "samples": "readings averaged (1)",
    "programming.bits": "programming.bits (bit)",
}
_SYMBOLS = {
    "ohm": "Ω",
    "farad": "F",
    "henry": "H",
    "siemens": "S",
    "volt": "V",
    "ampere": "A",
    "hz": "Hz",
    "kelvin": "K",
}


def study_figure(study: Study, series: Sequence[Series]) -> Figure:
    """One panel a circuit (rows), matrix family and size (columns); lines are medians, bands 10 % to 90 % of the chips.

    Red figures at the top are the share of the chips without a usable answer; a panel without any says why.
    """
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys(one.topology for one in series))
    columns = list(dict.fromkeys((one.matrix, one.size) for one in series))
    with styled():
        size = (_PANEL_INCH[0] * len(columns) + 0.6, _PANEL_INCH[1] * len(rows) + 1.2)
        figure = Figure(figsize=(max(size[0], 7.5), size[1]), layout="constrained")
        charts = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
        for i, topology in enumerate(rows):
            for k, (matrix, n) in enumerate(columns):
                chosen = [one for one in series if (one.topology, one.matrix, one.size) == (topology, matrix, n)]
                _panel(charts[i, k], study, chosen)
                charts[i, k].set_title(f"{topology}, {matrix}, n = {n}", fontsize=11)
            charts[i, 0].set_ylabel("relative error of x (1)")
        for k in range(len(columns)):
            charts[-1, k].set_xlabel(axis_label(study.quantity))
        _scales(charts.ravel().tolist(), study, series)
        _legend(figure, charts.ravel().tolist(), study)
    return figure


def axis_label(quantity: str) -> str:
    """The swept quantity with its unit."""
    if quantity in _UNITS:
        return _UNITS[quantity]
    unit = next((_SYMBOLS[word] for word in reversed(quantity.split("_")) if word in _SYMBOLS), "1")
    return f"{quantity} ({unit})"


def _panel(chart: Axes, study: Study, curves: Sequence[Series]) -> None:
    tidy(chart)
    if all(point.failed_share == 1 for one in curves for point in one.points):
        first = curves[0].points[0]
        words = f"{', '.join(first.outcomes)}\n{_wrapped(first.detail)}"
        chart.text(0.5, 0.5, words, ha="center", va="center", transform=chart.transAxes, color=GREY, fontsize=9)
        return
    for part in ("settling", "systematic"):
        _line(chart, curves[0], part, _COLOURS[part], part)
    for number, one in enumerate(curves):
        colour = _SAMPLING[number % len(_SAMPLING)]
        readings = "" if study.samples == (1,) else f", {one.samples} reading{'s' if one.samples > 1 else ''}"
        _line(chart, one, "sampling", colour, f"sampling{readings}")
    if len(curves) == 1:
        _line(chart, curves[0], "total", BLACK, "total", dashed=True)
    for point in curves[0].points:
        if point.failed_share > 0:
            chart.text(
                point.value, 0.985, f"{point.failed_share:.1%}".replace(".0%", "%"), color=VERMILION, fontsize=8,
                ha="center", va="top", rotation=90, transform=chart.get_xaxis_transform(),
            )  # fmt: skip


def _line(chart: Axes, one: Series, part: str, colour: str, label: str, *, dashed: bool = False) -> None:
    errors = [point.errors[part] for point in one.points]
    value = np.array([point.value for point in one.points])
    low, median, high = (_positive([getattr(e, name) for e in errors]) for name in ("low", "median", "high"))
    chart.plot(
        value,
        median,
        color=colour,
        ls="--" if dashed else "-",
        lw=1.2 if dashed else 2.4,
        marker="o",
        ms=3,
        label=label,
    )
    if not dashed:
        chart.fill_between(value, low, high, color=colour, alpha=0.18, lw=0)


def _positive(values: list[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What a logarithmic axis can show; the rest is left out."""
    array = np.array(values)
    return np.where(array > 0, array, np.nan)


def _scales(charts: Sequence[Axes], study: Study, series: Sequence[Series]) -> None:
    """Errors on a logarithmic axis; the swept quantity too where it is positive and spans more than a decade."""
    first = charts[0]
    first.set_yscale("log")
    medians = [point.errors[part].high for one in series for point in one.points for part in point.errors]
    shown = [value for value in medians if np.isfinite(value) and value > 0]
    if shown:
        top = max(shown)
        bottom = max(min(shown), top * 10.0**-_DECADES)
        first.set_ylim(bottom / 3, top * 12)
    if study.values[0] > 0 and study.values[-1] >= 20 * study.values[0]:
        for chart in charts:
            chart.set_xscale("log")


_HANDLE_INCH, _LETTER_INCH = 0.65, 0.075
"""Of an entry of a legend: line and gap, and a letter of its text."""


def _legend(figure: Figure, charts: Sequence[Axes], study: Study) -> None:
    held = next((chart for chart in charts if chart.get_legend_handles_labels()[0]), None)
    dies = f"{study.chips} chip{'s' if study.chips > 1 else ''} × {study.repetitions} matrices"
    first = f"{study.name}: {study.hardware.name} hardware, {dies}"
    second = "line: median, band: 10 % to 90 %, red: share of the chips without a usable answer"
    figure.suptitle(f"{first}\n{second}", fontsize=11)
    if held is not None:
        handles, labels = held.get_legend_handles_labels()
        entry_inch = _HANDLE_INCH + _LETTER_INCH * max(len(label) for label in labels)
        columns = max(1, min(4, int(figure.get_figwidth() / entry_inch)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 46)[:5])
