"""SI numbers in and out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tngd_hw.outcome import MisuseError
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("10k", "ohm", 1e4),
        ("10 kOhm", "ohm", 1e4),
        ("4.7 kΩ", "ohm", 4.7e3),
        ("1n", "farad", 1e-9),
        ("1 nF", "farad", 1e-9),
        ("1nF", "farad", 1e-9),
        ("2.2 pF", "farad", 2.2e-12),
        ("1m", "ohm", 1e-3),
        ("1M", "ohm", 1e6),
        ("75 MHz", "hz", 75e6),
        ("125 uV", "volt", 125e-6),
        ("20 mA", "ampere", 20e-3),
        ("1e4", "ohm", 1e4),
        (" 12.5 ", "ohm", 12.5),
        ("-3", "volt", -3.0),
        ("300 K", "kelvin", 300.0),
        ("3 us", "s", 3e-6),
        (5, "ohm", 5.0),
        (2.5, "ohm", 2.5),
    ],
)
def test_parse(text: str | float, unit: str, value: float) -> None:
    assert parse_quantity(text, unit, "field") == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("value", "unit", "says"),
    [
        ("1 V", "ohm", r"R = '1 V': unit 'V' where ohm is expected"),
        ("10 apples", "ohm", r"R = '10 apples': unit 'apples'"),
        ("ten", "ohm", r"R = 'ten': not a finite number"),
        ("", "ohm", r"R = '': not a finite number"),
        ("10 M V", "ohm", r"R = '10 M V': unit 'M V'"),
        ("1 mega", "ohm", r"unit 'mega'"),
        ("1 kK", "ohm", r"unit 'kK'"),
        ("inf", "ohm", r"R = .*finite"),
        ("nan", "ohm", r"R = .*finite"),
        (float("nan"), "ohm", r"R = nan: expected a finite number in ohm"),
        (True, "ohm", r"R = True: expected a number"),
        (None, "ohm", r"R = None: expected a number"),
        ([1.0], "ohm", r"R = \[1.0\]: expected a number"),
    ],
)
def test_what_cannot_be_meant(value: object, unit: str, says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        parse_quantity(value, unit, "R")  # pyright: ignore[reportArgumentType] - the point of the test


def test_format() -> None:
    assert format_quantity(1e-9, "farad") == "1 nF"
    assert format_quantity(12345.678, "ohm") == "12.35 kOhm"
    assert format_quantity(0.0, "volt") == "0 V"
    assert format_quantity(7.2e11, "kelvin") == "720 GK"


@given(st.floats(1e-14, 1e11), st.sampled_from(["ohm", "farad", "volt", "hz", "siemens", "ampere", "s", "kelvin"]))
def test_round_trip(value: float, unit: str) -> None:
    assert parse_quantity(format_quantity(value, unit, digits=9), unit, "x") == pytest.approx(value, rel=1e-8)


def test_boltzmann_constant_gives_4_nv_per_root_hz_for_1_kohm() -> None:
    """The textbook figure: 1 kOhm at 290 K has 4.0 nV/sqrt(Hz)."""
    assert pytest.approx(4.002e-9, rel=1e-3) == (4 * BOLTZMANN_JOULE_PER_KELVIN * 290 * 1e3) ** 0.5
