"""The exact transient, AC and noise of decks against closed forms and scipy, without any simulator."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from tngd_hw.engines.decks.frequency import exact_ac, exact_noise
from tngd_hw.engines.decks.result import DeckEngine, TransientResult
from tngd_hw.engines.decks.simulate import simulate_deck
from tngd_hw.engines.decks.transient import exact_transient, output_grid
from tngd_hw.netlist import AcSweep, NoiseSources, NoiseSweep, Transient, read_deck
from tngd_hw.outcome import MisuseError, Outcome
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN

TAU = 1e-6  # of 1 kOhm and 1 nF


def path(text: str, times: np.ndarray) -> np.ndarray:
    """Voltage of node b of a deck with one .tran."""
    deck = read_deck(text)
    (analysis,) = (a for a in deck.analyses if isinstance(a, Transient))
    return exact_transient(deck.netlist, analysis, times).voltage_volt[:, deck.netlist.outputs.index("b")]


def test_a_damped_sine_into_an_rc() -> None:
    """v' = (u - v)/tau from the start value of the sine; variation of constants, by hand.

    With z = i w - damping and a complex amplitude A: response A e^(z s)/(1 + z tau), and e^(-s/tau) for the start.
    """
    times = np.array([0.0, 1e-7, 1.2e-6, 1.3e-6, 3.7e-6, 9.9e-6, 10e-6])
    found = path("sine\nV1 a 0 SIN(0.2 1.5 300k 1.2u 200k 40)\nR1 a b 1k\nC1 b 0 1n\n.tran 0.1u 10u\n.end\n", times)
    z = 2j * math.pi * 300e3 - 200e3
    amplitude = 1.5 * np.exp(1j * math.radians(40))
    s = np.maximum(times - 1.2e-6, 0.0)
    start = 0.2 + amplitude.imag
    forced = 0.2 + (amplitude * np.exp(z * s) / (1 + z * TAU)).imag
    exact = forced + (start - 0.2 - (amplitude / (1 + z * TAU)).imag) * np.exp(-s / TAU)
    np.testing.assert_allclose(found, np.where(times <= 1.2e-6, start, exact), rtol=0, atol=1e-13)


def test_an_exponential_into_an_rc_also_at_resonance() -> None:
    """Source v1 + (v2 - v1)(1 - e^(-s/T)), then back; T = tau makes the double pole s e^(-s/tau)."""
    times = np.linspace(0.0, 12e-6, 49)
    text = "exp\nV1 a 0 EXP(-0.5 2 1u 1u 6u 3u)\nR1 a b 1k\nC1 b 0 1n\n.tran 0.1u 12u\n.end\n"
    first, second = np.maximum(times - 1e-6, 0.0), np.maximum(times - 6e-6, 0.0)

    def step(s: np.ndarray, T: float) -> np.ndarray:
        if T == TAU:
            return 1 - (1 + s / TAU) * np.exp(-s / TAU)
        return 1 - (T * np.exp(-s / T) - TAU * np.exp(-s / TAU)) / (T - TAU)

    exact = -0.5 + 2.5 * step(first, TAU) - 2.5 * step(second, 3e-6)
    np.testing.assert_allclose(path(text, times), exact, rtol=0, atol=1e-12)


def test_a_pulse_by_ramps() -> None:
    """A ramp of slope k is answered by k (s - tau (1 - e^(-s/tau))); a pulse is four of them, every period."""
    times = np.array([0.0, 0.5e-6, 1.01e-6, 1.2e-6, 3.15e-6, 3.3e-6, 6.0e-6, 6.05e-6, 11.05e-6, 12e-6])
    text = "pulse\nV1 a 0 PULSE(1 -2 1u 0.1u 0.2u 2u 5u)\nR1 a b 1k\nC1 b 0 1n\n.tran 0.1u 12u\n.end\n"
    exact = np.ones(len(times))
    for period in range(3):
        for corner, slope in ((0.0, -30e6), (0.1e-6, 30e6), (2.1e-6, 15e6), (2.3e-6, -15e6)):
            s = np.maximum(times - 1e-6 - 5e-6 * period - corner, 0.0)
            exact += slope * (s - TAU * -np.expm1(-s / TAU))
    np.testing.assert_allclose(path(text, times), exact, rtol=0, atol=1e-12)


def test_a_pulse_that_jumps_at_its_period() -> None:
    """Width 20 us in a period of 10 us: up over 1 us, held, then straight back to v1 at every period."""
    times = np.array([5e-6, 10.999e-6, 11.0e-6, 11.0005e-6, 11.5e-6, 20e-6])
    found = path("jump\nV1 a 0 PULSE(0 1 1u 1u 1u 20u 10u)\nR1 a b 1k\nC1 b 0 1n\n.tran 0.1u 40u\n.end\n", times)

    def ramp(s: np.ndarray) -> np.ndarray:
        s = np.maximum(s, 0.0)
        return 1e6 * (s - TAU * -np.expm1(-s / TAU))

    exact = ramp(times - 1e-6) - ramp(times - 2e-6)
    s = np.maximum(times - 11e-6, 0.0)
    exact += np.expm1(-s / TAU) + ramp(times - 11e-6) - ramp(times - 12e-6)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-12)


def test_a_switch_between_two_time_constants() -> None:
    """Closed from 2 to 5 us (where the control crosses 0.5 on its edges): R parallel to the switch."""
    text = (
        "switch\n.model m sw(ron=500 roff=1g vt=0.5)\nV1 a 0 2\nR1 a b 1k\nC1 b 0 1n ic=0.3\nS1 b 0 c 0 m\n"
        "V2 c 0 PULSE(0 1 1.9u 0.2u 0.4u 2.7u)\n.tran 0.1u 10u uic\n.end\n"
    )
    times = np.array([0.0, 1.0e-6, 2.0e-6, 2.5e-6, 5.0e-6, 6e-6, 10e-6])

    def relax(volt: float, seconds: float, ohm: float) -> float:
        end, tau = 2.0 * ohm / (ohm + 1e3), 1e-9 * ohm * 1e3 / (ohm + 1e3)
        return end + (volt - end) * math.exp(-seconds / tau)

    at2 = relax(0.3, 2e-6, 1e9)
    at5 = relax(at2, 3e-6, 500.0)
    exact = [
        0.3,
        relax(0.3, 1e-6, 1e9),
        at2,
        relax(at2, 0.5e-6, 500),
        at5,
        relax(at5, 1e-6, 1e9),
        relax(at5, 5e-6, 1e9),
    ]
    np.testing.assert_allclose(path(text, times), exact, rtol=0, atol=1e-12)


def test_hysteresis_and_a_sine_that_switches() -> None:
    """Control sin(2 pi 100k t): above 0.6 closed, below 0.2 open, in between as before (open at first)."""
    text = (
        "switch\n.model m sw(ron=1 roff=1meg vt=0.4 vh=0.2)\nV1 a 0 1\nR1 a b 1k\nS1 b 0 c 0 m\n"
        "V2 c 0 SIN(0 1 100k)\n.tran 0.1u 20u\n.end\n"
    )
    on, off = math.asin(0.6) / (2 * math.pi * 1e5), 5e-6 - math.asin(0.2) / (2 * math.pi * 1e5)
    times = np.concatenate([k * 10e-6 + np.array([on - 1e-12, on + 1e-12, off - 1e-12, off + 1e-12]) for k in (0, 1)])
    high, low = 1e6 / (1e6 + 1e3), 1 / 1001
    np.testing.assert_allclose(path(text, times), [high, low, low, high] * 2, rtol=1e-12)


def test_an_inductor_current_is_carried_over_a_switch() -> None:
    """1 mA through 10 mH, then its resistor grows from 1 k to 2 k (and the source stays 1 V)."""
    text = (
        "inductor\n.model m sw(ron=1m roff=1k vt=0.5)\nV1 a 0 1\nL1 a b 10m\nR1 b d 1k\nS1 d 0 c 0 m\n"
        "V2 c 0 PWL(0 1 99.99u 1 100.01u 0)\n.tran 1u 200u\n.end\n"
    )
    times = np.array([50e-6, 99.999e-6, 101e-6, 130e-6])
    start, end = 1 / 1000.001, 1 / 2000
    current = np.array([start, start, *(end + (start - end) * np.exp(-2000 / 10e-3 * np.array([1e-6, 30e-6])))])
    ohm = np.array([1000.001, 1000.001, 2000, 2000])
    np.testing.assert_allclose(path(text, times), current * ohm, rtol=1e-9)


def test_a_lossless_tank_and_an_unstable_node() -> None:
    lc = read_deck("lc\nL1 b 0 1m\nC1 b 0 1n ic=1\n.tran 10n 50u uic\n.end\n")
    found = simulate_deck(lc)
    (run,) = found.analyses
    assert isinstance(run, TransientResult)
    np.testing.assert_allclose(run.voltage_volt[:, 0], np.cos(run.times_s / 1e-6), rtol=0, atol=1e-10)
    assert found.status.ok
    grown = simulate_deck(read_deck("up\nR1 b 0 1k\nC1 b 0 1n ic=1m\nG1 0 b b 0 2m\n.tran 10n 10u uic\n.end\n"))
    (run,) = grown.analyses
    assert isinstance(run, TransientResult)
    assert grown.status.outcome is run.status.outcome is Outcome.UNSTABLE
    np.testing.assert_allclose(run.voltage_volt[:, 0], 1e-3 * np.exp(run.times_s / 1e-6), rtol=1e-10)


def test_against_an_integrator_of_another_origin() -> None:
    """A series RLC driven by a sine with phase and a current pulse, by scipy's Radau."""
    text = (
        "rlc\nV1 in 0 SIN(0 1 200k 0 0 90)\nR1 in a 120\nL1 a b 100u\nC1 b 0 4.7n\nI1 0 b PULSE(0 5m 4u 1u 1u 3u 20u)\n"
        ".tran 50n 15u\n.end\n"
    )
    times = np.linspace(0.0, 15e-6, 61)

    def rate(t: float, x: np.ndarray) -> list[float]:
        pulse = 5e-3 * float(np.interp(t, [4e-6, 5e-6, 8e-6, 9e-6], [0.0, 1.0, 1.0, 0.0]))
        return [(x[1] + pulse) / 4.7e-9, (math.cos(2 * math.pi * 2e5 * t) - 120 * x[1] - x[0]) / 1e-4]

    exact = solve_ivp(rate, (0, 15e-6), [1.0, 0.0], "Radau", times, rtol=1e-10, atol=1e-13, max_step=2e-8).y[0]
    np.testing.assert_allclose(path(text, times), exact, rtol=0, atol=2e-8)


