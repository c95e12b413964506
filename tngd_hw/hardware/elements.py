"""Elements: the named component arrays of one circuit, nominal or as one die really has them.

A topology makes nominal elements from a matrix; hardware parts replace their values by a chip's own; a topology turns
the result into a netlist or into equations.  So an effect is written once and acts in every engine.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["AmplifierBank", "Component", "Elements", "Inventory", "Role"]


class Role(enum.Enum):
    """What a component does in its circuit.  Values are the names used in reports."""

    ARRAY = "array resistor"
    INPUT = "input resistor"
    INVERTER_INPUT = "inverter input resistor"
    INVERTER_FEEDBACK = "inverter feedback resistor"
    INTEGRATION = "integration capacitor"
    NOISE = "injected noise"
    INTEGRATOR_AMPLIFIER = "integrator amplifier"
    INVERTER_AMPLIFIER = "inverter amplifier"


RESISTOR_ROLES = (Role.ARRAY, Role.INPUT, Role.INVERTER_INPUT, Role.INVERTER_FEEDBACK)
CAPACITOR_ROLES = (Role.INTEGRATION,)
AMPLIFIER_ROLES = (Role.INTEGRATOR_AMPLIFIER, Role.INVERTER_AMPLIFIER)

Inventory = Mapping[Role, tuple[int, int]]
"""What is built on a die: rows and columns of every role (columns = 1 for one component a node)."""


@dataclass(frozen=True, eq=False)
class Component:
    """m components of one role.

    Attributes:
        row: Shape (m,), int64: the node they belong to.
        column: Shape (m,), int64: the node they come from (0 where a role has one component a node).
        value: Shape (..., m), chips first: siemens for resistors, farad for capacitors, A^2/Hz (one-sided) for noise.
        sign: Shape (m,): +1 on the direct rail, -1 on the inverted rail.
    """

    row: Tensor
    column: Tensor
    value: Tensor
    sign: Tensor

    @classmethod
    def per_node(cls, value: float, n: int) -> Component:
        """One component of the same value at each of ``n`` nodes."""
        node = torch.arange(n)
        return cls(node, torch.zeros_like(node), torch.full((n,), value, dtype=torch.float64), torch.ones(n))

    def dense(self, n: int, sign: int) -> Tensor:
        """Shape (..., n, n): the values on one rail as a matrix, zero where there is no component."""
        value = torch.where(self.sign == sign, self.value, torch.zeros((), dtype=torch.float64))
        flat = torch.zeros((*value.shape[:-1], n * n), dtype=torch.float64)
        index = (self.row * n + self.column).expand(value.shape)
        return flat.scatter_add(-1, index, value).reshape(*value.shape[:-1], n, n)


@dataclass(frozen=True, eq=False)
class AmplifierBank:
    """One operational amplifier a node, single pole.

    Attributes:
        open_loop_gain: Shape (..., n), V/V.
        gain_bandwidth_hz: Shape (..., n).
        offset_volt: Shape (..., n), referred to the input.
    """

    open_loop_gain: Tensor
    gain_bandwidth_hz: Tensor
    offset_volt: Tensor


@dataclass(frozen=True, eq=False)
class Elements:
    """All components of a circuit of ``n`` nodes; no amplifier banks means ideal amplifiers."""

    n: int
    components: Mapping[Role, Component]
    amplifiers: Mapping[Role, AmplifierBank]

    def value(self, role: Role) -> Tensor:
        """Values of ``role``, shape (..., m)."""
        return self.components[role].value

    def with_values(self, role: Role, change: Callable[[Component], Tensor]) -> Elements:
        """The same elements with ``change(component)`` as the values of ``role`` (unchanged if there are none)."""
        if role not in self.components:
            return self
        component = self.components[role]
        return replace(self, components={**self.components, role: replace(component, value=change(component))})

    def with_amplifiers(self, role: Role, bank: AmplifierBank) -> Elements:
        """The same elements with ``bank`` as the amplifiers of ``role``."""
        return replace(self, amplifiers={**self.amplifiers, role: bank})

    def chip(self, number: int) -> Elements:
        """The elements of one chip of a batch."""
        components = {role: replace(c, value=_pick(c.value, number)) for role, c in self.components.items()}
        amplifiers = {
            role: AmplifierBank(
                _pick(a.open_loop_gain, number), _pick(a.gain_bandwidth_hz, number), _pick(a.offset_volt, number)
            )
            for role, a in self.amplifiers.items()
        }
        return Elements(self.n, components, amplifiers)


def _pick(value: Tensor, number: int) -> Tensor:
    return value[number] if value.ndim > 1 else value
