"""The operating point: every source at its constant value, capacitors open, inductors short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tngd_hw.netlist.descriptor import singular_circuit
from tngd_hw.netlist.linear_elements import linear_elements
from tngd_hw.netlist.loops import refuse_floating, refuse_source_loops
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.resistive import ResistivePart, drive_columns
from tngd_hw.netlist.storage import storage_elements
from tngd_hw.netlist.tables import Kind

__all__ = ["DcSolution", "operating_point"]


@dataclass(frozen=True, eq=False)
class DcSolution:
    """Voltages and currents that a circuit rests at.

    Attributes:
        voltage_volt: By node name, without ground; in the order of the netlist's nodes, those inside cells after them.
        current_ampere: By element name with its letter, for V, E, H and L: out of the first node, through the element.
    """

    voltage_volt: Mapping[str, float]
    current_ampere: Mapping[str, float]


def operating_point(netlist: Netlist) -> DcSolution:
    """Solve the circuit at rest: M w = Q u with C open and L short.  Cost: one sparse LU.

    Whether the circuit settles there is for its eigenvalues to say.  A switch hangs on constant sources, inputs at
    their present values included.

    Raises:
        MisuseError: Nodes that float at DC (reached through capacitors alone, for example), loops of voltage sources
            and inductors, singular equations (all by name), nonlinear elements.
        OutcomeError: CHECK_FAILED, when the solution does not satisfy the equations to rounding.
    """
    flat = linear_elements(netlist)
    refuse_floating(flat, (Kind.CURRENT_SOURCE, Kind.CAPACITOR))
    refuse_source_loops(flat, (Kind.VOLTAGE_SOURCE, Kind.INDUCTOR))
    storage = storage_elements(flat)
    part = ResistivePart(flat, storage, ~storage.capacitor)
    if part.size == 0:
        return DcSolution({}, {})
    factors = part.factor()
    if factors is None:
        raise singular_circuit(flat.title, part.matrix.toarray(), part.unknowns)
    right = drive_columns(part, ()).matrix
    solution = factors.solve(right)
    part.check(solution, right)
    volts = dict(zip(flat.node_names[1:], solution[: part.n_nodes, 0].tolist(), strict=True))
    names = (name.removeprefix("i(").removesuffix(")") for name in part.unknowns[part.n_nodes :])
    amperes = np.divide(solution[part.n_nodes :, 0], part.reference_ohm)
    return DcSolution(volts, dict(zip(names, amperes.tolist(), strict=True)))
