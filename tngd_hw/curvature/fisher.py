r"""The Fisher matrices of a batch as factors: true, Monte Carlo and empirical, which are three different matrices.

The network's outputs z are read as the parameters of a distribution p(y | z) with -log p = l(z, y) + const:

    softmax cross-entropy   p = softmax(z)
    squared error           y ~ N(z, sigma^2 I),  sigma^2 = d_z/2  (torch's MSELoss is |z - y|^2/d_z a sample)

With the score s_i(y) = dl/dz at (z_i, y), and J_i the rows of sample i in the output Jacobian,

    true          F = (1/batch) sum_i J_i^T E_{y ~ p(.|z_i)}[s_i(y) s_i(y)^T] J_i
    Monte Carlo   the expectation replaced by the mean over M draws of y: unbiased, and an entry's variance is
                  sum_i Var_y[entry of J_i^T s_i s_i^T J_i]/(batch^2 M)
    empirical     the expectation replaced by the one y_i of the data; no expectation of anything

**The true Fisher equals the generalized Gauss-Newton matrix here.**  For any p, E[s s^T] = E[d^2 l/dz^2] (differentiate
the integral of p twice).  In both families z is a natural parameter, l(z, y) = psi(z) - y^T z + (terms of y), up to a
scale, so that d^2 l/dz^2 = psi''(z) does not depend on y and is its own expectation: the loss Hessian.  The root S of
the closed forms even *is* the expectation: column y of S for the softmax is -sqrt(p_y/batch) s(y).  For a loss that is
not of this form the two differ, and a loss without a distribution has no Fisher matrix at all.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tngd_hw.curvature.any_gradient import factors_dual_problem
from tngd_hw.curvature.forward import check_pair
from tngd_hw.curvature.ggn import GGNFactors
from tngd_hw.curvature.jacobian import output_jacobian
from tngd_hw.curvature.loss_hessian import loss_factors
from tngd_hw.curvature.monte_carlo import check_has_distribution, drawn_scores
from tngd_hw.random import stream
from tngd_hw.topologies import DualProblem

__all__ = ["Fisher", "FisherFactors", "fisher_factors"]


class Fisher(enum.Enum):
    """Which Fisher matrix is meant; the value is the name used in records."""

    TRUE = "true"
    MONTE_CARLO = "monte_carlo"
    EMPIRICAL = "empirical"


@dataclass(frozen=True, eq=False)
class FisherFactors:
    """F = W^T W and the gradient g of one batch; the damping is not part of it.  All tensors float64.

    Attributes:
        kind: Which Fisher matrix.
        W: One weighted score a row, shape (m, N).  True: m = batch * d_z, samples outer.  Monte Carlo: m = batch *
            samples, batch outer, draws inner.  Empirical: m = batch.
        u: Shape (m,) with g = W^T u for the true and the empirical matrix, whose row spaces hold g.  None for
            Monte Carlo: its rows are gradients of drawn targets, of which the data's is in general no combination.
        g: The batch gradient, shape (N,).
        loss: The batch loss L.
    """

    kind: Fisher
    W: Tensor
    u: Tensor | None
    g: Tensor
    loss: float

    def matrix(self) -> Tensor:
        """Dense F = W^T W, shape (N, N), for tests and small N.  Cost: m N^2, and 8 N^2 bytes."""
        return self.W.mT @ self.W

    def dual_problem(self, damping: float) -> DualProblem:
        """(F + damping I) x = g for a chip of m nodes, or of m + 1 where g is not in the row space (Monte Carlo).

        Exact at every analog time from x = 0, either way (see :mod:`tngd_hw.curvature.any_gradient`).

        Raises:
            MisuseError: damping not above 0.

        Cost: m^2 N.
        """
        return factors_dual_problem(self.W, self.u, self.g, damping)


def fisher_factors(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    kind: Fisher,
    *,
    samples: int = 1,
    seed: int = 0,
    use: int = 0,
) -> FisherFactors:
    """Factors of the Fisher matrix ``kind`` of ``model`` on ``batch`` (formulas in the module's docstring).

    Args:
        model: As for :func:`tngd_hw.curvature.ggn_factors`.
        loss: ``torch.nn.CrossEntropyLoss()`` or ``torch.nn.MSELoss()``; for the empirical matrix any loss that
            ``ggn_factors`` takes, read as -log p.
        batch: inputs and targets; the targets enter g always and F only where it is empirical.
        kind: Which Fisher matrix.
        samples: M, draws a sample of the batch; Monte Carlo only.
        seed: Seed of the draws; Monte Carlo only.  More draws of one seed begin with the same draws.
        use: Number of the step, so that every step draws anew; Monte Carlo only.

    Raises:
        MisuseError: What ``ggn_factors`` refuses; a loss without a known distribution; samples below 1; a bad seed.

    Cost: as ``ggn_factors`` (d_z backward passes and 8 batch d_z N bytes), and m d_z N for the rows.
    Source: J. Martens, New insights and perspectives on the natural gradient method, JMLR 21 (2020); F. Kunstner and
    others, Limitations of the empirical Fisher approximation, NeurIPS 2019.
    """
    inputs, targets = check_pair(batch)
    outputs, J = output_jacobian(model, inputs)
    known = loss_factors(loss, outputs, targets)
    factors = GGNFactors(J=J, H=known.H, S=known.S, r=known.r, u=known.u, loss=known.loss)
    match kind:
        case Fisher.TRUE:
            check_has_distribution(loss, kind.value)
            return _made(kind, factors, factors.whitened_jacobian(), factors.u)
        case Fisher.MONTE_CARLO:
            check_has_distribution(loss, kind.value)
            generator = stream(seed, "fisher.monte_carlo", use=use)
            return _made(kind, factors, _rows(drawn_scores(loss, outputs, samples, generator), J), None)
        case Fisher.EMPIRICAL:
            scores = math.sqrt(len(outputs)) * factors.r.reshape(len(outputs), 1, -1)
            return _made(kind, factors, _rows(scores, J), torch.full_like(outputs[:, 0], 1 / math.sqrt(len(outputs))))


def _made(kind: Fisher, factors: GGNFactors, W: Tensor, u: Tensor | None) -> FisherFactors:
    return FisherFactors(kind, W, u, factors.gradient(), factors.loss)


def _rows(scores: Tensor, J: Tensor) -> Tensor:
    """Row (i, s) is scores[i, s] times the rows of sample i; scores is (batch, M, d_z), the result (batch * M, N)."""
    batch_size, _, d_z = scores.shape
    return torch.bmm(scores, J.reshape(batch_size, d_z, -1)).reshape(-1, J.shape[1])
