"""Means under a constant input: shapes, conventions, both algorithms, a stiff amplifier array."""

from __future__ import annotations

import pickle

import numpy as np
import numpy.typing as npt
import pytest
import torch
from cases import SDE_CASES, SdeCase, spd_matrix, stable_matrix
from scipy.linalg import expm

from tngd_hw.linear_sde import LinearSDE, dyadic, mean_at, state_mean_at, stationary_mean, stationary_output_mean
from tngd_hw.linear_sde.doubling import Power
from tngd_hw.linear_sde.dyadic import DyadicPowers, dyadic_mean
from tngd_hw.linear_sde.modal import modal_basis, modal_mean

Array = npt.NDArray[np.float64]


def _by_block_exponential(F: Array, E: Array, u: Array, x0: Array, t: float) -> Array:
    n, m = E.shape
    block = np.zeros((n + m, n + m))
    block[:n, :n], block[:n, n:] = F, E
    return expm(block * t)[:n] @ np.concatenate((x0, u))


@pytest.mark.parametrize("count", [3, 3000])
def test_batches_and_right_hand_sides(count: int) -> None:
    """Few times take the dyadic products, many the eigenbasis: both equal a block exponential a time."""
    rng = np.random.default_rng(1)
    F = np.stack([stable_matrix(4, seed) for seed in range(3)])
    E, u, x0 = rng.normal(size=(4, 2)), rng.normal(size=(3, 2, 5)), rng.normal(size=(3, 4))
    times = np.sort(np.concatenate(([0.0, 0.7, 0.7], rng.uniform(0.0, 9.0, count))))
    sde = LinearSDE(F, E)
    means = state_mean_at(sde, times, x0=x0, u=u).numpy()
    assert means.shape == (3, count + 3, 4, 5)
    for chip, i, k in ((0, 1, 0), (1, 2, 4), (2, count, 3)):
        expected = _by_block_exponential(F[chip], E, u[chip, :, k], x0[chip], times[i])
        np.testing.assert_allclose(means[chip, i, :, k], expected, rtol=1e-11, atol=1e-12)


def test_the_sign_and_the_order_of_axes() -> None:
    """F = -A / tau: x settles at A^-1 b, not at A^-T b, and from above when it starts above."""
    A, b, tau = np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([5.0, 6.0]), 1e-6
    sde = LinearSDE(-A / tau, np.eye(2) / tau)
    path = state_mean_at(sde, np.array([0.0, 1e-9, 40.0 * tau]), x0=[10.0, 2.0], u=b).numpy()
    np.testing.assert_allclose(path[-1], [1.5, 2.0], rtol=1e-14)
    np.testing.assert_allclose(path[1] - path[0], (b - A @ [10.0, 2.0]) * 1e-3, rtol=1e-2, atol=1e-12)
    settled, status = stationary_mean(sde, b)
    assert status.ok
    np.testing.assert_allclose(settled.numpy(), [1.5, 2.0], rtol=1e-14)


