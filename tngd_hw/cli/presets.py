"""``tngd-hw presets``: the chips to start from, to read, to edit and to pass back with ``--hardware``."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated

import typer

from tngd_hw.cli.options import JsonOption
from tngd_hw.cli.output import Output
from tngd_hw.outcome import MisuseError, Status

if TYPE_CHECKING:
    from tngd_hw.hardware import HardwareSpec

__all__ = ["presets"]


def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print this one as TOML; without it all are listed.")
    ] = None,
    as_json: JsonOption = False,
    as_toml: Annotated[bool, typer.Option("--toml", help="TOML, as without it; needs NAME.")] = False,
) -> Status:
    """List the hardware presets, or print one as TOML.

    Example: tngd-hw presets pcb_1k_1n > my.toml; then edit my.toml and pass --hardware my.toml
    """
    output = Output(as_json, quiet=False, verbose=False)
    if as_toml and as_json:
        raise MisuseError("--toml and --json exclude each other: give one of them")
    if as_toml and name is None:
        raise MisuseError("--toml needs the NAME of a preset, for example: tngd-hw presets pcb_1k_1n --toml")
    from tngd_hw.hardware.presets import PRESETS

    documentation = {preset: inspect.getdoc(function) or "" for preset, function in PRESETS.items()}
    if name is None:
        output.document({"presets": [_entry(PRESETS[p](), text) for p, text in documentation.items()]})
        width = max(len(preset) for preset in documentation) + 2
        for preset, text in documentation.items():
            output.say(f"{preset:<{width}}{text.splitlines()[0]}")
        return Status()
    if name not in PRESETS:
        from tngd_hw.hardware.fields import nearest

        raise MisuseError(f"NAME = {name!r}: no such preset{nearest(name, PRESETS)}")
    spec = PRESETS[name]()
    output.document(_entry(spec, documentation[name]))
    output.say(_toml(spec, documentation[name]))
    return Status()


def _entry(spec: HardwareSpec, text: str) -> dict[str, object]:
    return {"name": spec.name, "description": text, "hardware_hash": spec.hash, "hardware": spec.to_dict()}


def _toml(spec: HardwareSpec, text: str) -> str:
    """The specification with its description, and every figure with its unit, as comments."""
    import tomli_w

    comments = "\n".join(f"# {line}".rstrip() for line in text.splitlines())
    lines = tomli_w.dumps(spec.to_dict()).rstrip().splitlines()
    return "\n".join([comments, *(_with_figure(line) for line in lines)])


def _with_figure(line: str) -> str:
    """``largest_ohm = 2000000.0`` with ``# 2 MOhm`` after it, where its unit is in the name."""
    from tngd_hw.hardware.fields import unit_of
    from tngd_hw.units import format_quantity

    name, _, value = line.partition(" = ")
    unit = unit_of(name)
    if unit is None or not value.replace(".", "").replace("e-", "").isdecimal() or float(value) == 0:
        return line
    _, per, divisor = name.removesuffix("_dtod").partition("_per_")
    return f"{line}  # {format_quantity(float(value), unit)}{f' per {divisor}' if per else ''}"
