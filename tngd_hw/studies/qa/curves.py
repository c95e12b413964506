"""``python -m tngd_hw.studies.qa.curves OUT``: question answering with LoRA, TNGD-Adam against Adam and sign descent.

Finished cells are kept in OUT/cells; a run that is started again computes what is missing.  As shipped (44 steps of 8
questions, 3 seeds, MiniLM-L6) the six curves take 2.5 core-hours (docs/question-answering.md).  The paper's 125 steps
of 32 questions would take eleven times as much.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tngd_hw.outcome import MisuseError, TngdError
from tngd_hw.report.style import save_figure, styled, tidy
from tngd_hw.storage import finite_data, write_json
from tngd_hw.studies.curves.cells import curve_parser, kept_cells
from tngd_hw.studies.curves.curves import Curve, curve_colour, curves_of, draw_curves
from tngd_hw.studies.qa.runs import BATCH_SIZE, RUNS, QARun, train_run
from tngd_hw.tasks import qa_task
from tngd_hw.tasks.qa_model import MODEL_PACKAGE
from tngd_hw.training import TrainingRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["main", "qa_figure", "summary_rows"]

Cells = Mapping[tuple[str, int], dict[str, Any]]
"""By name of the run and seed."""

_SCORES = ("exact_match", "f1", "test_loss")


def _train(run: QARun, seed: int, steps: int, *, data_dir: str | None, model_dir: str | None) -> TrainingRecord:
    task = qa_task(data_dir=data_dir, model_dir=model_dir)
    return train_run(run, task, seed=seed, steps=steps, evaluate_every=max(1, steps // 2))


def summary_rows(curves: Sequence[Curve], seeds: Sequence[int], cells: Cells, window: int) -> list[dict[str, Any]]:
    """One row a run: the end of its curve, and the last held-out scores of every seed (NaN after a divergence)."""
    rows: list[dict[str, Any]] = []
    for curve in curves:
        records = [cells[curve.name, seed]["record"] for seed in seeds]
        row = curve.to_dict(window)
        row["exact_match"] = row.pop("final_accuracy")
        for score in _SCORES[1:]:
            last = [record["extra"].get(score, [None])[-1] for record in records]
            row[score] = [float("nan") if value is None else value for value in last]
        rows.append(row)
    return rows


def qa_figure(curves: Sequence[Curve], rows: Sequence[Mapping[str, Any]], window: int) -> Figure:
    """Mini-batch loss against iterations, and held-out exact match and F1 of every seed at the end."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(10.5, 4.8), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        draw_curves(left, curves, window, [curve.name for curve in curves])
        left.autoscale(axis="y")  # the curves lie close together
        for k, row in enumerate(rows):
            for score, marker in (("exact_match", "o"), ("f1", "s")):
                values = [100 * value for value in row[score]]
                right.plot(values, [-k] * len(values), marker, color=curve_colour(k), alpha=0.7, ms=6)
        right.plot([], [], "o", color="0.4", label="exact match")
        right.plot([], [], "s", color="0.4", label="F1")
        right.set(xlabel="held-out score [%]", yticks=[-k for k in range(len(rows))], xlim=(-1, None))
        right.set_yticklabels([str(row["run"]) for row in rows])
        title = f"mean of up to {window} mini-batches; mean and standard deviation over {len(curves[0].loss)} seeds"
        figure.suptitle(f"Question answering with LoRA: {title}", fontsize=10)
        for axes in (left, right):
            tidy(axes)
        left.legend(fontsize=9)
        right.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit codes 0, and 2 for a wrong call."""
    parser = curve_parser("tngd_hw.studies.qa.curves", __doc__, seeds=3)
    parser.add_argument("--steps", type=int, default=44, help="the paper: 125, with a batch size of 32")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--model-dir", default=None, help="a BERT or DistilBERT; default: what make qa-model installs")
    given = parser.parse_args(arguments)
    seeds, window = list(range(given.seeds)), max(1, given.steps // 6)
    encoder = MODEL_PACKAGE if given.model_dir is None else str(Path(given.model_dir).resolve())
    runs = [replace(run, batch_size=given.batch_size, encoder=encoder) for run in RUNS]
    settings = {"steps": given.steps, "batch_size": given.batch_size, "seeds": seeds, "window": window}
    places = {"data_dir": given.data_dir, "model_dir": given.model_dir}
    try:
        cells = kept_cells(
            runs,
            seeds,
            given.steps,
            given.out,
            functools.partial(_train, **places),
            workers=given.workers,
            prepare=functools.partial(qa_task, **places),
            label="question answering",
        )
        curves = curves_of(runs, seeds, given.steps, cells)
        rows = summary_rows(curves, seeds, cells, window)
        save_figure(qa_figure(curves, rows, window), given.out / "qa.png")
        write_json(given.out / "summary.json", finite_data({**settings, "runs": rows}))
    except TngdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, MisuseError) else 1
    print(f"{'run':<24} {'loss':>7} {'held-out':>9} {'EM %':>6} {'F1 %':>6}")
    for row in rows:
        exact, f1, test_loss = (fmean(row[score]) for score in _SCORES)
        print(f"{row['run']:<24} {row['final_loss_mean']:7.3f} {test_loss:9.3f} {100 * exact:6.2f} {100 * f1:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
