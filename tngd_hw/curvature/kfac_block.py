r"""One layer's Kronecker product and its damped inverse.

With vec by rows, (G (x) A) vec(X) = vec(G X A) for symmetric A.  The damped systems for the gradient matrix V are

    FACTORED   (G + sqrt(lambda)/pi I) X (A + pi sqrt(lambda) I) = V,     pi^2 = (tr A/d_A)/(tr G/d_G)
    EXACT      G X A + lambda X = V, by the eigenbases of both

FACTORED adds pi sqrt(lambda) G (x) I + sqrt(lambda)/pi I (x) A to the EXACT matrix.  It is what two circuits can do.

A batch of fewer rows r than inputs, A = a^T a/rows and V = g^T a, has a smaller system in the place of A: for every
function F of a matrix, F(a^T a/rows + s I) a^T = a^T F(a a^T/rows + s I).

Source: J. Martens, R. Grosse, arXiv 1503.05671, section 6.3.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status

__all__ = ["KFACBlock", "KFACDamping", "KFACRows", "matrix_pieces"]


class KFACDamping(enum.Enum):
    """Where lambda is added; the value is the name used in records."""

    FACTORED = "factored"
    EXACT = "exact"


@dataclass(frozen=True, eq=False)
class KFACRows:
    """The rows behind a layer's factor A = a^T a/rows and its gradient V = g^T a, float64.

    Attributes:
        a: Inputs, the 1 of the bias included, shape (rows, d_A).
        g: dL/ds_r, shape (rows, d_G).
    """

    a: Tensor
    g: Tensor


@dataclass(frozen=True, eq=False)
class KFACBlock:
    """One layer: its Kronecker factors and its gradient, all float64.

    Attributes:
        layer: Name of the module, "" for the model itself.
        A: Input factor, symmetric, shape (d_A, d_A); the bias, where trainable, is the last row and column.
        G: Output factor, symmetric, shape (d_G, d_G).
        V: Gradient as a matrix, shape (d_G, d_A), the bias in the last column.
        weight_shape: Of the trainable weight, or None where only the bias is.
        has_bias: Whether the last column is the bias.
        transposed: Whether the weight is stored (in, out), as that of an Embedding.
        rows: Kept where the batch has fewer of them than d_A.
    """

    layer: str
    A: Tensor
    G: Tensor
    V: Tensor
    weight_shape: torch.Size | None
    has_bias: bool
    transposed: bool
    rows: KFACRows | None = None

    @property
    def pi(self) -> float:
        """sqrt((tr A/d_A)/(tr G/d_G)), the ratio of scales; 1 where a trace is 0."""
        mean_A, mean_G = (float(factor.diagonal().mean()) for factor in (self.A, self.G))
        return math.sqrt(mean_A / mean_G) if mean_A > 0 and mean_G > 0 else 1.0

    def damped_factors(self, damping: float) -> tuple[Tensor, Tensor]:
        """A/pi + sqrt(lambda) I and pi G + sqrt(lambda) I: the factors of FACTORED damping, brought to one scale.

        Their Kronecker product is that of A + pi sqrt(lambda) I and G + sqrt(lambda)/pi I.  Both have the same mean
        eigenvalue and the smallest eigenvalue sqrt(lambda) or more, whatever the units of inputs and outputs.

        Raises:
            MisuseError: damping not above 0.
        """
        _check_damping(damping)
        scaled = (self.A / self.pi, self.G * self.pi)
        A, G = (X + math.sqrt(damping) * torch.eye(len(X), dtype=X.dtype, device=X.device) for X in scaled)
        return A, G

    def damped_dual_factor(self, damping: float) -> Tensor | None:
        """K = a a^T/(rows pi) + sqrt(lambda) I, shape (rows, rows), for A/pi + sqrt(lambda) I; None without rows.

        Raises:
            MisuseError: damping not above 0.
        """
        _check_damping(damping)
        if self.rows is None:
            return None
        gram = self.rows.a @ self.rows.a.mT / (len(self.rows.a) * self.pi)
        unit = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        return (gram + gram.mT) / 2 + math.sqrt(damping) * unit

    def solve(self, damping: float, rule: KFACDamping = KFACDamping.FACTORED) -> Tensor:
        """X, shape (d_G, d_A), with the damped block times X equal to V.

        Raises:
            MisuseError: damping not above 0, a rule that is none.
            OutcomeError: SINGULAR: a damping so small that rounding makes a factor indefinite (FACTORED).

        Cost: Cholesky, (d_A^3 + d_G^3)/3, where FACTORED; two eigenvalue problems, measured at ten times
        that, where EXACT.
        """
        if not isinstance(rule, KFACDamping):
            raise MisuseError(f"rule = {rule!r}: give KFACDamping.FACTORED or KFACDamping.EXACT")
        match rule:
            case KFACDamping.FACTORED:
                A, G = self.damped_factors(damping)
                return self._cholesky_solve(A, self._cholesky_solve(G, self.V).mT).mT
            case KFACDamping.EXACT:
                _check_damping(damping)
                (a, Q_A), (g, Q_G) = (_eigenbasis(factor) for factor in (self.A, self.G))
                return Q_G @ ((Q_G.mT @ self.V @ Q_A) / (g[:, None] * a + damping)) @ Q_A.mT

    def pieces(self, X: Tensor) -> dict[str, Tensor]:
        """A matrix (d_G, d_A) as tensors of the parameters' shapes, by the model's names; the weight first."""
        return matrix_pieces(
            X, self.layer, weight_shape=self.weight_shape, has_bias=self.has_bias, transposed=self.transposed
        )

    def matrix(self) -> Tensor:
        """Dense G (x) A without damping, shape (N_l, N_l), in the order of the parameters: weight, then bias.

        For tests and small layers.  Cost: N_l^2.
        """
        place = torch.arange(self.V.numel(), device=self.V.device).reshape(self.V.shape)
        order = torch.cat([piece.reshape(-1) for piece in self.pieces(place).values()])
        return torch.kron(self.G, self.A)[order][:, order]

    def _cholesky_solve(self, matrix: Tensor, B: Tensor) -> Tensor:
        root, flag = cast("tuple[Tensor, Tensor]", torch.linalg.cholesky_ex(matrix))
        if int(flag) != 0:
            detail = f"a factor of layer {self.layer or 'of the model itself'} is not positive definite in float64"
            raise OutcomeError(Status(Outcome.SINGULAR, detail, "raise the damping"))
        return torch.cholesky_solve(B, root)


def matrix_pieces(
    X: Tensor, layer: str, *, weight_shape: torch.Size | None, has_bias: bool, transposed: bool
) -> dict[str, Tensor]:
    """See :meth:`KFACBlock.pieces`."""
    prefix = f"{layer}." if layer else ""
    found: dict[str, Tensor] = {}
    if weight_shape is not None:
        weight = X[:, :-1] if has_bias else X
        found[f"{prefix}weight"] = (weight.mT if transposed else weight).reshape(weight_shape)
    if has_bias:
        found[f"{prefix}bias"] = X[:, -1]
    return found


def _eigenbasis(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, at least 0, and eigenvectors of a positive semidefinite matrix."""
    values, vectors = cast("tuple[Tensor, Tensor]", torch.linalg.eigh(factor))
    return values.clamp_min(0.0), vectors


def _check_damping(damping: float) -> None:
    if not 0 < damping < float("inf"):
        raise MisuseError(f"damping = {damping!r}: expected a finite number above 0")
