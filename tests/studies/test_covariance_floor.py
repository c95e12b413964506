"""Floors of a measured covariance: where the noise comes from decides whether the resistors show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tngd_hw.studies.covariance_floor import covariance_floors, floor_table, spu_matrix, write_floors

SAMPLES = (100, 1000, 10_000, 100_000, 1_000_000)


def by_hand(tolerance: float, boards: int, seed: int) -> float:
    """Floor of boards with injected noise, dv = C^-1 (-v/R - i) dt + noise, L di = v dt, by Lyapunov on (v, i).

    In units of R = c0 = 1: the board's 1 kOhm, 1 nF (largest A_ii) and 10 uH +- 5 %.  With R all alike L drops out of
    the law; with mismatch it does not, since fast tanks let the cells share their noise.
    """
    from scipy.linalg import solve_continuous_lyapunov

    A, draws = spu_matrix().numpy(), np.random.default_rng(seed)
    A = A / A.diagonal().max()
    exact, floors = np.linalg.inv(A), []
    for _ in range(boards):
        loss = 1 / (1 + tolerance * draws.standard_normal(8))
        inverse = np.linalg.inv(A)
        L = 0.01 * (1 + 0.05 * draws.standard_normal(8))
        F = np.block([[-inverse * loss, -inverse], [np.diag(1 / L), np.zeros((8, 8))]])
        noise = np.vstack([inverse, np.zeros((8, 8))]) * np.sqrt(2)
        S = solve_continuous_lyapunov(F, -noise @ noise.T)[:8, :8]
        floors.append(np.linalg.norm(S - exact) / np.linalg.norm(exact))
    return float(np.sqrt(np.mean(np.square(floors))))


@pytest.mark.parametrize("tolerance", [0.01, 0.05])
def test_floor_of_injected_noise(tolerance: float) -> None:
    """About 0.6 % and 2.8 %; the same law by hand with other dice, to the standard error of 200 boards (about 2 %)."""
    curve = covariance_floors(tolerances=(tolerance,), samples=SAMPLES, chips=200)[0]
    assert curve.bath == "generator"
    assert curve.floor == pytest.approx({0.01: 0.006, 0.05: 0.028}[tolerance], rel=0.15)
    assert curve.floor == pytest.approx(by_hand(tolerance, 200, 5), rel=0.12)
    assert curve.fit.floor_resolved
    assert abs(curve.fit.floor - curve.floor) < 4 * curve.fit.floor_stderr


def test_resistors_that_are_their_own_bath_leave_no_floor() -> None:
    for curve in covariance_floors(samples=SAMPLES, chips=50)[2:]:
        assert curve.bath == "resistor"
        assert curve.floor < 1e-9
        assert curve.fit.floor_upper < 2e-3


def test_the_slope_is_minus_one_half_and_c_is_that_of_isserlis() -> None:
    """c = ((tr Sigma)^2 + |Sigma|^2)/|Sigma|^2 for a known mean."""
    sigma = torch.linalg.inv(spu_matrix()).numpy()
    expected = (np.trace(sigma) ** 2 + np.linalg.norm(sigma) ** 2) / np.linalg.norm(sigma) ** 2
    curve = covariance_floors(tolerances=(0.01,), samples=SAMPLES, chips=200)[1]
    assert curve.fit.c == pytest.approx(expected, rel=0.05)


def test_what_is_written(tmp_path: Path) -> None:
    curves = covariance_floors(tolerances=(0.05,), samples=(100, 1000, 10_000), chips=20)
    write_floors(curves, tmp_path)
    document = json.loads((tmp_path / "summary.json").read_text())
    assert [curve["bath"] for curve in document["curves"]] == ["generator", "resistor"]
    assert (tmp_path / "figure.svg").stat().st_size > 1000
    assert (tmp_path / "table.txt").read_text().strip() == floor_table(curves)


def test_the_same_seed_gives_the_same_numbers() -> None:
    one, two = (covariance_floors(tolerances=(0.05,), samples=(100, 1000), chips=5, seed=3) for _ in range(2))
    assert [c.error for c in one] == [c.error for c in two]
