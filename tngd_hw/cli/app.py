"""The commands there are: a new one is its file and one entry here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from tngd_hw.cli.compile import compile_command
from tngd_hw.cli.demo import demo
from tngd_hw.cli.doctor import doctor
from tngd_hw.cli.guard import guarded
from tngd_hw.cli.presets import presets
from tngd_hw.cli.simulate import simulate
from tngd_hw.cli.solve import solve
from tngd_hw.cli.study import study
from tngd_hw.cli.train import train
from tngd_hw.cli.validate import validate
from tngd_hw.outcome import Status

__all__ = ["app"]

COMMANDS: tuple[tuple[str, Callable[..., Status]], ...] = (
    ("demo", demo),
    ("solve", solve),
    ("compile", compile_command),
    ("simulate", simulate),
    ("validate", validate),
    ("train", train),
    ("study", study),
    ("presets", presets),
    ("doctor", doctor),
)

app = typer.Typer(
    name="tngd-hw",
    help="Circuit-level modelling of analog thermodynamic hardware for natural-gradient training.",
    epilog="Exit codes: 0 done, 1 a failed outcome, 2 a request that cannot be meant, 130 interrupted.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from tngd_hw import __version__

        print(f"tngd-hw {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Circuit-level modelling of analog thermodynamic hardware for natural-gradient training."""
    del version


def _register(name: str, command: Callable[..., Status]) -> None:
    app.command(name)(guarded(command))


for _name, _command in COMMANDS:
    _register(_name, _command)
