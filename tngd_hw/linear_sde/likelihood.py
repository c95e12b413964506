"""Exact log-densities of observed paths, differentiable in the matrices: fit a chip to what was measured on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tngd_hw.linear_sde.covariance import checked_covariance, initial_covariance
from tngd_hw.linear_sde.dense import cholesky, identity, solve_triangular
from tngd_hw.linear_sde.grid import distinct_steps
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_times, as_vectors, common_batch, real_tensor
from tngd_hw.linear_sde.transition import Transition, transition
from tngd_hw.outcome import MisuseError, Outcome, Status

__all__ = ["output_log_density", "path_log_density"]


def path_log_density(
    sde: LinearSDE, times: ArrayLike, states: ArrayLike, *, u: ArrayLike | None = None
) -> tuple[Tensor, Status]:
    """The log-density of states seen without error, given the first of them.

    log p(x(t_2), ..., x(t_T) | x(t_1)) is the sum over the steps of

        -1/2 [(x_i - m_i)^T Q_i^-1 (x_i - m_i) + log det(2 pi Q_i)],   m_i = Phi_i x_(i-1) + (G0_i + G1_i) u

    with the exact transition of every step, for any stable or unstable F.  Gradients flow to F, E, B and u.

    Args:
        sde: The system.
        times: Increasing seconds, shape (T,), T >= 2.
        states: Shape (..., T, n); leading dimensions are independent paths (broadcast against the batch of the system).
        u: Constant input, shape (..., m); zero when left out.

    Returns:
        Shape (...), and OK; NaN with SINGULAR when the noise does not reach every state (Q has no inverse): use
        :func:`output_log_density` with a measurement error.  Cost O(n^2 T) after O(n^3) a distinct step.

    Raises:
        MisuseError: Shapes that do not fit, NaN, times that do not increase, fewer than two.
    """
    when = as_times(times, sde.device, strict=True)
    path = real_tensor(states, "states", sde.device)
    if when.shape[0] < 2 or path.ndim < 2 or tuple(path.shape[-2:]) != (when.shape[0], sde.n_states):
        wanted = f"(..., {when.shape[0]}, {sde.n_states}) with at least two times"
        raise MisuseError(f"states has shape {tuple(path.shape)}: it has to be {wanted}")
    push = _input(sde, u)
    common_batch({"system": sde.batch_shape, "states": path.shape[:-2], "u": push.shape[:-2]})
    lengths, which = distinct_steps(when[1:] - when[0])
    total = torch.zeros((), dtype=torch.float64, device=sde.device)
    for label, length in enumerate(lengths):
        step = transition(sde, length)
        chosen = torch.tensor([i for i, own in enumerate(which) if own == label], device=sde.device)
        mean = path.index_select(-2, chosen) @ step.Phi.mT + ((step.G0 + step.G1) @ push).mT
        terms, regular = _normal_log_density(path.index_select(-2, chosen + 1) - mean, step.covariance)
        if not regular:
            return terms.sum(-1), Status(Outcome.SINGULAR, f"the noise of a step of {length:.6g} s has no inverse")
        total = total + terms.sum(-1)
    return total, Status()


def output_log_density(
    sde: LinearSDE,
    times: ArrayLike,
    outputs: ArrayLike,
    *,
    measurement_covariance: ArrayLike | None = None,
    x0: ArrayLike | None = None,
    covariance0: ArrayLike | None = None,
    u: ArrayLike | None = None,
) -> tuple[Tensor, Status]:
    """The log-density of outputs seen with error: log p(y_1, ..., y_T), y_i = C x(t_i) + D u + v_i, v_i ~ N(0, R).

    The sum over the innovations of a Kalman filter.  Any outputs, any noise (also singular), exact for every step
    length.  Gradients flow to all matrices and to R.

    Args:
        sde: The system; D_w plays no part (an instrument's own noise is R).
        times: Increasing seconds, shape (T,).
        outputs: Shape (..., T, p).
        measurement_covariance: R, shape (..., p, p), in output^2; zero when left out.
        x0: Mean of the state at time 0, shape (..., n); zero when left out.
        covariance0: Its covariance, shape (..., n, n); zero when left out.
        u: Constant input, shape (..., m); zero when left out.

    Returns:
        Shape (...), and OK; NaN with SINGULAR when an output is known before it is seen.  Cost O(n^3 T).

    Raises:
        MisuseError: Shapes that do not fit, NaN, times that do not increase, an R or a covariance0 that is none.

    Source: R. E. Kalman, A new approach to linear filtering and prediction problems, J. Basic Eng. 82 (1960) 35.
    """
    when = as_times(times, sde.device, strict=True)
    seen = real_tensor(outputs, "outputs", sde.device)
    p = sde.n_outputs
    if seen.ndim < 2 or tuple(seen.shape[-2:]) != (when.shape[0], p):
        raise MisuseError(f"outputs has shape {tuple(seen.shape)}: it has to be (..., {when.shape[0]}, {p})")
    R = checked_covariance(measurement_covariance, "measurement_covariance", p, sde.device)
    push = _input(sde, u)
    mean = torch.zeros((sde.n_states, 1), dtype=torch.float64, device=sde.device)
    if x0 is not None:
        mean = as_vectors(x0, sde.n_states, max(len(sde.batch_shape), seen.ndim - 2), "x0", sde.device)[0]
    covariance = initial_covariance(sde, covariance0)
    given = {"outputs": seen.shape[:-2], "u": push.shape[:-2], "x0": mean.shape[:-2]}
    spread0 = {"measurement_covariance": R.shape[:-2], "covariance0": covariance.shape[:-2]}
    common_batch({"system": sde.batch_shape, **given, **spread0})
    lengths, which = distinct_steps(when)
    steps = [transition(sde, length) if length > 0.0 else None for length in lengths]
    total = torch.zeros((), dtype=torch.float64, device=sde.device)
    for i, label in enumerate(which):
        mean, covariance = _predicted(steps[label], mean, covariance, push)
        surprise = seen[..., i, :].unsqueeze(-1) - sde.C @ mean - sde.D @ push
        spread = sde.C @ covariance @ sde.C.mT + R
        term, regular = _normal_log_density(surprise.mT, spread)
        if not regular:
            return term.squeeze(-1), Status(Outcome.SINGULAR, f"outputs at times[{i}] are known before they are seen")
        total = total + term.squeeze(-1)
        mean, covariance = _updated(sde, mean, covariance, (surprise, spread, R))
    return total, Status()


def _input(sde: LinearSDE, u: ArrayLike | None) -> Tensor:
    if u is None:
        return torch.zeros((sde.n_inputs, 1), dtype=torch.float64, device=sde.device)
    push, columns = as_vectors(u, sde.n_inputs, len(sde.batch_shape), "u", sde.device)
    if columns:
        raise MisuseError("u has columns: give one vector a system")
    return push


def _normal_log_density(deviations: Tensor, covariance: Tensor) -> tuple[Tensor, bool]:
    """Of rows (..., k, n) with one covariance, shape (..., k), and whether the covariance has an inverse."""
    factor, regular = cholesky(covariance)
    white = solve_triangular(factor, deviations.mT)
    log_determinant = 2.0 * torch.diagonal(factor, dim1=-2, dim2=-1).log().sum(-1, keepdim=True)
    n = covariance.shape[-1]
    terms = -0.5 * (white.square().sum(-2) + log_determinant + n * math.log(2.0 * math.pi))
    return (terms if regular else torch.full_like(terms, torch.nan)), regular


def _predicted(step: Transition | None, mean: Tensor, covariance: Tensor, push: Tensor) -> tuple[Tensor, Tensor]:
    if step is None:
        return mean, covariance
    carried = step.Phi @ covariance @ step.Phi.mT + step.covariance
    return step.Phi @ mean + (step.G0 + step.G1) @ push, 0.5 * (carried + carried.mT)


def _updated(
    sde: LinearSDE, mean: Tensor, covariance: Tensor, innovation: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Joseph's form, which stays positive semidefinite."""
    surprise, spread, R = innovation
    factor, _ = cholesky(spread)
    half = solve_triangular(factor, sde.C @ covariance)
    gain = (solve_triangular(factor.mT, half, upper=True)).mT
    keep = identity(sde.n_states, sde.device) - gain @ sde.C
    joined = keep @ covariance @ keep.mT + gain @ R @ gain.mT
    return mean + gain @ surprise, 0.5 * (joined + joined.mT)
