"""Calibration: what one programmed die really computes, measured through its own readout, and the correction by it.

A settled linear chip answers x = M b + o.  Known vectors, 0 and +- each column of the identity in several sizes, give M
and o by least squares, and with them the effective matrix A_eff = M^-1, and the gain of every node: the g_i for which
row i of M is nearest to g_i times row i of A^-1.  Three corrections of an answer x, each with what it knows:

    offset    x - o                             n additions
    gain      (x - o)_i/g_i                     n more multiplications
    matrix    A^-1 A_eff (x - o)                n^2 operations an answer, after O(n^3) once: two factorisations

The last is exact for a linear chip, and worth its cost where one matrix serves many right-hand sides; for a few,
:func:`~tngd_hw.readout.refine` needs no factorisation.  Write errors are drawn at every programming: a calibration
holds for the programming it was measured on.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tngd_hw.engines import Engine, EngineState
from tngd_hw.linear_sde.dense import solve
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.random import check_seed, derived_seed
from tngd_hw.readout.estimate import Estimate, Quantity
from tngd_hw.readout.measure import measure
from tngd_hw.readout.settling import settling_time
from tngd_hw.topologies import LoadedChip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Calibration", "Correction", "calibrate"]

_SETTLED = 1e-6
_AVERAGED = 200.0
"""Slowest time constants of a noisy run; the second half is averaged."""
_NOISY_POINTS = 1001


class Correction(enum.Enum):
    """How much of a calibration is used."""

    OFFSET = "offset"
    GAIN = "gain"
    MATRIX = "matrix"


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a chip computes: x = M b + o.

    Attributes:
        nominal: A that was asked for, shape (n, n).
        inverse: M, shape (n, n), dimensionless.
        inverse_stderr: Its standard error from noise, same shape; 0 without noise.
        offset: o, shape (n,), in units of x.
        offset_stderr: Same shape.
        status: OK, or that of the first run that failed; everything is NaN then.
        runs: Runs of the chip.
        analog_s: Seconds of analog time in all of them.
    """

    nominal: Tensor
    inverse: Tensor
    inverse_stderr: Tensor
    offset: Tensor
    offset_stderr: Tensor
    status: Status
    runs: int
    analog_s: float

    @property
    def matrix(self) -> Tensor:
        """A_eff = M^-1, shape (n, n)."""
        return solve(self.inverse, _one(self.inverse))

    @property
    def gain(self) -> Tensor:
        """g, shape (n,): how much more than nominal every node gives."""
        rows = solve(self.nominal, _one(self.nominal))
        return (self.inverse * rows).sum(-1) / rows.square().sum(-1)

    @property
    def gain_stderr(self) -> Tensor:
        """Standard error of g, shape (n,)."""
        rows = solve(self.nominal, _one(self.nominal))
        return (self.inverse_stderr * rows).square().sum(-1).sqrt() / rows.square().sum(-1)

    def correct(self, estimate: Estimate, using: Correction = Correction.MATRIX) -> Estimate:
        """The answer of the same programmed chip without what the calibration found.

        Args:
            estimate: A SOLUTION of one chip, value (n,) or (n, k).
            using: How much of the calibration.

        Returns:
            An Estimate; its standard error holds that of the answer and that of the calibration.

        Raises:
            MisuseError: Another quantity, a batch of chips, or another size.
        """
        n = len(self.offset)
        if estimate.quantity is not Quantity.SOLUTION or estimate.chips is not None:
            raise MisuseError("a calibration corrects a solution of the one chip it was measured on")
        if estimate.value.shape[0] != n:
            raise MisuseError(f"estimate has {estimate.value.shape[0]} components, the calibrated chip has {n}")
        columns = estimate.value.ndim == 2
        x, error = (part if columns else part[:, None] for part in (estimate.value, estimate.stderr))
        x = x - self.offset[:, None]
        square = error.square() + self.offset_stderr.square()[:, None]
        value, square = self._without_gains(x, square, using)
        stderr = square.sqrt()
        if not columns:
            value, stderr = value[:, 0], stderr[:, 0]
        return replace(estimate, value=value, stderr=stderr, degrees=None)

    def _without_gains(self, x: Tensor, square: Tensor, using: Correction) -> tuple[Tensor, Tensor]:
        """Value and squared standard error of x without its offset, shapes (n, k)."""
        if using is Correction.OFFSET:
            return x, square
        if using is Correction.GAIN:
            gain = self.gain[:, None]
            value = x / gain
            return value, (square + (value * self.gain_stderr[:, None]).square()) / gain.square()
        b = solve(self.inverse, x)  # what must have been put in
        carried = solve(self.nominal, self.matrix)
        square = square + self.inverse_stderr.square() @ b.square()
        return solve(self.nominal, b), carried.square() @ square

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw gain errors and offsets of the nodes."""
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        axes = plt.subplots(figsize=(7, 4), layout="constrained")[1] if ax is None else ax
        nodes = range(len(self.offset))
        axes.errorbar(nodes, 100 * (self.gain - 1), 100 * self.gain_stderr, fmt="o", color="#0072b2", label="gain - 1")
        scale = float(self.inverse.abs().max())
        label = "offset, relative to the largest entry of M"
        shown = (100 / scale * self.offset, 100 / scale * self.offset_stderr)
        axes.errorbar(nodes, *shown, fmt="s", color="#d55e00", label=label)
        axes.axhline(0.0, color="#6b6b6b", lw=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="node", ylabel="deviation [%]", title="calibration (±1 standard error)")
        axes.legend(fontsize=8)
        return axes


def calibrate(
    loaded: LoadedChip,
    engine: Engine,
    *,
    size: float | None = None,
    repeats: int = 1,
    duration: float | None = None,
    seed: int = 0,
) -> Calibration:
    """Measure M and o of a programmed chip with known vectors: 0, and +-e_k in ``repeats`` sizes.

    Args:
        loaded: A single programmed chip that solves.
        engine: What simulates it.
        size: Largest drive, in units of b; default |b| of its problem, else 1.
        repeats: Sizes: size/repeats, 2 size/repeats ... size.
        duration: Seconds a run; default: settled to 1e-6, or with noise 200 of the slowest time constants, the second
            half averaged.
        seed: Seed of the noise.

    Returns:
        A Calibration.  Cost: 2 n repeats + 1 runs, and one least-squares problem of n + 1 unknowns.

    Raises:
        MisuseError: A batch, a circuit that does not solve, a size or repeats out of range.
    """
    check_seed(seed)
    if loaded.chip.chips is not None:
        raise MisuseError(f"chips = {loaded.chip.chips}: calibrate one die; select(...) takes one of a batch")
    if Quantity.SOLUTION not in loaded.topology.quantities:
        raise MisuseError(f"topology = {loaded.chip.topology!r}: its answer to a constant drive is 0, nothing to fit")
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise MisuseError(f"repeats = {repeats!r}: an integer number of sizes, at least 1")
    if size is not None and not 0 < size < float("inf"):
        raise MisuseError(f"size = {size!r}: the largest drive is a finite number above 0")
    b = loaded.problem.b
    largest = size if size is not None else float(b.square().sum(0).max().sqrt()) if b is not None else 1.0
    drives = _drives(loaded.n, largest, repeats)
    state = engine.init(loaded)
    answers, errors, status, length = _answers(state, engine, drives, duration, seed)
    design = torch.cat([drives, torch.ones_like(drives[:, :1])], -1)
    inverse = solve(design.T @ design, design.T)
    found, spread = inverse @ answers, (inverse.square() @ errors.square()).sqrt()
    return Calibration(
        loaded.problem.formed_matrix(), found[:-1].T, spread[:-1].T, found[-1], spread[-1], status, len(drives),
        len(drives) * length,
    )  # fmt: skip


def _drives(n: int, size: float, repeats: int) -> Tensor:
    """One right-hand side a row."""
    one = torch.eye(n, dtype=torch.float64)
    sizes = [sign * size * (k + 1) / repeats for k in range(repeats) for sign in (1.0, -1.0)]
    return torch.cat([torch.zeros(1, n, dtype=torch.float64), *(s * one for s in sizes)])


def _answers(
    state: EngineState, engine: Engine, drives: Tensor, duration: float | None, seed: int
) -> tuple[Tensor, Tensor, Status, float]:
    """Readings and their standard errors, one row a drive; NaN and a status where a run failed."""
    loaded = state.loaded
    nothing = torch.full_like(drives, torch.nan)
    if not state.status.ok:
        return nothing, nothing, state.status, 0.0
    noisy = loaded.noisy or loaded.chip.hardware.adc.noise_volt_std > 0
    if duration is None:
        duration = _AVERAGED * settling_time(loaded, math.exp(-1)) if noisy else settling_time(loaded, _SETTLED)
    end = torch.tensor([duration], dtype=torch.float64)
    samples = torch.linspace(duration / 2, duration, _NOISY_POINTS, dtype=torch.float64) if noisy else end
    values, errors = torch.empty_like(drives), torch.empty_like(drives)
    for row, b in enumerate(drives):
        answer = measure(state, engine, samples, b=b, seed=derived_seed(seed, "calibration.run", row))
        if not answer.status.ok:
            return nothing, nothing, answer.status, duration
        values[row], errors[row] = answer.value, answer.stderr
    return values, errors, Status(), duration


def _one(matrix: Tensor) -> Tensor:
    return torch.eye(len(matrix), dtype=torch.float64)
