"""The resistive part of a circuit: capacitors and inductors as sources, everything else in one sparse matrix.

Each storage element k is a voltage source or a current source p_k; the rest of the circuit answers with the other
quantity of the element.  With w = [node voltages; R0 times the currents of voltage branches] the circuit is

    M w = P p + Q u + N xi

and as a descriptor system D ds/dt = flow with s and the flow read off p and w.  All rows and unknowns are in volts:
currents are multiplied by a reference resistance R0, a power of two below the circuit's own resistances.

Source: the hybrid formulation, Chua and Lin, "Computer-Aided Analysis of Electronic Circuits" (1975), ch. 8; stamps as
in Ho, Ruehli and Brennan, "The modified nodal approach to network analysis", IEEE Trans. CAS 22 (1975).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tngd_hw.netlist.factors import Factors, factors
from tngd_hw.netlist.linear_algebra import sparse_product
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.storage import Storage
from tngd_hw.netlist.tables import Flags, Floats, Ints, Kind, Table
from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status

__all__ = ["CONSTANT_INPUT", "Drive", "ResistivePart", "drive_columns"]

CONSTANT_INPUT = "constant"
"""Name of the input after the netlist's own: 1 V or 1 A times every source that is not an input, in one column."""

_BRANCH_KINDS = (Kind.VOLTAGE_SOURCE, Kind.VCVS, Kind.CCVS)
_RESIDUAL = 1e-9
_Triplet = tuple[Ints, Ints, Floats]


class ResistivePart:
    """M of a circuit and where its unknowns are.

    Attributes:
        flat: The circuit, without cells and switches.
        storage: Its storage elements.
        as_voltage: Shape (s,): which of them are voltage sources here.
        n_nodes: Number of nodes without ground; they are the first unknowns.
        size: Number of unknowns.
        branch: Unknowns of the currents of V, E and H.
        storage_branch: Unknowns of the currents of the storage elements, -1 where they are current sources.
        matrix: M, shape (size, size), sparse.
        reference_ohm: R0.
        readout: Shape (s, size), sparse: the answer of every storage element, current where it is a voltage source.
    """

    def __init__(self, flat: Netlist, storage: Storage, as_voltage: Flags) -> None:
        self.flat, self.storage, self.as_voltage = flat, storage, as_voltage
        self.reference_ohm = _reference_ohm(flat, storage)
        self.n_nodes = len(flat.node_names) - 1
        self.size = self.n_nodes
        self.branch: dict[Kind, Ints] = {}
        for table in filter(None, map(flat.table, _BRANCH_KINDS)):
            self.branch[table.kind] = self.size + np.arange(len(table), dtype=np.int64)
            self.size += len(table)
        driven = np.flatnonzero(as_voltage)
        self.storage_branch = np.full(len(storage), -1, dtype=np.int64)
        self.storage_branch[driven] = self.size + np.arange(len(driven))
        self.size += len(driven)
        voltage = flat.table(Kind.VOLTAGE_SOURCE)
        self._source_number = {} if voltage is None else {name: k for k, name in enumerate(voltage.names)}
        self.matrix = sparse.csc_array(_assembled(self._stamps(), (self.size, self.size)))
        self.readout = self._readout()

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Names of w: ``"v(node)"``, then ``"i(velement)"``."""
        names = [f"v({name})" for name in self.flat.node_names[1:]]
        for table in filter(None, map(self.flat.table, _BRANCH_KINDS)):
            names += [f"i({table.kind.value.lower()}{name})" for name in table.names]
        return (*names, *(f"i({self.storage.names[k]})" for k in np.flatnonzero(self.as_voltage)))

    def factor(self) -> Factors | None:
        """M ready to solve with, or None where M is singular, or so near it that a closer look is needed."""
        return factors(self.matrix) if self.size else None

    def sources(self) -> sparse.csc_array:
        """P: the storage elements as unit sources, shape (size, s), sparse."""
        driven, injected = np.flatnonzero(self.as_voltage), np.flatnonzero(~self.as_voltage)
        stamps = [
            (self.storage_branch[driven], driven, np.ones(len(driven))),
            *_injection(self.storage.nodes[injected], injected, np.ones(len(injected))),
        ]
        return sparse.csc_array(_assembled(iter(stamps), (self.size, len(self.storage))))

    def check(self, solution: Floats, right: sparse.csc_array) -> None:
        """OutcomeError unless M solution = right to 1e-9 of the terms of each row, for one random mix of columns."""
        probe = np.random.default_rng(0).uniform(0.5, 1.0, right.shape[1])
        w: Floats = np.dot(solution, probe)
        rhs = sparse_product(right, probe)
        size = sparse_product(abs(self.matrix), np.abs(w)) + np.abs(rhs)
        excess = np.abs(sparse_product(self.matrix, w) - rhs) - _RESIDUAL * np.maximum(
            size, 1e-3 * size.max(initial=0.0)
        )
        if not bool((excess <= 0).all()):
            detail = f"netlist {self.flat.title!r}: the circuit's equations are not solved to rounding"
            raise OutcomeError(Status(Outcome.CHECK_FAILED, detail))

    def _stamps(self) -> Iterator[_Triplet]:
        ohm = self.reference_ohm
        for table in self.flat.tables:
            nodes = np.asfortranarray(table.nodes) - 1  # column by column is how they are read
            if table.kind is Kind.RESISTOR:
                yield from _conductance(nodes[:, :2], nodes[:, :2], ohm / table.values)
            elif table.kind is Kind.VCCS:
                yield from _conductance(nodes[:, :2], nodes[:, 2:], ohm * table.values)
            elif table.kind is Kind.CCCS:
                yield from _current(nodes, self._controlling(table), table.values)
            elif table.kind in self.branch:
                branch = self.branch[table.kind]
                yield from _voltage_branch(nodes, branch)
                if table.kind is Kind.VCVS:
                    yield branch, nodes[:, 2], -table.values
                    yield branch, nodes[:, 3], table.values
                if table.kind is Kind.CCVS:
                    yield branch, self._controlling(table), -table.values / ohm
        driven = np.flatnonzero(self.as_voltage)
        yield from _voltage_branch(self.storage.nodes[driven] - 1, self.storage_branch[driven])

    def _controlling(self, table: Table) -> Ints:
        try:
            numbers = [self._source_number[name] for name in table.controls]
        except KeyError as error:
            raise MisuseError(f"netlist {self.flat.title!r}: no voltage source named {error}") from None
        return self.branch[Kind.VOLTAGE_SOURCE][numbers]

    def _readout(self) -> sparse.csr_array:
        driven, others = np.flatnonzero(self.as_voltage), np.flatnonzero(~self.as_voltage)
        ends, one = self.storage.nodes[others] - 1, np.ones(len(others))
        triplets: list[_Triplet] = [
            (driven, self.storage_branch[driven], np.ones(len(driven))),
            (others, ends[:, 0], one),
            (others, ends[:, 1], -one),
        ]
        return sparse.csr_array(_assembled(iter(triplets), (len(self.storage), self.size)))


@dataclass(frozen=True, eq=False)
class Drive:
    """Columns of the independent sources.

    Attributes:
        matrix: Q, shape (size, m), sparse: the netlist's inputs in their order, then the constant.
        values: Shape (m,): the sources' values, and 1.
    """

    matrix: sparse.csc_array
    values: Floats


def drive_columns(part: ResistivePart, inputs: tuple[str, ...]) -> Drive:
    """Q of the inputs, every other source in the last column."""
    m = len(inputs) + 1
    values = np.zeros(m)
    values[-1] = 1.0
    nothing = np.zeros(0, dtype=np.int64)
    stamps: list[_Triplet] = [(nothing, nothing, np.zeros(0))]
    position = {place: k for k, place in enumerate(part.flat.sources(inputs))}
    for kind in (Kind.VOLTAGE_SOURCE, Kind.CURRENT_SOURCE):
        table = part.flat.table(kind)
        if table is None:
            continue
        column = np.array([position.get((kind, row), m - 1) for row in range(len(table))], dtype=np.int64)
        constant = column == m - 1
        values[column[~constant]] = table.values[~constant]
        amount = np.where(constant, table.values, 1.0)
        if kind is Kind.VOLTAGE_SOURCE:
            stamps.append((part.branch[kind], column, amount))
        else:
            stamps += _injection(table.nodes, column, part.reference_ohm * amount)
    return Drive(sparse.csc_array(_assembled(iter(stamps), (part.size, m))), values)


def _injection(nodes: Ints, columns: Ints, amount: Floats) -> Iterator[_Triplet]:
    """A current leaves the first node and enters the second: minus and plus on the right-hand side."""
    yield nodes[:, 0] - 1, columns, -amount
    yield nodes[:, 1] - 1, columns, amount


def _assembled(triplets: Iterator[_Triplet], shape: tuple[int, int]) -> sparse.coo_array:
    """The sparse sum of triplets; ground has row and column -1 and is left out."""
    parts: list[_Triplet] = []
    for rows, columns, values in triplets:
        live = np.flatnonzero((rows >= 0) & (columns >= 0))
        parts.append((rows[live], columns[live], values[live]))
    row, column, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sparse.coo_array((value, (row, column)), shape=shape)


def _voltage_branch(nodes: Ints, branch: Ints) -> Iterator[_Triplet]:
    """The branch's current leaves its first node; its voltage is first node minus second."""
    one = np.ones(len(branch))
    yield from _current(nodes, branch, one)
    yield branch, nodes[:, 0], one
    yield branch, nodes[:, 1], -one


