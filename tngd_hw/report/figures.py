"""The pictures of a training run: curves of all runs, one solve, the agreement of the simulators."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tngd_hw.report.comparison import SettlingExample, is_analog
from tngd_hw.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, styled, tidy
from tngd_hw.training import TrainingRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["agreement_figure", "settling_figure", "training_figure"]

_MAX_NODES = 6
_NODE_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, BLACK)

# Analog runs lie on top of each other: a broad pale band, a line in it, dashes on the line, then others apart.
_ANALOG_STYLES: tuple[dict[str, Any], ...] = (
    {"color": SKY, "lw": 8, "alpha": 0.45, "solid_capstyle": "round"},
    {"color": BLUE, "lw": 2.2},
    {"color": BLACK, "lw": 1.4, "dashes": (2.5, 2.5)},
    {"color": GREEN, "lw": 2.4, "ls": (0, (1, 1.6))},
    {"color": GREY, "lw": 1.8, "ls": "-."},
)
_DIGITAL_STYLES: tuple[dict[str, Any], ...] = (
    {"color": VERMILION, "lw": 1.8, "ls": "-."},
    {"color": ORANGE, "lw": 1.8, "ls": (0, (5, 2))},
    {"color": PURPLE, "lw": 1.8, "ls": ":"},
)


def training_figure(records: Sequence[TrainingRecord]) -> Figure:
    """Mini-batch loss and held-out accuracy against step, all runs.

    Args:
        records: Analog runs first, the main one at their head (a broad pale band, since the others lie on it); then
            the digital controls.  A run that diverged ends where its loss is no longer finite.

    Returns:
        A figure of two panels with one legend, which states every final accuracy.
    """
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(10.5, 5.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        window = smoothing_window(max((record.steps for record in records), default=0))
        for record, style in zip(records, _styles(records), strict=True):
            _draw_loss(left, record, style, window)
            _draw_accuracy(right, record, style)
        means = f", mean of {window} steps over the raw values" if window > 1 else ""
        left.set(xlabel="step", ylabel="cross-entropy [nat]", title=f"Loss of the mini-batch{means}")
        right.set(xlabel="step", ylabel="accuracy [%]", title="Accuracy on held-out samples")
        left.set_ylim(0, _loss_top(records))
        right.set_ylim(top=101)
        for axes in (left, right):
            axes.set_xlim(left=0)
            tidy(axes)
        if records:
            handles, labels = right.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), handlelength=3)
    return figure


def smoothing_window(steps: int) -> int:
    """Odd number of steps that the loss curve averages over: about a twelfth of the run, 1 for a short one."""
    return 2 * (steps // 24) + 1


def _styles(records: Sequence[TrainingRecord]) -> list[dict[str, Any]]:
    styles: list[dict[str, Any]] = []
    analog = digital = 0
    for record in records:
        if is_analog(record):
            styles.append(_ANALOG_STYLES[analog % len(_ANALOG_STYLES)])
            analog += 1
        else:
            styles.append(_DIGITAL_STYLES[digital % len(_DIGITAL_STYLES)])
            digital += 1
    return styles


def _draw_loss(axes: Axes, record: TrainingRecord, style: dict[str, Any], window: int) -> None:
    steps = np.arange(1, record.steps + 1)
    loss = _finite(record.loss)
    if window > 1:
        axes.plot(steps, loss, color=style["color"], lw=0.8, alpha=0.25)
    axes.plot(steps, _moving_mean(loss, window), label=record.name, **style)


def _draw_accuracy(axes: Axes, record: TrainingRecord, style: dict[str, Any]) -> None:
    final = f"{100 * record.final_accuracy:.1f} %" if math.isfinite(record.final_accuracy) else "no accuracy"
    label = f"{record.name}: {'diverged, ' if record.diverged else ''}{final}"
    percent = 100 * _finite(record.accuracy)
    alone: dict[str, Any] = {"marker": "o", "ms": 4} if len(percent) == 1 else {}
    axes.plot(record.accuracy_steps, percent, label=_plain(label), **style, **alone)


def _plain(label: str) -> str:
    """Text that matplotlib draws as it is: no formulas, and never left out for its leading underscore."""
    text = label.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    """Values with NaN (drawn as a gap) for those that are not finite."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def _moving_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Centred mean over ``window`` entries, fewer at the ends; NaN where one of them is."""
    half = window // 2
    spans = [values[max(0, k - half) : k + half + 1] for k in range(len(values))]
    return np.array([span.mean() for span in spans])


def _loss_top(records: Sequence[TrainingRecord]) -> float | None:
    """Top of the loss axis: the largest loss of the runs that did not diverge, so that one that did hides nothing."""
    losses = [loss for record in records if not record.diverged for loss in record.loss]
    return 1.05 * max(losses) if losses else None


