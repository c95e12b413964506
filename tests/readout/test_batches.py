"""How long a batch is, and what the autoregression of batch means is worth: closed forms, and coverage without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE, sample_at
from tngd_hw.readout import autocorrelation, estimate_covariance, estimate_mean
from tngd_hw.readout.batches import in_batches, joined, times_to_join

Array = NDArray[np.float64]
TURNING = np.array([[0.5, 1.5, 0.0], [-1.0, 0.4, 0.3], [0.2, -0.3, 0.8]])


def paths(A: Array, spacing: float, count: int, replicates: int, seed: int) -> Tensor:
    """Stationary paths of dx = -A x dt + sqrt(2) dW, exact, shape (replicates, count, n)."""
    return sample_at(
        LinearSDE(-A, B=np.sqrt(2.0) * np.eye(len(A))), spacing * np.arange(count),
        covariance0=np.asarray(solve_continuous_lyapunov(A, 2.0 * np.eye(len(A)))),
        generator=np.random.default_rng(seed), n_paths=replicates,
    )  # fmt: skip


def test_batches_are_means_of_the_last_points() -> None:
    series = torch.arange(14.0, dtype=torch.float64).reshape(1, 7, 2)
    assert torch.equal(in_batches(series, 3)[0, :, :, 0], torch.tensor([[2.0, 4.0, 6.0], [8.0, 10.0, 12.0]]).double())
    assert torch.equal(joined(series, 2)[0], torch.tensor([[3.0, 4.0], [7.0, 8.0], [11.0, 12.0]]).double())


@pytest.mark.parametrize(
    ("A", "half"),
    [(np.array([[1.0]]), np.log(2.0)), (np.array([[0.02, 1.5], [-1.5, 0.02]]), np.pi / 4.5)],
)
def test_a_batch_lasts_as_long_as_half_the_correlation(A: Array, half: float) -> None:
    """ln 2 tau of an OU process, pi/(3 w) of one that turns at w: within a factor of 2, the power of 2 below it."""
    means = paths(A, 0.02, 4000, 5, 0)
    times = times_to_join(means, 1.0)[:, 0].double() * 0.02
    assert bool(((times > half / 4.0) & (times < 1.3 * half)).all())
    finer = times_to_join(means, 0.25)[:, 0].double() * 0.02
    torch.testing.assert_close(finer, times / 4.0, rtol=0.0, atol=0.0)


def test_the_lag_of_half_correlation_to_three_per_cent() -> None:
    """A cosine of 60 points a turn is half itself 10 points later: 8 are joined from a share of 0.8 on, 4 below."""
    turns = torch.cos(2.0 * np.pi * torch.arange(24_000, dtype=torch.float64) / 60.0).unsqueeze(-1)
    assert [int(times_to_join(turns, share)) for share in (0.78, 0.82)] == [4, 8]


def test_what_is_not_joined() -> None:
    """White noise, a dead series, and so few points that 40 would not be left."""
    white = torch.from_numpy(np.random.default_rng(1).normal(size=(500, 2)))
    white[:, 1] = 3.0
    assert times_to_join(white, 1.0).tolist() == [1, 1]
    slow = paths(np.array([[1.0]]), 0.01, 159, 3, 2)
    assert times_to_join(slow, 1.0)[:, 0].tolist() == [2, 2, 2]
    assert times_to_join(slow[:, :79], 1.0)[:, 0].tolist() == [1, 1, 1]


def stable(order: int, generator: np.random.Generator) -> Array:
    """phi_1 ... phi_p of x_t = sum_j phi_j x_(t-j) + e_t, by Levinson's recursion from partial correlations."""
    a = np.array([1.0])
    for _ in range(order):
        longer = np.append(a, 0.0)
        a = longer + generator.uniform(-0.6, 0.6) * longer[::-1]
    return -a[1:]


