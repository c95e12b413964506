"""Fig. 3 of the paper in time: what was measured here, and what its timing model says of hardware nobody has built."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from tngd_hw.cost import PAPER_DIGITAL_RATIO, TimingModel, UpdateSize
from tngd_hw.outcome import MisuseError
from tngd_hw.report.style import styled, tidy
from tngd_hw.studies.curves.curves import Curve, curve_colour
from tngd_hw.studies.mnist.runs import BATCH_SIZE, MnistRun
from tngd_hw.tasks import ClassificationTask
from tngd_hw.training import gradient_step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MNIST_UPDATE", "Cells", "analog_step_seconds", "digital_step_seconds", "time_figure", "timing_of"]

Cells = Mapping[tuple[str, int], Mapping[str, Any]]
"""By name of the run and seed."""

MNIST_UPDATE = UpdateSize(parameters=37_434, batch_size=BATCH_SIZE, outputs=10)


def digital_step_seconds(run: MnistRun, task: ClassificationTask, *, steps: int = 25) -> float:
    """Median processor time of an update of a control on one thread, data and evaluation apart.

    Raises:
        MisuseError: A run with a device: its steps take more and more products, so that the first ones tell too little.
    """
    if run.schedule is not None:
        raise MisuseError(f"run = {run.name!r}: it has a device; analog_step_seconds takes the time of its whole runs")
    network, loss = task.make_network(0), nn.CrossEntropyLoss()
    optimizer = run.control()(network.parameters())
    seconds: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            for batch in task.minibatches(BATCH_SIZE, steps, 0):
                begun = time.process_time()
                gradient_step(network, optimizer, loss, batch)
                seconds.append(time.process_time() - begun)
    finally:
        torch.set_num_threads(threads)
    return median(seconds)


def analog_step_seconds(cells: Cells, run: MnistRun, control: MnistRun, control_step_s: float, steps: int) -> float:
    """Mean processor time of an update over whole runs, the median of the seeds.

    Every run has the data, the evaluations and the length of the control with the same seed, so the difference of the
    two processor times is that of their updates.
    """
    seeds = [seed for name, seed in cells if name == run.name]
    more = [cells[run.name, seed]["cpu_seconds"] - cells[control.name, seed]["cpu_seconds"] for seed in seeds]
    return control_step_s + median(more) / steps


def timing_of(adam_step_s: float, duration_tau: float) -> dict[str, float]:
    """Seconds of one TNGD update by the timing model, its digital part twice the measured Adam step."""
    digital = PAPER_DIGITAL_RATIO * adam_step_s
    found = TimingModel().update(MNIST_UPDATE, digital_s=digital, duration_tau=duration_tau)
    return {**vars(found), "total_s": found.total_s, "adam_step_s": adam_step_s}


def time_figure(curves: Sequence[Curve], step_s: Sequence[float], estimated_s: float, window: int) -> Figure:
    """Loss against time: every run with its measured seconds a step, and TNGD with those of the timing model."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(7.5, 5.4), layout="constrained")
        axes = figure.subplots()
        for k, curve in enumerate(curves):
            mean = curve.smoothed(window).mean(axis=0)
            steps = np.arange(1.0, len(mean) + 1)
            line, each = "--" if curve.products == 0 else "-", step_s[k]
            label = f"{curve.name}: {each * 1e3:.3g} ms a step here"
            axes.plot(steps * each, mean, line, color=curve_colour(k), lw=1.8, label=label)
            if curve.products > 0:
                label = f"{curve.name}: {estimated_s * 1e3:.3g} ms a step by the timing model"
                axes.plot(steps * estimated_s, mean, ":", color=curve_colour(k), lw=2.2, label=label)
        axes.set(xscale="log", xlabel="time on one core [s]", ylabel="cross-entropy [nat]")
        axes.set_ylim(0, None)
        axes.set_title(
            f"MNIST: loss against time, mean of up to {window} mini-batches\n"
            "timing model: twice an Adam step, upload of J, H and J^T, relaxation, readout"
        )
        tidy(axes)
        figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    return figure
