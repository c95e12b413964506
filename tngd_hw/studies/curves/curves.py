"""Training curves over seeds: what is kept of them, how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tngd_hw.studies.curves.cells import CurveRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Curve", "curve_colour", "curves_of", "draw_curves"]

_Floats = NDArray[np.float64]
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#b5598f", "#56b4e9")


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve over its seeds.

    Attributes:
        name: Of the run.
        loss: Mini-batch losses, shape (seeds, steps); NaN after a run that diverged.
        accuracy: Final held-out accuracy of every seed.
        seconds: Time of every seed.
        products: Mean number of curvature products a step, or 0.
        cpu_seconds: Processor time of every seed, on one core; not told by cells of older versions.
    """

    name: str
    loss: _Floats
    accuracy: tuple[float, ...]
    seconds: tuple[float, ...]
    products: float
    cpu_seconds: tuple[float, ...] = ()

    def smoothed(self, window: int) -> _Floats:
        """Mean of the last ``window`` losses, of no more than the last quarter, at every step and seed."""
        sums = np.cumsum(np.insert(self.loss, 0, 0.0, axis=1), axis=1)
        widths = [min(window, 1 + k // 4) for k in range(1, self.loss.shape[1] + 1)]
        means = [(sums[:, k] - sums[:, k - width]) / width for k, width in enumerate(widths, 1)]
        return np.stack(means, axis=1)

    def to_dict(self, window: int) -> dict[str, Any]:
        """For the summary: the end of the curve, mean and standard deviation over the seeds."""
        end = self.loss[:, -window:].mean(axis=1)
        spread = float(end.std(ddof=1)) if len(end) > 1 else None
        return {
            "run": self.name,
            "final_loss_mean": float(end.mean()),
            "final_loss_std": spread,
            "final_accuracy": list(self.accuracy),
            "seconds": list(self.seconds),
            "cpu_seconds": list(self.cpu_seconds),
            "products_a_step": self.products,
        }


def curves_of(
    runs: Sequence[CurveRun], seeds: Sequence[int], steps: int, found: Mapping[tuple[str, int], dict[str, Any]]
) -> list[Curve]:
    """The curves of one figure from the cells."""
    curves: list[Curve] = []
    for run in runs:
        cells = [found[run.name, seed] for seed in seeds]
        loss = np.full((len(seeds), steps), np.nan)
        for row, cell in zip(loss, cells, strict=True):
            values = [np.nan if value is None else value for value in cell["record"]["loss"]]
            row[: len(values)] = values
        accuracies = tuple((cell["record"]["accuracy"] or [float("nan")])[-1] for cell in cells)
        products = [fmean(cell["record"]["extra"].get("products", [0.0])) for cell in cells]
        seconds = tuple(cell["seconds"] for cell in cells)
        used = tuple(cell["cpu_seconds"] for cell in cells if "cpu_seconds" in cell)
        curves.append(Curve(run.name, loss, accuracies, seconds, fmean(products), used))
    return curves


def draw_curves(
    axes: Axes, curves: Sequence[Curve], window: int, labels: Sequence[str], *, dash_controls: bool = True
) -> None:
    """Smoothed loss against the number of the iteration: mean over the seeds, and one standard deviation as a band.

    Curves without curvature products, the controls, are dashed where ``dash_controls``.
    """
    for k, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        smooth = curve.smoothed(window)
        steps = np.arange(1.0, curve.loss.shape[1] + 1)
        mean, spread = smooth.mean(axis=0), smooth.std(axis=0)
        colour, line = curve_colour(k), "--" if dash_controls and curve.products == 0 else "-"
        axes.plot(steps, mean, color=colour, ls=line, lw=1.8, label=label)
        axes.fill_between(steps, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)
    axes.set(xlabel="iteration", ylabel="cross-entropy [nat]")
    axes.set_ylim(0, None)


def curve_colour(k: int) -> str:
    """Colour of the k-th curve of a figure."""
    return _COLOURS[k % len(_COLOURS)]
