"""Confidence limits for the expectation of a quadratic form of a stationary Gaussian process.

In the Fourier basis of a record of N points the components of the process are independent, with variances f_j, its
spectrum at w_j = 2 pi j/N.  So the mean square of the record is a sum of independent gammas,

    P = (1/N) sum_j f_j chi^2_1,   <P> = (1/N) sum_j f_j,   log <e^(s N P/2)> = K(s) = -(1/2) sum_j log(1 - s f_j),

without its mean if that is taken off: then j = 0 is missing in P, and not in the variance that is looked for.

The spectrum is not known; of all one-parameter families of spectra through f the one in which the variance is hardest
to tell is f_j/(1 - s f_j), because it is the exponential family whose statistic is P itself.  For dx = -x dt/tau + ...
it keeps the strength of the noise, which a record tells exactly, and varies tau: a record that came out small had a
short memory as well, so bars that take the fitted memory at its word miss the truth above.  In this family the limits
of probability (1 -+ level)/2 are the s at which the modified signed root of the likelihood ratio is a normal quantile,

    r* = r + log(q/r)/r = +-z,   r = sign(s) {2 [K(s) - s t]}^(1/2) at K'(0) = t,   q = s K''(0)^(1/2),

accurate to order nu^(-3/2) for white noise and OU processes alike (chi-square limits for the former).  The upper one
is infinite where the record does not rule out a mode that never decays, s f = 1.

Sources: C. Stein, Third Berkeley Symposium 1 (1956) 187, for the family; O. E. Barndorff-Nielsen, Biometrika 73 (1986)
307, for r*.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["GaussianForm"]

_FARTHEST = 8.0
"""Logarithm of a variance ratio that counts as infinite."""

_TINY = 1e-300
_DOUBLINGS, _STEPS, _BISECTIONS = 12, 60, 40
_CLOSE = 1e-6
"""Largest miss of r*."""


@dataclass(frozen=True, eq=False)
class GaussianForm:
    """sum_j weight_j f_j chi^2_1 / N of many records.

    Attributes:
        spectrum: f, shape (B, G), 0 or more.
        weight: How often each component is there, same shape.
        observed: The same without what was taken off with the mean.
        count: N.
    """

    spectrum: Tensor
    weight: Tensor
    observed: Tensor
    count: int

    def fitted(self) -> Tensor:
        """(1/N) sum_j weight_j f_j, shape (B,)."""
        return (self.weight * self.spectrum).sum(-1) / self.count

    def variance(self) -> Tensor:
        """Var(P) = 2 sum_j observed_j f_j^2/N^2, shape (B,)."""
        return 2.0 * (self.observed * self.spectrum.square()).sum(-1) / self.count**2

    def limits(self, quantile: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Best estimate of <P>, lower and upper limit, each (B,), z = ``quantile``, shape (B,).

        Cost: about 40 logarithms an entry of the spectrum.
        """
        top = self.spectrum.amax(-1, keepdim=True)
        dead = ~(top > 0.0)
        f = self.spectrum / torch.where(dead, 1.0, top)
        middle = self._centre(f)
        f = f / (1.0 - _tilt(middle) * f)
        peak = f.amax(-1, keepdim=True)
        f = f / torch.where(dead, 1.0, peak)
        family = _Family(f, self.observed, quantile.unsqueeze(-1))
        below, above = -family.distance(-1.0, _FARTHEST + middle), family.distance(1.0, _FARTHEST - middle)
        unit = (top * peak)[:, 0] / self.count
        ends = [
            torch.where(dead[:, 0], 0.0, unit * (self.weight * f / (1.0 - _tilt(u) * f)).sum(-1))
            for u in (torch.zeros_like(below), below, above)
        ]
        return ends[0], ends[1], torch.where((above + middle < _FARTHEST)[:, 0] | dead[:, 0], ends[2], torch.inf)

    def _centre(self, f: Tensor) -> Tensor:
        """u of the spectrum whose observed part has the size that was fitted to all; 0 with nothing taken off."""
        low = torch.zeros_like(f[:, :1])
        if self.observed is self.weight:
            return low
        size, high = (self.weight * f).sum(-1, keepdim=True), low + _FARTHEST
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            small = (self.observed * f / (1.0 - _tilt(middle) * f)).sum(-1, keepdim=True) < size
            low, high = torch.where(small, middle, low), torch.where(small, high, middle)
        return low


def _tilt(u: Tensor) -> Tensor:
    """s = 1 - e^-u in units of the largest f: u is the log of the variance ratio of the strongest component."""
    return -torch.expm1(-u)


@dataclass(frozen=True, eq=False)
class _Family:
    """The family through f (largest 1), which fits the record at s = 0."""

    f: Tensor
    observed: Tensor
    quantile: Tensor

    def distance(self, direction: float, room: Tensor) -> Tensor:
        """|u| with |r*| = ``quantile`` to the side of ``direction``, or ``room`` where that is nearer, shape (B, 1).

        Doubled until it is passed, then by the Illinois rule with a bisection at every third step.
        """
        curvature = 0.5 * (self.observed * self.f.square()).sum(-1, keepdim=True)
        near, miss_near = torch.zeros_like(curvature), -self.quantile
        far = torch.minimum(0.5 * self.quantile / curvature.clamp_min(_TINY).sqrt(), room)
        miss_far = self._miss(direction * far)
        for _ in range(_DOUBLINGS):
            short = miss_far < 0.0
            if not bool(short.any()):
                break
            near, miss_near = torch.where(short, far, near), torch.where(short, miss_far, miss_near)
            far = torch.where(short, torch.minimum(2.0 * far, room), far)
            miss_far = self._miss(direction * far)
        passed, point = miss_far > 0.0, far
        for step in range(_STEPS):
            secant = near - miss_near * (far - near) / torch.where(passed, miss_far - miss_near, 1.0)
            point = torch.where(passed, 0.5 * (near + far) if step % 3 == 2 else secant, far)
            miss = self._miss(direction * point)
            if not bool((passed & (miss.abs() > _CLOSE)).any()):
                break
            short = miss < 0.0
            near, far = torch.where(short, point, near), torch.where(short, far, point)
            miss_near = torch.where(short, miss, 0.5 * miss_near)
            miss_far = torch.where(short, 0.5 * miss_far, miss)
        return torch.where(passed, point, room)

    def _miss(self, u: Tensor) -> Tensor:
        """|r*(u)| less the quantile, shape (B, 1), u not 0."""
        s = _tilt(u)
        total = (self.observed * self.f).sum(-1, keepdim=True)
        twice_K = -(self.observed * torch.log1p(-s * self.f)).sum(-1, keepdim=True)
        r = (twice_K - s * total).clamp_min(_TINY).sqrt()
        q = s.abs() * (0.5 * (self.observed * self.f.square()).sum(-1, keepdim=True)).sqrt()
        return r + torch.log(q.clamp_min(_TINY) / r) / r - self.quantile
