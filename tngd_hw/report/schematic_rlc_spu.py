"""Schematics of the ``rlc_spu`` topology: noisy LC cells coupled all to all by capacitors."""

from __future__ import annotations

from tngd_hw.report.schematic_sheet import DIRECT, INVERTED, Picture, Point, Sheet

__all__ = ["ARRAY", "CELL"]

_DEPTH = 2.4


def _draw_tank(sheet: Sheet, node: Point, names: tuple[str, str, str, str], pitch: float, size: float) -> None:
    """Ground capacitor, inductor, resistor and noise source below a node, from left to right."""
    ground, inductor, resistor, noise = names
    places = [node.by(k * pitch) for k in range(4)]
    sheet.wire(places[0], places[3])
    for place in places:
        sheet.ground(place.by(dy=-_DEPTH))
    for place in places[1:3]:
        sheet.dot(place)
    low = [place.by(dy=-_DEPTH) for place in places]
    sheet.capacitor(places[0], low[0], ground, DIRECT, side="bottom", size=size)
    sheet.inductor(places[1], low[1], inductor, side="bottom", size=size)
    sheet.resistor(places[2], low[2], resistor, side="bottom", size=size)
    sheet.current_source(low[3], places[3], noise, side="bottom", size=size)


def _draw_cell(sheet: Sheet) -> None:
    node = Point(5.2, 0.0)
    _draw_tank(sheet, node, ("$C_i$", "$L$", "$R$", "noise $S$"), 2.3, 14)
    for y, name in ((2.8, "$V_1$"), (1.5, "$V_2$"), (-0.9, "$V_n$")):
        number = name[-2]
        sheet.terminal(Point(0.0, y), name, "left", INVERTED)
        sheet.capacitor(Point(0.1, y), Point(3.6, y), f"$C_{{i{number}}}$", INVERTED)
    sheet.text(Point(1.8, 0.35), r"$\vdots$", size=20, align="center")
    sheet.wire(Point(3.6, 2.8), Point(3.6, -0.9))
    sheet.dot(Point(3.6, 1.5))
    sheet.dot(Point(3.6, 0.0))
    sheet.wire(Point(3.6, 0.0), node)
    sheet.dot(node)
    end = Point(node.x + 6.9, 0.0)
    sheet.dot(end)
    sheet.wire(end, end.by(1.6))
    sheet.terminal(end.by(1.6), "$V_i$", "right")
    sheet.text(Point(4.6, 2.7), r"coupling capacitors: entries $A_{ij} < 0$,  $C_{ij} = c_0 |A_{ij}|$", colour=INVERTED)
    sheet.text(Point(4.6, 1.9), r"to ground: what the row has left,  $C_i = c_0 \sum_j A_{ij}$", colour=DIRECT)
    sheet.text(Point(4.6, 1.1), r"white noise current of one-sided density $S$;  $k\,T_\mathrm{eff} = S R/4$")


def _draw_array(sheet: Sheet) -> None:
    pitch, width = 1.55, 8.0
    nodes = [Point(k * width, 0.0) for k in range(3)]
    for k, node in enumerate(nodes, start=1):
        _draw_tank(sheet, node, (f"$C_{k}$", "$L$", "$R$", "$S$"), pitch, 13)
        sheet.terminal(node.by(1.5 * pitch, 0.9), f"$V_{k}$", "top")
        sheet.wire(node.by(1.5 * pitch), node.by(1.5 * pitch, 0.8))
        sheet.dot(node.by(1.5 * pitch))
    for k, text in enumerate(("$C_{12}$", "$C_{23}$")):
        right, left = nodes[k].by(3 * pitch), nodes[k + 1]
        sheet.capacitor(right, left, text, INVERTED, size=14)
        sheet.dot(right)
        sheet.dot(left)
    first, last = nodes[0].by(0.6), nodes[2].by(3 * pitch - 0.6)
    sheet.wire(first, first.by(dy=2.4), colour=INVERTED)
    sheet.wire(last, last.by(dy=2.4), colour=INVERTED)
    sheet.capacitor(first.by(dy=2.4), last.by(dy=2.4), "$C_{13}$", INVERTED, size=14)
    sheet.dot(first)
    sheet.dot(last)
    low = -_DEPTH - 1.6
    text = r"coupling capacitors $C_{ij}$ for entries below 0, one a pair of cells; an entry of 0 has no part"
    sheet.text(Point(-0.6, low), text, colour=INVERTED, size=12)
    text = r"capacitors to ground $C_i$: the row sums.   Maxwell matrix: $(C_\mathrm{m})_{ii} = C_i + \sum_j C_{ij}$,"
    sheet.text(Point(-0.6, low - 0.65), text + r" $(C_\mathrm{m})_{ij} = -C_{ij}$", colour=DIRECT, size=12)


CELL = Picture(
    r"Cell $i$:   $\sum_j (C_\mathrm{m})_{ij} \dfrac{\mathrm{d}V_j}{\mathrm{d}t} = -\dfrac{V_i}{R} - I_i"
    r" + \mathrm{noise},"
    r"\qquad L\,\dfrac{\mathrm{d}I_i}{\mathrm{d}t} = V_i$",
    (-1.2, 16.2, -3.5, 3.7),
    _draw_cell,
)
ARRAY = Picture(
    r"$\mathrm{Cov}(V) = k\,T_\mathrm{eff}\; C_\mathrm{m}^{-1},\qquad C_\mathrm{m} = c_0 A,\qquad"
    r" k\,T_\mathrm{eff} = S R/4$   (whatever $L$ is)",
    (-1.0, 21.8, -5.2, 3.5),
    _draw_array,
)
