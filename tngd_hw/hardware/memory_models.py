"""Memory devices as they were measured: fitted spreads of writing, drift and read noise, with their coefficients.

Conductances G are in microsiemens, as the fits are; g = G/G_max is relative to the largest one of the device.  A model
says how far a written value is from the wanted one, what it becomes with time, and how it fluctuates:

    writing     G_w = G + s_w(G) z_w
    drift       G_d = G_w ((t + t_0)/t_0)^-|nu|,  nu = mu(g) + s_nu(g) z_nu        (phase change)
    relaxation  G_d = G_w + m ln t + (a ln t + b) z_r,  t >= 1 s                   (filamentary oxides)
    reading     s_r(G, t) sqrt(ln((t + t_read)/(2 t_read))) z, 1/f noise accumulated since the writing

Sources: code of aihwkit (``inference/noise``: pcm.py, hermes.py, reram.py) and of CrossSim 3.2 (``simulator/devices``),
each a fit of the measurements named at the model.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Device", "Drift", "MemoryModel", "ReadNoise", "Relaxation", "WriteSpread", "model_of"]

_Curve = Callable[[Tensor], Tensor]

_DAY_S = 86400.0


class Device(enum.Enum):
    """Fitted devices.

    PCM: phase change, one million devices (Nandakumar et al., ICECS 2019; aihwkit); to 25 uS; drift and read noise.
    PCM_JOSHI: phase change, writing only (Joshi et al., Nat. Commun. 11, 2473, 2020; CrossSim); to 25 uS.
    HERMES_ONE, HERMES_TWO: phase change with one or two devices a cell (Le Gallo et al., Nat. Electron. 2023; aihwkit);
        to 10.35 and 20.7 uS; drift and read noise.
    RRAM_WAN: filamentary oxide 1 s after writing (Wan et al., Nature 2022; CrossSim); to 39.26 uS.
    RRAM_WAN_AGED: the same work, spread growing from 1 s to 2 days (aihwkit); to 40 uS.
    RRAM_MILO: filamentary oxide, IGVVA-100 writing (Milo et al., IRPS 2021; CrossSim); fitted from 50 to 225 uS.
    RRAM_CMO, RRAM_CMO_FINE: conductive metal oxide on HfOx, written to within 2 % and 0.2 % (Falcone et al.; aihwkit);
        9 to 88.19 uS; relaxation and read noise.
    """

    PCM = "pcm"
    PCM_JOSHI = "pcm_joshi"
    HERMES_ONE = "hermes_one"
    HERMES_TWO = "hermes_two"
    RRAM_WAN = "rram_wan"
    RRAM_WAN_AGED = "rram_wan_aged"
    RRAM_MILO = "rram_milo"
    RRAM_CMO = "rram_cmo"
    RRAM_CMO_FINE = "rram_cmo_fine"


@dataclass(frozen=True)
class WriteSpread:
    """s_w in uS: a polynomial in G/``reference_us``, one for every age at which it was measured, never below 0.

    Between two ages the spread is linear in ln t (our choice; the sources give the ages alone); before the first it is
    that of the first.

    Attributes:
        reference_us: Conductance that the polynomials are relative to; 1 for polynomials in uS.
        coefficients: c0, c1, ... for every age.
        ages_s: Seconds after writing, ascending; one age holds for all times.
    """

    reference_us: float
    coefficients: tuple[tuple[float, ...], ...]
    ages_s: tuple[float, ...] = (1.0,)

    def std(self, conductance_us: Tensor, age_s: float) -> Tensor:
        """s_w, shape of ``conductance_us``."""
        relative = conductance_us / self.reference_us
        spreads = [polynomial(*row)(relative).clamp_min(0.0) for row in self.coefficients]
        later = next((k for k, age in enumerate(self.ages_s) if age_s <= age), len(spreads) - 1)
        if later == 0:
            return spreads[0]
        first, last = (math.log(self.ages_s[k]) for k in (later - 1, later))
        share = min((math.log(age_s) - first) / (last - first), 1.0)
        return (1 - share) * spreads[later - 1] + share * spreads[later]


@dataclass(frozen=True)
class Drift:
    """((t + start_s)/start_s)^-|nu|, nu = mean(g) + std(g) z."""

    start_s: float
    mean: _Curve
    std: _Curve

    def factor(self, relative: Tensor, z: Tensor, age_s: float) -> Tensor:
        """What is left of the conductance ``age_s`` after writing; g is that of the wanted conductance."""
        safe = relative.clamp_min(1e-7)
        nu = (self.mean(safe) + self.std(safe) * z).abs()
        return ((age_s + self.start_s) / self.start_s) ** -nu


@dataclass(frozen=True)
class Relaxation:
    """mean_us ln t + (growth_us ln t + start_us) z, in uS; ages below 1 s count as 1 s, age 0 as not relaxed."""

    mean_us: float
    growth_us: float
    start_us: float

    def shift(self, z: Tensor, age_s: float) -> Tensor:
        """What is added, in uS."""
        if age_s == 0:
            return torch.zeros_like(z)
        passed = max(math.log(age_s), 0.0)
        return self.mean_us * passed + (self.growth_us * passed + self.start_us) * z


@dataclass(frozen=True)
class ReadNoise:
    """strength sqrt(ln((t + t_read)/(2 t_read))), t the age and ``offset_s``.

    Attributes:
        read_s: t_read.
        offset_s: Time that is added to the age.
        strength: Of the written conductance, in units of ``reference_us``.
        reference_us: G_max for fits in g, 1 for fits in uS.
        relative: Whether the strength is relative to the conductance, else in uS.
    """

    read_s: float
    offset_s: float
    strength: _Curve
    reference_us: float
    relative: bool

    def std(self, written_us: Tensor, drifted_us: Tensor, age_s: float) -> Tensor:
        """Standard deviation in uS, of what was written and is now ``drifted_us``."""
        ratio = (age_s + self.offset_s + self.read_s) / (2 * self.read_s)
        growth = math.sqrt(max(math.log(ratio), 0.0))
        if self.relative:
            return self.strength(written_us / self.reference_us) * growth * drifted_us
        return self.strength(drifted_us / self.reference_us) * growth


@dataclass(frozen=True)
class MemoryModel:
    """One fitted device.

    Attributes:
        largest_us: G_max, the largest conductance of the fit.
        write: Spread of writing.
        drift: Of phase change.
        relaxation: Of filamentary oxides.
        read: Read noise.
        oldest_s: Largest age that was measured; infinite where a law in t is given or nothing changes.
    """

    largest_us: float
    write: WriteSpread
    drift: Drift | None = None
    relaxation: Relaxation | None = None
    read: ReadNoise | None = None
    oldest_s: float = math.inf


def polynomial(*coefficients: float) -> _Curve:
    """c0 + c1 x + c2 x^2 + ..."""

    def curve(x: Tensor) -> Tensor:
        value = torch.zeros_like(x)
        for c in reversed(coefficients):
            value = value * x + c
        return value

    return curve


def logarithm(slope: float, offset: float, low: float, high: float) -> _Curve:
    """slope ln x + offset, within low and high."""
    return lambda x: (slope * x.clamp_min(1e-7).log() + offset).clamp(low, high)


def branches(at: float, below: _Curve, above: _Curve) -> _Curve:
    """``below`` for x < at, else ``above``."""
    return lambda x: torch.where(x < at, below(x), above(x))


def model_of(device: Device) -> MemoryModel:
    """The fit of ``device``."""
    return _MODELS[device]


def _phase_change_read(x: Tensor) -> Tensor:
    """Q = min(0.0088/g^0.65, 0.2)."""
    return (0.0088 / x.pow(0.65).clamp_min(1e-3)).clamp_max(0.2)


def _oxide_read(x: Tensor) -> Tensor:
    """0.02773 log10(G), 0 below 1 uS."""
    return 0.0277316483 * x.clamp_min(1.0).log10()


def _oxide(largest_us: float, coefficients: tuple[float, float]) -> MemoryModel:
    return MemoryModel(
        largest_us,
        WriteSpread(1.0, (coefficients,)),
        relaxation=Relaxation(-0.08900206, 0.04201137, 0.41183342),
        read=ReadNoise(1e-6, 0.0, _oxide_read, 1.0, relative=False),
    )


_HERMES_MEAN = branches(0.0945, logarithm(-0.0387, -0.0182, 0.0720, 0.13), polynomial(0.0736, -0.0126, -0.0436))

_MODELS = {
    Device.PCM: MemoryModel(
        25.0,
        WriteSpread(25.0, ((0.26348, 1.9650, -1.1731),)),
        Drift(20.0, logarithm(-0.0155, 0.0244, 0.049, 0.1), logarithm(-0.0125, -0.0059, 0.008, 0.045)),
        read=ReadNoise(250e-9, 20.0, _phase_change_read, 25.0, relative=True),
    ),
    Device.PCM_JOSHI: MemoryModel(25.0, WriteSpread(1.0, ((0.28638599, 0.07585724, -0.00178767),))),
    Device.HERMES_ONE: MemoryModel(
        10.35,
        WriteSpread(10.35, ((0.15781817, 2.32443916, -2.16310839, 0.68841818),)),
        Drift(
            200.0,
            _HERMES_MEAN,
            branches(0.3039, logarithm(-0.0120, -0.0023, 0.0124, 0.04), polynomial(0.0104, 0.0116, -0.0165)),
        ),
        read=ReadNoise(
            512e-9,
            200.0,
            branches(0.1591, logarithm(-0.0078, 0.0038, 0.0179, 0.04), polynomial(0.0088, 0.0768, -0.1352, 0.0664)),
            10.35,
            relative=True,
        ),
    ),
    Device.HERMES_TWO: MemoryModel(
        20.7,
        WriteSpread(20.7, ((0.16603222, 4.71806468, -8.48101252, 4.68961419),)),
        Drift(
            300.0,
            _HERMES_MEAN,
            branches(0.3055, logarithm(-0.0117, -0.0057, 0.0091, 0.04), polynomial(0.0073, 0.0093, -0.0118)),
        ),
        read=ReadNoise(
            512e-9,
            300.0,
            branches(0.16, logarithm(-0.0117, -0.0069, 0.015, 0.04), polynomial(0.0123, 0.0211, -0.0280, 0.0069)),
            20.7,
            relative=True,
        ),
    ),
    Device.RRAM_WAN: MemoryModel(39.26, WriteSpread(1.0, ((1.053, 0.2374, -1.167e-2, 1.536e-4),))),
    Device.RRAM_WAN_AGED: MemoryModel(
        40.0,
        WriteSpread(
            40.0,
            (
                (0.348, 16.030, -43.853, 45.393, -16.815),
                (0.701, 22.086, -50.773, 47.095, -16.458),
                (0.782, 20.274, -43.507, 37.062, -11.934),
            ),
            (1.0, _DAY_S, 2 * _DAY_S),
        ),
        oldest_s=2 * _DAY_S,
    ),
    Device.RRAM_MILO: MemoryModel(225.0, WriteSpread(1.0, ((4.782321, -0.009107),))),
    Device.RRAM_CMO: _oxide(88.19, (0.0112185391, 0.01129027418)),
    Device.RRAM_CMO_FINE: _oxide(88.19, (0.00081107, 0.00106879)),
}
