"""Options and arguments that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "EncodingOption",
    "EngineOption",
    "HardwareOption",
    "JsonOption",
    "MatrixArgument",
    "PreconditioningOption",
    "QuietOption",
    "SeedOption",
    "TopologyOption",
    "VerboseOption",
]

MatrixArgument = Annotated[
    Path,
    typer.Argument(metavar="A", help="The matrix, (n, n): .npy, or numbers as text in .csv (commas) or .txt (blanks)."),
]
TopologyOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The circuit: integrator, gm_c, passive_rc, three_array, amc_inverse; rlc_spu gives no solution.",
    ),
]
EncodingOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        show_default=False,
        help="How entries of both signs are made: balanced, offset or native; default: the circuit's first.",
    ),
]
PreconditioningOption = Annotated[
    str, typer.Option(metavar="NAME", help="none, or unit_diagonal: the chip holds D A D (same end, other path).")
]
HardwareOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE", help="What the chip is made of: a preset (ideal, pcb_1k_1n) or a TOML file made from one."
    ),
]
EngineOption = Annotated[
    str, typer.Option(metavar="NAME", help="The simulator: state_space, ngspice, pyspice, behavioral or ideal.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of the die and of the noise, 0 or more.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, and nothing else there.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Everything that is known.")]
