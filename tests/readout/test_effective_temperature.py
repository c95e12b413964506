"""Temperatures of the baths: closed forms, a wrong bath found at its node, error bars that cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import tngd_hw as tngd
from tngd_hw import HardwareSpec, LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.hardware import Role
from tngd_hw.readout import EffectiveTemperature, effective_temperature
from tngd_hw.topologies import LoadedChip
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN

ENGINE = find_engine("behavioral")
N = 8
POINTS = 20_000


def coupled() -> np.ndarray:
    """Eight nodes, all coupled, a capacitance to ground at each."""
    rng = np.random.default_rng(0)
    off = np.triu(rng.uniform(0.0, 1.0, (N, N)), 1)
    off = off + off.T
    A = np.diag(off.sum(1) + rng.uniform(0.5, 2.0, N)) - off
    return A / A.max()


A = coupled()


def loaded_chip(topology: str, hardware: HardwareSpec, seed: int = 3) -> LoadedChip:
    return program(manufacture(topology, N, hardware, seed=seed), LinearProblem(A), kappa=1e-3)


def hotter(loaded: LoadedChip, node: int, factor: float) -> LoadedChip:
    """The same chip, the noise of one node of another density."""
    factors = torch.ones(N, dtype=torch.float64)
    factors[node] = factor
    return replace(
        loaded, programmed=loaded.elements.with_values(Role.NOISE, lambda noise: noise.value * factors[noise.row])
    )


def run_of(loaded: LoadedChip, seed: int = 1, points: int = POINTS) -> tngd.Trajectory:
    times = 0.5 * loaded.tau * np.arange(points + 1)
    return ENGINE.run(ENGINE.init(loaded), duration=float(times[-1]), times_s=times, seed=seed)[1]


def found_in(real: LoadedChip, meant: LoadedChip, seed: int = 1) -> EffectiveTemperature:
    return effective_temperature(run_of(real, seed), meant, average_from_s=100 * meant.tau)


@pytest.mark.parametrize("topology", ["rlc_spu", "integrator", "passive_rc", "gm_c"])
def test_one_wrong_bath_is_found_and_only_that(topology: str) -> None:
    """30 % hotter at node 5: found in every run, the value within its bar; another node, by chance, in 5 % of them."""
    meant = loaded_chip(topology, presets.ideal())
    right = [found_in(meant, meant, seed=seed) for seed in range(3)]
    assert sum(found.suspects != () for found in right) <= 1
    quiet = next(found for found in right if not found.suspects)
    assert float(quiet.stderr.max()) < 0.04
    assert "every bath is at its temperature" in quiet.verdict
    wrong = [found_in(hotter(meant, 5, 1.3), meant, seed=seed) for seed in range(10, 13)]
    assert sum(found.suspects != (5,) for found in wrong) <= 1
    for found in wrong:
        assert found.suspects[0] == 5
        assert abs(float((found.ratio[5] - 1.3) / found.stderr[5])) < 4
        assert found.verdict.startswith(f"baths not at 1 of the nominal temperature: node 5 at {found.ratio[5]:.3g}")


def test_a_generator_of_wrong_gain_on_a_real_board() -> None:
    """rlc_spu with resistors of 1 %, generator 2 at 0.8 of its amplitude: r = 0.64."""
    meant = loaded_chip("rlc_spu", presets.spu8_board())
    found = found_in(hotter(meant, 2, 0.64), meant)
    assert found.suspects[0] == 2
    assert float(found.ratio[2]) == pytest.approx(0.64, abs=4 * float(found.stderr[2]) + 0.02)


def test_equipartition_mixes_what_the_bath_tells_apart() -> None:
    """In a ring of good quality energy goes round: the hot node shows less than its bath, its neighbours more."""
    meant = loaded_chip("rlc_spu", presets.ideal())
    found = found_in(hotter(meant, 5, 1.5), meant)
    assert 1.05 < float(found.equipartition[5]) < 1.35
    assert float(found.ratio[5]) > float(found.equipartition[5]) + 4 * float(found.stderr[5])


def test_resistors_that_bring_their_own_noise_are_at_one_temperature() -> None:
    """5 % resistors: as hot resistors C Sigma = k T whatever they are; with generators each is off by its own R."""
    board = presets.spu8_board().with_value("resistors.tolerance_dtod", 0.1)
    own = loaded_chip("rlc_spu", board.with_value("generator.bath", "resistor"))
    assert found_in(own, own).suspects == ()
    injected = loaded_chip("rlc_spu", board)
    assert len(found_in(injected, injected).suspects) >= 2


def test_kelvin_of_one_cell() -> None:
    """k T = S R/4 with the density S of the source and the tank's R, by hand."""
    meant = program(manufacture("rlc_spu", 1, presets.ideal()), LinearProblem(np.eye(1)), kappa=1e-3)
    S, G = (float(meant.elements.value(role)) for role in (Role.NOISE, Role.TANK_RESISTOR))
    found = effective_temperature(run_of(meant), meant, average_from_s=100 * meant.tau)
    assert found.nominal_kelvin == pytest.approx(S / G / 4 / BOLTZMANN_JOULE_PER_KELVIN, rel=1e-12)
    variance = float(run_of(meant).voltage_volt[200:].var())
    C = float(meant.elements.value(Role.NODE_CAPACITOR))
    assert float(found.kelvin) == pytest.approx(C * variance / BOLTZMANN_JOULE_PER_KELVIN, rel=1e-3)


