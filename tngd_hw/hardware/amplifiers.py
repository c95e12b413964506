"""Operational amplifiers: gain, bandwidth, offset; output range and current."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tngd_hw.hardware.elements import AmplifierBank, Elements, Inventory, PartKind, Role, roles_of
from tngd_hw.hardware.fields import Part, Physical, Positive
from tngd_hw.random import stream

__all__ = ["Amplifiers"]


class Amplifiers(Part):
    """The operational amplifiers, single pole: A(s) = A0/(1 + s A0/(2 pi GBW)).

    Attributes:
        open_loop_gain: A0, V/V.
        gain_bandwidth_hz: GBW.
        offset_volt_dtod: Standard deviation of the input offset voltage, Gaussian, drawn once a chip.
        output_swing_volt: Largest output voltage of either sign.
        output_current_ampere: Largest output current of either sign.
    """

    open_loop_gain: Positive
    gain_bandwidth_hz: Positive
    offset_volt_dtod: Physical = 0.0
    output_swing_volt: Positive
    output_current_ampere: Positive

    def draw(self, inventory: Inventory, seed: int, chip: int) -> Mapping[Role, Tensor]:
        """Input offsets in volt of every amplifier of one die; shape (rows, columns) a role."""
        return {
            role: torch.from_numpy(
                self.offset_volt_dtod
                * stream(seed, f"amplifiers.offset.{role.name}", chip).standard_normal(inventory[role])
            )
            for role in roles_of(PartKind.AMPLIFIER)
            if role in inventory
        }

    def apply(self, elements: Elements, deviations: Mapping[Role, Tensor]) -> Elements:
        """Elements with this chip's amplifiers in the place of ideal ones."""
        for role, offset in deviations.items():
            if role not in elements.counts:
                continue
            used = offset[..., : elements.counts[role], 0]
            bank = AmplifierBank(
                open_loop_gain=torch.full_like(used, self.open_loop_gain),
                gain_bandwidth_hz=torch.full_like(used, self.gain_bandwidth_hz),
                offset_volt=used,
            )
            elements = elements.with_amplifiers(role, bank)
        return elements
