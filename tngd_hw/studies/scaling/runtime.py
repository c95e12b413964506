"""``python -m tngd_hw.studies.scaling.runtime OUT``: time of a training step against N and d_z (the paper's Fig. 2).

Every method of :mod:`tngd_hw.studies.scaling.step_costs` on one thread, and TNGD on a device by the paper's timing
model, whose digital part (gradient, J and H) is either measured here or taken as twice an Adam step.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from threadpoolctl import threadpool_limits

from tngd_hw.cost import PAPER_DIGITAL_RATIO, TimingModel, UpdateSize
from tngd_hw.outcome import MisuseError, TngdError
from tngd_hw.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, save_figure, styled, tidy
from tngd_hw.storage import make_directory, write_json
from tngd_hw.studies.scaling.step_costs import DURATION_TAU, METHODS, StepCost, hidden_units, measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["device_costs", "main", "scaling_figure", "sizes_in_outputs", "sizes_in_parameters"]

BATCH_SIZE: Final = 32
_OUTPUTS: Final = 20
_HIDDEN: Final = 32
_DIGITAL: Final = "gradient, J and H"
_DEVICE_MEASURED: Final = "TNGD on a device, digital part measured"
_DEVICE_ADAM: Final = "TNGD on a device, digital part twice Adam"
_LOOKS: Final = {
    "SGD": (GREY, ":", "v"), "Adam": (GREY, "-", "^"), "NGD, dense": (BLACK, "-", "s"),
    "NGD, Woodbury": (PURPLE, "-", "D"), "NGD, 200 CG iterations": (VERMILION, "-", "o"),
    "NGD, CG at equal error": (VERMILION, "--", "o"), "K-FAC": (ORANGE, "-", "P"), "TNGD, simulated": (BLUE, "-", "o"),
    _DEVICE_MEASURED: (GREEN, "-", "*"), _DEVICE_ADAM: (SKY, "--", "*"),
}  # fmt: skip


def sizes_in_parameters(largest: int) -> list[UpdateSize]:
    """d_z = 20 and N near 2.5e3, 5e3, then 1e4 to ``largest`` at two a decade."""
    goals = [2_500, 5_000, *(round(10 ** (k / 2)) for k in range(8, 2 * math.ceil(math.log10(largest)) + 1))]
    return [_exact(UpdateSize(goal, BATCH_SIZE, _OUTPUTS)) for goal in goals if goal <= largest * 1.001]


def sizes_in_outputs() -> list[UpdateSize]:
    """Hidden width 32 and d_z from 5 to 200: N grows with d_z from 37,000 to 44,000."""
    return [
        UpdateSize(208 + 1153 * _HIDDEN + (_HIDDEN + 1) * d_z, BATCH_SIZE, d_z) for d_z in (5, 10, 20, 50, 100, 200)
    ]


def _exact(size: UpdateSize) -> UpdateSize:
    """The size that the network of the nearest width really has."""
    hidden = hidden_units(size)
    return UpdateSize(208 + 1153 * hidden + (hidden + 1) * size.outputs, size.batch_size, size.outputs)


def device_costs(costs: Sequence[StepCost], model: TimingModel | None = None) -> list[StepCost]:
    """TNGD on a device at every size: the timing model on top of the measured digital part, and of twice Adam."""
    timing = TimingModel() if model is None else model
    rows: list[StepCost] = []
    for cost in costs:
        name, ratio = {_DIGITAL: (_DEVICE_MEASURED, 1.0), "Adam": (_DEVICE_ADAM, PAPER_DIGITAL_RATIO)}.get(
            cost.method, ("", 0.0)
        )
        if not name:
            continue
        seconds = None
        if cost.seconds is not None:
            seconds = timing.update(cost.size, digital_s=ratio * cost.seconds, duration_tau=DURATION_TAU).total_s
        rows.append(StepCost(name, cost.size, seconds, left_out=cost.left_out))
    return rows


def _sweep(sizes: Sequence[UpdateSize], progress: Callable[[str], None]) -> list[StepCost]:
    costs: list[StepCost] = []
    for size in sizes:
        progress(f"N = {size.parameters}, d_z = {size.outputs}")
        costs += [measured(name, size) for name in METHODS]
    return costs + device_costs(costs)


def scaling_figure(in_parameters: Sequence[StepCost], in_outputs: Sequence[StepCost]) -> Figure:
    """Seconds a step against N and against d_z, both axes logarithmic."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(11.0, 5.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw(left, in_parameters, lambda size: size.parameters)
        _draw(right, in_outputs, lambda size: size.outputs)
        dense = [cost for cost in in_parameters if cost.method == "NGD, dense" and cost.seconds is not None]
        if dense:
            _guide(left, dense[-1], 3, r"$O(N^3)$")
        _guide(left, next(cost for cost in in_parameters if cost.method == _DEVICE_ADAM), 1, r"$O(N)$")
        left.set(xlabel="parameters N", ylabel="seconds a step", title=f"(a) d_z = {_OUTPUTS}, b = {BATCH_SIZE}")
        right.set(xlabel="outputs d_z", title=f"(b) hidden width {_HIDDEN}, b = {BATCH_SIZE}")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def _draw(axes: Axes, costs: Sequence[StepCost], along: Callable[[UpdateSize], int]) -> None:
    for name, (colour, line, marker) in _LOOKS.items():
        points = [(along(cost.size), cost.seconds) for cost in costs if cost.method == name and cost.seconds]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=colour, ls=line, marker=marker, ms=5, lw=1.6, label=name)
    axes.set(xscale="log", yscale="log")
    tidy(axes)


