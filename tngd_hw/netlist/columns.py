"""Columns of element tables as a reader fills them, row by row, with the line each row came from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tngd_hw.netlist.behavioral import parse_behavioral
from tngd_hw.netlist.element_cards import CellElement
from tngd_hw.netlist.expression import evaluate, names_in, plain_number, spice_number
from tngd_hw.netlist.tables import Floats, Kind, SwitchModel, Table
from tngd_hw.netlist.waveform import Waveform
from tngd_hw.outcome import MisuseError

__all__ = ["Columns"]


class Columns:
    """The rows of one kind.

    Attributes:
        names: Element names without the letter.
        nodes: Node indices, ``kind.terminals`` a row, flat.
        values: Values as in :class:`Table`.
        lines: Line of the deck of each row.
        extras: Column name to row to entry, for what few rows have.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.names: list[str] = []
        self.nodes: list[int] = []
        self.values: list[float] = []
        self.lines: list[int] = []
        self.extras: dict[str, dict[int, Any]] = {}

    def add(self, e: CellElement, nodes: list[int], line: int, names: dict[str, Floats], circuit_kelvin: float) -> None:
        """Append an element whose values are expressions of ``names``; MisuseError where one has no value."""

        def number(text: str) -> float:
            plain = plain_number(text)
            return float(evaluate(text, names)) if plain is None else plain

        value = number(e.value) if e.value else 0.0
        entries: dict[str, object] = {"controls": e.control, "partners": e.partner, "noiseless": e.noiseless}
        if e.shape is not None:
            waveform = Waveform(e.shape, tuple(number(text) for text in e.numbers))
            entries["waveforms"] = waveform
            value = value if e.value else waveform.start
        if e.switch is not None:
            entries["switches"] = e.switch
            value = e.switch.on_ohm
        if e.initial:
            entries["initial"] = number(e.initial)
        if e.above:
            entries["temperature_kelvin"] = circuit_kelvin + number(e.above)
        if e.ac:
            entries["ac"] = number(e.ac[0]) * np.exp(1j * np.deg2rad(number(e.ac[1])))
        if e.expression:
            entries["expressions"] = parse_behavioral(
                e.expression, {key: float(names[key]) for key in names_in(e.expression) & names.keys()}
            ).text
        row = len(self.names)
        for column, entry in entries.items():
            if entry != "" and entry is not False:
                self.extras.setdefault(column, {})[row] = entry
        self.names.append(e.name)
        self.nodes.extend(nodes)
        self.values.append(value)
        self.lines.append(line)

    def table(self) -> Table:
        """The table; MisuseError as :class:`Table` says it, for the reader to find the line with :meth:`bad_line`."""
        return self._part(0, len(self.names))

    def bad_line(self) -> int:
        """Line of the first row that no table can hold, by halving."""
        low, high = 0, len(self.names)
        while high - low > 1:
            middle = (low + high) // 2
            try:
                self._part(low, middle)
                low = middle
            except MisuseError:
                high = middle
        return self.lines[low]

    def _part(self, low: int, high: int) -> Table:
        m, terminals = high - low, self.kind.terminals
        return Table(
            kind=self.kind,
            names=tuple(self.names[low:high]),
            nodes=np.array(self.nodes[low * terminals : high * terminals], dtype=np.int64).reshape(m, terminals),
            values=np.array(self.values[low:high], dtype=np.float64),
            controls=self._listed("controls", "", low, high),
            partners=self._listed("partners", "", low, high),
            initial=self._array("initial", 0.0, low, high),
            noise_psd=self._array("noise_psd", 0.0, low, high),
            temperature_kelvin=self._array("temperature_kelvin", float("nan"), low, high),
            noiseless=self._array("noiseless", False, low, high),
            ac=self._array("ac", 0j, low, high),
            waveforms=self._listed("waveforms", None, low, high),
            switches=self._listed("switches", SwitchModel(1.0, 1.0), low, high),
            expressions=self._listed("expressions", "", low, high),
        )

    def _array(self, column: str, fill: float | complex | bool, low: int, high: int) -> NDArray[Any] | None:
        entries = self.extras.get(column)
        if entries is None:
            return None
        return np.array([entries.get(row, fill) for row in range(low, high)])

    def _listed(self, column: str, fill: object, low: int, high: int) -> tuple[Any, ...]:
        entries = self.extras.get(column)
        return () if entries is None else tuple(entries.get(row, fill) for row in range(low, high))


def number_of(text: str, names: dict[str, Floats]) -> float:
    """Value of a number with a suffix, or of an expression."""
    try:
        return spice_number(text)
    except MisuseError:
        return float(evaluate(text, names))
