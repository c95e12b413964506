"""``passive_rc``: resistors and capacitors alone, with a second rail where the matrix has positive off-diagonals.

Unknown i is the difference d_i = p_i - m_i of a pair of nodes, each with a capacitor C to ground.

    A_ij < 0    a resistor g0 |A_ij| from p_i to p_j and one from m_i to m_j
    A_ij > 0    crossed: from p_i to m_j and from p_j to m_i
    A_ii        g0 (A_ii - sum_j |A_ij|) from either node to ground, none where that is 0

Source i takes the current I_i out of m_i and puts it into p_i.  The sum of Kirchhoff's laws at p_i less that at m_i is

    C dd/dt = -(g0 A d - 2 I),    so I = (g0/2) v0 b makes it dx/dt = -(A x - b)/tau with tau = C/g0.

The common mode c = (p + m)/2, which no output shows, obeys C dc/dt = -g0 M(A) c with the comparison matrix
M(A) = diag(A) - |offdiag(A)|: it may settle far more slowly than the difference.

Without positive off-diagonals one rail does: node i itself is the unknown, driven by I = g0 v0 b, with half the parts.
A die of encoding ``native`` has no second rail at all.

Noise: of the density S of :class:`~tngd_hw.topologies.base.Design` every node gets an independent current of S/2 (S on
a single rail), so that the difference has S and Cov(x) -> kappa A^-1.  It has to be injected: the resistors' own
thermal noise gives kT/C at every node whatever the resistors are, and so says nothing of the matrix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from tngd_hw.hardware import Component, Elements, Encoding, HardwareSpec, Inventory, Layout, Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.dense import eigvalsh
from tngd_hw.linear_sde.gaussian import square_root
from tngd_hw.netlist import Kind, Netlist, NetlistBuilder
from tngd_hw.outcome import Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies.base import AmplifierLoad, Design, InnerStages, Quantity, Scales
from tngd_hw.topologies.diagonal_dominance import (
    dominance_margins,
    dominating_scaling,
    floating_rows,
    rows_in_words,
)
from tngd_hw.topologies.inner_stages import no_stages
from tngd_hw.topologies.op_amp_cells import add_noise
from tngd_hw.topologies.signed_array import resistor_array
from tngd_hw.topologies.spectrum import spectrum, stable_and_regular
from tngd_hw.topologies.two_rail_network import (
    add_network,
    add_probes,
    add_to_ground,
    by_node,
    nodal_conductances,
    rail_count,
)

__all__ = ["PassiveRC"]


class PassiveRC:
    """Symmetric, weakly diagonally dominant matrices, and symmetric H-matrices after D A D.

    Where the components stand: see :mod:`tngd_hw.topologies.two_rail_network`.
    """

    name = "passive_rc"
    encodings = (Encoding.BALANCED, Encoding.NATIVE)
    quantities = frozenset({Quantity.SOLUTION, Quantity.INVERSE, Quantity.SAMPLES})
    is_filter = True
    matrix_roles = (Role.NETWORK, Role.GROUND)
    support_roles: tuple[Role, ...] = ()

    def inventory(self, layout: Layout) -> Inventory:
        """A resistor a pair of nodes, a resistor to ground and a capacitor a node, on every rail."""
        n, rails = layout.nodes, 2 if layout.encoding is Encoding.BALANCED else 1
        return {Role.NETWORK: (n, n), Role.GROUND: (n, rails), Role.NODE_CAPACITOR: (n, rails)}

    def check(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Status:
        """Symmetric, dominant, regular; on a single rail no off-diagonal above 0; on two no floating common mode."""
        del hardware
        A = _even_part(problem)
        detail = _asymmetry(problem.dense_matrix()) or _missed_dominance(A)
        if detail:
            return Status(Outcome.NOT_REALIZABLE, detail)
        status = stable_and_regular(A)
        if not status.ok or _rails(A) == 1:
            return status
        detail = _second_rail_missing(A) if layout.encoding is Encoding.NATIVE else _floating_common_mode(A)
        return Status(Outcome.NOT_REALIZABLE, detail) if detail else status

    def own_scaling(self, problem: LinearProblem) -> Tensor | None:
        """D = M(A)^-1 1, scaled to keep the largest entry, where A is a symmetric H-matrix that is not dominant."""
        A = problem.dense_matrix()
        if not spectrum(A).symmetric or bool((dominance_margins(A) >= 0).all()):
            return None
        return dominating_scaling(A)

    def scales(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Scales:
        """g0 makes the largest conductance the smallest resistance; tau = C/g0; a source of b is (g0/rails) v0 b."""
        del layout
        A, unit = _even_part(problem), 1.0 / hardware.resistors.resistance_ohm
        largest = max(float(_off_diagonal(A).abs().max()), float(dominance_margins(A).max()))
        g0 = unit / largest if largest > 0 else unit
        C = hardware.capacitors.capacitance_farad
        return Scales(g0, 1.0, C, C / g0, g0 / _rails(A))

    def elements(self, problem: LinearProblem, design: Design) -> Elements:
        """Network resistors by pairs; what their rounding to the legal range changed, the ground resistors take up."""
        A, g0 = _even_part(problem), design.scales.conductance_siemens
        n, rails = A.shape[0], _rails(A)
        network = resistor_array(-_off_diagonal(A), g0, design.hardware)
        ground = _ground_conductances(A, network, design)
        if rails == 1:
            network = resistor_array(torch.triu(-A, 1), g0, design.hardware)

        def on_every_rail(value: float) -> Component:
            return Component.array(torch.full((n, rails), value, dtype=torch.float64), 1.0)

        components = {
            Role.NETWORK: network,
            Role.GROUND: resistor_array(ground[:, None].expand(n, rails), 1.0, design.hardware),
            Role.NODE_CAPACITOR: on_every_rail(design.scales.capacitance_farad),
        }
        if design.noise_psd > 0:
            components[Role.NOISE] = on_every_rail(design.noise_psd / rails)
        return Elements(n, components, {}, {})

    def netlist(self, elements: Elements, inputs: Tensor, initial_volt: Tensor) -> Netlist:
        """Nodes ``p0``, ``m0`` and the ideal probe ``out0`` of their difference, or ``out0`` alone on a single rail."""
        n, rails = elements.n, rail_count(elements)
        build = NetlistBuilder(f"passive network of {n} nodes on {rails} rail{'s' if rails > 1 else ''}")
        outputs, sources = [f"out{i}" for i in range(n)], [f"in{i}" for i in range(n)]
        if rails == 1:
            nodes = build.nodes(outputs)[None]
            start = initial_volt[None]
        else:
            nodes = np.stack([build.nodes([f"{rail}{i}" for i in range(n)]) for rail in "pm"])
            start = torch.stack([initial_volt, -initial_volt]) / 2 + 0.0  # no -0.0
            add_probes(build, build.nodes(outputs), nodes, outputs)
        returns = nodes[1] if rails == 2 else np.zeros_like(nodes[0])
        build.add(Kind.CURRENT_SOURCE, sources, np.stack([returns, nodes[0]], 1), inputs.numpy())
        add_network(build, elements, nodes)
        add_to_ground(build, elements, nodes, start)
        add_noise(build, elements, nodes.T.reshape(-1))
        return build.netlist(inputs=sources, outputs=outputs)

    def linear_sde(self, elements: Elements, *, inner: bool = False) -> LinearSDE:
        """C dv/dt = -L v + I with the nodal conductances L; states p, then m: n on a single rail, 2 n on two."""
        del inner
        n, rails = elements.n, rail_count(elements)
        elements = elements.one_batch()
        capacitance = by_node(elements, Role.NODE_CAPACITOR)
        one = torch.eye(n, dtype=torch.float64)
        probe = torch.cat([one, -one], -1) if rails == 2 else one
        E = probe.T / capacitance[..., None]
        noise = torch.zeros(*capacitance.shape, 0, dtype=torch.float64)
        if Role.NOISE in elements.components:
            as_sources = torch.arange(rails * n).reshape(rails, n).T.flatten()  # columns in the netlist's order
            noise = torch.diag_embed(torch.sqrt(by_node(elements, Role.NOISE) / 2) / capacitance)[..., as_sources]
        if elements.noise_kelvin:  # the currents of a resistor at its two ends are one: their density is a Laplacian
            root = square_root(nodal_conductances(elements.noise_densities()) / 2)
            noise = torch.cat([noise, root / capacitance[..., None]], -1)
        return LinearSDE(
            -nodal_conductances(elements) / capacitance[..., None],
            torch.cat([E, torch.zeros_like(E[..., :1])], -1),
            noise,
            probe,
            input_names=(*(f"in{i}" for i in range(n)), "constant"),
            output_names=[f"out{i}" for i in range(n)],
        )

    def initial_state(self, elements: Elements, initial_volt: Tensor) -> Tensor:
        """The nodes at the voltages, on two rails at half of them with either sign."""
        if rail_count(elements) == 1:
            return initial_volt
        return torch.cat([initial_volt / 2, -initial_volt / 2])

    def voltage_limit(self, elements: Elements, hardware: HardwareSpec) -> Tensor:
        """Infinite: nothing saturates."""
        del hardware
        return torch.full((elements.n,), math.inf, dtype=torch.float64)

    def inner_stages(self, elements: Elements, hardware: HardwareSpec) -> InnerStages:
        """None: the circuit is passive."""
        del elements, hardware
        return no_stages()

    def amplifier_loads(self, elements: Elements) -> Mapping[Role, AmplifierLoad]:
        """Empty: there are no amplifiers."""
        del elements
        return {}

    def common_mode_rates(self, elements: Elements) -> Tensor | None:
        """Rates of (C_p + C_m) dc/dt = -(sum of the blocks of L) c, the difference held at 0; None on a single rail."""
        if rail_count(elements) == 1:
            return None
        n, elements = elements.n, elements.one_batch()
        L, capacitance = nodal_conductances(elements), by_node(elements, Role.NODE_CAPACITOR)
        together = (capacitance[..., :n] + capacitance[..., n:]).rsqrt()
        blocks = L[..., :n, :n] + L[..., :n, n:] + L[..., n:, :n] + L[..., n:, n:]
        return eigvalsh(together[..., :, None] * blocks * together[..., None, :])


def _even_part(problem: LinearProblem) -> Tensor:
    """(A + A^T)/2: what is held of a matrix that is symmetric to rounding, the same in every function."""
    A = problem.dense_matrix()
    return (A + A.T) / 2


def _off_diagonal(A: Tensor) -> Tensor:
    return A - torch.diag_embed(torch.diagonal(A))


def _rails(A: Tensor) -> int:
    """Rails that A needs: 2 with an off-diagonal above 0."""
    return 2 if bool((_off_diagonal(A) > 0).any()) else 1


def _asymmetry(A: Tensor) -> str:
    if spectrum(A).symmetric:
        return ""
    place = int((A - A.T).abs().argmax())
    i, j = divmod(place, A.shape[0])
    i, j = min(i, j), max(i, j)
    return f"A[{i}, {j}] = {float(A[i, j]):.6g} and A[{j}, {i}] = {float(A[j, i]):.6g}: a resistor network is symmetric"


def _missed_dominance(A: Tensor) -> str:
    margins = dominance_margins(A)
    rows = torch.nonzero(margins < 0).flatten()
    if not len(rows):
        return ""
    worst_first = rows_in_words(rows[margins[rows].argsort()], -margins)
    mended = "some D A D reaches it" if dominating_scaling(A) is not None else "no D A D reaches it (A is no H-matrix)"
    return f"diagonal dominance, A_ii >= sum_j |A_ij|, is missed in {worst_first}, and {mended}"


def _second_rail_missing(A: Tensor) -> str:
    off = _off_diagonal(A)
    i, j = divmod(int(off.argmax()), A.shape[0])
    return f"A[{i}, {j}] = {float(A[i, j]):.6g} is above 0 and this die has one rail (encoding native, not balanced)"


def _floating_common_mode(A: Tensor) -> str:
    rows = floating_rows(A)
    if not len(rows):
        return ""
    return (
        f"A_ii = sum_j |A_ij| in {rows_in_words(rows)}: nothing leads to ground, the common mode of their rails floats"
    )


def _ground_conductances(A: Tensor, network: Component, design: Design) -> Tensor:
    """g0 A_ii less what the network really has, shape (n,): 0 within rounding, and a legal conductance at most."""
    g0, unit = design.scales.conductance_siemens, 1.0 / design.hardware.resistors.resistance_ohm
    realised = -(network.dense(1) + network.dense(-1)) / g0
    return g0 * dominance_margins(realised + torch.diag(torch.diagonal(A))).clamp(0.0, unit / g0)
