"""``integrator``: op-amp integrators with an n x n array of summing resistors (the paper's Fig. 6).

Node i is the output of an inverting integrator.  Its summing node collects the currents G_ij V_j through the array and
g_in V_in,i through the input resistor, so an ideal circuit obeys

    C dV_i/dt = -(sum_j G_ij V_j + g_in V_in,i)

which has the right sign for a resistor array (the paper's Eq. 22; its Eq. 23 has the sign of V_in reversed).  A
negative entry A_ij is a resistor from the inverted rail W_j = -V_j, made by one inverting amplifier a node.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tngd_hw.hardware import AmplifierBank, Component, Elements, HardwareSpec, Inventory, Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Kind, Netlist, NetlistBuilder
from tngd_hw.outcome import Status
from tngd_hw.topologies.spectrum import stable_and_regular

__all__ = ["Integrator"]


class Integrator:
    """Any matrix whose eigenvalues have positive real parts, with entries of either sign."""

    name = "integrator"

    def inventory(self, nodes: int) -> Inventory:
        """An n x n array; input, inverter and capacitor one a node; two amplifiers a node."""
        per_node = (
            Role.INPUT, Role.INVERTER_INPUT, Role.INVERTER_FEEDBACK, Role.INTEGRATION,
            Role.INTEGRATOR_AMPLIFIER, Role.INVERTER_AMPLIFIER,
        )  # fmt: skip
        return {Role.ARRAY: (nodes, nodes), **dict.fromkeys(per_node, (nodes, 1))}

    def check(self, A: Tensor) -> Status:
        """Stable and regular: all Re eig(A) > 0."""
        return stable_and_regular(A)

    def elements(self, A: Tensor, hardware: HardwareSpec, g0: float, noise_psd: float) -> Elements:
        """Array conductances g0 |A_ij| on the rail of the sign of A_ij; an entry of zero has no resistor."""
        n = A.shape[0]
        row, column = torch.nonzero(A, as_tuple=True)
        entry = A[row, column]
        unit = 1.0 / hardware.resistors.resistance_ohm
        components = {
            Role.ARRAY: Component(row, column, g0 * entry.abs(), torch.sign(entry)),
            Role.INPUT: Component.per_node(unit, n),
            Role.INVERTER_INPUT: Component.per_node(unit, n),
            Role.INVERTER_FEEDBACK: Component.per_node(unit, n),
            Role.INTEGRATION: Component.per_node(hardware.capacitors.capacitance_farad, n),
        }
        if noise_psd > 0:
            components[Role.NOISE] = Component.per_node(noise_psd, n)
        return Elements(n, components, {})

    def netlist(self, elements: Elements, input_volt: Tensor, initial_volt: Tensor) -> Netlist:
        """Nodes ``out0``, ``sum0``, ``inv0``, ``in0`` and so on; inputs are the sources ``in0``, outputs ``out0``."""
        numbers = range(elements.n)
        build = NetlistBuilder(f"integrator array of {elements.n} nodes")
        node = {prefix: build.nodes([f"{prefix}{i}" for i in numbers]) for prefix in ("out", "sum", "inv", "in")}
        inputs, outputs = [f"in{i}" for i in numbers], [f"out{i}" for i in numbers]
        ground = np.zeros_like(node["in"])
        build.add(Kind.VOLTAGE_SOURCE, inputs, np.stack([node["in"], ground], 1), input_volt.numpy())
        resistance = 1.0 / elements.value(Role.INPUT).numpy()
        build.add(Kind.RESISTOR, [f"b_{i}" for i in numbers], np.stack([node["in"], node["sum"]], 1), resistance)
        _add_array(build, elements.components[Role.ARRAY], node)
        if Role.NOISE in elements.components:
            density = elements.value(Role.NOISE).numpy()
            places = np.stack([ground, node["sum"]], 1)
            build.add(Kind.CURRENT_SOURCE, [f"noise{i}" for i in numbers], places, 0.0, noise_psd=density)
        _add_cells(build, elements, node, initial_volt.numpy())
        return build.netlist(inputs=inputs, outputs=outputs)

    def linear_sde(self, elements: Elements) -> LinearSDE:
        """Closed form: n states with ideal amplifiers, 3 n with real ones (see :func:`_real_matrices`)."""
        real = Role.INTEGRATOR_AMPLIFIER in elements.amplifiers
        F, E, B = _real_matrices(elements) if real else _ideal_matrices(elements)
        n = elements.n
        C = torch.zeros(n, F.shape[-1], dtype=torch.float64)
        first = n if real else 0
        C[:, first : first + n] = torch.eye(n, dtype=torch.float64)
        names = tuple(f"out{i}" for i in range(n))
        return LinearSDE(F, E, B, C, input_names=(*(f"in{i}" for i in range(n)), "constant"), output_names=names)

    def initial_state(self, elements: Elements, initial_volt: Tensor) -> Tensor:
        """Capacitors and integrator outputs at ``initial_volt``, inverters at its negative."""
        if Role.INTEGRATOR_AMPLIFIER not in elements.amplifiers:
            return initial_volt
        return torch.cat([initial_volt, initial_volt, -initial_volt])

    def voltage_limit(self, elements: Elements, hardware: HardwareSpec) -> Tensor:
        """The swing, or what the output current allows into the column of resistors at a node (virtual grounds)."""
        n, amplifiers = elements.n, hardware.amplifiers
        if amplifiers is None:
            return torch.full((n,), math.inf, dtype=torch.float64)
        direct, inverted = (elements.components[Role.ARRAY].dense(n, sign).sum(-2) for sign in (1, -1))
        load = torch.maximum(
            direct + elements.value(Role.INVERTER_INPUT), inverted + elements.value(Role.INVERTER_FEEDBACK)
        )
        return torch.clamp(amplifiers.output_current_ampere / load, max=amplifiers.output_swing_volt)


def _add_array(build: NetlistBuilder, array: Component, node: dict[str, np.ndarray]) -> None:
    row, column = array.row.numpy(), array.column.numpy()
    rail = np.where(array.sign.numpy() > 0, node["out"][column], node["inv"][column])
    names = [f"a_{i}_{j}" for i, j in zip(row.tolist(), column.tolist(), strict=True)]
    build.add(Kind.RESISTOR, names, np.stack([rail, node["sum"][row]], 1), 1.0 / array.value.numpy())


def _add_cells(build: NetlistBuilder, elements: Elements, node: dict[str, np.ndarray], start: np.ndarray) -> None:
    numbers = range(elements.n)
    integrators, inverters = [f"int{i}" for i in numbers], [f"inv{i}" for i in numbers]
    summing, rails = np.stack([node["sum"], node["out"]], 1), np.stack([node["out"], node["inv"]], 1)
    capacitance = elements.value(Role.INTEGRATION).numpy()
    resistances = {
        "rin": 1.0 / elements.value(Role.INVERTER_INPUT).numpy(),
        "rf": 1.0 / elements.value(Role.INVERTER_FEEDBACK).numpy(),
    }
    if Role.INTEGRATOR_AMPLIFIER not in elements.amplifiers:
        build.add_cells("integrator_ideal", integrators, summing, cint=capacitance, ic=start)
        build.add_cells("inverter_ideal", inverters, rails, **resistances)
        return
    banks = (
        {"gain": a.open_loop_gain.numpy(), "gbw": a.gain_bandwidth_hz.numpy(), "offset": a.offset_volt.numpy()}
        for a in (elements.amplifiers[r] for r in (Role.INTEGRATOR_AMPLIFIER, Role.INVERTER_AMPLIFIER))
    )
    integrating, inverting = banks
    build.add_cells("integrator", integrators, summing, cint=capacitance, ic=start, **integrating)
    build.add_cells("inverter", inverters, rails, ic=0.0 - start, **resistances, **inverting)


_Matrices = tuple[Tensor, Tensor, Tensor]


def _ideal_matrices(elements: Elements) -> _Matrices:
    """States V: C dV = -((G+ - G- rho) V + g_in V_in) dt - sqrt(S/2) dW, rho = R_f/R_in of the inverters."""
    n = elements.n
    direct, inverted = (elements.components[Role.ARRAY].dense(n, sign) for sign in (1, -1))
    rho = elements.value(Role.INVERTER_INPUT) / elements.value(Role.INVERTER_FEEDBACK)
    C = elements.value(Role.INTEGRATION)[..., None]
    F = -(direct - inverted * rho[..., None, :]) / C
    drive = -torch.diag_embed(elements.value(Role.INPUT)) / C
    E = torch.cat([drive, torch.zeros_like(drive[..., :1])], dim=-1)
    return F, E, _noise_columns(elements, -1.0 / C)


def _real_matrices(elements: Elements) -> _Matrices:
    """States (v_c, V, W): capacitor voltages, integrator outputs, inverted rails; s = V - v_c at the summing nodes.

    C dv_c/dt = -(G+ V + G- W + g_in V_in - G_sum s) - noise,   G_sum = sum_j (G+ + G-)_ij + g_in
    dV/dt = -w0 V - w_u (s - V_os),                              w0 = 2 pi GBW/A0,  w_u = 2 pi GBW
    dW/dt = -w0' W - w_u' (q - V_os'),                           q = (g_i V + g_f W)/(g_i + g_f)
    """
    elements = _one_batch(elements)
    n = elements.n
    direct, inverted = (elements.components[Role.ARRAY].dense(n, sign) for sign in (1, -1))
    g_in = elements.value(Role.INPUT)
    C = elements.value(Role.INTEGRATION)[..., None]
    total = torch.diag_embed(direct.sum(-1) + inverted.sum(-1) + g_in)
    fast, slow, offset = _poles(elements, Role.INTEGRATOR_AMPLIFIER)
    fast_inv, slow_inv, offset_inv = _poles(elements, Role.INVERTER_AMPLIFIER)
    g_i, g_f = elements.value(Role.INVERTER_INPUT), elements.value(Role.INVERTER_FEEDBACK)
    share = g_i / (g_i + g_f)
    zero = torch.zeros_like(direct)
    diag = torch.diag_embed
    F = torch.cat(
        [
            torch.cat([-total / C, (total - direct) / C, -inverted / C], -1),
            torch.cat([diag(fast), -diag(slow + fast), zero], -1),
            torch.cat([zero, -diag(fast_inv * share), -diag(slow_inv + fast_inv * (1 - share))], -1),
        ],
        dim=-2,
    )
    drive = torch.cat([-diag(g_in) / C, zero, zero], dim=-2)
    constant = torch.cat([torch.zeros_like(g_in), fast * offset, fast_inv * offset_inv], dim=-1)
    column = _noise_columns(elements, -1.0 / C)
    B = torch.cat([column, torch.zeros(*column.shape[:-2], 2 * n, column.shape[-1], dtype=torch.float64)], dim=-2)
    return F, torch.cat([drive, constant[..., None]], dim=-1), B


def _one_batch(elements: Elements) -> Elements:
    """The same elements with the axis of the chips in every value, also where all chips are alike."""
    banks = elements.amplifiers.values()
    batch = max((c.value.shape[:-1] for c in elements.components.values()), key=len)
    batch = max([batch, *(bank.offset_volt.shape[:-1] for bank in banks)], key=len)
    for role in elements.components:
        elements = elements.with_values(role, lambda c: c.value.expand(*batch, c.value.shape[-1]))
    for role, bank in elements.amplifiers.items():
        wide = AmplifierBank(
            *(v.expand(*batch, v.shape[-1]) for v in (bank.open_loop_gain, bank.gain_bandwidth_hz, bank.offset_volt))
        )
        elements = elements.with_amplifiers(role, wide)
    return elements


def _poles(elements: Elements, role: Role) -> _Matrices:
    """w_u = 2 pi GBW, w0 = w_u/A0 and the offset of one bank of amplifiers, each (..., n)."""
    bank = elements.amplifiers[role]
    fast = 2 * math.pi * bank.gain_bandwidth_hz
    return fast, fast / bank.open_loop_gain, bank.offset_volt


def _noise_columns(elements: Elements, per_ampere: Tensor) -> Tensor:
    """Columns sqrt(S/2) of the injected noise currents, times their action on a node; no columns without noise."""
    shape = elements.value(Role.INTEGRATION).shape
    if Role.NOISE not in elements.components:
        return torch.zeros(*shape, 0, dtype=torch.float64)
    strength = torch.sqrt(elements.value(Role.NOISE) / 2)
    return torch.diag_embed(strength) * per_ampere
