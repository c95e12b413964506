"""The figures of the Poisson study: error against steps and seconds, the map over time and damping, the chips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tngd_hw.report.style import styled, tidy
from tngd_hw.studies.curves.curves import curve_colour
from tngd_hw.studies.poisson.plan import CHIPS, MAP_DAMPINGS, MAP_TIMES
from tngd_hw.studies.poisson.results import Course
from tngd_hw.studies.poisson.runs import FirstOrderRun
from tngd_hw.studies.poisson.solvers import Device

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["chip_figure", "course_figure"]

_ERROR: Final = "relative L2 error of u"
_MARKERS: Final = "osD^vPX*"


def course_figure(courses: Sequence[Course]) -> Figure:
    """Error against steps and against processor time: median over the seeds, band from the lowest to the highest.

    First order is dashed, what an analog device reads is dash-dotted.
    """
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(11.5, 5.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for course, style in zip(courses, _styles(courses), strict=True):
            looked = course.at > 0
            at, error = course.at[looked], course.error[:, looked]
            middle = np.median(error, axis=0)
            left.plot(at, middle, label=_label(course), **style)
            right.plot(np.median(course.seconds[:, looked], axis=0), middle, **style)
            left.fill_between(at, error.min(axis=0), error.max(axis=0), color=style["color"], alpha=0.1, lw=0)
        left.set(xlabel="steps (full batch)", ylabel=_ERROR, xscale="log", yscale="log", xlim=(1, None))
        right.set(xlabel="processor time, one core [s]", xscale="log")
        for axes in (left, right):
            tidy(axes)
        figure.legend(loc="outside lower center", ncols=3, fontsize=9)
        figure.suptitle(
            f"-u'' = f by a two-layer tanh network: median over {len(courses[0].error)} networks, band: all of them",
            fontsize=11,
        )
    return figure


def _styles(courses: Sequence[Course]) -> list[dict[str, Any]]:
    """A line a kind of run, in each kind the colours from the first on."""
    lines = [
        "--" if isinstance(c.run, FirstOrderRun) else "-." if isinstance(c.run.solver, Device) else "-" for c in courses
    ]
    return [{"color": curve_colour(lines[:k].count(line)), "ls": line, "lw": 1.7} for k, line in enumerate(lines)]


def _label(course: Course) -> str:
    symbol = "lr" if isinstance(course.run, FirstOrderRun) else "λ"
    return f"{course.run.name}: {symbol} = {course.run.setting:.2g}"


def chip_figure(errors: Sequence[Sequence[float]], chips: Sequence[Mapping[str, Any]]) -> Figure:
    """Left: final error over analog time and damping, perfect parts.  Right: chips over damping, crosses: no answer."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(12.5, 5.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_map(figure, left, errors)
        for k, name in enumerate(CHIPS):
            rows = [row for row in chips if row["chip"] == name]
            alive = [row for row in rows if row["stopped"] is None]
            colour = curve_colour(k) if k < 6 else ("0.25", "0.6")[k - 6]
            look: dict[str, Any] = {"color": colour, "marker": _MARKERS[k], "lw": 1.4, "ms": 6, "label": name}
            right.plot([row["damping"] for row in alive], [row["error"] for row in alive], **look)
            dead = [row["damping"] for row in rows if row["stopped"] is not None]
            height = [0.97 - 0.03 * k] * len(dead)
            right.plot(dead, height, "x", color=colour, ms=6, transform=right.get_xaxis_transform())
        right.set(xscale="log", yscale="log", xlabel="damping λ", ylabel=_ERROR)
        right.set_title("chips, t = 10 tau/λ; crosses: no usable answer")
        tidy(right)
        right.legend(fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    return figure


def _draw_map(figure: Figure, axes: Axes, errors: Sequence[Sequence[float]]) -> None:
    values = np.log10(np.array(errors, dtype=np.float64))
    image = axes.imshow(values, cmap="viridis", origin="lower", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            text = "-" if math.isnan(value) else _short(10**value)
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color="w" if value < middle else "k")
    axes.set_xticks(range(len(MAP_DAMPINGS)), [_short(value) for value in MAP_DAMPINGS])
    axes.set_yticks(range(len(MAP_TIMES)), [f"{value:g}" for value in MAP_TIMES])
    places = np.array([0.0, len(MAP_DAMPINGS) - 1])
    first_time = math.log10(MAP_TIMES[0])
    axes.plot(places, places - first_time, "r--", lw=1.5, label="t = tau/λ")
    axes.set(xlabel="damping λ", ylabel="analog time t [tau]", title="perfect parts: final " + _ERROR)
    axes.set_xlim(-0.5, len(MAP_DAMPINGS) - 0.5)
    axes.set_ylim(-0.5, len(MAP_TIMES) - 0.5)
    axes.legend(fontsize=9, loc="upper right", bbox_to_anchor=(1.0, -0.11))
    figure.colorbar(image, ax=axes, label="log10 of the error")


def _short(value: float) -> str:
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