def _guide(axes: Axes, at: StepCost, power: int, label: str) -> None:
    """A line of slope ``power`` just off a point, over the part of the axis where it stays in sight."""
    assert at.seconds is not None
    reach = 10 ** (2 / power)
    ends = (at.size.parameters, at.size.parameters * reach)
    heights = [2.0 * at.seconds * (x / ends[0]) ** power for x in ends]
    axes.plot(ends, heights, color=GREY, lw=1.0, ls="-.")
    axes.annotate(label, (ends[1], heights[1]), fontsize=9, color=GREY)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit codes 0, and 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m tngd_hw.studies.scaling.runtime", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--largest", type=int, default=1_000_000, metavar="N", help="parameters, 10,000 or more")
    given = parser.parse_args(arguments)

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    threads = torch.get_num_threads()
    try:
        if given.largest < 10_000:
            raise MisuseError(f"largest = {given.largest}: give 10000 or more")
        out = make_directory(given.out, "out")
        torch.set_num_threads(1)
        with threadpool_limits(1):
            in_parameters = _sweep(sizes_in_parameters(given.largest), progress)
            in_outputs = _sweep(sizes_in_outputs(), progress)
        document: dict[str, Any] = {
            "batch_size": BATCH_SIZE,
            "in_parameters": [cost.to_dict() for cost in in_parameters],
            "in_outputs": [cost.to_dict() for cost in in_outputs],
        }
        write_json(out / "runtime_scaling.json", document)
        save_figure(scaling_figure(in_parameters, in_outputs), out / "runtime_scaling.png")
    except TngdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, MisuseError) else 1
    finally:
        torch.set_num_threads(threads)
    print(_table(in_parameters, lambda size: size.parameters, "N"))
    print(_table(in_outputs, lambda size: size.outputs, "d_z"))
    return 0


def _table(costs: Sequence[StepCost], along: Callable[[UpdateSize], int], title: str) -> str:
    """Seconds by method and size, a dash where a method was left out."""
    columns = sorted({along(cost.size) for cost in costs})
    lines = [f"| seconds a step, {title} = | {' | '.join(map(str, columns))} |", "| --- " * (len(columns) + 1) + "|"]
    for name in dict.fromkeys(cost.method for cost in costs):
        found = {along(cost.size): cost.seconds for cost in costs if cost.method == name}
        cells = ["-" if found[x] is None else f"{found[x]:.3g}" for x in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
