"""Equations in symbols, of a circuit of a few nodes.

    M dx/dt = K x + L u + N xi,    y = C x + D u,    so F = M^-1 K, E = M^-1 L, B = M^-1 N

x holds capacitor voltages and inductor currents, M their capacitances and inductances: diagonal, or with the couplings
of capacitors that close loops (the Maxwell matrix).  xi is unit white noise; a one-sided current density S is the
column sqrt(S/2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np

from tngd_hw.netlist.loops import listed
from tngd_hw.netlist.symbolic_algebra import (
    Expression,
    Matrix,
    Symbol,
    as_numbers,
    column_of,
    diagonal,
    elements_of,
    factored,
    gradient,
    matrix,
    number,
    parsed,
    solved_exactly,
)
from tngd_hw.netlist.tables import Floats
from tngd_hw.outcome import MisuseError

__all__ = ["NumericMatrices", "SymbolicEquations"]


@dataclass(frozen=True, eq=False)
class NumericMatrices:
    """F, E, B, C and D as numbers."""

    F: Floats
    E: Floats
    B: Floats
    C: Floats
    D: Floats


@dataclass(frozen=True, eq=False)
class SymbolicEquations:
    """Equations in symbols; see the module.

    Attributes:
        states: x, symbols.
        inputs: u: a symbol an input, then 1 when other sources have values.
        densities: S_k, the one-sided density behind each column of the noise, A^2/Hz.
        mass: M, shape (n, n).
        drift: K, shape (n, n).
        drive: L, shape (n, m).
        injection: N without the strengths, shape (n, q): N = injection diag(sqrt(S/2)).
        reading: C, shape (p, n).
        feedthrough: D, shape (p, m).
        outputs: Names of y.
        numbers: What every symbol is worth in this netlist.
    """

    states: tuple[Symbol, ...]
    inputs: tuple[Expression, ...]
    densities: tuple[Expression, ...]
    mass: Matrix
    drift: Matrix
    drive: Matrix
    injection: Matrix
    reading: Matrix
    feedthrough: Matrix
    outputs: tuple[str, ...]
    numbers: Mapping[Symbol, float]

    @cached_property
    def F(self) -> Matrix:  # noqa: N802 - the field's own symbols
        """M^-1 K."""
        return self._divided(self.drift)

    @cached_property
    def E(self) -> Matrix:  # noqa: N802
        """M^-1 L."""
        return self._divided(self.drive)

    @cached_property
    def B(self) -> Matrix:  # noqa: N802
        """M^-1 N."""
        return self._divided(self.noise)

    @cached_property
    def noise(self) -> Matrix:
        """N, one column a noise source: sqrt(S/2) into its nodes."""
        import sympy

        return self.injection * diagonal([cast("Any", sympy.sqrt)(S / 2) for S in self.densities])

    @cached_property
    def noise_density(self) -> Matrix:
        """N N^T, without roots."""
        return factored(self.injection * diagonal([S / 2 for S in self.densities]) * self.injection.T)

    def symbol(self, name: str) -> Symbol:
        """The symbol of this name; MisuseError lists those there are."""
        every = [*self.states, *self.inputs, *self.numbers]
        for s in every:
            if str(s) == name:
                return cast("Symbol", s)
        raise MisuseError(f"{name!r} is no symbol of these equations; they have {', '.join(map(str, every))}")

    def right_hand_sides(self) -> tuple[Expression, ...]:
        """K x + L u, row by row, collected by states and inputs."""
        import sympy

        variables = [*self.states, *(u for u in self.inputs if u != 1)]
        total = self.drift * column_of(self.states) + self.drive * column_of(self.inputs)
        collect, expand = cast("Any", sympy.collect), cast("Any", sympy.expand)
        return tuple(collect(expand(row), variables, sympy.factor) for row in total)

    def equations(self) -> tuple[Any, ...]:
        """One sympy equation a state, to print: (M dx/dt)_i = (K x + L u + N xi)_i, states as functions of t."""
        import sympy

        t = sympy.Symbol("t")
        of_t: dict[Symbol, Any] = {s: cast("Any", sympy.Function(s.name))(t) for s in self.states}
        left = self.mass * column_of([cast("Any", sympy.Derivative)(of_t[s], t) for s in self.states])
        white = [cast("Any", sympy.Function(f"xi_{k}"))(t) for k in range(len(self.densities))]
        noise = list(self.noise * column_of(white)) if white else [number(0)] * len(self.states)
        right = self.right_hand_sides()
        return tuple(
            cast("Any", sympy.Eq)(left[i, 0], right[i].subs(of_t) + noise[i], evaluate=False)
            for i in range(len(self.states))
        )

    def settled(self) -> Matrix:
        """The states at rest under constant inputs, -K^-1 L u; MisuseError where K is singular."""
        found = solved_exactly(self.drift, matrix(-(self.drive * column_of(self.inputs))))
        if found is None:
            raise MisuseError("the circuit has a mode that never decays: nothing decides where it rests")
        return factored(found)

    def with_states(self, new: Mapping[str, str]) -> SymbolicEquations:
        """The same equations in other coordinates.

        Args:
            new: As many new states by name, each a combination of the present ones: ``{"d_0": "p_0 - m_0", ...}``.

        Raises:
            MisuseError: Not as many independent combinations as there are states.
        """
        import sympy

        n = len(self.states)
        here = {sympy.Symbol(s.name): s for s in self.states}
        T = gradient([parsed(form).subs(here) for form in new.values()], self.states)
        back = solved_exactly(T, diagonal([number(1)] * n)) if T.shape == (n, n) else None
        if back is None:
            raise MisuseError(f"{listed(new)}: {n} states take {n} independent combinations of them")
        return replace(
            self,
            states=tuple(cast("Symbol", sympy.Symbol(name, real=True)) for name in new),
            mass=factored(T * self.mass * back), drift=factored(T * self.drift * back),
            drive=factored(T * self.drive), injection=factored(T * self.injection),
            reading=factored(self.reading * back),
        )  # fmt: skip

    def seen_by_outputs(self) -> SymbolicEquations:
        """Without the states that no output depends on, now or later."""
        mass, drift, reading = (elements_of(part) for part in (self.mass, self.drift, self.reading))
        every = range(len(self.states))
        kept: set[int] = set()
        more = {j for row in reading for j in every if row[j] != 0}
        while more:
            kept |= more
            more = {j for i in kept for j in every if mass[i][j] != 0 or drift[i][j] != 0} - kept
        rows = sorted(kept)
        inputs, sources, outputs = (range(k) for k in (len(self.inputs), len(self.densities), len(self.outputs)))
        return replace(
            self,
            states=tuple(self.states[k] for k in rows),
            mass=self.mass.extract(rows, rows), drift=self.drift.extract(rows, rows),
            drive=self.drive.extract(rows, inputs), injection=self.injection.extract(rows, sources),
            reading=self.reading.extract(outputs, rows),
        )  # fmt: skip

    def numeric(self) -> NumericMatrices:
        """F, E, B, C and D with the numbers of the netlist."""
        rates = np.linalg.inv(as_numbers(self.mass, self.numbers))
        read = (self.drift, self.drive, self.noise, self.reading, self.feedthrough)
        K, L, N, C, D = (as_numbers(part, self.numbers) for part in read)
        return NumericMatrices(rates @ K, rates @ L, rates @ N, C, D)

    def _divided(self, right: Matrix) -> Matrix:
        if 0 in right.shape:
            return right
        inverse = solved_exactly(self.mass, diagonal([number(1)] * len(self.states)))
        if inverse is None:
            raise MisuseError("the matrix of capacitances and inductances is singular")
        return factored(inverse * right)
