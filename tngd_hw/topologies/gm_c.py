"""``gm_c``: an n x n array of transconductors (OTAs) with a capacitor at every node.

The transconductor at (i, j) takes the current gm_ij v_j out of node i; one whose inputs are exchanged puts it in, so
entries of both signs need no second rail.  One more a node puts g_in v_in,i in:

    C dv_i/dt = -(sum_j gm_ij v_j + g_out,i v_i) + g_in v_in,i

gm = g0 A, v_in = (g0/g_in) v0 b with the sign of b.  g_out is what the finite output resistances of the transconductors
at node i add up to, sum gm/intrinsic_gain: it damps as if it were added to A_ii.  There is no pole but these: the
circuit is stable iff A + diag(g_out)/g0 is.

Linear up to ``linear_range_volt``, to which the outputs and the inputs are scaled.  :meth:`GmC.limited_netlist` is the
same circuit with i = gm V tanh(v/V) for every transconductor.  Noise of density S at every node gives
Cov(x) -> kappa A^-1 for symmetric A; otherwise A S + S A^T = 2 kappa I, and A^-1 takes n solves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tngd_hw.hardware import Component, Elements, Encoding, HardwareSpec, Inventory, Layout, Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Kind, Netlist, NetlistBuilder
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies.base import AmplifierLoad, Design, InnerStages, Quantity, Scales
from tngd_hw.topologies.inner_stages import no_stages, port_names
from tngd_hw.topologies.linear_forms import Space
from tngd_hw.topologies.op_amp_cells import add_noise, add_sources
from tngd_hw.topologies.resistors_in_netlist import add_resistors, entry_names
from tngd_hw.topologies.signed_array import array_scale
from tngd_hw.topologies.spectrum import stable_and_regular

__all__ = ["GmC"]

_Nodes = NDArray[np.int64]
_Values = NDArray[np.float64]
_AddTransconductors = Callable[[NetlistBuilder, list[str], _Nodes, _Values], None]
"""Adds transconductors: their names, nodes (m, 3) + input, - input, output, and values in siemens."""


_TO_GROUND = {Role.OUTPUT_CONDUCTANCE: "out", Role.LEAKAGE: "leak"}
"""Roles of resistors from a node to ground, and how they are named."""


class GmC:
    """Any matrix whose eigenvalues have positive real parts, with entries of either sign."""

    name = "gm_c"
    encodings = (Encoding.NATIVE,)
    quantities = frozenset({Quantity.SOLUTION, Quantity.INVERSE, Quantity.SAMPLES})
    is_filter = True
    matrix_roles = (Role.TRANSCONDUCTOR,)
    support_roles: tuple[Role, ...] = ()

    def inventory(self, layout: Layout) -> Inventory:
        """An n x n array, an input transconductor and a capacitor a node."""
        n = layout.nodes
        return {Role.TRANSCONDUCTOR: (n, n), Role.INPUT_TRANSCONDUCTOR: (n, 1), Role.NODE_CAPACITOR: (n, 1)}

    def check(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Status:
        """Stable and regular: all Re eig(A) > 0."""
        del hardware, layout
        return stable_and_regular(problem.dense_matrix())

    def own_scaling(self, problem: LinearProblem) -> None:
        """None: every matrix is held as it is."""
        del problem

    def scales(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Scales:
        """g0 makes the largest transconductance 1/resistance_ohm; tau = C/g0; v_in = (g0/g_in) v0 b."""
        unit, C = 1.0 / hardware.resistors.resistance_ohm, hardware.capacitors.capacitance_farad
        g0 = array_scale(problem.dense_matrix(), layout.encoding, unit)
        return Scales(g0, 1.0, C, C / g0, g0 / unit)

    def elements(self, problem: LinearProblem, design: Design) -> Elements:
        """Transconductances g0 |A_ij| with the sign of A_ij, and one of each other component a node."""
        A = problem.dense_matrix()
        n = A.shape[0]
        components = {
            Role.TRANSCONDUCTOR: Component.array(A, design.scales.conductance_siemens),
            Role.INPUT_TRANSCONDUCTOR: Component.per_node(1.0 / design.hardware.resistors.resistance_ohm, n),
            Role.NODE_CAPACITOR: Component.per_node(design.scales.capacitance_farad, n),
        }
        if design.noise_psd > 0:
            components[Role.NOISE] = Component.per_node(design.noise_psd, n)
        return Elements(n, components, {}, {})

    def netlist(self, elements: Elements, inputs: Tensor, initial_volt: Tensor) -> Netlist:
        """Nodes ``out0``, ``in0`` and so on; a G element ``a_row_column`` an entry, ``b_row`` an input."""
        title = f"transconductor array of {elements.n} nodes"
        return _netlist(title, elements, inputs, initial_volt, _add_linear)

    def limited_netlist(
        self, elements: Elements, linear_range_volt: float, inputs: Tensor, initial_volt: Tensor
    ) -> Netlist:
        """The same circuit of cells ``ota_limited``: i = gm V tanh(v/V) with V = ``linear_range_volt``.

        It is not linear: for ngspice, by :func:`~tngd_hw.netlist.write_deck`, not for the exact engines.

        Raises:
            MisuseError: A range that is not a finite voltage above 0.
        """
        if not 0 < linear_range_volt < math.inf:
            raise MisuseError(f"linear_range_volt = {linear_range_volt!r}: expected a finite voltage above 0")

        def add_limited(build: NetlistBuilder, names: list[str], nodes: _Nodes, siemens: _Values) -> None:
            build.add_cells("ota_limited", names, nodes, gm=siemens, vlin=linear_range_volt)

        title = f"transconductor array of {elements.n} nodes, limited to {linear_range_volt:g} V"
        return _netlist(title, elements, inputs, initial_volt, add_limited)

    def linear_sde(self, elements: Elements, *, inner: bool = False) -> LinearSDE:
        """The equation of the module; n states, the voltages of the nodes; with ``inner`` the sources below them."""
        n, elements = elements.n, elements.one_batch()
        C = elements.value(Role.NODE_CAPACITOR)
        array = elements.components[Role.TRANSCONDUCTOR]
        conductance = array.dense(1) - array.dense(-1) + torch.diag_embed(_to_ground(elements))
        injected, thermal = Role.NOISE in elements.components, bool(elements.noise_kelvin)
        space = Space(n, n, n * (int(injected) + int(thermal)))
        current = elements.value(Role.INPUT_TRANSCONDUCTOR)[..., None] * space.input() - conductance @ space.state(0, n)
        if injected:
            current = current + space.white(torch.diag_embed(torch.sqrt(elements.value(Role.NOISE) / 2)))
        if thermal:
            strength = torch.sqrt(_thermal_density(elements) / 2)
            current = current + space.white(torch.diag_embed(strength), n * int(injected))
        seen = torch.cat([space.state(0, n), space.input()]) if inner else space.state(0, n)
        return space.linear_sde(current / C[..., None], seen, *port_names(n, _input_stages(n) if inner else ()))

    def initial_state(self, elements: Elements, initial_volt: Tensor) -> Tensor:
        """The voltages themselves."""
        del elements
        return initial_volt

    def voltage_limit(self, elements: Elements, hardware: HardwareSpec) -> Tensor:
        """The linear range of the transconductors; infinite where they have none."""
        limit = hardware.transconductors.linear_range_volt
        return torch.full((elements.n,), math.inf if limit is None else limit, dtype=torch.float64)

    def inner_stages(self, elements: Elements, hardware: HardwareSpec) -> InnerStages:
        """The input transconductors, whose voltages are the sources': linear range as that of the array's."""
        limit = hardware.transconductors.linear_range_volt
        if limit is None:
            return no_stages()
        names, nodes = (tuple(words) for words in zip(*_input_stages(elements.n), strict=True))
        remedy = "scale the drive down (larger x_max), or choose transconductors with a larger linear range"
        return InnerStages(names, nodes, torch.full((elements.n,), limit, dtype=torch.float64), remedy)

    def amplifier_loads(self, elements: Elements) -> Mapping[Role, AmplifierLoad]:
        """Empty: there are no operational amplifiers."""
        del elements
        return {}

    def common_mode_rates(self, elements: Elements) -> None:
        """None: every node is an output."""
        del elements


def _input_stages(n: int) -> list[tuple[str, str]]:
    return [(f"input transconductor of row {i}", f"in{i}") for i in range(n)]


def _netlist(
    title: str, elements: Elements, inputs: Tensor, initial_volt: Tensor, add_transconductors: _AddTransconductors
) -> Netlist:
    """The circuit with transconductors as ``add_transconductors`` makes them."""
    numbers = range(elements.n)
    build = NetlistBuilder(title)
    outputs = [f"out{i}" for i in numbers]
    out = build.nodes(outputs)
    ground = np.zeros_like(out)
    driven, sources = add_sources(build, inputs.numpy())
    add_transconductors(
        build,
        [f"b_{i}" for i in numbers],
        np.stack([driven, ground, out], 1),
        elements.value(Role.INPUT_TRANSCONDUCTOR).numpy(),
    )
    array = elements.components[Role.TRANSCONDUCTOR]
    names = entry_names("a", array.row.numpy(), array.column.numpy())
    add_transconductors(build, names, _array_nodes(array, out), array.value.numpy())
    places = np.stack([out, ground], 1)
    for role, prefix in _TO_GROUND.items():
        if role in elements.components:
            add_resistors(build, elements, role, [f"{prefix}{i}" for i in numbers], places)
    density = _transconductor_noise(elements).numpy()
    if density.any():
        names = [f"ota{i}" for i in numbers]
        build.add(Kind.CURRENT_SOURCE, names, np.stack([ground, out], 1), 0.0, noise_psd=density)
    capacitance = elements.value(Role.NODE_CAPACITOR).numpy()
    build.add(Kind.CAPACITOR, [f"node{i}" for i in numbers], places, capacitance, initial=initial_volt.numpy())
    add_noise(build, elements, out)
    return build.netlist(inputs=sources, outputs=outputs)


def _to_ground(elements: Elements) -> Tensor:
    """Conductance from every node to ground, (..., n): of the transconductors' outputs, and leakage."""
    none = torch.zeros_like(elements.value(Role.NODE_CAPACITOR))
    return sum((elements.value(role) for role in _TO_GROUND if role in elements.components), none)


