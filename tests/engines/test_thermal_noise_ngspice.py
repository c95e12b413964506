"""Thermal noise in ngspice: against the exact answer to the same path, and its variance against Lyapunov."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import spd_matrix

from tngd_hw import LinearProblem, manufacture, program
from tngd_hw.engines import Ngspice
from tngd_hw.engines.noise_currents import chip_currents
from tngd_hw.engines.noise_path import NoisePath, draw_path
from tngd_hw.engines.noise_run import state_space_on_path
from tngd_hw.hardware import HardwareSpec
from tngd_hw.linear_sde import stationary_output_covariance
from tngd_hw.netlist import state_equations
from tngd_hw.topologies import LoadedChip

pytestmark = pytest.mark.ngspice

OF_THE_NOISE = 2e-3
"""rms difference, relative to that of the noise, that is the same path: 0.7e-3 to 1.3e-3 found, 300 K to 1e12 K."""


def load(topology: str, kelvin: float = 300.0) -> LoadedChip:
    """Two nodes whose resistors (or transconductors) are heard."""
    noise = {"resistor_kelvin": kelvin, "transconductor_kelvin": kelvin}
    spec = HardwareSpec.from_dict({"name": "hot", "noise": noise})
    problem = LinearProblem(spd_matrix(2, seed=6, condition=3.0), np.zeros(2))
    return program(manufacture(topology, 2, spec, seed=1), problem)


def rms(value: torch.Tensor) -> float:
    return float(value.square().mean().sqrt())


@pytest.mark.parametrize("topology", ["integrator", "passive_rc", "gm_c"])
def test_same_path_as_state_space(topology: str) -> None:
    loaded = load(topology)
    path = draw_path(loaded, duration=20 * loaded.tau, seed=5)
    exact = state_space_on_path(loaded, path).voltage_volt
    engine = Ngspice()
    _, found = engine.run(engine.init(loaded), duration=20 * loaded.tau, seed=5, times_s=path.times_s)
    assert found.status.ok, found.status
    assert found.noisy
    assert rms(found.voltage_volt - exact) < OF_THE_NOISE * rms(exact)
    opposite = NoisePath(path.step_s, -path.current_ampere, path.names)
    assert rms(found.voltage_volt - state_space_on_path(loaded, opposite).voltage_volt) > rms(exact)


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_variance_is_that_of_lyapunov(factor: float) -> None:
    """400 tau; the mean square of a Gaussian mode has a relative error of sqrt(2 tau/T).  1.5 times it is seen."""
    loaded = load("integrator")
    sde = state_equations(loaded.netlist(), noise=loaded.noise_sources).sde
    covariance, _ = stationary_output_covariance(sde)
    slowest = 1 / float(-sde.eigenvalues().real.max())
    duration = 400 * slowest
    path = draw_path(loaded, duration=duration, seed=2, bias_budget=0.05)
    engine = Ngspice()
    _, found = engine.run_on_path(engine.init(loaded), path)
    assert found.status.ok, found.status
    kept = found.voltage_volt[found.times_s > 5 * slowest]
    ratio = kept.square().mean(0) / (factor * torch.diagonal(covariance))
    tolerance = 4 * float(np.sqrt(2 * slowest / duration)) + 0.05
    assert (float((ratio - 1).abs().max()) < tolerance) == (factor == 1.0), (ratio, tolerance)


def test_sources_are_one_a_pair_of_free_nodes() -> None:
    """Summing nodes of an integrator hear all their resistors as one source."""
    loaded = load("integrator")
    everything = state_equations(loaded.netlist(), noise=loaded.noise_sources, reduce_noise=False)
    assert len(chip_currents(loaded)) < len(everything.noise_names)
