"""``tngd-hw solve``: A x = b on one chip, next to the digital answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tngd_hw.cli.arrays import read_matrix, read_right_hand_side
from tngd_hw.cli.choices import choice
from tngd_hw.cli.duration import parse_duration
from tngd_hw.cli.options import (
    EncodingOption,
    EngineOption,
    ForceOption,
    HardwareOption,
    JsonOption,
    KappaOption,
    MatrixArgument,
    PreconditioningOption,
    QuietOption,
    SeedOption,
    TopologyOption,
    VerboseOption,
)
from tngd_hw.cli.output import Output
from tngd_hw.cli.places import output_file
from tngd_hw.cli.progress import Progress
from tngd_hw.outcome import Status

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tngd_hw.engines import Engine, Trajectory
    from tngd_hw.problem import LinearProblem
    from tngd_hw.readout import Estimate
    from tngd_hw.topologies import LoadedChip

    Floats = NDArray[np.float64]

__all__ = ["solve"]

_ROWS_SHOWN = 12


def solve(
    matrix: MatrixArgument,
    right: Annotated[Path, typer.Argument(metavar="b", help="The right-hand side, (n,) or (n, k), as the matrix.")],
    *,
    topology: TopologyOption = "integrator",
    encoding: EncodingOption = None,
    preconditioning: PreconditioningOption = "none",
    hardware: HardwareOption = "ideal",
    engine: EngineOption = "state_space",
    duration: Annotated[
        str, typer.Option(metavar="TIME", help="50tau, 20us, 5e-5 (seconds), or settle: until it has settled.")
    ] = "settle",
    kappa: KappaOption = 0.0,
    x_max: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Largest |x| to plan voltages for; default: a safe bound."),
    ] = None,
    seed: SeedOption = 0,
    force: ForceOption = False,
    save: Annotated[Path | None, typer.Option(metavar="FILE.nc", help="Keep the estimate as netCDF.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the estimate (.png, .svg, .pdf).")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> Status:
    """Solve A x = b on a simulated chip and compare with the digital answer.

    The exit code is 1, with x printed all the same, when the run was too short to settle or an amplifier saturated.

    Example: tngd-hw solve A.npy b.npy --engine ngspice --hardware pcb_1k_1n --duration 400tau
    """
    output = Output(as_json, quiet, verbose)
    length = parse_duration(duration)
    save = None if save is None else output_file(save, "--save", (".nc",))
    plot = None if plot is None else output_file(plot, "--plot", (".png", ".svg", ".pdf"))
    A, b = read_matrix(matrix), read_right_hand_side(right)
    with output.working(f"{engine} ...") as progress:
        from tngd_hw.api import solve_in_steps
        from tngd_hw.hardware import Encoding
        from tngd_hw.problem import LinearProblem
        from tngd_hw.topologies import Preconditioning

        problem = LinearProblem(A, b)
        loaded, trajectory, estimate = solve_in_steps(
            problem, topology=topology, hardware=hardware, engine=_watched(engine, progress, force=force),
            duration=length.seconds, kappa=kappa, x_max=x_max, seed=seed, duration_tau=length.in_tau,
            encoding=None if encoding is None else choice(Encoding, encoding, "--encoding"),
            preconditioning=choice(Preconditioning, preconditioning, "--preconditioning"),
        )  # fmt: skip
    digital = _digital_answer(problem)
    output.document(_document(loaded, trajectory, estimate, digital))
    if quiet:
        output.essential(_plain_numbers(estimate))
    output.say(_table(loaded, estimate, digital, rows=loaded.n if verbose else _ROWS_SHOWN))
    _tell_mapping(output, loaded, trajectory)
    if save is not None:
        estimate.save(save)
        output.say(f"estimate written to {save}")
    if plot is not None:
        _draw(estimate, digital, plot)
        output.say(f"figure written to {plot}")
    return estimate.status


def _watched(name: str, progress: Progress, *, force: bool) -> Engine:
    """The engine of this name; ngspice with a bar of the time predicted, and begun in any case where it is forced."""
    from dataclasses import replace

    from tngd_hw.engines import Ngspice, find_engine

    engine = find_engine(name)
    return replace(engine, progress=progress.tell, force=force) if isinstance(engine, Ngspice) else engine


def _digital_answer(problem: LinearProblem) -> Floats | None:
    """LAPACK's answer, None where it has none."""
    import numpy as np

    assert problem.b is not None
    try:
        answer = np.linalg.solve(problem.dense_matrix().numpy(), problem.b.numpy())
    except np.linalg.LinAlgError:
        return None
    return answer if np.isfinite(answer).all() else None


