"""The error budget of a reading: settling, sampling and systematic error, and the causes of the last two.

For a chip whose hardware has the effects 1 ... m, with x_S the settled answer of the same die where only the effects of
S act and x* = A^-1 b the exact answer,

    reading - x* = (reading - <reading>)     sampling: of zero mean, with a covariance
                 + (<reading> - x_all)       settling: the mean at the time of reading against the chip's own end
                 + (x_all - x*)              systematic

    x_all - x*   = (x_none - x*) + sum_i (x_i - x_none) + interaction

as vectors, exactly; the interaction is what the causes do together beyond the sum of what each does alone.  Then the
mean square of the whole is |systematic + settling|^2 + tr Cov(reading).  Norms do not add: x_all - x_(all but i) is
given beside every cause.

Answers are as the chip's ADC says them; its noise belongs to the sampling error, its timing to none of them.

Noises are independent, so the covariance is the sum of those of its causes: white noise (injected, and of the parts),
1/f noise of the amplifiers, noise of the ADC.  1/f noise has been there before the run began: most of it stands still
during a run, as an offset that is another one in every run, so an average over a run lessens it little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.linear_sde.dense import solve_or_nan
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.readout.reading import as_read, reading_law
from tngd_hw.readout.settled import settled
from tngd_hw.readout.spread import Spread
from tngd_hw.readout.variants import with_hardware
from tngd_hw.topologies import LoadedChip, Quantity

__all__ = ["ErrorBudget", "error_budget", "exact_answer"]


@dataclass(frozen=True, eq=False)
class ErrorBudget:
    """Every part of the error as a vector, for every chip; all in units of x.

    Attributes:
        exact: A^-1 b, shape (n,).
        settling: Shape (chips, n), chips = 1 for a single one.
        sampling_causes: Covariance of the reading by cause, each (chips, n, n): white noise, 1/f noise, ADC noise.
        systematic: x_all - A^-1 b, shape (chips, n).
        nominal: x_none - A^-1 b, shape (chips, n): what the circuit does without any effect.
        alone: x_i - x_none by effect, each (chips, n).
        marginal: x_all - x_(all but i) by effect, each (chips, n).
        interaction: systematic - nominal - sum of ``alone``, shape (chips, n).
        statuses: Of the chips with all effects, one a chip.
        duration_s: When it is read.
        window_s: Over how long before that it is averaged; 0 for one reading.
        tau_s: Time unit.
    """

    exact: Tensor
    settling: Tensor
    sampling_causes: dict[str, Tensor]
    systematic: Tensor
    nominal: Tensor
    alone: dict[str, Tensor]
    marginal: dict[str, Tensor]
    interaction: Tensor
    statuses: tuple[Status, ...]
    duration_s: float
    window_s: float
    tau_s: float

    @property
    def chips(self) -> int:
        """Number of chips."""
        return self.systematic.shape[0]

    @property
    def effects(self) -> tuple[str, ...]:
        """The causes, those with the largest mean error alone first."""
        return tuple(sorted(self.alone, key=lambda name: -float(self.relative(self.alone[name]).nanmean())))

    def relative(self, error: Tensor) -> Tensor:
        """|error|/|A^-1 b| of every chip, shape (chips,), 2-norms."""
        return _norm(error) / _norm(self.exact)

    @property
    def sampling_covariance(self) -> Tensor:
        """Covariance of the reading, shape (chips, n, n)."""
        return torch.stack(list(self.sampling_causes.values())).sum(0)

    @property
    def sampling(self) -> Tensor:
        """sqrt(tr Cov)/|A^-1 b|: the relative root mean square of the noise of the reading, shape (chips,)."""
        return self._spread(self.sampling_covariance)

    @property
    def sampling_by_cause(self) -> dict[str, Tensor]:
        """The part of :attr:`sampling` that every cause makes, each (chips,): their squares add up."""
        return {name: self._spread(covariance) for name, covariance in self.sampling_causes.items()}

    def _spread(self, covariance: Tensor) -> Tensor:
        return covariance.diagonal(dim1=-2, dim2=-1).sum(-1).sqrt() / _norm(self.exact)

    @property
    def total(self) -> Tensor:
        """Relative root mean square of reading - A^-1 b, all parts together, shape (chips,)."""
        return torch.hypot(self.relative(self.systematic + self.settling), self.sampling)

    def share(self, error: Tensor) -> Tensor:
        """Part of ``error`` along the whole error that is not noise, over |A^-1 b|, (chips,).

        The shares of settling, nominal, every cause and the interaction add up to |systematic + settling|/|A^-1 b|.
        """
        whole = self.systematic + self.settling
        return (error * whole).sum(-1) / _norm(whole).clamp_min(1e-300) / _norm(self.exact)

    def parts(self) -> dict[str, Tensor]:
        """Relative size of every part, each (chips,): the three errors, the split of the last, and the whole."""
        causes = {name: self.relative(self.alone[name]) for name in self.effects}
        return {
            "settling": self.relative(self.settling),
            "sampling": self.sampling,
            "systematic": self.relative(self.systematic),
            "nominal circuit": self.relative(self.nominal),
            **causes,
            "interaction": self.relative(self.interaction),
            "total": self.total,
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: spreads over the chips, no vectors."""
        spread = {name: Spread.of(values).to_dict() for name, values in self.parts().items()}
        without = {
            name: Spread.of(self.relative(self.systematic - self.marginal[name])).to_dict() for name in self.alone
        }
        return {
            "chips": self.chips,
            "ok": sum(status.ok for status in self.statuses),
            "duration_s": self.duration_s,
            "window_s": self.window_s,
            "relative_errors": spread,
            "sampling_by_cause": {name: Spread.of(part).to_dict() for name, part in self.sampling_by_cause.items()},
            "all_but": without,
        }

    def __str__(self) -> str:
        from tngd_hw.readout.budget_table import budget_table  # which takes the class from here

        return budget_table(self)