def settling_figure(example: SettlingExample) -> Figure:
    """Node voltages of one solve: the simulator over the exact solution of the same circuit, digital answer dashed.

    Args:
        example: The solve; the nodes with the largest range are drawn, at most 6.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    with styled():
        figure = Figure(figsize=(10.5, 5.0), layout="constrained")
        axes = figure.subplots()
        chosen = _widest_nodes(example.exact_volt)
        nodes = [_draw_node(axes, example, k, colour) for k, colour in zip(chosen, _NODE_COLOURS, strict=False)]
        axes.set(xlabel="time [τ]", ylabel="node voltage [mV]")
        axes.set_xlim(0, float(example.exact_times_s.max() if len(example.exact_times_s) else 1) / example.tau_s)
        tidy(axes)
        _microseconds_on_top(axes, example.tau_s)
        styles = [
            Line2D([], [], color=GREY, lw=1.4, label=_plain(example.simulator)),
            Line2D([], [], color=GREY, lw=7, alpha=0.3, label="exact solution of\nthe same circuit"),
            Line2D([], [], color=GREY, lw=1.4, ls="--", label=r"digital answer $v_0 A^{-1} b$"),
        ]
        figure.legend(handles=[*styles, *nodes], loc="outside right center")
    return figure


def _microseconds_on_top(axes: Axes, tau_s: float) -> None:
    def to_microseconds(tau: Any) -> Any:
        return 1e6 * tau_s * tau

    def to_tau(microseconds: Any) -> Any:
        return microseconds / (1e6 * tau_s)

    axes.secondary_xaxis("top", functions=(to_microseconds, to_tau)).set_xlabel("time [µs]")


def _widest_nodes(voltage: Tensor) -> list[int]:
    """Numbers of the nodes with the largest range, highest final voltage first, as they end in the picture."""
    if voltage.shape[0] == 0:
        return []
    span = voltage.amax(0) - voltage.amin(0)
    chosen = torch.argsort(torch.nan_to_num(span), descending=True)[:_MAX_NODES]
    return sorted((int(k) for k in chosen), key=lambda k: -float(voltage[-1, k]))


def _draw_node(axes: Axes, example: SettlingExample, k: int, colour: str) -> Any:
    exact_tau, tau = example.exact_times_s / example.tau_s, example.times_s / example.tau_s
    axes.plot(exact_tau.numpy(), 1e3 * example.exact_volt[:, k].numpy(), color=colour, lw=7, alpha=0.25)
    axes.axhline(1e3 * float(example.digital_volt[k]), color=colour, lw=1.2, ls="--")
    label = _plain(example.node_names[k])
    return axes.plot(tau.numpy(), 1e3 * example.voltage_volt[:, k].numpy(), color=colour, lw=1.4, label=label)[0]


def agreement_figure(differences: Mapping[str, Sequence[float]], gate: float, gated: str | None = None) -> Figure:
    """Relative difference of two answers at every step, on a logarithmic axis.

    Args:
        differences: Legend text -> one value a step.  Zeros cannot be drawn and are left out, the legend says so.
        gate: What the gated difference must stay below.
        gated: Key of that difference, by default the first; the gate line is drawn in its colour.  An empty text
            draws no gate.
    """
    from matplotlib.figure import Figure

    with styled():
        gated = next(iter(differences), "") if gated is None else gated
        figure = Figure(figsize=(10.5, 4.4), layout="constrained")
        axes = figure.subplots()
        for k, (name, values) in enumerate(differences.items()):
            _draw_difference(axes, name, values, k)
            if name == gated:
                _draw_gate(axes, gate, _difference_colour(k))
        axes.set_yscale("log")
        axes.set(xlabel="step", ylabel="relative difference [1]", title="Difference of two answers to the same problem")
        axes.set_xlim(left=0)
        tidy(axes)
        if differences:
            figure.legend(loc="outside lower center", ncols=1)
    return figure


def _difference_colour(k: int) -> str:
    return _NODE_COLOURS[k % len(_NODE_COLOURS)]


def _draw_difference(axes: Axes, name: str, values: Sequence[float], k: int) -> None:
    array = _finite(values)
    shown = np.where(array > 0, array, np.nan)
    zeros = int((array == 0).sum())
    label = f"{name} (0 at {zeros} of {len(array)} steps)" if zeros else name
    marker = "os^Dv"[k % 5]
    steps = np.arange(1, len(array) + 1)
    axes.plot(steps, shown, color=_difference_colour(k), lw=1, marker=marker, ms=3.5, label=_plain(label))


def _draw_gate(axes: Axes, gate: float, colour: str) -> None:
    axes.axhline(gate, color=colour, lw=1.6, ls="--")
    axes.annotate(
        f"gate {gate:g} for this colour",
        (1, gate),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right",
        color=colour,
        fontweight="bold",
    )
