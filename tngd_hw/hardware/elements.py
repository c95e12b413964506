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

__all__ = ["AmplifierBank", "Component", "Elements", "Inventory", "PartKind", "Role", "roles_of"]


class PartKind(enum.Enum):
    """What a component is, and so which hardware part draws its deviations.  Values: unit of its value."""

    RESISTOR = "siemens of a resistor"
    CAPACITOR = "farad"
    INDUCTOR = "henry"
    TRANSCONDUCTOR = "siemens of a transconductor"
    AMPLIFIER = ""
    NOISE = "A^2/Hz"


class Role(enum.Enum):
    """What a component does in its circuit: the name used in reports, and the kind of part."""

    ARRAY = ("array resistor", PartKind.RESISTOR)
    INPUT = ("input resistor", PartKind.RESISTOR)
    INVERTER_INPUT = ("inverter input resistor", PartKind.RESISTOR)
    INVERTER_FEEDBACK = ("inverter feedback resistor", PartKind.RESISTOR)
    REFERENCE_ARRAY = ("resistor from the reference rail", PartKind.RESISTOR)
    REFERENCE_INPUT = ("reference input resistor", PartKind.RESISTOR)
    REFERENCE_FEEDBACK = ("reference feedback resistor", PartKind.RESISTOR)
    NETWORK = ("network resistor", PartKind.RESISTOR)
    GROUND = ("resistor to ground", PartKind.RESISTOR)
    JACOBIAN = ("Jacobian array resistor", PartKind.RESISTOR)
    HESSIAN = ("Hessian array resistor", PartKind.RESISTOR)
    TRANSPOSE = ("transposed Jacobian array resistor", PartKind.RESISTOR)
    DAMPING = ("damping resistor", PartKind.RESISTOR)
    JACOBIAN_FEEDBACK = ("feedback resistor of the Jacobian stage", PartKind.RESISTOR)
    HESSIAN_FEEDBACK = ("feedback resistor of the Hessian stage", PartKind.RESISTOR)
    JACOBIAN_INVERTER_INPUT = ("inverter input resistor of the Jacobian stage", PartKind.RESISTOR)
    JACOBIAN_INVERTER_FEEDBACK = ("inverter feedback resistor of the Jacobian stage", PartKind.RESISTOR)
    HESSIAN_INVERTER_INPUT = ("inverter input resistor of the Hessian stage", PartKind.RESISTOR)
    HESSIAN_INVERTER_FEEDBACK = ("inverter feedback resistor of the Hessian stage", PartKind.RESISTOR)
    TANK_RESISTOR = ("tank resistor", PartKind.RESISTOR)
    INTEGRATION = ("integration capacitor", PartKind.CAPACITOR)
    NODE_CAPACITOR = ("node capacitor", PartKind.CAPACITOR)
    COUPLING_CAPACITOR = ("coupling capacitor", PartKind.CAPACITOR)
    TANK_INDUCTOR = ("tank inductor", PartKind.INDUCTOR)
    TRANSCONDUCTOR = ("array transconductor", PartKind.TRANSCONDUCTOR)
    INPUT_TRANSCONDUCTOR = ("input transconductor", PartKind.TRANSCONDUCTOR)
    OUTPUT_CONDUCTANCE = ("output conductance of the transconductors", PartKind.RESISTOR)
    NOISE = ("injected noise", PartKind.NOISE)
    INTEGRATOR_AMPLIFIER = ("integrator amplifier", PartKind.AMPLIFIER)
    INVERTER_AMPLIFIER = ("inverter amplifier", PartKind.AMPLIFIER)
    REFERENCE_AMPLIFIER = ("reference amplifier", PartKind.AMPLIFIER)
    SOLVER_AMPLIFIER = ("solver amplifier", PartKind.AMPLIFIER)
    JACOBIAN_AMPLIFIER = ("amplifier of the Jacobian stage", PartKind.AMPLIFIER)
    HESSIAN_AMPLIFIER = ("amplifier of the Hessian stage", PartKind.AMPLIFIER)
    JACOBIAN_INVERTER_AMPLIFIER = ("inverter amplifier of the Jacobian stage", PartKind.AMPLIFIER)
    HESSIAN_INVERTER_AMPLIFIER = ("inverter amplifier of the Hessian stage", PartKind.AMPLIFIER)

    label: str
    part: PartKind

    def __init__(self, label: str, part: PartKind) -> None:
        self.label = label
        self.part = part


