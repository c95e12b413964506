"""Frequencies of ``.ac`` and ``.noise``: values that ngspice 39 and 46 wrote, and the ngspice of this machine."""

from __future__ import annotations

import numpy as np
import pytest

from tngd_hw.engines import simulate_deck
from tngd_hw.engines.decks.result import AcResult, DeckEngine, NoiseResult
from tngd_hw.engines.sweep import sweep_frequencies, sweep_points
from tngd_hw.netlist import AcSweep, NoiseSweep, Spacing, read_deck
from tngd_hw.outcome import MisuseError

DECADE, OCTAVE, LINEAR = Spacing.DECADE, Spacing.OCTAVE, Spacing.LINEAR

# ngspice's numbers, printed to 6 digits: .ac in 39 and 46 alike, below a decade in 46
AC = [
    (DECADE, 1, 1.0, 50.0, [1, 50]),
    (DECADE, 3, 1.0, 50.0, [1, 2.18672, 4.78176, 10.4564, 22.8653, 50]),
    (DECADE, 3, 1.0, 11.0, [1, 2.22398, 4.94609, 11]),
    (DECADE, 4, 1.0, 12.3, [1, 1.87273, 3.50714, 6.56793, 12.3]),
    (DECADE, 3, 1.0, 9.0, [1, 2.15443, 4.64159]),
    (DECADE, 7, 2.0, 3.0, [2, 2.77899]),
    (DECADE, 1, 1.0, 5.0, [1]),
    (DECADE, 10, 1.0, 1.0, [1]),
    (OCTAVE, 1, 1.0, 15.9, [1, 2, 4, 8]),
    (OCTAVE, 1, 1.0, 3.999997, [1, 2, 4]),
    (OCTAVE, 1, 1.0, 3.99999, [1, 2]),
    (OCTAVE, 1, 1.0, 1.5, [1]),
    (LINEAR, 5, 1.0, 11.0, [1, 3.5, 6, 8.5, 11]),
    (LINEAR, 3, 1.0, 1.5, [1, 1.25, 1.5]),
    (LINEAR, 2, 1.0, 11.0, [1]),
    (LINEAR, 4, 5.0, 5.0, [5]),
]
NOISE = [
    (DECADE, 3, 1.0, 11.0, [1, 2.15443, 4.64159, 10]),
    (DECADE, 1, 1.0, 50.0, [1, 10]),
    (DECADE, 2, 1.0, 3.1, [1]),
    (DECADE, 4, 0.1, 1.0, [0.1, 0.177828, 0.316228, 0.562341, 1]),
    (DECADE, 5, 1.0, 2.511884, [1, 1.58489, 2.51189]),
    (LINEAR, 2, 1.0, 11.0, [1, 11]),
]
ODD_BANDS = [
    (DECADE, 10, 1.0, 300.0),
    (DECADE, 10, 0.07, 7.0),
    (DECADE, 10, 0.03, 2.9999999),
    (DECADE, 10, 1.0, 7.94328),
    (DECADE, 10, 1.0, 1.2),
    (DECADE, 40, 1.234567890123456, 98765.4321),
    (OCTAVE, 3, 0.07, 0.28),
    (OCTAVE, 2, 7.0, 100.0),
    (LINEAR, 7, 0.1, 0.7),
]


@pytest.mark.parametrize(("spacing", "points", "start", "stop", "expected"), AC)
def test_ac_grid(spacing: Spacing, points: int, start: float, stop: float, expected: list[float]) -> None:
    analysis = AcSweep(points, start, stop, spacing)
    np.testing.assert_allclose(sweep_frequencies(analysis), expected, rtol=5e-6)
    assert sweep_points(analysis) == len(expected)


@pytest.mark.parametrize(("spacing", "points", "start", "stop", "expected"), NOISE)
def test_noise_grid(spacing: Spacing, points: int, start: float, stop: float, expected: list[float]) -> None:
    found = sweep_frequencies(NoiseSweep("b", "1", points, start, stop, spacing=spacing))
    np.testing.assert_allclose(found, expected, rtol=5e-6)


def test_a_band_of_decades_ends_where_it_is_told_to() -> None:
    found = sweep_frequencies(AcSweep(10, 10.0, 77e3))
    assert len(found) == 39, "floor(38.86) steps"
    assert found[0] == 10.0
    assert found[-1] == pytest.approx(77e3, rel=1e-14)
    np.testing.assert_allclose(np.diff(np.log(found)), np.log(7700) / 38, rtol=1e-12)


def test_too_many_points_are_refused() -> None:
    with pytest.raises(MisuseError, match="a sweep of 9000001 points, the limit is 1000000; ask for fewer"):
        sweep_frequencies(AcSweep(1_000_000, 1.0, 1e9))


@pytest.mark.ngspice
@pytest.mark.parametrize(("spacing", "points", "start", "stop"), [*((case[:4]) for case in (*AC, *NOISE)), *ODD_BANDS])
def test_ngspice_has_the_same_grid(spacing: Spacing, points: int, start: float, stop: float) -> None:
    """Also where its versions differ, or version 39 would never end."""
    sweep = f"{spacing.value} {points} {start!r} {stop!r}"
    text = f"rc\nV1 a 0 dc 0 ac 1\nR1 a b 1k\nC1 b 0 1n\n.ac {sweep}\n.noise v(b) v1 {sweep}\n.end\n"
    ours, theirs = (simulate_deck(read_deck(text), engine, timeout_s=20.0).analyses for engine in DeckEngine)
    for mine, other in zip(ours, theirs, strict=True):
        assert isinstance(mine, AcResult | NoiseResult)
        assert isinstance(other, AcResult | NoiseResult)
        assert other.status.ok, other.status
        assert len(mine.frequency_hz) == len(other.frequency_hz)
        np.testing.assert_allclose(other.frequency_hz, mine.frequency_hz, rtol=1e-9)
