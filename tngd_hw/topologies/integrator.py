"""``integrator``: op-amp integrators with an n x n array of summing resistors (the paper's Fig. 6).

Node i is the output of an inverting integrator.  Its summing node collects the currents G_ij V_j through the array and
g_in V_in,i through the input resistor, so an ideal circuit obeys

    C dV_i/dt = -(sum_j G_ij V_j + g_in V_in,i)

which has the right sign for a resistor array (the paper's Eq. 22; its Eq. 23 has the sign of V_in reversed).  Entries
of both signs: see :mod:`tngd_hw.topologies.signed_array`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tngd_hw.hardware import Component, Elements, Encoding, HardwareSpec, Inventory, Layout, Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Netlist, NetlistBuilder
from tngd_hw.outcome import Status
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies.amplifier_limits import network_loads, planned_limit
from tngd_hw.topologies.base import AmplifierLoad, Design, InnerStages, Quantity, Scales
from tngd_hw.topologies.inner_stages import amplifier_stages, port_names
from tngd_hw.topologies.op_amp_cells import add_integrators, add_noise, add_sources
from tngd_hw.topologies.resistors_in_netlist import add_resistors
from tngd_hw.topologies.signed_array import (
    add_rails,
    array_components,
    array_inventory,
    array_scale,
    rail_amplifiers,
    rail_blocks,
    rail_stages,
    with_leakage,
)
from tngd_hw.topologies.spectrum import stable_and_regular
from tngd_hw.topologies.summing_network import SummingNetwork

__all__ = ["Integrator"]


class Integrator:
    """Any matrix whose eigenvalues have positive real parts, with entries of either sign."""

    name = "integrator"
    encodings = (Encoding.BALANCED, Encoding.OFFSET)
    quantities = frozenset({Quantity.SOLUTION, Quantity.INVERSE, Quantity.SAMPLES})
    is_filter = True
    matrix_roles = (Role.ARRAY,)
    support_roles = (Role.REFERENCE_ARRAY,)

    def inventory(self, layout: Layout) -> Inventory:
        """An n x n array, an input resistor, a capacitor and an integrator a node, and what makes the rails."""
        n = layout.nodes
        per_node = dict.fromkeys((Role.INPUT, Role.INTEGRATION, Role.INTEGRATOR_AMPLIFIER), (n, 1))
        return per_node | array_inventory(layout)

    def check(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Status:
        """Stable and regular: all Re eig(A) > 0."""
        del hardware, layout
        return stable_and_regular(problem.dense_matrix())

    def own_scaling(self, problem: LinearProblem) -> None:
        """None: every matrix is held as it is."""
        del problem

    def scales(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Scales:
        """g0 makes the largest conductance of the array the smallest resistance; tau = C/g0; v_in = -(g0/g_in) v0 b."""
        unit, C = 1.0 / hardware.resistors.resistance_ohm, hardware.capacitors.capacitance_farad
        g0 = array_scale(problem.dense_matrix(), layout.encoding, unit)
        return Scales(g0, 1.0, C, C / g0, -g0 / unit)

    def elements(self, problem: LinearProblem, design: Design) -> Elements:
        """Array conductances g0 |A_ij| and one of each other component a node."""
        A, hardware = problem.dense_matrix(), design.hardware
        n = A.shape[0]
        components = array_components(A, design) | {
            Role.INPUT: Component.per_node(1.0 / hardware.resistors.resistance_ohm, n),
            Role.INTEGRATION: Component.per_node(hardware.capacitors.capacitance_farad, n),
        }
        if design.noise_psd > 0:
            components[Role.NOISE] = Component.per_node(design.noise_psd, n)
        return Elements(n, components, {Role.INTEGRATOR_AMPLIFIER: n} | rail_amplifiers(n, design.layout.encoding), {})

    def netlist(self, elements: Elements, inputs: Tensor, initial_volt: Tensor) -> Netlist:
        """Nodes ``out0``, ``sum0``, ``inv0``, ``in0`` and so on; inputs are the sources ``in0``, outputs ``out0``."""
        numbers = range(elements.n)
        build = NetlistBuilder(f"integrator array of {elements.n} nodes")
        outputs = [f"out{i}" for i in numbers]
        out, summing = build.nodes(outputs), build.nodes([f"sum{i}" for i in numbers])
        driven, names = add_sources(build, inputs.numpy())
        places = torch.stack([torch.from_numpy(driven), torch.from_numpy(summing)], 1).numpy()
        add_resistors(build, elements, Role.INPUT, [f"b_{i}" for i in numbers], places)
        add_integrators(build, elements, summing, out, initial_volt.numpy())
        (rails,) = _rail_roles(elements)
        add_rails(build, elements, out, summing, {rails: _network(elements).stage_voltages(initial_volt)})
        add_noise(build, elements, summing)
        return build.netlist(inputs=names, outputs=outputs)

    def linear_sde(self, elements: Elements, *, inner: bool = False) -> LinearSDE:
        """See :class:`~tngd_hw.topologies.summing_network.SummingNetwork`; n states ideal, 2 n and the rails real."""
        inputs, outputs = port_names(elements.n, rail_stages(elements) if inner else ())
        return _network(elements).linear_sde(inputs, outputs)

    def initial_state(self, elements: Elements, initial_volt: Tensor) -> Tensor:
        """Capacitors and integrators at ``initial_volt``, the rails settled to it."""
        return _network(elements).initial_state(initial_volt)

    def voltage_limit(self, elements: Elements, hardware: HardwareSpec) -> Tensor:
        """The swing, or what the output current allows into the resistors at an output (virtual grounds)."""
        amplifiers = hardware.amplifiers
        if amplifiers is None:
            return torch.full((elements.n,), math.inf, dtype=torch.float64)
        return planned_limit(self.amplifier_loads(elements), _network(elements).stage_gains, amplifiers)

    def inner_stages(self, elements: Elements, hardware: HardwareSpec) -> InnerStages:
        """The amplifiers of the rails."""
        return amplifier_stages(rail_stages(elements), self.amplifier_loads(elements), hardware.amplifiers)

    def amplifier_loads(self, elements: Elements) -> Mapping[Role, AmplifierLoad]:
        """Row sums, feedback and column sums of the conductances, by role."""
        return network_loads(_network(elements), elements.counts)

    def common_mode_rates(self, elements: Elements) -> None:
        """None: every node is an output."""
        del elements


def _rail_roles(elements: Elements) -> tuple[Role, ...]:
    return tuple(role for role in elements.counts if role is not Role.INTEGRATOR_AMPLIFIER)


def _network(elements: Elements) -> SummingNetwork:
    """Integrators first, then the amplifiers of the rails."""
    elements = elements.one_batch()
    noise = elements.components.get(Role.NOISE)
    P, Q = _conductances(elements)
    thermal = _conductances(elements.noise_densities()) if elements.noise_kelvin else (None, None)
    return SummingNetwork(
        P, Q, elements.value(Role.INTEGRATION), None if noise is None else noise.value,
        elements.amplifier_bank(), *thermal,
    )  # fmt: skip


def _conductances(elements: Elements) -> tuple[Tensor, Tensor]:
    """P and Q of the network."""
    P = with_leakage(rail_blocks(elements), elements)
    drive = torch.diag_embed(elements.value(Role.INPUT))
    none = torch.zeros(*drive.shape[:-2], P.shape[-1] - elements.n, elements.n, dtype=torch.float64)
    return P, torch.cat([drive, none], -2)