def test_circuits_without_a_state() -> None:
    """Resistors alone, and a capacitor across a source: the answer is static in every analysis."""
    for more in ("", "C1 a 0 1n\n"):
        deck = read_deck(
            f"static\nV1 a 0 PULSE(0 2 1u 2u 2u 2u 10u) AC 1 30\nR1 a b 1k\nR2 b 0 3k\n{more}"
            ".tran 0.5u 9u\n.ac lin 3 1k 3k\n.noise v(b) V1 dec 5 1 1k\n.end\n"
        )
        transient, ac, noise = deck.analyses
        assert isinstance(transient, Transient)
        assert isinstance(ac, AcSweep)
        assert isinstance(noise, NoiseSweep)
        times = np.array([0.5e-6, 2e-6, 4e-6, 6e-6, 9e-6])
        volts = exact_transient(deck.netlist, transient, times).voltage_volt
        np.testing.assert_allclose(volts, np.outer([0, 1, 2, 1, 0], [1, 0.75]), atol=1e-9)
        response = exact_ac(deck.netlist, ac).voltage_volt
        np.testing.assert_allclose(response, np.outer([1, 1, 1], np.exp(1j * math.pi / 6) * np.array([1, 0.75])))
        found = exact_noise(deck.netlist, noise)
        density = 4 * BOLTZMANN_JOULE_PER_KELVIN * 300.15 * 750
        np.testing.assert_allclose(found.output_density**2, density, rtol=1e-12)
        assert found.output_total == pytest.approx(math.sqrt(density * 999), rel=1e-12)
        assert found.input_total == pytest.approx(math.sqrt(density * 999) / 0.75, rel=1e-12)


