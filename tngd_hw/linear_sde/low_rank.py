"""Systems of millions of states whose drift is a multiple of the identity and a product of thin factors: means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import eigh
from tngd_hw.linear_sde.dyadic import DyadicPowers, dyadic_mean
from tngd_hw.linear_sde.modal import exp_integral
from tngd_hw.linear_sde.tensors import ArrayLike, as_times, real_tensor
from tngd_hw.outcome import MisuseError

__all__ = ["LowRankSDE", "divided_difference", "low_rank_mean"]


@dataclass(frozen=True, eq=False, init=False)
class LowRankSDE:
    """dx = (-(s I + U V^T) x + w) dt + sqrt(c) dW + N dW',  W of N independent motions, W' of q.

    Attributes:
        rate: s, in 1/s, of any sign.
        U: Shape (N, r).
        V: Shape (N, r); the same tensor as U for a symmetric system.  Units of U V^T: 1/s.
        noise: c >= 0, in state^2 per second.
        extra_noise: Shape (N, q), in state per sqrt(s); q = 0 when left out.

    The factors are only read: Gram matrices V^T U, U^T U, V^T V are formed once, O(N r^2), when first needed.  One
    system, no batch of them: a loop over chips costs nothing beside products of this size.  No gradient flows.
    """

    rate: float
    U: Tensor
    V: Tensor
    noise: float
    extra_noise: Tensor

    def __init__(
        self,
        rate: float,
        U: ArrayLike,
        V: ArrayLike | None = None,
        *,
        noise: float = 0.0,
        extra_noise: ArrayLike | None = None,
    ) -> None:
        left = _factor(U, "U", None, None)
        if 0 in left.shape:
            raise MisuseError(f"U has shape {tuple(left.shape)}: give at least one row and one column")
        right = left if V is None else _factor(V, "V", left.shape[0], left.device)
        if right.shape != left.shape:
            raise MisuseError(f"V has shape {tuple(right.shape)} and U {tuple(left.shape)}: they have to be equal")
        s, c = _number(rate, "rate"), _number(noise, "noise")
        if c < 0.0:
            raise MisuseError(f"noise = {c}: a variance per second is not negative")
        extra = torch.zeros((left.shape[0], 0), dtype=torch.float64, device=left.device)
        if extra_noise is not None:
            extra = _factor(extra_noise, "extra_noise", left.shape[0], left.device)
        for field, value in (("rate", s), ("U", left), ("V", right), ("noise", c), ("extra_noise", extra)):
            object.__setattr__(self, field, value)

    @property
    def n_states(self) -> int:
        """N."""
        return self.U.shape[0]

    @property
    def rank(self) -> int:
        """r."""
        return self.U.shape[1]

    @property
    def symmetric(self) -> bool:
        """True when V is U."""
        return self.V is self.U

    @cached_property
    def core(self) -> Tensor:
        """M = V^T U, shape (r, r): (U V^T)^k = U M^(k-1) V^T.  Exactly symmetric when V is U."""
        return _gram(self.U) if self.symmetric else self.V.mT @ self.U

    @cached_property
    def gram_left(self) -> Tensor:
        """U^T U, shape (r, r)."""
        return self.core if self.symmetric else _gram(self.U)

    @cached_property
    def gram_right(self) -> Tensor:
        """V^T V, shape (r, r)."""
        return self.core if self.symmetric else _gram(self.V)

    @cached_property
    def modes(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (rising, 1/s) and eigenvectors of M in the symmetric case."""
        return eigh(self.core)

    @property
    def slope(self) -> Tensor:
        """s I + M, shape (r, r): minus the drift inside the span of U."""
        return self.core + self.rate * torch.eye(self.rank, dtype=torch.float64, device=self.U.device)


def low_rank_mean(
    system: LowRankSDE, times: ArrayLike, *, x0: ArrayLike | None = None, w: ArrayLike | None = None
) -> Tensor:
    """Exact mean at any times:  x(t) = a(t) x0 + b(t) w + U z(t).

    Symmetric: every part is a divided difference of scalar functions at the eigenvalues of the Gram matrix.  Otherwise
    a' = -s a, b' = -s b + 1 and z' = -(s I + M) z - a V^T x0 - b V^T w make one small linear system of r + 2 states,
    solved by powers of two of its exponential, so the Gram matrix is never inverted and no factor orthogonalised: U and
    V may have dependent columns.

    Args:
        system: The system.
        times: Non-decreasing seconds, shape (T,).
        x0: State at time 0, shape (N,); zero when left out.
        w: Constant forcing, shape (N,), in state per second; zero when left out.

    Returns:
        Shape (T, N).  Cost O(N r (T + 2)) after O(N r^2 + r^3 log(norm t)).

    Raises:
        MisuseError: Shapes that do not fit, NaN, negative or decreasing times.
    """
    when = as_times(times, system.U.device)
    start, forcing = vector(system, x0, "x0"), vector(system, w, "w")
    nothing = torch.zeros(system.rank, dtype=torch.float64, device=system.U.device)
    seen = [nothing if given is None else system.V.mT @ part for given, part in ((x0, start), (w, forcing))]
    projected = torch.stack(seen, dim=1)
    carried, pushed, small = (_symmetric_parts if system.symmetric else _general_parts)(system, projected, when)
    means = small @ system.U.mT
    return means.addr_(carried, start).addr_(pushed, forcing)


