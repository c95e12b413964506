"""Monte Carlo over dies: the spread of the error, the yield within a tolerance, and the corners of a process.

The error of a chip is |x - A^-1 b|/|A^-1 b| of its settled answer, 2-norms.  A yield k/N has the interval of Wilson,

    (p + z^2/(2 N) -+ z (p (1 - p)/N + z^2/(4 N^2))^(1/2))/(1 + z^2/N),      p = k/N,

which is right for p near 0 and 1 too (E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import torch
from scipy.special import ndtri
from torch import Tensor

from tngd_hw.hardware import Corner, corners
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.readout.budget import exact_answer
from tngd_hw.readout.settled import settled
from tngd_hw.readout.spread import Spread
from tngd_hw.readout.variants import with_hardware
from tngd_hw.topologies import LoadedChip

__all__ = ["MonteCarlo", "Yield", "at_corners", "monte_carlo", "wilson_interval"]


@dataclass(frozen=True)
class Yield:
    """The share of chips within a tolerance.

    Attributes:
        passed: How many are.
        chips: Of how many.
        tolerance: Largest relative error.
        low: Lower end of the interval of the share.
        high: Upper end.
        level: Probability with which the interval covers the share of all dies that could be made.
    """

    passed: int
    chips: int
    tolerance: float
    low: float
    high: float
    level: float

    @property
    def share(self) -> float:
        """passed/chips."""
        return self.passed / self.chips

    def __str__(self) -> str:
        interval = f"{100 * self.low:.1f} to {100 * self.high:.1f} %"
        within = f"{self.passed} of {self.chips} chips within {self.tolerance:.3g}"
        return f"yield {100 * self.share:.1f} % ({100 * self.level:g} % interval {interval}): {within}"


@dataclass(frozen=True, eq=False)
class MonteCarlo:
    """Settled answers of a batch of dies, against A^-1 b.

    Attributes:
        exact: A^-1 b, shape (n,).
        x: Settled answers, shape (chips, n); NaN for chips that are not stable.
        variance: Of one reading about them, shape (chips, n).
        statuses: One a chip.
    """

    exact: Tensor
    x: Tensor
    variance: Tensor
    statuses: tuple[Status, ...]

    @property
    def chips(self) -> int:
        """Number of chips."""
        return len(self.statuses)

    @property
    def ok(self) -> Tensor:
        """Which chips gave an answer, shape (chips,)."""
        return torch.tensor([status.ok for status in self.statuses])

    @property
    def error(self) -> Tensor:
        """|x - A^-1 b|/|A^-1 b|, shape (chips,); NaN for chips that failed, in whatever way."""
        return torch.where(self.ok, _norm(self.x - self.exact) / _norm(self.exact), torch.nan)

    @property
    def noise(self) -> Tensor:
        """Relative root mean square of the noise of one settled reading, shape (chips,); NaN likewise."""
        return torch.where(self.ok, self.variance.sum(-1).sqrt() / _norm(self.exact), torch.nan)

    def within(self, tolerance: float, *, level: float = 0.95) -> Yield:
        """Yield of the systematic error; a chip that failed is not within any tolerance.

        Raises:
            MisuseError: A tolerance below 0, a level outside (0, 1).
        """
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
            raise MisuseError(f"tolerance = {tolerance!r}: give the largest relative error, a number of 0 or more")
        passed = int((self.error <= tolerance).sum())
        return Yield(passed, self.chips, tolerance, *wilson_interval(passed, self.chips, level=level), level)

    def failures(self) -> dict[Outcome, int]:
        """How many chips failed, by outcome."""
        return dict(Counter(status.outcome for status in self.statuses if not status.ok))

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: spreads and failures."""
        return {
            "chips": self.chips,
            "failures": {outcome.value: count for outcome, count in self.failures().items()},
            "error": Spread.of(self.error).to_dict(),
            "noise": Spread.of(self.noise).to_dict(),
        }

    def __str__(self) -> str:
        lines = [f"{self.chips} chips, {int(self.ok.sum())} ok"]
        lines += [f"  {count} {outcome.value}" for outcome, count in self.failures().items()]
        for name, values in (("error", self.error), ("noise (rms)", self.noise)):
            s = Spread.of(values)
            lines.append(
                f"{name:<12} mean {s.mean:.3g}, std {s.std:.3g}, 5 % {s.low:.3g}, median {s.median:.3g}, "
                f"95 % {s.high:.3g}"
            )
        return "\n".join(lines)


def monte_carlo(loaded: LoadedChip, *, seed: int = 0, noise: bool = True, workers: int | None = None) -> MonteCarlo:
    """Settled answers of every die of a batch, their noise and their errors.

    Args:
        loaded: A batch (``manufacture(..., chips=1000)``), programmed with A and one b.
        seed: Of what the converters draw.
        noise: Whether to work out the noise.
        workers: Threads; default: as many as torch uses.

    Returns:
        A :class:`MonteCarlo`.  Cost: see :func:`~tngd_hw.readout.settled.settled`.

    Raises:
        MisuseError: No batch, or nothing to compare with.
        OutcomeError: The matrix does not fit.
    """
    if loaded.chip.chips is None:
        raise MisuseError("chips = None: Monte Carlo is over a batch of dies; manufacture one with chips=1000")
    exact = exact_answer(loaded)
    found = settled(loaded, seed=seed, whole_covariance=False, noise=noise, workers=workers)
    return MonteCarlo(exact, found.x, found.variance, found.statuses)


def at_corners(
    loaded: LoadedChip, *, resistance: float = 0.2, capacitance: float = 0.12, transconductance: float = 0.2
) -> dict[Corner, MonteCarlo]:
    """The same dies at the corners of the process, programmed as they were: nobody trims a die to its corner.

    Raises:
        MisuseError: As :func:`monte_carlo`, or a part by which a corner differs that is not in [0, 1).
    """
    specs = corners(
        loaded.chip.hardware, resistance=resistance, capacitance=capacitance, transconductance=transconductance
    )
    return {corner: monte_carlo(with_hardware(loaded, spec)) for corner, spec in specs.items()}


def wilson_interval(passed: int, count: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share: covers the true one with probability about ``level``, without a correction.

    Raises:
        MisuseError: More passed than there are, or a level outside (0, 1).
    """
    if not (0 <= passed <= count and count > 0):
        raise MisuseError(f"passed = {passed!r}: give a number from 0 to count = {count!r}, which is at least 1")
    if not 0.0 < level < 1.0:
        raise MisuseError(f"level = {level!r}: a probability between 0 and 1, for example 0.95")
    z, share = float(ndtri(0.5 * (1 + level))), passed / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _norm(value: Tensor) -> Tensor:
    return cast("Tensor", torch.linalg.vector_norm(value, dim=-1))
