"""solve, inv, logdet, lyapunov, expm on chips against scipy; statistics with a mutation of 5 % that must fail."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

import tngd_hw as tngd
from tngd_hw import MisuseError, Outcome, presets

A = np.array([[2.0, 0.5, -0.3], [-0.4, 1.0, 0.2], [0.1, -0.6, 1.5]])
"""Neither symmetric nor normal."""

ROTATING = A - 1.2 * np.eye(3)
"""Not stable: its symmetric part has an eigenvalue of -0.27."""

M_MATRIX = np.array([[2.0, -0.5, -0.3], [-0.5, 1.0, -0.2], [-0.3, -0.2, 1.5]])
"""What every topology can hold."""

Q = np.array([[1.0, 0.3, 0.0], [0.3, 2.0, -0.4], [0.0, -0.4, 0.5]])
FILTERS = ("passive_rc", "gm_c", "integrator", "three_array")
BEYOND = 4.5
"""Standard errors: 9 entries miss by chance once in 16,000 times."""


def farthest(estimate: tngd.Estimate, truth: np.ndarray) -> float:
    """The largest |error| in standard errors."""
    return float(np.abs((estimate.value.numpy() - truth) / estimate.stderr.numpy()).max())


def test_solve_and_inv_are_those_of_the_package() -> None:
    assert tngd.linalg.solve is tngd.solve
    assert tngd.linalg.inv is tngd.inverse
    np.testing.assert_allclose(
        tngd.linalg.inv(A, topology="integrator").value, np.linalg.inv(A), rtol=0, atol=3e-6
    )  # settled to 1e-6


@pytest.mark.parametrize("right", [Q, np.diag([1.0, 0.0, 3.0])], ids=["general", "diagonal, a node without noise"])
@pytest.mark.parametrize("engine", ["state_space", "behavioral"])
def test_lyapunov_of_the_law(right: np.ndarray, engine: str) -> None:
    """The transposed equation has another answer: A S + S A^T and not A^T S + S A."""
    found = tngd.linalg.lyapunov(A, right, engine=engine)
    truth = scipy.linalg.solve_continuous_lyapunov(A, 2 * right)
    np.testing.assert_allclose(found.value, truth, rtol=1e-10, atol=1e-12)
    transposed = scipy.linalg.solve_continuous_lyapunov(A.T, 2 * right)
    assert np.abs(found.value.numpy() - transposed).max() > 0.05
    assert found.quantity is tngd.readout.Quantity.COVARIANCE


@pytest.mark.parametrize("topology", FILTERS)
def test_lyapunov_on_every_filter(topology: str) -> None:
    densities = np.diag([1.0, 0.2, 3.0])
    found = tngd.linalg.lyapunov(M_MATRIX, densities, topology=topology)
    truth = scipy.linalg.solve_continuous_lyapunov(M_MATRIX, 2 * densities)
    np.testing.assert_allclose(found.value, truth, rtol=1e-9)


def test_lyapunov_of_a_run() -> None:
    found = tngd.linalg.lyapunov(A, Q, duration=0.06, engine="behavioral", seed=3)
    truth = scipy.linalg.solve_continuous_lyapunov(A, 2 * Q)
    assert float((found.stderr / found.value.abs())[0, 0]) == pytest.approx(0.0142 / 2**0.5, rel=0.3), (
        "100 seeds: 1.42 % at half the time"
    )
    assert farthest(found, truth) < BEYOND
    assert farthest(found, 1.05 * truth) > BEYOND


@pytest.mark.parametrize("X", [A, ROTATING, -ROTATING, M_MATRIX], ids=["stable", "rotating", "growing", "symmetric"])
def test_expm_of_the_law(X: np.ndarray) -> None:
    found = tngd.linalg.expm(X)
    np.testing.assert_allclose(found.value, scipy.linalg.expm(-X), rtol=1e-9, atol=1e-12)
    assert found.status.ok


@pytest.mark.parametrize("topology", FILTERS)
def test_expm_on_every_filter(topology: str) -> None:
    found = tngd.linalg.expm(M_MATRIX, topology=topology, engine="behavioral")
    np.testing.assert_allclose(found.value, scipy.linalg.expm(-M_MATRIX), rtol=1e-9)


def test_expm_of_a_run() -> None:
    found = tngd.linalg.expm(ROTATING, duration=0.12, engine="behavioral", seed=1)
    truth = scipy.linalg.expm(-ROTATING)
    assert farthest(found, truth) < BEYOND
    assert farthest(found, 1.05 * truth) > BEYOND
    assert farthest(found, truth.T) > BEYOND


def test_error_of_expm_falls_with_the_square_root_of_the_time() -> None:
    """Over 16 times the time: 4, of the error bars' mean squares over twelve runs each."""
    squares = [
        sum(tngd.linalg.expm(A, duration=T, engine="behavioral", seed=seed).stderr.square() for seed in range(12))
        for T in (0.004, 0.064)
    ]
    assert float((squares[0] / squares[1]).sqrt().mean()) == pytest.approx(4.0, rel=0.15)


