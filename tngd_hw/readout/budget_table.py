"""The error budget as a table of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tngd_hw.readout.spread import Spread
from tngd_hw.units import format_quantity

if TYPE_CHECKING:
    from torch import Tensor

    from tngd_hw.readout.budget import ErrorBudget

__all__ = ["budget_table"]

_NOTHING = 1e-12
"""A cause that does less than this by itself is not listed: amplifiers that count as ideal do more."""

_HEAD = ("mean", "std", "5 %", "median", "95 %")


def budget_table(budget: ErrorBudget) -> str:
    """Relative errors of the three kinds, of every cause alone, and what is left when it is switched off."""
    idle = [
        name for name in budget.effects if bool((budget.relative(budget.alone[name].nan_to_num()) < _NOTHING).all())
    ]
    lines = [_title(budget), _row("part of the error", (*_HEAD, "all but it"))]
    causes = set(budget.alone)
    for name, values in budget.parts().items():
        if name in idle:
            continue
        indent = "  " if name in causes or name in ("nominal circuit", "interaction") else ""
        cells = _cells(values)
        if name in causes:
            rest = budget.relative(budget.systematic - budget.marginal[name])
            cells.append(_number(Spread.of(rest).mean))
        label = {"sampling": "sampling (rms)", "total": "all of it (rms)"}.get(name, name)
        lines.append(_row(indent + label, cells))
        if name == "sampling":
            parts = budget.sampling_by_cause.items()
            lines += [_row(f"  {cause}", _cells(part)) for cause, part in parts if bool((part > 0).any())]
    lines.append("all but it: systematic error when only this cause is off")
    lines.append(
        "norms do not add: the indented parts add up to the systematic error as vectors, to sampling as squares"
    )
    if idle:
        lines.append(f"no part in the settled answer: {', '.join(sorted(idle))}")
    return "\n".join(lines)


def _title(budget: ErrorBudget) -> str:
    good = sum(status.ok for status in budget.statuses)
    which = "1 chip" if budget.chips == 1 else f"{budget.chips} chips"
    which += "" if good == budget.chips else f" ({good} of them ok)"
    read = f"read after {budget.duration_s / budget.tau_s:.4g} tau ({format_quantity(budget.duration_s, 's')})"
    if budget.window_s > 0:
        read += f", mean of the last {budget.window_s / budget.tau_s:.4g} tau"
    return f"error relative to |A^-1 b|, {which}, {read}"


def _cells(values: Tensor) -> list[str]:
    return [_number(figure) for figure in vars(Spread.of(values)).values()]


def _number(value: float) -> str:
    return f"{value:.3g}"


def _row(label: str, cells: tuple[str, ...] | list[str]) -> str:
    return f"{label:<38}" + "".join(f"{cell:>11}" for cell in cells)