def _symmetric_parts(system: LowRankSDE, projected: Tensor, when: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """a(t), b(t), each (T,), and z(t), shape (T, r), for V^T (x0, w)."""
    values, axes = system.modes
    rate, column = torch.full_like(values[:1], -system.rate), when.unsqueeze(-1)
    carried, pushed = torch.exp(rate * column), exp_integral(rate, column)
    turned = axes.mT @ projected
    from_start = -carried * exp_integral(-values, column)
    from_push = divided_difference(system, when, 1.0)
    small = (from_start * turned[:, 0] + from_push * turned[:, 1]) @ axes.mT
    return carried.squeeze(-1), pushed.squeeze(-1), small


def divided_difference(system: LowRankSDE, when: Tensor, factor: float) -> Tensor:
    """(f(s + l) - f(s)) / l at the eigenvalues l of M, f(a) = (1 - e^(-k a t)) / (k a), k = factor; shape (T, r).

    Where an eigenvalue of M is rounding, so is what the quotient multiplies: it is set to zero there.
    """
    values, column = system.modes[0], when.unsqueeze(-1)
    base = exp_integral(torch.full_like(values, -factor * system.rate), column)
    change = exp_integral(-factor * (system.rate + values), column) - base
    real = values > 4.0 * torch.finfo(torch.float64).eps * values[-1:].clamp_min(0.0)
    return torch.where(real, change / torch.where(real, values, 1.0), 0.0)


def _general_parts(system: LowRankSDE, projected: Tensor, when: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r, device = system.rank, system.U.device
    F = torch.zeros((r + 2, r + 2), dtype=torch.float64, device=device)
    F[:r, :r] = -system.slope
    F[:r, r:] = -projected
    F[r, r] = F[r + 1, r + 1] = -system.rate
    begin, push = torch.zeros((2, r + 2, 1), dtype=torch.float64, device=device)
    begin[r], push[r + 1] = 1.0, 1.0
    small = dyadic_mean(DyadicPowers(F), push, begin, when).squeeze(-1).mT
    return small[:, r], small[:, r + 1], small[:, :r]


def vector(system: LowRankSDE, value: ArrayLike | None, field: str) -> Tensor:
    """A vector of N numbers; None is zero."""
    if value is None:
        return torch.zeros(system.n_states, dtype=torch.float64, device=system.U.device)
    given = real_tensor(value, field, system.U.device)
    if tuple(given.shape) != (system.n_states,):
        raise MisuseError(f"{field} has shape {tuple(given.shape)}: it has to be ({system.n_states},)")
    return given


def _number(value: ArrayLike, field: str) -> float:
    number = real_tensor(value, field)
    if number.ndim:
        raise MisuseError(f"{field} has shape {tuple(number.shape)}: give one number, systems are not batched here")
    return float(number)


def _factor(value: ArrayLike, field: str, rows: int | None, device: torch.device | None) -> Tensor:
    factor = real_tensor(value, field, device).detach()
    if factor.ndim != 2 or rows not in (None, factor.shape[0]):
        wanted = "N" if rows is None else str(rows)
        raise MisuseError(f"{field} has shape {tuple(factor.shape)}: it has to be ({wanted}, columns)")
    return factor


def _gram(factor: Tensor) -> Tensor:
    """factor^T factor, exactly symmetric, by strips of columns: about 5/8 of the work of the full product.

    In torch, although BLAS has a product for it (dsyrk of scipy): its threads go on spinning in the way of those of
    torch, which makes the eigen-decomposition that follows four times slower.
    """
    r = factor.shape[1]
    strip = max(64, -(-r // 4))
    upper = torch.zeros((r, r), dtype=factor.dtype, device=factor.device)
    for first in range(0, r, strip):
        upper[first : first + strip, first:] = factor[:, first : first + strip].mT @ factor[:, first:]
    return torch.triu(upper) + torch.triu(upper, 1).mT
