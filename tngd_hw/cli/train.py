"""``tngd-hw train``: train a network with natural gradients from a chip."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tngd_hw.cli.choices import choice
from tngd_hw.cli.options import EngineOption, HardwareOption, JsonOption, KappaOption, QuietOption, TopologyOption
from tngd_hw.cli.output import Output
from tngd_hw.outcome import MisuseError, Outcome, Status

if TYPE_CHECKING:
    from tngd_hw.training import TrainingRecord

__all__ = ["train"]


def train(
    *,
    task: Annotated[str, typer.Option(metavar="NAME", help="digits or mnist.")] = "digits",
    form: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What stands on the chip: dual, dual-output (batch * d_z nodes), primal (one node a parameter), "
            "blocks, kfac, kfac-dual (as few nodes as the batch has rows); or without a circuit: device (one node a "
            "parameter, perfect), arrays (imperfect J, H, J^T).",
        ),
    ] = "dual",
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="tngd or tngd-adam.")] = "tngd",
    topology: TopologyOption = "integrator",
    hardware: HardwareOption = "ideal",
    engine: EngineOption = "state_space",
    duration: Annotated[float, typer.Option(metavar="TAU", help="Analog time of a step in tau.")] = 50.0,
    delay: Annotated[float, typer.Option(metavar="TAU", help="Time on the old matrix after the readout.")] = 0.0,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False, help="zero, gradient, or previous (the default with --delay)."
        ),
    ] = None,
    readouts: Annotated[int, typer.Option(metavar="N", help="Readouts that are averaged, a tau apart.")] = 1,
    chopped: Annotated[
        bool, typer.Option("--chopped", help="Run with b and with -b: offsets cancel, at twice the analog time.")
    ] = False,
    kappa: KappaOption = 0.0,
    lr: Annotated[float, typer.Option(metavar="ETA", help="Learning rate.")] = 0.1,
    damping: Annotated[float, typer.Option(metavar="LAMBDA", help="Damping of the curvature, above 0.")] = 0.1,
    adapt_damping: Annotated[
        bool, typer.Option("--adapt-damping", help="Levenberg-Marquardt: lambda follows the quadratic model.")
    ] = False,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Samples a step.")] = 8,
    steps: Annotated[int, typer.Option(metavar="N", help="Updates.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of network, batches, die and noise, 0 or more.")] = 0,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="Where the MNIST files are.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Record, figure and checkpoint go here.")] = Path(
        "results/train"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in DIR.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Status:
    """Train a network along natural gradients that one die computes, programmed anew at every step.

    DIR gets record.json, training.png and checkpoint.pt, which is kept up to date: a run that was stopped, or whose
    chip failed, goes on with --resume and the same bits.

    Example: tngd-hw train --hardware pcb_1k_1n --engine behavioral --steps 50
    """
    output = Output(as_json, quiet, verbose=False)
    from tngd_hw.engines import find_engine
    from tngd_hw.hardware import load_hardware
    from tngd_hw.storage import make_directory, write_json
    from tngd_hw.studies.training.plan import BaseUpdate, Form, TaskName, TrainingPlan, run_plan
    from tngd_hw.training import AnalogStart, Checkpoint

    plan = TrainingPlan(
        choice(TaskName, task, "--task"), choice(Form, form, "--form"), choice(BaseUpdate, optimizer, "--optimizer"),
        topology, load_hardware(hardware), find_engine(engine),
        None if start is None else choice(AnalogStart, start, "--start"), duration, delay, readouts, chopped, kappa, lr,
        damping, adapt_damping, batch_size, steps, seed, None if data_dir is None else str(data_dir),
    )  # fmt: skip
    kept = Checkpoint(make_directory(out, "out") / "checkpoint.pt", every=10)
    if kept.path.exists() and not resume:
        raise MisuseError(f"{kept.path}: an earlier run is there; go on with --resume, or choose another --out")
    with _bar(plan.name, plan.steps, shown=not (as_json or quiet)) as progress:
        record = run_plan(plan, checkpoint=kept, progress=progress)
    write_json(out / "record.json", _document(record))
    _draw(record, out / "training.png")
    output.document({**_document(record), "out": str(out)})
    output.say(f"{record.name}: {record.steps} steps, final loss {record.final_loss():.4f}, held out "
               f"{record.final_accuracy:.1%}")  # fmt: skip
    output.essential(f"results in {out}" if not quiet else str(out))
    if record.diverged:
        detail = f"the loss is not finite at step {record.steps - 1}"
        return Status(Outcome.CHECK_FAILED, detail, "choose a smaller learning rate or a larger damping")
    return Status()


def _document(record: TrainingRecord) -> dict[str, object]:
    from tngd_hw.storage import finite_data

    return finite_data(record.as_dict())


def _draw(record: TrainingRecord, path: Path) -> None:
    from tngd_hw.report import save_figure, training_figure

    save_figure(training_figure([record]), path)


@contextlib.contextmanager
def _bar(name: str, steps: int, *, shown: bool) -> Generator[Callable[[int, float, float | None], None] | None]:
    """A bar with loss and accuracy on stderr where that is a terminal."""
    import sys

    if not (shown and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]}"),
        TextColumn("held out {task.fields[accuracy]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        row = bar.add_task(name, total=steps, loss="", accuracy="")

        def progress(done: int, loss: float, accuracy: float | None) -> None:
            bar.update(row, completed=done, loss=f"{loss:.3f}")
            if accuracy is not None:
                bar.update(row, accuracy=f"{accuracy:.1%}")

        yield progress
