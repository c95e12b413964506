"""The stages of a circuit whose voltages are no outputs: inverters, transimpedance stages, input transconductors.

An op-amp stage can leave its range, or slew, while every output looks fine.  Stage k, which drives the conductances
P_ik into virtual grounds, delivers (:mod:`~tngd_hw.topologies.amplifier_limits`)

    |V_k| <= min(swing, I_out / sum_i P_ik)

Its voltage is a linear form of states and inputs in the closed-form equations, and a node of the netlist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tngd_hw.hardware import Amplifiers, Role
from tngd_hw.topologies.amplifier_limits import delivered_limit
from tngd_hw.topologies.base import AmplifierLoad, InnerStages

__all__ = ["amplifier_stages", "no_stages", "port_names"]


def no_stages() -> InnerStages:
    """Of a circuit whose limited voltages are all outputs, or that has no limits."""
    return InnerStages((), (), torch.zeros(0, dtype=torch.float64), "")


def port_names(n: int, stages: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Names of the n sources, and of the n outputs with the nodes of ``stages`` behind them."""
    return [f"in{i}" for i in range(n)], [*(f"out{i}" for i in range(n)), *(node for _, node in stages)]


def amplifier_stages(
    stages: Sequence[tuple[str, str]], loads: Mapping[Role, AmplifierLoad], amplifiers: Amplifiers | None
) -> InnerStages:
    """Operational amplifiers behind those of the nodes; none where amplifiers are ideal.

    Args:
        stages: Name and node of every stage, in the order of ``loads``.
        loads: Of the n nodes first, then of the stages.
        amplifiers: Swing and output current.
    """
    if amplifiers is None:
        return no_stages()
    limits = delivered_limit(loads, amplifiers)
    remedy = "scale the drive down (larger x_max), or choose an amplifier with a larger swing and output current"
    names, nodes = (tuple(words) for words in zip(*stages, strict=True))
    return InnerStages(names, nodes, limits[..., limits.shape[-1] - len(names) :], remedy)
