"""A crossbar of resistors between rails and summing nodes, and the amplifiers at its edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tngd_hw.report.schematic_sheet import DIRECT, INVERTED, Point, Sheet
from tngd_hw.report.style import BLACK

__all__ = ["SIGNS", "Crossbar", "Feedback", "close_loop", "column_labels", "draw_legend", "draw_row_amplifier"]

SIGNS = ((1, -1, 0), (-1, 1, 1), (0, 1, 1))
"""Signs of the 3 x 3 example of the pictures: both signs, and entries of zero, which have no part."""

_RAIL_GAP = 0.5
_SCALE = 0.62
_LOOP = 1.15
Feedback = Callable[[Sheet, Point, Point], None]
"""Draws a part from the first point to the second."""


@dataclass(frozen=True)
class Crossbar:
    """Columns with a direct and an inverted rail, rows that end in summing nodes.

    Attributes:
        corner: Where the first column meets the first row.
        columns: Names of the direct rails.
        signs: Sign of every entry.
        entry: Text of entry (row, column), counted from 1, without the $ of mathematics.
        pitch: Distance of columns, and of rows.
    """

    corner: Point
    columns: Sequence[str]
    signs: Sequence[Sequence[int]]
    entry: Callable[[int, int], str]
    pitch: tuple[float, float] = (2.75, 3.05)

    def row(self, i: int) -> float:
        """y of row i, from 0."""
        return self.corner.y - i * self.pitch[1]

    @property
    def right(self) -> float:
        """x where the rows leave it."""
        return self.corner.x + (len(self.columns) - 1) * self.pitch[0] + 2.3

    @property
    def top(self) -> float:
        """y of the terminals of the columns."""
        return self.corner.y + 2.7

    def draw(self, sheet: Sheet, left: float) -> list[Point]:
        """Rails, parts and rows from x = ``left``; returns the right ends of the rows."""
        for j, name in enumerate(self.columns):
            self._draw_rails(sheet, j, name)
        ends: list[Point] = []
        for i, signs in enumerate(self.signs):
            y = self.row(i)
            sheet.wire(Point(left, y), Point(self.right, y))
            ends.append(Point(self.right, y))
            for j, sign in enumerate(signs):
                if sign:
                    self._draw_entry(sheet, i, j, sign)
        return ends

    def _rail(self, j: int, sign: int) -> float:
        return self.corner.x + j * self.pitch[0] + (0.0 if sign > 0 else _RAIL_GAP)

    def _draw_rails(self, sheet: Sheet, j: int, name: str) -> None:
        direct, inverted = self._rail(j, 1), self._rail(j, -1)
        bottom = self.row(len(self.signs) - 1) - 0.3
        sheet.wire(Point(direct, self.top), Point(direct, bottom), colour=DIRECT)
        sheet.terminal(Point(direct, self.top), name, "top", DIRECT)
        tap, base = Point(direct, self.top - 0.35), Point(inverted, self.top - 0.6)
        sheet.wire(tap, Point(inverted, tap.y), base, colour=INVERTED)
        sheet.dot(tap, DIRECT)
        tip = base.by(dy=-0.62)
        sheet.triangle(base, tip, colour=INVERTED)
        sheet.text(Point(inverted + 0.42, base.y - 0.25), "−1", colour=INVERTED, size=11)
        sheet.wire(tip, Point(inverted, bottom), colour=INVERTED)

    def _draw_entry(self, sheet: Sheet, i: int, j: int, sign: int) -> None:
        colour = DIRECT if sign > 0 else INVERTED
        start = Point(self._rail(j, sign), self.row(i) + 0.62)
        near, far = Point(self._rail(j, -1) + 0.22, start.y), Point(self._rail(j, -1) + 1.42, start.y)
        sheet.dot(start, colour)
        sheet.wire(start, near, colour=colour)
        text = self.entry(i + 1, j + 1)
        sheet.resistor(near, far, f"${text}$" if sign > 0 else f"$|{text}|$", colour, size=12)
        sheet.wire(far, Point(far.x, self.row(i)), colour=colour)
        sheet.dot(Point(far.x, self.row(i)))


def column_labels(name: str, count: int) -> list[str]:
    """``V_1`` ... as mathematics."""
    return [f"${name}_{j + 1}$" for j in range(count)]


def draw_row_amplifier(sheet: Sheet, end: Point, name: str, feedback: Feedback | None) -> Point:
    """The amplifier at the end of a row, ``feedback`` drawn from its inverting input to its output; its terminal."""
    corner = end.by(0.35)
    sheet.wire(end, corner.by(0.25))
    output = sheet.amplifier(corner.by(0.25), _SCALE)
    finish = output.by(0.25)
    sheet.wire(output, finish.by(0.45))
    sheet.terminal(finish.by(0.45), name, "right", DIRECT)
    if feedback is not None:
        close_loop(sheet, corner, finish, end.y + _LOOP, feedback)
    return finish.by(0.45)


def draw_legend(sheet: Sheet, place: Point) -> None:
    """What the colours mean."""
    sheet.text(place, "resistor from a direct rail: an entry above 0", colour=DIRECT, size=12)
    below = "resistor from an inverted rail: an entry below 0"
    sheet.text(place.by(dy=-0.6), below, colour=INVERTED, size=12)
    joined = "an entry of 0 has no part; terminals of one name are joined"
    sheet.text(place.by(dy=-1.2), joined, size=12)


def close_loop(sheet: Sheet, corner: Point, output: Point, top: float, feedback: Feedback) -> None:
    """``feedback`` at the height ``top``, from the inverting input round to the output."""
    sheet.dot(corner, BLACK)
    sheet.dot(output, BLACK)
    sheet.wire(corner, Point(corner.x, top))
    feedback(sheet, Point(corner.x, top), Point(output.x, top))
    sheet.wire(Point(output.x, top), output)
