"""What a topology is: three pure functions from a matrix to a circuit, and what they need to be called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from tngd_hw.hardware import Elements, HardwareSpec, Inventory
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Netlist
from tngd_hw.outcome import Status

__all__ = ["Scales", "Topology"]


@dataclass(frozen=True)
class Scales:
    """How dimensionless numbers became volts and siemens: G = g0 A, v = v0 x, i = g0 v0 b, tau = C/g0.

    Attributes:
        conductance_siemens: g0, the conductance of A = 1.
        voltage_volt: v0, the voltage of x = 1.
        capacitance_farad: C.
        input_conductance_siemens: Conductance between an input voltage and its node; v_in = -(g0 v0 / g_in) b.
    """

    conductance_siemens: float
    voltage_volt: float
    capacitance_farad: float
    input_conductance_siemens: float

    @property
    def tau_s(self) -> float:
        """tau = C/g0, the time unit of the paper, in seconds."""
        return self.capacitance_farad / self.conductance_siemens


class Topology(Protocol):
    """A circuit that holds a matrix.  One file a topology; all functions are pure."""

    @property
    def name(self) -> str:
        """Name on the command line."""
        ...

    def inventory(self, nodes: int) -> Inventory:
        """What is built on a die of ``nodes`` nodes."""
        ...

    def check(self, A: Tensor) -> Status:
        """Whether this topology can hold A, shape (n, n)."""
        ...

    def elements(self, A: Tensor, hardware: HardwareSpec, g0: float, noise_psd: float) -> Elements:
        """Nominal elements of A at the scale g0, noise ``noise_psd`` (A^2/Hz, one-sided) injected at every node."""
        ...

    def netlist(self, elements: Elements, input_volt: Tensor, initial_volt: Tensor) -> Netlist:
        """The circuit of one chip, driven by ``input_volt`` (n,) from ``initial_volt`` (n,)."""
        ...

    def linear_sde(self, elements: Elements) -> LinearSDE:
        """The closed-form equations; inputs: the n input voltages and the constant 1; outputs: the n node voltages."""
        ...

    def initial_state(self, elements: Elements, initial_volt: Tensor) -> Tensor:
        """State of :meth:`linear_sde` for node voltages ``initial_volt`` (..., n) held by the reset at t = 0."""
        ...

    def voltage_limit(self, elements: Elements, hardware: HardwareSpec) -> Tensor:
        """Largest |node voltage| (..., n) that amplifiers of this hardware deliver into these elements."""
        ...
