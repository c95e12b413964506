"""Schematics of the ``gm_c`` topology: an array of transconductors with a capacitor at every node."""

from __future__ import annotations

from tngd_hw.report.schematic_crossbar import SIGNS, column_labels
from tngd_hw.report.schematic_sheet import DIRECT, INVERTED, Picture, Point, Sheet
from tngd_hw.report.style import BLACK

__all__ = ["ARRAY", "CELL"]

_BUS = 4.4
_ROWS = (
    (1.6, "$V_1$", "$G_{i1}$", DIRECT),
    (-0.1, "$V_2$", "$|G_{i2}|$", INVERTED),
    (-2.4, "$V_n$", "$G_{in}$", DIRECT),
    (-4.2, r"$V_{\mathrm{in},i}$", r"$g_\mathrm{in}$", BLACK),
)
_PITCH = 3.1


def draw_transconductor(sheet: Sheet, start: Point, colour: str, *, inverting: bool, length: float = 1.3) -> Point:
    """A triangle with the sign of its current at the tip; returns the tip."""
    tip = start.by(length)
    sheet.triangle(start, tip, "−" if inverting else "+", colour, size=14)
    return tip


def _draw_cell(sheet: Sheet) -> None:
    for y, name, value, colour in _ROWS:
        sheet.terminal(Point(0.0, y), name, "left", colour)
        sheet.wire(Point(0.1, y), Point(1.6, y), colour=colour)
        tip = draw_transconductor(sheet, Point(1.6, y), colour, inverting=colour == DIRECT)
        sheet.wire(tip, Point(_BUS, y), colour=colour)
        sheet.text(Point(2.5, y + 0.64), value, colour=colour, size=14)
    sheet.wire(Point(_BUS, _ROWS[0][0]), Point(_BUS, _ROWS[-1][0]))
    sheet.dot(Point(_BUS, _ROWS[1][0]))
    sheet.dot(Point(_BUS, _ROWS[2][0]))
    sheet.text(Point(2.2, -1.2), r"$\vdots$", size=20, align="center")
    y = _ROWS[0][0]
    end = Point(14.2, y)
    sheet.wire(Point(_BUS, y), end, colour=BLACK)
    _draw_node_parts(sheet, y)
    sheet.terminal(end, "$V_i$", "right", DIRECT)
    notes = (
        (DIRECT, r"entry $A_{ij} > 0$: the current $G_{ij} V_j$ is taken out of the node"),
        (INVERTED, r"entry $A_{ij} < 0$: inputs exchanged, the current goes into the node"),
        (BLACK, r"$g_{\mathrm{out},i}$: what the output resistances at the node add up to"),
    )
    for k, (colour, text) in enumerate(notes):
        sheet.text(Point(_BUS + 0.9, -2.7 - 0.75 * k), text, colour=colour, size=12)


def _draw_node_parts(sheet: Sheet, y: float) -> None:
    """C, the output conductance and the injected noise, from the node to ground."""
    low = y - 2.2
    for x in (_BUS + 1.6, _BUS + 4.4, _BUS + 7.2):
        sheet.dot(Point(x, y))
        sheet.ground(Point(x, low))
    sheet.capacitor(Point(_BUS + 1.6, y), Point(_BUS + 1.6, low), "$C$", side="bottom")
    sheet.resistor(Point(_BUS + 4.4, y), Point(_BUS + 4.4, low), r"$g_{\mathrm{out},i}$", side="bottom", size=14)
    sheet.current_source(Point(_BUS + 7.2, low), Point(_BUS + 7.2, y), "noise $S$", side="bottom")


def _draw_array(sheet: Sheet) -> None:
    bottom = -2 * _PITCH - 0.3
    for j, name in enumerate(column_labels("V", 3)):
        x = j * _PITCH
        sheet.wire(Point(x, 2.3), Point(x, bottom), colour=BLACK)
        sheet.terminal(Point(x, 2.3), name, "top")
    for i, signs in enumerate(SIGNS):
        y = -i * _PITCH
        _draw_input(sheet, i, y)
        right = 2 * _PITCH + 2.6
        sheet.wire(Point(-1.2, y), Point(right + 1.9, y))
        for j, sign in enumerate(signs):
            if sign:
                _draw_entry(sheet, Point(j * _PITCH, y), f"{i + 1}{j + 1}", sign)
        sheet.dot(Point(right, y))
        sheet.capacitor(Point(right, y), Point(right, y - 1.5), "$C$", side="bottom", size=13)
        sheet.ground(Point(right, y - 1.5))
        sheet.terminal(Point(right + 1.9, y), f"$V_{i + 1}$", "right")
    last = -2 * _PITCH - 2.6
    sheet.text(Point(-5.0, last), "takes current out of the row: an entry above 0", colour=DIRECT, size=12)
    sheet.text(Point(-5.0, last - 0.6), "puts current into the row: an entry below 0", colour=INVERTED, size=12)
    sheet.text(Point(-5.0, last - 1.2), "an entry of 0 has no part; terminals of one name are joined", size=12)


def _draw_input(sheet: Sheet, i: int, y: float) -> None:
    sheet.terminal(Point(-3.6, y), rf"$V_{{\mathrm{{in}},{i + 1}}}$", "left")
    sheet.wire(Point(-3.5, y), Point(-2.8, y))
    tip = draw_transconductor(sheet, Point(-2.8, y), BLACK, inverting=False, length=1.1)
    sheet.wire(tip, Point(-1.2, y))
    sheet.text(Point(-2.3, y + 0.75), r"$g_\mathrm{in}$", size=12)


def _draw_entry(sheet: Sheet, crossing: Point, number: str, sign: int) -> None:
    colour = DIRECT if sign > 0 else INVERTED
    start = crossing.by(dy=0.95)
    sheet.dot(start)
    sheet.wire(start, start.by(0.45), colour=colour)
    tip = draw_transconductor(sheet, start.by(0.45), colour, inverting=sign > 0, length=1.1)
    sheet.wire(tip, tip.by(0.25), Point(tip.x + 0.25, crossing.y), colour=colour)
    sheet.dot(Point(tip.x + 0.25, crossing.y))
    text = f"$G_{{{number}}}$" if sign > 0 else f"$|G_{{{number}}}|$"
    sheet.text(start.by(0.95, 0.72), text, colour=colour, size=12)


CELL = Picture(
    r"Node $i$:   $C\;\dfrac{\mathrm{d}V_i}{\mathrm{d}t} = -\left(\,\sum_j G_{ij} V_j + g_{\mathrm{out},i} V_i\right)"
    r" + g_\mathrm{in} V_{\mathrm{in},i},\qquad G_{ij} = g_0 A_{ij}$",
    (-1.5, 15.4, -5.1, 2.7),
    _draw_cell,
)
ARRAY = Picture(
    r"$C\;\dfrac{\mathrm{d}V}{\mathrm{d}t} = -G\,V + g_\mathrm{in} V_\mathrm{in},\qquad"
    r" V \to G^{-1} g_\mathrm{in} V_\mathrm{in}$",
    (-5.3, 12.0, -10.6, 3.2),
    _draw_array,
)
