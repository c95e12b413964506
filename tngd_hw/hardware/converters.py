"""Converters: the DAC that puts b and x0 on a chip, and the ADC that reads its voltages.

Both are mid-tread with codes of two's complement: of N bits and the full scale F, in volt,

    levels      k D,  k = -2^(N-1), ..., 2^(N-1) - 1,   D = 2 F/2^N
    v -> k D    for (k - 1/2) D <= v < (k + 1/2) D

so 0 is a level, the lowest level is -F and the highest F - D.  What lies beyond the outer steps is clipped, and said.
A calibrated range puts the largest value of this drive, or of these readings, on the highest level: F = max |v|
2^(N-1)/(2^(N-1) - 1); every die and every right-hand side has a range of its own.  Inside the range the error has the
variance D^2/12 (uniform), and a sine over the whole range has 6.02 N + 1.76 dB of signal to that.

    DAC    out = (1 + gain) w + offset + D INL(w) + noise,     w the quantised value
    ADC    reading = quantised(u + D INL(u)),                  u = (1 + gain) v + offset + noise

INL is a bow between the end points, c in [-1, 1] the place in the range (-1 and 1 at the outer levels):

    INL(c) = z2 (1 - c^2) + z3 (3 sqrt(3)/2) c (1 - c^2)        in steps D

Both shapes have the largest value 1 (at 0 and at c = 1/sqrt(3)) and z2, z3 are independent and Gaussian.
Source: IEEE Std 1241 (static gain and offset, integral nonlinearity between end points; ideal signal to noise ratio).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from tngd_hw.hardware.draws import Die, Draws, draws_of
from tngd_hw.hardware.elements import Role
from tngd_hw.hardware.fields import Fraction, Part, Physical, Positive

__all__ = ["Adc", "Dac", "Range", "quantised"]

_THIRD_ORDER = 1.5 * math.sqrt(3.0)
"""1 over the largest value of c (1 - c^2)."""

_Bits = Annotated[int, Field(ge=2, le=32)]


class Range(enum.Enum):
    """Where the full scale comes from.

    CALIBRATED: From the largest value of this drive, or of these readings.
    FIXED: It is ``range_volt``.
    """

    CALIBRATED = "calibrated"
    FIXED = "fixed"


_EFFECTS: Mapping[str, Mapping[str, object]] = {
    "levels": {"bits": None, "inl_lsb_dtod": 0.0},
    "range": {"range": Range.CALIBRATED},
    "gain": {"gain_dtod": 0.0},
    "offset": {"offset_volt_dtod": 0.0},
    "noise": {"noise_volt_std": 0.0},
}
"""What both converters do; INL is counted in steps, so it goes with them."""


class Dac(Part):
    """The converters of b and x0, one a node; the right-hand side stays as it was put on for the whole run.

    It acts on the voltage of a source, or on what controls it where sources are currents; on x0 only where a start is
    asked for (from rest the reset joins the nodes to ground).

    Attributes:
        bits: N, from 2 to 32, or None for any value.
        range: Where the full scale comes from.
        range_volt: F of a fixed range; not used where it is calibrated.
        gain_dtod: Standard deviation of the relative gain error of a channel, Gaussian, drawn once a chip.
        offset_volt_dtod: Standard deviation of the offset of a channel, Gaussian, drawn once a chip.
        inl_lsb_dtod: Standard deviation of z2 and of z3, in steps, drawn once a chip; takes ``bits``.
        noise_volt_std: Standard deviation of an output, Gaussian, drawn at every drive and constant in its run.
    """

    bits: _Bits | None = None
    range: Annotated[Range, Field(strict=False)] = Range.CALIBRATED
    range_volt: Positive = 1.0
    gain_dtod: Fraction = 0.0
    offset_volt_dtod: Physical = 0.0
    inl_lsb_dtod: Physical = 0.0
    noise_volt_std: Physical = 0.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = _EFFECTS

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        _check(self)
        return self

    def draw(self, die: Die) -> Draws:
        """``gain``, ``offset`` (volt), ``bow2`` and ``bow3`` (steps) of the channels, shape (nodes, 1)."""
        return _drawn(self, "dac", Role.DAC, die)

    def output(self, volt: Tensor, draws: Draws, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the channels put out for ``volt``, and the share of it that was clipped, by chip.

        Args:
            volt: Wanted, shape (chips, 1, n, k), chips 1 where all are alike.
            draws: From :meth:`draw`.
            noise: Standard normal variates of the same layout, or None for none.

        Returns:
            Shape (chips, 1, n, k), and (chips,).  Cost: O(entries).
        """
        full_scale = _full_scale(self, volt)
        wanted, lost = _limited(self, volt, full_scale)
        out = wanted * (1.0 + _channels(draws, "gain", Role.DAC, volt)) + _channels(draws, "offset", Role.DAC, volt)
        out = out + _bow(self, wanted, full_scale, draws, Role.DAC)
        return out if noise is None else out + self.noise_volt_std * noise, lost


