"""Noise currents as samples: white, Ornstein-Uhlenbeck and 1/f^a, each with a one-sided density in A^2/Hz.

A simulator joins the samples i_0, i_1 ... (a step h apart) by straight lines, which multiplies their density by
sinc^4(f h); below f = 1/(10 h) that is within 7 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from tngd_hw.netlist.tables import Floats
from tngd_hw.outcome import MisuseError

__all__ = ["NoiseColor", "OrnsteinUhlenbeck", "PowerLaw", "White"]


@dataclass(frozen=True)
class White:
    """S(f) = S up to 1/(2 h): independent samples sqrt(S/2) dW/h of variance S/(2 h)."""

    def samples(self, psd: float, step_s: float, count: int, generator: np.random.Generator) -> Floats:
        """``count`` currents in ampere for the density ``psd``."""
        return math.sqrt(psd / (2 * step_s)) * generator.standard_normal(count)


@dataclass(frozen=True)
class OrnsteinUhlenbeck:
    """S(f) = S/(1 + (f/f_c)^2): exact samples of the stationary process, i_k+1 = e^(-2 pi f_c h) i_k + noise.

    Attributes:
        corner_hz: f_c; the variance is pi S f_c/2, the correlation time 1/(2 pi f_c).
    """

    corner_hz: float

    def __post_init__(self) -> None:
        _refuse_unless_positive("OrnsteinUhlenbeck.corner_hz", self.corner_hz)

    def samples(self, psd: float, step_s: float, count: int, generator: np.random.Generator) -> Floats:
        """``count`` currents in ampere; the first is drawn from the stationary law.  Cost O(count)."""
        steps = 2 * math.pi * self.corner_hz * step_s
        pushes = generator.standard_normal(count)
        pushes[1:] *= math.sqrt(-math.expm1(-2 * steps))
        path = np.asarray(lfilter([1.0], [1.0, -math.exp(-steps)], pushes), dtype=np.float64)
        return math.sqrt(math.pi * psd * self.corner_hz / 2) * path


@dataclass(frozen=True)
class PowerLaw:
    """S(f) = S (f_c/f)^a, by random Fourier amplitudes of a period of at least twice the record.

    The density is exact at the multiples of 1/period from there to 1/(2 h) and there is none below: in a record of
    length T the drift slower than 2 T to 4 T is missing, whose variance is infinite for a >= 1.

    Attributes:
        exponent: a, above 0 and at most 2.
        corner_hz: f_c, where the density is S: the corner with white noise of the same S.

    Source: J. Timmer and M. Koenig, Astron. Astrophys. 300 (1995) 707.
    """

    exponent: float
    corner_hz: float

    def __post_init__(self) -> None:
        _refuse_unless_positive("PowerLaw.corner_hz", self.corner_hz)
        if not 0 < self.exponent <= 2:
            raise MisuseError(f"PowerLaw.exponent = {self.exponent!r}: expected a number above 0, at most 2")

    def samples(self, psd: float, step_s: float, count: int, generator: np.random.Generator) -> Floats:
        """``count`` currents in ampere.  Cost: one FFT of 2 to 4 times ``count``."""
        period = 2 ** math.ceil(math.log2(2 * count))
        bin_hz = 1 / (period * step_s)
        frequency = bin_hz * np.arange(1, period // 2 + 1, dtype=np.float64)
        power: Floats = psd * (self.corner_hz / frequency) ** self.exponent * bin_hz
        cosine, sine = generator.standard_normal((2, period // 2))
        modes = np.zeros(period // 2 + 1, dtype=np.complex128)
        modes[1:] = period / 2 * np.sqrt(power) * (cosine - 1j * sine)
        modes[-1] = period * math.sqrt(power[-1] / 2) * cosine[-1]  # half a bin, and no sine, at the Nyquist frequency
        return np.fft.irfft(modes, period)[:count]


NoiseColor = White | OrnsteinUhlenbeck | PowerLaw


def _refuse_unless_positive(what: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise MisuseError(f"{what} = {value!r}: expected a finite number above 0")