def error_budget(
    loaded: LoadedChip,
    duration: float,
    *,
    window: float = 0.0,
    x0: ArrayLike | Tensor | None = None,
    seed: int = 0,
) -> ErrorBudget:
    """Settling, sampling and systematic error of a reading, the last split by every effect of the hardware.

    Every cause is switched on alone (``HardwareSpec.only``) and off alone (``without``) on the very dies of ``loaded``.

    Args:
        loaded: A chip or a batch, programmed with A and one b.
        duration: When it is read, in s from the start.
        window: Over how many seconds before that the reading is averaged; 0 for one reading.
        x0: Start, shape (n,); default 0.
        seed: Of what the converters draw.

    Returns:
        An :class:`ErrorBudget`.  Cost: 2 m + 2 settled answers of every chip for m effects, and one run.

    Raises:
        MisuseError: Nothing to compare with (no b, several, b = 0, a singular A, a circuit that gives no solution), a
            duration or window that does not fit.
        OutcomeError: The matrix does not fit.
    """
    exact = exact_answer(loaded)
    reading = reading_law(loaded, duration, window=window, x0=x0, seed=seed)
    spec = loaded.chip.hardware
    every, n = spec.effects(), loaded.n

    def answer(*switched: str, off: bool = False) -> Tensor:
        hardware = spec.without(*switched) if off else spec.only(*switched)
        variant = with_hardware(loaded, hardware)
        return as_read(variant, settled(variant, seed=seed, noise=False).x.reshape(-1, n))

    whole = settled(loaded, seed=seed, noise=False)
    together, none = as_read(loaded, whole.x.reshape(-1, n)), answer()
    alone = {name: answer(name) - none for name in every}
    marginal = {name: together - answer(name, off=True) for name in every}
    systematic, nominal = together - exact, none - exact
    return ErrorBudget(
        exact=exact,
        settling=as_read(loaded, reading.mean) - together,
        sampling_causes={
            "white noise": reading.white_covariance,
            "1/f noise": reading.slow_covariance,
            "ADC noise": reading.converter_covariance,
        },
        systematic=systematic,
        nominal=nominal,
        alone=alone,
        marginal=marginal,
        interaction=systematic - torch.stack([nominal, *alone.values()]).sum(0),
        statuses=whole.statuses,
        duration_s=reading.duration_s,
        window_s=reading.window_s,
        tau_s=loaded.tau,
    )


def exact_answer(loaded: LoadedChip) -> Tensor:
    """A^-1 b of the problem, shape (n,).

    Raises:
        MisuseError: There is no such answer to compare with.
    """
    b, topology = loaded.problem.b, loaded.topology
    if Quantity.SOLUTION not in topology.quantities:
        raise MisuseError(f"topology = {topology.name!r}: an error is against A^-1 b, which this circuit does not give")
    if b is None or b.ndim != 1:
        given = "no b" if b is None else f"{b.shape[1]} right-hand sides"
        raise MisuseError(f"problem has {given}: an error is against A^-1 b of one b, give LinearProblem(A, b)")
    if not bool(b.any()):
        raise MisuseError("b = 0: its answer is 0, and errors are relative to the answer; give another b")
    exact = solve_or_nan(loaded.problem.formed_matrix(), b[:, None]).squeeze(-1)
    if not bool(torch.isfinite(exact).all()):
        raise MisuseError("A is singular: there is no A^-1 b to compare with; raise the damping")
    return exact


def _norm(value: Tensor) -> Tensor:
    return cast("Tensor", torch.linalg.vector_norm(value, dim=-1))
