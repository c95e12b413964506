"""The pictures of a batch of dies: error budget, histogram with yield, and where an array is sensitive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tngd_hw.hardware import Role
from tngd_hw.readout.budget import ErrorBudget
from tngd_hw.readout.montecarlo import MonteCarlo
from tngd_hw.readout.sensitivity import Sensitivity
from tngd_hw.readout.spread import Spread
from tngd_hw.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, styled, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["budget_figure", "error_histogram", "sensitivity_figure"]

_NEGLIGIBLE = 1e-9
"""A part below this share of the largest is not drawn."""

_KINDS = {
    "settling": (GREEN, "settling"),
    "sampling": (ORANGE, "sampling (rms)"),
    "systematic": (BLUE, "systematic"),
    "total": (GREY, "all of it (rms)"),
}
_CAUSE, _INTERACTION = (PURPLE, "cause alone"), (VERMILION, "interaction")


def budget_figure(budget: ErrorBudget) -> Figure:
    """Every part of the error budget: sizes with their spread over chips, and how the parts along the error add up.

    Left: relative 2-norms, logarithmic, mean over chips with the 5 to 95 % range.  Right: the component of each part
    along the whole error that is not noise, mean over chips; these add up exactly.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    spreads = {name: Spread.of(values) for name, values in budget.parts().items()}
    largest = max((s.mean for s in spreads.values() if np.isfinite(s.mean)), default=1.0)
    shown = [name for name, s in spreads.items() if np.isfinite(s.mean) and s.mean > _NEGLIGIBLE * largest]
    with styled():
        figure = Figure(figsize=(12.0, 1.9 + 0.36 * len(shown)), layout="constrained")
        left, right = figure.subplots(1, 2)
        for place, name in enumerate(shown):
            _draw_size(left, place, spreads[name], _look(name)[0])
        left.set_yticks(range(len(shown)), [_KINDS[name][1] if name in _KINDS else name for name in shown])
        left.set_xscale("log")
        left.invert_yaxis()
        left.set(xlabel="size of the part, |error| / |A⁻¹ b| [1]", title="Mean over chips, 5 to 95 % of them")
        _draw_waterfall(right, budget, shown)
        for axes in (left, right):
            tidy(axes)
        looks = dict.fromkeys(_look(name) for name in shown)
        handles = [Patch(color=colour, label=label) for colour, label in looks]
        which = "1 chip" if budget.chips == 1 else f"{budget.chips} chips"
        figure.suptitle(f"Error budget, {which}, read after {budget.duration_s / budget.tau_s:.4g} τ")
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _look(name: str) -> tuple[str, str]:
    return _KINDS.get(name, _INTERACTION if name == "interaction" else _CAUSE)


def _draw_size(axes: Axes, place: int, spread: Spread, colour: str) -> None:
    axes.barh(place, spread.mean, color=colour, height=0.62, alpha=0.85)
    if spread.high > spread.low > 0:
        axes.plot([spread.low, spread.high], [place, place], color="#1a1a1a", lw=1.6, solid_capstyle="butt")


def _draw_waterfall(axes: Axes, budget: ErrorBudget, shown: list[str]) -> None:
    parts = {
        "nominal circuit": budget.nominal,
        **{name: budget.alone[name] for name in budget.effects},
        "interaction": budget.interaction,
        "settling": budget.settling,
    }
    labels: list[str] = []
    end = 0.0
    for name, vectors in parts.items():
        if name not in shown:
            continue
        part = Spread.of(budget.share(vectors)).mean
        axes.barh(len(labels), part, left=end, color=_look(name)[0], height=0.62, alpha=0.85)
        end += part
        axes.plot([end, end], [len(labels) - 0.31, len(labels) + 1.31], color=GREY, lw=0.8)
        labels.append(name)
    axes.barh(len(labels), end, color=GREY, height=0.62, alpha=0.85)
    axes.set_yticks(range(len(labels) + 1), [*labels, "settling + systematic"])
    axes.invert_yaxis()
    axes.axvline(0, color="#1a1a1a", lw=0.8)
    axes.locator_params(axis="x", nbins=5)
    axes.use_sticky_edges = False
    axes.margins(x=0.06)
    axes.set(xlabel="part along the whole error / |A⁻¹ b| [1]", title="How the parts add up, mean over chips")


def error_histogram(result: MonteCarlo, *, tolerance: float | None = None, bins: int = 40) -> Figure:
    """Histogram of the systematic error over chips, with the yield within a tolerance.

    Args:
        result: From :func:`~tngd_hw.readout.montecarlo.monte_carlo`.
        tolerance: Largest relative error that is accepted; None draws none.
        bins: Number of bars.
    """
    from matplotlib.figure import Figure

    values = result.error[torch.isfinite(result.error)].numpy()
    with styled():
        figure = Figure(figsize=(8.0, 4.6), layout="constrained")
        axes = figure.subplots()
        failed = result.chips - int(result.ok.sum())
        label = f"{len(values)} chips" + (f", {failed} more failed" if failed else "")
        if len(values):
            axes.hist(values, bins=bins, color=BLUE, alpha=0.8, label=label)
            axes.axvline(float(np.median(values)), color="#1a1a1a", lw=1.4, ls=":", label="median")
        noise = Spread.of(result.noise).median
        if noise > 0:
            axes.axvline(noise, color=ORANGE, lw=1.6, ls="-.", label="noise of one reading (rms), median chip")
        if tolerance is not None:
            axes.axvline(tolerance, color=VERMILION, lw=1.6, ls="--", label=f"tolerance {tolerance:.3g}")
            axes.set_title(str(result.within(tolerance)).partition(": ")[0])
        axes.set(xlabel="systematic error |x − A⁻¹ b| / |A⁻¹ b| [1]", ylabel="chips")
        axes.set_xlim(left=0)
        tidy(axes)
        axes.legend()
    return figure


def sensitivity_figure(found: Sensitivity, role: Role) -> Figure:
    """Heat map of one array: |dx|/|x| per relative deviation of each component, and the sums by role beside it."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(11.0, 4.8), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.2, 1.0))
        picture: Any = left.imshow(found.array(role).numpy(), cmap="viridis", interpolation="nearest", aspect="auto")
        bar = figure.colorbar(picture, ax=left)
        bar.set_label("|dx| / |x| per relative deviation [1]")
        left.set(xlabel="column", ylabel="row", title=f"Sensitivity to every {role.label}")
        roles = dict(sorted(found.by_role().items(), key=lambda item: item[1]))
        roles = {role: size for role, size in roles.items() if size > _NEGLIGIBLE * max(roles.values())}
        right.barh([role.label for role in roles], list(roles.values()), color=BLUE, alpha=0.85)
        right.set(xlabel="rms |dx| / |x| per relative deviation [1]", title="Independent deviations of a whole role")
        tidy(right)
    return figure
