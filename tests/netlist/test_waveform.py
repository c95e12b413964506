"""Waveforms against ngspice's own, at ngspice's own times, and against the corners by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ngspice_runs import plots

from tngd_hw import MisuseError
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.netlist import (
    Kind,
    NetlistBuilder,
    OperatingPoint,
    Shape,
    Transient,
    Waveform,
    read_deck,
    write_deck,
)

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


def in_ngspice(waveforms: dict[str, Waveform]) -> dict[str, np.ndarray]:
    """ngspice's times and the voltage of each source, which its card gives as the waveform has it."""
    cards = [
        f"v{k} {name} 0 dc 7 {wave.shape.value}({' '.join(map(repr, wave.numbers))})\nr{k} {name} 0 1k"
        for k, (name, wave) in enumerate(waveforms.items())
    ]
    plot = plots("\n".join(["* sources", *cards, f".tran {STEP!r} {STOP!r} 0 1e-7", ".end", ""]))["tran"]
    columns = {name: plot.values[:, plot.names.index(f"v({name})")].real for name in waveforms}
    return {"time": plot.values[:, 0].real, **columns}


def leaves_width_or_period(waveform: Waveform) -> bool:
    """A PULSE whose width or period is for ngspice to choose, which its versions do in different ways."""
    return waveform.shape is Shape.PULSE and (len(waveform.numbers) < 7 or 0.0 in waveform.numbers[5:])


@pytest.mark.ngspice
@pytest.mark.parametrize("written", ["as given", "in full"])
def test_values_are_ngspices_at_its_own_times(written: str) -> None:
    """In full on every version; as given wherever the versions agree on what is not given, on 39 everywhere."""
    given = {name: Waveform(shape, numbers) for name, (shape, numbers) in CASES.items()}
    full = {name: wave.with_defaults(STEP, STOP) for name, wave in given.items()}
    if written == "as given" and required_ngspice().major > 39:
        given = {name: wave for name, wave in given.items() if not leaves_width_or_period(wave)}
    drawn = given if written == "as given" else full
    table = in_ngspice(drawn)
    time = table["time"]
    assert len(time) > 300
    assert len(drawn) >= 9
    for name in drawn:
        waveform, found = full[name], table[name]
        assert np.ptp(found) > 0.5, name
        # ngspice's 3e-05 is one rounding off ours: where a pulse starts anew, its time may stand on the other side
        sides = np.stack([waveform.value(time * side) for side in (1 - 1e-14, 1.0, 1 + 1e-14)])
        assert np.abs(sides - found).min(axis=0).max() < 1e-9, name
        assert (np.abs(sides[1] - found) > 1e-9).sum() <= 3, name
        assert waveform.start == pytest.approx(found[0], abs=1e-12), name


@pytest.mark.ngspice
def test_what_versions_make_of_a_pulse_without_width_and_period() -> None:
    """39: both are the stop time.  46: no width, and a period of rise + width + fall."""
    major = required_ngspice().major
    if 39 < major < 46:
        pytest.skip(f"ngspice {major}: which of the two ways it takes was not looked up")
    short, later = (0.25, -1.0, 3e-6, 1e-6), (0.25, -1.0, 3e-6, 1e-6, 2e-6, 4e-6)
    meant = (*short, STEP, STOP, STOP) if major == 39 else (*short, STEP, 0.0, 1e-6 + STEP)
    meant_later = (*later, STOP) if major == 39 else (*later, 7e-6)
    table = in_ngspice({"short": Waveform(Shape.PULSE, short), "later": Waveform(Shape.PULSE, later)})
    for name, numbers in (("short", meant), ("later", meant_later)):
        v1, v2, delay, rise, fall, width, period = numbers
        phase = np.mod(table["time"] - delay, period)
        phase = np.where(table["time"] < delay, 0.0, phase)
        line = np.interp(phase, [0, rise, rise + width + 1e-18, rise + width + fall], [v1, v2, v2, v1])
        assert np.abs(table[name] - line).max() < 1e-6 * abs(v2 - v1) + 1e-9, name


@pytest.mark.ngspice
def test_decks_are_written_in_full_so_that_versions_agree() -> None:
    build = NetlistBuilder("pulse")
    (node,) = build.nodes(["a"])
    wave = Waveform(Shape.PULSE, (0.25, -1.0, 3e-6, 1e-6))
    build.add(Kind.VOLTAGE_SOURCE, ["s"], [[node, 0]], [7.0], waveforms=[wave])
    build.add(Kind.RESISTOR, ["r"], [[node, 0]], [1e3])
    netlist = build.netlist([], ["a"])
    deck = write_deck(netlist, Transient(STOP, STEP, 1e-7))
    assert "pulse(0.25 -1.0 3e-06 1e-06 5e-07 3e-05 3e-05)" in deck
    assert write_deck(read_deck(deck).netlist, Transient(STOP, STEP, 1e-7)) == deck
    plot = plots(deck)["tran"]
    found, time = plot.values[:, plot.names.index("v(a)")].real, plot.values[:, 0].real
    np.testing.assert_allclose(found, wave.with_defaults(STEP, STOP).value(time), rtol=0, atol=1e-9)
    assert "pulse(0.25 -1.0 3e-06 1e-06)" in write_deck(netlist, OperatingPoint())  # .op has no times to fill in


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
