"""Schematics of the ``passive_rc`` topology: resistors and capacitors, with a second rail for positive entries."""

from __future__ import annotations

from tngd_hw.report.schematic_sheet import DIRECT, INVERTED, Picture, Point, Sheet
from tngd_hw.report.style import BLACK

__all__ = ["ARRAY", "CELL"]

_RAIL = 2.3
_DEPTH = 1.9


def _draw_to_ground(sheet: Sheet, node: Point, text: str, size: float, *, upwards: bool) -> None:
    """C and the rest conductance from a node to ground, above or below it."""
    sign = 1 if upwards else -1
    places = (node.by(-0.75), node.by(0.75))
    sheet.wire(*(place.by(dy=0.5 * sign) for place in places))
    sheet.wire(node, node.by(dy=0.5 * sign))
    sheet.dot(node.by(dy=0.5 * sign))
    far = [place.by(dy=(0.5 + _DEPTH) * sign) for place in places]
    sheet.capacitor(places[0].by(dy=0.5 * sign), far[0], "$C$", side="top", size=size)
    sheet.resistor(places[1].by(dy=0.5 * sign), far[1], text, side="bottom", size=size)
    for place in far:
        if upwards:
            bar = 0.32
            for k in range(3):
                half = bar * (1 - k / 3)
                y = place.y + 0.13 * k
                sheet.wire(Point(place.x - half, y), Point(place.x + half, y))
        else:
            sheet.ground(place)


def _draw_cell(sheet: Sheet) -> None:
    p, m = Point(6.0, _RAIL), Point(6.0, -_RAIL)
    _draw_pair(sheet, p, m, "i", 14)
    for node, name in ((p, "$p_i$"), (m, "$m_i$")):
        sheet.wire(node, node.by(1.5))
        sheet.terminal(node.by(1.5), name, "right")
    rows = (
        (p.y, "$p_j$", r"$|G_{ij}|$", INVERTED, p),
        (m.y, "$m_j$", r"$|G_{ij}|$", INVERTED, m),
    )
    for y, name, value, colour, node in rows:
        sheet.terminal(Point(0.0, y), name, "left", colour)
        sheet.resistor(Point(0.1, y), node, value, colour)
    for start, name, node in ((Point(0.0, 0.8), "$p_k$", m), (Point(0.0, -0.8), "$m_k$", p)):
        sheet.terminal(start, name, "left", DIRECT)
        elbow = Point(2.9, start.y)
        sheet.resistor(start.by(0.1), elbow, r"$G_{ik}$", DIRECT)
        sheet.wire(elbow, Point(4.9, node.y), colour=DIRECT)
        sheet.dot(Point(4.9, node.y))
    notes = (
        (INVERTED, r"$A_{ij} < 0$:  $p_i$ to $p_j$ and $m_i$ to $m_j$,  $|G_{ij}| = g_0 |A_{ij}|$"),
        (DIRECT, r"$A_{ik} > 0$:  crossed, $p_i$ to $m_k$ and $m_i$ to $p_k$"),
        (BLACK, r"$g_i = g_0\,(A_{ii} - \sum_{j \neq i} |A_{ij}|)$ to ground"),
        (BLACK, "without entries above 0 one rail does"),
    )
    for k, (colour, text) in enumerate(notes):
        sheet.text(Point(9.9, 1.5 - 1.0 * k), text, colour=colour)


def _draw_pair(sheet: Sheet, p: Point, m: Point, number: str, size: float) -> None:
    """Nodes p and m of an unknown, what they have to ground, and the source between them."""
    sheet.current_source(m, p, f"$I_{number}$", side="bottom", size=size)
    for node, upwards in ((p, True), (m, False)):
        sheet.dot(node)
        _draw_to_ground(sheet, node, f"$g_{number}$", size, upwards=upwards)


def _draw_array(sheet: Sheet) -> None:
    width = 7.0
    pairs = [(Point(k * width, _RAIL), Point(k * width, -_RAIL)) for k in range(3)]
    for k, (p, m) in enumerate(pairs, start=1):
        _draw_pair(sheet, p, m, str(k), 13)
        aside = 0.45 if k == len(pairs) else -0.45  # where no wire runs
        sheet.text(p.by(aside, -0.38), f"$p_{k}$", size=14, align="center")
        sheet.text(m.by(aside, 0.38), f"$m_{k}$", size=14, align="center")
    for rail in (0, 1):
        sheet.resistor(pairs[0][rail], pairs[1][rail], "$|G_{12}|$", INVERTED)
    (p2, m2), (p3, m3) = pairs[1], pairs[2]
    _draw_crossed(sheet, p2, m3, "$G_{23}$")
    _draw_crossed(sheet, m2, p3, "$G_{23}$")
    low = -_RAIL - _DEPTH - 1.9
    sheet.text(Point(-1.3, low), "entry below 0: a resistor on either rail", colour=INVERTED, size=12)
    sheet.text(Point(-1.3, low - 0.6), "entry above 0: resistors crossed between the rails", colour=DIRECT, size=12)
    text = r"an entry of 0 has no part; $g_i = g_0\,(A_{ii} - \sum_{j \neq i} |A_{ij}|)$; unknowns $d_i = p_i - m_i$"
    sheet.text(Point(-1.3, low - 1.4), text, size=12)


def _draw_crossed(sheet: Sheet, start: Point, end: Point, text: str) -> None:
    """A diagonal wire with its resistor near its start, clear of the crossing."""
    third = Point(start.x + 0.5 * (end.x - start.x) - 0.9, start.y + (end.y - start.y) * 0.37)
    sheet.resistor(start, third, text, DIRECT)
    sheet.wire(third, end, colour=DIRECT)


CELL = Picture(
    r"Unknown $d_i = p_i - m_i$:   $C\;\dfrac{\mathrm{d}d_i}{\mathrm{d}t} = -\sum_j G_{ij} d_j + 2 I_i,"
    r"\qquad G_{ij} = g_0 A_{ij}$",
    (-1.2, 17.6, -5.9, 5.6),
    _draw_cell,
)
ARRAY = Picture(
    r"$C\;\dfrac{\mathrm{d}d}{\mathrm{d}t} = -G\,d + 2 I,\qquad d \to 2\,G^{-1} I$",
    (-1.7, 16.4, -8.1, 5.4),
    _draw_array,
)
