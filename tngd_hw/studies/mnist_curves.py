"""``python -m tngd_hw.studies.mnist_curves OUT``: the paper's MNIST curves, over seeds, cell by cell.

Every finished cell (one curve, one seed) is a file in OUT/cells, written whole or not at all; a run that is started
again computes what is missing.  Cells have one BLAS thread and no part in each other, so their numbers do not depend
on how many workers there are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from joblib import Parallel, parallel_config
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from threadpoolctl import threadpool_limits

from tngd_hw import __version__
from tngd_hw.outcome import MisuseError, TngdError
from tngd_hw.report.style import save_figure, styled, tidy
from tngd_hw.storage import make_directory, write_json
from tngd_hw.studies.mnist_runs import GROUPS, MnistRun, train_run
from tngd_hw.tasks import MNIST_FILES, mnist_task, obtain_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Curve", "curve_figure", "curves_of", "main", "run_cells"]

_Floats = NDArray[np.float64]
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#b5598f")


@dataclass(frozen=True)
class _Cell:
    run: MnistRun
    seed: int
    steps: int
    folder: Path
    data_dir: str | None

    @property
    def path(self) -> Path:
        whole = {**self.run.configuration(), "seed": self.seed, "steps": self.steps, "version": __version__}
        digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]
        return self.folder / f"{digest}-seed{self.seed}.json"


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve over its seeds.

    Attributes:
        name: Of the run.
        loss: Mini-batch losses, shape (seeds, steps); NaN after a run that diverged.
        accuracy: Final held-out accuracy of every seed.
        seconds: Time of every seed.
        products: Mean number of curvature products a step, or 0.
    """

    name: str
    loss: _Floats
    accuracy: tuple[float, ...]
    seconds: tuple[float, ...]
    products: float

    def smoothed(self, window: int) -> _Floats:
        """Mean of the last ``window`` losses (fewer at the start) at every step and seed."""
        sums = np.cumsum(np.insert(self.loss, 0, 0.0, axis=1), axis=1)
        steps = self.loss.shape[1]
        means = [(sums[:, k] - sums[:, max(k - window, 0)]) / min(k, window) for k in range(1, steps + 1)]
        return np.stack(means, axis=1)

    def to_dict(self, window: int) -> dict[str, Any]:
        """For the summary: the end of the curve, mean and standard deviation over the seeds."""
        end = self.smoothed(window)[:, -1]
        spread = float(end.std(ddof=1)) if len(end) > 1 else None
        return {
            "run": self.name,
            "final_loss_mean": float(end.mean()),
            "final_loss_std": spread,
            "final_accuracy": list(self.accuracy),
            "seconds": list(self.seconds),
            "products_a_step": self.products,
        }


def run_cells(
    runs: Sequence[MnistRun], seeds: Sequence[int], steps: int, out: Path, *, workers: int, data_dir: str | None = None
) -> dict[tuple[str, int], dict[str, Any]]:
    """Every run and seed, from its file where there is one, else computed; by (name, seed).

    Raises:
        MisuseError: Missing data, a folder that cannot be written, counts below 1.
    """
    if steps < 1 or workers < 1 or not seeds:
        raise MisuseError(f"steps = {steps}, workers = {workers}, {len(seeds)} seeds: each has to be at least 1")
    folder = make_directory(out / "cells", "out")
    cells = [_Cell(run, seed, steps, folder, data_dir) for run in runs for seed in seeds]
    unique = {cell.path: cell for cell in cells}
    missing = [cell for path, cell in unique.items() if not path.exists()]
    if missing:
        obtain_data(MNIST_FILES, data_dir)  # says what is missing before any worker starts
        with Progress(console=Console(stderr=True), transient=True) as bar:
            label = bar.add_task("MNIST curves", total=len(unique), completed=len(unique) - len(missing))
            no_names: dict[str, Any] = {}
            with parallel_config(backend="loky", inner_max_num_threads=1):
                tasks = [(_compute, (cell,), no_names) for cell in missing]
                pool = cast("Any", Parallel)(n_jobs=workers, return_as="generator_unordered", batch_size=1)
                for _ in pool(tasks):
                    bar.advance(label)
    return {(cell.run.name, cell.seed): json.loads(cell.path.read_text(encoding="utf-8")) for cell in cells}


def _compute(cell: _Cell) -> None:
    torch.set_num_threads(1)
    begun = time.perf_counter()
    with threadpool_limits(1):
        task = mnist_task(data_dir=cell.data_dir, dtype=torch.float32)
        record = train_run(cell.run, task, seed=cell.seed, steps=cell.steps, evaluate_every=max(1, cell.steps // 10))
    document = {"seed": cell.seed, "run": cell.run.configuration(), "seconds": time.perf_counter() - begun}
    write_json(cell.path, {**document, "record": record.as_dict()})


def curves_of(
    runs: Sequence[MnistRun], seeds: Sequence[int], steps: int, found: Mapping[tuple[str, int], dict[str, Any]]
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
        curves.append(Curve(run.name, loss, accuracies, seconds, fmean(products)))
    return curves


def curve_figure(curves: Sequence[Curve], title: str, window: int) -> Figure:
    """Mini-batch loss against iterations: mean over the seeds, and one standard deviation as a band."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(7.5, 4.8), layout="constrained")
        axes = figure.subplots()
        for k, curve in enumerate(curves):
            smooth = curve.smoothed(window)
            steps = np.arange(1.0, curve.loss.shape[1] + 1)
            mean, spread = smooth.mean(axis=0), smooth.std(axis=0)
            final = f"{100 * fmean(curve.accuracy):.1f} %"
            colour, line = _COLOURS[k % len(_COLOURS)], "--" if curve.products == 0 else "-"
            axes.plot(steps, mean, color=colour, ls=line, lw=1.8, label=f"{curve.name}: {final}")
            axes.fill_between(steps, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)
        axes.set(
            xscale="log",
            xlabel="iteration",
            ylabel="cross-entropy [nat]",
            title=f"{title}\nmean of the last {window} mini-batches; mean and standard deviation over "
            f"{len(curves[0].loss)} seeds",
        )
        axes.set_ylim(0, None)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit codes 0, and 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m tngd_hw.studies.mnist_curves", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--figures", nargs="+", choices=tuple(GROUPS), default=list(GROUPS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=1.0, help="of 156 batches (the paper's Fig. 3 has 10)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--data-dir", default=None)
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
        write_json(given.out / "summary.json", summary)
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
