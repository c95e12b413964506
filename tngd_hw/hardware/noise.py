"""Thermal noise of the parts, each kind at its own temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from tngd_hw.hardware.draws import Die, Draws
from tngd_hw.hardware.elements import Elements, PartKind, Role, roles_of
from tngd_hw.hardware.fields import Part, Physical

__all__ = ["Noise"]

_LOSSES = (Role.LEAKAGE, Role.INDUCTOR_LOSS, Role.COUPLING_SWITCH)
"""Resistors that nobody asked for: baths at the temperature of the chip, whatever is injected elsewhere."""


class Noise(Part):
    """Johnson noise, S_I = 4 k_B T G one-sided (Nyquist, Phys. Rev. 32, 110 (1928)); 0 K leaves a kind silent.

    Attributes:
        resistor_kelvin: Temperature of the resistors of the design: arrays, inputs, feedback, tanks.
        loss_kelvin: Temperature of the losses: leakage, series resistance of inductors, switches.
        transconductor_kelvin: Temperature of the transconductors times their noise factor gamma (2/3 for a saturated
            long-channel transistor): S_I = 4 k_B gamma T g_m at the output of each.
    """

    resistor_kelvin: Physical = 0.0
    loss_kelvin: Physical = 0.0
    transconductor_kelvin: Physical = 0.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "resistors": {"resistor_kelvin": 0.0},
        "losses": {"loss_kelvin": 0.0},
        "transconductors": {"transconductor_kelvin": 0.0},
    }

    def draw(self, die: Die) -> Draws:
        """Nothing: the noise of a run is drawn by the engine."""
        del die
        return {}

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """The temperature of every kind that is heard; a temperature that is set already stays."""
        del draws
        kelvin = dict.fromkeys(roles_of(PartKind.RESISTOR), self.resistor_kelvin)
        kelvin |= dict.fromkeys(_LOSSES, self.loss_kelvin)
        kelvin |= dict.fromkeys(roles_of(PartKind.TRANSCONDUCTOR), self.transconductor_kelvin)
        heard = {role: value for role, value in kelvin.items() if value > 0}
        return replace(elements, noise_kelvin={**heard, **elements.noise_kelvin})
