"""Noise paths: the law of the sources, the error of straight lines between samples, two exact engines on one path."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from cases import STABLE_SDE_CASES, SdeCase, spd_matrix
from scipy.integrate import quad
from scipy.signal import lsim

from tngd_hw import LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.engines.noise.path import (
    NoisePath,
    draw_path,
    injected_currents,
    noise_step,
    path_from_increments,
    variance_bias,
)
from tngd_hw.engines.noise.run import behavioral_on_path, state_space_on_path
from tngd_hw.engines.noise.sources import NoiseColor, OrnsteinUhlenbeck, PowerLaw, White
from tngd_hw.linear_sde import LinearSDE, noise_as_input, noise_as_output, response, sample_averages
from tngd_hw.topologies import LoadedChip

Array = npt.NDArray[np.float64]

M_MATRIX = np.array([[1.2, -0.3, -0.1], [-0.3, 0.9, -0.2], [-0.1, -0.2, 1.0]])
SIGNED = np.array([[1.2, 0.3, -0.1], [0.3, 0.9, -0.2], [-0.1, -0.2, 1.0]])


def load(topology: str = "gm_c", hardware: str = "ideal", A: Array = SIGNED, kappa: float = 0.01) -> LoadedChip:
    if topology == "three_array":
        rng = np.random.default_rng(2)
        problem = LinearProblem.from_factors(rng.normal(size=(2, 3)), np.eye(2)[None], damping=0.3, b=[1.0, -2.0, 0.5])
    else:
        problem = LinearProblem(A) if topology == "rlc_spu" else LinearProblem(A, [1.0, -2.0, 0.5])
    return program(manufacture(topology, 3, getattr(presets, hardware)(), seed=1), problem, kappa=kappa)


def one_mode(tau: float = 1.0) -> LinearSDE:
    return LinearSDE(torch.tensor([[-1 / tau]]), torch.eye(1, dtype=torch.float64), torch.ones(1, 1))


# The sources


def test_white_has_the_variance_of_its_density() -> None:
    """S/(2 h), relative standard error sqrt(2/m) = 0.3 %; 5 % more is seen."""
    x = White().samples(3e-18, 2e-9, 200_000, np.random.default_rng(0))
    expected = 3e-18 / (2 * 2e-9)
    assert x.var() == pytest.approx(expected, rel=0.013)
    assert 1.05 * x.var() != pytest.approx(expected, rel=0.013)
    assert abs((x[1:] * x[:-1]).mean()) < 4.5 * expected / 200_000**0.5


def test_ornstein_uhlenbeck_has_the_variance_and_the_memory_of_its_corner() -> None:
    """Variance pi S f_c/2, correlation e^(-2 pi f_c s), from 40,000 records of 4 samples."""
    step, corner, m = 1e-6, 1e5, 40_000
    rng = np.random.default_rng(1)
    x = np.stack([OrnsteinUhlenbeck(corner).samples(2.0, step, 4, rng) for _ in range(m)])
    found = x.T @ x / m
    lag = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    variance = np.pi * 2.0 * corner / 2
    np.testing.assert_allclose(
        found, variance * np.exp(-2 * np.pi * corner * step * lag), atol=4.5 * variance * 2**0.5 / m**0.5
    )


@pytest.mark.parametrize("period", [4, 64])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_power_law_has_its_density(exponent: float, period: int) -> None:
    """Covariances of 4,000 records are the sums of S(f) df cos(2 pi f s), all within 4.5 standard errors."""
    h, corner, psd, m = 1e-3, 20.0, 5.0, 4000
    rng = np.random.default_rng(3)
    x = np.stack([PowerLaw(exponent, corner).samples(psd, h, period // 2, rng) for _ in range(m)])
    f = np.arange(1, period // 2 + 1) / (period * h)
    power = psd * (corner / f) ** exponent / (period * h)
    power[-1] /= 2  # half a bin at the Nyquist frequency
    k = np.arange(period // 2)
    covariance = (power[:, None] * np.cos(2 * np.pi * f[:, None] * h * k)).sum(0)
    expected = covariance[np.abs(np.subtract.outer(k, k))]
    error = np.sqrt((covariance[0] ** 2 + expected**2) / m)
    found = x.T @ x / m
    assert (np.abs(found - expected) < 4.5 * error).all()
    assert not (np.abs(1.15 * found - expected) < 4.5 * error).all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: OrnsteinUhlenbeck(0.0), r"corner_hz = 0.0"),
        (lambda: PowerLaw(2.5, 1e3), r"exponent = 2.5"),
        (lambda: PowerLaw(1.0, float("nan")), r"corner_hz = nan"),
    ],
)
def test_colors_that_cannot_be_meant(make: Callable[[], object], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        make()


# Straight lines between samples: in law


def variance_at(phase: float, step: float) -> float:
    """Variance of dx = -x + xi at (K + phase) h, as the sum of the squared answers to every hat function, by hand."""

    def ramp(t: Array) -> Array:
        """Answer at t to a ramp from 0 of slope 1/h."""
        t = np.maximum(t, 0.0)
        return (t - 1 + np.exp(-t)) / step

    now: Array = (np.arange(int(60 / step), dtype=np.float64) + phase) * step
    answers = ramp(now + step) - 2 * ramp(now) + ramp(now - step)
    first = ramp(np.array([phase * step]))[0]  # the hat that has only begun
    return float((answers**2).sum() + first**2) / step


@pytest.mark.parametrize("step", [0.3, 0.05, 0.01])
def test_bias_of_one_mode(step: float) -> None:
    """Against sums of squares by hand at the samples (1/2 h), and 7/15 h over all phases; sinc^4 says the same."""
    at_samples = 1 - variance_at(0.0, step) / 0.5
    assert variance_bias(one_mode(), step) == pytest.approx(at_samples, rel=1e-6)
    assert at_samples == pytest.approx(step / 2, rel=step)
    over_phases = 1 - np.mean([variance_at((k + 0.5) / 64, step) for k in range(64)]) / 0.5
    assert over_phases == pytest.approx(7 * step / 15, rel=step)
    spectrum = quad(lambda f: np.sinc(f * step) ** 4 / (1 + (2 * np.pi * f) ** 2), 0, 2 / step, limit=2000)[0]
    assert 1 - spectrum / 0.25 == pytest.approx(over_phases, rel=0.01)


def test_bias_is_that_of_the_worst_combination_of_outputs() -> None:
    """Modes 1 and 5 seen as their sum and difference: the fast one decides, though no output is it."""
    F, C = torch.diag(torch.tensor([-1.0, -5.0])), torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    sde = LinearSDE(F, torch.eye(2), torch.eye(2), C)
    assert variance_bias(sde, 0.02) == pytest.approx(variance_bias(one_mode(0.2), 0.02), rel=1e-9)


NOISY_CASES = [case for case in STABLE_SDE_CASES if case.name not in ("stiff_diagonal", "stiff_loop")]


@pytest.mark.parametrize("case", NOISY_CASES, ids=str)
def test_step_keeps_the_budget_and_wastes_little(case: SdeCase) -> None:
    sde = LinearSDE(case.F, np.eye(case.n), case.B)
    step = noise_step(sde, 0.02)
    assert 0.018 <= variance_bias(sde, step) <= 0.02


def test_budgets_that_cannot_be_meant() -> None:
    for budget in (0.0, 0.5, float("nan")):
        with pytest.raises(MisuseError, match=r"bias_budget = .*at most 0.25"):
            noise_step(one_mode(), budget)
    with pytest.raises(MisuseError, match="no stationary variance"):
        variance_bias(LinearSDE(np.array([[1.0]]), np.eye(1), np.eye(1)), 0.1)


# Straight lines between samples: path by path


def rms_differences(sde: LinearSDE, levels: range) -> Array:
    """rms over 300 paths of the output under straight lines less the exact one, on the same Brownian path."""
    fine, start, end = 2.0 ** -(max(levels) + 1), 1.0, 15.0  # what the start is off by has decayed
    edges = np.arange(0.0, end + 1.0, fine)
    drawn = sample_averages(noise_as_output(sde), edges, generator=np.random.default_rng(8), n_paths=300)
    dw = drawn.averages.numpy() * fine
    first, last = (round(t / fine) for t in (start, end))
    found: list[float] = []
    for level in levels:
        each = round(2.0**-level / fine)
        cells = dw[:, first - each // 2 : last + each // 2].reshape(300, -1, each, dw.shape[-1]).sum(2)
        times: Array = start + 2.0**-level * np.arange(cells.shape[1], dtype=np.float64)
        driven = noise_as_input(LinearSDE(sde.F, np.zeros((sde.n_states, 0)), sde.B, sde.C))
        y = response(driven, times, cells * 2.0**level, x0=drawn.states[:, first])
        exact = drawn.states[:, last] @ sde.C.mT
        found.append(float((y[:, -1] - exact).square().mean().sqrt()))
    return np.array(found)


def test_strong_order_one_half_and_its_constant() -> None:
    """rms -> |C B| sqrt(h)/2; standard error 4 % for 300 paths, common to the levels."""
    sde = LinearSDE(np.array([[-1.0, 0.6], [-0.2, -2.0]]), np.eye(2), np.array([[1.5], [0.5]]), np.array([[1.0, 0.5]]))
    levels = range(3, 8)
    found = rms_differences(sde, levels)
    h = 2.0 ** -np.array(levels)
    assert np.polyfit(np.log(h), np.log(found), 1)[0] == pytest.approx(0.5, abs=0.05)
    assert found[-1] == pytest.approx(1.75 * np.sqrt(h[-1]) / 2, rel=0.18)


def test_strong_order_one_behind_an_integration() -> None:
    """C B = 0: what the last cell is off by has to be integrated first."""
    sde = LinearSDE(np.array([[-1.0, 0.0], [2.0, -1.5]]), np.eye(2), np.array([[1.0], [0.0]]), np.array([[0.0, 1.0]]))
    levels = range(3, 8)
    found = rms_differences(sde, levels)
    assert np.polyfit(-np.log(2.0) * np.array(levels), np.log(found), 1)[0] == pytest.approx(1.0, abs=0.1)


# The engines


CIRCUITS = [
    ("integrator", SIGNED), ("gm_c", SIGNED), ("passive_rc", SIGNED), ("passive_rc", M_MATRIX), ("rlc_spu", M_MATRIX),
    ("three_array", SIGNED),
]  # fmt: skip


@pytest.mark.parametrize("hardware", ["ideal", "pcb_1k_1n"])
@pytest.mark.parametrize(("topology", "A"), CIRCUITS)
def test_netlist_and_closed_form_move_alike(topology: str, A: Array, hardware: str) -> None:
    """The columns of the closed form are the sources of the netlist, in order and sign."""
    loaded = load(topology, hardware, A)
    currents = injected_currents(loaded.netlist())
    rng = np.random.default_rng(5)
    step = loaded.tau / 50
    path = path_from_increments(currents, step, np.sqrt(step) * rng.normal(size=(200, len(currents))))
    one, two = state_space_on_path(loaded, path), behavioral_on_path(loaded, path)
    assert one.noisy
    scale = float(one.voltage_volt.std())
    torch.testing.assert_close(one.voltage_volt, two.voltage_volt, rtol=0, atol=1e-9 * scale)
    torch.testing.assert_close(one.times_s[-1], torch.tensor(path.duration_s, dtype=torch.float64))


@pytest.mark.parametrize(("topology", "sign"), [("gm_c", 1), ("integrator", -1)])
def test_current_goes_into_the_node(topology: str, sign: int) -> None:
    """C dv/dt = -G v + i + noise by scipy's lsim; an integrator turns what flows into its summing node."""
    loaded = load(topology)
    rng = np.random.default_rng(6)
    step, C = loaded.tau / 20, loaded.scales.capacitance_farad
    path = NoisePath(step, 1e-6 * rng.normal(size=(400, 3)), injected_currents(loaded.netlist()).names)
    v0 = loaded.scales.voltage_volt
    start = v0 * np.array([0.3, 0.0, -0.1])
    assert loaded.problem.b is not None
    drive = v0 * loaded.problem.b.numpy() / loaded.tau + sign * path.current_ampere / C
    expected = lsim(
        (-SIGNED / loaded.tau, np.eye(3), np.eye(3), np.zeros((3, 3))), drive, path.times_s.numpy(), X0=start
    )[1]
    found = state_space_on_path(loaded, path, x0=start / v0)
    np.testing.assert_allclose(found.voltage_volt, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_seed_is_the_path() -> None:
    loaded = load()
    one, same, other = (draw_path(loaded, duration=5 * loaded.tau, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.current_ampere, same.current_ampere)
    assert not np.isclose(one.current_ampere, other.current_ampere).any()
    assert one.seed == 3
    assert one.variance_bias is not None
    assert 0.008 < one.variance_bias <= 0.01
    correlation = np.asarray(np.corrcoef(one.current_ampere.T), dtype=np.float64) - np.eye(3)
    assert np.abs(correlation).max() < 4.5 / len(one.current_ampere) ** 0.5


def test_each_die_has_its_own_path() -> None:
    batch = program(manufacture("gm_c", 3, presets.ideal(), chips=3), LinearProblem(SIGNED), kappa=0.01)
    one, two = (draw_path(batch.select(k), duration=batch.tau, seed=1) for k in (0, 2))
    assert not np.isclose(one.current_ampere, two.current_ampere).any()
    with pytest.raises(MisuseError, match=r"chips = 3: .*loaded.select\(k\)"):
        draw_path(batch, duration=batch.tau, seed=1)


def test_covariance_of_a_drawn_path_is_kappa_over_a() -> None:
    """The end of the chain: samples of 8,000 tau, bias budget 1 %; 250 independent ones by block standard errors."""
    loaded = load(A=spd_matrix(3, seed=7, condition=3.0))
    path = draw_path(loaded, duration=4000 * loaded.tau, seed=2, bias_budget=0.02)
    x = state_space_on_path(loaded, path).voltage_volt.numpy() / loaded.scales.voltage_volt
    expected = 0.01 * np.linalg.inv(loaded.problem.dense_matrix().numpy())
    blocks = np.stack([np.cov(part.T) for part in np.array_split(x[len(x) // 20 :], 20)])
    error = blocks.std(0, ddof=1) / 20**0.5
    assert error.max() < 0.05 * expected.max()
    assert (np.abs(blocks.mean(0) - expected) < 4.5 * error + 0.02 * expected.max()).all()
    assert not (np.abs(1.25 * blocks.mean(0) - expected) < 4.5 * error + 0.02 * expected.max()).all()


@pytest.mark.parametrize("color", [OrnsteinUhlenbeck(1e5), PowerLaw(1.0, 1e5)])
def test_colored_paths_drive_the_engines_too(color: NoiseColor) -> None:
    loaded = load()
    path = draw_path(loaded, duration=5 * loaded.tau, seed=3, color=color)
    one, two = state_space_on_path(loaded, path), behavioral_on_path(loaded, path)
    torch.testing.assert_close(one.voltage_volt, two.voltage_volt, rtol=0, atol=1e-12)
    assert (
        float(
            (
                one.voltage_volt
                - state_space_on_path(loaded, draw_path(loaded, duration=5 * loaded.tau, seed=3)).voltage_volt
            )
            .abs()
            .max()
        )
        > 1e-4
    )


def test_paths_that_do_not_fit() -> None:
    loaded = load()
    names = injected_currents(loaded.netlist()).names
    with pytest.raises(MisuseError, match=r"path.names = \('inoise0',\)"):
        state_space_on_path(loaded, NoisePath(1e-9, np.zeros((5, 1)), names[:1]))
    with pytest.raises(MisuseError, match="injects no noise"):
        draw_path(load(kappa=0.0), duration=1e-6, seed=0)
    with pytest.raises(MisuseError, match=r"duration = 1000 s: .*run at most 0.1"):
        draw_path(loaded, duration=1e3, seed=0)
    with pytest.raises(MisuseError, match=r"shape \(1, 3\)"):
        NoisePath(1e-9, np.zeros((1, 3)), names)
    with pytest.raises(MisuseError, match="step_s = 0"):
        NoisePath(0.0, np.zeros((2, 3)), names)
    with pytest.raises(MisuseError, match="finite numbers"):
        NoisePath(1e-9, np.full((2, 3), np.inf), names)