def second_order(phi: Array) -> tuple[float, float]:
    """M times bias and M times variance of 1 - sum(phi), to order 1/M, of least squares with an unknown mean.

    With x_t = F x_(t-1) + e_1 e_t the companion form of unit noise and G its covariance, the fourth moments of a normal
    process give

        bias(phi) = -G^-1 {sum_h [tr(F^h) F^(h-1) + F^(2h-1)] e_1 + 1/(1 - sum(phi))},     Cov(phi) = G^-1.
    """
    p = len(phi)
    F = np.vstack((phi, np.eye(p)[:-1]))
    first = np.eye(p)[:, 0]
    G = solve_discrete_lyapunov(F, np.outer(first, first))
    total, power = np.zeros(p), np.eye(p)
    for _ in range(4000):
        after = F @ power
        total += np.trace(after) * power @ first + after @ power @ first
        power = after
    assert np.abs(power).max() < 1e-12
    total += np.ones(p) / (1.0 - phi.sum())
    return float(np.linalg.solve(G, total).sum()), float(np.linalg.solve(G, np.ones(p)).sum())


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 6])
def test_bias_and_variance_of_the_sum_of_coefficients(order: int) -> None:
    """Against second-order theory; AR(1) as Kendall has it: 1 - phi comes out high by (1 + 3 phi)/M."""
    generator = np.random.default_rng(order)
    for _ in range(5):
        phi = stable(order, generator)
        padded = torch.zeros((1, 9), dtype=torch.float64)
        padded[0, : order + 1] = torch.from_numpy(np.append(1.0, -phi))
        total = autocorrelation._coefficient_sum(padded, 100)  # pyright: ignore[reportPrivateUsage]
        bias, variance = second_order(phi)
        assert float(total.bias) == pytest.approx(bias / 100.0, rel=1e-8)
        assert float(total.variance) == pytest.approx(variance / 100.0, rel=1e-8)
        s = 1.0 - phi.sum()
        right = s * s / (s + bias / 100.0) if bias > 0.0 else s - bias / 100.0
        assert float(total.without_bias()) == pytest.approx(right, rel=1e-12)
        if order == 1:
            assert float(total.bias) == pytest.approx((1.0 + 3.0 * phi[0]) / 100.0, rel=1e-12)


@pytest.mark.parametrize(("spacing", "count"), [(0.1, 200), (0.05, 399), (0.3, 150)])
def test_bars_of_nodes_that_turn(spacing: float, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 to 45 tau, looked at 3 to 20 times a tau: means and covariances at 93 to 97 % within 3 standard errors.

    The mutation: batches that are not joined cover more than 98.5 % of the means where there are 10 points in a tau or
    more, for a quick look at a turning node sees white noise and a relaxation, and not what turns it back.
    """
    samples = paths(TURNING, spacing, count, 2000, 3)
    zero = torch.zeros(3, dtype=torch.float64)
    truth = torch.from_numpy(np.asarray(solve_continuous_lyapunov(TURNING, 2.0 * np.eye(3))))
    margin = 3.0 * (0.95 * 0.05 / 2000) ** 0.5

    def share(interval: tuple[Tensor, Tensor], of: Tensor) -> Tensor:
        return ((interval[0] <= of) & (of <= interval[1])).double().mean(0)

    for found in (
        share(estimate_mean(samples).interval(), zero),
        share(estimate_covariance(samples, mean=zero).interval(), truth),
    ):
        assert bool(((found > 0.93 - margin) & (found < 0.97 + margin)).all()), found
    if spacing < 0.2:
        monkeypatch.setattr(autocorrelation, "_SHARE", 1e-9)
        assert float(share(estimate_mean(samples).interval(), zero).max()) > 0.985


def test_chips_of_different_memory_are_the_same_alone() -> None:
    """A slow and a quick chip get batches of different lengths, in the chips' order, alone and together."""
    slow, quick = paths(TURNING, 0.02, 600, 2, 4), paths(8.0 * TURNING, 0.02, 600, 2, 5)
    samples = torch.stack((slow[0], quick[0], slow[1], quick[1]))
    together = estimate_covariance(samples)
    assert together.law is not None
    assert len(together.law.parts) > 1
    for chip in range(4):
        alone = estimate_covariance(samples[chip])
        torch.testing.assert_close(together.stderr[chip], alone.stderr, rtol=1e-11, atol=0.0)
        for ends, own in zip(together.interval(), alone.interval(), strict=True):
            torch.testing.assert_close(ends[chip], own, rtol=1e-6, atol=0.0)  # found to 1e-6 of a quantile
