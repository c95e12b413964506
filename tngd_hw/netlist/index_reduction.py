"""Index reduction: a descriptor system to its ordinary differential equation, through the null spaces of E.

    E dz/dt = A z + B u,      E singular, the pencil s E - A regular

Q^T E = [E1; 0] with E1 of full row rank leaves the algebraic rows 0 = A2 z + B2 u.  They are solved for as many of the
unknowns, z_e = -X z_k - X_u u, which are put into the rest.  Where what is left of E1 is singular again (index 2 and
more) the same is done once more; derivatives of u enter, since E1 holds dz_e/dt.  At the end E is regular, and

    dx/dt = F x + G u,      z = T x + sum_k T_k d^k u/dt^k

after x + T_0 u was written for the unknowns kept, so that no derivative drives the state.

Jumps: at t = 0 the solution starts from any z(0-), which acts as the impulse E z(0-) delta(t) (the Laplace transform's
own initial values).  Charge and flux are conserved by it.  Its effect on x is one more column of B.

Source: the deflation of Gerdin, and of Luenberger's shuffle, "Time-invariant descriptor systems", Automatica 14
(1978); Verghese, Levy and Kailath, "A generalized state-space for singular systems", IEEE Trans. AC 26 (1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr

from tngd_hw.netlist.tables import Floats, Ints
from tngd_hw.outcome import Outcome, OutcomeError, Status

__all__ = ["Descriptor", "Reduced", "SingularPencilError", "reduced"]

_RANK = 1e-11
"""What counts as zero, in a system scaled to unit entries."""

_SMALLEST = 1e-9
"""Rows that are smaller are not scaled up: they may be rounding errors."""

_AGREEMENT = 1e-7
"""Largest difference of the two responses next to the largest response; both have rounding errors."""


class SingularPencilError(ArithmeticError):
    """det(s E - A) = 0 for every s: the circuit has no solution, or more than one."""


@dataclass(frozen=True, eq=False)
class Descriptor:
    """E dz/dt = A z + B u, scaled so that entries that mean something are not far from 1.

    Attributes:
        E: Shape (N, N).
        A: Shape (N, N).
        B: Shape (N, m).
        eliminate_early: Shape (N,): unknowns are eliminated in the order of these numbers, as far as they can be.
    """

    E: Floats
    A: Floats
    B: Floats
    eliminate_early: Ints


@dataclass(frozen=True, eq=False)
class Reduced:
    """dx/dt = F x + G u, z = T x + sum_k T_k d^k u/dt^k.

    Attributes:
        kept: Numbers of the unknowns that x stands for: z[kept] = x + sum_k T_k[kept] d^k u/dt^k.
        F: Shape (n, n).
        G: Shape (n, m).
        T: Shape (N, n).
        inputs: T_0, T_1 ..., each of shape (N, m); trailing zeros left out, T_0 always there.
    """

    kept: Ints
    F: Floats
    G: Floats
    T: Floats
    inputs: tuple[Floats, ...]


def reduced(system: Descriptor) -> Reduced:
    """Reduce and check.  Cost: O(N^3), one pass an index.

    Unknowns whose columns of E are zero are never kept where they are to be eliminated before the others: an unknown is
    left over only when no algebraic row has it, and then nothing solved for depends on it.

    Raises:
        SingularPencilError: The pencil is singular.
        OutcomeError: The result does not satisfy the descriptor system to rounding.
    """
    stage = _Stage(system)
    while not stage.compress():
        stage.eliminate()
    result = stage.finish()
    _check(system, result)
    return result


class _Stage:
    """One state of the reduction: mass E, drift A, feeds B_0, B_1 ... of u, du/dt ..., and the way back to z.

    ``left`` are the numbers of the unknowns still there, and z = back left + sum_k back_inputs_k d^k u/dt^k.
    """

    def __init__(self, system: Descriptor) -> None:
        n = len(system.A)
        self.mass, self.drift = system.E.copy(), system.A.copy()
        self.feeds: list[Floats] = [system.B.copy()]
        self.priority = system.eliminate_early
        self.left = np.arange(n, dtype=np.int64)
        self.back = np.eye(n)
        self.back_inputs: list[Floats] = [np.zeros_like(system.B)]
        self.rank = n

    def compress(self) -> bool:
        """Q^T E = [E1; 0]; True when nothing is left below E1."""
        n = len(self.left)
        if n == 0:
            self.rank = 0
            return True
        Q, R, pivots = qr(self.mass, pivoting=True)
        diagonal = np.abs(np.diagonal(R))
        self.rank = int(np.count_nonzero(diagonal > _RANK * max(1.0, diagonal[0])))
        self.mass[:, pivots] = R
        self.mass[self.rank :] = 0.0
        self.drift = Q.T @ self.drift
        self.feeds = [Q.T @ part for part in self.feeds]
        return self.rank == n

    def eliminate(self) -> None:
        """Solve the algebraic rows for unknowns, and put them into the others."""
        r = self.rank
        gone = _eliminated(self.drift[r:], self.priority[self.left])
        kept = np.setdiff1d(np.arange(len(self.left)), gone)
        parts = [self.drift[r:, kept], *(part[r:] for part in self.feeds)]
        solved = np.linalg.solve(self.drift[r:, gone], np.hstack(parts))
        X = solved[:, : len(kept)]
        X_u = np.split(solved[:, len(kept) :], len(self.feeds), axis=1)
        E1, A1 = self.mass[:r], self.drift[:r]
        blank = np.zeros_like(self.feeds[0][:r])
        B = [*(part[:r] - A1[:, gone] @ x for part, x in zip(self.feeds, X_u, strict=True)), blank]
        for k, x in enumerate(X_u):
            B[k + 1] = B[k + 1] + E1[:, gone] @ x
        self.feeds = _trimmed(B)
        while len(self.back_inputs) < len(X_u):
            self.back_inputs.append(np.zeros_like(self.back_inputs[0]))
        for k, x in enumerate(X_u):
            self.back_inputs[k] = self.back_inputs[k] - self.back[:, gone] @ x
        self.back = self.back[:, kept] - self.back[:, gone] @ X
        self.mass = E1[:, kept] - E1[:, gone] @ X
        self.drift = A1[:, kept] - A1[:, gone] @ X
        self.left = self.left[kept]

    def finish(self) -> Reduced:
        """Divide by the regular E, then take the derivatives of u out of the state's own equation."""
        n = len(self.left)
        solved: Floats = np.linalg.solve(self.mass, np.hstack([self.drift, *self.feeds])).astype(np.float64, copy=False)
        F, G = solved[:, :n], np.split(solved[:, n:], len(self.feeds), axis=1)
        T_u = list(self.back_inputs)
        while len(G) > 1:
            top = G.pop()
            order = len(G) - 1
            G[order] = G[order] + F @ top
            while len(T_u) <= order:
                T_u.append(np.zeros_like(T_u[0]))
            T_u[order] = T_u[order] + self.back @ top
        return Reduced(self.left, F, G[0], self.back, tuple(_trimmed(T_u)))


