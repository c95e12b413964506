"""Schematics of the ``three_array`` topology: arrays J, H and J^T around the integrators."""

from __future__ import annotations

from collections.abc import Sequence

from tngd_hw.report.schematic_crossbar import (
    Crossbar,
    Feedback,
    close_loop,
    column_labels,
    draw_legend,
    draw_row_amplifier,
)
from tngd_hw.report.schematic_sheet import DIRECT, INVERTED, Picture, Point, Sheet
from tngd_hw.report.style import BLACK

__all__ = ["ARRAY", "CELL"]

_JACOBIAN = ((1, -1, 0), (0, 1, 1))
_HESSIAN = ((1, -1), (-1, 1))
_STAGE = 8.9
_CAPACITOR, _DAMPING, _TITLE = 1.35, 2.75, 2.4
_Row = tuple[str, str, str]


def _stage_resistor(sheet: Sheet, start: Point, end: Point) -> None:
    sheet.resistor(start, end, "$g$", size=13)


def _draw_stage(sheet: Sheet, left: float, rows: Sequence[_Row], feedback: Feedback) -> tuple[Point, Point]:
    """Rows of resistors into an amplifier; returns its inverting input and its output."""
    bus = left + 2.9
    heights = [0.0, -1.35, -3.3, *(-4.65 - 1.35 * k for k in range(len(rows) - 3))]
    for y, (name, value, colour) in zip(heights, rows, strict=True):
        sheet.terminal(Point(left, y), name, "left", colour, 13)
        sheet.resistor(Point(left + 0.1, y), Point(bus, y), value, colour, size=12)
    sheet.text(Point(left + 1.5, -2.15), r"$\vdots$", size=18, align="center")
    sheet.wire(Point(bus, 0.0), Point(bus, heights[-1]))
    for y in heights[:-1]:
        sheet.dot(Point(bus, y))
    corner = Point(bus + 0.6, 0.0)
    sheet.wire(Point(bus, 0.0), corner.by(0.4))
    output = sheet.amplifier(corner.by(0.4), 0.8)
    finish = output.by(0.3)
    sheet.wire(output, finish)
    close_loop(sheet, corner, finish, _CAPACITOR, feedback)
    return corner, finish


def _draw_cell(sheet: Sheet) -> None:
    stages: tuple[tuple[str, Sequence[_Row], str], ...] = (
        ("$u_k$", _rows("V", "g", "J_{k%s}", "N"), "array $J$"),
        ("$w_k$", _rows("u", "g", "H_{k%s}", "m"), "array $H$"),
    )
    for number, (name, rows, title) in enumerate(stages):
        left = number * _STAGE
        _, output = _draw_stage(sheet, left, rows, _stage_resistor)
        sheet.wire(output, output.by(0.5))
        sheet.terminal(output.by(0.5), name, "right", DIRECT, 13)
        sheet.text(Point(left + 1.4, _TITLE), title, align="center", size=14)
    left = 2 * _STAGE
    rows = [*_rows("w", "g_T", "J_{%si}", "m"), (r"$V_{\mathrm{in},i}$", r"$g_\mathrm{in}$", BLACK)]
    corner, output = _draw_stage(sheet, left, rows, lambda s, a, b: s.capacitor(a, b, "$C$", size=14))
    for place in (corner, output):
        sheet.wire(Point(place.x, _CAPACITOR), Point(place.x, _DAMPING))
        sheet.dot(Point(place.x, _CAPACITOR))
    sheet.resistor(Point(corner.x, _DAMPING), Point(output.x, _DAMPING), r"$g_\lambda = \lambda g_0$", size=13)
    sheet.wire(output, output.by(0.5))
    sheet.terminal(output.by(0.5), "$V_i$", "right", DIRECT, 13)
    sheet.text(Point(left + 1.4, _TITLE), r"array $J^T$", align="center", size=14)
    sheet.text(Point(-0.6, -4.5), "blue: from an output, an entry above 0", colour=DIRECT, size=12)
    text = "orange: from the inverter that every output has, an entry below 0"
    sheet.text(Point(-0.6, -5.1), text, colour=INVERTED, size=12)
    sheet.text(Point(8.8, -4.5), r"$u = -J V$,   $w = -H u = +H J V$:  two inversions cancel", size=12)


