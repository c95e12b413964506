"""The linear stochastic system every linear circuit becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tngd_hw.linear_sde.balance import balancing_scale, scaled_norm
from tngd_hw.linear_sde.dense import broadcast, cholesky, eigvals, eigvalsh, identity
from tngd_hw.linear_sde.dyadic import DyadicPowers
from tngd_hw.linear_sde.modal import ModalBasis, equilibrium_basis, modal_basis
from tngd_hw.linear_sde.structure import Structure, is_symmetric, structure_of
from tngd_hw.linear_sde.tensors import ArrayLike, common_batch, real_tensor
from tngd_hw.outcome import MisuseError

__all__ = ["LinearSDE"]

_MARGIN = 16 * torch.finfo(torch.float64).eps
"""An eigenvalue within this part of the norm of F cannot be told from zero."""


@dataclass(frozen=True, eq=False, init=False, repr=False)
class LinearSDE:
    """A linear stochastic differential equation with outputs.

        dx = (F x + E u) dt + B dW,      y = C x + D u + D_w xi,      xi = dW/dt

    W is a vector of q independent standard Brownian motions (units sqrt(s)); xi is its white noise, two-sided spectral
    density 1, so one-sided 2.  Every tensor may carry leading batch dimensions (chips), which broadcast.

    Attributes:
        F: Drift, shape (..., n, n), in 1/s.  Stable means every eigenvalue has a negative real part.
        E: Input matrix, shape (..., n, m), in (state per second) per input.
        B: Noise matrix, shape (..., n, q), in state per sqrt(s).
        C: Output matrix, shape (..., p, n).
        D: Direct input, shape (..., p, m).
        D_w: Direct white noise, shape (..., p, q), in output times sqrt(s).
        state_names: n names.
        input_names: m names.
        output_names: p names.

    The constructor takes tensors, numpy arrays or nested lists; D, D_w and the names by keyword.  E and B left out have
    no columns; C left out is the identity; D and D_w left out are zero.  float64 throughout, on the device of F (CPU or
    CUDA).  Gradients flow.
    """

    F: Tensor
    E: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    D_w: Tensor
    state_names: tuple[str, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]

    def __init__(
        self,
        F: ArrayLike,
        E: ArrayLike | None = None,
        B: ArrayLike | None = None,
        C: ArrayLike | None = None,
        *,
        D: ArrayLike | None = None,
        D_w: ArrayLike | None = None,
        state_names: Sequence[str] | None = None,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        drift = real_tensor(F, "F")
        if drift.ndim < 2 or drift.shape[-1] != drift.shape[-2] or drift.shape[-1] == 0:
            raise MisuseError(f"F has shape {tuple(drift.shape)}: give a square matrix, shape (..., n, n) with n >= 1")
        n, device = drift.shape[-1], drift.device
        inputs = _matrix(E, "E", (n, None), (n, 0), device)
        noise = _matrix(B, "B", (n, None), (n, 0), device)
        m, q = inputs.shape[-1], noise.shape[-1]
        outputs = identity(n, device) if C is None else _matrix(C, "C", (None, n), (n, n), device)
        p = outputs.shape[-2]
        matrices = {
            "F": drift,
            "E": inputs,
            "B": noise,
            "C": outputs,
            "D": _matrix(D, "D", (p, m), (p, m), device),
            "D_w": _matrix(D_w, "D_w", (p, q), (p, q), device),
        }
        batch = common_batch({field: matrix.shape[:-2] for field, matrix in matrices.items()})
        if 0 in batch:
            raise MisuseError(f"the batch dimensions are {tuple(batch)}: give at least one system")
        for field, matrix in matrices.items():
            object.__setattr__(self, field, matrix)
        object.__setattr__(self, "state_names", _names(state_names, "state_names", n, "x"))
        object.__setattr__(self, "input_names", _names(input_names, "input_names", m, "u"))
        object.__setattr__(self, "output_names", _names(output_names, "output_names", p, "y"))

    def __repr__(self) -> str:
        batch = f", batch={tuple(self.batch_shape)}" if self.batch_shape else ""
        sizes = (
            f"n_states={self.n_states}, n_inputs={self.n_inputs}, n_noises={self.n_noises}, n_outputs={self.n_outputs}"
        )
        return f"LinearSDE({sizes}{batch})"

    @property
    def n_states(self) -> int:
        """n, the number of states."""
        return self.F.shape[-1]

    @property
    def n_inputs(self) -> int:
        """m, the number of inputs."""
        return self.E.shape[-1]

    @property
    def n_noises(self) -> int:
        """q, the number of Brownian motions."""
        return self.B.shape[-1]

    @property
    def n_outputs(self) -> int:
        """p, the number of outputs."""
        return self.C.shape[-2]

    @cached_property
    def batch_shape(self) -> torch.Size:
        """The common shape of the leading batch dimensions."""
        return broadcast(*(matrix.shape[:-2] for matrix in self.matrices))

    @property
    def matrices(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """F, E, B, C, D and D_w, in this order."""
        return self.F, self.E, self.B, self.C, self.D, self.D_w

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.F.device

    @property
    def requires_grad(self) -> bool:
        """True when a derivative with respect to one of the matrices is wanted."""
        return any(matrix.requires_grad for matrix in self.matrices)

    @property
    def diffusion(self) -> Tensor:
        """B B^T, shape (..., n, n), in state^2 per second."""
        return self.B @ self.B.mT

    @cached_property
    def structure(self) -> Structure:
        """What the matrices are (symmetric, reversible, normal in the noise metric ...), O(n^3), checked once.

        Checked at the first use and kept, not in the constructor: augmentation, composition, changes of units and fits
        make many systems that nobody asks (a fit makes one a step), each check would cost two eigen-decompositions, and
        on a GPU a wait for it.  Since the matrices are never written to, the answer is the same at any time.  It is
        taken from detached matrices: gradients neither need nor see it.
        """
        return structure_of(self.F.detach(), self.B.detach())

    @cached_property
    def is_symmetric(self) -> bool:
        """F = F^T, the one property that needs no decomposition: :attr:`structure` without the rest.  O(n^2)."""
        return is_symmetric(self.F.detach())

    @cached_property
    def reads_states(self) -> bool:
        """C = I exactly: the outputs are the states (and D u), with no product to form.  O(n^2)."""
        return self.n_outputs == self.n_states and bool((identity(self.n_states, self.device) == self.C).all())

    @cached_property
    def modal(self) -> ModalBasis:
        """The eigenbasis of F with its measured accuracy, computed at the first use and kept: ``modal_basis``."""
        return modal_basis(self.F.detach(), symmetric=self.is_symmetric)

    @cached_property
    def powers(self) -> DyadicPowers:
        """exp(F 2^k h) as far as runs needed them, at most 64 MiB, without a gradient."""
        return DyadicPowers(self.F.detach())

    @cached_property
    def equilibrium(self) -> ModalBasis:
        """The basis of independent modes of a reversible system with regular noise, kept like :attr:`modal`."""
        return equilibrium_basis(self.F.detach(), self.diffusion.detach())

    def eigenvalues(self) -> Tensor:
        """The eigenvalues of F, complex, shape (..., n), in 1/s; order as LAPACK gives it."""
        return self._eigenvalues

    @cached_property
    def _eigenvalues(self) -> Tensor:
        if "modal" in self.__dict__:
            return self.modal.values.to(torch.complex128)
        drift = self.F.detach()
        return eigvalsh(0.5 * (drift + drift.mT)).to(torch.complex128) if self.is_symmetric else eigvals(drift)

    @cached_property
    def stable_mask(self) -> Tensor:
        """Which batch members are stable, boolean, shape of the batch of F.

        A real part within 16 epsilon times the norm of the balanced F is rounding and counts as zero: not stable.
        """
        drift = self.F.detach()
        margin = _MARGIN * scaled_norm(drift, balancing_scale(drift))
        return self.eigenvalues().real.amax(-1) < -margin

    @cached_property
    def shrinks(self) -> bool:
        """True when F + F^T is negative definite: |x| falls along every path, which is more than stable.

        A Cholesky factorisation tells, n^3/3 instead of the eigenvalues' 25 n^3; for symmetric F it tells the same.
        """
        drift = self.F.detach()
        return cholesky(-(drift + drift.mT))[1]

    @property
    def is_stable(self) -> bool:
        """True when every eigenvalue of every batch member has a negative real part."""
        return bool(self.stable_mask.all())


def _matrix(
    value: ArrayLike | None,
    field: str,
    wanted: tuple[int | None, int | None],
    default: tuple[int, int],
    device: torch.device,
) -> Tensor:
    if value is None:
        return torch.zeros(default, dtype=torch.float64, device=device)
    tensor = real_tensor(value, field, device)
    fits = tensor.ndim >= 2 and all(
        size is None or size == have for size, have in zip(wanted, tensor.shape[-2:], strict=True)
    )
    if not fits:
        shape = ", ".join("any" if size is None else str(size) for size in wanted)
        raise MisuseError(
            f"{field} has shape {tuple(tensor.shape)}: to fit the other matrices it has to be (..., {shape})"
        )
    return tensor


def _names(names: Sequence[str] | None, field: str, count: int, letter: str) -> tuple[str, ...]:
    if names is None:
        return tuple(f"{letter}{i}" for i in range(count))
    given = tuple(names)
    if isinstance(names, str) or len(given) != count or len(set(given)) != count:
        raise MisuseError(f"{field} = {names!r}: give {count} different names")
    return given
