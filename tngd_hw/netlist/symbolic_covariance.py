"""The stationary covariance in symbols: the Lyapunov equation solved exactly.

F S + S F^T + B B^T = 0,    with F = M^-1 K, B = M^-1 N:    K S M^T + M S K^T + N N^T = 0
"""

from __future__ import annotations

from typing import Any, cast

from tngd_hw.netlist.symbolic_algebra import Matrix, Symbol, column_of, factored, gradient, matrix, solved_exactly
from tngd_hw.netlist.symbolic_system import SymbolicEquations
from tngd_hw.outcome import MisuseError

__all__ = ["stationary_covariance"]


def stationary_covariance(equations: SymbolicEquations) -> Matrix:
    """Cov(x) of a circuit at rest under its noise, shape (n, n), entries factored.

    It is the law the circuit settles to where it is stable, which symbols cannot tell.
    Cost: n (n + 1)/2 equations: well under a second for n = 2, some seconds for n = 4 with a dense drift.

    Raises:
        MisuseError: No noise in the equations, or eigenvalues of F whose sum is zero (no unique covariance).
    """
    import sympy

    if not equations.densities:
        raise MisuseError("these equations have no noise: program the chip with kappa > 0, or ask for thermal noise")
    n = len(equations.states)
    places = [(i, j) for i in range(n) for j in range(i + 1)]
    unknowns = [cast("Symbol", sympy.Symbol(f"cov_{i}_{j}")) for i, j in places]
    by_place: dict[tuple[int, int], Any] = dict(zip(places, unknowns, strict=True))
    Sigma = matrix([[by_place[max(i, j), min(i, j)] for j in range(n)] for i in range(n)])
    half = equations.drift * Sigma * equations.mass.T
    balance = half + half.T + equations.noise_density
    rows = [balance[i, j] for i, j in places]
    coefficients = gradient(rows, unknowns)
    constant = column_of([row.subs(dict.fromkeys(unknowns, 0)) for row in rows])
    found = solved_exactly(factored(coefficients), factored(-constant))
    if found is None:
        raise MisuseError("two eigenvalues of F add up to zero: the noise settles to no covariance")
    return factored(Sigma.subs(dict(zip(unknowns, found, strict=True))))