@pytest.mark.ngspice
def test_expm_by_ngspice() -> None:
    """600 readings of a simulated circuit: error bars of 0.06, so the transpose, 0.25 off, would be seen."""
    rotating = np.array([[1.0, 1.5], [-1.5, 1.0]])
    found = tngd.linalg.expm(rotating, engine="ngspice", duration=6e-4, seed=1)
    assert found.status.ok
    assert float(found.stderr.max()) < 0.06
    assert farthest(found, scipy.linalg.expm(-rotating)) < BEYOND
    assert farthest(found, scipy.linalg.expm(-rotating).T) > BEYOND


def test_expm_of_a_real_chip_is_near() -> None:
    found = tngd.linalg.expm(A, hardware="pcb_1k_1n", engine="behavioral", seed=2)
    error = np.abs(found.value.numpy() - scipy.linalg.expm(-A)).max()
    assert 1e-5 < error < 0.02


@pytest.mark.parametrize(
    ("matrix", "topology"),
    [(A, "integrator"), (A, "gm_c"), *((M_MATRIX, name) for name in (*FILTERS, "rlc_spu"))],
)
def test_logdet_of_the_law(matrix: np.ndarray, topology: str) -> None:
    found = tngd.linalg.logdet(matrix, topology=topology, engine="behavioral")
    assert float(found.value) == pytest.approx(np.linalg.slogdet(matrix)[1], abs=1e-6)


def test_logdet_by_a_circuit_that_only_solves() -> None:
    hardware = presets.pcb_1k_1n().only()
    found = tngd.linalg.logdet(A, topology="amc_inverse", hardware=hardware, engine="behavioral")
    assert float(found.value) == pytest.approx(np.linalg.slogdet(A)[1], abs=1e-4)


def test_logdet_of_runs() -> None:
    """5 % of the determinant is 0.05 of its logarithm."""
    found = tngd.linalg.logdet(M_MATRIX, duration=0.01, engine="behavioral", seed=2)
    truth = np.array(np.linalg.slogdet(M_MATRIX)[1])
    assert float(found.stderr) < 0.008
    assert farthest(found, truth) < BEYOND
    assert farthest(found, truth + np.log(1.05)) > BEYOND


def test_logdet_of_a_steep_path_says_so() -> None:
    """Condition 100: the rule of 8 points is 0.0075 off and refuses itself, that of 32 is right to rounding."""
    steep = np.diag([1.0, 0.01, 0.3, 0.1])
    coarse = tngd.linalg.logdet(steep, points=8, topology="integrator", engine="behavioral")
    assert coarse.outcome is Outcome.CHECK_FAILED
    assert "raise points to 16" in str(coarse.status)
    fine = tngd.linalg.logdet(steep, points=32, topology="integrator", engine="behavioral")
    assert fine.status.ok
    assert float(fine.value) == pytest.approx(np.log(3e-4), abs=1e-7)


def test_same_seed_same_answer() -> None:
    one, same, other = (tngd.linalg.expm(A, duration=1e-3, engine="behavioral", seed=s).value for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_failures_are_outcomes() -> None:
    assert tngd.linalg.lyapunov(M_MATRIX, Q, topology="passive_rc").outcome is Outcome.NOT_REALIZABLE
    assert tngd.linalg.lyapunov(-A, Q).outcome is Outcome.UNSTABLE
    assert tngd.linalg.logdet(-M_MATRIX, topology="integrator").outcome is Outcome.UNSTABLE
    assert tngd.linalg.logdet(A, topology="rlc_spu").outcome is Outcome.NOT_REALIZABLE
    skewed = np.array([[1.0, -2.0], [-2.0, 5.0]])  # an M-matrix that is not dominant: held as D A D
    assert "D A D" in str(tngd.linalg.lyapunov(skewed, np.eye(2), topology="passive_rc").status)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tngd.linalg.expm(A, topology="rlc_spu"), "use passive_rc, gm_c, integrator, three_array"),
        (lambda: tngd.linalg.lyapunov(A, Q, topology="amc_inverse"), "use passive_rc, gm_c, integrator"),
        (lambda: tngd.linalg.expm(ROTATING, alpha=0.1), "give a number above 0.2703"),
        (lambda: tngd.linalg.lyapunov(A, np.eye(2)), "Q has shape"),
        (lambda: tngd.linalg.lyapunov(A, A), "Q is symmetric"),
        (lambda: tngd.linalg.lyapunov(A, -np.eye(3)), "0 or more for a diagonal Q"),
        (lambda: tngd.linalg.lyapunov(A, np.ones((3, 3))), "above 0 for a Q"),
        (lambda: tngd.linalg.lyapunov(A, np.zeros((3, 3))), "Q is zero"),
        (lambda: tngd.linalg.logdet(M_MATRIX, points=5), "points = 5"),
        (lambda: tngd.linalg.expm(A, seed=-1), "seed = -1"),
        (lambda: tngd.linalg.expm(A, engine="ideal", duration=1e-3), "its runs have no noise"),
        (lambda: tngd.linalg.expm(A, engine="ngspice"), "pass a duration"),
    ],
)
def test_misuse(call: object, words: str) -> None:
    assert callable(call)
    with pytest.raises(MisuseError, match=words):
        call()
