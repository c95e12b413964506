"""When an instrument looks: burn-in, spacing, number of samples, aperture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE, sample_at, sample_averages
from tngd_hw.linear_sde.tensors import ArrayLike
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies import LoadedChip

__all__ = ["BurnIn", "SamplingSchedule", "burn_in"]

_SAME_TIME = 1e-6
"""A recorded point belongs to an edge of an aperture when it is this close to it, in spacings."""


@dataclass(frozen=True)
class SamplingSchedule:
    """Equally spaced samples; sample i is the value at t_i = start + i spacing, or the mean from t_i to t_i + aperture.

    Attributes:
        start_s: Time of the first sample: the burn-in, in s, 0 or more.
        spacing_s: From one sample to the next, in s, positive.
        count: Number of samples, at least 1.
        aperture_s: How long the instrument averages for one sample, in s, from 0 (a point) to the spacing.
    """

    start_s: float
    spacing_s: float
    count: int
    aperture_s: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0.0):
            raise MisuseError(f"start_s = {self.start_s!r}: the first sample is at 0 s or later")
        if not (math.isfinite(self.spacing_s) and self.spacing_s > 0.0):
            raise MisuseError(f"spacing_s = {self.spacing_s!r}: give a positive number of seconds")
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise MisuseError(f"count = {self.count!r}: take at least 1 sample")
        if not 0.0 <= self.aperture_s <= self.spacing_s:
            raise MisuseError(
                f"aperture_s = {self.aperture_s!r}: an aperture lasts from 0 s to the spacing, {self.spacing_s} s"
            )

    def times(self) -> Tensor:
        """Where the apertures open, shape (count,), in s."""
        return self.start_s + self.spacing_s * torch.arange(self.count, dtype=torch.float64)

    @property
    def end_s(self) -> float:
        """Where the last aperture closes: the run lasts so long."""
        return self.start_s + self.spacing_s * (self.count - 1) + self.aperture_s

    def draw(
        self,
        sde: LinearSDE,
        *,
        x0: ArrayLike | None = None,
        covariance0: ArrayLike | None = None,
        u: ArrayLike | None = None,
        generator: np.random.Generator,
        n_paths: int | None = None,
    ) -> Tensor:
        """Samples of the outputs of a linear system from their exact joint law, aperture included.

        Args:
            sde: The system; with an aperture its outputs may have white noise of their own.
            x0: Mean of the state at time 0, shape (..., n); zero when left out.
            covariance0: Its covariance, shape (..., n, n); zero when left out.
            u: Constant input, shape (..., m); zero when left out.
            generator: Where the normal variates come from.
            n_paths: Number of independent paths of every batch member; None draws one and has no axis for it.

        Returns:
            Shape (..., count, p), or (..., n_paths, count, p).  Cost: see ``sample_at``; with an aperture
            ``sample_averages`` of 2 count windows.

        Raises:
            MisuseError: As those two.
        """
        if self.aperture_s == 0.0:
            return sample_at(
                sde, self.times(), x0=x0, covariance0=covariance0, u=u, generator=generator, n_paths=n_paths
            )
        opens = self.times()
        gapless = self.aperture_s > (1.0 - _SAME_TIME) * self.spacing_s
        if gapless:
            edges = torch.cat((opens, opens[-1:] + self.aperture_s))
        else:
            edges = torch.stack((opens, opens + self.aperture_s), dim=1).flatten()
        path = sample_averages(sde, edges, x0=x0, covariance0=covariance0, u=u, generator=generator, n_paths=n_paths)
        return path.averages if gapless else path.averages[..., ::2, :]

    def of_record(self, times_s: Tensor, values: Tensor) -> Tensor:
        """Samples of a recorded path: the mean of its points in every aperture, edges included.

        Args:
            times_s: Increasing, shape (T,), in s.
            values: Shape (..., T, n).

        Returns:
            Shape (..., count, n).  Cost O(T n).

        Raises:
            MisuseError: An aperture without a point.
        """
        margin = _SAME_TIME * self.spacing_s
        opens = self.times().to(times_s.device)
        first = torch.searchsorted(times_s, opens - margin)
        last = torch.searchsorted(times_s, opens + self.aperture_s + margin, right=True)
        number = last - first
        if bool((number < 1).any()):
            i = int(torch.nonzero(number < 1)[0])
            at = float(opens[i])
            raise MisuseError(
                f"times_s has no point from {at} to {at + self.aperture_s} s, sample {i}: record the path at times()"
            )
        if bool((number == 1).all()):
            return values.index_select(-2, first)
        # Running sums from the path's own mean, so that a large offset does not cost digits.
        centre = values.mean(-2, keepdim=True)
        sums = torch.nn.functional.pad((values - centre).cumsum(-2), (0, 0, 1, 0))
        inside = sums.index_select(-2, last) - sums.index_select(-2, first)
        return centre + inside / number.unsqueeze(-1)


@dataclass(frozen=True, eq=False)
class BurnIn:
    """How long to wait before the first sample.

    Attributes:
        mean_s: Until the mean is right, shape of the batch, in s; infinite for a member that is not stable.
        covariance_s: Until the covariance is right, same shape.
    """

    mean_s: Tensor
    covariance_s: Tensor


def burn_in(system: LinearSDE | LoadedChip, error: float, *, start_error: float = 1.0) -> BurnIn:
    """Wait until the slowest mode, of rate l1 = min -Re eig(F), has brought the start down to ``error``.

        mean: ln(E0/error)/l1,   covariance: ln(E0/error)/(2 l1)

    Exact for the slowest mode of a normal F; a circuit far from normal first grows, see ``covariance_at`` for its
    course.

    Args:
        system: The equations, or a loaded chip whose circuit is taken, its noise sources without their own poles.
        error: Relative error that may be left, positive and below ``start_error``.
        start_error: E0, the relative error of the start; 1 from rest.

    Returns:
        A :class:`BurnIn`.  Cost: the eigenvalues of F.

    Raises:
        MisuseError: The error is not between 0 and that of the start.

    Source: M. Aifer et al., Thermodynamic linear algebra, npj Unconventional Computing 1:13, 2024.
    """
    if not 0.0 < error < start_error < math.inf:
        raise MisuseError(
            f"error = {error!r}: give a relative error above 0 and below that of the start, {start_error}"
        )
    sde = system if isinstance(system, LinearSDE) else system.circuit_sde()
    rate = -sde.eigenvalues().real.amax(-1)
    wait = torch.where(sde.stable_mask, math.log(start_error / error) / rate, torch.inf)
    return BurnIn(wait, 0.5 * wait)
