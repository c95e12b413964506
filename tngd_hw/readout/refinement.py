"""Iterative refinement: a low-precision analog solve inside a digital residual loop.

    r = b - A x  (float64),    x <- x + |r| chip(r/|r|)

With chip(c) = A0^-1 c the residual obeys r <- (I - A A0^-1) r, so an iteration gains about -log2 rho(I - A A0^-1) bits
once the slowest direction is all that is left; it converges where rho < 1.  Each residual is scaled to one size, so
that it uses the range of the chip; an offset of the chip is then relative to r and falls with it.
Source: Zuo et al., Nat. Electron. 2025, doi 10.1038/s41928-025-01477-0.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tngd_hw.engines import Engine
from tngd_hw.engines.equations import with_constant
from tngd_hw.hardware import Chip
from tngd_hw.linear_sde import stationary_output_mean
from tngd_hw.linear_sde.dense import eigvals
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import check_seed, derived_seed
from tngd_hw.readout.measure import measure
from tngd_hw.readout.settling import settling_time
from tngd_hw.topologies import LoadedChip, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Ending", "Refinement", "predicted_bits", "refine", "residual_step"]

_SETTLED = 1e-6
_STALL = 8
"""Iterations that together have to gain a bit."""
_DIVERGED = 1e3
"""Growth of the residual over its smallest that ends the loop at once."""


class Ending(enum.Enum):
    """How the loop ended."""

    CONVERGED = "converged"
    STALLED = "stalled"
    DIVERGED = "diverged"
    LIMIT = "limit"
    FAILED = "failed"


@dataclass(frozen=True, eq=False)
class Refinement:
    """What the loop found.

    Attributes:
        value: The best x, shape (n,).
        status: OK where it converged; NOT_SETTLED where it stalled or met the limit, UNSTABLE where it diverged, else
            what the chip said.
        ending: How it ended.
        residuals: |b - A x|/|b| before and after every iteration: 1 first.
        predicted_bits: -log2 rho(I - A A0^-1) of the noiseless settled chip; NaN where it has no answer.
        analog_s: Seconds of analog time in all runs.
    """

    value: Tensor
    status: Status
    ending: Ending
    residuals: tuple[float, ...]
    predicted_bits: float
    analog_s: float

    @property
    def bits(self) -> tuple[float, ...]:
        """Gained by every iteration: log2 of the ratio of its residuals."""
        pairs = zip(self.residuals, self.residuals[1:], strict=False)
        return tuple(math.log2(before / after) if after > 0 else math.inf for before, after in pairs)

    @property
    def bits_per_iteration(self) -> float:
        """Mean over the iterations up to the smallest residual."""
        best = min(range(len(self.residuals)), key=self.residuals.__getitem__)
        if best == 0:
            return 0.0
        smallest = max(self.residuals[best], torch.finfo(torch.float64).tiny)
        return math.log2(self.residuals[0] / smallest) / best

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the residual in bits against the iterations, and the line that the spectral radius predicts."""
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        axes = plt.subplots(figsize=(7, 4), layout="constrained")[1] if ax is None else ax
        shown = [max(residual, 2.0**-60) for residual in self.residuals]
        bits = [-math.log2(residual) for residual in shown]
        label = f"measured, {self.bits_per_iteration:.2f} bits an iteration"
        axes.plot(range(len(bits)), bits, "o-", color="#0072b2", ms=4, label=label)
        if math.isfinite(self.predicted_bits):
            line = [k * self.predicted_bits for k in range(len(bits))]
            label = f"-log2 ρ(I - A A0⁻¹) = {self.predicted_bits:.2f} bits"
            axes.plot(range(len(bits)), line, "--", color="#d55e00", lw=1.2, label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="iteration", ylabel="-log2 |b - A x|/|b| [bits]", title=f"refinement: {self.ending.value}")
        axes.set_ylim(min(0.0, *bits) - 1, max(bits) + 3)
        axes.legend(fontsize=8, loc="lower right")
        return axes


