"""Samples against laws from 50-digit closed forms, each test with a 5 % error beside it that must be found.

Tolerance: samples are whitened with the exact joint law of several times; the sample covariance of N whitened vectors
has standard error sqrt((1 + delta_ij) / N) in entry (i, j).  All entries have to lie within 5.5 standard errors (fewer
than one false alarm in 100,000 runs at 12 dimensions).  N = 40,000: a variance that is 5 % off is 7 standard errors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from cases import SDE_CASES, SdeCase, spd_matrix, stable_matrix
from linear_sde.reference import exact_step, joint_covariance
from scipy import stats

from tngd_hw.linear_sde import LinearSDE, sample_at, state_sample_at, state_sample_blocks, stationary_covariance
from tngd_hw.linear_sde.paths import DenseSteps, DiagonalSteps, IrregularSteps, noise_steps
from tngd_hw.linear_sde.recursion import diagonal_recursion, recursion
from tngd_hw.outcome import MisuseError

Array = npt.NDArray[np.float64]
PATHS = 40_000
CASES = {case.name: case for case in SDE_CASES}


def _worst_standard_error(samples: Array, covariance: Array) -> float:
    """The largest deviation of the whitened sample covariance from the identity, in standard errors."""
    deviations = np.sqrt(np.diag(covariance))
    values, axes = np.linalg.eigh(covariance / np.outer(deviations, deviations))
    alive = values > 1e-9
    scaled = (samples / deviations) @ axes
    assert np.abs(scaled[:, ~alive]).max(initial=0.0) < 1e-3
    white = scaled[:, alive] / np.sqrt(values[alive])
    d, count = white.shape[1], white.shape[0]
    errors = np.abs(white.T @ white / count - np.eye(d)) / np.sqrt((1.0 + np.eye(d)) / count)
    return float(errors.max())


def _grid(case: SdeCase, kind: str) -> tuple[Array, list[int]]:
    unit = 1.0 / case.fastest
    if kind == "even":
        return np.linspace(0.0, 6.0, 13) * unit, [1, 5, 12]
    return np.sort(np.random.default_rng(4).uniform(0.01, 6.0, 20)) * unit, [0, 7, 19]


@pytest.mark.parametrize("kind", ["even", "uneven"])
@pytest.mark.parametrize(
    "name",
    ["one_state", "symmetric", "nonsymmetric", "unequal_noise", "rlc", "correlated_noise", "defective", "integrator"],
)
def test_joint_law_of_a_path(name: str, kind: str) -> None:
    case = CASES[name]
    times, chosen = _grid(case, kind)
    sde = LinearSDE(case.F, B=case.B)
    paths = state_sample_at(sde, times, generator=np.random.default_rng(11), n_paths=PATHS).numpy()
    picked = paths[:, chosen].reshape(PATHS, -1)
    covariance = joint_covariance(case.F, case.B, [float(times[i]) for i in chosen])
    assert _worst_standard_error(picked, covariance) < 5.5
    assert _worst_standard_error(np.sqrt(1.05) * picked, covariance) > 5.5


def test_structure_and_grid_pick_the_algorithm() -> None:
    even, uneven = torch.linspace(0.0, 5.0, 100, dtype=torch.float64), torch.cumsum(torch.rand(50) + 0.1, 0).double()
    reversible = LinearSDE(-spd_matrix(4, 0), B=np.eye(4))
    mismatched = LinearSDE(-spd_matrix(4, 0), B=np.diag([1.0, 1.05, 1.0, 1.0]))
    assert isinstance(noise_steps(reversible, even), DiagonalSteps)
    assert isinstance(noise_steps(reversible, uneven), DiagonalSteps)
    assert isinstance(noise_steps(mismatched, even), DenseSteps)
    assert isinstance(noise_steps(mismatched, uneven), IrregularSteps)


def test_a_five_percent_mismatch_is_seen() -> None:
    """The law of a mismatched system is not the law of the ideal one: this test can tell them apart."""
    case = CASES["unequal_noise"]
    times, chosen = _grid(case, "even")
    wrong = LinearSDE(case.F * np.array([[1.0, 1.05], [1.0, 1.0]]), B=case.B @ np.diag([1.0, 1.05]))
    paths = state_sample_at(wrong, times, generator=np.random.default_rng(11), n_paths=PATHS).numpy()
    covariance = joint_covariance(case.F, case.B, [float(times[i]) for i in chosen])
    assert _worst_standard_error(paths[:, chosen].reshape(PATHS, -1), covariance) > 5.5


def test_marginals_are_gaussian() -> None:
    """Kolmogorov-Smirnov, 40,000 values: passes at p > 1e-3, finds a deviation that is 5 % too large at p < 1e-3."""
    case = CASES["nonsymmetric"]
    variance = exact_step(case.F, case.B, 0.7).Q[1, 1]
    sde = LinearSDE(case.F, B=case.B)
    drawn = state_sample_at(sde, [0.2, 0.7], generator=np.random.default_rng(3), n_paths=PATHS)[:, 1, 1].numpy()
    assert stats.kstest(drawn / np.sqrt(variance), "norm").pvalue > 1e-3
    assert stats.kstest(1.05 * drawn / np.sqrt(variance), "norm").pvalue < 1e-3


@pytest.mark.parametrize("symmetric", [True, False])
def test_one_long_path_is_stationary_with_the_right_memory(*, symmetric: bool) -> None:
    """A path of 60,000 steps cut into pieces: lag-1 regression recovers Phi; standard error from the exact noise."""
    F = -spd_matrix(3, 7, condition=4.0) if symmetric else stable_matrix(3, 7)
    dt, steps = 0.8, 60_000
    sde = LinearSDE(F, B=np.eye(3) if symmetric else np.diag([1.0, 0.3, 2.0]))
    path = state_sample_at(sde, dt * np.arange(1, steps + 1), generator=np.random.default_rng(2)).numpy()
    assert path.shape == (steps, 3)
    exact = exact_step(F, sde.B.numpy(), dt)
    before, after = path[200:-1], path[201:]
    moment = before.T @ before
    fitted = np.linalg.solve(moment, before.T @ after).T
    standard_error = np.sqrt(np.outer(np.diag(exact.Q), np.diag(np.linalg.inv(moment))))
    assert float((np.abs(fitted - exact.Phi) / standard_error).max()) < 5.0
    noise = after - before @ exact.Phi.T
    assert _worst_standard_error(noise, exact.Q) < 5.5
    assert _worst_standard_error(np.sqrt(1.05) * noise, exact.Q) > 5.5


@pytest.mark.parametrize("paths", [1, 3])
def test_a_path_in_pieces_is_the_path_step_by_step(paths: int) -> None:
    """Cut and carried on, dense and diagonal, the first step of another kind: against the plain loop."""
    rng = np.random.default_rng(0)
    Phi, decay = 0.9 * np.linalg.qr(rng.normal(size=(4, 4)))[0], rng.uniform(-0.9, 0.9, 4)
    noise, start = rng.normal(size=(1001, paths, 4)), rng.normal(size=(paths, 4))
    which = [0] + [1] * 1000
    ours = recursion([None, torch.from_numpy(Phi)], which, torch.from_numpy(noise), torch.from_numpy(start))
    factors = torch.from_numpy(np.stack([np.ones(4), decay])[:, None])
    other = diagonal_recursion(factors, which, torch.from_numpy(noise), torch.from_numpy(start))
    x, y = start + noise[0], start + noise[0]
    for i in range(1, 1001):
        x, y = x @ Phi.T + noise[i], y * decay + noise[i]
        np.testing.assert_allclose(ours[i].numpy(), x, rtol=0.0, atol=1e-13)
        np.testing.assert_allclose(other[i].numpy(), y, rtol=0.0, atol=1e-13)


def test_a_start_from_the_stationary_law_stays_there() -> None:
    case = CASES["rlc_network"]
    sde = LinearSDE(case.F, B=case.B)
    law, _ = stationary_covariance(sde)
    paths = state_sample_at(
        sde, [3.0], covariance0=law, x0=[1.0, 2.0, 3.0, 4.0], generator=np.random.default_rng(8), n_paths=PATHS
    )
    mean = exact_step(case.F, case.B, 3.0).Phi @ [1.0, 2.0, 3.0, 4.0]
    deviations = paths[:, 0].numpy() - mean
    assert _worst_standard_error(deviations, law.numpy()) < 5.5
    assert float((np.abs(deviations.mean(0)) / np.sqrt(np.diag(law.numpy()) / PATHS)).max()) < 5.0


def test_pieces_are_the_whole_path() -> None:
    sde = LinearSDE(CASES["nonsymmetric"].F, [[1.0], [0.0]], CASES["nonsymmetric"].B)
    for times in (np.linspace(0.0, 30.0, 500), np.sort(np.random.default_rng(0).uniform(0.0, 9.0, 90))):
        options = {"x0": [1.0, -1.0], "u": [2.0], "n_paths": 3}
        whole = state_sample_at(sde, times, generator=np.random.default_rng(5), **options)
        pieces = list(state_sample_blocks(sde, times, generator=np.random.default_rng(5), block=500, **options))
        assert torch.equal(torch.cat(pieces, dim=-2), whole)
    steady = LinearSDE(-np.eye(2), B=np.eye(2))
    whole = state_sample_at(steady, times, generator=np.random.default_rng(5), n_paths=3)
    pieces = list(state_sample_blocks(steady, times, generator=np.random.default_rng(5), block=7, n_paths=3))
    assert [piece.shape[-2] for piece in pieces] == [7] * 12 + [6]
    torch.testing.assert_close(torch.cat(pieces, dim=-2), whole, rtol=0.0, atol=0.0)


def test_outputs_are_read_off_the_states() -> None:
    case = CASES["symmetric"]
    C, D = np.array([[1.0, -2.0, 0.0]]), np.array([[0.5]])
    sde = LinearSDE(case.F, [[1.0], [0.0], [0.0]], case.B, C, D=D)
    times, options = [0.0, 0.5, 0.5, 2.0], {"u": [3.0], "x0": [1.0, 1.0, 1.0]}
    states = state_sample_at(sde, times, generator=np.random.default_rng(1), **options)
    outputs = sample_at(sde, times, generator=np.random.default_rng(1), **options)
    assert outputs.shape == (4, 1)
    np.testing.assert_allclose(outputs.numpy(), states.numpy() @ C.T + 1.5, rtol=1e-12)
    np.testing.assert_allclose(states[0].numpy(), [1.0, 1.0, 1.0], rtol=1e-14)
    np.testing.assert_allclose(states[1].numpy(), states[2].numpy(), rtol=1e-13)


def test_batches_have_paths_of_their_own_and_bits_repeat() -> None:
    F = -np.stack([spd_matrix(3, seed) for seed in range(2)])
    for B in (np.eye(3), np.diag([1.0, 2.0, 3.0])):
        sde = LinearSDE(F, B=B)
        once = sample_at(sde, np.arange(1.0, 30.0), generator=np.random.default_rng(4), n_paths=5)
        again = sample_at(sde, np.arange(1.0, 30.0), generator=np.random.default_rng(4), n_paths=5)
        assert once.shape == (2, 5, 29, 3)
        assert torch.equal(once, again)
        assert np.unique(once.numpy()).size == once.numel()


def test_no_noise_no_spread() -> None:
    sde = LinearSDE([[-1.0]], [[1.0]])
    drawn = state_sample_at(sde, [0.5, 1.0], x0=[2.0], generator=np.random.default_rng(0), n_paths=2)
    np.testing.assert_allclose(drawn[..., 0].numpy(), [2.0 * np.exp([-0.5, -1.0])] * 2, rtol=1e-14)


def test_white_outputs_have_no_point_samples() -> None:
    sde = LinearSDE([[-1.0]], B=[[1.0]], D_w=[[0.1]])
    with pytest.raises(MisuseError, match="white noise has no value at a point; use sample_averages"):
        sample_at(sde, [1.0], generator=np.random.default_rng(0))
    with pytest.raises(MisuseError, match="block = 0"):
        next(state_sample_blocks(sde, [1.0], generator=np.random.default_rng(0), block=0))
    with pytest.raises(MisuseError, match="covariance0 is not symmetric"):
        state_sample_at(
            LinearSDE(-np.eye(2)), [1.0], covariance0=[[1.0, 2.0], [0.0, 1.0]], generator=np.random.default_rng(0)
        )
    with pytest.raises(MisuseError, match="covariance0 has the eigenvalue -1"):
        state_sample_at(
            LinearSDE(-np.eye(2)), [1.0], covariance0=[[1.0, 2.0], [2.0, 1.0]], generator=np.random.default_rng(0)
        )