class Adc(Part):
    """The converters that read the voltages, one a node, all on one clock.

    Attributes:
        bits: N, from 2 to 32, or None for any value.
        range: Where the full scale comes from.
        range_volt: F of a fixed range; not used where it is calibrated.
        gain_dtod: Standard deviation of the relative gain error of a channel, Gaussian, drawn once a chip.
        offset_volt_dtod: Standard deviation of the offset of a channel, Gaussian, drawn once a chip.
        inl_lsb_dtod: Standard deviation of z2 and of z3, in steps, drawn once a chip; takes ``bits``.
        noise_volt_std: Standard deviation of a reading, Gaussian, drawn for every channel and sample.
        aperture_s: A sample is the mean voltage from its time on for so long; 0 for the voltage at that time.
        skew_s_dtod: Standard deviation of the delay of a channel, Gaussian, drawn once a chip.
        jitter_s_std: Standard deviation of the time of a sample, Gaussian, drawn for every sample, the same for all
            channels: it is that of the clock.
        sample_rate_hz: Largest rate of samples, or None for any.
    """

    bits: _Bits | None = None
    range: Annotated[Range, Field(strict=False)] = Range.CALIBRATED
    range_volt: Positive = 1.0
    gain_dtod: Fraction = 0.0
    offset_volt_dtod: Physical = 0.0
    inl_lsb_dtod: Physical = 0.0
    noise_volt_std: Physical = 0.0
    aperture_s: Physical = 0.0
    skew_s_dtod: Physical = 0.0
    jitter_s_std: Physical = 0.0
    sample_rate_hz: Positive | None = None

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        **_EFFECTS,
        "aperture": {"aperture_s": 0.0},
        "skew": {"skew_s_dtod": 0.0},
        "jitter": {"jitter_s_std": 0.0},
        "rate": {"sample_rate_hz": None},
    }

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        _check(self)
        return self

    def draw(self, die: Die) -> Draws:
        """As :meth:`Dac.draw`, and ``skew`` (seconds)."""
        draws = _drawn(self, "adc", Role.ADC, die)
        if self.skew_s_dtod == 0:
            return draws
        return {**draws, "skew": {Role.ADC: self.skew_s_dtod * die.normal("adc.skew", Role.ADC)}}

    def reading(self, volt: Tensor, draws: Draws, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the channels say of ``volt`` at their inputs, and the share of it that was clipped, by chip.

        Args:
            volt: Shape (chips, samples, n, k), chips 1 where all are alike.
            draws: From :meth:`draw`.
            noise: Standard normal variates of the same layout, or None for none.

        Returns:
            Shape (chips, samples, n, k), and (chips,).  Cost: O(entries).
        """
        return self.levels(self.seen(volt, draws, noise), draws)

    def seen(self, volt: Tensor, draws: Draws, noise: Tensor | None) -> Tensor:
        """u, what is to be quantised: linear in ``volt``, channel by channel; arguments as :meth:`reading`."""
        seen = volt * (1.0 + _channels(draws, "gain", Role.ADC, volt)) + _channels(draws, "offset", Role.ADC, volt)
        return seen if noise is None else seen + self.noise_volt_std * noise

    def levels(self, seen: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """The readings of u, and the share of them that was clipped, by chip; shapes as :meth:`reading`."""
        full_scale = _full_scale(self, seen)
        return _limited(self, seen + _bow(self, seen, full_scale, draws, Role.ADC), full_scale)

    @property
    def is_linear(self) -> bool:
        """Whether a reading is u itself: there are no levels and no ends of a range."""
        return self.bits is None and self.range is Range.CALIBRATED


def quantised(volt: Tensor, bits: int | None, full_scale: float | Tensor) -> Tensor:
    """The nearest level, of a tie the upper one; without bits, clipping at +-full_scale alone; see the module.

    Args:
        volt: Any shape.
        bits: N, 2 or more, or None.
        full_scale: F, in the unit of ``volt``, broadcast against it; where it is 0 there is nothing to round.
    """
    if bits is None:
        limit = torch.as_tensor(full_scale, dtype=torch.float64)
        return torch.minimum(torch.maximum(volt, -limit), limit)
    half = 2 ** (bits - 1)
    step = torch.as_tensor(full_scale, dtype=torch.float64) / half
    code = torch.floor(volt / torch.where(step > 0, step, 1.0) + 0.5)
    return step * code.clamp(-half, half - 1)


def _check(part: Dac | Adc) -> None:
    if part.bits is None and part.inl_lsb_dtod > 0:
        raise ValueError(f"inl_lsb_dtod = {part.inl_lsb_dtod:g}: it is counted in steps; give bits")


def _drawn(part: Dac | Adc, name: str, role: Role, die: Die) -> Draws:
    sigmas = {
        "gain": part.gain_dtod, "offset": part.offset_volt_dtod, "bow2": part.inl_lsb_dtod, "bow3": part.inl_lsb_dtod,
    }  # fmt: skip
    return {what: {role: sigma * die.normal(f"{name}.{what}", role)} for what, sigma in sigmas.items() if sigma > 0}


def _channels(draws: Draws, quantity: str, role: Role, like: Tensor) -> Tensor:
    """The draws of the channels in use, shape (chips, 1, n, 1); 0 where nothing was drawn."""
    found = draws_of(draws, quantity).get(role)
    if found is None:
        return like.new_zeros(())
    n = like.shape[-2]
    return found[..., :n, 0].reshape(-1, 1, n, 1)


def _full_scale(part: Dac | Adc, volt: Tensor) -> Tensor | None:
    """F, broadcast against (chips, samples, n, k); None where nothing is rounded or clipped."""
    if part.range is Range.FIXED:
        return torch.tensor(part.range_volt, dtype=torch.float64)
    if part.bits is None:
        return None
    half = 2 ** (part.bits - 1)
    return volt.abs().amax(dim=(-3, -2), keepdim=True) * (half / (half - 1))


def _limited(part: Dac | Adc, volt: Tensor, full_scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Quantised values, and the share of each chip that the range did not hold."""
    if full_scale is None:
        return volt, volt.new_zeros(volt.shape[0])
    values = quantised(volt, part.bits, full_scale)
    half_step = 0.0 if part.bits is None else full_scale / 2**part.bits
    clipped = (values - volt).abs() > half_step * (1 + 1e-9) + 1e-12 * full_scale
    return values, clipped.to(torch.float64).mean(dim=(-3, -2, -1))


def _bow(part: Dac | Adc, volt: Tensor, full_scale: Tensor | None, draws: Draws, role: Role) -> Tensor:
    """D INL, in volt."""
    if part.bits is None or full_scale is None or part.inl_lsb_dtod == 0:
        return volt.new_zeros(())
    step = full_scale / 2 ** (part.bits - 1)
    lowest, highest = -full_scale, full_scale - step
    middle, width = (highest + lowest) / 2, (highest - lowest) / 2
    c = ((volt - middle) / torch.where(width > 0, width, 1.0)).clamp(-1.0, 1.0)
    shape = _channels(draws, "bow2", role, volt) + _channels(draws, "bow3", role, volt) * (_THIRD_ORDER * c)
    return step * (1.0 - c.square()) * shape
