r"""The analog solver at the network's own size: one node a parameter, simulated through curvature products alone.

    dx = -(A x - g) dt/tau + sqrt(2 kappa/tau) dW,     A = G + lambda I

with A known only as v -> A v.  Mean and noise at the time t are exact up to a stated tolerance (Krylov subspaces,
:mod:`tngd_hw.linear_sde`), so no time step enters and N may be 1e6.  Times are in units of tau.

What a training loop does with such a device is an :class:`AnalogSchedule`: where a relaxation starts, how long it runs,
how many readouts are averaged, and how long the device goes on with the old matrix while the next one is computed.  A
device that keeps running on (A_k, g_k) for the delay t_d after its readout is, at the next step, where the paper's
delayed device is; so the state between two steps is one vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.linear_sde import krylov_mean, krylov_noise
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.random import stream
from tngd_hw.training.schedule import AnalogSchedule, AnalogStart

__all__ = ["Relaxed", "relax", "run_schedule"]

Product = Callable[[Tensor], Tensor]
"""v -> A v."""


@dataclass(frozen=True, eq=False)
class Relaxed:
    """What one step of the device gave.

    Attributes:
        reading: The average of the readouts, shape (N,), float64.
        state: Where the device is when the next matrix arrives, shape (N,).
        error: Sum of the estimated 2-norm errors of the stretches before the last readout.
        products: Curvature products used.
        status: OK, or the first stretch that missed its tolerance.
    """

    reading: Tensor
    state: Tensor
    error: float
    products: int
    status: Status


@dataclass(frozen=True, eq=False)
class _Stretch:
    value: Tensor
    error: float
    products: int
    status: Status


def relax(
    product: Product,
    g: Tensor,
    x0: Tensor,
    t: float,
    *,
    kappa: float = 0.0,
    seed: int = 0,
    use: int = 0,
    tolerance: float = 1e-4,
    max_products: int = 400,
) -> Relaxed:
    """x(t) of dx = -(A x - g) dt + sqrt(2 kappa) dW from x0, in units of tau; one readout.

    Args:
        product: v -> A v for symmetric A, float64 vectors of shape (N,).
        g: Shape (N,).
        x0: Shape (N,).
        t: Analog time in tau, above 0.
        kappa: Strength of the noise.
        seed: Seed of the noise.
        use: Number of the use; a seed and a use give one draw.
        tolerance: Allowed error, relative to the norm of the result (mean and noise each).
        max_products: Budget for each of mean and noise.

    Raises:
        MisuseError: What :func:`tngd_hw.linear_sde.krylov_mean` refuses.

    Cost: m products (about 40 at t = 50 tau for the MNIST network) and O(N m^2); as many again with noise.
    """
    schedule = AnalogSchedule(t, kappa=kappa, tolerance=tolerance, max_products=max_products)
    return run_schedule(product, g, schedule, previous=x0, seed=seed, use=use)


def run_schedule(
    product: Product,
    g: Tensor,
    schedule: AnalogSchedule,
    *,
    previous: Tensor | None = None,
    adjoint: Product | None = None,
    seed: int = 0,
    use: int = 0,
) -> Relaxed:
    """One training step of the device on the matrix ``product`` and the gradient ``g``.

    Args:
        product: v -> A v, damping included.
        g: The gradient, shape (N,), float64.
        schedule: What to do.
        previous: Where the device is, shape (N,), or None at the first step.
        adjoint: v -> A^T v, for the noise of an A that is not symmetric.
        seed: Seed of the noise.
        use: Number of the step.

    Raises:
        MisuseError: A ``previous`` of another shape, and what :func:`relax` refuses.
    """
    if previous is not None and previous.shape != g.shape:
        raise MisuseError(
            f"previous has shape {tuple(previous.shape)}, the gradient {tuple(g.shape)}: "
            "the device belongs to another model; start it anew"
        )
    motion = _Motion(product, g, adjoint)
    x, total = _start(schedule, g, previous), torch.zeros_like(g)
    products, error, status = 0, 0.0, Status()
    times = [schedule.duration_tau] + [schedule.spacing_tau] * (schedule.readouts - 1)
    for k, t in enumerate(times):
        found = _stretch(motion, x, t, schedule, (seed, use, k))
        x, total = found.value, total + found.value
        products, error = products + found.products, error + found.error
        status = status if not status.ok else found.status
    if schedule.delay_tau > 0:
        found = _stretch(motion, x, schedule.delay_tau, schedule, (seed, use, schedule.readouts))
        x, products = found.value, products + found.products
        status = status if not status.ok else found.status
    return Relaxed(total / schedule.readouts, x, error, products, status)


def _start(schedule: AnalogSchedule, g: Tensor, previous: Tensor | None) -> Tensor:
    if schedule.start is AnalogStart.ZERO:
        return torch.zeros_like(g)
    if schedule.start is AnalogStart.GRADIENT or previous is None:
        return g
    return previous.to(device=g.device, dtype=g.dtype)


def _stretch(
    motion: _Motion, x0: Tensor, t: float, schedule: AnalogSchedule, address: tuple[int, int, int]
) -> _Stretch:
    """Mean and noise on (A, g) over one stretch; ``address`` is (seed, step, number of the stretch)."""
    g, tolerance, budget = motion.g, schedule.tolerance, schedule.max_products
    mean = krylov_mean(motion.drift, t, x0=x0, w=g, tolerance=tolerance, max_products=budget)
    if schedule.kappa == 0 or not mean.status.ok:
        return _Stretch(mean.value, mean.error, mean.products, mean.status)
    seed, use, number = address
    noise = krylov_noise(
        motion.drift,
        t,
        size=len(g),
        noise=2 * schedule.kappa,
        generator=stream(seed, f"training.relaxation.{number}", use=use),
        adjoint=None if motion.adjoint is None else motion.backward,
        tolerance=tolerance,
        max_products=budget if motion.adjoint is None else None,  # of any matrix it takes hundreds: its own budget
    )
    value = mean.value + noise.value.to(g.device)
    return _Stretch(value, mean.error + noise.error, mean.products + noise.products, noise.status)


@dataclass(frozen=True, eq=False)
class _Motion:
    """dx = -(A x - g) dt."""

    product: Product
    g: Tensor
    adjoint: Product | None

    def drift(self, v: Tensor) -> Tensor:
        return -self.product(v)

    def backward(self, v: Tensor) -> Tensor:
        return -self.product(v) if self.adjoint is None else -self.adjoint(v)
