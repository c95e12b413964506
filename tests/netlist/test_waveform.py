"""Waveforms against ngspice's own, at ngspice's own times, and against the corners by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ngspice_runs import plots

from tngd_hw import MisuseError
from tngd_hw.netlist import Shape, Waveform

STEP, STOP = 0.5e-6, 30e-6

CASES = {
    "pulse_repeating": (Shape.PULSE, (-1.0, 1.5, 2e-6, 1e-6, 2e-6, 3e-6, 10e-6)),
    "pulse_short": (Shape.PULSE, (0.25, -1.0, 3e-6, 1e-6)),
    "pulse_zeros": (Shape.PULSE, (0.0, 1.0, 1e-6, 0.0, 0.0, 0.0, 10e-6)),
    "pulse_two_numbers": (Shape.PULSE, (1.0, -0.5)),
    "pulse_longer_than_its_period": (Shape.PULSE, (0.0, 2.0, 1e-6, 1e-6, 4e-6, 3e-6, 6e-6)),
    "sin_default_frequency": (Shape.SIN, (1.0, 2.0)),
    "sin_delay_damping_phase": (Shape.SIN, (1.0, -2.0, 1.3e5, 3.2e-6, 4e4, 35.0)),
    "sin_phase_zero_frequency": (Shape.SIN, (0.5, 1.0, 0.0, 2e-6, 1e4, -60.0)),
    "exp_two_taus": (Shape.EXP, (1.0, 3.0, 1.5e-6, 2e-6, 6e-6, 5e-6)),
    "exp_defaults": (Shape.EXP, (1.0, 3.0)),
    "exp_delay_zero": (Shape.EXP, (-1.0, 2.0, 0.0, 2e-6, 9e-6, 3e-6)),
    "pwl_late_start_held_end": (Shape.PWL, (2e-6, 1.0, 3e-6, 5.0, 4.5e-6, -1.0)),
    "pwl_negative_start": (Shape.PWL, (-1e-6, 1.0, 3e-6, 5.0)),
}


@pytest.mark.ngspice
def test_values_are_ngspices_at_its_own_times() -> None:
    cards = [
        f"v{k} {name} 0 dc 7 {shape.value}({' '.join(map(repr, numbers))})\nr{k} {name} 0 1k"
        for k, (name, (shape, numbers)) in enumerate(CASES.items())
    ]
    plot = plots("\n".join(["* sources", *cards, f".tran {STEP!r} {STOP!r} 0 1e-7", ".end", ""]))["tran"]
    time = plot.values[:, 0].real
    assert len(time) > 300
    for name, (shape, numbers) in CASES.items():
        waveform = Waveform(shape, numbers).with_defaults(STEP, STOP)
        found = plot.values[:, plot.names.index(f"v({name})")].real
        assert np.ptp(found) > 0.5, name
        # ngspice's 3e-05 is one rounding off ours: where a pulse starts anew, its time may stand on the other side
        sides = np.stack([waveform.value(time * side) for side in (1 - 1e-14, 1.0, 1 + 1e-14)])
        assert np.abs(sides - found).min(axis=0).max() < 1e-9, name
        assert (np.abs(sides[1] - found) > 1e-9).sum() <= 3, name
        assert waveform.start == pytest.approx(found[0], abs=1e-12), name


@pytest.mark.parametrize("name", [name for name, (shape, _) in CASES.items() if shape in (Shape.PULSE, Shape.PWL)])
def test_straight_lines_between_breakpoints(name: str) -> None:
    """The waveform is its own interpolation between corners, just before and after each."""
    shape, numbers = CASES[name]
    waveform = Waveform(shape, numbers).with_defaults(STEP, STOP)
    assert waveform.is_piecewise_linear
    corners = np.unique([0.0, *waveform.breakpoints(STOP), STOP])
    for a, b in itertools.pairwise(corners):
        t = a + (b - a) * np.array([0.001, 0.25, 0.5, 0.75, 0.999])
        v = waveform.value(t)
        line = v[0] + (v[-1] - v[0]) * (t - t[0]) / (t[-1] - t[0])
        np.testing.assert_allclose(v, line, atol=1e-9)


def test_corners_by_hand() -> None:
    pulse = Waveform(Shape.PULSE, (-1.0, 1.5, 2.0, 1.0, 2.0, 3.0, 10.0))
    np.testing.assert_allclose(pulse.breakpoints(20.0), [2, 3, 6, 8, 12, 13, 16, 18], rtol=1e-15)
    np.testing.assert_allclose(
        pulse.value([0, 2, 2.5, 3, 5, 7, 8, 11, 12.25]), [-1, -1, 0.25, 1.5, 1.5, 0.25, -1, -1, -0.375]
    )
    np.testing.assert_allclose(Waveform(Shape.PWL, (1.0, 5.0, 3.0, 7.0)).value([0, 2, 9]), [5, 6, 7])
    np.testing.assert_array_equal(Waveform(Shape.EXP, (0.0, 1.0, 2.0, 1.0, 5.0, 1.0)).breakpoints(4.0), [2.0])
    assert not Waveform(Shape.SIN, (0.0, 1.0, 1.0)).is_piecewise_linear


def test_numbers_left_to_tran_are_asked_for() -> None:
    with pytest.raises(MisuseError, match=r"with_defaults\(step_s, stop_s\)"):
        Waveform(Shape.PULSE, (0.0, 1.0)).value(0.0)
    with pytest.raises(MisuseError, match=r"with_defaults\(step_s, stop_s\)"):
        Waveform(Shape.SIN, (0.0, 1.0)).breakpoints(1.0)
    with pytest.raises(MisuseError, match="million corners"):
        Waveform(Shape.PULSE, (0.0, 1.0, 0.0, 1e-12, 1e-12, 1e-12, 1e-11)).breakpoints(1.0)


@pytest.mark.parametrize(
    ("shape", "numbers", "message"),
    [
        (Shape.PULSE, (1.0,), "pulse waveform with 1 numbers"),
        (Shape.SIN, (1.0,) * 7, "sin waveform with 7 numbers"),
        (Shape.PWL, (0.0, 1.0, 2.0), "pairs of time and value"),
        (Shape.PWL, (0.0, 1.0, 0.0, 2.0), "times increasing"),
        (Shape.EXP, (0.0, float("nan")), "finite"),
        (Shape.PULSE, (0.0, 1.0, -1.0), "0 or more"),
    ],
)
def test_numbers_no_waveform_can_have(shape: Shape, numbers: tuple[float, ...], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        Waveform(shape, numbers)
