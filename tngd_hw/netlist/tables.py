"""Elements of a circuit in typed arrays: one table a kind, never one Python object an element."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tngd_hw.netlist.waveform import Waveform
from tngd_hw.outcome import MisuseError

__all__ = ["GROUND", "Instances", "Kind", "SwitchModel", "Table", "check_names", "joined", "refuse_duplicates"]

GROUND = "0"
"""Name of the reference node; its index is 0 in every netlist."""

_NAME_CHARACTERS = b"abcdefghijklmnopqrstuvwxyz0123456789_"

Complexes = NDArray[np.complex128]
Flags = NDArray[np.bool_]
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
    COUPLING = "K"
    SWITCH = "S"
    BEHAVIORAL = "B"

    @property
    def terminals(self) -> int:
        """Number of nodes of one element: 2, 4 where a voltage controls it, none for K, which names two inductors."""
        if self is Kind.COUPLING:
            return 0
        return 4 if self in (Kind.VCVS, Kind.VCCS, Kind.SWITCH) else 2

    @property
    def is_source(self) -> bool:
        """True for V and I, the independent sources."""
        return self in (Kind.VOLTAGE_SOURCE, Kind.CURRENT_SOURCE)

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
    if all(names) and not _other_characters("".join(names)):  # a million names at once
        return
    bad = next(name for name in names if not name or _other_characters(name))
    raise MisuseError(f"{what} {bad!r}: names are made of a-z, 0-9 and _ (SPICE is case-insensitive)")


def refuse_duplicates(letter: str, names: Sequence[str]) -> None:
    """MisuseError where two elements with the SPICE letter ``letter`` share a name."""
    if len(set(names)) == len(names):
        return
    again = next(name for name, count in Counter(names).items() if count > 1)
    raise MisuseError(f"element {letter}{again} is there twice: give every element of a kind its own name")


def _other_characters(text: str) -> bytes:
    """What no name may contain, as bytes."""
    return text.encode(errors="replace").translate(None, _NAME_CHARACTERS)


@dataclass(frozen=True)
class SwitchModel:
    """A voltage-controlled switch (SPICE's ``.model ... sw``).

    Attributes:
        on_ohm: Resistance where the controlling voltage is above ``threshold_volt + hysteresis_volt``.
        off_ohm: Resistance where it is below ``threshold_volt - hysteresis_volt``.
        threshold_volt: Middle of the two.
        hysteresis_volt: Half their distance, 0 or more; in between the switch keeps its state.
        starts_on: State at t = 0 in between.
    """

    on_ohm: float
    off_ohm: float
    threshold_volt: float = 0.0
    hysteresis_volt: float = 0.0
    starts_on: bool = False

    def __post_init__(self) -> None:
        for name in ("on_ohm", "off_ohm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise MisuseError(f"SwitchModel.{name} = {getattr(self, name)!r}: expected a finite number above 0")
        if not (np.isfinite(self.threshold_volt) and 0 <= self.hysteresis_volt < float("inf")):
            raise MisuseError("SwitchModel: threshold_volt has to be finite and hysteresis_volt 0 or more")


@dataclass(frozen=True, eq=False)
class Table:
    """m elements of one kind.

    Sign convention (SPICE's): a source's current leaves its first node through the source; a capacitor's voltage is
    first node minus second.

    Attributes:
        kind: What they are.
        names: m names without the SPICE letter, for example ``"a_0_1"``.
        nodes: Shape (m, kind.terminals), indices into the netlist's ``node_names``; 0 is ground.
        values: Shape (m,): ohm, farad, henry, volt, ampere, V/V, A/A, siemens or ohm by kind; coupling factor for K,
            on-resistance for S, 0 for B.
        controls: For F and H, the name of the controlling voltage source (with no letter); for K, the first inductor.
        partners: For K, the second inductor.
        initial: For C (volt) and L (ampere), shape (m,): value at t = 0.
        noise_psd: For I, shape (m,): one-sided white noise in A^2/Hz added to its value.
        temperature_kelvin: For R, shape (m,): its own temperature; NaN is the netlist's.
        noiseless: For R, shape (m,): true where it has no thermal noise (``noisy=0``).
        ac: For V and I, shape (m,), complex: amplitude in an AC analysis.
        waveforms: For V and I, m waveforms or None (then the value holds at all times).
        switches: For S, m models; ``values`` repeats their ``on_ohm``.
        expressions: For B, m texts such as ``"i=1e-3*tanh(v(a,b)/0.1)"``.
    """

    kind: Kind
    names: tuple[str, ...]
    nodes: Ints
    values: Floats
    controls: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    initial: Floats | None = None
    noise_psd: Floats | None = None
    temperature_kelvin: Floats | None = None
    noiseless: Flags | None = None
    ac: Complexes | None = None
    waveforms: tuple[Waveform | None, ...] = ()
    switches: tuple[SwitchModel, ...] = ()
    expressions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        m = len(self.names)
        what = f"{self.kind.name.lower()} table"
        if self.nodes.shape != (m, self.kind.terminals):
            raise MisuseError(f"{what}: nodes has shape {self.nodes.shape}, expected ({m}, {self.kind.terminals})")
        if self.values.shape != (m,):
            raise MisuseError(f"{what}: values has shape {self.values.shape}, expected ({m},)")
        self._refuse_missing_columns(what, m)
        for column, allowed in _OPTIONAL_COLUMNS.items():
            value: Any = getattr(self, column)
            if value is None or len(value) == 0:
                continue
            if self.kind not in allowed:
                raise MisuseError(f"{what}: {column} is for {' and '.join(k.value for k in allowed)} elements")
            if len(value) != m or (column in ("initial", "noise_psd", "ac") and not np.isfinite(value).all()):
                raise MisuseError(f"{what}: {column} has to be {m} finite numbers")
        if self.noise_psd is not None and (self.noise_psd < 0).any():
            raise MisuseError(f"{what}: noise_psd is a density in A^2/Hz, 0 or more")
        if self.temperature_kelvin is not None and (self.temperature_kelvin < 0).any():
            raise MisuseError(f"{what}: temperature_kelvin has to be 0 or more")
        self._refuse_bad_values(what)

    def _refuse_missing_columns(self, what: str, m: int) -> None:
        if (self.kind.is_current_controlled or self.kind is Kind.COUPLING) and len(self.controls) != m:
            raise MisuseError(f"{what}: {len(self.controls)} controlling sources for {m} elements")
        if self.kind is Kind.COUPLING and len(self.partners) != m:
            raise MisuseError(f"{what}: {len(self.partners)} second inductors for {m} elements")
        if self.kind is Kind.SWITCH and len(self.switches) != m:
            raise MisuseError(f"{what}: {len(self.switches)} models for {m} elements")
        if self.kind is Kind.BEHAVIORAL and len(self.expressions) != m:
            raise MisuseError(f"{what}: {len(self.expressions)} expressions for {m} elements")

    def _refuse_bad_values(self, what: str) -> None:
        bad = ~np.isfinite(self.values)
        if self.kind is Kind.RESISTOR:
            bad |= self.values == 0
        elif self.kind.stores_energy or self.kind is Kind.SWITCH:
            bad |= self.values <= 0
        elif self.kind is Kind.COUPLING:
            bad |= np.abs(self.values) > 1
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


_OPTIONAL_COLUMNS: Mapping[str, tuple[Kind, ...]] = {
    "controls": (Kind.CCCS, Kind.CCVS, Kind.COUPLING),
    "partners": (Kind.COUPLING,),
    "initial": (Kind.CAPACITOR, Kind.INDUCTOR),
    "noise_psd": (Kind.CURRENT_SOURCE,),
    "temperature_kelvin": (Kind.RESISTOR,),
    "noiseless": (Kind.RESISTOR,),
    "ac": (Kind.VOLTAGE_SOURCE, Kind.CURRENT_SOURCE),
    "waveforms": (Kind.VOLTAGE_SOURCE, Kind.CURRENT_SOURCE),
    "switches": (Kind.SWITCH,),
    "expressions": (Kind.BEHAVIORAL,),
}
"""Which kinds may have which column."""

_ARRAY_DEFAULTS: Mapping[str, float | complex | bool] = {
    "initial": 0.0,
    "noise_psd": 0.0,
    "temperature_kelvin": float("nan"),
    "noiseless": False,
    "ac": 0j,
}
"""What a row has where its table left the column out."""


def joined(rows: list[Table]) -> Table:
    """Tables of one kind as one table, in their order; an optional column that none of them has stays out."""
    if len(rows) == 1:
        return rows[0]

    def array(column: str) -> NDArray[Any] | None:
        parts = [getattr(row, column) for row in rows]
        if all(part is None for part in parts):
            return None
        fill = _ARRAY_DEFAULTS[column]
        return np.concatenate([np.full(len(row), fill) if p is None else p for p, row in zip(parts, rows, strict=True)])

    def listed(column: str) -> tuple[Any, ...]:
        return tuple(chain.from_iterable(getattr(row, column) for row in rows))

    waveforms: tuple[Waveform | None, ...] = ()
    if any(row.waveforms for row in rows):
        waveforms = tuple(w for row in rows for w in (row.waveforms or (None,) * len(row)))
    return Table(
        kind=rows[0].kind,
        names=listed("names"),
        nodes=np.concatenate([row.nodes for row in rows]),
        values=np.concatenate([row.values for row in rows]),
        controls=listed("controls"),
        partners=listed("partners"),
        initial=array("initial"),
        noise_psd=array("noise_psd"),
        temperature_kelvin=array("temperature_kelvin"),
        noiseless=array("noiseless"),
        ac=array("ac"),
        waveforms=waveforms if any(w is not None for w in waveforms) else (),
        switches=listed("switches"),
        expressions=listed("expressions"),
    )
