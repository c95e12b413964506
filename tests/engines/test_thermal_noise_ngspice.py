"""Thermal noise in ngspice: against the exact answer to the same path, and its law against 4 k T G."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from cases import spd_matrix
from scipy.linalg import solve_discrete_lyapunov
from scipy.signal import cont2discrete

from tngd_hw import LinearProblem, manufacture, program
from tngd_hw.engines import Ngspice
from tngd_hw.engines.noise.currents import chip_currents
from tngd_hw.engines.noise.filesource_deck import corner_error
from tngd_hw.engines.noise.path import NoisePath, draw_path
from tngd_hw.engines.noise.run import ngspice_on_path, state_space_on_path
from tngd_hw.engines.spice.found import usable_ngspice
from tngd_hw.engines.spice.process import NgspiceVersion
from tngd_hw.hardware import HardwareSpec, Role
from tngd_hw.netlist import state_equations
from tngd_hw.topologies import LoadedChip

pytestmark = pytest.mark.ngspice

Array = npt.NDArray[np.float64]

OF_THE_NOISE = 1e-3
"""rms difference, relative to that of the noise, that is the same path: ``corner_error`` is 0.94e-3 at h = tau/50."""

BOLTZMANN = 1.380649e-23


def load(
    topology: str, *, n: int = 2, kelvin: float = 300.0, kappa: float = 0.0, parts: dict[str, object] | None = None
) -> LoadedChip:
    """Nodes whose resistors (or transconductors) are heard."""
    noise = {"resistor_kelvin": kelvin, "transconductor_kelvin": kelvin}
    spec = HardwareSpec.from_dict({"name": "hot", "noise": noise, **(parts or {})})
    if topology == "rlc_spu":
        problem = LinearProblem(np.diag(np.linspace(1.2, 1.5, n)) - 0.1 * (1 - np.eye(n)))
    else:
        problem = LinearProblem(spd_matrix(n, seed=n + 4, condition=3.0), np.zeros(n))
    return program(manufacture(topology, n, spec, seed=1), problem, kappa=kappa, x_max=1.0)


@pytest.fixture(name="version")
def _version() -> NgspiceVersion:
    version, status = usable_ngspice()
    assert status.ok
    assert version is not None
    return version


def rms(value: torch.Tensor) -> float:
    return float(value.square().mean().sqrt())


# Path by path


def assert_same_path(loaded: LoadedChip, duration: float) -> None:
    """As the engine draws it; the opposite noise is another path."""
    path = draw_path(loaded, duration=duration, seed=5)
    exact = state_space_on_path(loaded, path).voltage_volt
    engine = Ngspice()
    _, found = engine.run(engine.init(loaded), duration=duration, seed=5, times_s=path.times_s)
    assert found.status.ok, found.status
    assert found.noisy
    assert rms(found.voltage_volt - exact) < OF_THE_NOISE * rms(exact)
    opposite = NoisePath(path.step_s, -path.current_ampere, path.names)
    assert rms(found.voltage_volt - state_space_on_path(loaded, opposite).voltage_volt) > rms(exact)


@pytest.mark.parametrize("topology", ["integrator", "passive_rc", "gm_c"])
def test_same_path_as_state_space(topology: str) -> None:
    loaded = load(topology)
    assert_same_path(loaded, 20 * loaded.tau)


MISMATCH: dict[str, object] = {"resistors": {"tolerance_dtod": 0.03}, "capacitors": {"tolerance_dtod": 0.05}}
REAL: dict[str, object] = {
    "open_loop_gain": 2e3, "gain_bandwidth_hz": 3e6, "gain_dtod": 0.2, "bandwidth_dtod": 0.1,
    "output_swing_volt": 10.0, "output_current_ampere": 0.1,
}  # fmt: skip
HEARD: dict[str, object] = REAL | {"voltage_noise_volt_per_rthz": 1e-8, "current_noise_ampere_per_rthz": 4e-12}
CHIPS: list[tuple[str, int, float, float, dict[str, object]]] = [
    ("integrator", 5, 1e-11, 5.0, MISMATCH), ("passive_rc", 3, 0.0, 5.0, MISMATCH), ("gm_c", 4, 1e-11, 5.0, MISMATCH),
    ("rlc_spu", 3, 0.0, 5.0, MISMATCH), ("integrator", 3, 1e-11, 5.0, {**MISMATCH, "amplifiers": REAL}),
    ("amc_inverse", 3, 0.0, 5.0, {**MISMATCH, "amplifiers": REAL}),
    ("amc_inverse", 3, 0.0, 5.0, {"amplifiers": HEARD}), ("integrator", 2, 0.0, 0.5, {"amplifiers": HEARD}),
    ("amc_inverse", 3, 0.0, 5.0, {"amplifiers": HEARD | {"flicker_corner_hz": 2e4}}),
]  # fmt: skip


@pytest.mark.parametrize(("topology", "n", "kappa", "length_tau", "parts"), CHIPS)
def test_same_path_on_real_chips(
    topology: str, n: int, kappa: float, length_tau: float, parts: dict[str, object]
) -> None:
    """More nodes, parts off their values, slow amplifiers and their own noise, injected noise beside the thermal."""
    loaded = load(topology, n=n, kappa=kappa, parts=parts)
    assert_same_path(loaded, length_tau * loaded.tau)


def test_injected_and_thermal_noise_add_up() -> None:
    """Into every node one source of the sum of their densities; neither hides the other."""
    both, hot = load("gm_c", n=4, kappa=1e-11, parts=MISMATCH), load("gm_c", n=4, parts=MISMATCH)
    injected = both.elements.value(Role.NOISE).numpy()
    thermal = chip_currents(hot).psd
    np.testing.assert_allclose(chip_currents(both).psd, thermal + injected, rtol=1e-12)
    assert (injected / thermal > 0.2).all()
    assert (injected / thermal < 5).all()


def test_run_says_that_slow_noise_begins_at_rest(version: NgspiceVersion) -> None:
    """A path without a seed cannot say where it is."""
    loaded = load("amc_inverse", n=2, parts={"amplifiers": HEARD | {"flicker_corner_hz": 2e4}})
    path = draw_path(loaded, duration=loaded.tau, seed=3)
    seeded, plain = (ngspice_on_path(loaded, p, version) for p in (path, replace(path, seed=None)))
    assert "1/f noise begins at rest" in plain.notes
    assert "at rest" not in seeded.notes
    exact = state_space_on_path(loaded, path).voltage_volt
    assert rms(seeded.voltage_volt - exact) < 0.1 * rms(plain.voltage_volt - exact)


@pytest.mark.parametrize("topology", ["passive_rc", "gm_c"])
def test_own_error_is_that_of_the_corners(topology: str, version: NgspiceVersion) -> None:
    """Between equal steps, sqrt(h/(36 tau))/m^2, and steps at random, over 20 tau; a factor of 2 is left to chance.

    The fast mode has tau, the slow one 3 tau.
    """
    loaded = load(topology)
    path = draw_path(loaded, duration=20 * loaded.tau, seed=5)
    exact = state_space_on_path(loaded, path).voltage_volt
    for m in (5, 10, 20):
        found = rms(ngspice_on_path(loaded, path, version, steps_per_sample=m).voltage_volt - exact) / rms(exact)
        assert found < corner_error(path.step_s, loaded.tau, m)
        assert found > np.sqrt(path.step_s / (36 * 3 * loaded.tau)) / m**2 / 2


# In law


def unsymmetric(n: int) -> Array:
    """Eigenvalues of about 1 and 1.45: short memories, so that a run holds many independent values."""
    return np.eye(n) + 0.9 / n * np.random.default_rng(3).uniform(size=(n, n))


def whitened(kelvin: float, seeds: range) -> tuple[Array, Array]:
    """Mean squares of ngspice's increments and voltages over their expectations at 300 K, and their standard errors.

    By hand: C dv_i/dt = -sum_j G_ij v_j + noise of density 4 k T (sum_j G_ij + g_in); samples and straight lines by
    scipy's first-order hold, v_k+1 = Phi v_k + g_0 i_k + g_1 i_k+1.  Neighbours v_k+1 - Phi v_k share a sample: their
    correlation of 1/2 makes the variance of a mean of N squares 3/N.  That of a mode's mean v^2 over T is 2 tau/T.
    """
    n, samples = 12, 1200
    A = unsymmetric(n)
    spec = HardwareSpec.from_dict({"name": "hot", "noise": {"transconductor_kelvin": kelvin}})
    loaded = program(manufacture("gm_c", n, spec, seed=1), LinearProblem(A, np.zeros(n)))
    tau, C = loaded.tau, loaded.scales.capacitance_farad
    siemens = A.sum(1) * C / tau + 1 / spec.resistors.resistance_ohm
    engine, squares, steps = Ngspice(), np.zeros(2), 0
    for seed in seeds:
        path = draw_path(loaded, duration=0.07 * samples * tau, seed=seed, bias_budget=0.05)
        h, steps = path.step_s, len(path.current_ampere) - 1
        Phi, b, _, g_1, _ = cont2discrete((-A / tau, np.eye(n) / C, np.eye(n), np.zeros((n, n))), h, "foh")
        g_0, noise = b - Phi @ g_1, np.diag(4 * BOLTZMANN * 300.0 * siemens / (2 * h))
        _, found = engine.run_on_path(engine.init(loaded), path)
        assert found.status.ok, found.status
        v = found.voltage_volt.numpy()
        pushed, settled = v[1:] - v[:-1] @ Phi.T, v[len(v) // 10 :]
        increments = g_0 @ noise @ g_0.T + g_1 @ noise @ g_1.T
        stationary = solve_discrete_lyapunov(Phi, b @ noise @ b.T) + g_1 @ noise @ g_1.T
        for k, (value, covariance) in enumerate(((pushed, increments), (settled, stationary))):
            squares[k] += np.trace(np.linalg.solve(covariance, value.T @ value / len(value))) / n / len(seeds)
    memory = float((1 / np.linalg.eigvals(A).real).sum()) * tau
    total = 0.9 * 0.07 * samples * tau * len(seeds)
    return squares, np.array([np.sqrt(3 / (n * steps * len(seeds))), np.sqrt(2 * memory / (n**2 * total))])


def test_density_and_variance_are_those_of_the_transconductors() -> None:
    """Within 4 standard errors, 2.4 % of the density and 8 % of the variance; the corners take 0.3 % of the former."""
    found, error = whitened(300.0, range(6))
    assert (4 * error < [0.025, 0.085]).all()
    assert (np.abs(found - 1) < 4 * error).all(), (found, error)


def test_density_five_percent_off_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tngd_hw.hardware.elements.BOLTZMANN_JOULE_PER_KELVIN", 1.05 * BOLTZMANN)
    found, error = whitened(300.0, range(6))
    assert not abs(found[0] - 1) < 4 * error[0]


def test_wrong_temperature_is_seen() -> None:
    found, error = whitened(390.0, range(2))
    assert not (np.abs(found - 1) < 4 * error).any(), (found, error)


# The sources


def test_sources_are_one_a_pair_of_free_nodes() -> None:
    """Summing nodes of an integrator hear all their resistors as one source."""
    loaded = load("integrator")
    everything = state_equations(loaded.netlist(), noise=loaded.noise_sources, reduce_noise=False)
    assert len(chip_currents(loaded)) < len(everything.noise_names)
