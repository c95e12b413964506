"""Elements: the named component arrays of one circuit, nominal or as one die really has them.

A topology makes nominal elements from a matrix; hardware parts replace their values by a chip's own; a topology turns
the result into a netlist or into equations.  So an effect is written once and acts in every engine.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN

__all__ = ["AmplifierBank", "Component", "Elements", "Inventory", "PartKind", "Role", "roles_of"]


class PartKind(enum.Enum):
    """What a component is, and so which hardware part draws its deviations.  Values: unit of its value."""

    RESISTOR = "siemens of a resistor"
    CAPACITOR = "farad"
    INDUCTOR = "henry"
    TRANSCONDUCTOR = "siemens of a transconductor"
    AMPLIFIER = ""
    NOISE = "A^2/Hz"
    CONVERTER = "volt"
    SWITCH = "coulomb"


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
    LEAKAGE = ("leakage across the capacitor of a node", PartKind.RESISTOR)
    INDUCTOR_LOSS = ("series resistance of a tank inductor", PartKind.RESISTOR)
    COUPLING_SWITCH = ("switch in series with a coupling capacitor", PartKind.RESISTOR)
    NOISE = ("injected noise", PartKind.NOISE)
    INTEGRATOR_AMPLIFIER = ("integrator amplifier", PartKind.AMPLIFIER)
    INVERTER_AMPLIFIER = ("inverter amplifier", PartKind.AMPLIFIER)
    REFERENCE_AMPLIFIER = ("reference amplifier", PartKind.AMPLIFIER)
    SOLVER_AMPLIFIER = ("solver amplifier", PartKind.AMPLIFIER)
    JACOBIAN_AMPLIFIER = ("amplifier of the Jacobian stage", PartKind.AMPLIFIER)
    HESSIAN_AMPLIFIER = ("amplifier of the Hessian stage", PartKind.AMPLIFIER)
    JACOBIAN_INVERTER_AMPLIFIER = ("inverter amplifier of the Jacobian stage", PartKind.AMPLIFIER)
    HESSIAN_INVERTER_AMPLIFIER = ("inverter amplifier of the Hessian stage", PartKind.AMPLIFIER)
    DAC = ("digital-to-analog converter", PartKind.CONVERTER)
    ADC = ("analog-to-digital converter", PartKind.CONVERTER)
    RESET = ("reset switch", PartKind.SWITCH)

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
    """One operational amplifier a node, single pole; every attribute has the shape (..., n).

    Attributes:
        open_loop_gain: V/V.
        gain_bandwidth_hz: Of the single pole.
        offset_volt: Referred to the input.
        bias_ampere: Current that the inverting input takes out of its node.
        output_ohm: Output resistance; above 0 only with ``input_farad`` above 0.
        input_farad: Capacitance from the inverting input to ground, that of the wires to it included.
        input_siemens: Conductance from the inverting input to ground.
        voltage_noise_psd: White input voltage noise, V^2/Hz, one-sided.
        current_noise_psd: White noise current into the inverting input, A^2/Hz, one-sided.
        flicker_corner_hz: f_0 of the input voltage noise, S (1 + f_0/f); 0 for white noise.
    """

    open_loop_gain: Tensor
    gain_bandwidth_hz: Tensor
    offset_volt: Tensor
    bias_ampere: Tensor
    output_ohm: Tensor
    input_farad: Tensor
    input_siemens: Tensor
    voltage_noise_psd: Tensor
    current_noise_psd: Tensor
    flicker_corner_hz: Tensor

    @classmethod
    def of(cls, open_loop_gain: Tensor, gain_bandwidth_hz: Tensor, offset_volt: Tensor) -> AmplifierBank:
        """Amplifiers with these three figures and nothing else that is not ideal."""
        none = torch.zeros_like(offset_volt)
        return cls(open_loop_gain, gain_bandwidth_hz, offset_volt, *[none] * 7)

    @classmethod
    def joined(cls, banks: Sequence[AmplifierBank]) -> AmplifierBank:
        """Banks as one, in their order."""
        return cls(*(torch.cat(values, -1) for values in zip(*(bank.values() for bank in banks), strict=True)))

    def values(self) -> tuple[Tensor, ...]:
        """Every attribute, in order."""
        return tuple(getattr(self, item.name) for item in fields(self))

    def each(self, change: Callable[[Tensor], Tensor]) -> AmplifierBank:
        """The bank with ``change`` applied to every attribute."""
        return AmplifierBank(*(change(value) for value in self.values()))

    @property
    def is_plain(self) -> bool:
        """Whether gain, bandwidth and offset are all that is not ideal."""
        return not any(bool((value != 0).any()) for value in self.values()[3:])

    @property
    def flickers(self) -> bool:
        """Whether there is 1/f noise."""
        return bool((self.flicker_corner_hz > 0).any())

    @property
    def loads_its_input(self) -> bool:
        """Whether any input has a capacitance: then summing nodes have a pole of their own."""
        return bool((self.input_farad > 0).any())


@dataclass(frozen=True, eq=False)
class Elements:
    """All components of a circuit of ``n`` unknowns.

    Attributes:
        n: Number of unknowns.
        components: By role.
        counts: How many amplifiers of each role the circuit uses.
        amplifiers: The banks of real amplifiers; a role that is counted and has no bank is ideal.
        programmable: Smallest (0: none at all) and largest value that can be written, of the roles that are programmed:
            those that hold the matrix, and what is written with it.
        noise_kelvin: Temperature of every kind of resistor that is heard by its thermal noise; empty: none is.
        noise_bandwidth_hz: One-pole bandwidth of the generators of Role.NOISE, (..., n); None for white.
    """

    n: int
    components: Mapping[Role, Component]
    counts: Mapping[Role, int]
    amplifiers: Mapping[Role, AmplifierBank]
    programmable: Mapping[Role, tuple[float, float]] = field(default_factory=dict["Role", "tuple[float, float]"])
    noise_kelvin: Mapping[Role, float] = field(default_factory=dict["Role", float])
    noise_bandwidth_hz: Tensor | None = None

    def value(self, role: Role) -> Tensor:
        """Values of ``role``, shape (..., m)."""
        return self.components[role].value

    def amplifier_bank(self) -> AmplifierBank | None:
        """All real amplifiers as one bank, in the order of ``counts``; None where they are ideal."""
        banks = [self.amplifiers[role] for role in self.counts if role in self.amplifiers]
        return AmplifierBank.joined(banks) if banks else None

    def thermal_factor(self, role: Role) -> float:
        """4 k_B T of a kind of resistor, joule: its noise current has the density 4 k_B T G; 0 where it is silent."""
        return 4 * BOLTZMANN_JOULE_PER_KELVIN * self.noise_kelvin.get(role, 0.0)

    def noise_densities(self) -> Elements:
        """The same circuit with 4 k_B T G, A^2/Hz, in the place of the conductance G of every resistor; 0 if silent."""
        elements = self
        for role in self.components:
            if role.part is PartKind.RESISTOR:
                factor = self.thermal_factor(role)
                elements = elements.with_values(role, lambda c, factor=factor: factor * c.value)
        return elements

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

    def chip(self, number: int | slice) -> Elements:
        """The elements of one chip of a batch, or of some of them, still with an axis for them."""

        def pick(value: Tensor) -> Tensor:
            return value[number] if value.ndim > 1 else value

        return self._each(pick)

    def one_batch(self) -> Elements:
        """The same elements with the axis of the chips in every value, also where all chips are alike."""
        batch = max((value.shape[:-1] for value in self._values()), key=len)
        return self._each(lambda value: value.expand(*batch, value.shape[-1]))

    def _values(self) -> list[Tensor]:
        found = [c.value for c in self.components.values()]
        found += [value for bank in self.amplifiers.values() for value in bank.values()]
        return found if self.noise_bandwidth_hz is None else [*found, self.noise_bandwidth_hz]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Elements:
        bandwidth = self.noise_bandwidth_hz
        return replace(
            self,
            components={role: replace(c, value=change(c.value)) for role, c in self.components.items()},
            amplifiers={role: bank.each(change) for role, bank in self.amplifiers.items()},
            noise_bandwidth_hz=None if bandwidth is None else change(bandwidth),
        )
