r"""What one training step takes: every method on networks of a chosen size, and what does not fit on a machine.

The network is that of MNIST (one convolution, two linear layers) with another hidden width and number of outputs, in
float32 as in training, at its first parameters; images and classes are random, since time does not depend on them.
A step is passes, solve and update.  Two numbers of iterations do depend on them: those of TNGD to its tolerance and of
conjugate gradients to the same error; they are found on the very batch that is timed, and grow in training with the
curvature (benchmarks/ has both ends).
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from tngd_hw.cost import UpdateSize
from tngd_hw.curvature import ggn_factors, ggn_operator
from tngd_hw.linear_sde.arnoldi import norm
from tngd_hw.random import stream
from tngd_hw.tasks import mnist_network
from tngd_hw.training import (
    TNGD,
    AnalogSchedule,
    AnalogStart,
    ConjugateGradientMethod,
    ExactMethod,
    KFACMethod,
    NaturalGradientMethod,
    RelaxedDevice,
    conjugate_gradient,
    dense,
    woodbury,
)

__all__ = ["DAMPING", "DURATION_TAU", "ERROR", "METHODS", "StepCost", "measured", "scaled_network", "smallest_count"]

DAMPING: Final = 0.01
DURATION_TAU: Final = 50.0
ERROR: Final = 1e-4
_PAPER_ITERATIONS: Final = 200
_LARGEST_BYTES: Final = 6e9
_MOST_OPERATIONS: Final = 1e12
_LOSS: Final = nn.CrossEntropyLoss()

Batch = tuple[Tensor, Tensor]
Step = Callable[[], float | None]
"""One step, ready to be timed; it returns the number of its curvature products, where it makes any."""
MakeStep = Callable[[nn.Module, Batch], Step]


@dataclass(frozen=True)
class StepCost:
    """One method at one size.

    Attributes:
        method: Its name.
        size: Parameters, batch, outputs.
        seconds: Of a step, processor time on one thread; None where the method was left out.
        products: Curvature products of the step, where it makes any.
        left_out: Why, or None.
    """

    method: str
    size: UpdateSize
    seconds: float | None
    products: int | None = None
    left_out: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        size = {"parameters": self.size.parameters, "batch_size": self.size.batch_size, "outputs": self.size.outputs}
        own = {"seconds": self.seconds, "products": self.products, "left_out": self.left_out}
        return {"method": self.method, **size, **own}


@dataclass(frozen=True)
class _Method:
    """How a step is made, and its largest arrays and operations, for the limits."""

    step: MakeStep
    bytes_of: Callable[[UpdateSize], float] = lambda size: 100.0 * size.parameters
    operations: Callable[[UpdateSize], float] = lambda size: 0.0 * size.parameters

    def left_out(self, size: UpdateSize) -> str | None:
        need, work = self.bytes_of(size), self.operations(size)
        if need > _LARGEST_BYTES:
            return f"{need / 1e9:.3g} GB, more than {_LARGEST_BYTES / 1e9:g}"
        return f"{work:.3g} operations, more than {_MOST_OPERATIONS:g}" if work > _MOST_OPERATIONS else None


def measured(name: str, size: UpdateSize, *, seed: int = 0) -> StepCost:
    """The time of one step of ``METHODS[name]``; a median of five where it is below 2 s, else of a single step."""
    method = METHODS[name]
    reason = method.left_out(size)
    if reason is not None:
        return StepCost(name, size, None, left_out=reason)
    network, batch = scaled_network(size, seed)
    step = method.step(network, batch)
    first, products = _seconds(step)
    times = [first] if first > 2.0 else [_seconds(step)[0] for _ in range(5)]
    return StepCost(name, size, statistics.median(times), None if products is None else int(products))


def scaled_network(size: UpdateSize, seed: int = 0) -> tuple[nn.Module, Batch]:
    """The network whose hidden width gives about ``size.parameters``, and a random batch; see :func:`hidden_units`."""
    network = mnist_network(seed, torch.float32, hidden=hidden_units(size), outputs=size.outputs)
    draw = stream(seed, "studies.step_costs.batch")
    images = torch.from_numpy(draw.uniform(size=(size.batch_size, 1, 28, 28))).float()
    return network, (images, torch.from_numpy(draw.integers(size.outputs, size=size.batch_size)))


def hidden_units(size: UpdateSize) -> int:
    """Width at which 208 + 1153 h + (h + 1) d_z is nearest to N."""
    return max(1, round((size.parameters - 208 - size.outputs) / (1153 + size.outputs)))


def smallest_count(least: int, reached: Callable[[int], bool]) -> int:
    """The smallest count from ``least`` on for which ``reached`` holds, where it goes on holding from there."""
    high = least
    while not reached(high):
        least, high = high + 1, 2 * high
    while least < high:
        middle = (least + high) // 2
        least, high = (least, middle) if reached(middle) else (middle + 1, high)
    return high


def _seconds(step: Step) -> tuple[float, float | None]:
    begun = time.process_time()
    found = step()
    return time.process_time() - begun, found


def _first_order(make: Callable[..., torch.optim.Optimizer], network: nn.Module, batch: Batch) -> Step:
    optimizer = make(network.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        _LOSS(network(batch[0]), batch[1]).backward()
        optimizer.step()

    return step


def _natural(method: NaturalGradientMethod[Any], network: nn.Module, batch: Batch) -> Step:
    optimizer = TNGD(network.parameters(), method, lr=1e-9, damping=DAMPING)  # the parameters stay where they are
    return lambda: optimizer.update(network, _LOSS, batch).log().get("products")


def _equal_error(network: nn.Module, batch: Batch) -> Step:
    """As many conjugate gradients as bring x within ``ERROR`` of their own solution."""
    operator = ggn_operator(network, _LOSS, batch, damping=DAMPING)
    exact = conjugate_gradient(operator, max_iterations=1000, tolerance=1e-7).direction

    def reached(count: int) -> bool:
        off = conjugate_gradient(operator, max_iterations=count).direction - exact
        return norm(off) <= ERROR * norm(exact)

    return _natural(ConjugateGradientMethod(smallest_count(1, reached)), network, batch)


def _factors(network: nn.Module, batch: Batch) -> Step:
    def step() -> None:
        ggn_factors(network, _LOSS, batch).gradient()

    return step


def _of_rows(size: UpdateSize) -> float:
    """J in float64."""
    return 8.0 * size.rows * size.parameters


METHODS: Final[dict[str, _Method]] = {
    "SGD": _Method(functools.partial(_first_order, torch.optim.SGD)),
    "Adam": _Method(functools.partial(_first_order, torch.optim.Adam)),
    "NGD, dense": _Method(
        functools.partial(_natural, ExactMethod(functools.partial(dense, largest=20_000))),
        lambda size: _of_rows(size) + 16.0 * size.parameters**2,
        lambda size: size.parameters**3 / 3 + 2.0 * size.rows * size.parameters**2,
    ),
    "NGD, Woodbury": _Method(
        functools.partial(_natural, ExactMethod(woodbury)),
        lambda size: _of_rows(size) + 8.0 * size.rows * size.parameters + 16.0 * size.rows**2,
        lambda size: 2.0 * size.rows**2 * size.parameters + size.rows**3 / 3,
    ),
    "NGD, 200 CG iterations": _Method(functools.partial(_natural, ConjugateGradientMethod(_PAPER_ITERATIONS))),
    "NGD, CG at equal error": _Method(_equal_error),
    "K-FAC": _Method(functools.partial(_natural, KFACMethod())),
    "TNGD, simulated": _Method(
        functools.partial(_natural, RelaxedDevice(AnalogSchedule(DURATION_TAU, AnalogStart.GRADIENT, tolerance=ERROR))),
        lambda size: 8.0 * 40 * size.parameters,
    ),
    "gradient, J and H": _Method(_factors, _of_rows),
}
"""By name.  The last is the digital part of a TNGD update on a device."""