def _conductance(out: Ints, control: Ints, value: Floats) -> Iterator[_Triplet]:
    """A current value * (v_c - v_d) from node a to node b."""
    for row, row_sign in ((0, 1.0), (1, -1.0)):
        for column, column_sign in ((0, 1.0), (1, -1.0)):
            yield out[:, row], control[:, column], row_sign * column_sign * value


def _current(nodes: Ints, branch: Ints, gain: Floats) -> Iterator[_Triplet]:
    """gain times the current of ``branch`` leaves the first node and enters the second."""
    yield nodes[:, 0], branch, gain
    yield nodes[:, 1], branch, -gain


def _reference_ohm(flat: Netlist, storage: Storage) -> float:
    """A thousandth of the geometric mean of the resistances (sqrt(L/C) without any), as a power of two.

    Then scaling makes no rounding, and the LU pivots on the ones of the topology before it does on conductances.
    """
    resistors, transconductors = flat.table(Kind.RESISTOR), flat.table(Kind.VCCS)
    logs = [np.log2(np.abs(resistors.values))] if resistors is not None else []
    if transconductors is not None:
        logs.append(-np.log2(np.abs(transconductors.values[transconductors.values != 0])))
    if any(len(part) for part in logs):
        mean = float(np.concatenate(logs).mean())
    elif 0 < np.count_nonzero(storage.capacitor) < len(storage):
        logs_of_values: Floats = np.log2(storage.values)
        mean = float(logs_of_values[~storage.capacitor].mean() - logs_of_values[storage.capacitor].mean()) / 2
    else:
        return 1.0
    return 2.0 ** round(mean - 10)
