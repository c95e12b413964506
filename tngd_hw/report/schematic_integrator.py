"""Schematics of the ``integrator`` topology: op-amp integrators with an array of summing resistors."""

from __future__ import annotations

from tngd_hw.report.schematic_crossbar import (
    SIGNS,
    Crossbar,
    close_loop,
    column_labels,
    draw_legend,
    draw_row_amplifier,
)
from tngd_hw.report.schematic_sheet import DIRECT, INVERTED, Picture, Point, Sheet
from tngd_hw.report.style import BLACK

__all__ = ["ARRAY", "CELL", "draw_inverter", "draw_row_of_resistors", "draw_summing_array"]

_BUS = 4.6
_TOP = 2.7
_ROWS = (
    (1.4, r"$\mathrm{out}_1$", r"$G_{i1} = g_0 A_{i1}$", DIRECT),
    (0.1, r"$\mathrm{inv}_2$", r"$|G_{i2}| = g_0 |A_{i2}|$", INVERTED),
    (-1.2, r"$\mathrm{out}_3$", r"$G_{i3} = g_0 A_{i3}$", DIRECT),
    (-3.3, r"$\mathrm{inv}_n$", r"$|G_{in}| = g_0 |A_{in}|$", INVERTED),
)
_INPUT_Y = -4.6
_NOTES = (
    (-3.75, r"$\mathrm{out}_j = V_j$:  direct rail, holds the entries $A_{ij} > 0$", DIRECT),
    (-4.6, r"$\mathrm{inv}_j = -V_j$:  inverted rail, holds the entries $A_{ij} < 0$", INVERTED),
)


def _draw_cell(sheet: Sheet) -> None:
    summing = draw_row_of_resistors(sheet, r"$g_\mathrm{in}$")
    output = _draw_integrator(sheet, summing)
    draw_inverter(sheet, output)


def draw_row_of_resistors(sheet: Sheet, source: str) -> Point:
    """Row i of the array and its input with the conductance ``source``, joined at the summing node."""
    rows = (*_ROWS, (_INPUT_Y, r"$V_{\mathrm{in},i}$", source, BLACK))
    for y, name, value, colour in rows:
        sheet.resistor(Point(0.1, y), Point(_BUS, y), value, colour)
        sheet.terminal(Point(0.0, y), name, "left", colour)
    sheet.wire(Point(_BUS, rows[0][0]), Point(_BUS, rows[-1][0]))
    for row in rows[:-1]:
        sheet.dot(Point(_BUS, row[0]))
    sheet.text(Point(2.3, _ROWS[2][0] - 0.75), r"$\vdots$", size=20, align="center")
    sheet.text(Point(_BUS - 0.1, rows[0][0] + 0.4), r"$\mathrm{sum}_i$")
    return Point(_BUS, rows[0][0])


def _draw_integrator(sheet: Sheet, summing: Point) -> Point:
    """Amplifier with C from its output back to its inverting input; returns its output node."""
    corner, inverting = summing.by(0.9), summing.by(1.5)
    sheet.wire(summing, inverting)
    end = sheet.amplifier(inverting)
    output = end.by(0.4)
    sheet.wire(end, output)
    close_loop(sheet, corner, output, _TOP, lambda s, a, b: s.capacitor(a, b, "$C$"))
    return output


def draw_inverter(sheet: Sheet, source: Point) -> None:
    """The amplifier that makes the inverted rail of node ``source``, both rails out to the array, and what they are."""
    tap, corner = source.by(0.7), source.by(3.4)
    sheet.wire(source, tap)
    sheet.dot(tap)
    sheet.resistor(tap, corner, "$R$")
    sheet.wire(corner, corner.by(0.5))
    end = sheet.amplifier(corner.by(0.5))
    output = end.by(0.4)
    sheet.wire(end, output)
    close_loop(sheet, corner, output, _TOP, lambda s, a, b: s.resistor(a, b, "$R$"))
    inverted = output.by(0.9)
    direct = Point(inverted.x, -2.4)
    sheet.wire(output, inverted, colour=INVERTED)
    sheet.wire(tap, Point(tap.x, direct.y), direct, colour=DIRECT)
    sheet.dot(tap)
    sheet.terminal(inverted, r"$\mathrm{inv}_i = -V_i$", "right", INVERTED)
    sheet.terminal(direct, r"$\mathrm{out}_i = V_i$", "right", DIRECT)
    for y, text, colour in _NOTES:
        sheet.text(Point(source.x + 0.7, y), text, colour=colour)


def _small_capacitor(sheet: Sheet, start: Point, end: Point) -> None:
    sheet.capacitor(start, end, "$C$", size=13)


def draw_summing_array(sheet: Sheet, source: str, *, integrating: bool) -> None:
    """A 3 x 3 array with its inputs and amplifiers; ``source``: the conductance of an input resistor."""
    bars = Crossbar(Point(0.0, 0.0), column_labels("V", 3), SIGNS, lambda i, j: f"G_{{{i}{j}}}")
    for i, end in enumerate(bars.draw(sheet, -1.0)):
        y = bars.row(i)
        sheet.terminal(Point(-2.7, y), rf"$V_{{\mathrm{{in}},{i + 1}}}$", "left")
        sheet.resistor(Point(-2.6, y), Point(-1.0, y), source, size=12)
        draw_row_amplifier(sheet, end, f"$V_{i + 1}$", _small_capacitor if integrating else None)
    draw_legend(sheet, Point(-4.1, -7.5))


CELL = Picture(
    r"Node $i$:   $C\;\dfrac{\mathrm{d}V_i}{\mathrm{d}t} = "
    r"-\left(\,\sum_j G_{ij} V_j + g_\mathrm{in} V_{\mathrm{in},i}\right),\qquad G_{ij} = g_0 A_{ij}$",
    (-1.3, 20.9, -5.2, 3.5),
    _draw_cell,
)
ARRAY = Picture(
    r"$C\;\dfrac{\mathrm{d}V}{\mathrm{d}t} = -(G\,V + g_\mathrm{in} V_\mathrm{in}),\qquad"
    r" V \to -G^{-1} g_\mathrm{in} V_\mathrm{in}$",
    (-4.4, 13.2, -9.2, 3.6),
    lambda sheet: draw_summing_array(sheet, r"$g_\mathrm{in}$", integrating=True),
)
