"""Covariance, densities and contributions by source: by hand, by Lyapunov, and by ngspice's ``.noise``."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tngd_hw import LinearProblem, MisuseError, Netlist, OutcomeError, manufacture, presets, program
from tngd_hw.engines.decks.result import DeckEngine
from tngd_hw.engines.noise.matrix import noise_band, noise_by_source, noise_matrix, noise_sweep
from tngd_hw.engines.noise.probe import integral
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Kind, NetlistBuilder, NoiseSources, state_equations
from tngd_hw.netlist.netlist import ROOM_KELVIN
from tngd_hw.topologies import LoadedChip
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN as K_B

R_A, R_B, R_AB = 1e3, 4e3, 2e3
C_A, C_B = 1e-9, 3e-9
PSD_A, PSD_B = 4e-20, 1e-20
TWO_TENTHS_OF_A_PER_CENT = 2e-3


def two_nodes(r_ab: float = R_AB, **options: object) -> Netlist:
    """Two RC nodes joined by a resistor, a noise current of its own into each; nothing is symmetric."""
    build = NetlistBuilder("two nodes")
    a, b = build.nodes(["a", "b"])
    build.add(Kind.RESISTOR, ["a", "b", "ab"], [[a, 0], [b, 0], [a, b]], [R_A, R_B, r_ab], **options)  # pyright: ignore[reportArgumentType] - by name
    build.add(Kind.CAPACITOR, ["a", "b"], [[a, 0], [b, 0]], [C_A, C_B])
    build.add(Kind.CURRENT_SOURCE, ["a", "b"], [[0, a], [0, b]], [0.0, 0.0], noise_psd=[PSD_A, PSD_B])
    return build.netlist(inputs=["a"], outputs=["a", "b"])


def thermal_only(netlist: Netlist) -> Netlist:
    """Without the injected noise, beside which the resistors' would not be seen."""
    return replace(netlist, tables=tuple(replace(t, noise_psd=None) for t in netlist.tables))


def lyapunov_by_hand(r_ab: float = R_AB) -> np.ndarray:
    """C dv/dt = -G v + i:  three linear equations for S_aa, S_ab, S_bb."""
    G = np.array([[1 / R_A + 1 / r_ab, -1 / r_ab], [-1 / r_ab, 1 / R_B + 1 / r_ab]])
    F = -G / np.array([[C_A], [C_B]])
    Q = np.array([PSD_A / (2 * C_A**2), 0.0, PSD_B / (2 * C_B**2)])
    system = [[2 * F[0, 0], 2 * F[0, 1], 0], [F[1, 0], F[0, 0] + F[1, 1], F[0, 1]], [0, 2 * F[1, 0], 2 * F[1, 1]]]
    aa, ab, bb = np.linalg.solve(np.array(system), -Q)
    return np.array([[aa, ab], [ab, bb]])


def noisy_chip(topology: str, n: int) -> LoadedChip:
    rng = np.random.default_rng(n)
    coupling = np.triu(rng.uniform(0.1, 0.5, (n, n)), 1)
    coupling = coupling + coupling.T
    wide = rng.normal(size=(n, 2 * n)) / np.sqrt(2 * n)
    capacitive = topology in ("rlc_spu", "passive_rc")
    A = np.diag(coupling.sum(1) + 0.5) - coupling if capacitive else wide @ wide.T + 0.1 * np.eye(n)
    return program(manufacture(topology, n, presets.pcb_1k_1n(), seed=1), LinearProblem(A), kappa=1e-3)