def _eliminated(rows: Floats, priority: Ints) -> Ints:
    """Columns to solve for, as many as rows: by priority, the largest first (QR with column pivoting)."""
    work = rows / np.maximum(np.abs(rows).max(axis=1, initial=0.0, keepdims=True), _SMALLEST)
    done, chosen = 0, [np.zeros(0, dtype=np.int64)]
    for level in np.unique(priority):
        columns = np.flatnonzero(priority == level)
        if done == len(rows):
            break
        Q, R, pivots = qr(work[done:, columns], pivoting=True)
        rank = int(np.count_nonzero(np.abs(np.diagonal(R)) > _RANK))
        work[done:] = Q.T @ work[done:]
        chosen.append(columns[pivots[:rank]])
        done += rank
    if done < len(rows):
        raise SingularPencilError
    return np.concatenate(chosen)


def _trimmed(parts: list[Floats]) -> list[Floats]:
    """Without the rounding errors in the coefficients of derivatives, and without trailing zeros."""
    floor = _RANK * max(np.abs(part).max(initial=0.0) for part in parts)
    clean = [parts[0], *(np.where(np.abs(part) > floor, part, 0.0) for part in parts[1:])]
    while len(clean) > 1 and not clean[-1].any():
        clean.pop()
    return clean


def _check(system: Descriptor, found: Reduced) -> None:
    """The response at one complex frequency, from the descriptor system itself and from the result."""
    s = 0.7 + 1.1j
    u = np.linspace(0.5, 1.0, len(system.B.T))
    try:
        direct = np.linalg.solve(s * system.E - system.A, np.dot(system.B, u))
    except np.linalg.LinAlgError:
        raise SingularPencilError from None
    x = np.linalg.solve(s * np.eye(len(found.F)) - found.F, np.dot(found.G, u))
    mine = found.T @ x
    for k, part in enumerate(found.inputs):
        mine = mine + s**k * np.dot(part, u)
    size = np.abs(direct)
    excess = np.abs(mine - direct) - _AGREEMENT * np.maximum(size, 1e-4 * size.max(initial=0.0))
    if not bool((excess <= 0).all()):
        detail = (
            "the reduced equations of the circuit do not agree with its own to rounding (gains too high in a loop?)"
        )
        raise OutcomeError(Status(Outcome.CHECK_FAILED, detail))
