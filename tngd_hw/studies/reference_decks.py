"""Reference decks: one small circuit a topology and preset, kept in ``netlists/`` so that a change of the text is seen.

``python -m tngd_hw.studies.reference_decks netlists`` (``make netlists``) writes them anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tngd_hw.engines import Ngspice
from tngd_hw.hardware.presets import PRESETS
from tngd_hw.problem import LinearProblem
from tngd_hw.storage import make_directory, write_text
from tngd_hw.topologies import TOPOLOGIES, manufacture, program

__all__ = ["reference_decks", "write_reference_decks"]

_A = [[2.0, -0.5, 0.0], [-0.25, 1.0, 0.125], [0.75, -0.375, 1.5]]
_B = [1.0, -0.5, 0.25]
_DURATION_TAU = 20.0
_SEED = 1


def reference_decks() -> dict[str, str]:
    """Path within ``netlists/`` to text: an asymmetric 3 x 3 matrix with entries of both signs and a zero."""
    decks: dict[str, str] = {}
    for topology in TOPOLOGIES:
        for name, preset in PRESETS.items():
            chip = manufacture(topology.name, 3, preset(), seed=_SEED)
            loaded = program(chip, LinearProblem(_A, _B))
            deck = Ngspice().deck(loaded, duration=_DURATION_TAU * loaded.tau, standalone=True)
            decks[f"{topology.name}/{name}.cir"] = deck
    return decks


def write_reference_decks(folder: Path) -> None:
    """Write every reference deck below ``folder``."""
    for name, text in reference_decks().items():
        path = folder / name
        make_directory(path.parent, "folder")
        write_text(path, text)


if __name__ == "__main__":
    write_reference_decks(Path(sys.argv[1] if len(sys.argv) > 1 else "netlists"))
