"""Schematics by topology: a cell (one node with its parts) and an array (a 3 x 3 example)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tngd_hw.outcome import MisuseError
from tngd_hw.report import (
    schematic_amc_inverse,
    schematic_gm_c,
    schematic_integrator,
    schematic_passive_rc,
    schematic_rlc_spu,
    schematic_three_array,
)
from tngd_hw.report.schematic_sheet import Picture, draw_picture

__all__ = ["draw_array", "draw_cell"]

_PICTURES: Mapping[str, tuple[Picture, Picture]] = {
    "passive_rc": (schematic_passive_rc.CELL, schematic_passive_rc.ARRAY),
    "gm_c": (schematic_gm_c.CELL, schematic_gm_c.ARRAY),
    "integrator": (schematic_integrator.CELL, schematic_integrator.ARRAY),
    "rlc_spu": (schematic_rlc_spu.CELL, schematic_rlc_spu.ARRAY),
    "three_array": (schematic_three_array.CELL, schematic_three_array.ARRAY),
    "amc_inverse": (schematic_amc_inverse.CELL, schematic_amc_inverse.ARRAY),
}


def draw_cell(topology: str, path_without_suffix: str | Path) -> tuple[Path, Path]:
    """Write the schematic of one node of ``topology`` as SVG and PNG, the same bytes every time.

    Args:
        topology: Its name, ``"integrator"``.
        path_without_suffix: As ``results/cell``; ``.svg`` and ``.png`` are added.

    Returns:
        Both paths, SVG first.

    Raises:
        MisuseError: A topology without a drawing, or a directory that cannot be written.
    """
    return draw_picture(_pictures(topology)[0], path_without_suffix)


def draw_array(topology: str, path_without_suffix: str | Path) -> tuple[Path, Path]:
    """As :func:`draw_cell`, the circuit of a 3 x 3 matrix with entries of both signs (where it holds both)."""
    return draw_picture(_pictures(topology)[1], path_without_suffix)


def _pictures(topology: str) -> tuple[Picture, Picture]:
    if topology not in _PICTURES:
        raise MisuseError(f"topology = {topology!r}: there are drawings of {', '.join(_PICTURES)}")
    return _PICTURES[topology]
