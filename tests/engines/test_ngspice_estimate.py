"""Time and memory of a run before it is started: near the truth, and what is too long is refused with its figure."""

from __future__ import annotations

import math
import resource
import time
from dataclasses import replace

import numpy as np
import pytest

from tngd_hw import LinearProblem, Outcome, manufacture, presets, program
from tngd_hw.engines import Ngspice
from tngd_hw.engines.decks.estimate import estimate_analysis
from tngd_hw.engines.spice.estimate import RunEstimate, estimate_run
from tngd_hw.engines.spice.failures import failure_status
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.engines.spice.process import run_deck
from tngd_hw.netlist import Transient, flatten, read_deck, write_deck
from tngd_hw.topologies import LoadedChip


def load(n: int, topology: str = "gm_c") -> LoadedChip:
    rng = np.random.default_rng(n)
    W = rng.normal(size=(n, 2 * n)) / np.sqrt(2 * n)
    return program(manufacture(topology, n, presets.ideal()), LinearProblem(W @ W.T + 0.5 * np.eye(n), np.ones(n)))


def dominant(topology: str, n: int) -> LoadedChip:
    """A matrix for circuits that hold only dominant ones."""
    couple = np.triu(np.random.default_rng(n).uniform(0.1, 0.5, (n, n)), 1) * 2 / n
    couple = couple + couple.T
    problem = LinearProblem(np.diag(couple.sum(1) + 0.5) - couple, np.ones(n))
    return program(manufacture(topology, n, presets.ideal()), problem)


@pytest.mark.ngspice
@pytest.mark.parametrize(("n", "duration_tau"), [(16, 20.0), (64, 5.0), (128, 0.5)])
def test_prediction(n: int, duration_tau: float) -> None:
    """Points within 3; seconds are printed and held to 20 only, for other machines and busy ones."""
    loaded, engine = load(n), Ngspice(points=100)
    predicted = engine.estimate(loaded, duration=duration_tau * loaded.tau, has_klu=required_ngspice().has_klu)
    state = engine.init(loaded)
    begun = time.perf_counter()
    _, found = engine.run(state, duration=duration_tau * loaded.tau)
    seconds = time.perf_counter() - begun
    print(f"n = {n}: {predicted.seconds:.3f} s predicted, {seconds:.3f} s taken, {predicted.points} points predicted, "
          f"{len(found.times_s)} taken")  # fmt: skip
    assert 1 / 3 < predicted.points / len(found.times_s) < 3
    assert 1 / 20 < predicted.seconds / seconds < 20


@pytest.mark.ngspice
@pytest.mark.parametrize(("topology", "small", "large"), [("gm_c", 20, 100), ("passive_rc", 20, 84)])
def test_growth_with_n(topology: str, small: int, large: int) -> None:
    """Sizes that nothing was fitted on, processor time a point, within 4: that between them grows 50 to 500 times."""
    version = required_ngspice()
    ratios, spent = list[float](), list[float]()
    for n, points in ((small, 4000), (large, 60)):
        loaded = dominant(topology, n)
        engine, duration = Ngspice(relative_tolerance=1e-3, points=points), loaded.tau
        deck = engine.deck(loaded, duration=duration, use_klu=version.has_klu)
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = run_deck(deck, version, plot="Transient", stop_s=duration, timeout_s=60)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run.plot is not None, run.status
        taken = len(run.plot.values)
        seconds = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
        predicted = estimate_run(n, loaded.netlist().element_count, taken, has_klu=version.has_klu)
        print(f"{topology} {n}: {seconds:.3f} s, predicted/taken {predicted.seconds / seconds:.2f}")
        ratios.append(predicted.seconds / seconds)
        spent.append(seconds / taken)
    assert 1 / 4 < min(ratios) <= max(ratios) < 4
    exponent = math.log(spent[1] / spent[0]) / math.log(large / small)
    assert exponent > 1.5  # so that an estimate with another power of n is off by more than 4 at one of the two


def test_table_of_the_reference_machine() -> None:
    """200 steps of dense RC networks, measured; the constants were chosen with these in view."""
    for n, elements, sparse_s, klu_s in ((64, 2208, 0.136, 0.088), (128, 8512, 2.1, 0.29), (256, 33408, 29.4, 2.9)):
        for has_klu, measured in ((False, sparse_s), (True, klu_s)):
            found = estimate_run(n, elements, 211, has_klu=has_klu)
            assert 1 / 3 < found.seconds / measured < 3
    assert estimate_run(256, 33408, 211, has_klu=False).memory_bytes == pytest.approx(42e6, rel=0.35)
    assert estimate_run(512, 132352, 211, has_klu=True).memory_bytes == pytest.approx(185e6, rel=0.35)


def test_an_array_with_few_elements_is_a_small_one() -> None:
    assert estimate_run(1000, 4000, 250, has_klu=False).seconds < 5
    assert estimate_run(1000, 1_000_000, 250, has_klu=False).seconds > 1000


@pytest.mark.ngspice
def test_what_takes_too_long_is_refused_and_forced() -> None:
    loaded = load(16)
    engine = Ngspice(timeout_s=1e-3)
    state = engine.init(loaded)
    begun = time.perf_counter()
    _, found = engine.run(state, duration=20 * loaded.tau)
    assert time.perf_counter() - begun < 1
    assert found.status.outcome is Outcome.TIMED_OUT
    figure = engine.estimate(loaded, duration=20 * loaded.tau, has_klu=required_ngspice().has_klu).seconds
    assert f"about {figure:.2g} s, more than the 0.001 s allowed" in found.status.detail
    assert "force=True, or --force on the command line" in found.status.detail
    assert "state_space" in str(found.status)
    forced = replace(engine, force=True)
    _, found = forced.run(state, duration=20 * loaded.tau)
    assert "was stopped after 0.001 s" in found.status.detail
    _, found = replace(forced, timeout_s=20.0).run(state, duration=20 * loaded.tau)
    assert found.status.ok


