"""Range: did an output, or a stage inside the circuit, have to go further than its amplifier can?

The circuits here are linear, so a voltage that an amplifier cannot deliver is reported, not limited.  Held to its limit
is the largest |V| at the times of the trajectory, noise included, of every output and of every inner stage: inverters,
reference amplifiers and transimpedance stages (the smaller of the swing and I_out over the conductance they drive),
input transconductors (their linear range).  The voltages are the circuit's own, with its finite gain, bandwidth and
offset: rows of the exact engines' equations, saved nodes of ngspice.  White noise that a stage shows directly, through
an output resistance, is in those of ngspice alone: it has no value at a point.

``voltage_limit``, by which the programmer plans, is no limit of a run: it is the |V|_2 up to which no stage can leave
its range whatever the direction of V.

Not seen: what happens between the times of the output; the current into capacitors and into loads outside the circuit;
summing nodes; the recovery of an amplifier that saturated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from torch import Tensor

from tngd_hw.outcome import Outcome, Status
from tngd_hw.topologies import LoadedChip
from tngd_hw.units import format_quantity

__all__ = ["first_failures", "saturation_statuses", "worst_statuses"]


def saturation_statuses(loaded: LoadedChip, voltage: Tensor, node_axis: int) -> tuple[Status, ...]:
    """One status a chip: SATURATED where an output or an inner stage is beyond its limit; the largest excess is named.

    Args:
        loaded: A chip or a batch.
        voltage: Of the outputs, then of the inner stages, shape ([chips,] T, nodes) or ([chips,] T, nodes, k).
        node_axis: -1, or -2 with right-hand sides behind it.
    """
    peak = voltage.abs().amax(dim=node_axis - 1)
    peak = peak.amax(dim=-1) if node_axis == -2 else peak
    peak = peak.reshape(-1, peak.shape[-1])
    outputs, inner, stages = peak[:, : loaded.n], peak[:, loaded.n :], loaded.inner_stages

    def too_high(node: int, value: float, limit: float) -> Status:
        detail = f"node {node} reached {value / limit:.3g} times the voltage its amplifier can deliver"
        return Status(Outcome.SATURATED, detail)

    def too_high_inside(stage: int, value: float, limit: float) -> Status:
        reached, most = format_quantity(value, "volt"), format_quantity(limit, "volt")
        detail = f"the {stages.names[stage]} reached {reached}, {value / limit:.3g} times its limit of {most}"
        return Status(Outcome.SATURATED, detail, stages.remedy)

    return first_failures(
        worst_statuses(outputs, loaded.delivered_limit, too_high),
        worst_statuses(inner, stages.limit_volt, too_high_inside),
    )


def worst_statuses(value: Tensor, limit: Tensor, say: Callable[[int, float, float], Status]) -> tuple[Status, ...]:
    """Of every chip: OK, or ``say(number, value, limit)`` of what exceeds its limit most.

    Args:
        value: Shape (chips, m), 0 or more.
        limit: Above 0, shape (m,) or (chips, m).
        say: Makes the status.
    """
    if value.shape[-1] == 0:
        return (Status(),) * len(value)
    limits = limit.expand_as(value)
    excess = value / limits
    worst = cast("list[int]", excess.argmax(-1).tolist())
    return tuple(
        Status() if float(excess[chip, k]) <= 1 else say(k, float(value[chip, k]), float(limits[chip, k]))
        for chip, k in enumerate(worst)
    )


def first_failures(*causes: Sequence[Status]) -> tuple[Status, ...]:
    """Of every chip the first status that is not OK, else OK."""
    return tuple(next((status for status in cause if not status.ok), Status()) for cause in zip(*causes, strict=True))
