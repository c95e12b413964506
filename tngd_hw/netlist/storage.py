"""The storage elements of a circuit, capacitors then inductors, in arrays: D ds/dt = flow.

s holds capacitor voltages and inductor currents, the flow capacitor currents and inductor voltages, and D is diagonal
(farad, henry) but for coupled inductors, whose block has the mutual inductances M = k sqrt(L1 L2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.tables import Flags, Floats, Ints, Kind
from tngd_hw.outcome import MisuseError

__all__ = ["Storage", "storage_elements"]

_ROUNDING = 1e-12
"""An eigenvalue of the matrix of coupling factors below this is zero: perfectly coupled inductors."""


@dataclass(frozen=True, eq=False)
class Storage:
    """s storage elements.

    Attributes:
        names: Element names with their letter: ``"ca"``, ``"lb"``.
        nodes: Shape (s, 2).
        capacitor: Shape (s,): True for a capacitor.
        values: Shape (s,): farad or henry.
        initial: Shape (s,): volt or ampere just before t = 0.
        coupling: Coupling factors of the inductors, shape (l, l) with ones on the diagonal; None without couplings.
    """

    names: tuple[str, ...]
    nodes: Ints
    capacitor: Flags
    values: Floats
    initial: Floats
    coupling: Floats | None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def independent(self) -> bool:
        """False when perfectly coupled inductors make D singular."""
        return self.coupling is None or bool(np.linalg.eigvalsh(self.coupling)[0] > _ROUNDING)

    def normalized(self) -> Floats:
        """D scaled to a unit diagonal, shape (s, s): the identity, but for the block of coupling factors."""
        matrix = np.eye(len(self))
        if self.coupling is not None:
            inductors = np.flatnonzero(~self.capacitor)
            matrix[np.ix_(inductors, inductors)] = self.coupling
        return matrix

    def rates(self, flow: Floats) -> Floats:
        """ds/dt = D^-1 flow, shape (s, any), where D is regular."""
        if self.coupling is None:
            return flow / self.values[:, None]
        scale = np.sqrt(self.values)[:, None]
        scaled = flow / scale
        inductors = np.flatnonzero(~self.capacitor)
        scaled[inductors] = np.linalg.solve(self.coupling, scaled[inductors])
        return scaled / scale


def storage_elements(flat: Netlist) -> Storage:
    """Collect them; MisuseError when coupling factors name no inductor or could not be built."""
    tables = [table for kind in (Kind.CAPACITOR, Kind.INDUCTOR) if (table := flat.table(kind)) is not None]
    if not tables:
        return Storage((), np.zeros((0, 2), np.int64), np.zeros(0, np.bool_), np.zeros(0), np.zeros(0), None)
    return Storage(
        names=tuple(f"{table.kind.value.lower()}{name}" for table in tables for name in table.names),
        nodes=np.concatenate([table.nodes for table in tables]),
        capacitor=np.concatenate([np.full(len(table), table.kind is Kind.CAPACITOR) for table in tables]),
        values=np.concatenate([table.values for table in tables]),
        initial=np.concatenate([np.zeros(len(t)) if t.initial is None else t.initial for t in tables]),
        coupling=_coupling(flat),
    )


def _coupling(flat: Netlist) -> Floats | None:
    table, inductors = flat.table(Kind.COUPLING), flat.table(Kind.INDUCTOR)
    if table is None:
        return None
    number = {} if inductors is None else {name: k for k, name in enumerate(inductors.names)}
    factors = np.eye(len(number))
    for name, first, second, factor in zip(table.names, table.controls, table.partners, table.values, strict=True):
        for inductor in (first, second):
            if inductor not in number:
                raise MisuseError(f"netlist {flat.title!r}: k{name} couples l{inductor}, which is no inductor")
        a, b = number[first], number[second]
        if a == b or factors[a, b] != 0:
            raise MisuseError(
                f"netlist {flat.title!r}: k{name} couples l{first} and l{second} "
                f"{'to itself' if a == b else 'a second time'}; give every pair one K"
            )
        factors[a, b] = factors[b, a] = factor
    values, vectors = np.linalg.eigh(factors)
    if values[0] < -_ROUNDING * len(factors):
        names = [f"l{name}" for name, part in zip(number, vectors[:, 0], strict=True) if abs(part) > 1e-6]
        raise MisuseError(
            f"netlist {flat.title!r}: the coupling factors of {', '.join(names)} contradict each other (their "
            "inductance matrix has a negative eigenvalue); lower the factors"
        )
    return factors
