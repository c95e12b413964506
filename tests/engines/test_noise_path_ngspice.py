"""ngspice on a noise path: against the exact answer to the same straight lines, and to the same Brownian path."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import spd_matrix
from scipy.integrate import quad

import tngd_hw as tngd
from tngd_hw import LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.engines import Ngspice, find_ngspice, ngspice_version
from tngd_hw.engines.noise.filesource_deck import noisy_deck, unseeded_trnoise_deck
from tngd_hw.engines.noise.path import NoisePath, draw_path, injected_currents, path_from_increments
from tngd_hw.engines.noise.run import behavioral_on_path, ngspice_on_path, state_space_on_path
from tngd_hw.engines.noise.sources import OrnsteinUhlenbeck, PowerLaw
from tngd_hw.engines.spice.process import NgspiceVersion, run_deck
from tngd_hw.engines.spice.raw_file import read_raw
from tngd_hw.linear_sde import noise_as_input, noise_as_output, sample_averages, transition
from tngd_hw.topologies import LoadedChip

pytestmark = pytest.mark.ngspice

OF_THE_NOISE = 1e-3
"""rms difference, relative to that of the noise, that is called the same path."""


def load(n: int, topology: str = "gm_c", hardware: str = "ideal", kappa: float = 0.01) -> LoadedChip:
    A = spd_matrix(n, seed=n + 4, condition=3.0)
    b = np.random.default_rng(n).normal(size=n)
    return program(manufacture(topology, n, getattr(presets, hardware)(), seed=1), LinearProblem(A, b), kappa=kappa)


@pytest.fixture(name="version")
def _version() -> NgspiceVersion:
    path = find_ngspice()
    assert path is not None
    return ngspice_version(path)


def rms(difference: torch.Tensor) -> float:
    return float(difference.square().mean().sqrt())


@pytest.mark.parametrize(("n", "topology", "hardware"), [(2, "gm_c", "ideal"), (3, "integrator", "pcb_1k_1n")])
def test_three_engines_on_one_path(n: int, topology: str, hardware: str) -> None:
    loaded = load(n, topology, hardware)
    path = draw_path(loaded, duration=20 * loaded.tau, seed=5)
    x0 = np.arange(1.0, n + 1)
    exact, closed = state_space_on_path(loaded, path, x0=x0), behavioral_on_path(loaded, path, x0=x0)
    _, found = Ngspice().run_on_path(Ngspice().init(loaded), path, x0=x0)
    assert found.status.ok, found.status
    assert found.noisy
    silent = NoisePath(path.step_s, np.zeros_like(path.current_ampere), path.names)
    noise = rms(exact.voltage_volt - state_space_on_path(loaded, silent, x0=x0).voltage_volt)
    assert rms(found.voltage_volt - exact.voltage_volt) < OF_THE_NOISE * noise
    assert rms(found.voltage_volt - closed.voltage_volt) < OF_THE_NOISE * noise
    torch.testing.assert_close(found.times_s, exact.times_s)
    other = draw_path(loaded, duration=20 * loaded.tau, seed=6)
    assert rms(found.voltage_volt - state_space_on_path(loaded, other, x0=x0).voltage_volt) > 0.3 * noise


def test_own_error_falls_with_the_steps_of_a_sample(version: NgspiceVersion) -> None:
    """A corner inside a step costs 1/m^2 or less; over 4,000 samples and 2 nodes, m from 4 to 32."""
    loaded = load(2)
    path = draw_path(loaded, duration=80 * loaded.tau, seed=1)
    exact = state_space_on_path(loaded, path).voltage_volt
    steps = np.array([4, 8, 16, 32])
    found = [rms(ngspice_on_path(loaded, path, version, steps_per_sample=int(m)).voltage_volt - exact) for m in steps]
    assert (np.diff(found) < 0).all()
    assert np.polyfit(np.log(steps), np.log(found), 1)[0] < -1.8


def test_own_error_falls_as_the_root_of_the_sample_step(version: NgspiceVersion) -> None:
    """10 steps a sample, h over a range of 64: the errors of the corners telescope, so sqrt(h) is left of them."""
    loaded = load(2)
    errors, lengths = list[float](), list[float]()
    for bias in (0.08, 0.02, 0.005, 0.00125):
        path = draw_path(loaded, duration=40 * loaded.tau, seed=1, bias_budget=bias)
        exact = state_space_on_path(loaded, path).voltage_volt
        errors.append(rms(ngspice_on_path(loaded, path, version).voltage_volt - exact))
        lengths.append(path.step_s)
    assert 0.4 < np.polyfit(np.log(lengths), np.log(errors), 1)[0] < 1.0


def test_strong_order_one_half_against_the_exact_path(version: NgspiceVersion) -> None:
    """The same Brownian path, exact states and increments drawn together: rms -> sqrt(S/2) sqrt(h)/(2 C).

    Along 200 tau the errors of the samples are independent; the standard error at the largest h is 1.5 %.
    """
    loaded = load(2)
    quiet = program(loaded.chip, LinearProblem(loaded.problem.dense_matrix(), [0.0, 0.0]), x_max=1.0, kappa=0.01)
    sde, currents = quiet.linear_sde(), injected_currents(quiet.netlist())
    fine, samples = quiet.tau / 80, 200 * 80
    edges = fine * np.arange(samples + 80)
    drawn = sample_averages(noise_as_output(sde), edges, generator=np.random.default_rng(3))
    increments = drawn.averages.numpy() * fine
    step_of, errors = np.array([16, 8, 4, 2]), list[float]()
    for each in step_of.tolist():
        before = np.sqrt(fine) * np.random.default_rng(4).normal(size=(each // 2, 2))
        cells = np.concatenate([before, increments])[: (samples // each + 1) * each].reshape(-1, each, 2).sum(1)
        path = path_from_increments(currents, each * fine, cells)
        found = ngspice_on_path(quiet, path, version)
        assert found.status.ok, found.status
        exact = (drawn.states @ sde.C.mT)[: samples + 1 : each]
        settled = len(exact) // 20
        errors.append(rms((found.voltage_volt - exact)[settled:]))
    order = np.polyfit(np.log(step_of), np.log(errors), 1)[0]
    assert order == pytest.approx(0.5, abs=0.05)
    constant = np.sqrt(currents.psd[0] / 2) / loaded.scales.capacitance_farad / 2
    assert errors[-1] == pytest.approx(constant * np.sqrt(2 * fine), rel=0.06)


def test_more_sources_than_a_file_holds() -> None:
    """20 sources, 16 and 4 columns; every line is shorter than 512 characters."""
    loaded = load(20)
    path = draw_path(loaded, duration=2 * loaded.tau, seed=2)
    folder = noisy_deck(loaded.netlist(), path)
    widths = {name: len(text.splitlines()[0].split()) for name, text in folder.files.items()}
    assert widths == {"noise0.txt": 17, "noise1.txt": 5}
    lines = [line for text in (folder.deck, *folder.files.values()) for line in text.splitlines()]
    assert max(map(len, lines)) < 512
    exact = state_space_on_path(loaded, path).voltage_volt
    _, found = Ngspice().run_on_path(Ngspice().init(loaded), path)
    assert rms(found.voltage_volt - exact) < OF_THE_NOISE * rms(exact)


@pytest.mark.parametrize("color", [OrnsteinUhlenbeck(2e5), PowerLaw(1.0, 2e5)])
def test_colored_paths(color: OrnsteinUhlenbeck | PowerLaw) -> None:
    loaded = load(2)
    path = draw_path(loaded, duration=10 * loaded.tau, seed=2, color=color)
    exact = state_space_on_path(loaded, path).voltage_volt
    _, found = Ngspice().run_on_path(Ngspice().init(loaded), path)
    assert rms(found.voltage_volt - exact) < OF_THE_NOISE * rms(exact)


def powers(color: OrnsteinUhlenbeck | PowerLaw, fine: float, hertz: np.ndarray) -> np.ndarray:
    """Variance of the samples of density 1 in the bins around ``hertz``, multiples of hertz[0]."""
    if isinstance(color, PowerLaw):
        return hertz[0] * (color.corner_hz / hertz) ** color.exponent
    kept = np.exp(-2 * np.pi * color.corner_hz * fine)
    density = (1 - kept**2) / np.abs(1 - kept * np.exp(-2j * np.pi * hertz * fine)) ** 2
    return 2 * hertz[0] * fine * np.pi * color.corner_hz / 2 * density


def predicted_rms(loaded: LoadedChip, color: OrnsteinUhlenbeck | PowerLaw, fine: float, stride: int) -> float:
    """Of straight lines between every k-th sample against all of them, at the samples, without a draw.

    With step h and the exact weights of a straight line, x = (e^(i w h) - Phi)^-1 (G0 + G1 e^(i w h)) i(w): the error
    of the spectrum's part at w is the difference of the two, also where w is above the coarse samples' own band.
    """
    driven, psd = noise_as_input(loaded.linear_sde()), injected_currents(loaded.netlist()).psd
    period = 2**16
    hertz = np.arange(1, period // 2) / (period * fine)

    def response_of(step_s: float) -> np.ndarray:
        step = transition(driven, step_s)
        turn = np.exp(2j * np.pi * hertz * step_s)[:, None, None]
        g0, g1 = (weight[:, driven.n_inputs - len(psd) :].numpy() for weight in (step.G0, step.G1))
        return np.linalg.solve(turn * np.eye(len(g0)) - step.Phi.numpy(), g0 + g1 * turn) * np.sqrt(2)

    error = np.abs(driven.C.numpy() @ (response_of(stride * fine) - response_of(fine))) ** 2
    return float(np.sqrt((error.sum((1, 2)) * powers(color, fine, hertz)).sum() / driven.n_outputs))


COLORS = [(OrnsteinUhlenbeck(3e5), 1.0), (PowerLaw(1.0, 2e5), 0.5), (PowerLaw(1.6, 2e5), 0.8)]


def colored(loaded: LoadedChip, color: OrnsteinUhlenbeck | PowerLaw, fine: float, samples: int) -> NoisePath:
    currents, rng = injected_currents(loaded.netlist()), np.random.default_rng(7)
    columns = [color.samples(float(psd), fine, samples + 1, rng) for psd in currents.psd]
    return NoisePath(fine, np.stack(columns, axis=1), currents.names)


def every(path: NoisePath, stride: int) -> NoisePath:
    return NoisePath(stride * path.step_s, path.current_ampere[::stride], path.names)


@pytest.mark.parametrize(("color", "order"), COLORS)
def test_strong_order_of_coloured_noise(color: OrnsteinUhlenbeck | PowerLaw, order: float) -> None:
    """Straight lines between every k-th sample against all of them: the error that the spectrum predicts.

    A tail of 1/f^a (a = 2 for OU) folds h^a of its power below the circuit's corner, and the circuit keeps it: order
    a/2 as h falls.  What stays above the corner is of order (1 + a)/2 and not small yet at h = tau/6, so that the order
    found lies between the two.  300 tau of two nodes hold some 300 independent errors of either: 4 % of a rms.
    """
    loaded = load(2)
    path = colored(loaded, color, loaded.tau / 400, 400 * 300)
    exact, settled = state_space_on_path(loaded, path).voltage_volt, 400 * 5
    strides, errors = np.array([8, 16, 32, 64]), list[float]()
    for stride in strides.tolist():
        found = state_space_on_path(loaded, every(path, stride)).voltage_volt
        errors.append(rms((found - exact[::stride])[settled // stride :]))
    predicted = [predicted_rms(loaded, color, path.step_s, stride) for stride in strides.tolist()]
    np.testing.assert_allclose(errors, predicted, rtol=0.12)
    slope, expected = (np.polyfit(np.log(strides), np.log(each), 1)[0] for each in (errors, predicted))
    assert slope == pytest.approx(expected, abs=0.06)
    assert order < expected < order + 0.5
    finer = [predicted_rms(loaded, color, path.step_s / 16, stride) for stride in (16, 32)]
    assert order < np.log2(finer[1] / finer[0]) < expected + 0.1


@pytest.mark.parametrize("color", [color for color, _ in COLORS])
def test_ngspice_on_straight_lines_is_off_by_what_the_lines_are(
    color: OrnsteinUhlenbeck | PowerLaw, version: NgspiceVersion
) -> None:
    """Its own error is below 1 % of theirs at four steps, and samples that come one step late are off by more."""
    loaded = load(2)
    path = colored(loaded, color, loaded.tau / 400, 400 * 40)
    exact = state_space_on_path(loaded, path).voltage_volt
    for stride in (8, 16, 32, 64):
        coarse = every(path, stride)
        found = ngspice_on_path(loaded, coarse, version)
        assert found.status.ok, found.status
        straight = rms(state_space_on_path(loaded, coarse).voltage_volt - exact[::stride])
        assert rms(found.voltage_volt - exact[::stride]) == pytest.approx(straight, rel=0.01)
        delayed = np.concatenate([path.current_ampere[:1], path.current_ampere[:-1:stride]])
        late = ngspice_on_path(loaded, NoisePath(coarse.step_s, delayed, path.names), version)
        assert rms(late.voltage_volt - exact[::stride]) > 1.03 * straight


def test_seed_is_the_noise_of_the_engine() -> None:
    loaded = load(2)
    engine = Ngspice()
    state, duration = engine.init(loaded), 5 * loaded.tau
    one, same, other = (engine.run(state, duration=duration, seed=seed)[1] for seed in (3, 3, 4))
    assert one.noisy
    assert one.seed == 3
    assert torch.equal(one.voltage_volt, same.voltage_volt)
    assert not torch.equal(one.voltage_volt, other.voltage_volt)
    exact = state_space_on_path(loaded, draw_path(loaded, duration=duration, seed=3))
    assert rms(one.voltage_volt - exact.voltage_volt) < OF_THE_NOISE * rms(exact.voltage_volt)
    times = np.linspace(0, duration, 37)
    _, sampled = engine.run(state, duration=duration, seed=3, times_s=times)
    np.testing.assert_array_equal(sampled.times_s, times)


def test_solve_averages_the_second_half() -> None:
    """kappa = 1e-4 over 400 tau: within 5 standard errors, which are those of kappa A^-1 and an average."""
    A, b = spd_matrix(2, seed=6, condition=3.0), np.array([1.0, -2.0])
    tau = program(manufacture("gm_c", 2, presets.ideal()), LinearProblem(A, b)).tau
    estimate = tngd.solve(A, b, topology="gm_c", engine="ngspice", kappa=1e-4, duration=400 * tau, seed=1)
    assert estimate.status.ok, estimate.status
    stderr = estimate.stderr.numpy()
    predicted = np.sqrt(2 * 1e-4 * np.diag(np.linalg.inv(A @ A)) / 200)
    assert (stderr / predicted > 0.5).all()
    assert (stderr / predicted < 2).all()
    assert (np.abs(estimate.value.numpy() - np.linalg.solve(A, b)) < 5 * predicted).all()


def test_long_noisy_runs_are_not_begun() -> None:
    """2,000 tau of 20 nodes are 100,000 samples, ten points each: minutes."""
    loaded = load(20)
    engine = Ngspice(timeout_s=1.0)
    path = draw_path(loaded, duration=2000 * loaded.tau, seed=1)
    _, found = engine.run_on_path(engine.init(loaded), path)
    assert found.status.outcome is Outcome.TIMED_OUT
    assert "ngspice would take about" in found.status.detail
    assert len(found.times_s) == 0


def test_folder_runs_as_it_is(tmp_path: Path, version: NgspiceVersion) -> None:
    loaded = load(2)
    path = draw_path(loaded, duration=5 * loaded.tau, seed=3)
    written = noisy_deck(loaded.netlist(), path, standalone=True).write(tmp_path / "deck")
    assert [file.name for file in written] == ["deck.cir", "noise0.txt"]
    command = [version.path, "-b", "-n", "-r", "out.raw", "deck.cir"]
    subprocess.run(command, cwd=tmp_path / "deck", capture_output=True, timeout=60, check=True)
    (plot,) = read_raw(tmp_path / "deck" / "out.raw")
    exact = state_space_on_path(loaded, path)
    final = plot.values[-1, 1:].real
    np.testing.assert_allclose(final, exact.final_volt, rtol=0, atol=5e-3 * rms(exact.voltage_volt))


def smeared(rate: float) -> float:
    """E[e^(-|s|)], s the sum of four uniform variates of width ``rate``, by its spectrum: variance kept of one mode."""
    return 4 * quad(lambda f: np.sinc(f * rate) ** 4 / (1 + (2 * np.pi * f) ** 2), 0, 40, limit=500)[0]


def test_trnoise_is_another_path_every_time_with_the_variance_of_straight_lines(version: NgspiceVersion) -> None:
    """2 x 4,000 tau in samples of tau: kappa/mu times 0.66 to 0.85, within 6 standard errors of 40 blocks.

    That many, since nobody can seed it; the law without the bias is refused by as many.
    """
    loaded = load(2)
    assert loaded.problem.b is not None
    A, duration = loaded.problem.dense_matrix().numpy(), 4000 * loaded.tau
    deck = unseeded_trnoise_deck(loaded.netlist(), duration=duration, step_s=loaded.tau)
    times, runs = np.linspace(0, duration, 40_000), list[np.ndarray]()
    for _ in range(2):
        run = run_deck(deck, version, plot="Transient", stop_s=duration, timeout_s=60)
        assert run.plot is not None, run.status
        values = run.plot.values.real
        runs.append(np.stack([np.interp(times, values[:, 0], values[:, k]) for k in (1, 2)], 1)[400:])
    assert np.abs(runs[0] - runs[1]).max() > 0.01
    x = np.concatenate(runs) / loaded.scales.voltage_volt - np.linalg.solve(A, loaded.problem.b.numpy())
    mu, axes = np.linalg.eigh(A)
    modes = np.stack([(part @ axes) ** 2 for part in np.split(x, 40)]).mean(1)
    mean, error = modes.mean(0), modes.std(0, ddof=1) / 40**0.5
    assert (error < 0.06 * mean).all()
    assert (np.abs(mean - [0.01 / m * smeared(m) for m in mu]) < 6 * error).all()
    assert not (np.abs(mean - 0.01 / mu) < 6 * error).all()


def test_names_of_files_and_nodes_are_ours(version: NgspiceVersion) -> None:
    with pytest.raises(MisuseError, match=r"file '../x.txt'"):
        run_deck("", version, plot="", stop_s=None, timeout_s=1, files={"../x.txt": ""})
    loaded = load(2)
    wrong = NoisePath(1e-9, np.zeros((3, 1)), ("inoise7",))
    with pytest.raises(MisuseError, match=r"path.names = \('inoise7',\)"):
        noisy_deck(loaded.netlist(), wrong)
