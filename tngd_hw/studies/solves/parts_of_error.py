"""The parts of the error of a batch of dies, and what they are worked out from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.dense import solve
from tngd_hw.problem import LinearProblem
from tngd_hw.studies.solves.starts import Start
from tngd_hw.topologies import LoadedChip

__all__ = ["Dies", "ErrorParts", "exact_answer", "parts_of_error"]


@dataclass(frozen=True, eq=False)
class Dies:
    """The stable dies of a batch.

    Attributes:
        loaded: All dies.
        sde: Equations of the stable ones, without a batch where all dies are alike.
        start: Their start and drive.
        stable: Which they are, shape (chips,), or () where all are alike.
        seed: Of what the converters draw.
    """

    loaded: LoadedChip
    sde: LinearSDE
    start: Start
    stable: Tensor
    seed: int

    @property
    def inputs(self) -> Tensor:
        """Of every stable die, shape (..., m)."""
        return self.start.inputs.expand(*self.sde.batch_shape, self.sde.n_inputs)

    @property
    def state(self) -> Tensor:
        """Mean start of every stable die, shape (..., states)."""
        return self.start.state.expand(*self.sde.batch_shape, self.sde.n_states)

    @property
    def noisy(self) -> bool:
        """Whether one run differs from the next."""
        return bool((self.sde.B != 0).any()) or self.start.covariance is not None

    @property
    def numbers(self) -> list[int]:
        """Numbers of the stable dies; 0 where all are alike."""
        return [k for k, stable in enumerate(self.stable.reshape(-1)) if bool(stable)]

    def of_all(self, value: Tensor) -> Tensor:
        """Values of the stable dies (..., *shape) with an axis for all dies, 0 at the others."""
        return self.drawn_of_all(value.unsqueeze(0) if self.stable.ndim == 0 else value)

    def drawn_of_all(self, value: Tensor) -> Tensor:
        """The same of values that have an axis for the dies in any case, of length 1 where all are alike."""
        chips = self.loaded.chip.chips or 1
        if self.stable.ndim == 0:
            return value.expand(chips, *value.shape[1:])
        whole = value.new_zeros(chips, *value.shape[1:])
        whole[self.stable] = value
        return whole

    def of_stable(self, value: Tensor) -> Tensor:
        """Values of all dies (chips, *shape) at the stable ones."""
        return value if self.stable.ndim == 0 else value[self.stable]


@dataclass(frozen=True, eq=False)
class ErrorParts:
    """Errors relative to |x*| of every die, each (...); see :mod:`tngd_hw.studies.solves.linear`.

    Attributes:
        settling: Finite time.
        sampling: Noise.
        systematic: The parts.
        total: The whole.
        excess: The largest voltage over its limit; 0 where it is not asked for.
        clipped: Share of the readings of a run that the ADC did not hold; 0 below half a reading a run.
    """

    settling: Tensor
    sampling: Tensor
    systematic: Tensor
    total: Tensor
    excess: Tensor
    clipped: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> ErrorParts:
        """With ``change`` applied to every attribute."""
        return ErrorParts(*(change(value) for value in vars(self).values()))


def parts_of_error(
    exact: Tensor, off: Tensor, away: Tensor, variance: Tensor, *, excess: Tensor, clipped: Tensor
) -> ErrorParts:
    """From vectors in units of x.

    Args:
        exact: x*, shape (n,).
        off: x_inf - x*, shape (..., n).
        away: E x_bar - x_inf, shape (..., n).
        variance: tr Cov x_bar, shape (...).
        excess: See :class:`ErrorParts`.
        clipped: See :class:`ErrorParts`.
    """
    size = _norm(exact)
    total = torch.sqrt(_norm(off + away) ** 2 + variance)
    return ErrorParts(_norm(away) / size, torch.sqrt(variance) / size, _norm(off) / size, total / size, excess, clipped)


def exact_answer(problem: LinearProblem) -> Tensor:
    """x* = A^-1 b by LAPACK, shape (n,)."""
    assert problem.b is not None
    return solve(problem.dense_matrix(), problem.b.unsqueeze(-1)).squeeze(-1)


def _norm(value: Tensor) -> Tensor:
    return cast("Tensor", torch.linalg.vector_norm(value, dim=-1))
