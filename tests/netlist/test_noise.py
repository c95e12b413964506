"""Noise columns: injected currents (S_I/(4 C) G^-1 in a symmetric RC net), thermal noise, and their square root."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Kind, Netlist, NetlistBuilder, NoiseSources, state_equations
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN

S_I, C = 4e-18, 2e-9
G = np.array([[3.0, -1.0, -0.5], [-1.0, 2.0, -0.25], [-0.5, -0.25, 1.5]]) * 1e-3


def noisy_net(psd: list[float]) -> LinearSDE:
    build = NetlistBuilder("three nodes")
    node = build.nodes(["a", "b", "c"])
    pairs = [(0, 1), (0, 2), (1, 2)]
    build.add(
        Kind.RESISTOR, ["ab", "ac", "bc"], [[node[i], node[j]] for i, j in pairs], [-1 / G[i, j] for i, j in pairs]
    )
    build.add(Kind.RESISTOR, ["a0", "b0", "c0"], [[k, 0] for k in node], 1 / G.sum(1))
    build.add(Kind.CAPACITOR, ["a", "b", "c"], [[k, 0] for k in node], C)
    build.add(Kind.CURRENT_SOURCE, ["a", "b", "c"], [[0, k] for k in node], 0.0, noise_psd=psd)
    return state_equations(build.netlist(inputs=[], outputs=["a", "b", "c"])).sde


def covariance(sde: LinearSDE) -> np.ndarray:
    F, B = sde.F.numpy(), sde.B.numpy()
    return solve_continuous_lyapunov(F, -B @ B.T)


def test_equal_noise_gives_the_inverse() -> None:
    np.testing.assert_allclose(covariance(noisy_net([S_I] * 3)), S_I / (4 * C) * np.linalg.inv(G), rtol=1e-10)


def test_noise_of_one_node_is_a_column_of_its_own() -> None:
    sde = noisy_net([0.0, S_I, 0.0])
    assert sde.B.shape == (3, 1)
    np.testing.assert_allclose(sde.B.numpy()[:, 0], [0, np.sqrt(S_I / 2) / C, 0], rtol=1e-12)


def test_five_per_cent_of_noise_would_show() -> None:
    wrong = covariance(noisy_net([1.05 * S_I] * 3))
    assert np.abs(wrong / (S_I / (4 * C) * np.linalg.inv(G)) - 1).min() > 0.04


@pytest.mark.parametrize("psd", [[-1e-18, 0, 0], [np.nan, 0, 0]])
def test_densities_that_cannot_be_are_refused(psd: list[float]) -> None:
    with pytest.raises(ValueError, match="noise_psd"):
        noisy_net(psd)


def warm_net(**columns: object) -> Netlist:
    """Two resistors at a node with a capacitor, a third in a separate pair, all with columns of their own."""
    build = NetlistBuilder("warm")
    a, b = build.nodes(["a", "b"])
    build.add(Kind.RESISTOR, ["one", "two", "far"], [[a, 0], [0, a], [a, b]], [1e3, 4e3, 2e3], **columns)  # type: ignore[arg-type] - columns by name
    build.add(Kind.CAPACITOR, ["a", "b"], [[a, 0], [b, 0]], [C, 3 * C])
    build.add(Kind.CURRENT_SOURCE, ["in"], [[0, b]], [0.0], noise_psd=[S_I])
    return build.netlist([], ["a"])


def strength(ohm: float, kelvin: float) -> float:
    """sqrt(S/2), S = 4 k T/R."""
    return float(np.sqrt(2 * BOLTZMANN_JOULE_PER_KELVIN * kelvin / ohm))


def test_every_resistor_has_its_own_temperature_and_column() -> None:
    """A current from the first node to the second: minus into a for one and far, plus for two; NaN is the netlist's."""
    netlist = warm_net(temperature_kelvin=[400.0, np.nan, 77.0])
    found = state_equations(netlist, noise=NoiseSources.ALL, reduce_noise=False)
    wanted = [
        [0, -strength(1e3, 400) / C, strength(4e3, 300.15) / C, -strength(2e3, 77) / C],
        [np.sqrt(S_I / 2) / (3 * C), 0, 0, strength(2e3, 77) / (3 * C)],
    ]
    assert found.noise_names == ("iin", "rone", "rtwo", "rfar")
    np.testing.assert_allclose(found.sde.B.numpy(), wanted, rtol=1e-12, atol=1e-20)


