"""``python -m tngd_hw.studies.mnist.curves OUT``: the paper's MNIST curves, over seeds, cell by cell.

Finished cells are kept in OUT/cells; a run that is started again computes what is missing.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from tngd_hw.outcome import MisuseError, TngdError
from tngd_hw.report.style import save_figure, styled, tidy
from tngd_hw.storage import finite_data, write_json
from tngd_hw.studies.curves.cells import curve_parser, kept_cells
from tngd_hw.studies.curves.curves import Curve, curves_of, draw_curves
from tngd_hw.studies.mnist.runs import GROUPS, MnistRun, train_run
from tngd_hw.studies.mnist.time import Cells, analog_step_seconds, digital_step_seconds, time_figure, timing_of
from tngd_hw.tasks import MNIST_FILES, mnist_task, obtain_data
from tngd_hw.training import TrainingRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curve_figure", "main", "run_cells"]


def run_cells(
    runs: Sequence[MnistRun], seeds: Sequence[int], steps: int, out: Path, *, workers: int, data_dir: str | None = None
) -> dict[tuple[str, int], dict[str, Any]]:
    """Every run and seed, see :func:`kept_cells`."""
    return kept_cells(
        runs,
        seeds,
        steps,
        out,
        functools.partial(_train, data_dir=data_dir),
        workers=workers,
        prepare=functools.partial(obtain_data, MNIST_FILES, data_dir),
        label="MNIST curves",
    )


def _train(run: MnistRun, seed: int, steps: int, *, data_dir: str | None) -> TrainingRecord:
    task = mnist_task(data_dir=data_dir, dtype=torch.float32)
    return train_run(run, task, seed=seed, steps=steps, evaluate_every=max(1, steps // 10))


def curve_figure(curves: Sequence[Curve], title: str, window: int) -> Figure:
    """Mini-batch loss against iterations: mean over the seeds, and one standard deviation as a band."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(7.5, 4.8), layout="constrained")
        axes = figure.subplots()
        labels = [f"{curve.name}: {100 * fmean(curve.accuracy):.1f} %" for curve in curves]
        draw_curves(axes, curves, window, labels)
        axes.set_xscale("log")
        axes.set_title(
            f"{title}\nmean of up to {window} mini-batches; mean and standard deviation over "
            f"{len(curves[0].loss)} seeds"
        )
        tidy(axes)
        axes.legend(fontsize=9, title="run: final held-out accuracy", title_fontsize=9)
    return figure


_TITLES = {
    "adam": "MNIST: TNGD against Adam and SGD",
    "time": "MNIST: the analog time t",
    "delay": "MNIST: the delay",
    "noise": "MNIST: injected noise at t = tau",
    "noise_at_50_tau": "MNIST: injected noise at t = 50 tau",
}


def _draw_times(curves: Sequence[Curve], cells: Cells, window: int, out: Path, data_dir: str | None) -> dict[str, Any]:
    """Fig. 3 against time; the runs' first is TNGD at 50 tau, their second Adam."""
    runs, task = GROUPS["adam"], mnist_task(data_dir=data_dir, dtype=torch.float32)
    measured = {run.name: digital_step_seconds(run, task) for run in runs if run.schedule is None}
    adam, steps = runs[1], len(curves[0].loss[0])
    for run in runs:
        if run.schedule is not None:
            measured[run.name] = analog_step_seconds(cells, run, adam, measured[adam.name], steps)
    timing = timing_of(measured[adam.name], 50.0)
    each = [measured[run.name] for run in runs]
    save_figure(time_figure(curves, each, timing["total_s"], window), out / "adam_time.png")
    return {**timing, "measured_step_s": measured}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit codes 0, and 2 for a wrong call."""
    parser = curve_parser("tngd_hw.studies.mnist.curves", __doc__, seeds=5)
    parser.add_argument("--figures", nargs="+", choices=tuple(GROUPS), default=list(GROUPS), metavar="NAME")
    parser.add_argument("--epochs", type=float, default=1.0, help="of 156 batches (the paper's Fig. 3 has 10)")
    given = parser.parse_args(arguments)
    steps, seeds = round(156 * given.epochs), list(range(given.seeds))
    window = min(200, max(1, steps // 8))
    try:
        wanted = {str(run.configuration()): run for name in given.figures for run in GROUPS[name]}
        run_cells(tuple(wanted.values()), seeds, steps, given.out, workers=given.workers, data_dir=given.data_dir)
        summary: dict[str, Any] = {"steps": steps, "seeds": seeds, "window": window, "figures": {}}
        for name in given.figures:
            found = run_cells(GROUPS[name], seeds, steps, given.out, workers=1, data_dir=given.data_dir)
            curves = curves_of(GROUPS[name], seeds, steps, found)
            summary["figures"][name] = [curve.to_dict(window) for curve in curves]
            save_figure(curve_figure(curves, _TITLES[name], window), given.out / f"{name}.png")
            if name == "adam":
                summary["timing"] = _draw_times(curves, found, window, given.out, given.data_dir)
        write_json(given.out / "summary.json", finite_data(summary))
    except TngdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, MisuseError) else 1
    for name, rows in summary["figures"].items():
        print(f"{name}:")
        for row in rows:
            accuracy = 100 * fmean(row["final_accuracy"])
            print(f"  {row['run']:<40} loss {row['final_loss_mean']:.4f}  accuracy {accuracy:.2f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
