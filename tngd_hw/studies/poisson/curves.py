"""``python -m tngd_hw.studies.poisson.curves OUT``: a physics-informed network by natural gradients and by first order.

The Poisson equation in one dimension (:mod:`tngd_hw.tasks.poisson`): error against steps and processor time, a map of
the error over analog time and damping, and the dual problem on real chips.  Finished cells are kept in OUT/cells; a
study that is started again computes what is missing.  As shipped it takes 12 minutes of processor time as
measured on a busy machine, 10 minutes of two workers there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from tngd_hw.outcome import MisuseError, TngdError
from tngd_hw.report.style import save_figure
from tngd_hw.storage import finite_data, write_json
from tngd_hw.studies.curves.cells import curve_parser, kept_cells
from tngd_hw.studies.poisson.figures import chip_figure, course_figure
from tngd_hw.studies.poisson.plan import (
    CHIP_DAMPINGS,
    MAP_DAMPINGS,
    MAP_TIMES,
    METHODS,
    SEARCH_SEED,
    Method,
    chip_runs,
    runs_of,
)
from tngd_hw.studies.poisson.results import GOAL, Cells, chip_table, courses_of, error_map, method_row
from tngd_hw.studies.poisson.runs import train_run

__all__ = ["main"]

FIRST_STEPS: Final = 6000
NATURAL_STEPS: Final = 100
CHIP_STEPS: Final = 60

_DRAWN: Final = (
    "SGD",
    "Adam",
    "Adam, rate falls to 0",
    "steepest descent, line search",
    "NGD-CG, 20 iterations",
    "NGD, exact",
    "NGD, exact, Levenberg-Marquardt",
    "TNGD, t = 5 tau",
    "TNGD, t = 500 tau",
    "TNGD, t = 50000 tau",
    "TNGD, t = 5 tau, state kept",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit codes 0, and 2 for a wrong call."""
    parser = curve_parser("tngd_hw.studies.poisson.curves", __doc__, seeds=3)
    parser.add_argument("--first-steps", type=int, default=FIRST_STEPS, help="of SGD and Adam")
    parser.add_argument("--natural-steps", type=int, default=NATURAL_STEPS)
    parser.add_argument("--chip-steps", type=int, default=CHIP_STEPS)
    given = parser.parse_args(arguments)
    seeds = list(range(given.seeds))

    def cells(runs: Sequence[Any], seeds: Sequence[int], steps: int, label: str) -> Cells:
        return kept_cells(
            runs, seeds, steps, given.out, train_run, workers=given.workers, prepare=lambda: None, label=label
        )

    def steps_of(method: Method) -> int:
        return given.natural_steps if method.is_natural else given.first_steps

    try:
        searched: dict[tuple[str, int], dict[str, Any]] = {}
        finals: list[Any] = []
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for natural in (False, True):
            methods = [method for method in METHODS if method.is_natural is natural]
            steps = steps_of(methods[0])
            searched |= cells(runs_of(methods), [SEARCH_SEED], steps, "search")
            chosen = [method.chosen(searched) for method in methods]
            found |= cells(chosen, seeds, steps, "chosen settings")
            finals += chosen
        chips = chip_table(cells(chip_runs(), seeds[:1], given.chip_steps, "chips"), seeds[0])
        courses = courses_of(finals, seeds, found)
        rows = [method_row(course) for course in courses]
        errors = error_map(searched)
        save_figure(
            course_figure([course for course in courses if course.run.name in _DRAWN]), given.out / "poisson.png"
        )
        save_figure(chip_figure(errors, chips), given.out / "poisson_chips.png")
        write_json(given.out / "summary.json", finite_data(_document(given, rows, errors, chips, searched)))
    except TngdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, MisuseError) else 1
    _print(rows, errors, chips)
    return 0


def _document(given: Any, rows: Any, errors: Any, chips: Any, searched: Cells) -> dict[str, Any]:
    trials = {
        method.name: {f"{run.setting:.6g}": _trial(searched[run.name, SEARCH_SEED]) for run in method.trials()}
        for method in METHODS
    }
    steps = {"first_steps": given.first_steps, "natural_steps": given.natural_steps, "chip_steps": given.chip_steps}
    return {
        **steps,
        "seeds": given.seeds,
        "goal": GOAL,
        "methods": rows,
        "searches": trials,
        "map": {"duration_tau": MAP_TIMES, "damping": MAP_DAMPINGS, "error": errors},
        "chips": chips,
    }


def _trial(cell: dict[str, Any]) -> float | None:
    return cell["record"]["extra"]["loss_at"][-1]


def _print(rows: Sequence[dict[str, Any]], errors: Sequence[Sequence[float]], chips: Sequence[dict[str, Any]]) -> None:
    print(
        f"{'method':<34} {'setting':>8} {'steps':>6} {'error':>8} {'loss':>8} {'products':>8} {'CPU s':>6} to {GOAL:g}:"
    )
    for row in rows:
        goal = (
            "-"
            if row["steps_to_goal"] is None
            else f"{row['steps_to_goal']:.0f} steps, {row['cpu_seconds_to_goal']:.2f} s"
        )
        print(
            f"{row['method']:<34} {row['setting']:8.2g} {row['steps']:6d} {row['error_median']:8.1e} "
            f"{row['loss_median']:8.1e} {row['products_a_step']:8.1f} {row['cpu_seconds_median']:6.2f} {goal}"
        )
    print(f"\nerror over t (rows) and damping: {'':>4}" + " ".join(f"{value:8.0e}" for value in MAP_DAMPINGS))
    for t, row in zip(MAP_TIMES, errors, strict=True):
        print(f"  t = {t:<8g} tau {'':>20}" + " ".join(f"{value:8.1e}" for value in row))
    print(f"\nchips, damping: {'':>16}" + " ".join(f"{value:^24.0e}" for value in CHIP_DAMPINGS))
    for name in dict.fromkeys(row["chip"] for row in chips):
        found = [row for row in chips if row["chip"] == name]
        print(f"{name:<32}" + " ".join(f"{row['stopped'] or format(row['error'], '.1e'):^24}" for row in found))


if __name__ == "__main__":
    sys.exit(main())
