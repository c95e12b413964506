"""Wiring: what the metal between the parts adds to the circuit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tngd_hw.hardware.draws import Die, Draws
from tngd_hw.hardware.elements import Component, Elements, Role
from tngd_hw.hardware.fields import Part, Physical
from tngd_hw.hardware.wire_resistance import terminal_conductances

__all__ = ["Wiring"]

_CROSS_POINT = (Role.ARRAY, Role.JACOBIAN, Role.HESSIAN, Role.TRANSPOSE)
"""Arrays of resistors with column wires driven at one end and row wires that end in summing nodes."""

_AT_NODES = (Role.INTEGRATION, Role.NODE_CAPACITOR)
"""The capacitors that hold the state, one of them in every circuit that has any."""


class Wiring(Part):
    """Resistance, capacitance and leakage that nobody drew; the same on every die.

    Attributes:
        segment_ohm: Resistance of a row or column wire between neighbouring cross points.
        terminal_ohm: Resistance from a driver to the first cross point, and from the last one to the summing node.
        node_farad: Capacitance to ground at every node that a capacitor holds (not at virtual grounds).
        neighbour_farad: Capacitance between neighbouring nodes of ``rlc_spu`` (i and i + 1).
        leakage_siemens: Conductance beside every capacitor that holds the state.
        summing_farad: Capacitance to ground at every summing node, without any device on its row.
        summing_farad_per_device: What every device on the row adds to it.
        switch_ohm: Resistance of the switch in series with every coupling capacitor of ``rlc_spu``.
    """

    segment_ohm: Physical = 0.0
    terminal_ohm: Physical = 0.0
    node_farad: Physical = 0.0
    neighbour_farad: Physical = 0.0
    leakage_siemens: Physical = 0.0
    summing_farad: Physical = 0.0
    summing_farad_per_device: Physical = 0.0
    switch_ohm: Physical = 0.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "resistance": {"segment_ohm": 0.0, "terminal_ohm": 0.0},
        "capacitance": {"node_farad": 0.0, "neighbour_farad": 0.0},
        "summing_capacitance": {"summing_farad": 0.0, "summing_farad_per_device": 0.0},
        "leakage": {"leakage_siemens": 0.0},
        "switches": {"switch_ohm": 0.0},
    }

    def draw(self, die: Die) -> Draws:
        """Nothing: wires are what the layout makes them."""
        del die
        return {}

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """All of it; an effect at 0 leaves the elements as they are."""
        del draws
        elements = self._with_summing_capacitance(elements)
        elements = self._with_wire_resistance(elements)
        elements = self._with_stray_capacitance(elements)
        holder = next((role for role in _AT_NODES if role in elements.components), None)
        if self.leakage_siemens > 0 and holder is not None:
            leak = replace(elements.components[holder], value=_full(elements, holder, self.leakage_siemens))
            elements = elements.with_component(Role.LEAKAGE, leak)
        if self.switch_ohm > 0 and Role.COUPLING_CAPACITOR in elements.components:
            coupling = elements.components[Role.COUPLING_CAPACITOR]
            switches = replace(coupling, value=torch.full((len(coupling.row),), 1 / self.switch_ohm).double())
            elements = elements.with_component(Role.COUPLING_SWITCH, switches)
        return elements

    def _with_wire_resistance(self, elements: Elements) -> Elements:
        if self.segment_ohm == 0 and self.terminal_ohm == 0:
            return elements
        for role in _CROSS_POINT:
            if role in elements.components:
                seen = _from_terminals(elements.components[role], self.segment_ohm, self.terminal_ohm)
                elements = elements.with_component(role, seen)
        return elements

    def _with_stray_capacitance(self, elements: Elements) -> Elements:
        if self.node_farad > 0:
            elements = elements.with_values(Role.NODE_CAPACITOR, lambda c: c.value + self.node_farad)
        if self.neighbour_farad == 0 or Role.COUPLING_CAPACITOR not in elements.components:
            return elements
        return elements.with_component(
            Role.COUPLING_CAPACITOR,
            _with_neighbours(elements.components[Role.COUPLING_CAPACITOR], self.neighbour_farad),
        )

    def _with_summing_capacitance(self, elements: Elements) -> Elements:
        """At the inputs of real amplifiers; perfect ones hold their summing nodes at 0 V whatever hangs on them."""
        if self.summing_farad == 0 and self.summing_farad_per_device == 0:
            return elements
        for role, bank in elements.amplifiers.items():
            devices = _devices_on_row(elements, role)
            farad = bank.input_farad + self.summing_farad + self.summing_farad_per_device * devices
            elements = elements.with_amplifiers(role, replace(bank, input_farad=farad))
        return elements


_ROWS: Mapping[Role, tuple[Role, ...]] = {
    Role.INTEGRATOR_AMPLIFIER: (Role.ARRAY, Role.TRANSPOSE, Role.REFERENCE_ARRAY, Role.INPUT, Role.DAMPING),
    Role.SOLVER_AMPLIFIER: (Role.ARRAY, Role.REFERENCE_ARRAY, Role.INPUT),
    Role.INVERTER_AMPLIFIER: (Role.INVERTER_INPUT, Role.INVERTER_FEEDBACK),
    Role.REFERENCE_AMPLIFIER: (Role.REFERENCE_INPUT, Role.REFERENCE_FEEDBACK),
    Role.JACOBIAN_AMPLIFIER: (Role.JACOBIAN, Role.JACOBIAN_FEEDBACK),
    Role.HESSIAN_AMPLIFIER: (Role.HESSIAN, Role.HESSIAN_FEEDBACK),
    Role.JACOBIAN_INVERTER_AMPLIFIER: (Role.JACOBIAN_INVERTER_INPUT, Role.JACOBIAN_INVERTER_FEEDBACK),
    Role.HESSIAN_INVERTER_AMPLIFIER: (Role.HESSIAN_INVERTER_INPUT, Role.HESSIAN_INVERTER_FEEDBACK),
}
"""What stands at the summing nodes of every role of amplifiers, row by row."""


def _devices_on_row(elements: Elements, role: Role) -> Tensor:
    """Number of resistors at the summing node of every amplifier of ``role``, shape (count,)."""
    count = torch.zeros(elements.counts[role], dtype=torch.float64)
    for holder in _ROWS[role]:
        if holder in elements.components:
            row = elements.components[holder].row
            count = count.index_add(0, row, torch.ones(len(row), dtype=torch.float64))
    return count


def _full(elements: Elements, role: Role, value: float) -> Tensor:
    return torch.full((len(elements.components[role].row),), value, dtype=torch.float64)


def _from_terminals(array: Component, segment_ohm: float, terminal_ohm: float) -> Component:
    """The array as its terminals see it: column wires of both rails side by side, direct 0, inverted 0, direct 1 ..."""
    batch, (rows, columns) = array.value.shape[:-1], array.shape
    rails = torch.stack([array.dense(1), array.dense(-1)], -1).reshape(-1, rows, 2 * columns).numpy()
    seen = np.stack([terminal_conductances(devices, segment_ohm, terminal_ohm) for devices in rails])
    value = torch.from_numpy(seen).reshape(*batch, rows, columns, 2)
    found = torch.nonzero(value.reshape(-1, rows, columns, 2).amax(0) > 0)
    row, column, inverted = found.unbind(-1)
    return Component(row, column, value[..., row, column, inverted], 1.0 - 2.0 * inverted.float(), array.shape)


def _with_neighbours(coupling: Component, farad: float) -> Component:
    """The coupling capacitors with ``farad`` more between i and i + 1, also where there was none."""
    n, batch = coupling.shape[0], coupling.value.shape[:-1]
    full = coupling.dense(-1)
    step = torch.arange(n - 1)
    full[..., step, step + 1] += farad
    row, column = torch.nonzero(full.reshape(-1, n, n).amax(0) > 0, as_tuple=True)
    return Component(row, column, full[..., row, column].reshape(*batch, -1), -torch.ones(len(row)), coupling.shape)
