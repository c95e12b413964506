r"""A physics-informed task: the Poisson equation in one dimension, solved by a two-layer network.

    -u''(x) = f(x) on (0, 1),     u(0) = u(1) = 0,     u_theta(x) = sum_k c_k tanh(w_k x + b_k) + d

The loss is a mean of squares over interior points and the two boundary points,

    L = mean_i ((u_theta''(x_i) + f(x_i))/f_rms)^2 + beta (u_theta(0)^2 + u_theta(1)^2)/2

Written as the mean of squares of the outputs of :class:`PoissonResidual`, so that its Gauss-Newton matrix is
(2/points) J^T J with J the derivative of the residuals.  Two derivatives in x make it ill-conditioned: first-order
methods stall where Gauss-Newton does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tngd_hw.outcome import MisuseError
from tngd_hw.random import stream
from tngd_hw.training.record import check_count

__all__ = ["PoissonProblem", "PoissonResidual", "PoissonTask", "TanhNetwork", "two_sines"]

_FINE_POINTS = 2001
"""Of the uniform grid on [0, 1] on which the error of a solution is taken."""


@dataclass(frozen=True, eq=False)
class PoissonProblem:
    """-u'' = f with a solution that is known.

    Attributes:
        name: Short name for tables and files.
        solution: x -> u(x), any shape; 0 at x = 0 and x = 1.
        source: x -> f(x) = -u''(x).
    """

    name: str
    solution: Callable[[Tensor], Tensor]
    source: Callable[[Tensor], Tensor]


def two_sines(slow: int = 1, fast: int = 4, amplitude: float = 0.5) -> PoissonProblem:
    """u = sin(slow pi x) + amplitude sin(fast pi x), f = (slow pi)^2 sin(slow pi x) + amplitude (fast pi)^2 sin(...).

    Args:
        slow: Half waves in [0, 1].
        fast: Half waves of the second sine.
        amplitude: Of the second sine.

    Raises:
        MisuseError: Half waves that are no integer of 1 or more: u would not be 0 at the boundary.
    """
    waves = [(check_count(k, name) * math.pi, a) for k, name, a in ((slow, "slow", 1.0), (fast, "fast", amplitude))]

    def solution(x: Tensor) -> Tensor:
        (p, a), (q, b) = waves
        return a * torch.sin(p * x) + b * torch.sin(q * x)

    def source(x: Tensor) -> Tensor:
        (p, a), (q, b) = waves
        return a * p**2 * torch.sin(p * x) + b * q**2 * torch.sin(q * x)

    return PoissonProblem(f"two sines ({slow}, {fast})", solution, source)


class TanhNetwork(nn.Module):
    r"""u(x) = sum_k c_k tanh(w_k x + b_k) + d in float64: 3 width + 1 parameters.

    The bends, where w_k x + b_k = 0, start uniform in (0, 1), with slopes w_k uniform within +-``steepest`` and
    c_k normal with variance 1/width; d starts at 0.

    Args:
        width: Number of tanh units.
        seed: The same seed gives the same parameters; torch's global random state is not touched.
        steepest: Largest initial |w_k|; a quarter wave of the solution is about 1/w long.

    Raises:
        MisuseError: A width below 1, a bad seed, ``steepest`` not above 0.
    """

    def __init__(self, width: int, seed: int, steepest: float = 10.0) -> None:
        super().__init__()
        if not 0 < steepest < math.inf:
            raise MisuseError(f"steepest = {steepest!r}: expected a finite number above 0")
        draws = stream(seed, "tasks.poisson.network")
        slopes = draws.uniform(-steepest, steepest, check_count(width, "width"))
        bends = draws.uniform(0.0, 1.0, width)
        self.w = nn.Parameter(torch.from_numpy(slopes))
        self.b = nn.Parameter(torch.from_numpy(-slopes * bends))
        self.c = nn.Parameter(torch.from_numpy(draws.normal(0.0, 1.0 / math.sqrt(width), width)))
        self.d = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """u at ``x``, shape (points, 1) both."""
        return torch.tanh(x * self.w + self.b) @ self.c[:, None] + self.d

    def second_derivative(self, x: Tensor) -> Tensor:
        """u'' = -2 sum_k c_k w_k^2 s_k (1 - s_k^2) with s_k = tanh(w_k x + b_k), shape (points, 1) both."""
        s = torch.tanh(x * self.w + self.b)
        return (-2.0 * s * (1.0 - s * s)) @ (self.c * self.w**2)[:, None]


class PoissonResidual(nn.Module):
    """Weighted residuals of the equation and of the boundary, one a point: what ``torch.nn.MSELoss`` squares.

    A point with 0 < x < 1 gives a (u'' + f)/f_rms, one with x = 0 or x = 1 gives b u; see :class:`PoissonTask`.

    Args:
        network: u_theta.
        source: f.
        interior_scale: a/f_rms.
        boundary_scale: b.
    """

    def __init__(
        self,
        network: TanhNetwork,
        source: Callable[[Tensor], Tensor],
        interior_scale: float,
        boundary_scale: float,
    ) -> None:
        super().__init__()
        self.network, self.source = network, source
        self.interior_scale, self.boundary_scale = interior_scale, boundary_scale

    def forward(self, x: Tensor) -> Tensor:
        """Residuals at ``x``, shape (points, 1) both."""
        inside = (x > 0) & (x < 1)
        equation = self.interior_scale * (self.network.second_derivative(x) + self.source(x))
        return torch.where(inside, equation, self.boundary_scale * self.network(x))


@dataclass(frozen=True, eq=False)
class PoissonTask:
    """The equation, where it is asked for, and the network: full batches only.

    Attributes:
        problem: Equation and solution.
        interior: Number of interior points, x_i = (i + 1/2)/interior.
        width: Of the network.
        boundary_weight: beta.
        steepest: Largest initial slope, see :class:`TanhNetwork`.

    Raises:
        MisuseError: A count below 1, a weight not above 0.
    """

    problem: PoissonProblem = field(default_factory=two_sines)
    interior: int = 64
    width: int = 20
    boundary_weight: float = 1.0
    steepest: float = 10.0

    def __post_init__(self) -> None:
        check_count(self.interior, "interior")
        check_count(self.width, "width")
        if not 0 < self.boundary_weight < math.inf:
            raise MisuseError(f"boundary_weight = {self.boundary_weight!r}: expected a finite number above 0")

    @property
    def points(self) -> int:
        """Rows of J: interior points and the two of the boundary."""
        return self.interior + 2

    def batch(self) -> tuple[Tensor, Tensor]:
        """All points, the interior ones first, and targets of 0; shape (points, 1) both, float64."""
        inner = (torch.arange(self.interior, dtype=torch.float64) + 0.5) / self.interior
        x = torch.cat([inner, torch.tensor([0.0, 1.0], dtype=torch.float64)])[:, None]
        return x, torch.zeros_like(x)

    def make_network(self, seed: int) -> PoissonResidual:
        """A fresh residual network; ``network`` of it is u_theta.

        With P points, a = sqrt(P/interior) and b = sqrt(beta P/2) make the mean over the points the loss L.

        Raises:
            MisuseError: A bad seed; a source that is 0 at every interior point.
        """
        inner = self.batch()[0][: self.interior]
        rms = float(self.problem.source(inner).square().mean().sqrt())
        if not 0 < rms < math.inf:
            raise MisuseError(
                f"problem {self.problem.name}: its source is {rms} in the mean square, so it has no scale"
            )
        return PoissonResidual(
            TanhNetwork(self.width, seed, self.steepest),
            self.problem.source,
            math.sqrt(self.points / self.interior) / rms,
            math.sqrt(self.boundary_weight * self.points / 2),
        )

    def relative_error(self, model: PoissonResidual) -> float:
        """|u_theta - u|_2/|u|_2 on a uniform grid of 2,001 points of [0, 1], which training never sees."""
        x = torch.linspace(0.0, 1.0, _FINE_POINTS, dtype=torch.float64)[:, None]
        exact = self.problem.solution(x)
        with torch.no_grad():
            gap = model.network(x) - exact
        return float((gap.square().sum() / exact.square().sum()).sqrt())
