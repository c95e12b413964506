"""The resistive part of a circuit in symbols: M w = P p + Q u + N i, as :mod:`tngd_hw.netlist.resistive` has it.

w holds the node voltages and the currents of V, E and H; storage elements are sources p.  Element by element, without
scaling: what a reader can follow, and a check on the other.
"""

from __future__ import annotations

from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.noise_columns import NoiseCurrents
from tngd_hw.netlist.storage import Storage
from tngd_hw.netlist.symbolic_algebra import Expression, Matrix, matrix, number, solved_exactly, zeros
from tngd_hw.netlist.symbolic_names import SymbolTable
from tngd_hw.netlist.tables import Flags, Kind, Table
from tngd_hw.outcome import MisuseError

__all__ = ["SymbolicPart"]

_BRANCH_KINDS = (Kind.VOLTAGE_SOURCE, Kind.VCVS, Kind.CCVS)


class SymbolicPart:
    """M and the right-hand sides of a circuit.

    Attributes:
        inputs: One expression a column of Q: a symbol an input, then 1 when other sources have values.
    """

    def __init__(self, flat: Netlist, storage: Storage, as_voltage: Flags, symbols: SymbolTable) -> None:
        self.flat, self.storage, self.as_voltage, self.symbols = flat, storage, as_voltage, symbols
        nodes = len(flat.node_names) - 1
        self._branch: dict[str, int] = {}
        for table in filter(None, map(flat.table, _BRANCH_KINDS)):
            for name in table.names:
                self._branch[label(table, name)] = nodes + len(self._branch)
        for k, name in enumerate(storage.names):
            if as_voltage[k]:
                self._branch[name] = nodes + len(self._branch)
        self.size = nodes + len(self._branch)
        self.M = zeros(self.size, self.size)
        self._stamp()
        self.inputs, self._drive = self._sources()

    def answers(self, currents: NoiseCurrents) -> tuple[Matrix, Matrix, Matrix]:
        """w for unit storage sources (size, s), for the inputs and for unit noise currents.

        Raises:
            MisuseError: The resistive part is singular.
        """
        noise = zeros(self.size, len(currents))
        for k, nodes in enumerate(currents.nodes.tolist()):
            self._inject(noise, nodes, k, number(1))
        right = self._storage_sources().row_join(self._drive).row_join(noise)
        found = solved_exactly(matrix(self.M), matrix(right))
        if found is None:
            raise MisuseError(
                f"netlist {self.flat.title!r}: its resistive part is singular, the symbolic derivation does not cover "
                "such circuits; ask for state_equations"
            )
        s, m = len(self.storage), len(self.inputs)
        return matrix(found[:, :s]), matrix(found[:, s : s + m]), matrix(found[:, s + m :])

    def flow_rows(self) -> Matrix:
        """Reads off w the current of storage elements that are voltage sources, the voltage of the others."""
        rows = zeros(len(self.storage), self.size)
        for k, name in enumerate(self.storage.names):
            if self.as_voltage[k]:
                rows[k, self._branch[name]] = 1
                continue
            for node, sign in zip(self.storage.nodes[k].tolist(), (1, -1), strict=True):
                if node:
                    rows[k, node - 1] += sign
        return matrix(rows)

    def _stamp(self) -> None:
        for table in self.flat.tables:
            for k, name in enumerate(table.names):
                nodes, what = table.nodes[k].tolist(), label(table, name)
                if table.kind in (Kind.RESISTOR, Kind.VCCS):
                    value = self.symbols.value(what, float(table.values[k]))
                    self._conduct(nodes[:2], nodes[-2:], 1 / value if table.kind is Kind.RESISTOR else value)
                elif table.kind in _BRANCH_KINDS:
                    self._voltage(nodes[:2], self._branch[what])
                if table.kind in (Kind.VCVS, Kind.CCCS, Kind.CCVS):
                    self._control(table, k, self.symbols.gain(what, float(table.values[k])))
        for k, name in enumerate(self.storage.names):
            if self.as_voltage[k]:
                self._voltage(self.storage.nodes[k].tolist(), self._branch[name])

    def _control(self, table: Table, k: int, gain: Expression) -> None:
        """What row k of a table of E, F or H takes from elsewhere."""
        nodes, own = table.nodes[k].tolist(), label(table, table.names[k])
        if table.kind is Kind.VCVS:
            self._relate(self._branch[own], nodes[2:], -gain)
            return
        measured = self._branch[f"v{table.controls[k]}"]
        if table.kind is Kind.CCCS:
            self._leave(nodes, measured, gain)
        else:
            self.M[self._branch[own], measured] -= gain

    def _conduct(self, out: list[int], control: list[int], siemens: Expression) -> None:
        for row, row_sign in zip(out, (1, -1), strict=True):
            if row:
                self._relate(row - 1, control, row_sign * siemens)

    def _relate(self, row: int, control: list[int], factor: Expression) -> None:
        """factor (v_first - v_second) into a row."""
        for node, sign in zip(control, (1, -1), strict=True):
            if node:
                self.M[row, node - 1] += sign * factor

    def _leave(self, nodes: list[int], branch: int, gain: Expression) -> None:
        for node, sign in zip(nodes, (1, -1), strict=True):
            if node:
                self.M[node - 1, branch] += sign * gain

    def _voltage(self, nodes: list[int], branch: int) -> None:
        self._leave(nodes, branch, number(1))
        self._relate(branch, nodes, number(1))

    def _storage_sources(self) -> Matrix:
        right = zeros(self.size, len(self.storage))
        for k, name in enumerate(self.storage.names):
            if self.as_voltage[k]:
                right[self._branch[name], k] = 1
            else:
                self._inject(right, self.storage.nodes[k].tolist(), k, number(1))
        return right

    def _sources(self) -> tuple[tuple[Expression, ...], Matrix]:
        names = self.flat.inputs
        right, constant = zeros(self.size, len(names) + 1), False
        inputs: list[Expression] = [number(1)] * (len(names) + 1)
        for table in self.flat.tables:
            if not table.kind.is_source:
                continue
            for k, name in enumerate(table.names):
                value: Expression = number(1)
                column = names.index(name) if name in names else len(names)
                if column < len(names):
                    inputs[column] = self.symbols.variable(label(table, name))
                elif table.values[k] == 0:
                    continue
                else:
                    value, constant = self.symbols.value(label(table, name), float(table.values[k])), True
                if table.kind is Kind.VOLTAGE_SOURCE:
                    right[self._branch[label(table, name)], column] += value
                else:
                    self._inject(right, table.nodes[k].tolist(), column, value)
        m = len(inputs) if constant else len(names)
        return tuple(inputs[:m]), matrix(right[:, :m])

    def _inject(self, right: Matrix, nodes: list[int], column: int, ampere: Expression) -> None:
        """A current leaves the first node and enters the second."""
        for node, sign in zip(nodes, (-1, 1), strict=True):
            if node:
                right[node - 1, column] += sign * ampere


def label(table: Table, name: str) -> str:
    """The element's name with its letter."""
    return f"{table.kind.value.lower()}{name}"
