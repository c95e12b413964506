"""The noise column: a white current S_I (one-sided) at every node of a symmetric RC net gives S_I/(4 C) G^-1."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Kind, NetlistBuilder, state_equations

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
