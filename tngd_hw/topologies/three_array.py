"""``three_array``: arrays J, H and J^T around N integrators, so that A = J^T H J + lambda I is never formed.

    stage 1     u = -(g_J/g_f) J v              transimpedance, m rows
    stage 2     w = -(g_H/g_f) H u              transimpedance, m rows: w = +(g_J/g_f)(g_H/g_f) H J v
    nodes       C dv/dt = -(g_T J^T w + g_lambda v + g_in v_in)

The two inversions cancel, so the loop has the right sign and the ideal circuit is the paper's Eq. 22:
dv/dt = -(A v - v0 b)/tau with g0 = g_T (g_J/g_f)(g_H/g_f), g_lambda = lambda g0, tau = C/g0.  Entries of both signs
(BALANCED): every output has an inverter, and a negative entry is a resistor from the inverted rail.

Scales: the largest entry of J and of H has the smallest resistance (conductance `unit`), feedback and input resistors
too; so has the largest entry of J^T, unless lambda g0 would then exceed the largest conductance of a damping resistor
(`unit`, or what hardware.damping says): the transposed array alone is scaled down until lambda g0 is that (the voltages
of the stages stay as they are; tau grows).  So g0 = unit/(max|J|^2 max|H|) at most: scaling J changes tau, not the
circuit.

The damping resistors are programmed for every problem, as lambda changes in training; of what they are made, and in
which range, is :mod:`tngd_hw.hardware.damping`.

Two stages of finite bandwidth in the loop make it a filter of third order: it oscillates when the loop is faster than
the stages, whose bandwidth is GBW over their noise gain (:mod:`tngd_hw.studies.stability.map`).  Slower loops are
stable: larger capacitors, or faster amplifiers.

Resistors in the three arrays: a die has m (m + 2 N); H is block-diagonal for losses of single samples, only its
batch * d_z^2 entries that are not 0 get resistors.  J and J^T are separate arrays with mismatch of their own, so a
real die holds no symmetric matrix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tngd_hw.hardware import Component, Elements, Encoding, HardwareSpec, Inventory, Layout, Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Netlist
from tngd_hw.outcome import Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies.amplifier_limits import network_loads, planned_limit
from tngd_hw.topologies.base import AmplifierLoad, Design, InnerStages, Quantity, Scales
from tngd_hw.topologies.inner_stages import amplifier_stages, port_names
from tngd_hw.topologies.jacobian_factors import block_diagonal, factored, factors_exist
from tngd_hw.topologies.signed_array import resistor_array
from tngd_hw.topologies.three_array_circuit import three_array_netlist, three_array_network, three_array_stages

__all__ = ["ThreeArray"]


class ThreeArray:
    """A = J^T H J + lambda I kept as factors; a dense symmetric positive definite A is factored first.

    With equal noise injected at the integrators Cov(x) -> kappa A^-1, as A is symmetric, so it inverts and samples too.
    """

    name = "three_array"
    encodings = (Encoding.BALANCED,)
    quantities = frozenset({Quantity.SOLUTION, Quantity.INVERSE, Quantity.SAMPLES})
    is_filter = True
    matrix_roles = (Role.JACOBIAN, Role.HESSIAN, Role.TRANSPOSE)
    support_roles = (Role.DAMPING,)

    def inventory(self, layout: Layout) -> Inventory:
        """Full arrays for N = nodes unknowns and m = outputs rows of J: m (m + 2 N) resistors, and what serves them."""
        n, m = layout.nodes, layout.outputs
        per_node = (Role.DAMPING, Role.INPUT, Role.INVERTER_INPUT, Role.INVERTER_FEEDBACK, Role.INTEGRATION)
        per_output = (
            Role.JACOBIAN_FEEDBACK, Role.JACOBIAN_INVERTER_INPUT, Role.JACOBIAN_INVERTER_FEEDBACK,
            Role.HESSIAN_FEEDBACK, Role.HESSIAN_INVERTER_INPUT, Role.HESSIAN_INVERTER_FEEDBACK,
        )  # fmt: skip
        built = {Role.JACOBIAN: (m, n), Role.HESSIAN: (m, m), Role.TRANSPOSE: (n, m)}
        built |= dict.fromkeys(per_node, (n, 1)) | dict.fromkeys(per_output, (m, 1))
        return built | {role: (count, 1) for role, count in _amplifiers(n, m).items()}

    def check(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Status:
        """Symmetric, positive definite, and no more rows of J than the die has outputs."""
        del hardware
        status = factors_exist(problem)
        rows = problem.n if problem.factors is None else problem.factors.J.shape[0]
        if status.ok and rows > layout.outputs:
            detail = f"J has {rows} rows, the chip has {layout.outputs} outputs (manufacture(..., outputs={rows}))"
            return Status(Outcome.NOT_REALIZABLE, detail)
        return status

    def own_scaling(self, problem: LinearProblem) -> None:
        """None: every matrix is held as it is."""
        del problem

    def scales(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Scales:
        """g0 = unit/(max|J|^2 max|H|), or g_lambda/lambda where that is smaller; tau = C/g0; v_in = -(g0/g_in) v0 b.

        g_lambda: the largest conductance of a damping resistor.
        """
        del layout
        unit, C = 1.0 / hardware.resistors.resistance_ohm, hardware.capacitors.capacitance_farad
        g0 = unit
        if factors_exist(problem).ok:
            factors = factored(problem)
            weight = unit / hardware.damping_range[1]
            g0 = unit / max(_peak(factors.J) ** 2 * _peak(factors.H), weight * factors.damping)
        return Scales(g0, 1.0, C, C / g0, -g0 / unit)

    def elements(self, problem: LinearProblem, design: Design) -> Elements:
        """The three arrays, the damping resistors and one of each other component a node or a row of J.

        A damping resistor is never left out: below its range it has the smallest conductance there is.
        """
        factors, hardware, g0 = factored(problem), design.hardware, design.scales.conductance_siemens
        m, n = factors.J.shape
        unit = 1.0 / hardware.resistors.resistance_ohm
        g_J, g_H = unit / _peak(factors.J), unit / _peak(factors.H)
        g_T = g0 / (g_J / unit * g_H / unit)
        damping = max(factors.damping * g0, hardware.damping_range[0])
        components = {
            Role.JACOBIAN: resistor_array(factors.J, g_J, hardware),
            Role.HESSIAN: resistor_array(block_diagonal(factors.H), g_H, hardware),
            Role.TRANSPOSE: resistor_array(factors.J.T, g_T, hardware),
            Role.DAMPING: Component.per_node(damping, n),
            Role.INPUT: Component.per_node(unit, n),
            Role.INTEGRATION: Component.per_node(hardware.capacitors.capacitance_farad, n),
            Role.INVERTER_INPUT: Component.per_node(unit, n),
            Role.INVERTER_FEEDBACK: Component.per_node(unit, n),
            Role.JACOBIAN_FEEDBACK: Component.per_node(unit, m),
            Role.JACOBIAN_INVERTER_INPUT: Component.per_node(unit, m),
            Role.JACOBIAN_INVERTER_FEEDBACK: Component.per_node(unit, m),
            Role.HESSIAN_FEEDBACK: Component.per_node(unit, m),
            Role.HESSIAN_INVERTER_INPUT: Component.per_node(unit, m),
            Role.HESSIAN_INVERTER_FEEDBACK: Component.per_node(unit, m),
        }
        if design.noise_psd > 0:
            components[Role.NOISE] = Component.per_node(design.noise_psd, n)
        return Elements(n, components, _amplifiers(n, m), {})

    def netlist(self, elements: Elements, inputs: Tensor, initial_volt: Tensor) -> Netlist:
        """Nodes ``out``, ``inv``, ``sum`` of v, ``jac``, ``jacinv``, ``jacsum`` of u, ``hes`` ... of w."""
        return three_array_netlist(elements, inputs, initial_volt)

    def linear_sde(self, elements: Elements, *, inner: bool = False) -> LinearSDE:
        """See :class:`~tngd_hw.topologies.summing_network.SummingNetwork`; N states ideal, 3 N + 4 m real.

        Cost: memory (3 N + 4 m)^2 numbers.
        """
        inputs, outputs = port_names(elements.n, three_array_stages(elements) if inner else ())
        return three_array_network(elements).linear_sde(inputs, outputs)

    def initial_state(self, elements: Elements, initial_volt: Tensor) -> Tensor:
        """Capacitors and integrators at ``initial_volt``, both stages and all inverters settled to it."""
        return three_array_network(elements).initial_state(initial_volt)

    def voltage_limit(self, elements: Elements, hardware: HardwareSpec) -> Tensor:
        """Swing and output current of the nodes, and of the stages at |u_k| <= |S_k|_2 |v|_2.

        The programmer plans |v|_2, so no stage leaves its range while the plan holds; a random J of many columns has
        stage gains |S_k|_2 above 1, which cost the nodes that much of their range.
        """
        if hardware.amplifiers is None:
            return torch.full((elements.n,), math.inf, dtype=torch.float64)
        network = three_array_network(elements)
        return planned_limit(network_loads(network, elements.counts), network.stage_gains, hardware.amplifiers)

    def inner_stages(self, elements: Elements, hardware: HardwareSpec) -> InnerStages:
        """The inverters of the nodes, both stages, and theirs."""
        return amplifier_stages(three_array_stages(elements), self.amplifier_loads(elements), hardware.amplifiers)

    def amplifier_loads(self, elements: Elements) -> Mapping[Role, AmplifierLoad]:
        """Row sums, feedback and column sums of the conductances, by role."""
        return network_loads(three_array_network(elements), elements.counts)

    def common_mode_rates(self, elements: Elements) -> None:
        """None: every rail follows an output."""
        del elements


def _amplifiers(n: int, m: int) -> dict[Role, int]:
    """How many of each, in the order of the closed form."""
    return {
        Role.INTEGRATOR_AMPLIFIER: n,
        Role.INVERTER_AMPLIFIER: n,
        Role.JACOBIAN_AMPLIFIER: m,
        Role.JACOBIAN_INVERTER_AMPLIFIER: m,
        Role.HESSIAN_AMPLIFIER: m,
        Role.HESSIAN_INVERTER_AMPLIFIER: m,
    }


def _peak(matrix: Tensor) -> float:
    """Largest |entry|; 1 for a matrix of zeros, whose array stays empty."""
    largest = float(matrix.abs().max())
    return largest if largest > 0 else 1.0
