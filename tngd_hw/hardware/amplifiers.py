"""Operational amplifiers: gain, bandwidth, offset, bias and noise; output range, current and slew rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from pydantic import model_validator
from torch import Tensor

from tngd_hw.hardware.draws import Die, Draws, draws_of
from tngd_hw.hardware.elements import AmplifierBank, Elements, PartKind, Role
from tngd_hw.hardware.fields import Fraction, Part, Physical, Positive

__all__ = ["Amplifiers"]


class Amplifiers(Part):
    """The operational amplifiers, single pole: A(s) = A0/(1 + s A0/(2 pi GBW)).

    Attributes:
        open_loop_gain: A0, V/V.
        gain_bandwidth_hz: GBW.
        gain_dtod: Relative standard deviation of A0, log-normal, drawn once a chip.
        bandwidth_dtod: Relative standard deviation of GBW, log-normal, drawn once a chip.
        offset_volt_dtod: Standard deviation of the input offset voltage, Gaussian, drawn once a chip.
        bias_ampere: Current into the inverting input.
        bias_ampere_dtod: Its standard deviation, Gaussian, drawn once a chip.
        output_ohm: Open-loop output resistance; takes an ``input_farad``, with which it makes a pole.
        input_farad: Capacitance of the inverting input to ground.
        voltage_noise_volt_per_rthz: White input voltage noise density, V/sqrt(Hz).
        current_noise_ampere_per_rthz: White input current noise density, A/sqrt(Hz).
        flicker_corner_hz: Frequency f_0 below which the input voltage noise rises as 1/f; takes a white noise density.
        output_swing_volt: Largest output voltage of either sign.
        output_current_ampere: Largest output current of either sign.
        slew_volt_per_s: Largest |dV/dt| of an output, or None for no limit.
    """

    open_loop_gain: Positive
    gain_bandwidth_hz: Positive
    gain_dtod: Fraction = 0.0
    bandwidth_dtod: Fraction = 0.0
    offset_volt_dtod: Physical = 0.0
    bias_ampere: Physical = 0.0
    bias_ampere_dtod: Physical = 0.0
    output_ohm: Physical = 0.0
    input_farad: Physical = 0.0
    voltage_noise_volt_per_rthz: Physical = 0.0
    current_noise_ampere_per_rthz: Physical = 0.0
    flicker_corner_hz: Physical = 0.0
    output_swing_volt: Positive
    output_current_ampere: Positive
    slew_volt_per_s: Positive | None = None

    # What is ideal here is 1e12: an error of 1e-12 in a settled answer, of below 1e-5 on its way.
    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "gain": {"open_loop_gain": 1e12, "gain_dtod": 0.0},
        "bandwidth": {"gain_bandwidth_hz": 1e12, "bandwidth_dtod": 0.0},
        "offset": {"offset_volt_dtod": 0.0},
        "bias": {"bias_ampere": 0.0, "bias_ampere_dtod": 0.0},
        "summing_pole": {"output_ohm": 0.0, "input_farad": 0.0},
        "noise": {
            "voltage_noise_volt_per_rthz": 0.0,
            "current_noise_ampere_per_rthz": 0.0,
            "flicker_corner_hz": 0.0,  # where the white noise ends: it has no size of its own
        },
        "slew": {"slew_volt_per_s": None},
    }

    @model_validator(mode="after")
    def _output_pole_exists(self) -> Self:
        if self.output_ohm > 0 and self.input_farad == 0:
            raise ValueError(
                f"output_ohm = {self.output_ohm:g}: give input_farad too; what an output resistance does is the pole "
                "that it makes with the capacitance of the summing node"
            )
        if self.flicker_corner_hz > 0 and self.voltage_noise_volt_per_rthz == 0:
            raise ValueError(
                f"flicker_corner_hz = {self.flicker_corner_hz:g}: give voltage_noise_volt_per_rthz too, the density "
                "that the corner belongs to"
            )
        return self

    @property
    def noisy(self) -> bool:
        """Whether it has noise of its own."""
        return self.voltage_noise_volt_per_rthz > 0 or self.current_noise_ampere_per_rthz > 0

    def draw(self, die: Die) -> Draws:
        """``offset`` (volt), ``bias`` (ampere), ``gain`` and ``bandwidth`` (factors) of every amplifier of one die."""
        roles = die.roles(PartKind.AMPLIFIER)
        draws: dict[str, dict[Role, Tensor]] = {
            "offset": {role: self.offset_volt_dtod * die.normal("amplifiers.offset", role) for role in roles}
        }
        if self.bias_ampere_dtod > 0:
            draws["bias"] = {role: self.bias_ampere_dtod * die.normal("amplifiers.bias", role) for role in roles}
        for quantity, sigma in (("gain", self.gain_dtod), ("bandwidth", self.bandwidth_dtod)):
            if sigma > 0:
                draws[quantity] = {
                    role: torch.exp(sigma * die.normal(f"amplifiers.{quantity}", role)) for role in roles
                }
        return draws

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """Elements with this chip's amplifiers in the place of ideal ones."""
        for role in draws_of(draws, "offset"):
            if role in elements.counts:
                elements = elements.with_amplifiers(role, self._bank(role, draws, elements.counts[role]))
        return elements

    def nominal(self, elements: Elements) -> Elements:
        """Elements with amplifiers of these figures in every role, without offset or anything else that is drawn."""
        perfect = {role: torch.zeros(count, 1, dtype=torch.float64) for role, count in elements.counts.items()}
        return self.apply(elements, {"offset": perfect})

    def _bank(self, role: Role, draws: Draws, count: int) -> AmplifierBank:
        def drawn(quantity: str, absent: float) -> Tensor:
            found = draws_of(draws, quantity).get(role)
            return torch.full_like(offset, absent) if found is None else found[..., :count, 0]

        offset = draws_of(draws, "offset")[role][..., :count, 0]
        one = torch.ones_like(offset)
        return AmplifierBank(
            open_loop_gain=self.open_loop_gain * drawn("gain", 1.0),
            gain_bandwidth_hz=self.gain_bandwidth_hz * drawn("bandwidth", 1.0),
            offset_volt=offset,
            bias_ampere=self.bias_ampere + drawn("bias", 0.0),
            output_ohm=self.output_ohm * one,
            input_farad=self.input_farad * one,
            input_siemens=0.0 * one,
            voltage_noise_psd=self.voltage_noise_volt_per_rthz**2 * one,
            current_noise_psd=self.current_noise_ampere_per_rthz**2 * one,
            flicker_corner_hz=self.flicker_corner_hz * one,
        )