def test_noise_over_a_band_in_closed_form_and_around_a_sharp_resonance() -> None:
    """RC: 4 k T R f_c atan(f/f_c); a tank with Q = 2,000, which no sweep of 5 points a decade would see, by scipy."""
    fc = 1 / (2 * math.pi * TAU)
    four_kt = 4 * BOLTZMANN_JOULE_PER_KELVIN * 300.15
    rc = read_deck("rc\nV1 a 0 0\nR1 a b 1k\nC1 b 0 1n\n.end\n")
    found = exact_noise(rc.netlist, NoiseSweep("b", "1", 1, 10.0, 1e7, sources=NoiseSources.ALL))
    exact = four_kt * 1e3 * fc * (math.atan(1e7 / fc) - math.atan(10 / fc))
    assert found.output_total**2 == pytest.approx(exact, rel=1e-10)
    referred = four_kt * 1e3 * (1e7 - 10)
    assert found.input_total**2 == pytest.approx(referred, rel=1e-10)
    ohm, farad, henry = 2e6, 1e-9, 1e-3
    tank = read_deck(f"tank\nI1 0 b 0\nR1 b 0 {ohm}\nC1 b 0 {farad}\nL1 b 0 {henry}\n.end\n")
    sweep = NoiseSweep("b", "1", 5, 1e3, 1e7, sources=NoiseSources.ALL)
    found = exact_noise(tank.netlist, sweep)
    f0, width = 1 / (2 * math.pi * math.sqrt(henry * farad)), 1 / (2 * math.pi * ohm * farad)

    def density(f: float) -> float:
        return four_kt / ohm / abs(1 / ohm + 2j * math.pi * f * farad + 1 / (2j * math.pi * f * henry)) ** 2

    edges = [1e3, 1e5, *(f0 + width * np.array([-1e3, -30, -3, 0, 3, 30, 1e3])), 1e6, 1e7]
    exact = sum(quad(density, a, b, epsrel=1e-11, limit=200)[0] for a, b in itertools.pairwise(edges))
    assert found.output_total**2 == pytest.approx(exact, rel=1e-8)
    np.testing.assert_allclose(found.output_density**2, [density(f) for f in found.frequency_hz], rtol=1e-9)


