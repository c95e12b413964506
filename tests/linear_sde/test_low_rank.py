"""Low-rank systems against the same systems written out as dense matrices."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import quad_vec
from scipy.linalg import expm

from tngd_hw.linear_sde import LowRankSDE, low_rank_covariance_action, low_rank_mean, low_rank_sample
from tngd_hw.outcome import MisuseError

Array = npt.NDArray[np.float64]
N, R = 30, 4


def _factors(kind: str) -> tuple[Array, Array | None]:
    rng = np.random.default_rng(0)
    U = rng.normal(size=(N, R)) @ np.diag([1.0, 0.5, 0.2, 0.01])
    if kind == "symmetric":
        return U, None
    if kind == "dependent":
        U[:, 3] = U[:, 0] + 1e-9 * U[:, 1]
        return U, None
    if kind == "empty_column":
        U[:, 3] = 0.0
        return U, None
    if kind == "mismatched":
        return U, U * (1.0 + 0.05 * rng.normal(size=U.shape))
    return U, 0.3 * rng.normal(size=U.shape) + U


KINDS = ["symmetric", "dependent", "empty_column", "mismatched", "far_from_symmetric"]


def _dense_covariance(F: Array, D: Array, t: float) -> Array:
    rate = np.abs(np.linalg.eigvals(F)).max()
    points = np.concatenate(([0.0], np.geomspace(min(1e-2 / rate, t / 2), t, 30)))
    return sum(
        quad_vec(lambda s: expm(F * s) @ D @ expm(F * s).T, a, b, epsabs=1e-14, epsrel=1e-13)[0]
        for a, b in pairwise(points)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.1, 0.0, -0.05])
def test_means_are_those_of_the_dense_system(kind: str, rate: float) -> None:
    U, V = _factors(kind)
    rng = np.random.default_rng(1)
    x0, w, times = rng.normal(size=N), rng.normal(size=N), [0.0, 1e-9, 0.3, 5.0, 60.0]
    F = -(rate * np.eye(N) + U @ (U if V is None else V).T)
    ours = low_rank_mean(LowRankSDE(rate, U, V), times, x0=x0, w=w).numpy()
    for i, t in enumerate(times):
        block = np.zeros((N + 1, N + 1))
        block[:N, :N], block[:N, N] = F, w
        expected = expm(block * t)[:N] @ np.concatenate((x0, [1.0]))
        assert np.linalg.norm(ours[i] - expected) < 1e-12 * np.linalg.norm(expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t", [1e-3, 2.0, 40.0])
def test_the_covariance_acts_as_the_dense_one(kind: str, t: float) -> None:
    U, V = _factors(kind)
    rng = np.random.default_rng(2)
    z, extra, rate, c = rng.normal(size=(N, 3)), rng.normal(size=(N, 2)), 0.1, 0.7
    F = -(rate * np.eye(N) + U @ (U if V is None else V).T)
    dense = _dense_covariance(F, c * np.eye(N) + extra @ extra.T, t)
    system = LowRankSDE(rate, U, V, noise=c, extra_noise=extra)
    ours = low_rank_covariance_action(system, t, z).numpy()
    assert np.linalg.norm(ours - dense @ z) < 1e-11 * np.linalg.norm(dense @ z)
    one = low_rank_covariance_action(system, t, z[:, 0]).numpy()
    np.testing.assert_allclose(one, ours[:, 0], rtol=1e-11)


class _Scripted(np.random.Generator):
    """Hands out given numbers in place of normal variates: reads the linear map from variates to samples."""

    def __init__(self, numbers: Array) -> None:
        super().__init__(np.random.PCG64(0))
        self._left = numbers

    def standard_normal(self, size: tuple[int, ...]) -> Array:  # type: ignore[override] - a fixed draw
        count = int(np.prod(size))
        taken, self._left = self._left[:count], self._left[count:]
        return taken.reshape(size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extra", [False, True])
def test_the_sampler_is_a_square_root_of_the_covariance(kind: str, *, extra: bool) -> None:
    """A sample is linear in its normal variates, so its law is known without statistics: R R^T from unit vectors.

    A 5 % change of the noise is then an error of 0.05, ten orders of magnitude above the tolerance.
    """
    U, V = _factors(kind)
    added = np.random.default_rng(2).normal(size=(N, 2)) if extra else None
    system = LowRankSDE(0.1, U, V, noise=0.7, extra_noise=added)
    count = N + (R + 2 if extra else 0)
    root = np.stack([low_rank_sample(system, 3.0, generator=_Scripted(row)).numpy() for row in np.eye(count)], axis=1)
    dense = low_rank_covariance_action(system, 3.0, np.eye(N)).numpy()
    assert np.linalg.norm(root @ root.T - dense) < 1e-12 * np.linalg.norm(dense)
    louder = low_rank_covariance_action(
        LowRankSDE(0.1, U, V, noise=0.7 * 1.05, extra_noise=added), 3.0, np.eye(N)
    ).numpy()
    assert np.linalg.norm(root @ root.T - louder) > 1e-3 * np.linalg.norm(dense)


def test_a_sample_adds_the_mean_and_repeats() -> None:
    U, V = _factors("mismatched")
    x0, w = np.arange(float(N)), np.ones(N)
    system = LowRankSDE(0.1, U, V, noise=0.5)
    options = {"x0": x0, "w": w}
    once = low_rank_sample(system, 2.0, generator=np.random.default_rng(1), **options).numpy()
    again = low_rank_sample(system, 2.0, generator=np.random.default_rng(1), **options).numpy()
    np.testing.assert_array_equal(once, again)
    still = low_rank_sample(system, 2.0, generator=np.random.default_rng(1)).numpy()
    np.testing.assert_allclose(once - still, low_rank_mean(system, [2.0], **options)[0].numpy(), rtol=1e-11, atol=1e-12)


def test_tall_factors_stay_factors() -> None:
    """200,000 states in a moment: nothing of size N x N is formed."""
    rng = np.random.default_rng(0)
    U = rng.normal(size=(200_000, 8)) / 400.0
    system = LowRankSDE(0.1, U, noise=1.0)
    drawn = low_rank_sample(system, 50.0, w=U[:, 0], generator=rng)
    assert drawn.shape == (200_000,)
    level = 5.0 * (1.0 - np.exp(-10.0))
    assert float(drawn.var()) == pytest.approx(level, rel=5.0 * np.sqrt(2.0 / 200_000))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda U: LowRankSDE(0.1, U[:, 0]), "U has shape (30,): it has to be (N, columns)"),
        (lambda U: LowRankSDE(0.1, U, U[:, :2]), "V has shape (30, 2) and U (30, 4)"),
        (lambda U: LowRankSDE(0.1, U, U[:5]), "V has shape (5, 4): it has to be (30, columns)"),
        (lambda U: LowRankSDE(0.1, U, noise=-1.0), "noise = -1.0"),
        (lambda U: LowRankSDE(np.nan, U), "rate = nan"),
        (lambda U: low_rank_mean(LowRankSDE(0.1, U), [1.0], x0=[1.0]), "x0 has shape (1,): it has to be (30,)"),
        (lambda U: low_rank_covariance_action(LowRankSDE(0.1, U), 0.0, U), "t = 0.0"),
        (lambda U: low_rank_covariance_action(LowRankSDE(0.1, U), 1.0, U[:3]), "vectors has shape (3, 4)"),
    ],
)
def test_misuse(call: object, message: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(message)):
        call(_factors("symmetric")[0])
