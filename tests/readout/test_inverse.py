"""A^-1 from a covariance where that is the law, column by column where it is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tngd_hw as tngd
from tngd_hw import LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.readout import Quantity, read_inverse, stationary_inverse

SYMMETRIC = np.array([[2.0, -0.5, 0.25], [-0.5, 1.0, 0.125], [0.25, 0.125, 1.5]])
SKEWED = np.array([[2.0, -0.5, 0.0], [0.25, 1.0, 0.125], [0.75, -0.375, 1.5]])


@pytest.mark.parametrize("topology", ["integrator", "gm_c", "passive_rc", "three_array"])
def test_covariance_of_a_symmetric_matrix(topology: str) -> None:
    estimate = tngd.inverse(SYMMETRIC, topology=topology)
    assert (estimate.quantity, estimate.outcome) == (Quantity.INVERSE, Outcome.OK)
    np.testing.assert_allclose(estimate.value, np.linalg.inv(SYMMETRIC), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("topology", "hardware"), [("gm_c", "ideal"), ("integrator", "ideal"), ("amc_inverse", "pcb_1k_1n")]
)
def test_columns_where_the_covariance_is_another_matrix(topology: str, hardware: str) -> None:
    """Of a matrix that is not symmetric the covariance solves A S + S A^T = 2 kappa, which is not kappa A^-1."""
    estimate = tngd.inverse(SKEWED, topology=topology, hardware=hardware)
    error = np.abs(estimate.value.numpy() - np.linalg.inv(SKEWED)).max()
    assert error < (1e-5 if hardware == "ideal" else 2e-2)
    if topology != "amc_inverse":
        noisy = program(manufacture(topology, 3, presets.ideal()), LinearProblem(SKEWED), kappa=1e-3)
        law = stationary_inverse(noisy, noisy.linear_sde(), "behavioral").value
        assert np.abs(law.numpy() - np.linalg.inv(SKEWED)).max() > 0.05


def test_reading_a_run_needs_noise_and_one_drive() -> None:
    quiet = program(manufacture("integrator", 3, presets.ideal()), LinearProblem(SYMMETRIC))
    engine = tngd.engines.find_engine("behavioral")
    _, run = engine.run(engine.init(quiet), duration=quiet.tau)
    with pytest.raises(MisuseError, match="kappa = 0"):
        read_inverse(run, quiet, average_from_s=0.0)
    noisy = program(manufacture("integrator", 3, presets.ideal()), LinearProblem(SYMMETRIC), kappa=1e-3)
    _, run = engine.run(engine.init(noisy), duration=noisy.tau, b=np.zeros((3, 2)))
    with pytest.raises(MisuseError, match="one right-hand side"):
        read_inverse(run, noisy, average_from_s=0.0)
    _, run = engine.run(engine.init(noisy), duration=noisy.tau)
    with pytest.raises(MisuseError, match="average_from_s = 1"):
        read_inverse(run, noisy, average_from_s=1.0)


def test_few_points_have_no_error_bar() -> None:
    noisy = program(manufacture("integrator", 3, presets.ideal()), LinearProblem(SYMMETRIC), kappa=1e-3)
    engine = tngd.engines.find_engine("behavioral")
    _, run = engine.run(engine.init(noisy), duration=noisy.tau, times_s=np.linspace(0, noisy.tau, 19))
    assert bool(read_inverse(run, noisy, average_from_s=0.0).stderr.isnan().all())


def test_same_seed_same_bits() -> None:
    first, again = (
        tngd.inverse(SYMMETRIC, topology="integrator", duration=1e-3, samples=500, seed=4) for _ in range(2)
    )
    assert torch.equal(first.value, again.value)
    other = tngd.inverse(SYMMETRIC, topology="integrator", duration=1e-3, samples=500, seed=5)
    assert not torch.equal(first.value, other.value)