def test_output_times() -> None:
    np.testing.assert_allclose(output_grid(Transient(1e-6, 2.5e-7, 1.0)), [0, 2.5e-7, 5e-7, 7.5e-7, 1e-6])
    np.testing.assert_allclose(output_grid(Transient(1e-6, 3e-7, 1.0, start_s=4e-7)), [6e-7, 9e-7, 1e-6])
    with pytest.raises(MisuseError, match=r"1e\+09 points, the limit is 2000000; give a larger step"):
        output_grid(Transient(1.0, 1e-9, 1.0))


def test_misuse() -> None:
    deck = read_deck("rc\nV1 a 0 1\nR1 a b 1k\nC1 b 0 1n\n.tran 1u 10u\n.end\n")
    with pytest.raises(MisuseError, match="give DeckEngine"):
        simulate_deck(deck, "state_space")
    with pytest.raises(MisuseError, match="timeout_s"):
        simulate_deck(deck, DeckEngine.STATE_SPACE, timeout_s=0.0)
    with pytest.raises(MisuseError, match="outside 0 to"):
        exact_transient(deck.netlist, Transient(1e-5, 1e-6, 1e-6), np.array([0.0, 2e-5]))
    with pytest.raises(MisuseError, match="has no element"):
        simulate_deck(read_deck("empty\n\n"))
    own = read_deck("self\n.model m sw(vt=0.5)\nV1 a 0 1\nR1 a b 1k\nC1 b 0 1n\nS1 b 0 b 0 m\n.tran 1u 10u\n.end\n")
    with pytest.raises(MisuseError, match=r"s1 is controlled by v\(b,0\), which independent voltage sources alone"):
        simulate_deck(own)
    chatter = read_deck(
        "much\n.model m sw(vt=0.5)\nV1 a 0 1\nR1 a b 1k\nC1 b 0 1n\nS1 b 0 c 0 m\nV2 c 0 PULSE(0 1 0 1n 1n 8n 20n)\n"
        ".tran 1u 1m\n.end\n"
    )
    with pytest.raises(MisuseError, match="switchings, the limit is"):
        simulate_deck(chatter)
    same = NoiseSweep("b", "1", 1, 10.0, 1e7, "b", sources=NoiseSources.ALL)
    with pytest.raises(MisuseError, match="the same node twice"):
        exact_noise(deck.netlist, same)


def test_an_operating_point_that_nobody_asked_for_may_be_missing() -> None:
    floating = "floating\nV1 a 0 1\nR1 a b 1k\nC1 b c 1n\nC2 c d 1n\nC3 d 0 1n\nR2 d 0 1k\n"
    found = simulate_deck(read_deck(floating + ".tran 10n 10u uic\n.end\n"))
    assert found.operating_point is None
    assert found.status.ok
    assert "node c floats" in found.notes[0]
    with pytest.raises(MisuseError, match="node c floats"):
        simulate_deck(read_deck(floating + ".op\n.end\n"))
