"""Decks written by others, through the exact equations and through ngspice: the same numbers.

Held to: .op 1e-9, .ac and noise density 1e-6, .tran 1e-4 of the largest voltage (ngspice's own error, which falls with
reltol).  The exact side is evaluated at ngspice's own times and frequencies.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tngd_hw.engines.decks.frequency import exact_ac, exact_noise
from tngd_hw.engines.decks.ngspice import DeckInNgspice
from tngd_hw.engines.decks.simulate import DeckInStateSpace, simulate_deck
from tngd_hw.engines.decks.transient import exact_transient
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.netlist import (
    AcSweep,
    Deck,
    Kind,
    Netlist,
    NoiseSources,
    NoiseSweep,
    Shape,
    Transient,
    Waveform,
    read_deck,
)
from tngd_hw.outcome import MisuseError

pytestmark = pytest.mark.ngspice

OTHERS = Path(__file__).parents[1] / "netlist" / "decks"
OWN = Path(__file__).parent / "decks"
NONLINEAR = "switched_limiter"
DECKS = [path for path in sorted([*OTHERS.glob("*.cir"), *OWN.glob("*.cir")]) if path.stem != NONLINEAR]
SECONDS = {"gyrator": 200e-6, "instrumentation": 5e-3, "rlc_ladder": 200e-9, "sallen_key": 200e-6, "transformer": 2e-3}
SECONDS |= {"twin_t": 2e-3}
HEARD = {"sampler": ("z", "in"), "transformer": ("3", "p"), "twin_t": ("3", "1")}
"""Output and source of the noise, where the last node hears nothing of the first source."""


def deck_of(path: Path) -> Deck:
    """All nodes are read, and one source has an ac amplitude (which an original need not have)."""
    deck = read_deck(path)
    tables = deck.netlist.tables
    if not any(table.ac is not None and table.ac.any() for table in tables):
        first = next(table for table in tables if table.kind.is_source)
        ac = np.array([0.7 - 0.4j, *[0.0] * (len(first) - 1)])
        tables = tuple(replace(table, ac=ac) if table is first else table for table in tables)
    return replace(deck, netlist=replace(deck.netlist, tables=tables, outputs=deck.netlist.node_names[1:]))


def ngspice(deck: Deck, steps: int = 4000) -> DeckInNgspice:
    return DeckInNgspice(deck, required_ngspice(), 60.0, steps)


def transient_of(path: Path, deck: Deck) -> tuple[Netlist, Transient]:
    """The deck's own; else a pulse on its first source, in time with the circuit."""
    for analysis in deck.analyses:
        if isinstance(analysis, Transient):
            return deck.netlist, analysis
    seconds = SECONDS[path.stem]
    first = next(table for table in deck.netlist.tables if table.kind.is_source)
    waves = first.waveforms or (None,) * len(first)
    if waves[0] is None:
        numbers = tuple(np.array([0.1, 0.01, 0.02, 0.3, 0.6]) * seconds)
        pulse = Waveform(Shape.PULSE, (float(first.values[0]), -1.5 * float(first.values[0]), *numbers))
        first_moving = replace(first, waveforms=(pulse, *waves[1:]))
        tables = tuple(first_moving if table is first else table for table in deck.netlist.tables)
        deck = replace(deck, netlist=replace(deck.netlist, tables=tables))
    return deck.netlist, Transient(seconds, seconds / 1000, seconds / 1000, uic=False)


def transient_error(deck: Deck, analysis: Transient, steps: int = 4000) -> float:
    """Largest difference on the path, by the largest voltage.  At t = 0 with uic ngspice has not solved anything."""
    found = ngspice(deck, steps).transient(analysis)
    assert found.status.ok, found.status
    exact = exact_transient(deck.netlist, analysis, found.times_s[1:])
    assert exact.voltage_volt.std(axis=0).max() > 1e-3 * np.abs(exact.voltage_volt).max(), "nothing moves"
    return float(np.abs(exact.voltage_volt - found.voltage_volt[1:]).max() / np.abs(exact.voltage_volt).max())


def test_there_are_decks_enough() -> None:
    assert len(DECKS) >= 13
    shapes = {w.shape for path in DECKS for t in read_deck(path).netlist.tables for w in t.waveforms if w is not None}
    assert shapes == set(Shape)
    kinds = {table.kind for path in DECKS for table in read_deck(path).netlist.tables}
    assert Kind.SWITCH in kinds


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_operating_point(path: Path) -> None:
    deck = deck_of(path)
    theirs, status = ngspice(deck).operating_point()
    ours, _ = DeckInStateSpace(deck).operating_point()
    assert theirs is not None, status
    assert theirs.voltage_volt.keys() == ours.voltage_volt.keys()
    assert theirs.current_ampere.keys() == ours.current_ampere.keys()
    largest = max(map(abs, ours.voltage_volt.values()))
    for name, volt in theirs.voltage_volt.items():
        assert abs(ours.voltage_volt[name] - volt) <= 1e-9 * largest, name
    conductance = 1e-2  # siemens: what a volt drives through the smallest resistors of these decks
    for name, ampere in theirs.current_ampere.items():
        assert abs(ours.current_ampere[name] - ampere) <= 1e-9 * conductance * max(largest, 1e-3), name


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_ac(path: Path) -> None:
    deck = deck_of(path)
    analysis = next((a for a in deck.analyses if isinstance(a, AcSweep)), AcSweep(20, 10.0, 1e7))
    theirs = ngspice(deck).ac(analysis)
    assert theirs.status.ok, theirs.status
    ours = exact_ac(deck.netlist, analysis, theirs.frequency_hz)
    assert ours.status.ok
    largest = np.abs(ours.voltage_volt).max(axis=0)
    assert largest.max() > 0
    assert (np.abs(ours.voltage_volt - theirs.voltage_volt).max(axis=0) <= 1e-6 * largest).all()


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_noise_density(path: Path) -> None:
    """At one node, and of its difference to another, referred to a source."""
    deck = deck_of(path)
    output, source = HEARD.get(path.stem, (deck.netlist.outputs[-1], deck.netlist.inputs[0]))
    for reference in (None, deck.netlist.outputs[0]):
        analysis = NoiseSweep(output, source, 10, 100.0, 1e6, reference, sources=NoiseSources.ALL)
        theirs = ngspice(deck).noise(analysis)
        assert theirs.status.ok, theirs.status
        ours = exact_noise(deck.netlist, analysis, theirs.frequency_hz)
        np.testing.assert_allclose(ours.output_density, theirs.output_density, rtol=1e-6)
        np.testing.assert_allclose(ours.input_density, theirs.input_density, rtol=1e-6)


