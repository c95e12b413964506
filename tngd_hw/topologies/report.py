"""MappingReport: what became of a matrix on its way into a circuit."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN, format_quantity

__all__ = ["MappingReport", "effective_temperature_kelvin"]


def effective_temperature_kelvin(kappa: float, voltage_scale_volt: float, capacitance_farad: float) -> float:
    """T_eff = kappa v0^2 C/k_B: the temperature at which an RC node would have this noise."""
    return kappa * voltage_scale_volt**2 * capacitance_farad / BOLTZMANN_JOULE_PER_KELVIN


@dataclass(frozen=True)
class MappingReport:
    """Every scale and limit of one programmed chip (the first one of a batch).

    Attributes:
        topology: Name of the circuit.
        nodes_used: Nodes that the matrix needs.
        nodes_on_chip: Nodes that there are.
        resistors: Number of array resistors in use.
        inverted_resistors: Those on the inverted rail (negative entries).
        amplifiers: Operational amplifiers on the die.
        conductance_scale_siemens: g0: the conductance of A = 1.
        conductance_range_siemens: Smallest and largest array conductance.
        dynamic_range_db: Their ratio, 20 log10.
        voltage_scale_volt: v0: the voltage of x = 1.
        voltage_limit_volt: Largest node voltage that every amplifier delivers (None when ideal).
        tau_s: C/g0.
        slowest_tau: Time constant of the slowest mode of A, in units of tau.
        condition_number: Of A.
        bandwidth_slowdown: Largest factor 1 + G_sum/(2 pi GBW C) by which finite bandwidth slows a node; 1 when ideal.
        gain_damping: Largest sum|G|/(A0 g0): what finite gain adds to the damping, in units of A.
        kappa: Cov(x) -> kappa A^-1 for symmetric A; 0 without injected noise.
        noise_psd_ampere2_per_hz: S_I at every node, one-sided.
        effective_temperature_kelvin: T_eff = kappa v0^2 C/k_B.
    """

    topology: str
    nodes_used: int
    nodes_on_chip: int
    resistors: int
    inverted_resistors: int
    amplifiers: int
    conductance_scale_siemens: float
    conductance_range_siemens: tuple[float, float]
    dynamic_range_db: float
    voltage_scale_volt: float
    voltage_limit_volt: float | None
    tau_s: float
    slowest_tau: float
    condition_number: float
    bandwidth_slowdown: float
    gain_damping: float
    kappa: float
    noise_psd_ampere2_per_hz: float
    effective_temperature_kelvin: float

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        document = asdict(self)
        document["conductance_range_siemens"] = list(self.conductance_range_siemens)
        for name in ("slowest_tau", "condition_number"):  # infinite for a matrix that no circuit can invert
            document[name] = document[name] if math.isfinite(document[name]) else None
        return document

    def __str__(self) -> str:
        low, high = self.conductance_range_siemens
        limit = "none" if self.voltage_limit_volt is None else format_quantity(self.voltage_limit_volt, "volt")
        rows = {
            "topology": f"{self.topology}, {self.nodes_used} of {self.nodes_on_chip} nodes",
            "resistors": f"{self.resistors}, {self.inverted_resistors} of them on the inverted rail",
            "amplifiers": str(self.amplifiers),
            "conductances": f"{format_quantity(low, 'siemens')} to {format_quantity(high, 'siemens')}"
            f" ({self.dynamic_range_db:.1f} dB)",
            "scale of A (g0)": format_quantity(self.conductance_scale_siemens, "siemens"),
            "scale of x (v0)": format_quantity(self.voltage_scale_volt, "volt"),
            "voltage limit": limit,
            "tau = C/g0": format_quantity(self.tau_s, "s"),
            "slowest mode": f"{self.slowest_tau:.4g} tau",
            "condition number": f"{self.condition_number:.4g}",
            "bandwidth slows by": f"{self.bandwidth_slowdown:.4g}",
            "gain adds damping": f"{self.gain_damping:.3g}",
            "injected noise": "none" if self.kappa == 0 else self._noise(),
        }
        return "\n".join(f"{label:<20}{text}" for label, text in rows.items())

    def _noise(self) -> str:
        density = self.noise_psd_ampere2_per_hz**0.5
        temperature = self.effective_temperature_kelvin
        return f"kappa = {self.kappa:g} ({density:.3g} A/sqrt(Hz), T_eff = {temperature:.3g} K)"
