"""The topologies there are: a new one is its file and one entry here."""

from __future__ import annotations

import difflib

from tngd_hw.outcome import MisuseError
from tngd_hw.topologies.amc_inverse import AmcInverse
from tngd_hw.topologies.base import Topology
from tngd_hw.topologies.gm_c import GmC
from tngd_hw.topologies.integrator import Integrator
from tngd_hw.topologies.passive_rc import PassiveRC
from tngd_hw.topologies.rlc_spu import RlcSpu
from tngd_hw.topologies.three_array import ThreeArray

__all__ = ["TOPOLOGIES", "find_topology"]

TOPOLOGIES: tuple[Topology, ...] = (
    PassiveRC(),
    GmC(),
    Integrator(),
    RlcSpu(),
    ThreeArray(),
    AmcInverse(),
)


def find_topology(name: str) -> Topology:
    """The topology called ``name``; MisuseError offers the nearest."""
    for topology in TOPOLOGIES:
        if topology.name == name:
            return topology
    names = [topology.name for topology in TOPOLOGIES]
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.3)
    offer = f"; did you mean {near[0]!r}?" if near else ""
    raise MisuseError(f"topology = {name!r}: the topologies are {', '.join(names)}{offer}")
