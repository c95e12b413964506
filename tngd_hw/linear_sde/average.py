"""Time averages of the outputs over windows: exact moments and exact samples, by augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde.augment import append_output_integrals
from tngd_hw.linear_sde.covariance import covariance_at
from tngd_hw.linear_sde.gaussian import square_root
from tngd_hw.linear_sde.grid import distinct_steps
from tngd_hw.linear_sde.levels import Normals
from tngd_hw.linear_sde.mean import state_mean_at
from tngd_hw.linear_sde.recursion import recursion
from tngd_hw.linear_sde.sample import check_paths, check_start, normals_from
from tngd_hw.linear_sde.stationary import stability_status, stationary_covariance, stationary_mean
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_duration, as_times, as_vectors
from tngd_hw.linear_sde.transition import Transition, transition
from tngd_hw.outcome import MisuseError, Status

__all__ = ["AveragePath", "TimeAverage", "sample_averages", "stationary_time_average", "time_average"]


@dataclass(frozen=True, eq=False)
class TimeAverage:
    """The joint Gaussian law of a time average of the outputs and of the state at the end of its window.

    Attributes:
        mean: Mean of the average, shape (..., p).
        covariance: Its covariance, shape (..., p, p).
        end_mean: Mean of the end state, shape (..., n).
        end_covariance: Its covariance, shape (..., n, n).
        cross: Cov(average, end state), shape (..., p, n).
    """

    mean: Tensor
    covariance: Tensor
    end_mean: Tensor
    end_covariance: Tensor
    cross: Tensor


def time_average(
    sde: LinearSDE,
    window: float,
    *,
    delay: float = 0.0,
    x0: ArrayLike | None = None,
    covariance0: ArrayLike | None = None,
    u: ArrayLike | None = None,
) -> TimeAverage:
    """Law of (1/T) times the integral of y over delay <= t <= delay + T, without stepping in time.

    The average is the last block of the state of ``append_output_integrals`` after one exact step of length T, so it
    holds for unstable and marginal systems too.  White noise on an output adds D_w D_w^T / T (and its correlation with
    the states).

    Args:
        sde: The system.
        window: T, seconds, positive.
        delay: Seconds between time 0 and the start of the window.
        x0: Mean of the state at time 0, shape (..., n); zero when left out.
        covariance0: Its covariance, shape (..., n, n); zero when left out.
        u: Constant input, shape (..., m); zero when left out.

    Returns:
        A :class:`TimeAverage`.  Cost: two transitions of n + p states.

    Raises:
        MisuseError: T is not positive, the delay is negative, shapes that do not fit.
    """
    seconds = as_duration(window, "window")
    if not delay >= 0.0:
        raise MisuseError(f"delay = {delay}: seconds between time 0 and the window are not negative")
    start_mean = state_mean_at(sde, [delay], x0=x0, u=u)
    if start_mean.ndim > len(sde.batch_shape) + 2:
        raise MisuseError("x0 or u has columns: give one vector a system")
    start_covariance = covariance_at(sde, delay, covariance0=covariance0)
    step = _averaging_step(sde, seconds)
    return _law(sde, step, start_mean.squeeze(-2), start_covariance, _input(sde, u))


def stationary_time_average(
    sde: LinearSDE, window: float, *, u: ArrayLike | None = None
) -> tuple[TimeAverage | None, Status]:
    """Law of (1/T) times the integral of y over T, the system in its stationary law at the start.

    For windows far longer than the memory of the process its covariance approaches S(f = 0) / (2 T), S one-sided.

    Args:
        sde: The system.
        window: T, seconds, positive.
        u: Constant input, shape (..., m); zero when left out.

    Returns:
        A :class:`TimeAverage` and OK; None with UNSTABLE when a member does not settle.  Cost: see
        :func:`stationary_covariance` and :func:`time_average`.

    Raises:
        MisuseError: T is not positive, shapes that do not fit.
    """
    status = stability_status(sde)
    if not status.ok:
        return None, status
    start, _ = stationary_mean(sde, u)
    covariance, _ = stationary_covariance(sde)
    return time_average(sde, window, x0=start, covariance0=covariance, u=u), status


@dataclass(frozen=True, eq=False)
class AveragePath:
    """Averages over consecutive windows together with the states between them, of one draw.

    Attributes:
        averages: Shape (..., T - 1, p) or (..., paths, T - 1, p).
        states: States at the edges, shape (..., T, n) or (..., paths, T, n).
    """

    averages: Tensor
    states: Tensor


def sample_averages(
    sde: LinearSDE,
    edges: ArrayLike,
    *,
    x0: ArrayLike | None = None,
    covariance0: ArrayLike | None = None,
    u: ArrayLike | None = None,
    generator: np.random.Generator,
    n_paths: int | None = None,
) -> AveragePath:
    """Draw time averages of the outputs over consecutive windows and the states at their edges, exactly and jointly.

    One window is ``edges = [0, T]``.  With ``noise_as_output`` the averages are the Brownian increments divided by
    their time, so exact states come with the noise that made them.  No gradient flows.

    Args:
        sde: The system; D_w may be anything.
        edges: Increasing seconds after the start, shape (T,), T >= 2: window i is edges[i] to edges[i + 1].
        x0: Mean of the state at time 0, shape (..., n); zero when left out.
        covariance0: Its covariance, shape (..., n, n); zero when left out.
        u: Constant input, shape (..., m); zero when left out.
        generator: Where the normal variates come from.
        n_paths: Number of independent paths of every batch member; None draws one and has no axis for it.

    Returns:
        An :class:`AveragePath`.  Cost: one transition of n + p states a distinct window length, then O((n + p)^2) a
        window and path.

    Raises:
        MisuseError: Fewer than two edges, edges that do not increase, shapes that do not fit.
    """
    when, count = as_times(edges, sde.device, strict=True, field="edges"), check_paths(n_paths)
    if when.shape[0] < 2:
        raise MisuseError(f"edges has {when.shape[0]} entry: a window needs two")
    means = state_mean_at(sde, when, x0=x0, u=u)
    if means.ndim > len(sde.batch_shape) + 2:
        raise MisuseError("x0 or u has columns: give one vector a system, and put several into the batch dimensions")
    with torch.no_grad():
        normals = normals_from(generator, sde, count)
        spread = covariance_at(sde, float(when[0]), covariance0=covariance0)
        check_start(sde, spread, "covariance0")
        root = square_root(spread)
        start = normals(1, sde.n_states).squeeze(0) @ root.mT
        grid = _Grid.of(sde, when)
        averages, states = _deviations(grid, start, normals)
        averages = averages + grid.mean_averages(means, _input(sde, u)).unsqueeze(-3)
        states = states + means.unsqueeze(-3)
    if n_paths is None:
        return AveragePath(averages.squeeze(-3), states.squeeze(-3))
    return AveragePath(averages, states)


@dataclass(frozen=True, eq=False)
class _Grid:
    """One averaging step a distinct window length, and the windows that have it."""

    steps: list[Transition]
    which: list[int]
    n: int

    @staticmethod
    def of(sde: LinearSDE, edges: Tensor) -> _Grid:
        lengths, which = distinct_steps(edges[1:] - edges[0])
        return _Grid([_averaging_step(sde, length) for length in lengths], which, sde.n_states)

    def windows(self, label: int) -> Tensor:
        return torch.tensor([i for i, own in enumerate(self.which) if own == label], device=self.steps[0].Phi.device)

    def mean_averages(self, means: Tensor, u: Tensor) -> Tensor:
        """Means of the averages (..., T - 1, p) from those of the states at the edges (..., T, n)."""
        size = self.steps[0].Phi.shape[-1] - self.n
        result = torch.zeros((*means.shape[:-2], len(self.which), size), dtype=means.dtype, device=means.device)
        for label, step in enumerate(self.steps):
            chosen = self.windows(label)
            carried = means.index_select(-2, chosen) @ step.Phi[..., self.n :, : self.n].mT
            result[..., chosen, :] = carried + _pushed(step, u)[..., self.n :, :].mT
        return result


def _deviations(grid: _Grid, start: Tensor, normals: Normals) -> tuple[Tensor, Tensor]:
    """Averages (..., paths, T - 1, p) and states (..., paths, T, n) without their means."""
    n = grid.n
    noise = normals(len(grid.which), grid.steps[0].Phi.shape[-1])
    for label, step in enumerate(grid.steps):
        chosen = grid.windows(label)
        noise[chosen] = noise[chosen] @ step.root.mT
    run = recursion([step.Phi[..., :n, :n] for step in grid.steps], grid.which, noise[..., :n], start)
    states = torch.cat((start.unsqueeze(0), run))
    averages = noise[..., n:].clone()
    for label, step in enumerate(grid.steps):
        chosen = grid.windows(label)
        averages[chosen] += states[chosen] @ step.Phi[..., n:, :n].mT
    return averages.movedim(0, -2), states.movedim(0, -2)


def _averaging_step(sde: LinearSDE, seconds: float) -> Transition:
    return transition(append_output_integrals(sde, per_second=1.0 / seconds), seconds)


def _pushed(step: Transition, u: Tensor) -> Tensor:
    return (step.G0 + step.G1) @ u


def _input(sde: LinearSDE, u: ArrayLike | None) -> Tensor:
    """Shape (..., m, 1)."""
    if u is None:
        return torch.zeros((sde.n_inputs, 1), dtype=torch.float64, device=sde.device)
    return as_vectors(u, sde.n_inputs, len(sde.batch_shape), "u", sde.device)[0]


def _law(sde: LinearSDE, step: Transition, mean0: Tensor, covariance0: Tensor, u: Tensor) -> TimeAverage:
    n = sde.n_states
    carry = step.Phi[..., :n]
    mean = (carry @ mean0.unsqueeze(-1) + _pushed(step, u)).squeeze(-1)
    covariance = step.covariance + carry @ covariance0 @ carry.mT
    covariance = 0.5 * (covariance + covariance.mT)
    return TimeAverage(
        mean=mean[..., n:],
        covariance=covariance[..., n:, n:],
        end_mean=mean[..., :n],
        end_covariance=covariance[..., :n, :n],
        cross=covariance[..., n:, :n],
    )
