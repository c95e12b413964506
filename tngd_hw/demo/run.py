"""The demonstration itself: train in several ways, compare, draw, write, and hold the result against two gates."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor

from tngd_hw.demo.facts import Demonstration, metrics_of
from tngd_hw.engines import Behavioral, Engine, Ideal, Ngspice, StateSpace, find_engine, find_ngspice
from tngd_hw.hardware import presets
from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status
from tngd_hw.report import (
    SettlingExample,
    TrainingComparison,
    agreement_figure,
    draw_cell,
    save_figure,
    settling_figure,
    training_figure,
    write_report,
)
from tngd_hw.storage import make_directory, write_json, write_text
from tngd_hw.studies import (
    AgreementWatch,
    AnalogRun,
    DigitalRun,
    EngineDifference,
    RunResult,
    SideBySide,
    train_side_by_side,
)
from tngd_hw.tasks import digits_task
from tngd_hw.topologies import LoadedChip, manufacture
from tngd_hw.training import DigitalOptimizer

__all__ = ["DemoOptions", "run_demo"]

_BATCH_SIZE, _CLASSES = 8, 10
_LEARNING_RATE, _DAMPING, _DURATION_TAU = 0.1, 0.1, 50.0
_KAPPA = 1e-3
_AGREEMENT_GATE, _ACCURACY_GATE, _GATED_STEPS = 1e-3, 0.90, 100


@dataclass(frozen=True)
class DemoOptions:
    """What can be chosen.

    Attributes:
        out: Folder of the results, made if it is not there.
        engine: Engine of the main run; None takes ngspice, or state_space where there is no ngspice.
        steps: Updates.
        seed: Of network, batches, die and noise.
        quiet: No progress bars and no summary.
    """

    out: Path = Path("results/demo")
    engine: str | None = None
    steps: int = 100
    seed: int = 0
    quiet: bool = False


def run_demo(options: DemoOptions) -> dict[str, Any]:
    """Train, compare, draw and write; returns the document that stands in ``metrics.json``.

    Raises:
        MisuseError: A folder that cannot be written, an unknown engine, steps below 1.
        OutcomeError: ngspice asked for and missing, a failed step, or, after everything was written, a gate that was
            not met: the answer of the main engine within 1e-3 of the exact solution of the same circuit at every
            step, and from 100 steps on a held-out accuracy of 90 %.
    """
    started_at = time.perf_counter()
    if options.steps < 1:
        raise MisuseError(f"steps = {options.steps}: expected at least 1")
    out = make_directory(options.out, "out")
    console = Console(stderr=True, quiet=options.quiet)
    engine, note = _main_engine(options.engine)
    if note:
        console.print(note, style="yellow")
    shared, watch = _shared(options), AgreementWatch(_comparisons(engine))
    runs = _runs(engine, watch)
    results = _train(shared, runs, console)
    command = f"tngd-hw demo --engine {engine.name} --steps {options.steps} --seed {options.seed}"
    done = Demonstration(
        shared, runs, results, watch, watch.last_step(), started_at, _accuracy_gate(options.steps), command, note
    )
    comparison = _comparison(done, engine)
    document = _write(out, comparison, done.last.solve.loaded)
    _summarise(console, comparison, out)
    _check_gates(comparison)
    return document


def _main_engine(name: str | None) -> tuple[Engine, str]:
    """The engine of the main run, and what the reader must be told about the choice."""
    if name is None and find_ngspice() is None:
        return StateSpace(), f"There is no ngspice on this machine ({Outcome.SIMULATOR_MISSING.remedy})."
    if name in (None, "ngspice"):
        # A demonstration can do with 1e-4 along the path: half the time of the default 1e-6.
        return Ngspice(relative_tolerance=1e-5, points=150), ""
    return find_engine(str(name)), ""


def _comparisons(engine: Engine) -> tuple[EngineDifference, ...]:
    exact = Behavioral() if engine.name == "state_space" else StateSpace()
    return (
        EngineDifference(f"{engine.name} against {exact.name}, the exact solution of the same circuit", exact),
        EngineDifference("real circuit against the ideal finite-time filter", Ideal()),
    )


def _shared(options: DemoOptions) -> SideBySide:
    chip = manufacture("integrator", _BATCH_SIZE * _CLASSES, presets.pcb_1k_1n(), seed=options.seed)
    return SideBySide(
        task=digits_task(),
        chip=chip,
        network_seed=options.seed,
        batches_seed=options.seed,
        noise_seed=options.seed,
        batch_size=_BATCH_SIZE,
        steps=options.steps,
        learning_rate=_LEARNING_RATE,
        damping=_DAMPING,
        duration_tau=_DURATION_TAU,
        evaluate_every=min(10, options.steps),
    )


def _runs(engine: Engine, watch: AgreementWatch) -> tuple[AnalogRun | DigitalRun, ...]:
    main = AnalogRun(f"TNGD, {engine.name}", engine, watch=watch)
    others = (
        AnalogRun("TNGD, state_space", StateSpace()),
        AnalogRun("TNGD, ideal filter", Ideal()),
        AnalogRun("TNGD, state_space with noise", StateSpace(), kappa=_KAPPA),
    )
    controls = (DigitalRun("SGD", DigitalOptimizer.SGD), DigitalRun("Adam", DigitalOptimizer.ADAM))
    return (main, *(run for run in others if run.name != main.name), *controls)


def _train(shared: SideBySide, runs: tuple[AnalogRun | DigitalRun, ...], console: Console) -> dict[str, RunResult]:
    """Every run, each with a bar that shows loss and accuracy."""
    columns = (
        TextColumn("{task.description:<30}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:>3.0f}/{task.total:.0f} steps"),
        TextColumn("loss {task.fields[loss]:>6}"),
        TextColumn("held-out {task.fields[accuracy]:>6}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=console.quiet) as bars:
        bar = {run.name: bars.add_task(run.name, total=shared.steps, start=False, loss="", accuracy="") for run in runs}

        def progress(run: str, done: int, loss: float | None, accuracy: float | None) -> None:
            bars.start_task(bar[run])
            bars.update(bar[run], completed=done)
            if loss is not None:
                bars.update(bar[run], loss=f"{loss:.3f}")
            if accuracy is not None:
                bars.update(bar[run], accuracy=f"{accuracy:.1%}")

        return train_side_by_side(shared, runs, progress)


def _comparison(done: Demonstration, engine: Engine) -> TrainingComparison:
    return TrainingComparison(
        records=tuple(result.record for result in done.results.values()),
        main=done.runs[0].name,
        differences={label: tuple(values) for label, values in done.watch.differences.items()},
        gate=_AGREEMENT_GATE,
        settling=_settling_example(engine, done.last.solve.loaded),
        metrics=metrics_of(done),
    )


def _settling_example(engine: Engine, loaded: LoadedChip) -> SettlingExample:
    """The solve of the last step once more, this time with all its points."""
    duration = _DURATION_TAU * loaded.tau
    exact = StateSpace()
    _, simulated = engine.run(engine.init(loaded), duration=duration)
    _, solved = exact.run(exact.init(loaded), duration=duration)
    for trajectory in (simulated, solved):
        trajectory.status.require_ok()
    right = loaded.problem.b
    if right is None:
        raise MisuseError("a problem without b has no answer to draw")
    answer = cast("Tensor", torch.linalg.solve(loaded.problem.dense_matrix(), right))
    return SettlingExample(
        simulator=engine.name,
        times_s=simulated.times_s,
        voltage_volt=simulated.voltage_volt,
        exact_times_s=solved.times_s,
        exact_volt=solved.voltage_volt,
        digital_volt=loaded.scales.voltage_volt * answer,
        tau_s=loaded.tau,
        node_names=simulated.node_names,
    )


def _write(out: Path, comparison: TrainingComparison, loaded: LoadedChip) -> dict[str, Any]:
    figures = {
        "training": training_figure(comparison.records),
        "settling": settling_figure(comparison.settling),
        "agreement": agreement_figure(comparison.differences, comparison.gate),
    }
    pictures = {name: out / f"{name}.png" for name in figures}
    for name, figure in figures.items():
        save_figure(figure, pictures[name])
    draw_cell("integrator", out / "integrator_cell")
    pictures["schematic"] = out / "integrator_cell.svg"
    deck = Ngspice().deck(loaded, duration=_DURATION_TAU * loaded.tau, standalone=True)
    write_text(out / "last_step.cir", deck)
    document = comparison.as_dict()
    write_json(out / "metrics.json", document)
    write_report(out / "report.html", comparison, pictures)
    return document


def _summarise(console: Console, comparison: TrainingComparison, out: Path) -> None:
    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False)

    say(f"\nheld-out accuracy after {comparison.metrics['training']['steps']} steps, loss of the last mini-batches:")
    for record in comparison.records:
        say(f"  {record.name:<30} {record.final_accuracy:6.1%}   {record.final_loss():.3f}")
    for label in comparison.differences:
        say(f"  largest difference, {label}: {comparison.largest_difference(label):.1e}")
    say(f"\nopen {out / 'report.html'}")


def _accuracy_gate(steps: int) -> float | None:
    return _ACCURACY_GATE if steps >= _GATED_STEPS else None


def _check_gates(comparison: TrainingComparison) -> None:
    """NaN passes no gate: the comparisons are written so that it fails them."""
    gated, gate = comparison.metrics["gated_difference"], comparison.metrics["accuracy_gate"]
    if gated is not None and not comparison.largest_difference(gated) <= comparison.gate:
        worst = comparison.largest_difference(gated)
        detail = f"{gated} differs by {worst:.2e} at one step, the gate is {comparison.gate:g}"
        raise OutcomeError(Status(Outcome.CHECK_FAILED, detail))
    main = comparison.record(comparison.main)
    if gate is not None and not main.final_accuracy >= gate:
        detail = f"held-out accuracy {main.final_accuracy:.1%} after {main.steps} steps, the gate is {gate:.0%}"
        raise OutcomeError(Status(Outcome.CHECK_FAILED, detail))
