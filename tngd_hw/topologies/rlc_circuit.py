"""The cells of ``rlc_spu`` as equations and as a netlist: two derivations of one circuit.

With the tank conductances G (leakage included), the currents j from the sources, white noise n into the nodes and e in
series with the inductors,

    C_m dv/dt = j - G v - i + n,    L di/dt = v - R_s i + e.

With a switch of conductance g in series with every coupling capacitor (incidence D: +1 at node i, -1 at node j, u the
capacitors' own voltages), the nodes have their ground capacitances C_g alone:

    I = g (D v - u) + n_g,    C_g dv/dt = j - G v - i - D^T I + n,    C_c du/dt = I.

Noise of a loss: 4 k T G in A^2/Hz beside a conductance, 4 k T R_s in V^2/Hz in series with a resistance.
Source: Kirchhoff's laws; Melanson et al., Nat. Commun. 16:3757 (2025), eqs 4 and 5, without losses.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tngd_hw.hardware import Elements, Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.dense import solve
from tngd_hw.netlist import Kind, Netlist, NetlistBuilder
from tngd_hw.topologies.linear_forms import Space
from tngd_hw.topologies.op_amp_cells import add_noise
from tngd_hw.topologies.resistors_in_netlist import add_resistors, entry_names
from tngd_hw.topologies.summing_network import one_batch

__all__ = ["maxwell_matrix", "rlc_equations", "rlc_initial_state", "rlc_netlist"]

_Nodes = NDArray[np.int64]


def maxwell_matrix(elements: Elements) -> Tensor:
    """C_m, shape (..., n, n): C_ii = ground + sum of couplings, C_ij = -coupling."""
    half = elements.components[Role.COUPLING_CAPACITOR].dense(-1)
    coupling = half + half.mT
    return torch.diag_embed(elements.value(Role.NODE_CAPACITOR) + coupling.sum(-1)) - coupling


def rlc_equations(elements: Elements) -> LinearSDE:
    """States (v, i), with switches (v, i, u); outputs v; the injected noise stands first in B."""
    elements, n = elements.one_batch(), elements.n
    switched = Role.COUPLING_SWITCH in elements.components
    pairs = len(elements.components[Role.COUPLING_CAPACITOR].row) if switched else 0
    hears = {
        "injected": n if Role.NOISE in elements.components else 0,
        "node": n if elements.thermal_factor(Role.TANK_RESISTOR) + elements.thermal_factor(Role.LEAKAGE) > 0 else 0,
        "inductor": n if _hears(elements, Role.INDUCTOR_LOSS) else 0,
        "switch": pairs if _hears(elements, Role.COUPLING_SWITCH) else 0,
    }
    space = Space(2 * n + pairs, n, sum(hears.values()))
    first = dict(zip(hears, np.cumsum([0, *hears.values()]).tolist(), strict=False))
    v, i, u = space.state(0, n), space.state(n, n), space.state(2 * n, pairs)
    loss, density = _node_conductance(elements), _node_conductance(elements.noise_densities())
    current = space.input() - loss[..., None] * v - i
    if hears["injected"]:
        current = current + _white(space, elements.value(Role.NOISE), first["injected"])
    if hears["node"]:
        current = current + _white(space, density, first["node"])
    voltage = v
    if Role.INDUCTOR_LOSS in elements.components:
        siemens = elements.value(Role.INDUCTOR_LOSS)
        voltage = v - i / siemens[..., None]
        if hears["inductor"]:
            voltage = voltage + _white(space, elements.thermal_factor(Role.INDUCTOR_LOSS) / siemens, first["inductor"])
    changes = [voltage / elements.value(Role.TANK_INDUCTOR)[..., None]]
    if switched:
        g, D = elements.value(Role.COUPLING_SWITCH), _incidence(elements)
        through = g[..., None] * (D @ v - u)
        if hears["switch"]:
            through = through + _white(space, elements.thermal_factor(Role.COUPLING_SWITCH) * g, first["switch"])
        changes.insert(0, (current - D.T @ through) / elements.value(Role.NODE_CAPACITOR)[..., None])
        changes.append(through / elements.value(Role.COUPLING_CAPACITOR)[..., None])
    else:
        maxwell = maxwell_matrix(elements)
        inverse = solve(maxwell, torch.eye(n, dtype=torch.float64).expand_as(maxwell))  # else n chips are n vectors
        changes.insert(0, inverse @ current)
    return space.linear_sde(
        torch.cat(one_batch(*changes), -2), v, [f"in{k}" for k in range(n)], [f"out{k}" for k in range(n)]
    )


def rlc_initial_state(elements: Elements, initial_volt: Tensor) -> Tensor:
    """Nodes at ``initial_volt``, no current anywhere."""
    parts = [initial_volt, torch.zeros_like(initial_volt)]
    if Role.COUPLING_SWITCH in elements.components:
        parts.append(_incidence(elements) @ initial_volt)
    return torch.cat(parts)


def rlc_netlist(elements: Elements, inputs: Tensor, initial_volt: Tensor) -> Netlist:
    """Nodes ``out0`` ...: a cell each, capacitors ``c_i_j`` between them, current sources ``in0`` into them."""
    numbers = range(elements.n)
    build = NetlistBuilder(f"RLC unit of {elements.n} cells")
    names, sources = [f"out{i}" for i in numbers], [f"in{i}" for i in numbers]
    out, start = build.nodes(names), initial_volt.numpy()
    build.add(Kind.CURRENT_SOURCE, sources, np.stack([np.zeros_like(out), out], 1), inputs.numpy())
    _add_couplings(build, elements, out, start)
    lossy = Role.INDUCTOR_LOSS in elements.components
    capacitance, inductance = elements.value(Role.NODE_CAPACITOR), elements.value(Role.TANK_INDUCTOR)
    labels = [f"cell{i}" for i in numbers]
    if lossy or elements.noise_kelvin:
        to_ground = np.stack([out, np.zeros_like(out)], 1)
        build.add(Kind.CAPACITOR, labels, to_ground, capacitance.numpy(), initial=start)
        add_resistors(build, elements, Role.TANK_RESISTOR, labels, to_ground)
        coil = build.nodes([f"coil{i}" for i in numbers]) if lossy else np.zeros_like(out)
        build.add(Kind.INDUCTOR, labels, np.stack([out, coil], 1), inductance.numpy(), initial=0.0)
        if lossy:
            losses = [f"coil{i}" for i in numbers]
            add_resistors(build, elements, Role.INDUCTOR_LOSS, losses, np.stack([coil, np.zeros_like(coil)], 1))
    else:
        build.add_cells(
            "rlc_cell", labels, out[:, None], ic=start, c=capacitance.numpy(), l=inductance.numpy(),
            r=1.0 / elements.value(Role.TANK_RESISTOR).numpy(),
        )  # fmt: skip
    if Role.LEAKAGE in elements.components:
        leaks = [f"leak{i}" for i in numbers]
        add_resistors(build, elements, Role.LEAKAGE, leaks, np.stack([out, np.zeros_like(out)], 1))
    add_noise(build, elements, out)
    return build.netlist(inputs=sources, outputs=names)


def _add_couplings(build: NetlistBuilder, elements: Elements, out: _Nodes, start: NDArray[np.float64]) -> None:
    coupling = elements.components[Role.COUPLING_CAPACITOR]
    live = np.flatnonzero(coupling.value.numpy() > 0)
    if not len(live):
        return
    row, column = coupling.row.numpy(), coupling.column.numpy()
    names = entry_names("c", row, column)
    far = out[row]
    if Role.COUPLING_SWITCH in elements.components:
        far = build.nodes([f"switch{name[1:]}" for name in names])
        labels = [f"s{name[1:]}" for name in names]
        add_resistors(build, elements, Role.COUPLING_SWITCH, labels, np.stack([out[row], far], 1))
    places, between = np.stack([far, out[column]], 1), start[row] - start[column]
    value = coupling.value.numpy()
    build.add(Kind.CAPACITOR, [names[k] for k in live.tolist()], places[live], value[live], initial=between[live])


def _incidence(elements: Elements) -> Tensor:
    """D, shape (pairs, n): +1 at the row's node, -1 at the column's."""
    coupling = elements.components[Role.COUPLING_CAPACITOR]
    one = torch.eye(elements.n, dtype=torch.float64)
    return one[coupling.row] - one[coupling.column]


def _node_conductance(elements: Elements) -> Tensor:
    """Tank and leakage conductances, (..., n)."""
    loss = elements.value(Role.TANK_RESISTOR)
    return loss + elements.value(Role.LEAKAGE) if Role.LEAKAGE in elements.components else loss


def _hears(elements: Elements, role: Role) -> bool:
    return role in elements.components and elements.thermal_factor(role) > 0


def _white(space: Space, density: Tensor, first: int) -> Tensor:
    """Rows of independent noises of one-sided densities (..., m)."""
    return space.white(torch.diag_embed(torch.sqrt(density / 2)), first)
