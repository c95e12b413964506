"""The generator of the injected noise: what a real one does to the density S that was asked for.

    S_i = S v(crest, bits) (1 + gain_i)^2      below a one-pole bandwidth

A generator of finite levels puts out a standard normal variate clipped at +-crest and rounded to one of 2^bits equally
spaced levels of that range; v is the variance of what comes out.  Many samples act within a time constant, so what
reaches the nodes is Gaussian again with this density.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from scipy.special import ndtr

from tngd_hw.hardware.draws import Die, Draws, draws_of
from tngd_hw.hardware.elements import Elements, Role
from tngd_hw.hardware.fields import Fraction, Part, Positive
from tngd_hw.outcome import MisuseError
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN

__all__ = ["Bath", "Generator", "quantised_normal_variance"]


class Bath(enum.Enum):
    """Where the noise of a node comes from.

    GENERATOR: A source of the density that was asked for, the same whatever the die's own parts are.
    RESISTOR: The tank resistor at a raised temperature, S_i = 4 k_B T_eff/R_i with this die's R_i; ``rlc_spu`` only.
    """

    GENERATOR = "generator"
    RESISTOR = "resistor"


class Generator(Part):
    """The generator of the injected noise, one output an unknown.

    Attributes:
        bath: Generators, or hot resistors, whose noise follows their own deviations.
        gain_dtod: Relative standard deviation of the amplitude of each output, Gaussian, drawn once a chip.
        bandwidth_hz: Corner of the one pole in front of each output; None for white noise.
        crest: Largest amplitude in standard deviations; None for no limit.
        bits: Levels of the amplitude are 2^bits; takes a crest.
    """

    bath: Annotated[Bath, Field(strict=False)] = Bath.GENERATOR
    gain_dtod: Fraction = 0.0
    bandwidth_hz: Positive | None = None
    crest: Positive | None = None
    bits: Annotated[int, Field(ge=1, le=24)] | None = None

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "gain": {"gain_dtod": 0.0},
        "bandwidth": {"bandwidth_hz": None},
        "levels": {"crest": None, "bits": None},
    }

    @model_validator(mode="after")
    def _levels_have_a_range(self) -> Self:
        if self.bits is not None and self.crest is None:
            raise ValueError(f"bits = {self.bits}: give crest too, the range of the levels in standard deviations")
        changed = self.gain_dtod > 0 or self.bandwidth_hz is not None or self.crest is not None
        if self.bath is Bath.RESISTOR and changed:
            raise ValueError("bath = 'resistor': resistors are white and Gaussian; leave out gain, bandwidth and crest")
        return self

    def draw(self, die: Die) -> Draws:
        """``gain``: relative deviations of the amplitude, one an output."""
        if self.gain_dtod == 0:
            return {}
        return {"gain": {Role.NOISE: self.gain_dtod * die.normal("generator.gain", Role.NOISE)}}

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """The densities that the generators really have; nothing where no noise is injected."""
        if Role.NOISE not in elements.components:
            return elements
        if self.bath is Bath.RESISTOR:
            return _hot_resistors(elements)
        factor = 1.0 if self.crest is None else quantised_normal_variance(self.crest, self.bits)
        elements = elements.with_values(Role.NOISE, lambda c: factor * c.value)
        for role, gain in draws_of(draws, "gain").items():
            elements = elements.with_values(role, lambda c, gain=gain: c.value * (1 + gain[..., c.row, 0]) ** 2)
        if self.bandwidth_hz is None:
            return elements
        count = len(elements.components[Role.NOISE].row)
        return replace(elements, noise_bandwidth_hz=torch.full((count,), self.bandwidth_hz, dtype=torch.float64))


def quantised_normal_variance(crest: float, bits: int | None) -> float:
    """Variance of a standard normal variate clipped at +-crest and rounded to 2^bits levels from -crest to crest.

    Without bits: v = 1 - 2 (crest phi(crest) + (1 - crest^2) (1 - Phi(crest))), the variance after clipping alone.
    """
    if bits is None:
        density = np.exp(-(crest**2) / 2) / np.sqrt(2 * np.pi)
        return float(1 - 2 * (crest * density + (1 - crest**2) * ndtr(-crest)))
    levels = np.linspace(-crest, crest, 2**bits)
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    return float(levels**2 @ np.diff(ndtr(edges)))


def _hot_resistors(elements: Elements) -> Elements:
    """The density of each node as the temperature of its tank resistor as designed; no generators."""
    if Role.TANK_RESISTOR not in elements.components:
        raise MisuseError(
            "generator.bath = 'resistor': only rlc_spu has one resistor at every node; leave bath at 'generator', or "
            "give noise.resistor_kelvin"
        )
    density, conductance = elements.value(Role.NOISE)[..., 0], elements.value(Role.TANK_RESISTOR)[..., 0]
    kelvin = float(density / (4 * BOLTZMANN_JOULE_PER_KELVIN * conductance))
    components = {role: c for role, c in elements.components.items() if role is not Role.NOISE}
    return replace(elements, components=components, noise_kelvin={**elements.noise_kelvin, Role.TANK_RESISTOR: kelvin})
