"""Reference decks: one small circuit a topology and preset, kept in ``netlists/`` so that a change of the text is seen.

``python -m tngd_hw.studies.reference_decks netlists`` (``make netlists``) writes them anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from tngd_hw.engines import Ngspice
from tngd_hw.hardware.presets import PRESETS
from tngd_hw.problem import LinearProblem
from tngd_hw.storage import make_directory, write_text
from tngd_hw.topologies import TOPOLOGIES, LoadedChip, manufacture, program

__all__ = ["reference_decks", "write_reference_decks"]

_MATRICES = (
    [[2.0, -0.5, 0.0], [-0.25, 1.0, 0.125], [0.75, -0.375, 1.5]],  # any stable matrix
    [[2.0, -0.5, 0.0], [-0.5, 1.0, 0.25], [0.0, 0.25, 1.5]],  # symmetric, dominant, both signs
    [[2.0, -0.5, 0.0], [-0.5, 1.0, -0.25], [0.0, -0.25, 1.5]],  # symmetric, off-diagonal entries not above 0
)
"""From general to particular; a topology gets the first that it can hold."""

_B = [1.0, -0.5, 0.25]
_DURATION_TAU = 20.0
_PRESETS = ("ideal", "pcb_1k_1n")
_OF_ITS_OWN = {"rlc_spu": ("spu8_board",)}
_SEED = 1


def reference_decks() -> dict[str, str]:
    """Path within ``netlists/`` to text: a 3 x 3 matrix with a zero, of perfect and of real parts in every topology."""
    decks: dict[str, str] = {}
    for topology in TOPOLOGIES:
        for name in (*_PRESETS, *_OF_ITS_OWN.get(topology.name, ())):
            chip = manufacture(topology.name, 3, PRESETS[name](), seed=_SEED)
            loaded = _first_held(program(chip, LinearProblem(A, _B)) for A in _MATRICES)
            if loaded is not None:
                deck = Ngspice().deck(loaded, duration=_DURATION_TAU * loaded.tau, standalone=True)
                decks[f"{topology.name}/{name}.cir"] = deck
    return decks


def _first_held(candidates: Iterable[LoadedChip]) -> LoadedChip | None:
    return next((loaded for loaded in candidates if loaded.status.ok), None)


def write_reference_decks(folder: Path) -> None:
    """Write every reference deck below ``folder``."""
    for name, text in reference_decks().items():
        path = folder / name
        make_directory(path.parent, "folder")
        write_text(path, text)


if __name__ == "__main__":
    write_reference_decks(Path(sys.argv[1] if len(sys.argv) > 1 else "netlists"))