def test_exact_covariances_give_exact_ratios() -> None:
    """Points whose covariance is that of densities r exactly: the ratios are r to rounding, in a non-normal circuit."""
    rng = np.random.default_rng(4)
    B = np.eye(4) + 0.4 * rng.normal(size=(4, 4))
    meant = program(manufacture("integrator", 4, presets.ideal()), LinearProblem(B), kappa=1e-2)
    r = np.array([0.5, 1.0, 1.7, 2.2])
    sigma = tngd.linalg.lyapunov(B, np.diag(r)).value.numpy() * 1e-2 * meant.scales.voltage_volt**2
    raw = rng.normal(size=(1000, 4))
    white = 1000**0.5 * np.linalg.qr(raw - raw.mean(0))[0]
    points = torch.from_numpy(white @ np.linalg.cholesky(sigma).T)
    times = torch.arange(1000, dtype=torch.float64) * meant.tau
    names = tuple(f"out{i}" for i in range(4))
    run = tngd.Trajectory(times, points, names, "hand", (tngd.Status(),), True, 0, float(times[-1]))
    found = effective_temperature(run, meant, average_from_s=0.0)
    np.testing.assert_allclose(found.ratio, r, rtol=1e-9)


def test_error_bars_cover() -> None:
    """z of 8 nodes in 12 runs: variance 1 within 3 standard errors (0.43), and a bath 5 % off would show."""
    meant = loaded_chip("rlc_spu", presets.ideal())
    found = [found_in(meant, meant, seed) for seed in range(20, 32)]
    z = torch.stack([one.deviation for one in found])
    assert abs(float(z.square().mean()) - 1) < 3 * (2 / 96) ** 0.5
    mean, stderr = torch.stack([one.ratio for one in found]).mean(0), torch.stack([o.stderr for o in found]).mean(0)
    assert float(((mean - 1) / stderr * 12**0.5).abs().max()) < 4
    assert float(((1.05 * mean - 1) / stderr * 12**0.5).abs().max()) > 4


def test_thermal_noise_of_the_parts_is_taken_off() -> None:
    """Resistors at a temperature that adds noise of the order of the injected: still 1, and not without S_0."""
    meant = program(manufacture("rlc_spu", N, presets.ideal()), LinearProblem(A), kappa=1e-3)
    S = float(meant.elements.value(Role.NOISE)[0])
    kelvin = 0.5 * S * 1e3 / 4 / BOLTZMANN_JOULE_PER_KELVIN
    heard = replace(meant, programmed=replace(meant.elements, noise_kelvin={Role.TANK_RESISTOR: kelvin}))
    run = run_of(heard)
    assert effective_temperature(run, heard, average_from_s=100 * meant.tau).suspects == ()
    ignored = effective_temperature(run, meant, average_from_s=100 * meant.tau)
    assert float(ignored.ratio.mean()) == pytest.approx(1.5, abs=0.05)


def test_misuse() -> None:
    meant = loaded_chip("integrator", presets.ideal())
    run = run_of(meant, points=300)
    silent = program(meant.chip, LinearProblem(A))
    with pytest.raises(MisuseError, match="kappa = 0"):
        effective_temperature(run, silent, average_from_s=0.0)
    with pytest.raises(MisuseError, match="average_from_s"):
        effective_temperature(run, meant, average_from_s=1.0)
    with pytest.raises(MisuseError, match="points from"):
        effective_temperature(run, meant, average_from_s=float(run.times_s[-3]))
    with pytest.raises(MisuseError, match="several chips"):
        effective_temperature(replace(run, voltage_volt=run.voltage_volt[None], chips=1), meant, average_from_s=0.0)
    short = effective_temperature(run, meant, average_from_s=float(run.times_s[-30]))
    assert "too short" in short.verdict


def test_figure() -> None:
    meant = loaded_chip("rlc_spu", presets.ideal())
    axes = found_in(hotter(meant, 5, 1.3), meant).plot()
    assert axes.get_xlabel() == "node"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]  # pyright: ignore[reportOptionalMemberAccess] - a legend is there
    assert "not at its temperature" in labels
