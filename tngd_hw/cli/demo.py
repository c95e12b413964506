"""``tngd-hw demo``: the main job, on data that comes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tngd_hw.cli.options import JsonOption, QuietOption
from tngd_hw.cli.output import Output
from tngd_hw.outcome import Status

__all__ = ["demo"]


def demo(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where figures, metrics and the report go.")] = Path(
        "results/demo"
    ),
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The simulator of the circuit; default: ngspice, or state_space where there is none."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps, at least 1.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the network, the batches, the die and the noise, 0 or more.")] = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> Status:
    """Train on real digits with natural gradients read from a simulated circuit.

    Under five minutes on two cores. Leaves metrics.json, figures, the last deck and report.html in DIR.
    """
    output = Output(as_json, quiet, verbose=False)
    from tngd_hw.demo import DemoOptions, run_demo
    from tngd_hw.random import check_seed

    check_seed(seed)
    output.document(run_demo(DemoOptions(out=out, engine=engine, steps=steps, seed=seed, quiet=quiet)))
    return Status()
