"""What a topology is: pure functions from a matrix to a circuit, and what they need to be called."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from tngd_hw.hardware import Elements, Encoding, HardwareSpec, Inventory, Layout, Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Netlist
from tngd_hw.outcome import Status
from tngd_hw.problem import LinearProblem

__all__ = ["AmplifierLoad", "Design", "InnerStages", "Quantity", "Scales", "Topology", "with_ranges"]


class Quantity(enum.Enum):
    """What a chip can be asked for; the last three are made of the first three by :mod:`tngd_hw.linalg`."""

    SOLUTION = "solution"
    INVERSE = "inverse"
    SAMPLES = "samples"
    COVARIANCE = "covariance"
    EXPONENTIAL = "exponential"
    LOG_DETERMINANT = "log_determinant"


@dataclass(frozen=True)
class Scales:
    """How dimensionless numbers became volts and siemens: G = g0 A, v = v0 x, i = g0 v0 b.

    Attributes:
        conductance_siemens: g0, the conductance of A = 1 (of the tank resistors where capacitors hold the matrix).
        voltage_volt: v0, the voltage of x = 1.
        capacitance_farad: C (the capacitance of A = 1 where capacitors hold the matrix).
        tau_s: Time unit in seconds: C/g0 where the circuit is the filter dx/dt = -(A x - b)/tau.
        input_gain: A source of b has the value input_gain v0 b: volt a volt for voltage sources, siemens for current
            sources, with the sign of the circuit.
    """

    conductance_siemens: float
    voltage_volt: float
    capacitance_farad: float
    tau_s: float
    input_gain: float


@dataclass(frozen=True)
class Design:
    """What a topology needs besides the problem to choose its components.

    Attributes:
        hardware: Nominal values and ranges.
        layout: What the die was built for.
        scales: g0, C and the rest.
        noise_psd: White noise current injected for every unknown, A^2/Hz, one-sided; 0 for none.
    """

    hardware: HardwareSpec
    layout: Layout
    scales: Scales
    noise_psd: float


@dataclass(frozen=True, eq=False)
class AmplifierLoad:
    """What the amplifiers of one role see, each (..., count), conductances in siemens.

    Attributes:
        summing_siemens: All conductance at the inverting input.
        feedback_siemens: The part of it that comes from the amplifier's own output through a resistor (0 for
            integrators).
        output_siemens: What the output drives, virtual grounds at the other end.
        settled_gain: Largest |output| for nodes of |v|_2 = 1 to which everything has settled: 1 for a node's own
            amplifier, the 2-norm of the gains from the nodes for a stage.  No unit.
    """

    summing_siemens: Tensor
    feedback_siemens: Tensor
    output_siemens: Tensor
    settled_gain: Tensor


@dataclass(frozen=True, eq=False)
class InnerStages:
    """Voltages inside a circuit that are limited and are no outputs.

    Attributes:
        names: What the stages are called in a status, ``"inverter of column 3"``.
        nodes: Their nodes in the netlist.
        limit_volt: Largest |voltage| that each delivers or takes, shape (..., stages).
        remedy: What to do where one exceeds it.
    """

    names: tuple[str, ...]
    nodes: tuple[str, ...]
    limit_volt: Tensor
    remedy: str


class Topology(Protocol):
    """A circuit that holds a matrix.  One file a topology; all functions are pure."""

    @property
    def name(self) -> str:
        """Name on the command line."""
        ...

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """The encodings of signs it can be built with, the default first."""
        ...

    @property
    def quantities(self) -> frozenset[Quantity]:
        """What it can be asked for."""
        ...

    @property
    def is_filter(self) -> bool:
        """Whether the ideal circuit is dx/dt = -(A x - b)/tau at every time, and not only settled."""
        ...

    @property
    def matrix_roles(self) -> tuple[Role, ...]:
        """The roles whose values hold the entries of the matrix."""
        ...

    @property
    def support_roles(self) -> tuple[Role, ...]:
        """The roles that are programmed for every matrix and hold no entry of it; see :func:`with_ranges`."""
        ...

    def inventory(self, layout: Layout) -> Inventory:
        """What is built on a die of this layout."""
        ...

    def check(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Status:
        """Whether this topology, made of this hardware, can hold the (scaled) problem."""
        ...

    def own_scaling(self, problem: LinearProblem) -> Tensor | None:
        """D, shape (n,), when the circuit can only hold D A D; None for A as it is."""
        ...

    def scales(self, problem: LinearProblem, hardware: HardwareSpec, layout: Layout) -> Scales:
        """g0, C, tau and the input gain for this problem; v0 is 1 V here, the programmer chooses it."""
        ...

    def elements(self, problem: LinearProblem, design: Design) -> Elements:
        """Nominal elements."""
        ...

    def netlist(self, elements: Elements, inputs: Tensor, initial_volt: Tensor) -> Netlist:
        """The circuit of one chip: sources ``in0``... at ``inputs`` (n,), outputs ``out0``... from ``initial_volt``."""
        ...

    def linear_sde(self, elements: Elements, *, inner: bool = False) -> LinearSDE:
        """The closed-form equations; inputs: the n sources and the constant 1; outputs: the n output voltages.

        With ``inner`` the voltages of :meth:`inner_stages` are outputs below them.
        """
        ...

    def initial_state(self, elements: Elements, initial_volt: Tensor) -> Tensor:
        """State of :meth:`linear_sde` for output voltages (n,) or (n, k) held by the reset at t = 0.

        Shape ([chips,] states) or ([chips,] states, k).
        """
        ...

    def voltage_limit(self, elements: Elements, hardware: HardwareSpec) -> Tensor:
        """Largest |output voltage| (..., n) that this hardware delivers into these elements; infinite for no limit."""
        ...

    def inner_stages(self, elements: Elements, hardware: HardwareSpec) -> InnerStages:
        """The limited stages that are no outputs."""
        ...

    def amplifier_loads(self, elements: Elements) -> Mapping[Role, AmplifierLoad]:
        """What every operational amplifier of the circuit sees; empty where there are none."""
        ...

    def common_mode_rates(self, elements: Elements) -> Tensor | None:
        """Decay rates in 1/s, ascending, of modes that no output shows (two-rail circuits); None for no such modes."""
        ...


def with_ranges(topology: Topology, nominal: Elements, hardware: HardwareSpec) -> Elements:
    """Nominal elements with the ranges of all that is programmed: what holds the matrix, and what is set with it."""
    support = [role for role in topology.support_roles if role in nominal.components]
    return replace(nominal, programmable=hardware.programmable((*topology.matrix_roles, *support)))
