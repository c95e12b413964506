"""Noise sources of a circuit: white currents beside resistors and where current sources ask for them.

A one-sided density S (A^2/Hz) is the column sqrt(S/2) of the noise input, since xi = dW/dt has two-sided density 1.
A resistor at temperature T has S = 4 k_B T / R (Nyquist, Phys. Rev. 32 (1928)).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from tngd_hw.netlist.linear_algebra import sparse_product, upper_triangle
from tngd_hw.netlist.linear_elements import SWITCH_PREFIX
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.tables import Floats, Ints, Kind
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN

if TYPE_CHECKING:
    from tngd_hw.netlist.factors import Factors
    from tngd_hw.netlist.resistive import ResistivePart

__all__ = ["NoiseCurrents", "NoiseSources", "noise_answers", "noise_currents", "square_root"]


class NoiseSources(enum.Enum):
    """Which noise sources of a circuit are heard: in its equations, and in a deck with a ``.noise`` analysis."""

    INJECTED = "injected"
    """The white currents of I sources with ``noise_psd``; in decks every resistor is written with noisy=0."""

    THERMAL = "thermal"
    """Every resistor at its own temperature, the on or off resistance of switches included, save ``noiseless`` ones.

    In the equations a negative resistor has none: it stands for an active circuit whose noise it does not tell.
    """

    ALL = "all"
    """Both."""

    @property
    def has_injected(self) -> bool:
        """Whether current sources with ``noise_psd`` are heard."""
        return self is not NoiseSources.THERMAL

    @property
    def has_thermal(self) -> bool:
        """Whether resistors are heard."""
        return self is not NoiseSources.INJECTED


@dataclass(frozen=True, eq=False)
class NoiseCurrents:
    """q white currents.

    Attributes:
        names: Element names with their letter, ``"rload"``, ``"inoise"``.
        nodes: Shape (q, 2): a current from the first node through the source to the second.
        psd: Shape (q,): one-sided density in A^2/Hz, above 0.
    """

    names: tuple[str, ...]
    nodes: Ints
    psd: Floats

    def __len__(self) -> int:
        return len(self.names)

    def columns(self, rows: int, scale: float) -> sparse.csc_array:
        """scale sqrt(S/2) into the nodes, shape (rows, q), sparse; row k is node k + 1."""
        strength = scale * np.sqrt(self.psd / 2)
        number = np.arange(len(self))
        row = np.concatenate([self.nodes[:, 0], self.nodes[:, 1]]) - 1
        value = np.concatenate([-strength, strength])
        column = np.concatenate([number, number])
        live = row >= 0
        return sparse.csc_array((value[live], (row[live], column[live])), shape=(rows, len(self)))

    def merged(self) -> NoiseCurrents:
        """Parallel sources as one: densities between the same two nodes add up, in law the same noise."""
        pairs, place = np.unique(np.sort(self.nodes, axis=1), axis=0, return_inverse=True)
        psd = np.zeros(len(pairs))
        np.add.at(psd, place.ravel(), self.psd)
        return NoiseCurrents(tuple(f"n{k}" for k in range(len(pairs))), pairs, psd)


def noise_currents(flat: Netlist, sources: NoiseSources) -> NoiseCurrents:
    """The noise currents of a circuit without cells; those of no strength, or with both ends on one node, left out."""
    found: list[tuple[list[str], Ints, Floats]] = []
    currents, resistors = flat.table(Kind.CURRENT_SOURCE), flat.table(Kind.RESISTOR)
    if sources.has_injected and currents is not None and currents.noise_psd is not None:
        found.append(([f"i{name}" for name in currents.names], currents.nodes, currents.noise_psd))
    if sources.has_thermal and resistors is not None:
        kelvin = np.full(len(resistors), flat.temperature_kelvin)
        if resistors.temperature_kelvin is not None:
            kelvin = np.where(np.isnan(resistors.temperature_kelvin), kelvin, resistors.temperature_kelvin)
        psd = np.maximum(4 * BOLTZMANN_JOULE_PER_KELVIN * kelvin / resistors.values, 0.0)
        if resistors.noiseless is not None:
            psd[resistors.noiseless] = 0.0
        names = [
            f"s{name.removeprefix(SWITCH_PREFIX)}" if name.startswith(SWITCH_PREFIX) else f"r{name}"
            for name in resistors.names
        ]
        found.append((names, resistors.nodes, psd))
    if not found:
        return NoiseCurrents((), np.zeros((0, 2), dtype=np.int64), np.zeros(0))
    nodes, psd = np.concatenate([part[1] for part in found]), np.concatenate([part[2] for part in found])
    live = (psd > 0) & (nodes[:, 0] != nodes[:, 1])
    names = tuple(name for part in found for name in part[0])
    return NoiseCurrents(tuple(names[k] for k in np.flatnonzero(live)), nodes[live], psd[live])


def square_root(columns: Floats | sparse.csc_array) -> Floats:
    """W of shape (rows, at most rows) with W W^T = columns columns^T, by QR: no squares are formed, nothing is lost.

    Cost: 2 q rows^2, 4 rows columns at a time.
    """
    rows, q = columns.shape
    triangle: Floats = np.zeros((0, rows))
    step = max(4 * rows, 1)
    for start in range(0, q, step):
        part = columns[:, start : start + step]
        dense = part.toarray() if isinstance(part, sparse.csc_array) else part
        triangle = upper_triangle(np.vstack([triangle, dense.T]))
    return triangle.T


def noise_answers(
    part: ResistivePart, factors: Factors, outputs: Ints, currents: NoiseCurrents, *, reduce_noise: bool
) -> Floats:
    """Flows and outputs (s + p rows) to every noise source, shape (s + p, q), q at most s + p where reduced.

    Few sources are solved for one by one.  Many are read off the answers to the rows: with Z = M^-T R^T, R the rows
    that read flows and outputs, a source is a column of Z^T.  A node whose row of Z is zero (the output of an ideal
    amplifier) is ground to the noise.
    """
    rows = len(part.storage) + len(outputs)
    if len(currents) == 0:
        return np.zeros((rows, 0))
    columns = currents.columns(part.size, part.reference_ohm)
    if len(currents) <= rows:
        solution = factors.solve(columns)
        part.check(solution, columns)
        return np.vstack([sparse_product(part.readout, solution), solution[outputs]])
    p = len(outputs)
    volts = sparse.csc_array((np.ones(p), (outputs, np.arange(p))), shape=(part.size, p))
    Z = factors.solve_transposed(sparse.csc_array(sparse.hstack([part.readout.T, volts])))
    if not reduce_noise:
        return sparse_product(sparse.csr_array(columns.T), Z).T
    deaf = np.append(False, ~Z[: part.n_nodes].any(axis=1))  # ground first
    heard = replace(currents, nodes=np.where(deaf[currents.nodes], 0, currents.nodes)).merged()
    by_source = sparse.csr_array(heard.columns(part.size, part.reference_ohm).T)
    return square_root(sparse_product(by_source, Z).T)
