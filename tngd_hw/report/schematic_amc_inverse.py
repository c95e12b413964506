"""Schematics of the ``amc_inverse`` topology: amplifiers closed through the array itself."""

from __future__ import annotations

from tngd_hw.report.schematic_integrator import draw_inverter, draw_row_of_resistors, draw_summing_array
from tngd_hw.report.schematic_sheet import Picture, Point, Sheet

__all__ = ["ARRAY", "CELL"]


def _draw_cell(sheet: Sheet) -> None:
    summing = draw_row_of_resistors(sheet, r"$g_\mathrm{s}$")
    inverting = summing.by(1.5)
    sheet.wire(summing, inverting)
    end = sheet.amplifier(inverting)
    sheet.text(
        Point(end.x - 1.6, end.y + 1.8),
        r"$\dfrac{A_0}{1 + s A_0/\omega_u}$,  $\omega_u = 2\pi\,\mathrm{GBW}$",
        align="center",
    )
    for y, line in (
        (-3.4, "nothing lies across the"),
        (-4.0, "amplifier: the loop closes"),
        (-4.6, "through the array"),
    ):
        sheet.text(Point(summing.x + 0.9, y), line, size=12)
    sheet.wire(end, end.by(0.4))
    draw_inverter(sheet, end.by(0.4))


CELL = Picture(
    r"Node $i$:   $\dfrac{\mathrm{d}V_i}{\mathrm{d}t} = -\dfrac{\omega_u}{A_0} V_i - \omega_u U_i "
    r"\left(\,\sum_j G_{ij} V_j + g_\mathrm{s} V_{\mathrm{in},i}\right),\qquad"
    r" 1/U_i = \sum_j |G_{ij}| + g_\mathrm{s}$",
    (-1.3, 20.9, -5.2, 3.5),
    _draw_cell,
)
ARRAY = Picture(
    r"$V \to -(G + U^{-1}/A_0)^{-1} g_\mathrm{s} V_\mathrm{in},"
    r"\qquad 1/U_i = \sum_j |G_{ij}| + g_\mathrm{s}$",
    (-4.4, 13.2, -9.2, 3.6),
    lambda sheet: draw_summing_array(sheet, r"$g_\mathrm{s}$", integrating=False),
)