def test_which_sources_are_taken() -> None:
    netlist = warm_net()
    names = {kind: state_equations(netlist, noise=kind, reduce_noise=False).noise_names for kind in NoiseSources}
    assert names[NoiseSources.INJECTED] == ("iin",)
    assert names[NoiseSources.THERMAL] == ("rone", "rtwo", "rfar")
    assert names[NoiseSources.ALL] == ("iin", "rone", "rtwo", "rfar")
    silent = warm_net(noiseless=True)
    assert state_equations(silent, noise=NoiseSources.ALL).noise_names == ("iin",)
    assert state_equations(netlist).noise_names == ("iin",)


def test_square_root_has_the_same_joint_density() -> None:
    """Four sources, three rows: [B; D_w] becomes 3 x 3 with the same product; a fifth source shows."""
    netlist = warm_net()
    by_source = state_equations(netlist, noise=NoiseSources.ALL, reduce_noise=False).sde
    root = state_equations(netlist, noise=NoiseSources.ALL)
    assert root.sde.n_noises == 3
    assert root.noise_names == ()
    both = [np.vstack([sde.B.numpy(), sde.D_w.numpy()]) for sde in (by_source, root.sde)]
    wanted, found = (W @ W.T for W in both)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14 * np.abs(wanted).max())
    less = both[0][:, 1:] @ both[0][:, 1:].T
    assert np.abs(less - wanted).max() > 0.05 * np.abs(wanted).max()


def spu(n: int, henry: float) -> tuple[Netlist, np.ndarray]:
    """n LC cells with a resistor each, a coupling capacitor between every two, and the Maxwell matrix."""
    rng = np.random.default_rng(3)
    coupling = np.triu(rng.uniform(0.1e-9, 1e-9, (n, n)), 1)
    ground = rng.uniform(1e-9, 2e-9, n)
    maxwell = np.diag(ground + coupling.sum(0) + coupling.sum(1)) - coupling - coupling.T
    build = NetlistBuilder("spu")
    names = [f"n{k}" for k in range(n)]
    node = build.nodes(names)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    build.add(Kind.CAPACITOR, names, [[k, 0] for k in node], ground)
    build.add(
        Kind.CAPACITOR, [f"c{i}_{j}" for i, j in pairs], [[node[i], node[j]] for i, j in pairs],
        [coupling[i, j] for i, j in pairs],
    )  # fmt: skip
    build.add(Kind.INDUCTOR, names, [[k, 0] for k in node], henry * rng.uniform(1, 3, n))
    build.add(Kind.RESISTOR, names, [[k, 0] for k in node], rng.uniform(1e3, 5e3, n))
    return build.netlist([], names), maxwell


@pytest.mark.parametrize("henry", [1e-4, 1e-2])
def test_stochastic_processing_unit_of_eight_cells(henry: float) -> None:
    """Equipartition: the node voltages of the passive circuit have covariance k T C^-1, whatever L and R are."""
    netlist, maxwell = spu(8, henry)
    found = state_equations(netlist, noise=NoiseSources.THERMAL).sde
    assert found.state_names == tuple(f"{letter}n{k}" for letter in "cl" for k in range(8))
    scale = np.repeat([1.0, 1e3 * np.sqrt(henry / 1e-3)], 8)  # volts and milliamperes, for the Lyapunov solver
    F, B = found.F.numpy() * scale[:, None] / scale, found.B.numpy() * scale[:, None]
    wanted = BOLTZMANN_JOULE_PER_KELVIN * 300.15 * np.linalg.inv(maxwell)
    state = solve_continuous_lyapunov(F / 1e6, -B @ B.T / 1e6 / wanted[0, 0]) * wanted[0, 0]
    np.testing.assert_allclose(state[:8, :8], wanted, rtol=1e-8)
