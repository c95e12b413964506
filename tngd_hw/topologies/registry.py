"""The topologies there are: a new one is its file and one entry here."""

from __future__ import annotations

import difflib

from tngd_hw.outcome import MisuseError
from tngd_hw.topologies.base import Topology
from tngd_hw.topologies.integrator import Integrator

__all__ = ["TOPOLOGIES", "find_topology"]

TOPOLOGIES: tuple[Topology, ...] = (Integrator(),)


def find_topology(name: str) -> Topology:
    """The topology called ``name``; MisuseError offers the nearest."""
    for topology in TOPOLOGIES:
        if topology.name == name:
            return topology
    names = [topology.name for topology in TOPOLOGIES]
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.3)
    offer = f"; did you mean {near[0]!r}?" if near else ""
    raise MisuseError(f"topology = {name!r}: the topologies are {', '.join(names)}{offer}")
