"""Exact joint samples of a path at given times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde.covariance import initial_covariance
from tngd_hw.linear_sde.gaussian import square_root
from tngd_hw.linear_sde.levels import Normals
from tngd_hw.linear_sde.mean import mean_at, state_mean_at
from tngd_hw.linear_sde.paths import noise_steps
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_times, check_generator, common_batch
from tngd_hw.outcome import MisuseError

__all__ = [
    "check_paths",
    "check_start",
    "normals_from",
    "sample_at",
    "start_root",
    "state_sample_at",
    "state_sample_blocks",
]

_BLOCK_ENTRIES = 2**23
"""Normal variates in flight at a time (64 MB)."""


def state_sample_blocks(
    sde: LinearSDE,
    times: ArrayLike,
    *,
    x0: ArrayLike | None = None,
    covariance0: ArrayLike | None = None,
    u: ArrayLike | None = None,
    generator: np.random.Generator,
    n_paths: int | None = None,
    block: int | None = None,
) -> Iterator[Tensor]:
    """The path of :func:`state_sample_at` in pieces, for paths longer than the memory.

    Args:
        sde: The system.
        times: Non-decreasing seconds after the start, shape (T,).
        x0: Mean of the state at time 0, shape (..., n); zero when left out.
        covariance0: Its covariance, shape (..., n, n); zero when left out.
        u: Constant input, shape (..., m); zero when left out.
        generator: Where the normal variates come from.
        n_paths: Number of independent paths; None draws one and has no axis for it.
        block: Times in one piece; by default as many as take 64 MB.

    Yields:
        Shape (..., T_block, n), or (..., n_paths, T_block, n), piece after piece.  The memory in use is a few
        pieces.  Cost: see :func:`state_sample_at`.

    Raises:
        MisuseError: As :func:`state_sample_at`; block below 1.
    """
    when, count = as_times(times, sde.device), check_paths(n_paths)
    state_mean_at(sde, when[:1], x0=x0, u=u)
    if block is not None and block < 1:
        raise MisuseError(f"block = {block}: a piece holds at least 1 time")
    root = start_root(sde, covariance0)
    per_time = sde.batch_shape.numel() * count * sde.n_states
    size = block or max(1, _BLOCK_ENTRIES // per_time)
    for first, noise in _noise_blocks(sde, when, root, normals_from(generator, sde, count), size):
        part = when[first : first + size]
        yield _add(None if x0 is None and u is None else state_mean_at(sde, part, x0=x0, u=u), noise, sde, n_paths)


def state_sample_at(
    sde: LinearSDE,
    times: ArrayLike,
    *,
    x0: ArrayLike | None = None,
    covariance0: ArrayLike | None = None,
    u: ArrayLike | None = None,
    generator: np.random.Generator,
    n_paths: int | None = None,
) -> Tensor:
    """Draw the states at the given times from their exact joint law (no step error, any spacing, any F and B).

    The path is the mean of :func:`state_mean_at` plus a path of the noise, w(t_i) = Phi_i w(t_(i-1)) + R_i z_i with
    R_i R_i^T the covariance of the step, of any rank.  Reversible systems run mode by mode; others with dense products,
    cut into pieces side by side; grids of many different steps with powers of two of a unit step.  No gradient flows.

    Args:
        sde: The system.
        times: Non-decreasing seconds after the start, shape (T,); equal times give equal states.
        x0: Mean of the state at time 0, shape (..., n); zero when left out.
        covariance0: Its covariance, shape (..., n, n); zero when left out.
        u: Constant input, shape (..., m); zero when left out.
        generator: Where the normal variates come from, for example ``tngd_hw.random.stream(seed, part)``.
        n_paths: Number of independent paths of every batch member; None draws one and has no axis for it.

    Returns:
        Shape (..., T, n), or (..., n_paths, T, n).  Cost O(n^2 T n_paths) after O(n^3) set-up.

    Raises:
        MisuseError: Shapes that do not fit, NaN, negative or decreasing times, n_paths below 1, no numpy generator.

    Source: C. W. Gardiner, Stochastic Methods, 4th ed., Springer 2009, on the Ornstein-Uhlenbeck process.
    """
    parts = state_sample_blocks(sde, times, x0=x0, covariance0=covariance0, u=u, generator=generator, n_paths=n_paths)
    return _joined(list(parts))


def sample_at(
    sde: LinearSDE,
    times: ArrayLike,
    *,
    x0: ArrayLike | None = None,
    covariance0: ArrayLike | None = None,
    u: ArrayLike | None = None,
    generator: np.random.Generator,
    n_paths: int | None = None,
) -> Tensor:
    """Draw the outputs y = C x + D u at the given times from their exact joint law.

    Args:
        sde: The system; D_w has to be zero, because white noise has no value at a point.
        times: Non-decreasing seconds after the start, shape (T,).
        x0: Mean of the state at time 0, shape (..., n); zero when left out.
        covariance0: Its covariance, shape (..., n, n); zero when left out.
        u: Constant input, shape (..., m); zero when left out.
        generator: Where the normal variates come from.
        n_paths: Number of independent paths of every batch member; None draws one and has no axis for it.

    Returns:
        Shape (..., T, p), or (..., n_paths, T, p): C times the states that :func:`state_sample_at` draws from an equal
        generator, plus D u.  Cost: that of the states, and O(n p T n_paths).

    Raises:
        MisuseError: As :func:`state_sample_at`; outputs with white noise of their own.
    """
    if bool((sde.D_w != 0).any()):
        raise MisuseError("D_w is not zero: white noise has no value at a point; use sample_averages")
    when, count = as_times(times, sde.device), check_paths(n_paths)
    mean = None if x0 is None and u is None else mean_at(sde, when, x0=x0, u=u)
    root = start_root(sde, covariance0)
    size = max(1, _BLOCK_ENTRIES // (sde.batch_shape.numel() * count * sde.n_states))
    C = sde.C.detach().mT.unsqueeze(-3)
    pieces = [noise @ C for _, noise in _noise_blocks(sde, when, root, normals_from(generator, sde, count), size)]
    return _add(mean, _joined(pieces), sde, n_paths)


def check_paths(n_paths: int | None) -> int:
    """The number of paths, 1 for None."""
    if n_paths is not None and (isinstance(n_paths, bool) or not isinstance(n_paths, int) or n_paths < 1):
        raise MisuseError(f"n_paths = {n_paths}: give at least 1, or None for one path")
    return n_paths or 1


def start_root(sde: LinearSDE, covariance0: ArrayLike | None) -> Tensor:
    """A square root of the covariance of the start; its batch has to be that of the system, or to broadcast to it."""
    root = square_root(initial_covariance(sde, covariance0))
    check_start(sde, root, "covariance0")
    return root


def check_start(sde: LinearSDE, value: Tensor, field: str) -> None:
    """Raise unless the batch of a matrix broadcasts to that of the system."""
    if common_batch({"system": sde.batch_shape, field: value.shape[:-2]}) != sde.batch_shape:
        have, batch = tuple(value.shape[:-2]), tuple(sde.batch_shape)
        raise MisuseError(f"{field} has the batch dimensions {have}, the system {batch}: give the system all of them")


def normals_from(generator: np.random.Generator, sde: LinearSDE, paths: int) -> Normals:
    """Standard normal variates (rows, ..., paths, columns) for a system, time first: earlier rows are drawn first."""
    batch, device = tuple(sde.batch_shape), sde.device
    check_generator(generator)

    def normals(rows: int, columns: int) -> Tensor:
        return torch.from_numpy(generator.standard_normal((rows, *batch, paths, columns))).to(device)

    return normals


@torch.no_grad()
def _noise_blocks(
    sde: LinearSDE, times: Tensor, root: Tensor, normals: Normals, size: int
) -> Iterator[tuple[int, Tensor]]:
    """Deviations from the mean, (first index, shape (..., paths, T_block, n))."""
    engine = noise_steps(sde, times)
    deviation = (normals(1, sde.n_states) @ root.mT).squeeze(0)
    last = engine.coordinates(deviation)
    for first in range(0, times.shape[0], size):
        end = min(first + size, times.shape[0])
        run = engine.run(engine.draw(normals, first, end), last, first)
        last = run[-1].clone()
        yield first, engine.states(run).movedim(0, -2)


def _joined(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-2)


def _add(mean: Tensor | None, noise: Tensor, sde: LinearSDE, n_paths: int | None) -> Tensor:
    """Mean (..., T, n) plus deviations (..., paths, T, n); the axis of the paths goes when nobody asked for it."""
    if mean is not None and mean.ndim > len(sde.batch_shape) + 2:
        raise MisuseError("x0 or u has columns: give one vector a system, and put several into the batch dimensions")
    total = noise if mean is None else mean.detach().unsqueeze(-3) + noise
    return total.squeeze(-3) if n_paths is None else total
