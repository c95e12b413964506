"""Temperature: how far every part is from its value at the temperature at which it was specified.

With D = T - T_ref, a resistance is R (1 + tc1 D + tc2 D^2), a capacitance, inductance, transconductance or
gain-bandwidth product X (1 + tc1 D), and the offset of every amplifier has d D added, d drawn once a chip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Self

import torch
from pydantic import model_validator
from torch import Tensor

from tngd_hw.hardware.draws import Die, Draws, draws_of
from tngd_hw.hardware.elements import Elements, PartKind, Role, roles_of
from tngd_hw.hardware.fields import Coefficient, Part, Physical, Positive

__all__ = ["Temperature"]

_NOT_ARRAY = (Role.OUTPUT_CONDUCTANCE, Role.LEAKAGE, Role.INDUCTOR_LOSS, Role.COUPLING_SWITCH)
"""Conductances that are no resistors of the arrays' material."""


class Temperature(Part):
    """The temperature of the chip, and what it does to the parts.

    The output conductance of a transconductor follows its transconductance.  Leakage, switches and the resistance of
    inductors have no coefficient.

    Attributes:
        kelvin: T, in operation.  At which temperature parts are heard by their noise is said by the noise part.
        reference_kelvin: T_ref, at which nominal values hold.
        resistor_tc1_per_kelvin: Linear coefficient of resistances.
        resistor_tc2_per_kelvin2: Quadratic coefficient of resistances.
        capacitor_tc1_per_kelvin: Of capacitances.
        inductor_tc1_per_kelvin: Of inductances.
        transconductor_tc1_per_kelvin: Of transconductances.
        offset_drift_volt_per_kelvin_dtod: Standard deviation of d, Gaussian, drawn once a chip for every amplifier.
        bandwidth_tc1_per_kelvin: Of the amplifiers' gain-bandwidth product.
    """

    kelvin: Positive = 300.0
    reference_kelvin: Positive = 300.0
    resistor_tc1_per_kelvin: Coefficient = 0.0
    resistor_tc2_per_kelvin2: Coefficient = 0.0
    capacitor_tc1_per_kelvin: Coefficient = 0.0
    inductor_tc1_per_kelvin: Coefficient = 0.0
    transconductor_tc1_per_kelvin: Coefficient = 0.0
    offset_drift_volt_per_kelvin_dtod: Physical = 0.0
    bandwidth_tc1_per_kelvin: Coefficient = 0.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "resistors": {"resistor_tc1_per_kelvin": 0.0, "resistor_tc2_per_kelvin2": 0.0},
        "capacitors": {"capacitor_tc1_per_kelvin": 0.0},
        "inductors": {"inductor_tc1_per_kelvin": 0.0},
        "transconductors": {"transconductor_tc1_per_kelvin": 0.0},
        "offset_drift": {"offset_drift_volt_per_kelvin_dtod": 0.0},
        "bandwidth": {"bandwidth_tc1_per_kelvin": 0.0},
    }

    @model_validator(mode="after")
    def _parts_stay_positive(self) -> Self:
        """Raises ValueError where a coefficient would turn a part negative at this temperature."""
        for name, factor in (("resistor", self._of(PartKind.RESISTOR)), ("capacitor", self._of(PartKind.CAPACITOR)),
                             ("inductor", self._of(PartKind.INDUCTOR)), ("bandwidth", self._of(PartKind.AMPLIFIER)),
                             ("transconductor", self._of(PartKind.TRANSCONDUCTOR))):  # fmt: skip
            if factor <= 0:
                raise ValueError(
                    f"{name}_tc1_per_kelvin makes the factor {factor:.3g} at kelvin = {self.kelvin:g}: it has to be "
                    "above 0; choose a smaller coefficient, or a temperature nearer to reference_kelvin"
                )
        return self

    @property
    def difference_kelvin(self) -> float:
        """D = T - T_ref."""
        return self.kelvin - self.reference_kelvin

    def effects(self) -> tuple[str, ...]:
        """The effects that are present: none at the reference temperature."""
        return super().effects() if self.difference_kelvin else ()

    def draw(self, die: Die) -> Draws:
        """``drift``: d of every amplifier, volt per kelvin."""
        sigma = self.offset_drift_volt_per_kelvin_dtod
        if sigma == 0:
            return {}
        roles = die.roles(PartKind.AMPLIFIER)
        return {"drift": {role: sigma * die.normal("temperature.drift", role) for role in roles}}

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """The elements at T; those given are at T_ref.  Comes after all parts that have coefficients."""
        if self.difference_kelvin == 0:
            return elements
        for kind in (PartKind.RESISTOR, PartKind.CAPACITOR, PartKind.INDUCTOR, PartKind.TRANSCONDUCTOR):
            factor = 1.0 / self._of(kind) if kind is PartKind.RESISTOR else self._of(kind)
            for role in roles_of(kind):
                if role not in _NOT_ARRAY:
                    elements = _times(elements, role, factor)
        elements = _times(elements, Role.OUTPUT_CONDUCTANCE, self._of(PartKind.TRANSCONDUCTOR))
        return self._with_amplifiers(elements, draws)

    def _with_amplifiers(self, elements: Elements, draws: Draws) -> Elements:
        for role, bank in elements.amplifiers.items():
            drift: Tensor = draws_of(draws, "drift").get(role, torch.zeros(1, 1, dtype=torch.float64))
            drift = drift[..., : bank.offset_volt.shape[-1], 0]
            changed = replace(
                bank,
                offset_volt=bank.offset_volt + self.difference_kelvin * drift,
                gain_bandwidth_hz=self._of(PartKind.AMPLIFIER) * bank.gain_bandwidth_hz,
            )
            elements = elements.with_amplifiers(role, changed)
        return elements

    def _of(self, kind: PartKind) -> float:
        """X(T)/X(T_ref); of amplifiers, of the gain-bandwidth product."""
        tc1 = {
            PartKind.RESISTOR: self.resistor_tc1_per_kelvin,
            PartKind.CAPACITOR: self.capacitor_tc1_per_kelvin,
            PartKind.INDUCTOR: self.inductor_tc1_per_kelvin,
            PartKind.TRANSCONDUCTOR: self.transconductor_tc1_per_kelvin,
            PartKind.AMPLIFIER: self.bandwidth_tc1_per_kelvin,
        }[kind]
        difference = self.difference_kelvin
        square = self.resistor_tc2_per_kelvin2 * difference**2 if kind is PartKind.RESISTOR else 0.0
        return 1.0 + tc1 * difference + square


def _times(elements: Elements, role: Role, factor: float) -> Elements:
    return elements.with_values(role, lambda c: factor * c.value) if factor != 1.0 else elements