def refine(
    chip: Chip,
    problem: LinearProblem,
    engine: Engine,
    *,
    tolerance: float = 1e-10,
    limit: int = 50,
    seed: int = 0,
) -> Refinement:
    """Solve A x = b to digital precision with a chip that is far from it.

    Args:
        chip: A single die of a circuit that solves; programmed once.
        problem: Dense, with one right-hand side.
        engine: What simulates it.
        tolerance: |b - A x|/|b| that is good enough, above 0; below about 1e-15 float64 stalls it.
        limit: Most iterations.
        seed: Seed of the programming and of the runs.

    Returns:
        A Refinement.  Cost: one programming; an iteration is one settled run and 2 n^2 digital operations.

    Raises:
        MisuseError: A batch, no or several right-hand sides, a tolerance or limit out of range.
    """
    check_seed(seed)
    if chip.chips is not None:
        raise MisuseError(f"chips = {chip.chips}: refine uses one die; manufacture it without chips")
    if problem.b is None or problem.b.ndim != 1:
        raise MisuseError("refine takes a problem with one right-hand side b of shape (n,)")
    if not 0 < tolerance < 1:
        raise MisuseError(f"tolerance = {tolerance!r}: a relative residual between 0 and 1, for example 1e-10")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise MisuseError(f"limit = {limit!r}: an integer number of iterations, at least 1")
    A, b = problem.formed_matrix(), problem.b
    size = _norm(b)
    if size == 0:
        return Refinement(torch.zeros_like(b), Status(), Ending.CONVERGED, (0.0,), math.nan, 0.0)
    loaded = program(chip, LinearProblem(problem.A, b / size, factors=problem.factors), seed=seed)
    state = engine.init(loaded)
    if not state.status.ok:
        return Refinement(torch.full_like(b, torch.nan), state.status, Ending.FAILED, (1.0,), math.nan, 0.0)
    duration, numbers = settling_time(loaded, _SETTLED), count()
    end = torch.tensor([duration], dtype=torch.float64)

    def solved(c: Tensor) -> tuple[Tensor, Status]:
        answer = measure(state, engine, end, b=c, seed=derived_seed(seed, "refinement.run", next(numbers)))
        return answer.value, answer.status

    x, residuals, ending, status = _loop(A, b, solved, tolerance, limit)
    predicted = predicted_bits(loaded)
    if status.ok and ending is not Ending.CONVERGED:
        status = _status(ending, residuals, predicted)
    runs = len(residuals) - 1 + (ending is Ending.FAILED)
    return Refinement(x, status, ending, residuals, predicted, runs * duration)


def residual_step(
    A: Tensor, b: Tensor, x: Tensor, solved: Callable[[Tensor], tuple[Tensor, Status]], unit: float = 1.0
) -> tuple[Tensor, Status]:
    """x plus the answer to its residual, which is scaled to the 2-norm ``unit`` for the chip."""
    residual = b - A @ x
    scale = _norm(residual) / unit or 1.0
    step, status = solved(residual / scale)
    return x + scale * step, status


def predicted_bits(loaded: LoadedChip) -> float:
    """-log2 rho(I - A A0^-1) of a programmed chip, A0^-1 its noiseless settled answers without offset; O(n^3)."""
    if not loaded.circuit_status.ok:
        return math.nan
    one = torch.eye(loaded.n, dtype=torch.float64)
    drives = torch.cat([one, torch.zeros_like(one[:, :1])], -1)
    volts, _ = stationary_output_mean(loaded.linear_sde(), with_constant(loaded.planned_drive(drives)))
    answers = loaded.unknowns(volts, -2)
    inverse = answers[:, :-1] - answers[:, -1:]
    radius = float(eigvals(one - loaded.problem.formed_matrix() @ inverse).abs().max())
    return -math.log2(max(radius, torch.finfo(torch.float64).eps))


def _loop(
    A: Tensor, b: Tensor, solved: Callable[[Tensor], tuple[Tensor, Status]], tolerance: float, limit: int
) -> tuple[Tensor, tuple[float, ...], Ending, Status]:
    """The best x, |r|/|b| of every iterate, the ending, and the chip's status."""
    x = best = torch.zeros_like(b)
    residuals, size, status = [1.0], _norm(b), Status()
    for _ in range(limit):
        x, status = residual_step(A, b, x, solved)
        if not status.ok:
            return best, tuple(residuals), Ending.FAILED, status
        residuals.append(_norm(b - A @ x) / size)
        smallest = min(residuals)
        best = x if residuals[-1] == smallest else best
        if smallest <= tolerance:
            return best, tuple(residuals), Ending.CONVERGED, status
        if not residuals[-1] < _DIVERGED * smallest:
            return best, tuple(residuals), Ending.DIVERGED, status
        if len(residuals) > _STALL and smallest > 0.5 * min(residuals[:-_STALL]):
            ending = Ending.DIVERGED if residuals[-1] > 2 * smallest else Ending.STALLED
            return best, tuple(residuals), ending, status
    return best, tuple(residuals), Ending.LIMIT, status


def _status(ending: Ending, residuals: tuple[float, ...], predicted: float) -> Status:
    facts = f"after {len(residuals) - 1} iterations the smallest |b - A x|/|b| is {min(residuals):.2g}"
    if ending is Ending.DIVERGED:
        detail = f"the residual grows ({facts}; rho(I - A A0^-1) = {2**-predicted:.3g})"
        return Status(Outcome.UNSTABLE, detail, "use more bits or better parts, so that rho is below 1")
    advice = "raise the tolerance" if ending is Ending.STALLED else "raise the limit"
    return Status(Outcome.NOT_SETTLED, facts, advice)


def _norm(vector: Tensor) -> float:
    return float(vector.square().sum().sqrt())
