"""A drawing sheet for schematics: parts between points, wires joined by dots, saved as SVG and PNG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tngd_hw.report.style import BLACK, BLUE, VERMILION, save_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DIRECT", "INVERTED", "Picture", "Point", "Sheet", "draw_picture"]

DIRECT, INVERTED = BLUE, VERMILION
"""Colours of an entry of the matrix above 0 and of one below 0, and of the rails that carry them."""

Align = Literal["left", "center", "right"]
_INCH_PER_UNIT = 0.54
_TITLE_INCH = 0.95


class Point(NamedTuple):
    """A place on the sheet; x to the right, y up."""

    x: float
    y: float

    def by(self, dx: float = 0.0, dy: float = 0.0) -> Point:
        """The place this far away."""
        return Point(self.x + dx, self.y + dy)


class Sheet:
    """Parts are drawn as they are asked for."""

    def __init__(self, axes: Axes) -> None:
        from schemdraw import Drawing, elements

        self.axes = axes
        self._parts = elements
        self._drawing = Drawing(canvas=axes, show=False)  # pyright: ignore[reportArgumentType] - any Axes will do
        self._drawing.config(fontsize=13, lw=1.7, unit=2.4, color=BLACK)

    def wire(self, *corners: Point, colour: str = BLACK) -> None:
        """Straight lines from corner to corner."""
        for start, end in pairwise(corners):
            self._drawing.add(self._parts.Line().endpoints(start, end).color(colour))

    def dot(self, place: Point, colour: str = BLACK) -> None:
        """A junction."""
        self._drawing.add(self._parts.Dot(radius=0.09).at(place).color(colour))

    def terminal(self, place: Point, text: str, side: str, colour: str = BLACK, size: float = 14) -> None:
        """An open circle with a name on one ``side``: left, right, top or bottom."""
        dot = self._parts.Dot(open=True, radius=0.1).at(place).color(colour)
        self._drawing.add(dot.label(text, loc=side, color=colour, fontsize=size))

    def resistor(
        self, start: Point, end: Point, text: str = "", colour: str = BLACK, *, side: str = "top", size: float = 13
    ) -> None:
        """A resistor of at least one unit of length."""
        self._add(self._parts.Resistor().endpoints(start, end), text, colour, side=side, size=size)

    def capacitor(
        self, start: Point, end: Point, text: str = "", colour: str = BLACK, *, side: str = "top", size: float = 15
    ) -> None:
        """A capacitor."""
        self._add(self._parts.Capacitor().endpoints(start, end), text, colour, side=side, size=size)

    def inductor(self, start: Point, end: Point, text: str = "", *, side: str = "top", size: float = 15) -> None:
        """An inductor."""
        self._add(self._parts.Inductor2().endpoints(start, end), text, BLACK, side=side, size=size)

    def current_source(
        self, start: Point, end: Point, text: str = "", colour: str = BLACK, *, side: str = "top", size: float = 13
    ) -> None:
        """A current source whose arrow points to ``end``."""
        self._add(self._parts.SourceI().endpoints(start, end), text, colour, side=side, size=size)

    def ground(self, place: Point) -> None:
        """The ground symbol below ``place``."""
        self._drawing.add(self._parts.Ground().at(place))

    def text(self, place: Point, text: str, *, colour: str = BLACK, size: float = 13, align: Align = "left") -> None:
        """Words or mathematics at ``place``."""
        label = self._parts.Label().at(place)
        self._drawing.add(label.label(text, halign=align, valign="center", color=colour, fontsize=size))

    def amplifier(self, inverting: Point, scale: float = 1.0) -> Point:
        """An operational amplifier with its + input grounded; returns its output."""
        part = self._drawing.add(self._parts.Opamp(leads=True).scale(scale).anchor("in1").at(inverting))
        plus, output = Point(*part.absanchors["in2"]), Point(*part.absanchors["out"])
        earth = plus.by(dy=-0.5 * scale)
        self.wire(plus, earth)
        self._drawing.add(self._parts.Ground().scale(scale).at(earth))
        return output

    def triangle(self, base: Point, tip: Point, text: str = "", colour: str = BLACK, size: float = 10) -> None:
        """An amplifier or transconductor as a triangle from the middle of its ``base`` to its ``tip``."""
        dx, dy = (tip.x - base.x) * 0.55, (tip.y - base.y) * 0.55
        first, second = base.by(-dy, dx), base.by(dy, -dx)
        self.wire(first, second, tip, first, colour=colour)
        middle = Point(base.x + 0.62 * dx, base.y + 0.62 * dy)
        if text:
            self.text(middle, text, colour=colour, size=size, align="center")

    def frame(self, left: float, right: float, bottom: float, top: float) -> None:
        """Draw it all and show this part of the sheet (schemdraw does not count labels)."""
        self._drawing.draw(show=False)
        self.axes.set_xlim(left, right)
        self.axes.set_ylim(bottom, top)
        self.axes.set_aspect("equal")

    def _add(self, part: Any, text: str, colour: str, *, side: str, size: float) -> None:
        part = part.color(colour)
        self._drawing.add(part.label(text, loc=side, color=colour, fontsize=size) if text else part)


@dataclass(frozen=True)
class Picture:
    """A schematic.

    Attributes:
        title: The equation of the circuit, in matplotlib's mathematics.
        frame: Left, right, bottom and top of the part of the sheet that is shown.
        draw: Draws it.
    """

    title: str
    frame: tuple[float, float, float, float]
    draw: Callable[[Sheet], None]


def draw_picture(picture: Picture, path_without_suffix: str | Path) -> tuple[Path, Path]:
    """Write the picture as SVG and PNG, the same bytes every time.

    Raises:
        MisuseError: The directory cannot be written.
    """
    from matplotlib.figure import Figure

    left, right, bottom, top = picture.frame
    width, height = (right - left) * _INCH_PER_UNIT, (top - bottom) * _INCH_PER_UNIT
    with styled():
        figure = Figure(figsize=(width, height + _TITLE_INCH))
        axes = figure.add_axes((0, 0, 1, height / (height + _TITLE_INCH)))
        axes.set_axis_off()
        sheet = Sheet(axes)
        picture.draw(sheet)
        sheet.frame(left, right, bottom, top)
        figure.suptitle(picture.title, fontsize=15, y=1 - 0.42 * _TITLE_INCH / (height + _TITLE_INCH), va="center")
    base = Path(path_without_suffix)
    svg, png = (save_figure(figure, base.with_name(base.name + suffix)) for suffix in (".svg", ".png"))
    return svg, png
