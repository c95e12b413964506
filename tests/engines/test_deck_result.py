"""What a simulated deck is summed up in, and what is kept of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tngd_hw.engines import DeckEngine, simulate_deck
from tngd_hw.engines.decks.result import AcResult, TransientResult
from tngd_hw.engines.decks.statistics import bands, node_statistics
from tngd_hw.netlist import Kind, read_deck
from tngd_hw.outcome import Status
from tngd_hw.storage import load_dataset

DECK = """low-pass in a cell
.subckt lp in out
R1 in out 1k
C1 out 0 1n
.ends
V1 a 0 PULSE(0 1 1u 1u 1u 3u 10u) AC 2 90
X1 a b lp
Rl b 0 9k
.op
.tran 0.5u 10u
.ac dec 5 1k 1meg
.noise v(b) V1 dec 5 1k 1meg
.ac lin 3 1k 3k
.end
"""


def test_all_analyses_and_counts() -> None:
    found = simulate_deck(read_deck(DECK))
    assert found.engine is DeckEngine.STATE_SPACE
    assert found.element_counts == {Kind.VOLTAGE_SOURCE: 1, Kind.RESISTOR: 2, Kind.CAPACITOR: 1}
    assert [name for name, _ in found.named()] == ["transient", "ac", "noise", "ac_2"]
    assert found.status.ok
    assert found.notes == ()


def test_files_come_back(tmp_path: Path) -> None:
    found = simulate_deck(read_deck(DECK))
    files = found.save(tmp_path / "waves")
    stems = ["transient", "ac", "noise", "ac_2"]
    assert [path.name for path in files] == [f"{stem}.{kind}" for stem in stems for kind in ("csv", "nc")]
    transient, ac, noise, _ = found.analyses
    table = np.genfromtxt(tmp_path / "waves" / "transient.csv", delimiter=",", skip_header=1)
    heads = (tmp_path / "waves" / "transient.csv").read_text().splitlines()[0]
    assert heads == "time_s,v(a)_volt,v(b)_volt"
    assert isinstance(transient, TransientResult)
    assert (table == np.column_stack([transient.times_s, transient.voltage_volt])).all()
    data = load_dataset(tmp_path / "waves" / "ac.nc", "deck_ac")
    assert isinstance(ac, AcResult)
    assert data["voltage_real_volt"].attrs["units"] == "V"
    back = data["voltage_real_volt"].values + 1j * data["voltage_imag_volt"].values
    assert (back == ac.voltage_volt).all()
    assert list(data["node"].values) == ["a", "b"]
    assert data.attrs["engine"] == "state_space"
    kept = load_dataset(tmp_path / "waves" / "noise.nc", "deck_noise")
    assert kept.attrs["output_total_volt"] == noise.output_total_volt
    assert (kept["input_density"].values == noise.input_density).all()


def test_a_run_without_points_leaves_no_file(tmp_path: Path) -> None:
    found = simulate_deck(read_deck("rc\nV1 a 0 1\nR1 a 0 1k\n.end\n"))
    assert found.save(tmp_path) == []
    assert "asks for no analysis" in found.notes[0]


def test_mean_and_rms_of_straight_lines_between_uneven_times() -> None:
    """A triangle 0 to 2 V in 1 s and back in 3 s: mean 1 V, rms 2/sqrt(3)."""
    run = TransientResult(np.array([0.0, 1.0, 4.0]), np.array([[0.0], [2.0], [0.0]]), ("n",), Status())
    (found,) = node_statistics(run)
    assert (found.node, found.minimum, found.maximum, found.final) == ("n", 0.0, 2.0, 0.0)
    assert found.mean == pytest.approx(1.0)
    assert found.rms == pytest.approx(2 / math.sqrt(3))


def test_limits_of_a_band_pass() -> None:
    """f0 = 10 kHz, Q = 2, gain 3: limits f0 (sqrt(1 + 1/4Q^2) +- 1/2Q)."""
    hertz = np.geomspace(100.0, 1e6, 40_001)
    response = 3 / (1 + 2j * (hertz / 1e4 - 1e4 / hertz))
    run = AcResult(hertz, np.stack([response, np.ones_like(response)], axis=1), ("n", "flat"), Status())
    band, flat = bands(run)
    assert band.peak_volt == pytest.approx(3.0, rel=1e-6)
    assert band.peak_hz == pytest.approx(1e4, rel=1e-3)
    assert band.low_hz == pytest.approx(1e4 * (math.sqrt(17 / 16) - 0.25), rel=1e-6)
    assert band.high_hz == pytest.approx(1e4 * (math.sqrt(17 / 16) + 0.25), rel=1e-6)
    assert (flat.low_hz, flat.high_hz) == (None, None)


def test_the_same_deck_twice_gives_the_same_numbers() -> None:
    deck = read_deck(DECK)
    first, second = (simulate_deck(deck).analyses for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert (one.table()[1] == other.table()[1]).all()