def share(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference over sqrt(S_ii S_jj)."""
    spread = np.sqrt(np.diagonal(expected))
    return float((np.abs(expected - found) / np.outer(spread, spread)).max())


def test_exact_matrix_by_hand() -> None:
    found = noise_matrix(two_nodes())
    assert share(lyapunov_by_hand(), found["covariance"].values) < 1e-12
    assert found["covariance"].attrs["units"] == "V^2"
    assert list(found["node"].values) == list(found["other_node"].values) == ["a", "b"]
    low = found["density"].sel(node="b").values[0]
    G = np.linalg.inv([[1 / R_A + 1 / R_AB, -1 / R_AB], [-1 / R_AB, 1 / R_B + 1 / R_AB]])
    assert low == pytest.approx(G[1, 0] ** 2 * PSD_A + G[1, 1] ** 2 * PSD_B, rel=1e-6)


@pytest.mark.ngspice
@pytest.mark.parametrize("topology", ["integrator", "gm_c", "passive_rc", "rlc_spu"])
@pytest.mark.parametrize("n", [4, 16])
def test_ngspice_matrix_is_lyapunovs(topology: str, n: int) -> None:
    loaded = noisy_chip(topology, n)
    exact, found = noise_matrix(loaded), noise_matrix(loaded, DeckEngine.NGSPICE, workers=2)
    S = exact["covariance"].values
    assert share(S, found["covariance"].values) < TWO_TENTHS_OF_A_PER_CENT
    assert share(S, np.diag(np.diagonal(S))) > 0.3  # the entries beside the diagonal are no small matter
    assert share(S, 1.005 * found["covariance"].values) > TWO_TENTHS_OF_A_PER_CENT
    np.testing.assert_allclose(found["frequency_hz"], exact["frequency_hz"], rtol=1e-9)
    np.testing.assert_allclose(
        found["density"], exact["density"], rtol=1e-6
    )  # 3.5e-7 is ngspice 39's Boltzmann constant


@pytest.mark.ngspice
@pytest.mark.parametrize("engine", list(DeckEngine))
def test_thermal_noise_of_a_passive_network_is_kt_over_c(engine: DeckEngine) -> None:
    found = noise_matrix(thermal_only(two_nodes()), engine, sources=NoiseSources.ALL)["covariance"].values
    assert share(K_B * ROOM_KELVIN * np.diag([1 / C_A, 1 / C_B]), found) < TWO_TENTHS_OF_A_PER_CENT


@pytest.mark.ngspice
def test_a_negative_resistor_is_noiseless_in_both() -> None:
    """-8 kohm between the nodes: its current noise, with either sign, would show at once."""
    netlist = thermal_only(two_nodes(-8e3))
    exact = noise_by_source(netlist, sources=NoiseSources.ALL)
    assert "rab" not in exact["source"].values
    found = noise_matrix(netlist, DeckEngine.NGSPICE, sources=NoiseSources.ALL)["covariance"].values
    assert share(noise_matrix(netlist, sources=NoiseSources.ALL)["covariance"].values, found) < TWO_TENTHS_OF_A_PER_CENT


@pytest.mark.ngspice
def test_who_contributes_what() -> None:
    exact, found = (noise_by_source(two_nodes(), engine, sources=NoiseSources.ALL) for engine in DeckEngine)
    assert list(found["source"].values) == ["ia", "ib", "ra", "rb", "rab"]
    G = np.linalg.inv([[1 / R_A + 1 / R_AB, -1 / R_AB], [-1 / R_AB, 1 / R_B + 1 / R_AB]])
    thermal = 4 * K_B * ROOM_KELVIN
    by_hand = {
        "ia": G[1, 0] ** 2 * PSD_A,
        "ib": G[1, 1] ** 2 * PSD_B,
        "ra": G[1, 0] ** 2 * thermal / R_A,
        "rb": G[1, 1] ** 2 * thermal / R_B,
        "rab": (G[1, 0] - G[1, 1]) ** 2 * thermal / R_AB,
    }
    for data in (exact, found):
        low = data["density"].sel(node="b").isel(frequency_hz=0)
        assert {str(s): float(low.sel(source=s)) for s in data["source"].values} == pytest.approx(by_hand, rel=1e-6)
    np.testing.assert_allclose(found["variance"], exact["variance"], rtol=1e-6)
    total = noise_matrix(two_nodes(), sources=NoiseSources.ALL)
    np.testing.assert_allclose(exact["density"].sum("source"), total["density"], rtol=1e-10)


@pytest.mark.ngspice
def test_sources_inside_cells_have_their_path() -> None:
    loaded = noisy_chip("integrator", 4)
    exact, found = (noise_by_source(loaded, engine, sources=NoiseSources.ALL) for engine in DeckEngine)
    names = [str(name) for name in found["source"].values]
    assert any(name.count(".") for name in names)
    assert names == [str(name) for name in exact["source"].values]
    largest = exact["density"].max(["frequency_hz", "node"])
    assert float((np.abs(found["density"] - exact["density"]) / largest).max()) < 1e-6


def test_points_follow_the_sharpest_resonance() -> None:
    """z/(z^2 + z w/Q + w^2) under white noise of density 2: variance Q/(2 w), of which 1/(2 pi^2 f) lies above f."""
    w, quality = 2 * math.pi * 1e6, 25.0
    sde = LinearSDE([[-w / quality, -w], [w, 0.0]], np.zeros((2, 1)), [[1.0], [0.0]], [[1.0, 0.0]])
    sweep = noise_sweep(sde)
    assert noise_band(sde) == pytest.approx((1e2, 1e9))
    hertz = np.geomspace(1e2, 1e9, 7 * sweep.points_per_decade + 1)
    z = 2j * math.pi * hertz
    density = 2 * np.abs(z / (z**2 + z * w / quality + w**2)) ** 2
    full, half = (integral(hertz[::k], density[::k]) + 1 / (2 * math.pi**2 * 1e9) for k in (1, 2))
    assert float(full) == pytest.approx(quality / (2 * w), rel=5e-6)
    assert abs(float(half) / (quality / (2 * w)) - 1) > 1e-3  # half the points are too few


def test_too_sharp_or_unstable_or_mute_is_said() -> None:
    sde = LinearSDE([[-1e-6, -1.0], [1.0, 0.0]], np.zeros((2, 1)), [[1.0], [0.0]], [[1.0, 0.0]])
    with pytest.raises(MisuseError, match=r"quality factor 1e\+06"):
        noise_sweep(sde)
    with pytest.raises(OutcomeError, match="unstable"):
        noise_matrix(two_nodes(-100.0))
    with pytest.raises(MisuseError, match="no outputs"):
        noise_matrix(replace(two_nodes(), outputs=()))
    batch = program(manufacture("gm_c", 2, presets.ideal(), chips=3), LinearProblem(np.eye(2)), kappa=0.1)
    with pytest.raises(MisuseError, match=r"chips = 3: .*loaded.select\(k\)"):
        noise_matrix(batch)


def test_band_reaches_far_past_both_ends() -> None:
    sde = state_equations(noisy_chip("gm_c", 4).netlist()).sde
    low, high = noise_band(sde)
    modes = sde.eigenvalues().abs().numpy() / (2 * np.pi)
    assert low == pytest.approx(1e-4 * modes.min())
    assert high == pytest.approx(1e3 * modes.max())
