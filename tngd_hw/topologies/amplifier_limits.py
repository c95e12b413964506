"""What the amplifiers of a summing network see, and how far their outputs may swing: rows and columns of P.

Amplifier k has the conductance T_k at its summing node, its feedback is P_kk (0 for an integrator), and its output
drives sum_i P_ik into virtual grounds.  It delivers |V_k| <= min(swing, I_out / sum_i P_ik).  A stage settles to
V_k = sum_j S_kj V_j, with V_j the outputs of the nodes, so |V_k| <= |S_k| |V| (2-norms), and the programmer plans |V|.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from tngd_hw.hardware import Amplifiers, Role
from tngd_hw.topologies.base import AmplifierLoad
from tngd_hw.topologies.summing_network import SummingNetwork

__all__ = ["delivered_limit", "network_loads", "planned_limit"]


def network_loads(network: SummingNetwork, counts: Mapping[Role, int]) -> dict[Role, AmplifierLoad]:
    """The loads by role; ``counts`` names the amplifiers of ``network`` in their order."""
    P, total = network.conductance, network.total
    feedback = torch.diagonal(P, dim1=-2, dim2=-1).clone()
    feedback[..., : network.integrators] = 0.0
    driven = P.sum(-2)
    stages = cast("Tensor", torch.linalg.vector_norm(network.stage_gains, dim=-1))
    gain = torch.cat([torch.ones_like(total[..., : total.shape[-1] - stages.shape[-1]]), stages], -1)
    loads: dict[Role, AmplifierLoad] = {}
    first = 0
    for role, count in counts.items():
        part = slice(first, first + count)
        loads[role] = AmplifierLoad(total[..., part], feedback[..., part], driven[..., part], gain[..., part])
        first += count
    return loads


def delivered_limit(loads: Mapping[Role, AmplifierLoad], amplifiers: Amplifiers) -> Tensor:
    """min(swing, I_out/sum_i P_ik) of every amplifier by itself, volt, shape (..., amplifiers), in the loads' order."""
    driven = torch.cat([load.output_siemens for load in loads.values()], -1)
    return (amplifiers.output_current_ampere / driven).clamp(max=amplifiers.output_swing_volt)


def planned_limit(loads: Mapping[Role, AmplifierLoad], stage_gains: Tensor, amplifiers: Amplifiers) -> Tensor:
    """Largest |V_j| (..., n) at the nodes that every amplifier can follow while |V|_2 stays below it.

    A stage limits only the nodes that reach it: an inverter its own node, a stage with many inputs all of them.

    Args:
        loads: Of the n nodes first, then of the stages.
        stage_gains: S, shape (..., stages, n).
        amplifiers: Swing and output current.
    """
    own = delivered_limit(loads, amplifiers)
    n = stage_gains.shape[-1]
    gain = cast("Tensor", torch.linalg.vector_norm(stage_gains, dim=-1))
    reaches = stage_gains != 0
    from_stages = torch.where(reaches, (own[..., n:] / gain)[..., None], torch.inf)
    return torch.minimum(own[..., :n], from_stages.amin(-2))
