"""One TNGD step of the MNIST network against its rivals: conjugate gradients, Euler's method, a jvp-vjp pair.

37,434 parameters, batches of 64, lambda = 0.01, t = 50 tau from x(0) = g, error 1e-4 of x(t) in the 2-norm; at the
first step and after 150 steps of Adam, where the curvature is twenty times larger.  A step is all that the optimizer
asks for: passes, gradient, solve, ``p.grad``.  The rivals have the same error, each of its own exact answer (dual
form, all eigenvalues): c iterations of NGD-CG against (G + lambda I)^-1 g, and k steps of Euler's method against x(t),
with c and k the smallest that reach it, found beforehand; k is no less than the stable number.  A pair takes turns;
medians are of processor time on one thread, and a ratio is the median over the pairs.

    python -m benchmarks.training     (a minute; prints the figures as JSON)
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp

from tngd_hw.curvature import GGNFactors, ggn_factors, ggn_operator
from tngd_hw.linear_sde.arnoldi import norm
from tngd_hw.linear_sde.dense import eigh
from tngd_hw.outcome import MisuseError
from tngd_hw.studies.scaling.step_costs import smallest_count
from tngd_hw.tasks import ClassificationTask, mnist_task
from tngd_hw.training import AnalogSchedule, AnalogStart, ConjugateGradientMethod, RelaxedDevice, conjugate_gradient

__all__ = ["measurements"]

_LOSS = nn.CrossEntropyLoss()
_BATCH, _DAMPING, _TIME, _ERROR = 64, 0.01, 50.0, 1e-4
_DEVICE = RelaxedDevice(AnalogSchedule(_TIME, AnalogStart.GRADIENT, tolerance=_ERROR))
_WANTED = {"cg": 1.2, "euler": 10.0, "product": 1.3}
_PRODUCTS = 20
"""Products in one timed call."""

Batch = tuple[Tensor, Tensor]
_Pull = Callable[[Tensor], tuple[dict[str, Tensor]]]


def measurements(progress: Callable[[str], None]) -> dict[str, Any]:
    """A row for each state of the network; or why there is none."""
    try:
        task = mnist_task(dtype=torch.float32)
    except MisuseError as error:
        return {"rows": [], "skipped": str(error)}
    rows: list[dict[str, Any]] = []
    with _one_thread():
        for steps in (0, 150):
            progress(f"training step of the MNIST network after {steps} steps of Adam")
            network = _trained(task, steps)
            batch = next(task.minibatches(_BATCH, 1, seed=1))
            rows.append({"adam_steps": steps, **_row(network, batch)})
    return {"rows": rows, "wanted": _WANTED, "error": _ERROR}


def _trained(task: ClassificationTask, steps: int) -> nn.Module:
    network = task.make_network(0)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for inputs, targets in task.minibatches(_BATCH, steps, seed=3) if steps else ():
        optimizer.zero_grad()
        _LOSS(network(inputs), targets).backward()
        optimizer.step()
    return network


def _row(network: nn.Module, batch: Batch) -> dict[str, Any]:
    modes = _Modes.of(ggn_factors(network, _LOSS, batch))
    operator = ggn_operator(network, _LOSS, batch, damping=_DAMPING)
    found = _DEVICE.natural_gradient(network, _LOSS, batch, damping=_DAMPING)
    exact, solution = modes.vector(modes.relaxed()), modes.vector(1 / modes.rates)
    iterations = smallest_count(
        1, lambda c: _relative(conjugate_gradient(operator, max_iterations=c).direction, solution) <= _ERROR
    )
    stable = math.floor(float(modes.rates.max()) * _TIME / 2) + 1
    steps = smallest_count(stable, lambda k: _relative(modes.vector(modes.euler(k)), exact) <= _ERROR)
    cg = ConjugateGradientMethod(iterations)

    def ours() -> object:
        return _DEVICE.natural_gradient(network, _LOSS, batch, damping=_DAMPING)

    against_cg = _paired(ours, lambda: cg.natural_gradient(network, _LOSS, batch, damping=_DAMPING), pairs=9)
    against_euler = _paired(ours, lambda: _euler(network, batch, steps), pairs=3)
    return {
        "parameters": operator.parameter_count, "largest_rate": float(modes.rates.max()),
        "products": found.relaxed.products, "error": _relative(found.direction, exact),
        "step_s": against_cg[0], "cg_iterations": iterations, "cg_s": against_cg[1], "cg_ratio": against_cg[2],
        "stable_steps": stable, "error_at_stable": _relative(modes.vector(modes.euler(stable)), exact),
        "euler_steps": steps, "euler_s": against_euler[1], "euler_ratio": 1 / against_euler[2],
        **_products(network, batch),
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Modes:
    """The gradient in the eigenvectors of the curvature: answers to rounding, whatever their filter.

    Attributes:
        W: Whitened Jacobian, shape (m, N).
        axes: Eigenvectors of W W^T.
        rates: Its eigenvalues plus lambda, shape (m,).
        drive: axes^T u.
    """

    W: Tensor
    axes: Tensor
    rates: Tensor
    drive: Tensor

    @classmethod
    def of(cls, factors: GGNFactors) -> _Modes:
        W = factors.whitened_jacobian()
        values, axes = eigh(W @ W.mT)
        return cls(W, axes, values.clamp_min(0.0) + _DAMPING, axes.mT @ factors.u)

    def vector(self, gain: Tensor) -> Tensor:
        """W^T axes (gain drive): the gradient filtered, shape (N,)."""
        return self.W.mT @ (self.axes @ (gain * self.drive))

    def relaxed(self) -> Tensor:
        """(1 - e^(-a t))/a + e^(-a t), from x(0) = g."""
        left = torch.exp(-self.rates * _TIME)
        return (1 - left) / self.rates + left

    def euler(self, steps: int) -> Tensor:
        """The same with (1 - a t/k)^k for e^(-a t)."""
        left = (1 - self.rates * (_TIME / steps)) ** steps
        return (1 - left) / self.rates + left


def _euler(network: nn.Module, batch: Batch, steps: int) -> Tensor:
    """Euler-Maruyama without noise (arXiv 2405.13817, Eq. 25)."""
    operator = ggn_operator(network, _LOSS, batch, damping=_DAMPING)
    g = operator.gradient()
    x, dt = g, _TIME / steps
    for _ in range(steps):
        x = x - dt * (operator.apply(x) - g)
    return x


def _products(network: nn.Module, batch: Batch) -> dict[str, float]:
    """Our product against J v by torch.func.jvp, H and J^T w by torch.func.vjp, the latter recorded once or anew."""
    operator = ggn_operator(network, _LOSS, batch, damping=_DAMPING)
    v = operator.gradient()

    def many(product: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        def call() -> None:
            for _ in range(_PRODUCTS):
                product(v)

        return call

    row: dict[str, float] = {}
    for name, once in (("recorded", True), ("anew", False)):
        by_hand = _by_hand(network, batch, operator.H, once=once)
        assert _relative(by_hand(v), operator.apply(v)) < 1e-5
        own_s, their_s, ratio = _paired(many(operator.apply), many(by_hand), pairs=15)
        row |= {
            f"product_{name}_s": their_s / _PRODUCTS,
            f"product_{name}_ratio": ratio,
            "product_s": own_s / _PRODUCTS,
        }
    return row


def _by_hand(network: nn.Module, batch: Batch, H: Tensor, *, once: bool) -> Callable[[Tensor], Tensor]:
    theta = {name: p.detach() for name, p in network.named_parameters()}

    def outputs(values: dict[str, Tensor]) -> Tensor:
        return functional_call(network, values, (batch[0],))

    recorded = cast("_Pull", vjp(outputs, theta)[1])
    blocks = H.to(batch[0].dtype)

    def product(v: Tensor) -> Tensor:
        pieces = torch.split(v.to(batch[0].dtype), [p.numel() for p in theta.values()])
        tangent = {name: piece.reshape(p.shape) for (name, p), piece in zip(theta.items(), pieces, strict=True)}
        pushed = jvp(outputs, (theta,), (tangent,))[1]
        pull = recorded if once else cast("_Pull", vjp(outputs, theta)[1])
        back = pull(torch.bmm(blocks, pushed[:, :, None])[:, :, 0])[0]
        return torch.cat([back[name].reshape(-1) for name in theta]).to(torch.float64) + _DAMPING * v

    return product


def _paired(ours: Callable[[], object], theirs: Callable[[], object], *, pairs: int) -> tuple[float, float, float]:
    """Median processor seconds of both, and the median of ours over theirs, after a call each that is not counted."""
    times = [(_seconds(ours), _seconds(theirs)) for _ in range(pairs + 1)][1:]
    own, other = zip(*times, strict=True)
    return statistics.median(own), statistics.median(other), statistics.median(a / b for a, b in times)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def _relative(found: Tensor, exact: Tensor) -> float:
    return norm(found - exact) / norm(exact)


@contextmanager
def _one_thread() -> Generator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    print(json.dumps(measurements(lambda text: print(text, file=sys.stderr)), indent=2))