def roles_of(*kinds: PartKind) -> tuple[Role, ...]:
    """Every role of these kinds, in their order."""
    return tuple(role for role in Role if role.part in kinds)


Inventory = Mapping[Role, tuple[int, int]]
"""What is built on a die: rows and columns of every role (columns = 1 for one component a node)."""


@dataclass(frozen=True, eq=False)
class Component:
    """m components of one role.

    Attributes:
        row: Shape (m,), int64: the node they belong to.
        column: Shape (m,), int64: the node they come from (0 where a role has one component a node).
        value: Shape (..., m), chips first: siemens for resistors and transconductors, farad, henry, or A^2/Hz
            (one-sided) for noise.
        sign: Shape (m,): +1 on the direct rail, -1 on the inverted rail.
        shape: Rows and columns of the array they stand in.
    """

    row: Tensor
    column: Tensor
    value: Tensor
    sign: Tensor
    shape: tuple[int, int]

    @classmethod
    def per_node(cls, value: float | Tensor, n: int) -> Component:
        """One component at each of ``n`` nodes, all of one value or of the values (n,)."""
        node = torch.arange(n)
        values = torch.as_tensor(value, dtype=torch.float64).expand(n).clone()
        return cls(node, torch.zeros_like(node), values, torch.ones(n), (n, 1))

    @classmethod
    def array(cls, matrix: Tensor, scale: float) -> Component:
        """One component an entry of ``matrix`` that is not zero: value scale |entry|, rail by its sign."""
        row, column = torch.nonzero(matrix, as_tuple=True)
        entry = matrix[row, column]
        return cls(row, column, scale * entry.abs(), torch.sign(entry), (matrix.shape[0], matrix.shape[1]))

    def dense(self, sign: int) -> Tensor:
        """Shape (..., rows, columns): the values on one rail as a matrix, zero where there is no component."""
        rows, columns = self.shape
        value = torch.where(self.sign == sign, self.value, torch.zeros((), dtype=torch.float64))
        flat = torch.zeros((*value.shape[:-1], rows * columns), dtype=torch.float64)
        index = (self.row * columns + self.column).expand(value.shape)
        return flat.scatter_add(-1, index, value).reshape(*value.shape[:-1], rows, columns)


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
    """All components of a circuit of ``n`` unknowns.

    Attributes:
        n: Number of unknowns.
        components: By role.
        counts: How many amplifiers of each role the circuit uses.
        amplifiers: The banks of real amplifiers; a role that is counted and has no bank is ideal.
    """

    n: int
    components: Mapping[Role, Component]
    counts: Mapping[Role, int]
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

    def with_component(self, role: Role, component: Component) -> Elements:
        """The same elements and ``component``."""
        return replace(self, components={**self.components, role: component})

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
        return replace(self, components=components, amplifiers=amplifiers)

    def one_batch(self) -> Elements:
        """The same elements with the axis of the chips in every value, also where all chips are alike."""
        shapes = [c.value.shape[:-1] for c in self.components.values()]
        shapes += [bank.offset_volt.shape[:-1] for bank in self.amplifiers.values()]
        batch = max(shapes, key=len)
        elements = self
        for role in self.components:
            elements = elements.with_values(role, lambda c: c.value.expand(*batch, c.value.shape[-1]))
        for role, bank in self.amplifiers.items():
            wide = AmplifierBank(
                *(
                    v.expand(*batch, v.shape[-1])
                    for v in (bank.open_loop_gain, bank.gain_bandwidth_hz, bank.offset_volt)
                )
            )
            elements = elements.with_amplifiers(role, wide)
        return elements


def _pick(value: Tensor, number: int) -> Tensor:
    return value[number] if value.ndim > 1 else value
