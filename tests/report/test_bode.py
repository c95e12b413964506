"""Bode, noise and pole figures: what is drawn where, in which units, with which words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import xarray
from matplotlib.figure import Figure

from tngd_hw.outcome import MisuseError
from tngd_hw.report import bode_figure, noise_figure, pole_figure, save_figure

HERTZ = np.geomspace(1e2, 1e6, 81)


def transfer(engine: str, order: int = 5, step: int = 1) -> xarray.Dataset:
    """1/(1 + j f/1 kHz)^k at node ``n1``, ``n2`` ..., negated from the second input."""
    hertz = HERTZ[::step]
    gain = np.stack([1 / (1 + 1j * hertz / 1e3) ** k for k in range(1, order + 1)], axis=1)
    both = np.stack([gain, -2 * gain], axis=2)
    dims = ["frequency_hz", "node", "input"]
    return xarray.Dataset(
        {"transfer_real": (dims, both.real), "transfer_imag": (dims, both.imag)},
        coords={
            "frequency_hz": hertz,
            "node": [f"n{k}" for k in range(1, order + 1)],
            "input": ["va", "ib"],
            "input_unit": ("input", ["V", "A"]),
        },
        attrs={"engine": engine},
    )


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_bode_draws_decibels_and_a_phase_without_jumps() -> None:
    figure = bode_figure(transfer("state_space"), transfer("ngspice"))
    upper, lower = figure.axes
    assert upper.get_ylabel() == "magnitude [dB over 1 V/V]"
    assert (lower.get_xlabel(), lower.get_ylabel()) == ("frequency [Hz]", "phase [°]")
    curve, points = upper.lines[2], upper.lines[3]  # the second node
    assert np.interp(1e3, HERTZ, np.asarray(curve.get_ydata())) == pytest.approx(
        -40 * math.log10(math.sqrt(2)), abs=1e-9
    )
    assert points.get_linestyle() == "None"
    fifth = np.asarray(lower.lines[8].get_ydata())
    assert fifth[-1] == pytest.approx(-450, abs=1)
    assert np.asarray(lower.lines[9].get_ydata())[-1] == pytest.approx(-450, abs=1)  # ngspice's points turn with it
    assert words(figure) == ["state_space", "ngspice", "n1", "n2", "n3", "n4", "n5"]


def test_bode_of_another_input_has_its_unit() -> None:
    upper, lower = bode_figure(transfer("state_space"), source="ib").axes
    assert upper.get_ylabel() == "magnitude [dB over 1 V/A]"
    assert np.asarray(upper.lines[0].get_ydata())[0] == pytest.approx(20 * math.log10(2), abs=0.1)
    assert abs(np.asarray(lower.lines[0].get_ydata())[0]) == pytest.approx(180, abs=6)
    with pytest.raises(MisuseError, match="source = 'vb': the inputs are va, ib"):
        bode_figure(transfer("state_space"), source="vb")


def test_a_zero_gain_is_a_gap_and_many_nodes_are_eight(tmp_path: Path) -> None:
    data = transfer("state_space", order=10)
    data["transfer_real"][:, 1], data["transfer_imag"][:, 1] = 0.0, 0.0
    figure = bode_figure(data)
    assert len(figure.axes[0].lines) == 8
    assert "n2" not in words(figure)
    silent = transfer("state_space", order=1)
    silent["transfer_real"][:], silent["transfer_imag"][:] = 0.0, 0.0
    figure = bode_figure(silent)
    assert np.isnan(np.asarray(figure.axes[0].lines[0].get_ydata())).all()
    save_figure(figure, tmp_path / "silent.png")


def test_noise_figure_draws_the_root_of_the_density() -> None:
    density = np.stack([4e-16 / (1 + (HERTZ / 1e3) ** 2), 1e-18 * np.ones(81)], axis=1)
    data = xarray.Dataset(
        {"density": (["frequency_hz", "node"], density)},
        coords={"frequency_hz": HERTZ, "node": ["a", "_b$"]},
        attrs={"engine": "state_space", "sources": "injected"},
    )
    figure = noise_figure(data, data.assign_attrs(engine="ngspice"))
    (axes,) = figure.axes
    assert axes.get_ylabel() == "noise density [V/√Hz]"
    np.testing.assert_allclose(axes.lines[0].get_ydata(), np.sqrt(density[:, 0]))
    np.testing.assert_allclose(np.asarray(axes.lines[3].get_ydata()), 1e-9)
    assert words(figure) == ["state_space", "ngspice", "a", r" _b\$"]


def pole_data(values: list[complex]) -> xarray.Dataset:
    found = np.array(values)
    return xarray.Dataset(
        {
            "pole_real_per_s": ("mode", found.real),
            "pole_imag_per_s": ("mode", found.imag),
            "frequency_hz": ("mode", np.abs(found) / (2 * math.pi)),
        }
    )


def test_poles_are_marked_and_growth_is_in_the_shade(tmp_path: Path) -> None:
    growing = pole_data([2e3 + 5e5j, 2e3 - 5e5j, -1e6])
    figure = pole_figure({"real parts": growing, "perfect parts": pole_data([-1e4])})
    (axes,) = figure.axes
    assert list(np.asarray(axes.lines[0].get_xdata())) == [2e3, 2e3, -1e6]
    assert axes.get_xlim()[0] < -1e6
    assert axes.get_xlim()[1] > 2e3
    assert axes.get_ylim()[1] > 5e5
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("real part [1/s]", "imaginary part [rad/s]")
    assert words(figure)[0] == "real parts: 3 poles, slowest 7.96e+04 Hz"
    assert words(figure)[1].startswith("perfect parts: 1 poles")
    ticks = axes.get_xticks()
    assert 0.0 in ticks
    assert len(ticks) < 16
    save_figure(figure, tmp_path / "poles.png")


def test_poles_on_the_real_axis_alone_and_no_set() -> None:
    (axes,) = pole_figure({"filter": pole_data([-1e3, -1e8])}).axes
    assert axes.get_ylim()[0] == -axes.get_ylim()[1]
    with pytest.raises(MisuseError, match="sets holds 0 sets"):
        pole_figure({})
