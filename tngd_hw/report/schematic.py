"""The schematic of one cell of the ``integrator`` topology."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tngd_hw.report.style import BLACK, BLUE, VERMILION, save_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["integrator_cell"]

_TITLE = (
    r"Node $i$:   $C\;\dfrac{\mathrm{d}V_i}{\mathrm{d}t} = "
    r"-\left(\,\sum_j G_{ij} V_j + g_\mathrm{in} V_{\mathrm{in},i}\right),"
    r"\qquad G_{ij} = g_0 A_{ij}$"
)
_DIRECT, _INVERTED = BLUE, VERMILION
_LEFT, _BUS = 0.0, 4.6
_TOP = 2.7
_ROWS = (
    (1.4, r"$\mathrm{out}_1$", r"$G_{i1} = g_0 A_{i1}$", _DIRECT),
    (0.1, r"$\mathrm{inv}_2$", r"$|G_{i2}| = g_0 |A_{i2}|$", _INVERTED),
    (-1.2, r"$\mathrm{out}_3$", r"$G_{i3} = g_0 A_{i3}$", _DIRECT),
    (-3.3, r"$\mathrm{inv}_n$", r"$|G_{in}| = g_0 |A_{in}|$", _INVERTED),
    (-4.6, r"$V_{\mathrm{in},i}$", r"$g_\mathrm{in}$", BLACK),
)
_DOTS = _ROWS[2][0] - 0.75
_NOTES = (
    (-3.75, r"$\mathrm{out}_j = V_j$:  direct rail, holds the entries $A_{ij} > 0$", _DIRECT),
    (-4.6, r"$\mathrm{inv}_j = -V_j$:  inverted rail, holds the entries $A_{ij} < 0$", _INVERTED),
)
_FRAME = (-1.3, 20.9, -5.2, 3.5)


class _Point(NamedTuple):
    x: float
    y: float


def integrator_cell(path_without_suffix: str | Path) -> tuple[Path, Path]:
    """Write the schematic of node i as SVG and PNG.

    Args:
        path_without_suffix: As ``results/cell``; ``.svg`` and ``.png`` are added.

    Returns:
        Both paths, SVG first.

    Raises:
        MisuseError: The directory cannot be written.
    """
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(12, 5.5))
        axes = figure.add_axes((0, 0, 1, 0.855))
        axes.set_axis_off()
        _draw_cell(_Sheet(axes))
        figure.suptitle(_TITLE, fontsize=16, y=0.975)
    base = Path(path_without_suffix)
    svg, png = (save_figure(figure, base.with_name(base.name + suffix)) for suffix in (".svg", ".png"))
    return svg, png


class _Sheet:
    """A drawing sheet: parts between points, wires joined by dots."""

    def __init__(self, axes: Axes) -> None:
        from schemdraw import Drawing, elements

        self.axes, self.parts = axes, elements
        self.drawing = Drawing(canvas=axes, show=False)  # pyright: ignore[reportArgumentType] - any Axes will do
        self.drawing.config(fontsize=13, lw=1.7, unit=2.4, color=BLACK)

    def wire(self, *corners: _Point, colour: str = BLACK) -> None:
        for start, end in pairwise(corners):
            self.drawing.add(self.parts.Line().endpoints(start, end).color(colour))

    def dot(self, place: _Point) -> None:
        self.drawing.add(self.parts.Dot(radius=0.09).at(place))

    def terminal(self, place: _Point, text: str, side: str, colour: str) -> None:
        dot = self.parts.Dot(open=True, radius=0.1).at(place).color(colour)
        self.drawing.add(dot.label(text, loc=side, color=colour, fontsize=14))

    def resistor(self, start: _Point, end: _Point, text: str, colour: str = BLACK) -> None:
        part = self.parts.Resistor().endpoints(start, end).color(colour)
        self.drawing.add(part.label(text, loc="top", color=colour))

    def capacitor(self, start: _Point, end: _Point, text: str) -> None:
        self.drawing.add(self.parts.Capacitor().endpoints(start, end).label(text, loc="top", fontsize=15))

    def text(self, place: _Point, text: str, *, colour: str = BLACK, size: float = 13, align: str = "left") -> None:
        label = self.parts.Label().at(place)
        self.drawing.add(label.label(text, halign=align, valign="center", color=colour, fontsize=size))

    def finish(self) -> None:
        """Draw it, with room for the labels, which schemdraw does not count."""
        self.drawing.draw(show=False)
        left, right, bottom, top = _FRAME
        self.axes.set_xlim(left, right)
        self.axes.set_ylim(bottom, top)
        self.axes.set_aspect("equal")

    def amplifier(self, inverting: _Point) -> _Point:
        """An operational amplifier with its + input grounded; returns its output."""
        part = self.drawing.add(self.parts.Opamp(leads=True).anchor("in1").at(inverting))
        plus, output = _Point(*part.absanchors["in2"]), _Point(*part.absanchors["out"])
        earth = _Point(plus.x, plus.y - 0.5)
        self.wire(plus, earth)
        self.drawing.add(self.parts.Ground().at(earth))
        return output


def _draw_cell(sheet: _Sheet) -> None:
    summing = _draw_array(sheet)
    output = _draw_integrator(sheet, summing)
    _draw_inverter(sheet, output)
    for y, text, colour in _NOTES:
        sheet.text(_Point(output.x + 0.7, y), text, colour=colour)
    sheet.finish()


def _draw_array(sheet: _Sheet) -> _Point:
    """Row i of the array and its input, joined at the summing node."""
    for y, name, value, colour in _ROWS:
        start, end = _Point(_LEFT, y), _Point(_BUS, y)
        sheet.resistor(_Point(_LEFT + 0.1, y), end, value, colour)
        sheet.terminal(start, name, "left", colour)
    sheet.wire(_Point(_BUS, _ROWS[0][0]), _Point(_BUS, _ROWS[-1][0]))
    for row in _ROWS[:-1]:
        sheet.dot(_Point(_BUS, row[0]))
    sheet.text(_Point(_LEFT + 2.3, _DOTS), r"$\vdots$", size=20, align="center")
    return _Point(_BUS, _ROWS[0][0])


def _draw_integrator(sheet: _Sheet, summing: _Point) -> _Point:
    """Amplifier with C from its output back to its inverting input; returns its output node."""
    corner, inverting = _Point(summing.x + 0.9, summing.y), _Point(summing.x + 1.5, summing.y)
    sheet.wire(summing, inverting)
    sheet.dot(corner)
    sheet.text(_Point(summing.x - 0.1, summing.y + 0.4), r"$\mathrm{sum}_i$")
    end = sheet.amplifier(inverting)
    output = _Point(end.x + 0.4, end.y)
    sheet.wire(end, output)
    sheet.capacitor(_Point(corner.x, _TOP), _Point(output.x, _TOP), "$C$")
    _close_loop(sheet, corner, output)
    return output


def _draw_inverter(sheet: _Sheet, source: _Point) -> None:
    """The amplifier that makes the inverted rail, and both rails out to the array."""
    corner = _Point(source.x + 3.4, source.y)
    tap = _Point(source.x + 0.7, source.y)
    sheet.wire(source, tap)
    sheet.dot(tap)
    sheet.resistor(tap, corner, "$R$")
    sheet.dot(corner)
    inverting = _Point(corner.x + 0.5, corner.y)
    sheet.wire(corner, inverting)
    end = sheet.amplifier(inverting)
    output = _Point(end.x + 0.4, end.y)
    sheet.wire(end, output)
    sheet.resistor(_Point(corner.x, _TOP), _Point(output.x, _TOP), "$R$")
    _close_loop(sheet, corner, output)
    inverted = _Point(output.x + 0.9, output.y)
    direct = _Point(inverted.x, -2.4)
    sheet.wire(output, inverted, colour=_INVERTED)
    sheet.dot(output)
    sheet.wire(tap, _Point(tap.x, direct.y), direct, colour=_DIRECT)
    sheet.dot(tap)
    sheet.terminal(inverted, r"$\mathrm{inv}_i = -V_i$", "right", _INVERTED)
    sheet.terminal(direct, r"$\mathrm{out}_i = V_i$", "right", _DIRECT)


def _close_loop(sheet: _Sheet, corner: _Point, output: _Point) -> None:
    """Wires from both ends of the feedback part at the top down to the inverting input and the output."""
    sheet.wire(corner, _Point(corner.x, _TOP))
    sheet.wire(_Point(output.x, _TOP), output)
    sheet.dot(output)