def _relative_error(estimate: Estimate, digital: Floats | None) -> float | None:
    """|x - x_digital|/|x_digital|; None where x or the digital answer cannot be had, or the latter is 0."""
    import numpy as np

    if digital is None or not digital.any() or not bool(estimate.value.isfinite().all()):
        return None
    scale = np.abs(digital).max()  # the square of 1e-200 would be 0
    with np.errstate(over="ignore"):
        error = np.linalg.norm((estimate.value.numpy() - digital) / scale) / np.linalg.norm(digital / scale)
    return float(error) if np.isfinite(error) else None


def _document(loaded: LoadedChip, trajectory: Trajectory, estimate: Estimate, digital: Floats | None) -> dict[str, Any]:
    return {
        **estimate.to_dict(),
        "relative_error": _relative_error(estimate, digital),
        "x_digital": None if digital is None else digital.tolist(),
        "duration_tau": estimate.duration_s / estimate.tau_s,
        "topology": loaded.chip.topology,
        "hardware": loaded.chip.hardware.name,
        "kappa": loaded.kappa,
        "mapping": None if loaded.programmed is None else loaded.report.to_dict(),
        "design": None if loaded.programmed is None else loaded.design_report.to_dict(),
        "notes": trajectory.notes,
    }


def _plain_numbers(estimate: Estimate) -> str:
    """One row a component, all digits: what ``numpy.loadtxt`` reads."""
    rows = estimate.value.reshape(len(estimate.value), -1)
    return "\n".join(" ".join(repr(float(number)) for number in row) for row in rows)


def _table(loaded: LoadedChip, estimate: Estimate, digital: Floats | None, rows: int) -> str:
    from tngd_hw.units import format_quantity

    length = f"{estimate.duration_s / estimate.tau_s:.4g} tau = {format_quantity(estimate.duration_s, 's')}"
    lines = [
        f"{loaded.n} unknowns on {loaded.chip.topology} of {loaded.chip.hardware.name}, {estimate.engine}, {length}",
        f"{'':>8}{'x':>17}{'stderr':>12}{'digital':>17}{'difference':>13}",
    ]
    value, error = estimate.value, estimate.stderr
    exact = None if digital is None else digital.reshape(loaded.n, -1)
    columns = value.reshape(loaded.n, -1).shape[1]
    for i in range(min(rows, loaded.n)):
        for k in range(columns):
            x, e = float(value.reshape(loaded.n, -1)[i, k]), float(error.reshape(loaded.n, -1)[i, k])
            label = f"x[{i}]" if columns == 1 else f"x[{i},{k}]"
            shown = f"{'?':>17}{'?':>13}" if exact is None else f"{exact[i, k]:>17.9g}{x - exact[i, k]:>13.2e}"
            lines.append(f"{label:>8}{x:>17.9g}{e:>12.2e}{shown}")
    if rows < loaded.n:
        lines.append(f"{'...':>8}   {loaded.n - rows} more; --verbose shows all")
    found = _relative_error(estimate, digital)
    lines.append("no relative error: there is no answer to compare" if found is None else f"relative error {found:.3g}")
    lines.append(f"outcome {estimate.status.outcome.value}")
    return "\n".join(lines)


def _tell_mapping(output: Output, loaded: LoadedChip, trajectory: Trajectory) -> None:
    if loaded.programmed is not None:
        output.detail(f"\n{loaded.report}\n\n{loaded.design_report}")
    output.detail(f"hardware            {loaded.chip.hardware} (hash {loaded.chip.hardware.hash})")
    if trajectory.notes:
        output.detail(f"simulator's notes\n{trajectory.notes}")


def _draw(estimate: Estimate, digital: Floats | None, path: Path) -> None:
    """The figure, without a display; of several right-hand sides the first."""
    import torch
    from matplotlib.figure import Figure

    from tngd_hw.report import save_figure

    reference = None if digital is None else torch.from_numpy(digital.reshape(len(digital), -1)[:, 0].copy())
    figure = Figure(figsize=(7, 4), layout="constrained")
    estimate.plot(figure.subplots(), reference=reference)
    save_figure(figure, path)