@pytest.mark.ngspice
def test_a_noisy_run_is_predicted_refused_forced_and_watched() -> None:
    """The time predicted is held to 10, for other machines; a run that is watched can be ended."""
    loaded = program(load(4).chip, load(4).problem, kappa=1e-4)
    told: list[RunEstimate] = []

    def tell(elapsed_s: float, predicted: RunEstimate) -> None:
        assert elapsed_s > 0.1
        told.append(predicted)
        raise KeyboardInterrupt

    engine = Ngspice(timeout_s=1e-3)
    state = engine.init(loaded)
    _, found = engine.run(state, duration=20 * loaded.tau)
    assert found.status.outcome is Outcome.TIMED_OUT
    assert "ngspice would take about" in found.status.detail
    assert "state_space" in str(found.status)
    begun = time.perf_counter()
    assert replace(engine, force=True, timeout_s=20.0).run(state, duration=20 * loaded.tau)[1].status.ok
    taken = time.perf_counter() - begun
    with pytest.raises(KeyboardInterrupt):
        Ngspice(progress=tell).run(state, duration=200 * loaded.tau)
    assert 0.1 < told[0].seconds / (10 * taken) < 10


WAVES = ("sin(0 1 1k)", "pulse(0 1 0 10u 10u 0.4m 1m)", "pwl(0 0 1m 1 2m 0 50m 1 51m -1 100m 0)")


@pytest.mark.ngspice
@pytest.mark.parametrize("wave", WAVES)
@pytest.mark.parametrize("behavioral", ["", "B1 b 0 i={1e-4*tanh(v(b))}\n"])
def test_points_of_a_deck(wave: str, behavioral: str) -> None:
    """Sines and corners, not the smallest number of steps, make the time points: within 2.5."""
    deck = read_deck(f"rc\nV1 a 0 {wave}\nR1 a b 1k\nC1 b 0 80n\n{behavioral}.tran 2m 100m\n.end\n")
    (analysis,) = deck.analyses
    assert isinstance(analysis, Transient)
    own = replace(analysis, relative_tolerance=1e-6)
    predicted = estimate_analysis(flatten(deck.netlist), own, has_klu=False)
    text = write_deck(flatten(deck.netlist), own)
    run = run_deck(text, required_ngspice(), plot="Transient", stop_s=0.1, timeout_s=60)
    assert run.plot is not None, run.status
    print(f"{wave}: {predicted.points} points predicted, {len(run.plot.values)} taken")
    assert 1 / 2.5 < predicted.points / len(run.plot.values) < 2.5
    plain = estimate_analysis(flatten(read_deck(deck_without(text)).netlist), own, has_klu=False)
    slower = predicted.seconds - plain.seconds
    its_own = 0.25e-6 * predicted.points + 6e-6 + 2 * 10e-9 * predicted.points  # evaluated, read, loaded
    assert slower == pytest.approx(its_own if behavioral else 0.0, rel=0.05, abs=0)


def deck_without(text: str) -> str:
    """The deck without its behavioral source."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("b1 "))


@pytest.mark.ngspice
def test_memory_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def huge(n: int, elements: int, points: int, *, has_klu: bool) -> RunEstimate:
        return RunEstimate(1.0 + 0 * n * elements * has_klu, 9 << 30, points)

    monkeypatch.setattr("tngd_hw.engines.ngspice.estimate_run", huge)
    loaded = load(2)
    _, found = Ngspice().run(Ngspice().init(loaded), duration=loaded.tau)
    assert found.status.outcome is Outcome.SIMULATOR_FAILED
    assert "about 9 GiB of memory, more than 8" in found.status.detail
    assert "state_space" in str(found.status)


@pytest.mark.ngspice
def test_progress_is_told_and_can_end_the_run() -> None:
    told: list[tuple[float, float]] = []

    def tell(elapsed_s: float, predicted: RunEstimate) -> None:
        told.append((elapsed_s, predicted.seconds))
        if len(told) == 2:
            raise KeyboardInterrupt

    loaded = load(64)
    engine = Ngspice(progress=tell, points=4000)
    assert engine == Ngspice(points=4000)
    with pytest.raises(KeyboardInterrupt):
        engine.run(engine.init(loaded), duration=50 * loaded.tau)
    assert 0.1 < told[0][0] < told[1][0]
    assert told[0][1] == told[1][1] > 0.5


@pytest.mark.parametrize(
    ("code", "notes", "outcome", "says"),
    [
        (-24, "", Outcome.TIMED_OUT, "used up its 80 s of processor time"),
        (-25, "", Outcome.SIMULATOR_FAILED, "too large a file"),
        (-11, "", Outcome.SIMULATOR_FAILED, "killed by signal 11"),
        (1, "malloc: Internal Error: can't allocate 8000 bytes", Outcome.SIMULATOR_FAILED, "limit of 2 GiB"),
        (1, "Error: no such thing", Outcome.SIMULATOR_FAILED, "exited with status 1 (Error: no such thing)"),
        (0, "", Outcome.SIMULATOR_FAILED, "what was found"),
    ],
)
def test_words_of_a_failure(code: int, notes: str, outcome: Outcome, says: str) -> None:
    found = failure_status("what was found", notes, code=code, memory_bytes=2 << 30, cpu_s=80)
    assert found.outcome is outcome
    assert says in found.detail
