"""``python -m tngd_hw.studies.mnist.tuned OUT``: optimizers on MNIST, every one with the same budget to tune it.

Every optimizer gets the same number of learning rates, the same search seeds and steps.  The rate with the lowest loss
over the whole training set at the end of the search runs is taken (a run that diverged counts as infinite; held-out
data are never looked at), and the table comes from runs with other seeds.  Finished cells are kept in OUT/cells; a run
that is started again computes what is missing.  As shipped, 13 optimizers, 7 rates, 3 search seeds, 3 final seeds and
156 steps (one pass over the data) take about 1.2 core-hours.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

import torch

from tngd_hw.outcome import MisuseError, TngdError
from tngd_hw.report.style import save_figure, styled, tidy
from tngd_hw.storage import finite_data, write_json
from tngd_hw.studies.curves.cells import curve_parser, kept_cells
from tngd_hw.studies.curves.curves import curve_colour
from tngd_hw.studies.mnist.tuned_runs import OPTIMIZERS, TunedOptimizer, TunedRun, train_run
from tngd_hw.tasks import MNIST_FILES, mnist_task, obtain_data
from tngd_hw.training import TrainingRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Trial", "TunedRow", "best_trial", "main", "markdown_table", "trials_of", "tuned_figure", "tuned_row"]

Cells = Mapping[tuple[str, int], dict[str, Any]]
"""By name of the run and seed."""

_FIRST_SEARCH_SEED = 1000
"""Final runs have the seeds 0, 1, ..."""


@dataclass(frozen=True)
class Trial:
    """One learning rate of a search.

    Attributes:
        lr: The rate.
        losses: Loss over the training set at the end, one a search seed; infinite where the run failed.
    """

    lr: float
    losses: tuple[float, ...]

    @property
    def score(self) -> float:
        """Mean of ``losses``."""
        return fmean(self.losses)


@dataclass(frozen=True)
class TunedRow:
    """One row of the table.

    Attributes:
        name: Of the optimizer.
        lr: The chosen rate.
        at_edge: Whether it is the smallest or largest of several: a wider grid might do better.
        trials: The search.
        train_loss: Loss over the training set at the end of every final run [nat]; infinite where it failed.
        accuracy: Held-out accuracy of every final run.
        step_seconds: Median processor time of an update.
    """

    name: str
    lr: float
    at_edge: bool
    trials: tuple[Trial, ...]
    train_loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    step_seconds: float


def _train(run: TunedRun, seed: int, steps: int, *, data_dir: str | None) -> TrainingRecord:
    return train_run(run, mnist_task(data_dir=data_dir, dtype=torch.float32), seed=seed, steps=steps)


def _train_loss(cell: Mapping[str, Any]) -> float:
    value = cell["record"]["extra"]["train_loss"][0]
    return math.inf if value is None else float(value)


def trials_of(
    optimizer: TunedOptimizer, rates: Sequence[float], seeds: Sequence[int], cells: Cells
) -> tuple[Trial, ...]:
    """The search of one optimizer, by increasing rate."""
    names = [(lr, TunedRun(optimizer, lr).name) for lr in rates]
    return tuple(Trial(lr, tuple(_train_loss(cells[name, seed]) for seed in seeds)) for lr, name in names)


def best_trial(trials: Sequence[Trial]) -> Trial:
    """That of the lowest score."""
    return min(trials, key=lambda trial: trial.score)


def tuned_row(optimizer: TunedOptimizer, trials: tuple[Trial, ...], seeds: Sequence[int], cells: Cells) -> TunedRow:
    """One row, from the search and the cells of the final runs at its best rate."""
    lr = best_trial(trials).lr
    final = [cells[TunedRun(optimizer, lr).name, seed] for seed in seeds]
    seconds = [cell["record"]["extra"]["step_seconds"][0] for cell in final]
    return TunedRow(
        name=optimizer.name,
        lr=lr,
        at_edge=len(trials) > 1 and lr in (trials[0].lr, trials[-1].lr),
        trials=trials,
        train_loss=tuple(_train_loss(cell) for cell in final),
        accuracy=tuple(float(cell["record"]["accuracy"][-1]) for cell in final),
        step_seconds=median(math.nan if value is None else value for value in seconds),
    )


def markdown_table(rows: Sequence[TunedRow]) -> str:
    """Mean and standard deviation over the final seeds."""
    lines = [
        "| optimizer | trials | learning rate | at the edge | training loss | held-out accuracy [%] | CPU s a step |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        loss, right = _spread(row.train_loss, ".3f"), _spread([100 * value for value in row.accuracy], ".1f")
        runs, edge = sum(len(trial.losses) for trial in row.trials), "yes" if row.at_edge else "no"
        lines.append(f"| {row.name} | {runs} | {row.lr:.3g} | {edge} | {loss} | {right} | {row.step_seconds:.2g} |")
    return "\n".join(lines)


def _spread(values: Sequence[float], form: str) -> str:
    if not all(math.isfinite(value) for value in values):
        return "failed"
    return f"{fmean(values):{form}}" + (f" ± {stdev(values):{form}}" if len(values) > 1 else "")


def tuned_figure(rows: Sequence[TunedRow], title: str) -> Figure:
    """Training loss against learning rate in the search; training loss of the final runs against the cost of a step."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(11.0, 4.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        for k, row in enumerate(rows):
            style = {"color": curve_colour(k), "marker": "os^"[k // 6], "ls": ("-", ":", "--")[k // 6], "ms": 5}
            left.plot([t.lr for t in row.trials], [t.score for t in row.trials], lw=1.5, **style)
            left.plot([row.lr], [best_trial(row.trials).score], "o", color=curve_colour(k), ms=11, mfc="none")
            mark = {**style, "ls": "none", "ms": 8}
            if all(math.isfinite(loss) for loss in row.train_loss):
                error = stdev(row.train_loss) if len(row.train_loss) > 1 else 0.0
                right.errorbar([row.step_seconds], [fmean(row.train_loss)], [error], capsize=3, label=row.name, **mark)
            else:
                right.plot([], [], label=f"{row.name} (failed)", **mark)
        left.set(xlabel="learning rate", xscale="log", title="search (circle: the rate taken)")
        right.set(xlabel="processor time of a step [s]", xscale="log", title="final runs, other seeds")
        for axes in (left, right):
            axes.set(ylabel="training loss at the end [nat]", ylim=(0, 2.5))
            tidy(axes)
        right.set_ylim(0, min(2.5, 1.15 * right.dataLim.ymax) if math.isfinite(right.dataLim.ymax) else 2.5)
        right.legend(fontsize=8)
        figure.suptitle(title, fontsize=10)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit codes 0, 2 for a wrong call, 1 for a failed run."""
    parser = curve_parser("tngd_hw.studies.mnist.tuned", __doc__, seeds=3)
    parser.add_argument("--rates", type=int, default=7, help="learning rates an optimizer, half decades apart")
    parser.add_argument("--steps", type=int, default=156, help="of a final run, and of a search run unless given")
    parser.add_argument("--search-steps", type=int, default=None)
    parser.add_argument("--search-seeds", type=int, default=3)
    given = parser.parse_args(arguments)
    seeds = list(range(given.seeds))
    search_seeds = list(range(_FIRST_SEARCH_SEED, _FIRST_SEARCH_SEED + given.search_seeds))
    search_steps = given.steps if given.search_steps is None else given.search_steps
    try:
        if not (given.rates >= 1 and given.seeds >= 1):
            raise MisuseError(f"rates = {given.rates}, seeds = {given.seeds}: each has to be at least 1")
        cells_of = functools.partial(
            kept_cells,
            out=given.out,
            train=functools.partial(_train, data_dir=given.data_dir),
            workers=given.workers,
            prepare=functools.partial(obtain_data, MNIST_FILES, given.data_dir),
        )
        grids = {optimizer: optimizer.rates(given.rates) for optimizer in OPTIMIZERS}
        tried = [TunedRun(optimizer, lr) for optimizer, rates in grids.items() for lr in rates]
        found = cells_of(tried, search_seeds, search_steps, label="search")
        trials = {optimizer: trials_of(optimizer, rates, search_seeds, found) for optimizer, rates in grids.items()}
        chosen = [TunedRun(optimizer, best_trial(rows).lr) for optimizer, rows in trials.items()]
        final = cells_of(chosen, seeds, given.steps, label="final runs")
        rows = [tuned_row(optimizer, rows, seeds, final) for optimizer, rows in trials.items()]
        title = f"MNIST, {given.steps} steps of 64; search: {given.rates} rates, {given.search_seeds} runs each"
        save_figure(tuned_figure(rows, title), given.out / "mnist_tuned.png")
        settings = {"steps": given.steps, "search_steps": search_steps, "seeds": seeds, "search_seeds": search_seeds}
        write_json(given.out / "summary.json", finite_data({**settings, "rows": [asdict(row) for row in rows]}))
    except TngdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, MisuseError) else 1
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
