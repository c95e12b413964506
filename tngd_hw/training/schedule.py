"""What an analog device does in one training step: where it starts, how long it runs, how often it is read."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from tngd_hw.outcome import MisuseError
from tngd_hw.training.record import check_count

__all__ = ["AnalogSchedule", "AnalogStart"]


class AnalogStart(enum.Enum):
    """Where the relaxation of a step starts.

    PREVIOUS: where the device is (the paper's Algorithm 1); the first step starts at the gradient.
    GRADIENT: reset to g, so that t = 0 is SGD.
    ZERO: reset to 0, the spectral filter (1 - e^(-mu t))/mu.
    """

    PREVIOUS = "previous"
    GRADIENT = "gradient"
    ZERO = "zero"


@dataclass(frozen=True)
class AnalogSchedule:
    """What the device does in one training step.

    Attributes:
        duration_tau: Analog time t from the new matrix to the first readout, in tau.
        start: Where it starts.
        delay_tau: Time t_d for which it stays on the old matrix after the last readout; only with start PREVIOUS.
        readouts: Number M of readouts that are averaged.
        spacing_tau: Time between two readouts.
        kappa: Strength kappa_0 of the injected noise, Cov(x) -> kappa A^-1.
        tolerance: Allowed error of every simulated stretch, relative to the norm of its result.
        max_products: Budget of curvature products a stretch, for the mean, and for the noise where the matrix is
            symmetric; else the noise has that of :func:`tngd_hw.linear_sde.krylov_noise`.

    Raises:
        MisuseError: A number out of range, or a delay of a device that is reset.
    """

    duration_tau: float = 50.0
    start: AnalogStart = AnalogStart.PREVIOUS
    delay_tau: float = 0.0
    readouts: int = 1
    spacing_tau: float = 1.0
    kappa: float = 0.0
    tolerance: float = 1e-4
    max_products: int = 400

    def __post_init__(self) -> None:
        for name in ("duration_tau", "spacing_tau"):
            if not 0 < getattr(self, name) < math.inf:
                raise MisuseError(f"{name} = {getattr(self, name)!r}: expected a finite number above 0")
        for name in ("delay_tau", "kappa"):
            if not 0 <= getattr(self, name) < math.inf:
                raise MisuseError(f"{name} = {getattr(self, name)!r}: expected a finite number, 0 or more")
        check_count(self.readouts, "readouts")
        if self.delay_tau > 0 and self.start is not AnalogStart.PREVIOUS:
            raise MisuseError(
                f"delay_tau = {self.delay_tau!r} with start = {self.start.value!r}: a reset forgets the delay; "
                "use AnalogStart.PREVIOUS or no delay"
            )

    def flat_gain(self, damping: float) -> float:
        """x/g in the directions without curvature, where A = lambda I: what the device does there to the learning rate.

            from 0       (1 - e^(-lambda t))/lambda
            from g       (1 - e^(-lambda t))/lambda + e^(-lambda t)

        averaged over the readouts at t = duration_tau + k spacing_tau.  SGD at the learning rate times this number is
        the control that tells the use of curvature from a larger step.  Both go to 1/lambda as t grows.

        Args:
            damping: lambda > 0.

        Raises:
            MisuseError: damping not above 0; start PREVIOUS, where x also holds earlier gradients, so that no number
                stands for it.
        """
        if not 0 < damping < math.inf:
            raise MisuseError(f"damping = {damping!r}: expected a finite number above 0")
        if self.start is AnalogStart.PREVIOUS:
            raise MisuseError(
                "start = 'previous': what is read there also depends on earlier gradients, so there is no one gain; "
                "give AnalogStart.GRADIENT or AnalogStart.ZERO"
            )
        kept = 1.0 if self.start is AnalogStart.GRADIENT else 0.0
        times = [self.duration_tau + k * self.spacing_tau for k in range(self.readouts)]
        gains = [-math.expm1(-damping * t) / damping + kept * math.exp(-damping * t) for t in times]
        return sum(gains) / self.readouts
