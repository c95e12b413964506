"""A summing network whose inputs have a capacitance C_p to ground, and whose outputs may have a resistance R_o.

In the notation of :mod:`tngd_hw.topologies.summing_network`, with v the voltage of an integrating capacitor:

    summing nodes       C_p ds/dt = I (+ C dv/dt at an integrator)
    no R_o              V = V_a, and s = V - v at an integrator:    (C + C_p) dv/dt = C_p dV/dt - I
    with R_o            integrators: V = v + s,    C dv/dt = (V_a - V)/R_o - G V + sum_i P_ik s_i + m
                        stages:      (1 + R_o G) V = V_a + R_o (sum_i P_ik s_i + m)

with V_a the voltage behind R_o, G_k = sum_i P_ik what output k drives, and m the noise current into the output node:
the noise of a resistor takes from one of its ends what it gives to the other.  States: capacitor voltages, summing
nodes (those of the stages alone where there is no R_o), amplifiers (V_a).
Source: Kirchhoff's current law at the summing nodes and at the outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.hardware import AmplifierBank
from tngd_hw.topologies.linear_forms import Space
from tngd_hw.topologies.summing_network import SummingNetwork, one_batch

__all__ = ["equations_with_input_poles"]


def equations_with_input_poles(network: SummingNetwork) -> tuple[Space, Tensor, Tensor]:
    """Space, changes of the states and outputs of all amplifiers."""
    bank = network.bank
    assert bank is not None
    if network.has_output_resistance:
        return _behind_resistances(network, bank)
    return _ideal_outputs(network, bank)


def _ideal_outputs(network: SummingNetwork, bank: AmplifierBank) -> tuple[Space, Tensor, Tensor]:
    k, count = network.integrators, network.amplifiers
    space = Space(2 * count, network.inputs.shape[-1], network.noise_count)
    v, V = space.state(0, k), space.state(count, count)
    s = torch.cat([V[:k] - v, space.state(k, count - k)], -2)
    current = network.collected(space, V) - network.total[..., None] * s
    change = network.amplifier_change(space, bank, V, s)
    C, C_p = network.capacitance[..., None], bank.input_farad[..., None]
    capacitors = (C_p[..., :k, :] * change[..., :k, :] - current[..., :k, :]) / (C + C_p[..., :k, :])
    return space, torch.cat(one_batch(capacitors, current[..., k:, :] / C_p[..., k:, :], change), -2), V


def _behind_resistances(network: SummingNetwork, bank: AmplifierBank) -> tuple[Space, Tensor, Tensor]:
    k, count, P = network.integrators, network.amplifiers, network.conductance
    space = Space(k + 2 * count, network.inputs.shape[-1], network.noise_count)
    v, s, behind = space.state(0, k), space.state(k, count), space.state(k + count, count)
    R_o, C_p = bank.output_ohm[..., None], bank.input_farad[..., None]
    driven = P.sum(-2)[..., None]
    back = P.mT @ s + network.output_noise(space)
    stages = (behind + R_o * back)[..., k:, :] / (1 + R_o * driven)[..., k:, :]
    V = torch.cat(one_batch(v + s[:k], stages), -2)
    delivered = ((behind - V) / R_o - driven * V + back)[..., :k, :]
    current = network.collected(space, V) - network.total[..., None] * s
    into_nodes = torch.cat(one_batch(current[..., :k, :] + delivered, current[..., k:, :]), -2)
    change = network.amplifier_change(space, bank, behind, s.expand(*into_nodes.shape[:-2], *s.shape))
    parts = (delivered / network.capacitance[..., None], into_nodes / C_p, change)
    return space, torch.cat(one_batch(*parts), -2), V