def test_integrated_noise() -> None:
    """ngspice joins its points by power laws: 10 a decade miss the gyrator's resonance by 9 %, 3,000 come near."""
    deck = deck_of(OTHERS / "gyrator.cir")
    analysis = next(a for a in deck.analyses if isinstance(a, NoiseSweep))
    ours = exact_noise(deck.netlist, analysis)
    coarse, fine = (ngspice(deck).noise(replace(analysis, points_per_decade=k)) for k in (10, 3000))
    assert abs(coarse.output_total_volt / ours.output_total - 1) > 0.05
    assert fine.output_total_volt == pytest.approx(ours.output_total, rel=1e-4)
    assert fine.input_total == pytest.approx(ours.input_total, rel=1e-4)


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_transient(path: Path) -> None:
    deck = deck_of(path)
    netlist, analysis = transient_of(path, deck)
    unhurried = {name: value for name, value in deck.options.items() if name not in ("reltol", "vntol")}
    assert transient_error(replace(deck, netlist=netlist, options=unhurried), analysis) < 1e-4


@pytest.mark.parametrize("path", sorted(OWN.glob("*.cir")), ids=lambda path: path.stem)
def test_the_difference_is_ngspices_and_falls_with_reltol(path: Path) -> None:
    """Steps that ngspice chooses by its tolerance alone: from 1e-4 to 1e-6 the difference falls to less than 0.3."""
    deck = deck_of(path)
    netlist, analysis = transient_of(path, deck)
    deck = replace(deck, netlist=netlist, options={"reltol": "given"})
    coarse, fine = (
        transient_error(deck, replace(analysis, relative_tolerance=r, max_step_s=analysis.stop_s / 50), steps=50)
        for r in (1e-4, 1e-6)
    )
    assert fine < 0.3 * coarse


def test_a_derivative_of_an_input_in_an_ac_analysis_and_in_a_transient() -> None:
    """The node between a current source and an inductor alone: v = L di/dt + ..."""
    deck = read_deck(
        "cut-set\nI1 0 e PWL(0 0 10u 1m 30u -2m) AC 1m 20\nL1 e b 4.7m\nR1 b 0 330\nC1 b 0 47n\n"
        ".tran 0.1u 40u 0 0.1u\n.ac dec 10 100 1meg\n.end\n"
    )
    transient, sweep = deck.analyses
    assert isinstance(transient, Transient)
    assert isinstance(sweep, AcSweep)
    assert transient_error(deck, transient) < 1e-4
    theirs = ngspice(deck).ac(sweep)
    ours = exact_ac(deck.netlist, sweep, theirs.frequency_hz)
    np.testing.assert_allclose(ours.voltage_volt, theirs.voltage_volt, rtol=1e-6)


def test_the_value_at_rest_and_the_value_at_zero_of_one_source() -> None:
    """.op takes the DC value, .tran starts from the waveform's."""
    deck = read_deck("two\nV1 a 0 DC 3 PULSE(1 2 5u 1u 1u)\nR1 a b 1k\nC1 b 0 2n\n.op\n.tran 0.1u 10u\n.end\n")
    for engine in (DeckInStateSpace(deck), ngspice(deck)):
        point, _ = engine.operating_point()
        assert point is not None
        assert point.voltage_volt["b"] == pytest.approx(3.0, rel=1e-9)
        assert engine.transient(deck.analyses[1]).voltage_volt[0] == pytest.approx([1.0, 1.0], rel=1e-9)


def test_numbers_that_a_waveform_leaves_to_tran() -> None:
    """Rise time the deck's step, period its stop, though ngspice is run with a smaller step."""
    deck = read_deck("defaults\nV1 a 0 PULSE(0 1 2u)\nR1 a b 1k\nC1 b 0 1n\n.tran 1u 20u 0 1u\n.end\n")
    assert transient_error(deck, deck.analyses[0]) < 1e-4


def test_a_nonlinear_deck_is_for_ngspice() -> None:
    deck = read_deck(OTHERS / f"{NONLINEAR}.cir")
    with pytest.raises(MisuseError, match=r"blim is nonlinear.*ngspice"):
        simulate_deck(deck)
    assert ngspice(deck).operating_point()[1].ok