def _rows(source: str, unit: str, entry: str, last: str) -> list[_Row]:
    """Three of the rows of a stage; the second entry is below 0."""
    return [
        (f"${source}_1$", rf"${unit}\,{entry % 1}$", DIRECT),
        (f"$-{source}_2$", rf"${unit}\,|{entry % 2}|$", INVERTED),
        (f"${source}_{last}$", rf"${unit}\,{entry % last}$", DIRECT),
    ]


def _draw_array(sheet: Sheet) -> None:
    first = Crossbar(Point(0.0, 0.0), column_labels("V", 3), _JACOBIAN, lambda i, j: f"J_{{{i}{j}}}")
    second = Crossbar(Point(15.2, 0.0), column_labels("u", 2), _HESSIAN, lambda i, j: f"H_{{{i}{j}}}")
    for bars, name in ((first, "u"), (second, "w")):
        for i, end in enumerate(bars.draw(sheet, bars.corner.x - 0.5)):
            draw_row_amplifier(sheet, end, f"${name}_{i + 1}$", _stage_resistor)
    transposed = tuple(zip(*_JACOBIAN, strict=True))
    third = Crossbar(
        Point(15.2, -9.4), column_labels("w", 2), transposed, lambda i, j: f"J_{{{j}{i}}}", pitch=(2.75, 4.6)
    )
    for i, end in enumerate(third.draw(sheet, 14.0)):
        y = third.row(i)
        sheet.terminal(Point(12.3, y), rf"$V_{{\mathrm{{in}},{i + 1}}}$", "left")
        sheet.resistor(Point(12.4, y), Point(14.0, y), r"$g_\mathrm{in}$", size=12)
        _draw_integrator(sheet, end, f"$V_{i + 1}$")
    sheet.text(Point(-2.0, 2.7), "array $J$", size=15, align="center")
    sheet.text(Point(13.6, 2.7), "array $H$", size=15, align="center")
    sheet.text(Point(13.4, -6.7), "array $J^T$", size=15, align="center")
    draw_legend(sheet, Point(-2.7, -12.0))
    sheet.text(Point(-2.7, -8.2), r"$u = -J V$", size=14)
    sheet.text(Point(-2.7, -9.0), r"$w = -H u = +H J V$   (the two inversions cancel)", size=14)
    sheet.text(Point(-2.7, -9.8), r"entries in units of the feedback conductance $g$", size=13)


def _draw_integrator(sheet: Sheet, end: Point, name: str) -> None:
    """The row's amplifier with C and the damping resistor above it."""
    places: list[Point] = []

    def feedback(s: Sheet, start: Point, stop: Point) -> None:
        s.capacitor(start, stop, "$C$", size=13)
        places.extend((start, stop))

    draw_row_amplifier(sheet, end, name, feedback)
    high = [place.by(dy=1.3) for place in places]
    for low, top in zip(places, high, strict=True):
        sheet.wire(low, top)
        sheet.dot(low)
    sheet.resistor(high[0], high[1], r"$g_\lambda$", size=13)


CELL = Picture(
    r"Node $i$:   $C\;\dfrac{\mathrm{d}V}{\mathrm{d}t} = -(g_T\,J^T H J + g_\lambda)\,V - g_\mathrm{in} V_\mathrm{in}"
    r",\qquad g_T\,J^T H J + g_\lambda = g_0 A$   ($J$, $H$ in units of $g$)",
    (-1.3, 2 * _STAGE + 8.2, -5.5, 3.7),
    _draw_cell,
)
ARRAY = Picture(
    r"$C\;\dfrac{\mathrm{d}V}{\mathrm{d}t} = -(g_T\,J^T H J + g_\lambda)\,V - g_\mathrm{in} V_\mathrm{in},\qquad"
    r" J: 2 \times 3,\quad H: 2 \times 2$",
    (-3.1, 25.6, -20.3, 3.6),
    _draw_array,
)