def test_outputs_see_the_states_and_the_input() -> None:
    sde = LinearSDE([[-1.0]], [[1.0, 2.0]], C=[[1.0], [-3.0], [0.0]], D=[[0.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    y = mean_at(sde, [0.0, 1.0], x0=[4.0], u=[1.0, 10.0]).numpy()
    x1 = 4.0 * np.exp(-1.0) + 21.0 * (1.0 - np.exp(-1.0))
    np.testing.assert_allclose(y, [[4.0, -2.0, 5.0], [x1, -3.0 * x1 + 10.0, 5.0]], rtol=1e-14)
    settled, _ = stationary_output_mean(sde, [1.0, 10.0])
    np.testing.assert_allclose(settled.numpy(), [21.0, -53.0, 5.0], rtol=1e-14)


@pytest.mark.parametrize("case", SDE_CASES, ids=str)
def test_both_algorithms_agree_or_the_eigenbasis_admits_its_error(case: SdeCase) -> None:
    F = torch.tensor(case.F)
    start, forcing = torch.ones((case.n, 1), dtype=torch.float64), torch.zeros((case.n, 1), dtype=torch.float64)
    times = torch.linspace(0.0, 30.0 / case.fastest, 50, dtype=torch.float64)
    basis = modal_basis(F, symmetric=bool(torch.equal(F, F.mT)))
    if not basis.usable:
        assert basis.error(30.0) == np.inf
        return
    one, other = dyadic_mean(DyadicPowers(F), forcing, start, times), modal_mean(basis, forcing, start, times)
    assert float((one - other).norm() / one.norm()) <= max(1e-13, 10.0 * basis.error(float(times[-1])))


def test_defective_matrices_are_never_given_to_the_eigenbasis() -> None:
    basis = modal_basis(torch.tensor([[-1.5, 0.5], [-0.5, -0.5]], dtype=torch.float64), symmetric=False)
    assert basis.error(1.0) > 1e-9


def _amplifier_array(nodes: int) -> tuple[Array, Array]:
    """Three states a node (integrator, output pole, inverter pole): stiff, not normal, rates 1e5 to 1e8 per second."""
    tau, bandwidth = 1e-6, 2.0 * np.pi * 50e6
    A = spd_matrix(nodes, 3, condition=20.0)
    up, down, one, none = np.clip(A, 0.0, None), np.clip(-A, 0.0, None), np.eye(nodes), np.zeros((nodes, nodes))
    slowed = np.diag(bandwidth / (1.0 + np.abs(A).sum(1)))
    F = np.block(
        [[none, one / tau, none], [-slowed @ up, -slowed, -slowed @ down], [-bandwidth * one, none, -bandwidth * one]]
    )
    return F, np.concatenate((none, slowed, none))


@pytest.mark.parametrize("count", [4, 800])
def test_a_stiff_amplifier_array(count: int) -> None:
    F, E = _amplifier_array(20)
    u = np.random.default_rng(5).normal(size=20)
    times = np.linspace(0.0, 40e-6, count)
    means = state_mean_at(LinearSDE(F, E), times, u=u).numpy()
    for i in (1, count // 2, count - 1):
        expected = _by_block_exponential(F, E, u, np.zeros(60), times[i])
        assert np.linalg.norm(means[i] - expected) < 1e-10 * np.linalg.norm(expected)


def test_the_same_call_gives_the_same_bits() -> None:
    sde = LinearSDE(stable_matrix(5, 2), np.eye(5))
    times, u = np.linspace(0.0, 3.0, 40), np.arange(5.0)
    assert torch.equal(mean_at(sde, times, u=u), mean_at(sde, times, u=u))


@pytest.mark.parametrize("name", ["nonsymmetric", "defective", "integrator", "rlc_network"])
def test_derivatives(name: str) -> None:
    case = next(case for case in SDE_CASES if case.name == name)
    F = torch.tensor(case.F, requires_grad=True)
    E = torch.eye(case.n, dtype=torch.float64, requires_grad=True)
    u = torch.linspace(1.0, 2.0, case.n, dtype=torch.float64, requires_grad=True)

    def outputs(F: torch.Tensor, E: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return mean_at(LinearSDE(F, E), [0.01, 0.4, 3.1], u=u)

    assert torch.autograd.gradcheck(outputs, (F, E, u), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("drift", [-1.0, 0.0, 0.4])
def test_a_basis_that_is_kept_serves_any_horizon(drift: float) -> None:
    sde = LinearSDE([[-2.0, 0.5], [0.5, drift]], E=np.eye(2))
    basis = sde.modal
    u = np.array([1.0, -2.0])
    for horizon in (1.0, 30.0):
        assert basis.holds(horizon, 1e-11) == (basis.error(horizon) <= 1e-11)
        for x0 in (np.array([0.3, 0.1]), np.zeros(2)):
            expected = _by_block_exponential(sde.F.numpy(), np.eye(2), u, x0, horizon)
            found = mean_at(sde, [horizon], x0=x0, u=u)[0].numpy()
            assert np.abs(found - expected).max() < 1e-11 * np.abs(expected).max()


def test_powers_are_kept_and_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second b, a longer and a shorter run: the same as a fresh system, with the room for all, two or no powers."""
    F, times = stable_matrix(6, 3), np.linspace(0.0, 40.0, 9)
    runs = [(times, np.ones(6)), (times, -2.0 * np.arange(6.0)), (times * 50, np.ones(6)), (times / 7, np.ones(6))]
    for kept in (64 << 20, 2 * 2 * 36 * 8, 0):
        monkeypatch.setattr(dyadic, "_MOST_KEPT_BYTES", kept)
        sde = LinearSDE(F, np.eye(6))
        for when, u in runs:
            again, fresh = state_mean_at(sde, when, u=u), state_mean_at(LinearSDE(F, np.eye(6)), when, u=u)
            assert torch.equal(again, fresh)
            np.testing.assert_allclose(again[-1], _by_block_exponential(F, np.eye(6), u, 0 * u, when[-1]), rtol=1e-10)
        assert "modal" not in sde.__dict__
        bytes_kept = sum(2 * power.psi.numel() * 8 for power in sde.powers.kept)
        assert bytes_kept == min(kept, sde.powers.levels(2000.0) * 2 * 36 * 8)
    assert pickle.loads(pickle.dumps(sde.powers)).kept == ()


def test_a_second_run_forms_no_powers(monkeypatch: pytest.MonkeyPatch) -> None:
    sde, times = LinearSDE(stable_matrix(6, 3), np.eye(6)), np.linspace(0.0, 40.0, 9)
    state_mean_at(sde, times, u=np.ones(6))

    def formed_again(_: object) -> None:
        pytest.fail("a power was formed again")

    monkeypatch.setattr(Power, "doubled", formed_again)
    monkeypatch.setattr(dyadic, "first_psi", formed_again)
    state_mean_at(sde, times, u=np.arange(6.0), x0=np.ones(6))
    with pytest.raises(pytest.fail.Exception):
        state_mean_at(sde, 8 * times, u=np.ones(6))


def test_derivatives_may_be_taken_twice_of_one_system() -> None:
    """What is kept for other runs has no gradient in it."""
    F = torch.from_numpy(stable_matrix(3, 1)).requires_grad_()
    sde = LinearSDE(F, np.eye(3))
    with torch.no_grad():
        state_mean_at(sde, [1.0, 3.0], u=np.ones(3))
    first, second = (torch.autograd.grad(state_mean_at(sde, [1.0, 3.0], u=np.ones(3)).sum(), F)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert bool(first.any())
