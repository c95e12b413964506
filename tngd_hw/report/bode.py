"""Bode plots, pole plots and noise spectra: one engine's curves, another's points on top of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tngd_hw.outcome import MisuseError
from tngd_hw.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, styled, tidy

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["bode_figure", "noise_figure", "pole_figure"]

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)
_MOST_CURVES = len(_COLOURS)
_POLE_STYLES: tuple[dict[str, Any], ...] = (
    {"marker": "x", "ms": 8, "mew": 1.8, "color": BLUE},
    {"marker": "o", "ms": 11, "mew": 1.4, "mfc": "none", "color": VERMILION},
    {"marker": "+", "ms": 13, "mew": 1.4, "color": GREEN},
    {"marker": "s", "ms": 13, "mew": 1.2, "mfc": "none", "color": ORANGE},
)
_MARKS = 48
"""Points of the second engine that are drawn: more would hide the curve they lie on."""


def bode_figure(curves: xarray.Dataset, points: xarray.Dataset | None = None, *, source: str | None = None) -> Figure:
    """Magnitude and phase of the transfer functions from one input against frequency.

    Args:
        curves: From :func:`tngd_hw.engines.frequency.transfer_functions`; the nodes with the largest gain, 8 at most.
        points: The same of another engine, drawn as points.
        source: The input; by default the first.

    Returns:
        Two panels over one another: magnitude in decibels over 1 V/V or 1 V/A, phase in degrees without jumps.

    Raises:
        MisuseError: An input that is not in the data.
    """
    from matplotlib.figure import Figure

    inputs = [str(name) for name in curves["input"].values]
    chosen = inputs[0] if source is None else source
    if chosen not in inputs:
        raise MisuseError(f"source = {chosen!r}: the inputs are {', '.join(inputs)}")
    unit = str(curves["input_unit"].sel(input=chosen).item())
    gain = _gain(curves, chosen)
    with styled():
        figure = Figure(figsize=(9.5, 6.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        for k, colour in zip(_largest(np.abs(gain)), _COLOURS, strict=False):
            name = str(curves["node"].values[k])
            hertz = curves["frequency_hz"].values
            phase = _phase_deg(gain[:, k])
            upper.plot(hertz, _decibel(gain[:, k]), color=colour, lw=1.8, label=_plain(name))
            lower.plot(hertz, phase, color=colour, lw=1.8)
            if points is not None:
                _mark_bode((upper, lower), points, (hertz, phase), colour, source=chosen, node=name)
        upper.set(ylabel=f"magnitude [dB over 1 V/{unit}]", title=_plain(f"From {chosen} to the outputs"))
        lower.set(xlabel="frequency [Hz]", ylabel="phase [°]", xscale="log")
        for axes in (upper, lower):
            tidy(axes)
        _legend(figure, upper, curves, points)
    return figure


def noise_figure(curves: xarray.Dataset, points: xarray.Dataset | None = None) -> Figure:
    """Noise density of the outputs against frequency.

    Args:
        curves: From :func:`tngd_hw.engines.noise.matrix.noise_matrix`; the 8 loudest nodes at most.
        points: The same of another engine.
    """
    from matplotlib.figure import Figure

    root = np.sqrt(curves["density"].values)
    with styled():
        figure = Figure(figsize=(9.5, 4.6), layout="constrained")
        axes = figure.subplots()
        for k, colour in zip(_largest(root), _COLOURS, strict=False):
            name = curves["node"].values[k]
            axes.plot(curves["frequency_hz"].values, root[:, k], color=colour, lw=1.8, label=_plain(str(name)))
            if points is not None:
                density = points["density"].sel(node=name).values
                _mark(axes, points["frequency_hz"].values, np.sqrt(density), colour)
        axes.set(xlabel="frequency [Hz]", ylabel="noise density [V/√Hz]", xscale="log", yscale="log")
        axes.set_title(_plain(f"Noise at the outputs, sources: {curves.attrs.get('sources', 'all')}"))
        axes.set_ylim(bottom=float(root.max()) * 1e-5 if root.size and root.max() > 0 else None)
        tidy(axes)
        _legend(figure, axes, curves, points)
    return figure


def pole_figure(sets: Mapping[str, xarray.Dataset]) -> Figure:
    """Poles in the complex plane, both axes linear around 0 and logarithmic outside.

    Args:
        sets: Legend text -> data of :func:`tngd_hw.engines.frequency.poles`; the first as crosses, a second (the same
            circuit of perfect parts, say) as rings around them, 4 at most.

    Returns:
        A figure whose legend counts the poles and states the slowest; the right half-plane, where modes grow, is
        shaded.

    Raises:
        MisuseError: No set, or more than 4.
    """
    from matplotlib.figure import Figure

    if not 1 <= len(sets) <= len(_POLE_STYLES):
        raise MisuseError(f"sets holds {len(sets)} sets of poles: give 1 to {len(_POLE_STYLES)}")
    values = np.concatenate([_poles(data) for data in sets.values()])
    with styled():
        figure = Figure(figsize=(8.5, 5.2), layout="constrained")
        axes = figure.subplots()
        for (name, data), style in zip(sets.items(), _POLE_STYLES, strict=False):
            found = _poles(data)
            slowest = float(data["frequency_hz"].values[0])
            label = _plain(f"{name}: {len(found)} poles, slowest {slowest:.3g} Hz")
            axes.plot(found.real, found.imag, ls="", label=label, **style)
        across, up = _extent(values.real), _extent(values.imag if values.imag.any() else values.real)
        grows = max(float(values.real.max()), 0.0)
        axes.set_xscale("symlog", linthresh=across[0])
        axes.set_yscale("symlog", linthresh=up[0])
        _tick_decades(axes.xaxis, across)
        _tick_decades(axes.yaxis, up)
        right = 3 * max(across[0], grows)
        axes.set(xlim=(-3 * across[1], right), ylim=(-3 * up[1], 3 * up[1]) if values.imag.any() else (-up[0], up[0]))
        axes.axvspan(0, right, color=VERMILION, alpha=0.08, lw=0)
        axes.axvline(0, color=GREY, lw=1)
        axes.set(xlabel="real part [1/s]", ylabel="imaginary part [rad/s]", title="Poles; shaded: modes that grow")
        tidy(axes)
        figure.legend(loc="outside lower center")
    return figure


def _extent(values: NDArray[np.float64]) -> tuple[float, float]:
    """Decade below the smallest size that is not rounding, and the largest size."""
    size = np.abs(values)
    size = size[size > 1e-12 * size.max(initial=0.0)]
    if not size.size:
        return 1.0, 1.0
    return 10.0 ** float(np.floor(np.log10(size.min()))), float(size.max())


def _tick_decades(axis: Axis, extent: tuple[float, float]) -> None:
    """Ticks at 0 and at decades, 6 a side at most: matplotlib's own crowd around 0."""
    low, high = (round(float(np.log10(limit))) for limit in (extent[0], 10 * extent[1]))
    decades = 10.0 ** np.arange(low, high + 1, max(1, (high - low + 5) // 5))
    axis.set_ticks([*-decades[::-1], 0.0, *decades])
    axis.set_ticks([], minor=True)


def _gain(data: xarray.Dataset, source: str) -> NDArray[np.complex128]:
    """Shape (K, p)."""
    real, imaginary = (data[f"transfer_{part}"].sel(input=source) for part in ("real", "imag"))
    return real.values + 1j * imaginary.values


def _largest(size: NDArray[np.float64]) -> list[int]:
    """Columns with the largest peaks, at most as many as there are colours, in their own order."""
    order = np.argsort(-size.max(axis=0, initial=0.0), kind="stable")[:_MOST_CURVES]
    return sorted(int(k) for k in order)


def _decibel(gain: NDArray[np.complex128]) -> NDArray[np.float64]:
    """20 log10 |H|; a gap where it is 0."""
    size = np.abs(gain)
    return 20 * np.log10(size, out=np.full(size.shape, np.nan), where=size > 0)


def _phase_deg(gain: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.rad2deg(np.unwrap(np.angle(gain)))


def _mark_bode(
    panels: tuple[Axes, Axes],
    points: xarray.Dataset,
    curve: tuple[NDArray[np.float64], NDArray[np.float64]],
    colour: str,
    *,
    source: str,
    node: str,
) -> None:
    """Points of one node; their phase takes the curve's turns, which a point alone does not know."""
    gain = _gain(points.sel(node=[node]), source)[:, 0]
    hertz = points["frequency_hz"].values
    phase = np.rad2deg(np.angle(gain))
    phase = phase + 360 * np.round((np.interp(np.log(hertz), np.log(curve[0]), curve[1]) - phase) / 360)
    _mark(panels[0], hertz, _decibel(gain), colour)
    _mark(panels[1], hertz, phase, colour)


def _mark(axes: Axes, hertz: NDArray[np.float64], values: NDArray[np.float64], colour: str) -> None:
    step = max(1, len(hertz) // _MARKS)
    axes.plot(hertz[::step], values[::step], ls="", marker="o", ms=4.5, mfc="white", mew=1.3, color=colour)


def _legend(figure: Figure, axes: Axes, curves: xarray.Dataset, points: xarray.Dataset | None) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = [Line2D([], [], color=GREY, lw=1.8, label=_plain(str(curves.attrs.get("engine", "curve"))))]
    if points is not None:
        label = _plain(str(points.attrs.get("engine", "points")))
        handles.append(Line2D([], [], color=GREY, ls="", marker="o", ms=4.5, mfc="white", mew=1.3, label=label))
    figure.legend(handles=[*handles, *axes.get_legend_handles_labels()[0]], loc="outside right center")


def _poles(data: xarray.Dataset) -> NDArray[np.complex128]:
    return data["pole_real_per_s"].values + 1j * data["pole_imag_per_s"].values


def _plain(label: str) -> str:
    """Text that matplotlib draws as it is: no formulas, and never left out for its leading underscore."""
    text = label.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
