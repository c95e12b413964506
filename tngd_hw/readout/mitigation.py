"""Error mitigation: the mean answer of many stochastically rounded programmings of one die.

Stochastic rounding has no bias, E[dA] = 0, so the mean over programmings is

    E[(A + dA)^-1] = A^-1 + A^-1 E[dA A^-1 dA] A^-1 + ...

and its error falls with the square of the step between levels: 4 times a bit where one programming gains 2 times, down
to the scatter of an ensemble of finite size.  Only what is drawn anew at every programming averages out: a fixed
mismatch of the die stays.  With few levels some rounded matrices are not stable, and their programmings give nothing.
Source: arXiv 2401.16231.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tngd_hw.engines import Engine
from tngd_hw.hardware import Chip
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import check_seed, derived_seed
from tngd_hw.readout.estimate import Estimate, Quantity
from tngd_hw.readout.inverse import stationary_inverse
from tngd_hw.readout.measure import measure
from tngd_hw.topologies import LoadedChip, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Mitigation", "mitigate"]

_SETTLED = 1e-6
_SLOWEST = 1e-9
"""Of the median rate of the members: a slower one is that of a singular matrix."""


@dataclass(frozen=True, eq=False)
class Mitigation:
    """Answers of an ensemble of programmings of one die.

    Attributes:
        estimate: Their mean, and its standard error from their scatter; the status says how many failed.
        members: Every answer, shape (members, n[, k]); NaN where a programming failed.
        outcomes: One a member.
        analog_s: Seconds of analog time of all members.
    """

    estimate: Estimate
    members: Tensor
    outcomes: tuple[Outcome, ...]
    analog_s: float

    @property
    def failed(self) -> int:
        """Members that gave no answer."""
        return sum(outcome is not Outcome.OK for outcome in self.outcomes)

    def errors(self, exact: Tensor) -> tuple[float, float]:
        """Relative error, 2-norm of all entries: root mean square of the single members, and of their mean."""
        size = float(exact.square().sum())
        good = self.members[~self.members.flatten(1).isnan().any(1)]
        single = float((good - exact).square().flatten(1).sum(1).mean())
        mean = float((self.estimate.value - exact).square().sum())
        return math.sqrt(single / size), math.sqrt(mean / size)

    def plot(self, exact: Tensor, ax: Axes | None = None) -> Axes:
        """Draw the relative error of the mean of the first m members against m, and what scatter alone would leave."""
        import matplotlib.pyplot as plt

        axes = plt.subplots(figsize=(7, 4), layout="constrained")[1] if ax is None else ax
        good = self.members.flatten(1)
        good = good[~good.isnan().any(1)]
        count = torch.arange(1, len(good) + 1, dtype=torch.float64)
        running = good.cumsum(0) / count[:, None]
        error = (running - exact.flatten()).square().sum(1).sqrt() / exact.square().sum().sqrt()
        scatter = self.errors(exact)[0] / count.sqrt()
        axes.loglog(count, error, color="#0072b2", lw=1.5, label="error of the mean")
        axes.loglog(count, scatter, "--", color="#d55e00", lw=1.2, label="scatter of one member/√m")
        axes.set(xlabel="programmings m", ylabel="relative error [1]")
        axes.set_title(f"{len(good)} of {len(self.members)} stochastically rounded programmings")
        axes.legend(fontsize=8)
        return axes


def mitigate(chip: Chip, problem: LinearProblem, engine: Engine, *, members: int = 64, seed: int = 0) -> Mitigation:
    """Program one die again and again with stochastic rounding, and average the answers.

    Args:
        chip: A single die; ``programming.stochastic_rounding`` of its hardware is on, or the members are all alike but
            for write errors.
        problem: Dense, with b of shape (n,), or (n, k): the identity for the inverse.  Without b on a circuit that only
            inverts: A^-1 from the law of the injected noise.
        engine: What simulates it, without noise in the answer (settled runs).
        members: Programmings, 2 or more.
        seed: Seed of the programmings.

    Returns:
        A Mitigation; failures are counted in its status, not raised.  Cost: ``members`` programmings of n^2 values, and
        one settled run each.

    Raises:
        MisuseError: A batch of chips, fewer than 2 members, a problem without b on a circuit that solves.
    """
    check_seed(seed)
    if chip.chips is not None:
        raise MisuseError(f"chips = {chip.chips}: an ensemble is of one die; select(...) takes one of a batch")
    if isinstance(members, bool) or not isinstance(members, int) or members < 2:
        raise MisuseError(f"members = {members!r}: an ensemble has 2 programmings or more")
    copies = _copies(chip, members)
    written = derived_seed(seed, "mitigation.programming")
    if problem.b is None:
        loaded = program(copies, problem, seed=written, kappa=1.0)
        if Quantity.INVERSE not in loaded.topology.quantities or Quantity.SOLUTION in loaded.topology.quantities:
            raise MisuseError("mitigate takes a problem with b: the identity, shape (n, n), for the inverse")
    else:
        loaded = program(copies, problem, seed=written)
    if loaded.programmed is None:
        return _joined(loaded, [(None, loaded.status)] * members, engine, 0.0)
    answers, analog_s = _answers(loaded, engine, seed)
    return _joined(loaded, answers, engine, analog_s)


def _copies(chip: Chip, members: int) -> Chip:
    """The same die ``members`` times, as a batch: what is drawn at a programming differs, what it keeps does not."""

    def repeated(value: Tensor) -> Tensor:
        return value.expand(members, *value.shape)

    deviations = {
        part: {what: {role: repeated(value) for role, value in roles.items()} for what, roles in draws.items()}
        for part, draws in chip.deviations.items()
    }
    return replace(chip, chips=members, deviations=deviations)


def _answers(loaded: LoadedChip, engine: Engine, seed: int) -> tuple[list[tuple[Tensor | None, Status]], float]:
    """Value and status of every member, and the analog time of all."""
    state, statuses = engine.init(loaded), loaded.circuit_statuses
    if not state.status.ok:
        return [(None, status if not status.ok else state.status) for status in statuses], 0.0
    if loaded.problem.b is None:
        if not isinstance(state.prepared, LinearSDE):
            raise MisuseError(f"engine = {engine.name!r}: it has no law to settle to; use state_space or behavioral")
        answer, duration = stationary_inverse(loaded, state.prepared, engine.name), 0.0
    else:
        rates = -loaded.circuit_sde().eigenvalues().real.amax(-1).expand(len(statuses))
        usual = float(rates.median()) if bool((rates > 0).any()) else math.inf
        settles = rates > _SLOWEST * usual
        duration = math.log(1 / _SETTLED) / float(rates[settles].min())
        statuses = tuple(
            _singular(float(rate) / usual) if status.ok and not good else status
            for status, rate, good in zip(statuses, rates, settles, strict=True)
        )
        end = torch.tensor([duration], dtype=torch.float64)
        answer = measure(state, engine, end, b=loaded.problem.b, seed=derived_seed(seed, "mitigation.run"))
        both = zip(statuses, answer.statuses, strict=True)
        statuses = tuple(read if status.ok else status for status, read in both)
    found = [(value if status.ok else None, status) for value, status in zip(answer.value, statuses, strict=True)]
    return found, sum(status.ok for status in statuses) * duration


def _singular(share: float) -> Status:
    detail = f"the rounded matrix is singular: its slowest mode has {share:.1g} of the usual rate"
    return Status(Outcome.SINGULAR, detail)


def _joined(
    loaded: LoadedChip, answers: list[tuple[Tensor | None, Status]], engine: Engine, analog_s: float
) -> Mitigation:
    b, n, count = loaded.problem.b, loaded.n, len(answers)
    shape = (n, n) if b is None else tuple(b.shape)
    empty = torch.full(shape, torch.nan, dtype=torch.float64)
    members = torch.stack([empty if value is None else value for value, _ in answers])
    good = torch.stack([value for value, _ in answers if value is not None]) if _any(answers) else empty[None]
    failures = [status for _, status in answers if not status.ok]
    status = Status()
    if failures:
        first = failures[0]
        detail = f"{len(failures)} of {count} programmings gave no answer, the first: {first.detail}"
        status = Status(
            first.outcome, detail, "use more bits, or raise the damping so that rounded matrices stay stable"
        )
    stderr = good.std(0) / math.sqrt(len(good)) if len(good) > 1 else torch.full_like(empty, torch.nan)
    estimate = Estimate(
        quantity=Quantity.INVERSE if b is None else Quantity.SOLUTION, value=good.mean(0), stderr=stderr,
        statuses=(status,), engine=engine.name, hardware_hash=loaded.chip.hardware.hash, seed=loaded.chip.seed,
        tau_s=loaded.tau, duration_s=analog_s, degrees=torch.full_like(stderr, len(good) - 1),
    )  # fmt: skip
    return Mitigation(estimate, members, tuple(status.outcome for _, status in answers), analog_s)


def _any(answers: list[tuple[Tensor | None, Status]]) -> bool:
    return any(value is not None for value, _ in answers)