def _thermal_density(elements: Elements) -> Tensor:
    """One-sided density of the thermal noise current into every node, (..., n), A^2/Hz."""
    return _to_ground(elements.noise_densities()) + _transconductor_noise(elements)


def _transconductor_noise(elements: Elements) -> Tensor:
    """4 k T gamma sum gm over the transconductors that end at a node, (..., n); gamma T is their temperature here."""
    if not elements.noise_kelvin:
        return torch.zeros(elements.n, dtype=torch.float64)
    array = elements.components[Role.TRANSCONDUCTOR]
    gm = (array.dense(1) + array.dense(-1)).sum(-1)
    own = elements.thermal_factor(Role.INPUT_TRANSCONDUCTOR) * elements.value(Role.INPUT_TRANSCONDUCTOR)
    return elements.thermal_factor(Role.TRANSCONDUCTOR) * gm + own


def _array_nodes(array: Component, out: _Nodes) -> _Nodes:
    """+ input, - input and output, shape (m, 3): a positive entry takes current out, so its voltage is the - input."""
    source, end = out[array.column.numpy()], out[array.row.numpy()]
    positive = array.sign.numpy() > 0
    return np.stack([np.where(positive, 0, source), np.where(positive, source, 0), end], 1)


def _add_linear(build: NetlistBuilder, names: list[str], nodes: _Nodes, siemens: _Values) -> None:
    """G elements: the current gm (v(+) - v(-)) leaves ground through the source, so it enters the output."""
    plus, minus, end = nodes.T
    build.add(Kind.VCCS, names, np.stack([np.zeros_like(end), end, plus, minus], 1), siemens)
