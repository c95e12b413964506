"""Elements of a circuit in typed arrays: one table a kind, never one Python object an element."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tngd_hw.outcome import MisuseError

__all__ = ["GROUND", "Instances", "Kind", "Table", "check_names", "joined"]

GROUND = "0"
"""Name of the reference node; its index is 0 in every netlist."""

_NAME = re.compile(r"[a-z0-9_]+")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Kind(enum.Enum):
    """The kinds of elements, by SPICE's first letter.  Values: unit of ``Table.values``."""

    RESISTOR = "R"
    CAPACITOR = "C"
    INDUCTOR = "L"
    VOLTAGE_SOURCE = "V"
    CURRENT_SOURCE = "I"
    VCVS = "E"
    CCCS = "F"
    VCCS = "G"
    CCVS = "H"

    @property
    def terminals(self) -> int:
        """Number of nodes of one element: 2, or 4 where a voltage controls it."""
        return 4 if self in (Kind.VCVS, Kind.VCCS) else 2

    @property
    def is_current_controlled(self) -> bool:
        """True for F and H, which name the voltage source whose current controls them."""
        return self in (Kind.CCCS, Kind.CCVS)

    @property
    def stores_energy(self) -> bool:
        """True for C and L, which carry an initial condition."""
        return self in (Kind.CAPACITOR, Kind.INDUCTOR)


def check_names(names: Sequence[str], what: str) -> None:
    """Every name matches ``[a-z0-9_]+`` (so that no deck can carry a command), else MisuseError."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise MisuseError(f"{what} {name!r}: names are made of a-z, 0-9 and _ (SPICE is case-insensitive)")


@dataclass(frozen=True, eq=False)
class Table:
    """m elements of one kind.

    Sign convention (SPICE's): a source's current leaves its first node through the source; a capacitor's voltage is
    first node minus second.

    Attributes:
        kind: What they are.
        names: m names without the SPICE letter, for example ``"a_0_1"``.
        nodes: Shape (m, 2) or (m, 4), indices into the netlist's ``node_names``; 0 is ground.
        values: Shape (m,): ohm, farad, henry, volt, ampere, V/V, A/A, siemens or ohm by kind.
        controls: For F and H, the name of the controlling voltage source (with no letter), else empty.
        initial: For C (volt) and L (ampere), shape (m,): value at t = 0.
        noise_psd: For I, shape (m,): one-sided white noise in A^2/Hz added to its value.
    """

    kind: Kind
    names: tuple[str, ...]
    nodes: Ints
    values: Floats
    controls: tuple[str, ...] = ()
    initial: Floats | None = None
    noise_psd: Floats | None = None

    def __post_init__(self) -> None:
        m = len(self.names)
        what = f"{self.kind.name.lower()} table"
        if self.nodes.shape != (m, self.kind.terminals):
            raise MisuseError(f"{what}: nodes has shape {self.nodes.shape}, expected ({m}, {self.kind.terminals})")
        if self.values.shape != (m,):
            raise MisuseError(f"{what}: values has shape {self.values.shape}, expected ({m},)")
        if self.kind.is_current_controlled and len(self.controls) != m:
            raise MisuseError(f"{what}: {len(self.controls)} controlling sources for {m} elements")
        for field_name, optional in (("initial", self.initial), ("noise_psd", self.noise_psd)):
            if optional is not None and (optional.shape != (m,) or not np.isfinite(optional).all()):
                raise MisuseError(f"{what}: {field_name} has to be {m} finite numbers")
        if self.noise_psd is not None and (self.noise_psd < 0).any():
            raise MisuseError(f"{what}: noise_psd is a density in A^2/Hz, 0 or more")
        self._refuse_bad_values(what)

    def _refuse_bad_values(self, what: str) -> None:
        bad = ~np.isfinite(self.values)
        if self.kind is Kind.RESISTOR:
            bad |= self.values == 0
        elif self.kind.stores_energy:
            bad |= self.values <= 0
        if bad.any():
            k = int(np.flatnonzero(bad)[0])
            raise MisuseError(f"{what}: {self.names[k]!r} has the value {self.values[k]}, which no element can have")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Instances:
    """m instances of one cell (subcircuit).

    Attributes:
        cell: Name of the cell.
        names: m names without the letter X.
        nodes: Shape (m, ports).
        parameters: Values that differ from the cell's defaults, each of shape (m,).
    """

    cell: str
    names: tuple[str, ...]
    nodes: Ints
    parameters: Mapping[str, Floats] = field(default_factory=dict[str, Floats])

    def __len__(self) -> int:
        return len(self.names)


def joined(rows: list[Table]) -> Table:
    """Tables of one kind as one table, in their order; an optional column that none of them has stays out."""

    def optional(parts: list[Floats | None]) -> Floats | None:
        if all(part is None for part in parts):
            return None
        return np.concatenate([np.zeros(len(row)) if p is None else p for p, row in zip(parts, rows, strict=True)])

    return Table(
        kind=rows[0].kind,
        names=tuple(name for row in rows for name in row.names),
        nodes=np.concatenate([row.nodes for row in rows]),
        values=np.concatenate([row.values for row in rows]),
        controls=tuple(name for row in rows for name in row.controls),
        initial=optional([row.initial for row in rows]),
        noise_psd=optional([row.noise_psd for row in rows]),
    )
