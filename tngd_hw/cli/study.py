"""``tngd-hw study``: error against a swept quantity, over circuits, matrices and chips."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tngd_hw.cli.options import JsonOption, QuietOption
from tngd_hw.cli.output import Output
from tngd_hw.outcome import MisuseError, Status

if TYPE_CHECKING:
    from tngd_hw.studies.sweeps.study import Study

__all__ = ["study"]


def study(
    what: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="precision, mismatch, noise, settling, covariance, training or FILE.toml."
        ),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="Results; default: results/study_NAME.")
    ] = None,
    topology: Annotated[
        list[str] | None, typer.Option(metavar="NAME", show_default=False, help="Only this circuit; may be repeated.")
    ] = None,
    matrix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            show_default=False,
            help="wishart_n, wishart_2n, wishart_4n, ill_conditioned:1e4, laplacian, fisher_start, fisher_middle, "
            "fisher_end, or a file of your own (.npy, .npz); may be repeated.",
        ),
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", show_default=False, help="What the chips are made of, before the sweep."),
    ] = None,
    nodes: Annotated[int | None, typer.Option(metavar="N", show_default=False, help="Unknowns.")] = None,
    chips: Annotated[int | None, typer.Option(metavar="N", show_default=False, help="Dies for every matrix.")] = None,
    seed: Annotated[int | None, typer.Option(show_default=False, help="Seed of matrices and dies, 0 or more.")] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", show_default=False, help="Processes; default: one a core.")
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", show_default=False, help="training: updates a run.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="training: where the MNIST files are.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run of the same study was stopped.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Status:
    """Sweep one quantity and measure the error of A x = b in its three parts: settling, sampling, systematic.

    Every finished cell is kept at once in DIR/cells.sqlite; after Ctrl-C, a kill or a crash --resume runs what is
    missing.  DIR gets result.nc (every chip), summary.json, table.txt, figure.png and figure.svg.

    covariance is another: a measured covariance of spu8_board against its number of samples, with injected noise and
    with resistors as their own baths.

    training is a third: accuracy of the MNIST network against bits, mismatch and noise of the arrays that hold its
    curvature, and what a designer must buy; --chips gives the number of dies, each with a training of its own.

    A matrix that a circuit cannot hold is part of the result (not_realizable), not a failure.

    Example: tngd-hw study mismatch --topology integrator --matrix wishart_4n --chips 100
    """
    output = Output(as_json, quiet, verbose=False)
    of_solves = {"topology": topology, "matrix": matrix, "hardware": hardware, "nodes": nodes}
    of_training = {"steps": steps, "data-dir": data_dir}
    if what == "covariance":
        _refuse_given({**of_solves, **of_training, "workers": workers}, "covariance is about the 8 cells of spu8_board")
        _study_covariance(out, chips, seed, output)
        return Status()
    if what == "training":
        _refuse_given(
            {**of_solves, "seed": seed}, "training is about the MNIST network, its dies have the seeds 0, 1 ..."
        )
        _study_training(out, chips, steps, workers, output, resume=resume, data_dir=data_dir)
        return Status()
    _refuse_given(of_training, f"{what} trains no network")
    from tngd_hw.studies.sweeps.output import write_study
    from tngd_hw.studies.sweeps.sweep import run_study

    chosen = _chosen(what, topology, matrix, hardware, nodes=nodes, chips=chips, seed=seed)
    folder = Path(f"results/study_{chosen.name}") if out is None else out
    with _progress_bar(chosen.name, shown=not (as_json or quiet)) as progress:
        cells = run_study(chosen, folder, workers=workers, resume=resume, progress=progress)
    with output.working("writing results ..."):
        table, document = write_study(chosen, cells, folder)
    output.document({**document, "out": str(folder)})
    output.say(table)
    output.say("\nerrors relative to |x|, mean ± standard deviation over the chips that are ok")
    output.essential(f"results in {folder}" if not quiet else str(folder))
    return Status()


def _refuse_given(options: Mapping[str, object], reason: str) -> None:
    given = [name for name, value in options.items() if value not in (None, [])]
    if given:
        raise MisuseError(f"--{given[0]}: the study {reason}; leave it out")


def _study_training(
    out: Path | None,
    chips: int | None,
    steps: int | None,
    workers: int | None,
    output: Output,
    *,
    resume: bool,
    data_dir: Path | None,
) -> None:
    """Training through imperfect chips; about an hour on two cores."""
    import os

    from tngd_hw.studies.training.study import run_training_study, write_training

    for name, value in (("chips", chips), ("steps", steps), ("workers", workers)):
        if value is not None and value < 1:
            raise MisuseError(f"{name} = {value}: expected a whole number of at least 1")
    folder, updates = Path("results/study_training") if out is None else out, 100 if steps is None else steps
    results = run_training_study(
        folder,
        seeds=1 if chips is None else chips,
        steps=updates,
        workers=os.cpu_count() or 1 if workers is None else workers,
        resume=resume,
        data_dir=None if data_dir is None else str(data_dir),
    )
    table, document = write_training(results, folder, steps=updates)
    output.document({**document, "out": str(folder)})
    output.say(table)
    output.essential(f"results in {folder}" if not output.quiet else str(folder))


def _study_covariance(out: Path | None, chips: int | None, seed: int | None, output: Output) -> None:
    """Error of a measured covariance against samples, for both sources of noise; a few seconds."""
    from tngd_hw.studies.covariance_floor import covariance_floors, floor_table, write_floors

    folder = Path("results/study_covariance") if out is None else out
    with output.working("manufacturing and measuring boards ..."):
        curves = covariance_floors(chips=400 if chips is None else chips, seed=0 if seed is None else seed)
        document = write_floors(curves, folder)
    output.document({**document, "out": str(folder)})
    output.say(floor_table(curves))
    output.essential(f"results in {folder}" if not output.quiet else str(folder))


def _chosen(
    what: str,
    topology: list[str] | None,
    matrix: list[str] | None,
    hardware: str | None,
    *,
    nodes: int | None,
    chips: int | None,
    seed: int | None,
) -> Study:
    """The study that was named or is in the file, with what the options replace."""
    from dataclasses import replace

    from tngd_hw.hardware import load_hardware
    from tngd_hw.studies.sweeps.file import read_study
    from tngd_hw.studies.sweeps.matrices import MatrixSource
    from tngd_hw.studies.sweeps.named import NAMED_STUDIES, named_study

    if not what.endswith(".toml") and what not in NAMED_STUDIES:
        known = ", ".join([*NAMED_STUDIES, "covariance", "training"])
        raise MisuseError(f"study = {what!r}: the studies are {known}, or give a file FILE.toml")
    made_of = None if hardware is None else load_hardware(hardware)
    base = read_study(Path(what), made_of) if what.endswith(".toml") else named_study(what)
    changes = {
        "topologies": tuple(topology) if topology else None,
        "matrices": tuple(MatrixSource.parse(word) for word in matrix) if matrix else None,
        "hardware": made_of,
        "sizes": None if nodes is None else (nodes,),
        "chips": chips,
        "seed": seed,
    }
    return replace(base, **{name: value for name, value in changes.items() if value is not None})


@contextlib.contextmanager
def _progress_bar(name: str, *, shown: bool) -> Generator[Callable[[int, int], None]]:
    """A bar on stderr where that is a terminal; what was finished before counts from the start."""
    import sys

    if not (shown and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    texts = TextColumn("{task.description}"), TextColumn("cells, left")
    columns = (texts[0], BarColumn(), MofNCompleteColumn(), texts[1], TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
