"""What cannot be meant is refused by name, in every public function: batches, generators, counts, operators."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tngd_hw.linear_sde import (
    LinearSDE,
    LowRankSDE,
    append_output_integrals,
    autocovariance,
    bounded_path,
    covariance_at,
    frequency_response,
    krylov_mean,
    krylov_noise,
    low_rank_sample,
    output_log_density,
    path_log_density,
    sample_averages,
    state_sample_at,
    step_noise,
    time_average,
)
from tngd_hw.outcome import MisuseError

ONE = LinearSDE([[-1.0, 0.5], [0.0, -2.0]], [[1.0], [0.0]], np.eye(2))
THREE = LinearSDE(-np.stack([np.eye(2)] * 3), [[1.0], [0.0]], np.eye(2))
RNG = np.random.default_rng(0)
FOUR_STARTS = np.stack([np.eye(2)] * 4)
W = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LinearSDE(np.zeros((0, 2, 2))), "the batch dimensions are (0,)"),
        (lambda: covariance_at(THREE, 1.0, covariance0=FOUR_STARTS), "(system (3,), covariance0 (4,))"),
        (lambda: state_sample_at(THREE, [1.0], covariance0=FOUR_STARTS, generator=RNG), "(system (3,), covariance0"),
        (lambda: state_sample_at(ONE, [1.0], covariance0=FOUR_STARTS, generator=RNG), "covariance0 has the batch"),
        (lambda: sample_averages(ONE, [0.0, 1.0], covariance0=FOUR_STARTS, generator=RNG), "covariance0 has the batch"),
        (lambda: path_log_density(THREE, [0.0, 1.0], np.zeros((4, 2, 2))), "(system (3,), states (4,))"),
        (lambda: path_log_density(ONE, [0.0, 1.0], np.zeros((2, 2)), u=np.ones((1, 3))), "u has columns"),
        (lambda: output_log_density(THREE, [1.0], np.zeros((4, 1, 2))), "system (3,), outputs (4,)"),
        (
            lambda: output_log_density(ONE, [1.0], [[0.0, 0.0]], measurement_covariance=[[1.0, 0.5], [0.0, 1.0]]),
            "measurement_covariance is not symmetric",
        ),
        (
            lambda: output_log_density(ONE, [1.0], [[0.0, 0.0]], measurement_covariance=-np.eye(2)),
            "measurement_covariance has the eigenvalue -1",
        ),
        (lambda: bounded_path(THREE, [0.0, 1.0], x0=np.zeros((4, 2))), "(system (3,), x0 (4,))"),
        (lambda: bounded_path(ONE, [0.0, 1.0], limit="a"), "limit = 'a'"),
        (lambda: step_noise(ONE, 1.0, torch.zeros(3, 5)), "normals has shape (3, 5): it has to be (..., steps, 2)"),
        (lambda: append_output_integrals(ONE, per_second=0.0), "per_second = 0.0"),
        (lambda: autocovariance(ONE, [-1.0]), "lags[0] = -1.0"),
        (lambda: sample_averages(ONE, [1.0, 0.5], generator=RNG), "edges[1] = 0.5 after edges[0] = 1.0"),
        (lambda: time_average(ONE, 1.0, delay=-1.0), "delay = -1.0"),
        (lambda: covariance_at(ONE, -1.0), "t = -1.0"),
        (lambda: state_sample_at(ONE, [1.0], generator=torch.Generator()), "generator ="),
        (lambda: state_sample_at(ONE, [1.0], generator=RNG, n_paths=2.5), "n_paths = 2.5"),
        (lambda: low_rank_sample(LowRankSDE(1.0, np.ones((3, 1))), 1.0, generator=5), "generator = 5"),
        (lambda: LowRankSDE(1.0, np.zeros((5, 0))), "U has shape (5, 0)"),
        (lambda: LowRankSDE([1.0, 2.0], np.ones((5, 1))), "rate has shape (2,)"),
        (lambda: krylov_mean(lambda v: v * np.nan, 1.0, w=W), "product gave nan"),
        (lambda: krylov_mean(lambda v: -v, 1.0, w=W[:0]), "vectors of one length N"),
        (lambda: krylov_mean(lambda v: -v, 1.0, w=W, max_products=10.5), "max_products = 10.5"),
        (lambda: krylov_noise(lambda v: -v, 1.0, size=2, noise=np.nan, generator=RNG), "noise = nan"),
        (lambda: krylov_noise(lambda v: -v, 1.0, size=2, noise=1.0, generator=5), "generator = 5"),
    ],
)
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("count", [1, 9])
def test_a_frequency_at_an_eigenvalue_has_no_response(count: int) -> None:
    """An undamped loop at 1 Hz: NaN there and nowhere else, whether few or many frequencies are asked for."""
    sde = LinearSDE([[0.0, -2.0 * np.pi], [2.0 * np.pi, 0.0]], np.eye(2))
    f = np.linspace(1.0, 3.0, count)
    response = frequency_response(sde, f).numpy()
    assert not np.isfinite(response[0]).all()
    assert np.isfinite(response[1:]).all()


def test_layout_and_precision_of_the_input_do_not_matter() -> None:
    """Transposed views, float32 and integers give the bits of their float64 copies; nothing is written to."""
    F = torch.tensor([[-3.0, 0.25], [0.5, -4.0]], dtype=torch.float64)
    kept = F.clone()
    wanted = covariance_at(LinearSDE(F, B=np.eye(2)), 1.0)
    assert torch.equal(covariance_at(LinearSDE(F.mT.contiguous().mT, B=torch.eye(2)), 1.0), wanted)
    assert torch.equal(covariance_at(LinearSDE(F.float(), B=[[1, 0], [0, 1]]), 1.0), wanted)
    assert torch.equal(F, kept)
