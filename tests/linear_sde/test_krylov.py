"""Matrix-free results against dense ones: the reported error has to be honest, and the work small."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from cases import nonnormal_matrices, spd_matrix, stable_matrix
from scipy.linalg import expm

from tngd_hw.linear_sde import krylov_mean
from tngd_hw.outcome import MisuseError, Outcome

Array = npt.NDArray[np.float64]
N = 200


def _drift(kind: str) -> Array:
    if kind == "symmetric":
        return -spd_matrix(N, 0, condition=1e3)
    if kind == "clustered":
        rng = np.random.default_rng(1)
        J = rng.normal(size=(12, N))
        return -(0.01 * np.eye(N) + J.T @ J / 12.0)
    if kind == "nonsymmetric":
        return stable_matrix(N, 2) - 0.3 * np.eye(N)
    return -spd_matrix(N, 0) @ np.diag(np.random.default_rng(3).uniform(0.5, 1.5, N))


def _exact_mean(F: Array, x0: Array, w: Array, t: float) -> Array:
    block = np.zeros((N + 1, N + 1))
    block[:N, :N], block[:N, N] = F, w
    return expm(block * t)[:N] @ np.concatenate((x0, [1.0]))


@pytest.mark.parametrize("kind", ["symmetric", "clustered", "nonsymmetric", "mismatched"])
@pytest.mark.parametrize("t", [0.1, 5.0, 50.0])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-8])
def test_means_are_as_good_as_they_say(kind: str, t: float, tolerance: float) -> None:
    F, rng = _drift(kind), np.random.default_rng(4)
    x0, w, matrix = rng.normal(size=N), rng.normal(size=N), torch.from_numpy(F)
    ours = krylov_mean(
        lambda v: matrix @ v, t, x0=torch.from_numpy(x0), w=torch.from_numpy(w), tolerance=tolerance, max_products=N
    )
    exact = _exact_mean(F, x0, w, t)
    error = float(np.linalg.norm(ours.value.numpy() - exact))
    assert ours.status.ok
    assert error <= 2.0 * ours.error + 1e-11 * np.linalg.norm(exact)
    assert error <= 2.0 * tolerance * np.linalg.norm(exact)


@pytest.mark.parametrize("name", ["growing_first", "beyond_its_spectrum", "rotating", "transport", "mismatched_rows"])
@pytest.mark.parametrize("t", [30.0, 1e3, 1e6])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-8])
def test_long_means_of_operators_whose_transients_grow(name: str, t: float, tolerance: float) -> None:
    """t up to 1e6 times the slowest time constant is the stationary mean."""
    size = 30 if name == "beyond_its_spectrum" else 60  # twice as many are unstable to anyone who rounds
    F, rng = nonnormal_matrices(size)[name], np.random.default_rng(4)
    matrix, w = torch.from_numpy(F), rng.normal(size=size)
    ours = krylov_mean(lambda v: matrix @ v, t, w=torch.from_numpy(w), tolerance=tolerance)
    block = np.zeros((size + 1, size + 1))
    block[:size, :size], block[:size, size] = F, w
    exact = expm(block * t)[:size, size] if t < 1e5 else -np.linalg.solve(F, w)
    error = float(np.linalg.norm(ours.value.numpy() - exact))
    assert ours.status.ok or (name == "beyond_its_spectrum" and tolerance < 1e-7)  # a gain of 3e4 costs digits
    assert error <= ours.error + 1e-11 * np.linalg.norm(exact)


def test_a_long_mean_costs_no_more_than_the_stationary_one() -> None:
    """Rates 1e-3 to 1: products at 1e3, 1e6 and 1e9 slowest time constants, at a fixed tolerance."""
    matrix, w = torch.from_numpy(_drift("symmetric")), torch.from_numpy(np.random.default_rng(5).normal(size=N))
    products = []
    for t in (1e6, 1e9, 1e12):
        ours = krylov_mean(lambda v: matrix @ v, t, w=w, tolerance=1e-6)
        exact = -np.linalg.solve(matrix.numpy(), w.numpy())
        assert ours.status.ok
        assert np.linalg.norm(ours.value.numpy() - exact) <= ours.error
        products.append(ours.products)
    assert products[2] <= products[0] + 15


def test_growth_past_every_number_is_not_settled() -> None:
    """A chain of 200: a part of it looks unstable, and so does the whole to anyone who rounds."""
    matrix = torch.from_numpy(-np.eye(200) + np.diag(1.5 * np.ones(199), 1))
    ours = krylov_mean(lambda v: matrix @ v, 1e4, w=torch.ones(200, dtype=torch.float64), max_products=60)
    assert ours.status.outcome is Outcome.NOT_SETTLED


def test_an_unfinished_mean_says_so_and_still_bounds_its_error() -> None:
    F = _drift("symmetric")
    matrix, w = torch.from_numpy(F), torch.from_numpy(np.random.default_rng(5).normal(size=N))
    ours = krylov_mean(lambda v: matrix @ v, 1000.0, w=w, tolerance=1e-10, max_products=20)
    error = float(np.linalg.norm(ours.value.numpy() - _exact_mean(F, np.zeros(N), w.numpy(), 1000.0)))
    assert ours.status.outcome is Outcome.NOT_SETTLED
    assert ours.products == 20
    assert error <= ours.error
    assert "after 20 products" in ours.status.detail


def test_ten_times_fewer_products_than_euler() -> None:
    """t = 50 tau, eigenvalues 0.005 to 50: Euler is stable from 1250 steps on, and then still has the larger error."""
    A = spd_matrix(N, 6, condition=1e4) * 50.0
    matrix, w, t = torch.from_numpy(-A), torch.from_numpy(np.random.default_rng(7).normal(size=N)), 50.0
    ours = krylov_mean(lambda v: matrix @ v, t, w=w, tolerance=1e-6, max_products=N)
    exact = _exact_mean(-A, np.zeros(N), w.numpy(), t)
    steps, x = 1300, np.zeros(N)
    for _ in range(steps):
        x = x + t / steps * (w.numpy() - A @ x)
    assert np.linalg.norm(ours.value.numpy() - exact) < np.linalg.norm(x - exact)
    assert 10 * ours.products <= steps


def test_nothing_moves_where_nothing_pushes() -> None:
    ours = krylov_mean(lambda v: -v, 1.0, w=torch.zeros(5, dtype=torch.float64))
    assert (ours.products, ours.error, ours.value.tolist()) == (0, 0.0, [0.0] * 5)
    exact = krylov_mean(lambda v: -v, 1.0, w=torch.ones(5, dtype=torch.float64))
    assert exact.products == 1
    np.testing.assert_allclose(exact.value.numpy(), -np.expm1(-1.0), rtol=1e-13)


def test_misuse() -> None:
    one = torch.ones(4, dtype=torch.float64)
    with pytest.raises(MisuseError, match="give one of them or both"):
        krylov_mean(lambda v: v, 1.0)
    with pytest.raises(MisuseError, match="give one of them or both"):
        krylov_mean(lambda v: v, 1.0, x0=one, w=one[:2])
    with pytest.raises(MisuseError, match=r"product gave torch\.float64 of shape \(2,\)"):
        krylov_mean(lambda v: v[:2], 1.0, w=one)
    with pytest.raises(MisuseError, match="tolerance = 0"):
        krylov_mean(lambda v: v, 1.0, w=one, tolerance=0.0)
    with pytest.raises(MisuseError, match="max_products = 1"):
        krylov_mean(lambda v: v, 1.0, w=one, max_products=1)
