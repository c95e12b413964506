"""``tngd-hw validate``: every topology through every engine, and the table of disagreements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tngd_hw.cli.arrays import read_matrix, read_right_hand_side
from tngd_hw.cli.options import ForceOption, JsonOption, QuietOption, SeedOption, VerboseOption
from tngd_hw.cli.output import Output
from tngd_hw.outcome import MisuseError, Outcome, Status

if TYPE_CHECKING:
    from tngd_hw.studies.agreement.cross_validation import Disagreement, ValidationCase

__all__ = ["validate"]


def validate(
    matrix: Annotated[
        Path | None,
        typer.Argument(metavar="A", show_default=False, help="A matrix of your own, (n, n); default: five of ours."),
    ] = None,
    right: Annotated[
        Path | None, typer.Argument(metavar="b", show_default=False, help="Its right-hand side, (n,); default: ones.")
    ] = None,
    *,
    topology: Annotated[
        list[str] | None, typer.Option(metavar="NAME", show_default=False, help="Only this circuit; may be repeated.")
    ] = None,
    hardware: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", show_default=False, help="Made of this; default: ideal and pcb_1k_1n."),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", show_default=False, help="Only this engine against state_space; may be repeated."),
    ] = None,
    seed: SeedOption = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> Status:
    """Run the same circuits through every engine and print how far each is from state_space.

    path, end: largest difference of any output voltage along 20 tau and at the end, over the largest voltage (limits
    1e-4 and 1e-5).  law: the stationary covariance under injected noise, in parts of sqrt(S_ii S_jj) (limit 1e-6).

    The exit code is 1 when an engine that claims to solve the circuit disagrees.

    Example: tngd-hw validate --topology integrator --engine ngspice
    """
    output = Output(as_json, quiet, verbose)
    from tngd_hw.hardware import load_hardware
    from tngd_hw.random import check_seed
    from tngd_hw.studies.agreement.cross_validation import cross_validate, standard_cases, table

    check_seed(seed)
    cases = standard_cases(seed) if matrix is None else (_own_case(matrix, right),)
    specs = [load_hardware(name) for name in (hardware or ["ideal", "pcb_1k_1n"])]
    rows: list[Disagreement] = []
    with output.working("validating ...") as progress:
        rows += cross_validate(
            cases, specs, topologies=topology or None, engines=engine or None, seed=seed,
            force=force, progress=progress.tell,
        )  # fmt: skip
    apart = [row for row in rows if not row.agrees]
    output.document({"agrees": not apart, "rows": [row.to_dict() for row in rows]})
    shown = rows if verbose else [row for row in rows if row.path is not None or not row.agrees]
    output.say(table(shown))
    _tell_refusals(output, rows)
    output.essential(_verdict(rows, apart))
    if not apart:
        return Status()
    worst = apart[0]
    if worst.path is None:  # there was no run: unstable, missing, too long
        return Status(worst.outcome, f"{worst.topology} ({worst.hardware}), matrix {worst.case!r}: {worst.detail}")
    detail = f"{worst.engine} and state_space differ on {worst.topology} ({worst.hardware}) with matrix {worst.case!r}"
    return Status(Outcome.CHECK_FAILED, detail)


def _own_case(matrix: Path, right: Path | None) -> ValidationCase:
    import numpy as np

    from tngd_hw.problem import LinearProblem
    from tngd_hw.studies.agreement.cross_validation import ValidationCase

    A = read_matrix(matrix)
    b = np.ones(len(A)) if right is None else read_right_hand_side(right)
    problem = LinearProblem(A, b)
    if problem.b is None or problem.b.ndim != 1:
        raise MisuseError(f"{right}: validate takes one right-hand side, shape (n,)")
    return ValidationCase(matrix.name, problem.dense_matrix(), problem.b, problem.b / (1 + problem.b.abs().max()))


def _tell_refusals(output: Output, rows: list[Disagreement]) -> None:
    told = dict.fromkeys((row.topology, row.case, row.detail) for row in rows if row.path is None and row.detail)
    if told:
        output.say("\nnot run:")
    for topology, case, detail in told:
        output.say(f"  {topology}, {case}: {detail}")


def _verdict(rows: list[Disagreement], apart: list[Disagreement]) -> str:
    held = [row for row in rows if row.exact and row.path is not None]
    if not held:
        return "nothing was compared"
    path, end = (max(value for row in held if (value := getattr(row, name)) is not None) for name in ("path", "end"))
    count = f"{len(held)} comparisons, {len(apart)} of them apart" if apart else f"{len(held)} comparisons agree"
    return f"{count}: path {path:.1e}, end {end:.1e} at worst"
