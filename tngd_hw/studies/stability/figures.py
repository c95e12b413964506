"""Figures of the stability study: a map with its limit, ngspice's verdicts on it, and runs on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tngd_hw.report.style import BLACK, BLUE, VERMILION, save_figure, styled, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tngd_hw.studies.stability.map import LoopMap, MarkedPoint, UnstableFraction

__all__ = ["integrator_figure", "loop_figure", "save_both"]

Array = NDArray[np.float64]

_GBW_LABEL, _MU_LABEL = "amplifier GBW / MHz", r"$\mu_{\max}$, largest eigenvalue of $J^T H J$"
_DAMPING_LEVELS = (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_MARGIN_LEVELS = (-20.0, -10.0, -5.0, -2.0, 0.0, 0.5, 0.8, 0.9, 0.95, 1.0)


def loop_figure(found: LoopMap, marks: Sequence[MarkedPoint]) -> Figure:
    """Damping ratio and margin over mu_max and GBW with ngspice's verdicts, and ngspice's runs at one GBW."""
    with styled():
        figure, (damping, margin), runs = _axes(2, (17.0, 5.2))
        labels = (
            "smallest damping ratio (below 0: unstable)",
            r"rate of the slowest mode / $\lambda$ (below 0: it grows)",
        )
        _filled(damping, found, found.damping_ratio, _DAMPING_LEVELS, labels[0])
        _filled(margin, found, found.margin, _MARGIN_LEVELS, labels[1])
        for chart in (damping, margin):
            _limits(chart, found)
            _mark(chart, marks)
            chart.set_title(rf"three_array, $N$ = {found.nodes}, $m$ = {found.outputs}, $\lambda$ = 0.1")
        _legend(damping)
        _runs(runs, _middle_pair(marks))
        return figure


def integrator_figure(found: UnstableFraction, marks: Sequence[MarkedPoint]) -> Figure:
    """Unstable share of random matrices that are not symmetric, and ngspice on both sides for one of them."""
    with styled():
        figure, (chart,), runs = _axes(1, (12.0, 5.2))
        mesh = chart.pcolormesh(
            found.gain_bandwidth_hz / 1e6, found.mu_max, found.fraction.T, cmap="Reds", vmin=0.0, vmax=1.0,
            shading="nearest", edgecolors="white", linewidth=0.6,
        )  # fmt: skip
        figure.colorbar(mesh, ax=chart).set_label(f"unstable share of {found.draws} matrices")
        _log_axes(chart, _GBW_LABEL, r"$\mu_{\max}$ of $A = \lambda I + \mu_{\max}(W + K)$")
        _mark(chart, marks)
        chart.set_title(rf"integrator, $A$ not symmetric, $n$ = {found.nodes}, $\lambda$ = 0.1")
        _legend(chart)
        _runs(runs, _middle_pair(marks))
        return figure


def save_both(figure: Figure, path: Path) -> None:
    """SVG and PNG."""
    for ending in (".svg", ".png"):
        save_figure(figure, path.with_suffix(ending))


def _axes(maps: int, size_inch: tuple[float, float]) -> tuple[Figure, list[Axes], list[Axes]]:
    """Maps side by side, and two charts of runs above each other on their right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_inch, layout="constrained")
    grid = figure.add_gridspec(2, maps + 1)
    charts = [figure.add_subplot(grid[:, k]) for k in range(maps)]
    upper = figure.add_subplot(grid[0, maps])
    return figure, charts, [upper, figure.add_subplot(grid[1, maps])]


def _filled(chart: Axes, found: LoopMap, value: Array, levels: Sequence[float], label: str) -> None:
    """Bands of ``levels``, reds below 0 and blues above, each band as far from the next in colour."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, ListedColormap

    below = levels.index(0.0)
    shares = [0.48 * k / below for k in range(below)]
    shares += [0.55 + 0.4 * k / (len(levels) - 2 - below) for k in range(len(levels) - 1 - below)]
    colours = ListedColormap(colormaps["RdBu"](shares)).with_extremes(under=colormaps["RdBu"](0.0))
    filled = chart.contourf(
        found.gain_bandwidth_hz / 1e6, found.mu_max, value.T, levels=levels, cmap=colours,
        norm=BoundaryNorm(levels, len(levels) - 1), extend="min",
    )  # fmt: skip
    chart.figure.colorbar(filled, ax=chart, ticks=levels, format="{x:g}").set_label(label)


def _limits(chart: Axes, found: LoopMap) -> None:
    chart.plot(found.gain_bandwidth_hz / 1e6, found.limit_mu_max, color=BLACK, lw=2, label="limit of stability")
    chart.axhline(found.default_mu_max, color=BLACK, ls="--", lw=1.2, label="the topology's own scaling of this J")
    _log_axes(chart, _GBW_LABEL, _MU_LABEL)
    chart.set_xlim(float(found.gain_bandwidth_hz[0]) / 1e6, float(found.gain_bandwidth_hz[-1]) / 1e6)
    chart.set_ylim(float(found.mu_max[0]), float(found.mu_max[-1]))


def _mark(chart: Axes, marks: Sequence[MarkedPoint]) -> None:
    for grew, marker, colour, text in (
        (False, "o", BLUE, "ngspice: decays"),
        (True, "^", VERMILION, "ngspice: grows"),
    ):
        chosen = [m for m in marks if m.confirmation.grew is grew]
        place = [m.gain_bandwidth_hz / 1e6 for m in chosen], [m.mu_max for m in chosen]
        chart.plot(*place, marker, color=colour, ms=9, mec="white", mew=1.2, ls="", label=text, zorder=5)


def _log_axes(chart: Axes, x_label: str, y_label: str) -> None:
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    chart.set_xscale("log")
    chart.set_yscale("log")
    for axis in (chart.xaxis, chart.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    chart.set_xlabel(x_label)
    chart.set_ylabel(y_label)


def _legend(chart: Axes) -> None:
    chart.figure.legend(*chart.get_legend_handles_labels(), loc="outside lower left", ncols=4, frameon=False)


def _middle_pair(marks: Sequence[MarkedPoint]) -> Sequence[MarkedPoint]:
    """The two sides of the limit at the middle one of the marked places."""
    first = (len(marks) // 2 - 1) // 2 * 2
    return marks[first : first + 2]


def _runs(charts: Sequence[Axes], marks: Sequence[MarkedPoint]) -> None:
    """An output of each ngspice run, and the envelope that the eigenvalue predicts."""
    for chart, mark in zip(charts, marks, strict=True):
        tidy(chart)
        found = mark.confirmation
        node = int(found.mode_volt.argmax())
        envelope = found.mode_volt[node] * np.exp(found.predicted.real * found.time_tau)
        colour = VERMILION if found.grew else BLUE
        chart.plot(found.time_tau, found.volt[:, node], color=colour, lw=1.0, label="ngspice")
        chart.plot(found.time_tau, envelope, color=BLACK, ls="--", lw=1.4, label="predicted envelope")
        chart.plot(found.time_tau, -envelope, color=BLACK, ls="--", lw=1.4)
        chart.set_ylabel(f"output {node} / V")
        gbw = mark.gain_bandwidth_hz / 1e6
        chart.set_title(rf"ngspice at $\mu_{{\max}}$ = {mark.mu_max:.3g}, GBW = {gbw:.3g} MHz")
    charts[0].legend(loc="upper right", ncols=2, framealpha=0.9)
    charts[-1].set_xlabel(r"time / $\tau$")
