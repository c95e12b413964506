"""Modified nodal analysis: a linear circuit to its state equations, exactly.

Every capacitor is replaced by a voltage source (its voltage is a state) and every inductor by a current source (its
current is a state); the remaining resistive circuit is solved once, sparsely, for all capacitor currents and inductor
voltages as functions of states, inputs and noise currents.  Then C dv/dt = i and L di/dt = v are the equations.

Source: the hybrid (port) formulation of state equations, Chua and Lin, "Computer-Aided Analysis of Electronic
Circuits" (1975), ch. 8.  It holds where no loop of capacitors and voltage sources and no cut-set of inductors and
current sources exists; other circuits are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist.flatten import flatten
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.tables import Floats, Ints, Kind, Table
from tngd_hw.outcome import MisuseError

__all__ = ["CONSTANT_INPUT", "StateEquations", "initial_state", "state_equations"]

CONSTANT_INPUT = "constant"
"""Name of the last input of the equations: 1 V or 1 A times every source that is not an input, in one column."""

_BRANCH_KINDS = (Kind.VOLTAGE_SOURCE, Kind.VCVS, Kind.CCVS, Kind.CAPACITOR)
_STATE_KINDS = (Kind.CAPACITOR, Kind.INDUCTOR)
_Triplet = tuple[Ints, Ints, Floats]


@dataclass(frozen=True, eq=False)
class StateEquations:
    """The equations of a circuit.

    Attributes:
        sde: States are capacitor voltages, then inductor currents; inputs are the netlist's, then the constant; outputs
            are its output nodes.
        initial_state: Shape (n,), from the ``ic`` values.
        input_values: Shape (m,): the sources' values in the netlist, and 1 for the constant.
    """

    sde: LinearSDE
    initial_state: torch.Tensor
    input_values: torch.Tensor


def state_equations(netlist: Netlist) -> StateEquations:
    """Equations dx = (F x + E u) dt + B dW, y = C x + D u + D_w xi of ``netlist``.

    Noise: every current source with ``noise_psd`` S (one-sided, A^2/Hz) is a column sqrt(S/2) of the noise input.
    Cost: one sparse LU of the nodes and branches, one solve a state, input and noise source.

    Raises:
        MisuseError: Floating nodes (named), or a loop of capacitors and voltage sources.
    """
    flat = flatten(netlist)
    system = _Resistive(flat)
    drive = _drive_columns(flat, system)
    response = system.solve(drive.matrix)
    rates, names = _state_rates(flat, system, response)
    outputs = np.array([flat.node_names.index(name) - 1 for name in flat.outputs], dtype=np.int64)
    voltages = response[outputs]
    n, m = drive.states, drive.inputs
    sde = LinearSDE(
        rates[:, :n], rates[:, n : n + m], rates[:, n + m :], voltages[:, :n],
        D=voltages[:, n : n + m], D_w=voltages[:, n + m :],
        state_names=names, input_names=(*flat.inputs, CONSTANT_INPUT), output_names=flat.outputs,
    )  # fmt: skip
    return StateEquations(sde, _initial_values(flat), torch.from_numpy(drive.input_values))


def initial_state(netlist: Netlist) -> torch.Tensor:
    """The state at t = 0 alone, shape (n,): the ``ic`` values, in the order of :func:`state_equations`."""
    return _initial_values(flatten(netlist))


def _initial_values(flat: Netlist) -> torch.Tensor:
    tables = [table for kind in _STATE_KINDS if (table := flat.table(kind)) is not None]
    starts = [np.zeros(len(table)) if table.initial is None else table.initial for table in tables]
    return torch.from_numpy(np.concatenate(starts))


@dataclass(frozen=True, eq=False)
class _Drive:
    """Right-hand sides of the resistive circuit: one column a state, an input and a noise source."""

    matrix: Floats
    states: int
    inputs: int
    input_values: Floats


class _Resistive:
    """The circuit with capacitors as voltage sources and inductors as current sources: M [v; i] = rhs."""

    def __init__(self, flat: Netlist) -> None:
        self.flat = flat
        self.n_nodes = len(flat.node_names) - 1
        self.branch: dict[Kind, Ints] = {}
        self.size = self.n_nodes
        for kind in _BRANCH_KINDS:
            table = flat.table(kind)
            if table is not None:
                self.branch[kind] = self.size + np.arange(len(table), dtype=np.int64)
                self.size += len(table)
        voltage = flat.table(Kind.VOLTAGE_SOURCE)
        self._source_number = {} if voltage is None else {name: k for k, name in enumerate(voltage.names)}
        _refuse_floating(flat)

    def solve(self, rhs: Floats) -> Floats:
        parts = list(self._stamps())
        rows, columns, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        keep = (rows >= 0) & (columns >= 0)
        shape = (self.size, self.size)
        matrix = sparse.csc_array((values[keep], (rows[keep], columns[keep])), shape=shape)
        try:
            solution = splu(matrix).solve(rhs)
        except RuntimeError:
            solution = np.full_like(rhs, np.nan)
        if not np.isfinite(solution).all():
            raise MisuseError(
                f"netlist {self.flat.title!r}: the equations are singular; look for a loop of capacitors and voltage "
                "sources, or an amplifier without feedback"
            )
        return solution

    def _stamps(self) -> Iterator[_Triplet]:
        for table in self.flat.tables:
            nodes = table.nodes - 1
            if table.kind is Kind.RESISTOR:
                yield from _conductance(nodes[:, :2], nodes[:, :2], 1.0 / table.values)
            elif table.kind is Kind.VCCS:
                yield from _conductance(nodes[:, :2], nodes[:, 2:], table.values)
            elif table.kind is Kind.CCCS:
                yield from _current(nodes, self._controlling(table), table.values)
            elif table.kind in self.branch:
                yield from self._branch_stamps(table, nodes, self.branch[table.kind])

    def _branch_stamps(self, table: Table, nodes: Ints, branch: Ints) -> Iterator[_Triplet]:
        one = np.ones(len(table))
        yield from _current(nodes, branch, one)
        yield branch, nodes[:, 0], one
        yield branch, nodes[:, 1], -one
        if table.kind is Kind.VCVS:
            yield branch, nodes[:, 2], -table.values
            yield branch, nodes[:, 3], table.values
        if table.kind is Kind.CCVS:
            yield branch, self._controlling(table), -table.values

    def _controlling(self, table: Table) -> Ints:
        try:
            numbers = [self._source_number[name] for name in table.controls]
        except KeyError as error:
            raise MisuseError(f"netlist {self.flat.title!r}: no voltage source named {error}") from None
        return self.branch[Kind.VOLTAGE_SOURCE][numbers]


def _conductance(out: Ints, control: Ints, value: Floats) -> Iterator[_Triplet]:
    """A current value * (v_c - v_d) from node a to node b."""
    for row, row_sign in ((0, 1.0), (1, -1.0)):
        for column, column_sign in ((0, 1.0), (1, -1.0)):
            yield out[:, row], control[:, column], row_sign * column_sign * value


def _current(nodes: Ints, branch: Ints, gain: Floats) -> Iterator[_Triplet]:
    """gain times the current of ``branch`` leaves the first node and enters the second."""
    yield nodes[:, 0], branch, gain
    yield nodes[:, 1], branch, -gain


def _drive_columns(flat: Netlist, system: _Resistive) -> _Drive:
    capacitors, inductors = flat.table(Kind.CAPACITOR), flat.table(Kind.INDUCTOR)
    voltages, currents = flat.table(Kind.VOLTAGE_SOURCE), flat.table(Kind.CURRENT_SOURCE)
    n_c = 0 if capacitors is None else len(capacitors)
    n = n_c + (0 if inductors is None else len(inductors))
    m = len(flat.inputs) + 1
    psd = np.zeros(0) if currents is None or currents.noise_psd is None else currents.noise_psd
    noisy = np.flatnonzero(psd)
    matrix = np.zeros((system.size, n + m + len(noisy)))
    if n_c:
        matrix[system.branch[Kind.CAPACITOR], np.arange(n_c)] = 1.0
    if inductors is not None:
        _inject(matrix, inductors.nodes, np.arange(n_c, n), np.ones(len(inductors)))
    position = {name: k for k, name in enumerate(flat.inputs)}
    values = np.zeros(m)
    values[-1] = 1.0
    for table in (voltages, currents):
        if table is None:
            continue
        column = np.array([position.get(name, m - 1) for name in table.names], dtype=np.int64)
        constant = column == m - 1
        values[column[~constant]] = table.values[~constant]
        amount = np.where(constant, table.values, 1.0)
        if table.kind is Kind.VOLTAGE_SOURCE:
            matrix[system.branch[Kind.VOLTAGE_SOURCE], n + column] = amount
        else:
            _inject(matrix, table.nodes, n + column, amount)
    if currents is not None and len(noisy):
        strength = np.sqrt(psd[noisy] / 2)
        _inject(matrix, currents.nodes[noisy], n + m + np.arange(len(noisy)), strength)
    return _Drive(matrix, n, m, values)


def _inject(matrix: Floats, nodes: Ints, columns: Ints, amount: Floats) -> None:
    """A current leaves the first node and enters the second: minus and plus on the right-hand side."""
    for side, sign in ((0, -1.0), (1, 1.0)):
        rows = nodes[:, side] - 1
        live = rows >= 0
        np.add.at(matrix, (rows[live], columns[live]), sign * amount[live])


def _state_rates(flat: Netlist, system: _Resistive, response: Floats) -> tuple[Floats, tuple[str, ...]]:
    rates: list[Floats] = []
    names: list[str] = []
    padded = np.vstack([response[: system.n_nodes], np.zeros((1, response.shape[1]))])  # row -1 is ground
    for kind in _STATE_KINDS:
        table = flat.table(kind)
        if table is None:
            continue
        if kind is Kind.CAPACITOR:
            flow = response[system.branch[kind]]
        else:
            flow = padded[table.nodes[:, 0] - 1] - padded[table.nodes[:, 1] - 1]
        rates.append(flow / table.values[:, None])
        names += [f"{kind.value.lower()}{name}" for name in table.names]
    if not rates:
        raise MisuseError(f"netlist {flat.title!r} has no capacitor and no inductor: there is no state to simulate")
    return np.concatenate(rates), tuple(names)


def _refuse_floating(flat: Netlist) -> None:
    """Name the nodes with no path to ground through elements that say something about a voltage.

    Current sources, inductors (current sources here) and controlling pairs say nothing; a node that has only those
    would leave the equations singular up to rounding.
    """
    pairs = [t.nodes[:, :2] for t in flat.tables if t.kind not in (Kind.CURRENT_SOURCE, Kind.INDUCTOR)]
    edges = np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.int64)
    n = len(flat.node_names)
    graph = sparse.coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    loose = [name for name, part in zip(flat.node_names, label, strict=True) if part != label[0]]
    if loose:
        raise MisuseError(
            f"netlist {flat.title!r}: node{'s' if len(loose) > 1 else ''} {', '.join(loose[:5])} "
            "float; connect them to ground through a resistor or a capacitor"
        )
