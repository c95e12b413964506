"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from tngd_hw.cli.duration import Duration, parse_duration
from tngd_hw.outcome import MisuseError


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("50tau", Duration(in_tau=50.0)),
        ("0.5 tau", Duration(in_tau=0.5)),
        ("1e2tau", Duration(in_tau=100.0)),
        ("2τ", Duration(in_tau=2.0)),
        ("20us", Duration(seconds=20e-6)),
        ("20 µs", Duration(seconds=20e-6)),
        ("3ms", Duration(seconds=3e-3)),
        ("5e-5", Duration(seconds=5e-5)),
        ("1 s", Duration(seconds=1.0)),
        ("settle", Duration()),
        (None, Duration()),
    ],
)
def test_times_that_are_understood(text: str | None, duration: Duration) -> None:
    found = parse_duration(text)
    assert found.in_tau == pytest.approx(duration.in_tau)
    assert found.seconds == pytest.approx(duration.seconds)


@pytest.mark.parametrize(
    "text", ["", "tau", "soon", "10V", "nan", "inf", "1e999", "infs", "10 apples", "50tautau", "--3"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(MisuseError, match=r"--duration = .*50tau"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "-1us", "0tau", "-50tau"])
def test_a_run_lasts_longer_than_nothing(text: str) -> None:
    with pytest.raises(MisuseError, match="above 0"):
        parse_duration(text)
