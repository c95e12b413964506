"""How long a transient in ngspice takes and how much memory, before it is started.

ngspice factorises twice a time point, linear circuit or not.  A factorisation of a dense n x n block takes, in ms:

    n                    4      16     64     128    256    512
    sparse (39)          .0025  .006  .30    4.0    65     2350
    KLU (42 and newer)   .0025  .006  .10    .60    5      34

and time between them goes with a power of n.  Loading takes 10 ns an element, reading the deck 6 us an element.  Memory
is 1.2 kB an element above the program's own.  Up to n = 128 these are fits to runs of ngspice 39 and 46 on one 2-core
x86-64 machine of 2026 (processor time, n = 10 to 150, five topologies); 256 and 512 are dense RC networks.  The wall
time of a busy machine is longer.  ``three_array``, whose three arrays fill in to more than a block of n, takes 1 to
1.7 times what is predicted from n = 40 to 160; a block of 2 n would make that 1.2 to 3.4 times too much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from tngd_hw.outcome import Outcome, Status

__all__ = ["MOST_MEMORY_BYTES", "RunEstimate", "estimate_run", "refusal"]

MOST_MEMORY_BYTES = 8 << 30
"""A run that would need more is not begun."""

_SPARSE_S = ((4, 2.5e-6), (16, 6e-6), (64, 0.3e-3), (128, 4e-3), (256, 65e-3), (512, 2.35))
_KLU_S = ((4, 2.5e-6), (16, 6e-6), (64, 0.1e-3), (128, 0.6e-3), (256, 5e-3), (512, 34e-3))
_START_S = 0.01
_PARSE_S = 6e-6
_LOAD_S = 10e-9
_FACTORISATIONS = 2
_PROGRAM_BYTES = {False: 12 << 20, True: 26 << 20}
_ELEMENT_BYTES = 1200


@dataclass(frozen=True)
class RunEstimate:
    """What a run is expected to need.

    Attributes:
        seconds: Wall time.
        memory_bytes: Resident memory.
        points: Time points.
    """

    seconds: float
    memory_bytes: int
    points: int


def estimate_run(n: int, elements: int, points: int, *, has_klu: bool) -> RunEstimate:
    """Time and memory of one transient.

    Args:
        n: Unknowns of the problem: the size of the dense block that the factorisation is about.
        elements: Elements of the netlist, cells written out.  A block with fewer than n^2/2 counts as a smaller one.
        points: Time points, as :class:`~tngd_hw.engines.spice.steps.Steps` expects them.
        has_klu: Whether the KLU solver is used.
    """
    block = max(1.0, min(float(n), math.sqrt(2 * elements)))
    point = _FACTORISATIONS * (_factorisation_s(block, _KLU_S if has_klu else _SPARSE_S) + _LOAD_S * elements)
    seconds = _START_S + _PARSE_S * elements + points * point
    return RunEstimate(seconds, _PROGRAM_BYTES[has_klu] + _ELEMENT_BYTES * elements, points)


def refusal(estimate: RunEstimate, timeout_s: float) -> Status:
    """Why a run is not begun unless it is forced, in figures: TIMED_OUT, or SIMULATOR_FAILED for memory."""
    all_the_same = "force=True, or --force on the command line, begins it all the same"
    if estimate.seconds > timeout_s:
        detail = f"ngspice would take about {estimate.seconds:.2g} s, more than the {timeout_s:g} s allowed"
        return Status(Outcome.TIMED_OUT, f"{detail} ({all_the_same})")
    if estimate.memory_bytes > MOST_MEMORY_BYTES:
        need, most = (number / 2**30 for number in (estimate.memory_bytes, MOST_MEMORY_BYTES))
        detail = f"ngspice would need about {need:.2g} GiB of memory, more than {most:.2g}"
        advice = "make the circuit smaller, or use the engine state_space"
        return Status(Outcome.SIMULATOR_FAILED, f"{detail} ({all_the_same})", advice)
    return Status()


def _factorisation_s(n: float, table: tuple[tuple[int, float], ...]) -> float:
    """Between the rows, and beyond them, by the power law of the nearest two."""
    rows = list(pairwise(table))
    (low, low_s), (high, high_s) = next((pair for pair in rows if n <= pair[1][0]), rows[-1])
    power = math.log(high_s / low_s) / math.log(high / low)
    return low_s * (n / low) ** power
