"""What a die is built for: how many unknowns, and how it makes entries of both signs."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Encoding", "Layout"]


class Encoding(enum.Enum):
    """How an entry of either sign becomes a component.

    BALANCED: a resistor from the direct or from the inverted rail, one inverting amplifier a node.
    OFFSET: a resistor of conductance g0 (A_ij + c_i) >= 0, and c_i sum_j V_j taken away through one reference rail.
    NATIVE: the component has a sign of its own (a transconductor with its inputs exchanged), or needs none.
    """

    BALANCED = "balanced"
    OFFSET = "offset"
    NATIVE = "native"


@dataclass(frozen=True)
class Layout:
    """What a die is built for.

    Attributes:
        nodes: Number of unknowns that it can hold.
        outputs: Rows of J that a die of three arrays holds; not used elsewhere.
        encoding: How signs are made.
    """

    nodes: int
    outputs: int
    encoding: Encoding
