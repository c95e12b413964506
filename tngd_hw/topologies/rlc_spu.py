"""``rlc_spu``: LC cells with noisy resistors, coupled all to all by capacitors, after the 8-cell board.

Node i has a tank (inductor L, resistor R, ground capacitor) and a coupling capacitor C_ij to every other node.  With
the Maxwell capacitance matrix C_m (C_ii = ground + sum of couplings, -C_ij elsewhere) and a current noise of one-sided
density S into every node,

    C_m dv = -(v/R + i) dt + sqrt(S/2) dW,    L di = v dt,    Cov(v) = k T_eff C_m^-1,    k T_eff = S R/4

whatever L is.  C_m = c0 A, so Cov(x) = kappa A^-1.  The inductors short direct current: the mean of v is 0 for any
constant drive, so the circuit inverts and samples, it does not solve A x = b.
Source: Melanson et al., Nat. Commun. 16:3757 (2025), eqs 4 and 5; the law by the Lyapunov equation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tngd_hw.hardware import Component, Elements, Encoding, HardwareSpec, Inventory, Layout, Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.dense import solve
from tngd_hw.netlist import Netlist
from tngd_hw.outcome import Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies.base import AmplifierLoad, Design, InnerStages, Quantity, Scales
from tngd_hw.topologies.inner_stages import no_stages
from tngd_hw.topologies.rlc_circuit import rlc_equations, rlc_initial_state, rlc_netlist
from tngd_hw.topologies.spectrum import stable_and_regular

__all__ = ["RlcSpu"]

_ROUNDING = 1e-12
"""Entries and row sums within this part of the largest entry are zero."""


class RlcSpu:
    """Symmetric matrices with off-diagonal entries <= 0, weakly diagonally dominant; other M-matrices after D A D."""

    name = "rlc_spu"
    encodings = (Encoding.NATIVE,)
    quantities = frozenset({Quantity.INVERSE, Quantity.SAMPLES})
    is_filter = False
    matrix_roles = (Role.NODE_CAPACITOR, Role.COUPLING_CAPACITOR)
    support_roles: tuple[Role, ...] = ()

    def inventory(self, layout: Layout) -> Inventory:
        """A tank a node and a coupling capacitor a pair of nodes (the upper triangle of the square is used)."""
        n = layout.nodes
        tank = dict.fromkeys((Role.NODE_CAPACITOR, Role.TANK_INDUCTOR, Role.TANK_RESISTOR), (n, 1))
        return {Role.COUPLING_CAPACITOR: (n, n), **tank}

    def own_scaling(self, problem: LinearProblem) -> Tensor | None:
        """D proportional to A^-1 1 where A is not dominant: the row sums of D A D are then proportional to D.

        Its size keeps the largest diagonal entry, so that tau stays comparable.  None where A is dominant.
        """
        A = problem.dense_matrix()
        if bool((_row_sums(A) >= -_ROUNDING * A.abs().max()).all()) or not stable_and_regular(A).ok:
            return None
        D = solve(A, torch.ones(problem.n, 1, dtype=torch.float64)).squeeze(-1)
        if not bool((D > 0).all()):
            return None
        diagonal = torch.diagonal(A)
        return D * torch.sqrt(diagonal.max() / (D**2 * diagonal).max())

    def check(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Status:
        """NOT_REALIZABLE, naming the rows and by how much, unless every capacitance is one that can be built."""
        A = problem.dense_matrix()
        largest, n = float(A.abs().max()), problem.n
        skew = (A - A.T).abs()
        if float(skew.max()) > _ROUNDING * largest:
            i, j = divmod(int(skew.argmax()), n)
            detail = (
                f"A[{i}, {j}] = {float(A[i, j]):.6g} and A[{j}, {i}] = {float(A[j, i]):.6g}: capacitors are symmetric"
            )
            return Status(Outcome.NOT_REALIZABLE, detail)
        off = A - torch.diag(torch.diagonal(A))
        if float(off.max()) > _ROUNDING * largest:
            i, j = divmod(int(off.argmax()), n)
            detail = (
                f"A[{i}, {j}] = {float(A[i, j]):.6g} is above 0: a capacitor between two nodes makes entries below 0; "
                "use integrator or gm_c"
            )
            return Status(Outcome.NOT_REALIZABLE, detail)
        status = stable_and_regular(A)
        if not status.ok:
            return status
        stray = hardware.capacitors.stray_farad / self.scales(problem, hardware, layout).capacitance_farad
        missing = stray - _row_sums(A)
        short = torch.nonzero(missing > _ROUNDING * largest).squeeze(-1)
        if len(short):
            rows = ", ".join(f"{int(i)} by {float(missing[i]):.3g}" for i in short[:5])
            least = f" with a stray capacitance of {stray:.3g} in units of A" if stray > 0 else ""
            detail = f"the capacitance to ground (the row sum of A) is too small in row {rows}{least}"
            return Status(Outcome.NOT_REALIZABLE, detail)
        return Status()

    def scales(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Scales:
        """c0 makes the largest A_ii the nominal capacitance; tau = R c0, in which variances settle; current sources."""
        del layout
        largest = float(torch.diagonal(problem.dense_matrix()).abs().max())
        c0 = hardware.capacitors.capacitance_farad / (largest if largest > 0 else 1.0)
        R = hardware.resistors.resistance_ohm
        return Scales(1 / R, 1.0, c0, R * c0, 1 / R)

    def elements(self, problem: LinearProblem, design: Design) -> Elements:
        """Ground capacitors c0 sum_j A_ij, coupling capacitors c0 |A_ij| for i < j, one tank a node."""
        A, n, c0, hardware = problem.dense_matrix(), problem.n, design.scales.capacitance_farad, design.hardware
        floor = max(hardware.capacitors.stray_farad, _ROUNDING * c0)
        ground = (c0 * _row_sums(A)).clamp_min(floor)  # a row sum of zero to rounding: the smallest that can be built
        components = {
            Role.NODE_CAPACITOR: Component.per_node(ground, n),
            Role.COUPLING_CAPACITOR: Component.array(torch.triu(A, 1), c0),
            Role.TANK_INDUCTOR: Component.per_node(hardware.inductors.inductance_henry, n),
            Role.TANK_RESISTOR: Component.per_node(1 / hardware.resistors.resistance_ohm, n),
        }
        if design.noise_psd > 0:
            components[Role.NOISE] = Component.per_node(design.noise_psd, n)
        return Elements(n, components, {}, {})

    def netlist(self, elements: Elements, inputs: Tensor, initial_volt: Tensor) -> Netlist:
        """Nodes ``out0`` ...: a cell each, capacitors ``c_i_j`` between them, current sources ``in0`` into them."""
        return rlc_netlist(elements, inputs, initial_volt)

    def linear_sde(self, elements: Elements, *, inner: bool = False) -> LinearSDE:
        """States: node voltages, inductor currents, and with switches the coupling capacitors' own voltages."""
        del inner
        return rlc_equations(elements)

    def initial_state(self, elements: Elements, initial_volt: Tensor) -> Tensor:
        """Nodes at ``initial_volt``, no current anywhere."""
        return rlc_initial_state(elements, initial_volt)

    def voltage_limit(self, elements: Elements, hardware: HardwareSpec) -> Tensor:
        """None: the cells are passive."""
        del hardware
        return torch.full((elements.n,), math.inf, dtype=torch.float64)

    def inner_stages(self, elements: Elements, hardware: HardwareSpec) -> InnerStages:
        """None: the circuit is passive."""
        del elements, hardware
        return no_stages()

    def amplifier_loads(self, elements: Elements) -> Mapping[Role, AmplifierLoad]:
        """There are none."""
        del elements
        return {}

    def common_mode_rates(self, elements: Elements) -> None:
        """None: every node is an output."""
        del elements


def _row_sums(A: Tensor) -> Tensor:
    """A_ii - sum of |A_ij|, shape (n,), off-diagonal entries being 0 or below."""
    return A.sum(-1)
