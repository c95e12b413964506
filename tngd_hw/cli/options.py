"""Options and arguments that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "EncodingOption",
    "EngineOption",
    "ForceOption",
    "HardwareOption",
    "JsonOption",
    "KappaOption",
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
        metavar="NAME|FILE",
        help="Parts of the chip: a preset (ideal, pcb_1k_1n, spu8_board, cmos_sky130, rram_1t1r, pcm) or a TOML file.",
    ),
]
EngineOption = Annotated[
    str, typer.Option(metavar="NAME", help="The simulator: state_space, ngspice, pyspice, behavioral or ideal.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Begin ngspice runs also where their predicted time or memory is too large.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of the die and of the noise, 0 or more.")]
KappaOption = Annotated[float, typer.Option(help="Injected noise: Cov(x) = kappa A^-1 for symmetric A.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, and nothing else there.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Everything that is known.")]
