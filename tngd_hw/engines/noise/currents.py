"""The white noise of a loaded chip as few current sources: what a path of samples drives in a simulator.

n^2 resistors need no n^2 sources.  Noise currents between the same two nodes are one whose density is their sum, and a
node held by an ideal voltage source or amplifier (against ground) is ground to noise currents: a resistor from such a
node to a summing node is a current into the summing node alone.  A resistor between two free nodes stays one current
out of the one and into the other, so that the two are correlated as they should be.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tngd_hw.netlist import Netlist
from tngd_hw.netlist.flatten import flatten
from tngd_hw.netlist.noise_columns import NoiseCurrents, NoiseSources, noise_currents
from tngd_hw.netlist.tables import Ints, Kind
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies import LoadedChip

__all__ = ["chip_currents", "injected_currents", "with_held_nodes_at_ground"]


def injected_currents(netlist: Netlist) -> NoiseCurrents:
    """The current sources with ``noise_psd``: names, nodes and densities.

    Raises:
        MisuseError: There is none.
    """
    found = noise_currents(netlist, NoiseSources.INJECTED)
    if not len(found):
        raise MisuseError(f"netlist {netlist.title!r} injects no noise: give a kappa above 0 or current sources a psd")
    return found


def chip_currents(loaded: LoadedChip, netlist: Netlist | None = None) -> NoiseCurrents:
    """All white noise of a chip: its injected sources, or with thermal noise one source a pair of free nodes.

    Args:
        loaded: A single chip.
        netlist: Its netlist under some drive; default that of the problem.

    Raises:
        MisuseError: There is no noise.
    """
    circuit = loaded.netlist() if netlist is None else netlist
    if not loaded.elements.noise_kelvin:
        return injected_currents(circuit)
    flat = flatten(circuit)
    found = noise_currents(flat, loaded.noise_sources)
    if not len(found):
        raise MisuseError(f"netlist {circuit.title!r} has no noise: give a kappa or temperatures above 0")
    inside = (found.nodes >= len(circuit.node_names)).any(axis=1)
    if inside.any():
        name = found.names[int(inside.argmax())]
        raise MisuseError(f"{name}: noise inside a cell has no node of the netlist; use the engine state_space")
    return with_held_nodes_at_ground(found, circuit).merged()


def with_held_nodes_at_ground(currents: NoiseCurrents, netlist: Netlist) -> NoiseCurrents:
    """The same noise with the nodes that ideal sources hold taken for ground; currents between such nodes left out."""
    held = _held_nodes(netlist)
    nodes = np.where(np.isin(currents.nodes, held), 0, currents.nodes)
    live = np.flatnonzero(nodes[:, 0] != nodes[:, 1])
    names = tuple(currents.names[k] for k in live)
    return replace(currents, names=names, nodes=nodes[live], psd=currents.psd[live])


def _held_nodes(netlist: Netlist) -> Ints:
    """Nodes with an ideal source of voltage to ground, save those whose current may be measured."""
    flat = flatten(netlist)
    measured = netlist.table(Kind.CCCS) is not None or netlist.table(Kind.CCVS) is not None
    sources = [flat.table(Kind.VCVS), flat.table(Kind.CCVS)]  # voltage sources inside cells measure currents
    if not measured:
        sources.append(netlist.table(Kind.VOLTAGE_SOURCE))
    found = [np.zeros(0, dtype=np.int64)]
    for table in sources:
        if table is not None:
            ends = table.nodes[:, :2]
            found.append(ends[(ends == 0).any(axis=1)].max(axis=1))
    return np.concatenate(found)
