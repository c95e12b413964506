"""``python -m tngd_hw.studies.circuit.in_loop OUT``: MNIST trained with ngspice in the loop, next to other engines.

A chip of the dual form (80 nodes for a batch of 8) and a chip of K-FAC (92 runs of 8 to 32 nodes a step), both of real
parts.  Finished runs are kept in OUT/cells; a study that is started again computes what is missing.  One worker is the
default because wall times are printed.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from tngd_hw.outcome import MisuseError, TngdError
from tngd_hw.report.style import GREY, save_figure, styled, tidy
from tngd_hw.storage import write_json
from tngd_hw.studies.circuit.runs import (
    DIFFERENCE,
    ENGINE_S,
    ENGINES,
    REFERENCE,
    REFERENCE_S,
    STEP_S,
    WALL_S,
    CircuitRun,
    Form,
    train_run,
)
from tngd_hw.studies.curves.cells import curve_parser, kept_cells
from tngd_hw.studies.curves.curves import curve_colour
from tngd_hw.tasks import MNIST_FILES, mnist_task, obtain_data
from tngd_hw.training import TrainingRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["engines_figure", "main", "summary_of", "table_of"]

Cells = Mapping[tuple[str, int], dict[str, Any]]
"""By name of the run and seed."""

_TITLES = {
    Form.DUAL: "dual form: one circuit of {nodes} nodes a step",
    Form.KFAC: "K-FAC: two circuits a layer, {runs} runs a step",
}
_LINES = {"ngspice": ("-", 5.0), "state_space": ("-", 1.8), "behavioral": ("--", 1.8), "ideal": (":", 1.8)}
"""Style and width: curves that lie on top of each other can all be seen."""


def summary_of(runs: Sequence[CircuitRun], seeds: Sequence[int], cells: Cells) -> list[dict[str, Any]]:
    """One entry a run: medians of the times over steps and seeds, largest differences over steps and seeds.

    ``direction_difference`` is of the same step, ``loss_drift`` is |L - L_ref|/L_ref of two trainings.
    """
    return [_entry(run, seeds, cells) for run in runs]


def _entry(run: CircuitRun, seeds: Sequence[int], cells: Cells) -> dict[str, Any]:
    records = [cells[run.name, seed]["record"] for seed in seeds]
    extra = {key: [value for record in records for value in record["extra"][key]] for key in records[0]["extra"]}
    circuits = [key.removeprefix(ENGINE_S) for key in extra if key.startswith(ENGINE_S)]
    drifts = [value for seed in seeds for value in _drift(run, seed, cells)]
    return {
        "form": run.form.value,
        "engine": run.engine,
        "step_wall_s": median(extra[STEP_S]),
        "engine_wall_s": median(extra[WALL_S]),
        "circuits": [
            {
                "circuit": name,
                "engine_processor_s": median(extra[ENGINE_S + name]),
                "reference_processor_s": median(extra[REFERENCE_S + name]),
            }
            for name in circuits
        ],
        "direction_difference": {"largest": max(extra[DIFFERENCE]), "median": median(extra[DIFFERENCE])},
        "loss_drift": max(drifts) if drifts else None,
        "last_loss": [record["loss"][-1] for record in records],
        "accuracy": [record["accuracy"][-1] for record in records],
    }


def _drift(run: CircuitRun, seed: int, cells: Cells) -> list[float]:
    """|L - L_ref|/L_ref at every step; nothing for the reference itself, or where that was not run."""
    key = CircuitRun(run.form, REFERENCE, run.batch_size).name, seed
    if run.engine == REFERENCE or key not in cells:
        return []
    own, other = (np.array(cells[name]["record"]["loss"]) for name in ((run.name, seed), key))
    return [float(value) for value in np.abs(own - other) / other]


def table_of(entries: Sequence[Mapping[str, Any]]) -> str:
    """The summary as lines for a terminal."""
    lines: list[str] = []
    for entry in entries:
        times = [(row["circuit"], row["engine_processor_s"], row["reference_processor_s"]) for row in entry["circuits"]]
        own, other = (sum(row[k] for row in times) for k in (1, 2))
        lines.append(
            f"{entry['form']}, {entry['engine']}: {entry['step_wall_s']:.3g} s a step, {entry['engine_wall_s']:.3g} s "
            f"of it the engine; processor {own:.3g} s, {REFERENCE} {other:.3g} s (medians):"
        )
        lines += [f"  {name:<34} {mine:10.4f} s, {REFERENCE} {its:8.4f} s" for name, mine, its in times]
        gap, drift = entry["direction_difference"]["largest"], entry["loss_drift"]
        if drift is not None:
            lines.append(f"  direction of the same step within {gap:.1e} of {REFERENCE}'s")
            lines.append(f"  loss of its own training within {drift:.1e} of {REFERENCE}'s")
        percent = ", ".join(f"{100 * value:.2f} %" for value in entry["accuracy"])
        lines.append(f"  held-out accuracy after the last step {percent}")
    return "\n".join(lines)


def engines_figure(
    runs: Sequence[CircuitRun], seeds: Sequence[int], cells: Cells, entries: Sequence[Mapping[str, Any]]
) -> Figure:
    """A column a form: losses on top, differences below."""
    from matplotlib.figure import Figure

    forms = list(dict.fromkeys(run.form for run in runs))
    with styled():
        figure = Figure(figsize=(5.6 * len(forms), 7.6), layout="constrained")
        panels = figure.subplots(2, len(forms), squeeze=False, sharex=True)
        for column, form in enumerate(forms):
            own = [run for run in runs if run.form is form]
            _draw_losses(panels[0, column], own, seeds, cells)
            _draw_differences(panels[1, column], own, seeds, cells)
            panels[0, column].set_title(_title(form, entries))
    return figure


def _title(form: Form, entries: Sequence[Mapping[str, Any]]) -> str:
    circuits = next(entry["circuits"] for entry in entries if entry["form"] == form.value)
    sizes = [row["circuit"].rpartition(": ")[2].removesuffix(" nodes").split(" x ") for row in circuits]
    return _TITLES[form].format(nodes=sizes[0][1], runs=sum(int(size[0]) for size in sizes))


def _draw_losses(axes: Axes, runs: Sequence[CircuitRun], seeds: Sequence[int], cells: Cells) -> None:
    for k, run in enumerate(runs):
        line, width = _LINES[run.engine]
        for seed in seeds:
            loss = cells[run.name, seed]["record"]["loss"]
            label = run.engine if seed == seeds[0] else None
            axes.plot(range(1, len(loss) + 1), loss, ls=line, lw=width, color=curve_colour(k), label=label)
    axes.set(ylabel="mini-batch loss before the step [nat]")
    axes.set_ylim(0, None)
    tidy(axes)
    axes.legend(title="each engine trains its own network", title_fontsize=10)


def _draw_differences(axes: Axes, runs: Sequence[CircuitRun], seeds: Sequence[int], cells: Cells) -> None:
    """Colours are those of the losses above."""
    others = [(k, run) for k, run in enumerate(runs) if run.engine != REFERENCE]
    for (k, run), seed in product(others, seeds):
        gaps: list[float] = cells[run.name, seed]["record"]["extra"][DIFFERENCE]
        for values, line in ((gaps, "-"), (_drift(run, seed, cells), ":")):
            positive = [value if value > 0 else np.nan for value in values]
            axes.plot(range(1, len(values) + 1), positive, ls=line, marker=".", color=curve_colour(k))
    axes.set_yscale("log")
    axes.set(xlabel="training step", ylabel=f"relative difference from {REFERENCE}")
    tidy(axes)
    for label, line in (("direction of the same step", "-"), ("loss of its own training", ":")):
        axes.plot([], [], ls=line, marker=".", color=GREY, label=label)
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def _train(run: CircuitRun, seed: int, steps: int, *, data_dir: str | None) -> TrainingRecord:
    return train_run(run, mnist_task(data_dir=data_dir), seed=seed, steps=steps)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit codes 0, 1 for a step without an answer, and 2 for a wrong call."""
    parser = curve_parser("tngd_hw.studies.circuit.in_loop", __doc__, seeds=1)
    parser.set_defaults(workers=1)  # wall times are printed
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--engines", nargs="+", choices=tuple(ENGINES), default=list(ENGINES), metavar="NAME")
    parser.add_argument("--forms", nargs="+", choices=[form.value for form in Form], default=["dual", "kfac"])
    given = parser.parse_args(arguments)
    runs = [CircuitRun(Form(form), engine) for form in given.forms for engine in given.engines]
    seeds = list(range(given.seeds))
    try:
        cells = kept_cells(
            runs,
            seeds,
            given.steps,
            given.out,
            functools.partial(_train, data_dir=given.data_dir),
            workers=given.workers,
            prepare=functools.partial(obtain_data, MNIST_FILES, given.data_dir),
            label="circuit in the loop",
        )
        entries = summary_of(runs, seeds, cells)
        write_json(given.out / "summary.json", {"steps": given.steps, "seeds": seeds, "runs": entries})
        save_figure(engines_figure(runs, seeds, cells, entries), given.out / "circuit_in_the_loop.png")
    except TngdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, MisuseError) else 1
    print(table_of(entries))
    return 0


if __name__ == "__main__":
    sys.exit(main())
