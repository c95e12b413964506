"""What every chip of a batch settles to, and the noise that is left on it, without simulating any of them.

    x = D v/v0,      v -> -C F^-1 E u,      Cov(v) = C S C^T with F S + S F^T + B B^T = 0

for the closed-form equations of each chip.  A chip whose circuit is not stable holds NaN, and is so alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.base import run_statuses
from tngd_hw.engines.equations import with_constant
from tngd_hw.engines.watched import watched_equations, without_own_noise
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.settled import SettledLaw, settled_law
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.topologies import Drive, LoadedChip

__all__ = ["Settled", "settled"]

_BYTES_AT_ONCE = 2**21
"""Size of the drift matrices that are worked on together; the work needs about a dozen times that."""


@dataclass(frozen=True, eq=False)
class Settled:
    """Settled answers of a chip, or of all chips of a batch.

    Attributes:
        x: Mean of the settled answer, shape ([chips,] n); NaN for a chip that is not stable.
        covariance: Of one reading about it, shape ([chips,] n, n), or its diagonal ([chips,] n) if that was asked for.
        statuses: One a chip: UNSTABLE, or SATURATED where it would settle beyond what it delivers (x is then that of
            the circuit without limits).
        chips: Number of chips where there is an axis for them, else None.
    """

    x: Tensor
    covariance: Tensor
    statuses: tuple[Status, ...]
    chips: int | None

    @property
    def variance(self) -> Tensor:
        """Of every unknown, shape ([chips,] n)."""
        whole = self.covariance.ndim == self.x.ndim + 1
        return self.covariance.diagonal(dim1=-2, dim2=-1) if whole else self.covariance

    @property
    def ok(self) -> Tensor:
        """Which chips have an answer, shape (chips,), (1,) for one chip."""
        return torch.tensor([status.ok for status in self.statuses])


def settled(
    loaded: LoadedChip,
    *,
    b: ArrayLike | Tensor | None = None,
    seed: int = 0,
    whole_covariance: bool = True,
    noise: bool = True,
    workers: int | None = None,
) -> Settled:
    """Settled answers and their noise, of all chips at once.

    Args:
        loaded: A chip or a batch.
        b: Right-hand side, shape (n,); default the problem's, or 0 where it has none.
        seed: Of what the converters draw when they put it on.
        whole_covariance: Whether to return more than the diagonal.
        noise: Whether to work out the noise at all; without it the covariance is zero.
        workers: Threads; default: as many as torch uses.

    Returns:
        A :class:`Settled`.  Cost a chip: its equations, and those of ``linear_sde.settled.settled_law``; memory does
        not grow with the number of chips but for what is returned.

    Raises:
        MisuseError: More than one right-hand side, workers below 1.
        OutcomeError: The matrix does not fit.
    """
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise MisuseError(f"workers = {workers!r}: give a number of threads of 1 or more, or leave it out")
    drive = loaded.drive(b, seed=seed)
    if drive.columns is not None:
        raise MisuseError(f"b has {drive.columns} columns: settled answers are of one right-hand side at a time")
    inputs, chips = with_constant(drive), loaded.chip.chips
    first = watched_equations(loaded, None if chips is None else slice(0, 1))
    if chips is None or not (first.batch_shape or drive.per_chip):  # one chip, or all of them alike
        law = _law(loaded, first if noise else _silent(first), inputs, 1, whole=whole_covariance)
    else:
        size = max(1, _BYTES_AT_ONCE // (8 * first.n_states**2))
        parts = [slice(start, min(start + size, chips)) for start in range(0, chips, size)]

        def work(part: slice) -> SettledLaw:
            own = inputs[part] if drive.per_chip else inputs
            sde = watched_equations(loaded, part)
            return _law(loaded, sde if noise else _silent(sde), own, part.stop - part.start, whole=whole_covariance)

        law = _joined(_in_threads(work, parts, torch.get_num_threads() if workers is None else workers))
    return _read(law, loaded, drive)


def _silent(sde: LinearSDE) -> LinearSDE:
    return LinearSDE(sde.F, sde.E, None, sde.C, D=sde.D)


def _law(loaded: LoadedChip, sde: LinearSDE, inputs: Tensor, members: int, *, whole: bool) -> SettledLaw:
    """Means of the outputs and the inner stages, covariance of the outputs."""
    F, n = sde.F.expand(members, sde.n_states, sde.n_states), loaded.n
    sde = without_own_noise(loaded, LinearSDE(F, sde.E, sde.B, sde.C, D=sde.D, D_w=sde.D_w))
    law = settled_law(sde, inputs)
    covariance = law.covariance[..., :n, :n]
    covariance = covariance if whole else covariance.diagonal(dim1=-2, dim2=-1)
    return replace(law, covariance=covariance.clone() if covariance.shape != law.covariance.shape else covariance)


def _in_threads(work: Callable[[slice], SettledLaw], parts: Sequence[slice], workers: int) -> list[SettledLaw]:
    """``work`` of every part; each thread computes alone: threads inside a product of small matrices cost more."""
    before = torch.get_num_threads()
    if workers == before == 1:
        return [work(part) for part in parts]
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, parts))
    finally:
        torch.set_num_threads(before)  # a new thread takes the number that was set last, by any


def _joined(laws: Sequence[SettledLaw]) -> SettledLaw:
    fields = zip(*((law.mean, law.covariance, law.stable) for law in laws), strict=True)
    return SettledLaw(*(torch.cat(values) for values in fields))


def _read(law: SettledLaw, loaded: LoadedChip, drive: Drive) -> Settled:
    """In units of x, with the axis of the chips if the batch has one."""
    chips = loaded.chip.chips
    mean, covariance, stable = (
        value.expand(chips or 1, *value.shape[1:]) for value in (law.mean, law.covariance, law.stable)
    )
    limits = run_statuses(loaded, drive, mean[:, None, :], -1)
    statuses = tuple(_status(loaded, bool(own), limit) for own, limit in zip(stable, limits, strict=True))
    scale = torch.ones(loaded.n, dtype=torch.float64) if loaded.scaling is None else loaded.scaling
    scale = scale / loaded.scales.voltage_volt
    square = scale[:, None] * scale if covariance.ndim == 3 else scale.square()
    x, covariance = mean[:, : loaded.n] * scale, covariance * square
    return Settled(x, covariance, statuses, chips) if chips else Settled(x[0], covariance[0], statuses, None)


def _status(loaded: LoadedChip, stable: bool, limit: Status) -> Status:
    if not loaded.status.ok:
        return loaded.status
    if stable:
        return limit
    return Status(Outcome.UNSTABLE, "with its real parts the circuit of this chip does not settle")
