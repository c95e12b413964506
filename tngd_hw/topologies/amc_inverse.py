"""``amc_inverse``: amplifiers closed through the array itself, the INV circuit of in-memory matrix computing.

Amplifier i has its inverting input at node i, which collects G_ij V_j from every output and g_s V_in,i from its source;
there is no capacitor.  With T_i all conductance at node i, U = diag(1/T) and one pole a(s) = A0/(1 + s A0/w_u),
w_u = 2 pi GBW, an array of positive entries obeys

    dV/dt = -(w_u/A0) V - w_u U (G V + g_s V_in)
    settled     V = -(G + U^-1/A0)^-1 g_s V_in
    stable      Re eig(U G) > -1/A0

so it settles to A x = b with the speed of its amplifiers.  Negative entries come from rails (BALANCED or OFFSET, see
:mod:`tngd_hw.topologies.signed_array`) whose amplifiers add poles of their own, and the condition is then one on all
eigenvalues of the circuit: positive Re eig(A) is not enough.

Only the settled voltages mean something.  On the way the circuit is exp(-w_u U G t), with the row sums of A in U; it is
not the filter exp(-A t/tau) of the integrating topologies.  Do not read it at a finite time as if it were.

tau = max|A| T/(2 pi GBW g_unit) with T = g_unit: the time constant of x_i for a node with one resistor of the smallest
value on it, 1/(2 pi GBW) where max|A| = 1.  It scales with A as C/g0 does, and real nodes are T_i/g_unit times slower.
Source: Sun et al., PNAS 116:4123 (2019) for the circuit; the equations are Kirchhoff's law at the nodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tngd_hw.hardware import (
    Amplifiers,
    Component,
    Elements,
    Encoding,
    HardwareSpec,
    Inventory,
    Layout,
    Role,
)
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.dense import solve
from tngd_hw.netlist import Netlist, NetlistBuilder
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies.amplifier_limits import network_loads, planned_limit
from tngd_hw.topologies.base import AmplifierLoad, Design, InnerStages, Quantity, Scales
from tngd_hw.topologies.inner_stages import amplifier_stages, port_names
from tngd_hw.topologies.op_amp_cells import StageRow, add_amplifiers, add_sources
from tngd_hw.topologies.resistors_in_netlist import add_resistors
from tngd_hw.topologies.signed_array import (
    add_rails,
    array_components,
    array_inventory,
    array_scale,
    rail_amplifiers,
    rail_blocks,
    rail_stages,
)
from tngd_hw.topologies.spectrum import spectrum
from tngd_hw.topologies.summing_network import SummingNetwork

__all__ = ["AmcInverse"]


class AmcInverse:
    """Any regular matrix whose closed loop is stable, with entries of either sign; settled answers only."""

    name = "amc_inverse"
    encodings = (Encoding.BALANCED, Encoding.OFFSET)
    quantities = frozenset({Quantity.SOLUTION})
    is_filter = False
    matrix_roles = (Role.ARRAY,)
    support_roles = (Role.REFERENCE_ARRAY,)

    def inventory(self, layout: Layout) -> Inventory:
        """An n x n array, an input resistor and an amplifier a node, and what makes the rails."""
        n = layout.nodes
        return {Role.INPUT: (n, 1), Role.SOLVER_AMPLIFIER: (n, 1)} | array_inventory(layout)

    def check(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Status:
        """Real amplifiers, a regular A, and a circuit of nominal parts whose every mode decays."""
        A, amplifiers = problem.dense_matrix(), hardware.amplifiers
        if amplifiers is None:
            detail = "amc_inverse settles at the speed of its amplifiers; give hardware with amplifiers"
            return Status(Outcome.NOT_REALIZABLE, detail)
        if spectrum(A).condition * A.shape[0] * torch.finfo(torch.float64).eps >= 1:
            return Status(Outcome.SINGULAR, "A is singular to rounding")
        scales = self.scales(problem, hardware, layout)
        elements = _with_nominal_amplifiers(self.elements(problem, Design(hardware, layout, scales, 0.0)), amplifiers)
        modes = self.linear_sde(elements).eigenvalues() * scales.tau_s
        worst = modes[modes.real.argmax()]
        if float(worst.real) < 0:
            return Status()
        detail = (
            f"the closed loop has a mode growing at {float(worst.real):.4g}/tau "
            f"(angular frequency {abs(float(worst.imag)):.4g}/tau): the loads of the summing nodes and the poles of "
            "the inverters count, not only the eigenvalues of A"
        )
        return Status(Outcome.UNSTABLE, detail)

    def own_scaling(self, problem: LinearProblem) -> None:
        """None: every matrix is held as it is."""
        del problem

    def scales(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Scales:
        """g0 makes the largest conductance of the array the smallest resistance; tau: see the module.

        The capacitance is unit/(2 pi GBW), what the pole of an amplifier amounts to.
        """
        unit = 1.0 / hardware.resistors.resistance_ohm
        g0 = array_scale(problem.dense_matrix(), layout.encoding, unit)
        amplifiers = hardware.amplifiers
        none = hardware.capacitors.capacitance_farad  # refused by check: any number will do
        C = none if amplifiers is None else unit / (2 * math.pi * amplifiers.gain_bandwidth_hz)
        return Scales(g0, 1.0, C, C / g0, -g0 / unit)

    def elements(self, problem: LinearProblem, design: Design) -> Elements:
        """Array conductances g0 |A_ij| and one of each other component a node.

        Raises:
            MisuseError: Injected noise.
        """
        if design.noise_psd > 0:
            raise MisuseError(
                "kappa > 0: amc_inverse has no capacitor at its nodes that would hold injected noise; "
                "leave kappa at 0, or use the topology integrator"
            )
        A, hardware = problem.dense_matrix(), design.hardware
        n = A.shape[0]
        source = Component.per_node(1.0 / hardware.resistors.resistance_ohm, n)
        components = array_components(A, design) | {Role.INPUT: source}
        return Elements(n, components, _amplifiers(n, design.layout.encoding), {})

    def netlist(self, elements: Elements, inputs: Tensor, initial_volt: Tensor) -> Netlist:
        """Nodes ``out0``, ``sum0``, ``inv0``, ``in0`` and so on; inputs are the sources ``in0``, outputs ``out0``."""
        numbers = range(elements.n)
        build = NetlistBuilder(f"closed-loop array of {elements.n} nodes")
        outputs = [f"out{i}" for i in numbers]
        out, summing = build.nodes(outputs), build.nodes([f"sum{i}" for i in numbers])
        driven, names = add_sources(build, inputs.numpy())
        places = torch.stack([torch.from_numpy(driven), torch.from_numpy(summing)], 1).numpy()
        add_resistors(build, elements, Role.INPUT, [f"b_{i}" for i in numbers], places)
        bank = elements.amplifiers.get(Role.SOLVER_AMPLIFIER)
        add_amplifiers(build, StageRow("amp", summing, out, bank, initial_volt.numpy()))
        rails = next(role for role in elements.counts if role is not Role.SOLVER_AMPLIFIER)
        add_rails(build, elements, out, summing, {rails: _rail_voltages(_network(elements), initial_volt)})
        return build.netlist(inputs=names, outputs=outputs)

    def linear_sde(self, elements: Elements, *, inner: bool = False) -> LinearSDE:
        """See :class:`~tngd_hw.topologies.summing_network.SummingNetwork` (no integrators); states: all outputs.

        Raises:
            MisuseError: Ideal amplifiers, which leave no time in the circuit.
        """
        inputs, outputs = port_names(elements.n, rail_stages(elements) if inner else ())
        return _network(elements).linear_sde(inputs, outputs)

    def initial_state(self, elements: Elements, initial_volt: Tensor) -> Tensor:
        """Outputs held at ``initial_volt``, the rails settled to it."""
        network, axis = _network(elements), -1 if initial_volt.ndim == 1 else -2
        rails = _rail_voltages(network, initial_volt)
        held = initial_volt.expand(*rails.shape[: rails.ndim - initial_volt.ndim], *initial_volt.shape)
        return network.state_at(held.narrow(axis, 0, 0), torch.cat([held, rails], dim=axis), axis)

    def voltage_limit(self, elements: Elements, hardware: HardwareSpec) -> Tensor:
        """Swing and output current of the nodes and of the rails that follow them."""
        if hardware.amplifiers is None:
            return torch.full((elements.n,), math.inf, dtype=torch.float64)
        network = _network(elements)
        return planned_limit(network_loads(network, elements.counts), network.stage_gains, hardware.amplifiers)

    def inner_stages(self, elements: Elements, hardware: HardwareSpec) -> InnerStages:
        """The amplifiers of the rails."""
        return amplifier_stages(rail_stages(elements), self.amplifier_loads(elements), hardware.amplifiers)

    def amplifier_loads(self, elements: Elements) -> Mapping[Role, AmplifierLoad]:
        """Row sums, feedback (the diagonal of A for the solver) and column sums of the conductances, by role."""
        return network_loads(_network(elements), elements.counts)

    def common_mode_rates(self, elements: Elements) -> None:
        """None: every node is an output."""
        del elements


def _amplifiers(n: int, encoding: Encoding) -> dict[Role, int]:
    return {Role.SOLVER_AMPLIFIER: n} | rail_amplifiers(n, encoding)


def _with_nominal_amplifiers(elements: Elements, amplifiers: Amplifiers) -> Elements:
    """Amplifiers without offset in every role."""
    return amplifiers.nominal(elements)


def _network(elements: Elements) -> SummingNetwork:
    """The solver's amplifiers first, then those of the rails; no integrators."""
    elements = elements.one_batch()
    P, Q = _conductances(elements)
    thermal = _conductances(elements.noise_densities()) if elements.noise_kelvin else (None, None)
    no_capacitors = torch.zeros(*P.shape[:-2], 0, dtype=torch.float64)
    return SummingNetwork(P, Q, no_capacitors, None, elements.amplifier_bank(), *thermal)


def _conductances(elements: Elements) -> tuple[Tensor, Tensor]:
    """P and Q of the network."""
    P = rail_blocks(elements)
    drive = torch.diag_embed(elements.value(Role.INPUT))
    none = torch.zeros(*drive.shape[:-2], P.shape[-1] - elements.n, elements.n, dtype=torch.float64)
    return P, torch.cat([drive, none], -2)


def _rail_voltages(network: SummingNetwork, node_volt: Tensor) -> Tensor:
    """Where perfect rails settle for node voltages (n,) or (n, k): -P_rr^-1 P_rn V."""
    n, P = network.inputs.shape[-1], network.conductance
    columns = node_volt if node_volt.ndim > 1 else node_volt[:, None]
    rails = -solve(P[..., n:, n:], P[..., n:, :n] @ columns)
    return rails if node_volt.ndim > 1 else rails.squeeze(-1)
