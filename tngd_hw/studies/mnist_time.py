"""Fig. 3 of the paper in time: what was measured here, and what its timing model says of hardware nobody has built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tngd_hw.cost import PAPER_DIGITAL_RATIO, TimingModel, UpdateSize
from tngd_hw.report.style import styled, tidy
from tngd_hw.studies.curves import Curve, curve_colour, step_seconds
from tngd_hw.studies.mnist_runs import BATCH_SIZE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MNIST_UPDATE", "time_figure", "timing_of"]

MNIST_UPDATE = UpdateSize(parameters=37_434, batch_size=BATCH_SIZE, outputs=10)


def timing_of(adam: Curve, duration_tau: float) -> dict[str, Any]:
    """Seconds of one TNGD update by the timing model, its digital part twice the measured Adam step."""
    digital = PAPER_DIGITAL_RATIO * step_seconds(adam)
    found = TimingModel().update(MNIST_UPDATE, digital_s=digital, duration_tau=duration_tau)
    return {**vars(found), "total_s": found.total_s, "adam_step_s": step_seconds(adam)}


def time_figure(curves: Sequence[Curve], adam: Curve, duration_tau: float, window: int) -> Figure:
    """Loss against time: every run as measured on one core here, and TNGD by the paper's timing model."""
    from matplotlib.figure import Figure

    estimated = timing_of(adam, duration_tau)["total_s"]
    with styled():
        figure = Figure(figsize=(7.5, 4.8), layout="constrained")
        axes = figure.subplots()
        for k, curve in enumerate(curves):
            mean = curve.smoothed(window).mean(axis=0)
            steps = np.arange(1.0, len(mean) + 1)
            line, each = "--" if curve.products == 0 else "-", step_seconds(curve)
            label = f"{curve.name}: {each * 1e3:.3g} ms a step here"
            axes.plot(steps * each, mean, line, color=curve_colour(k), lw=1.8, label=label)
            if curve.products > 0:
                label = f"{curve.name}: {estimated * 1e3:.3g} ms a step by the timing model"
                axes.plot(steps * estimated, mean, ":", color=curve_colour(k), lw=2.2, label=label)
        axes.set(xscale="log", xlabel="time on one core [s]", ylabel="cross-entropy [nat]")
        axes.set_ylim(0, None)
        axes.set_title(
            f"MNIST: loss against time, mean of the last {window} mini-batches\n"
            "timing model: twice an Adam step, upload of J, H and J^T, t = "
            f"{duration_tau:g} tau, readout"
        )
        tidy(axes)
        axes.legend(fontsize=8)
    return figure
