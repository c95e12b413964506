"""The error bars of an inverse read from a run: their size in units of A^-1, and the mean that is known to be 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tngd_hw import LinearProblem, MisuseError, Status, Trajectory, inverse, manufacture, presets, program
from tngd_hw.readout import read_inverse

A = np.array([[2.0, -0.5], [-0.5, 1.0]])
KAPPA, CHIPS, T = 1e-3, 300, 1000


def test_size_of_the_error_bars() -> None:
    """White voltages of covariance kappa v0^2 A^-1: Var = (S_ii S_jj + S_ij^2)/T with S = A^-1, within 4 %."""
    die = manufacture("integrator", 2, presets.ideal(), chips=CHIPS)
    loaded = program(die, LinearProblem(A), x_max=2.0, kappa=KAPPA)
    v0 = loaded.scales.voltage_volt
    assert v0 != 1.0
    S = np.linalg.inv(A)
    normal = np.random.default_rng(0).normal(size=(CHIPS, T, 2))
    volt = torch.from_numpy(v0 * np.sqrt(KAPPA) * normal @ np.linalg.cholesky(S).T)

    def run(voltage: torch.Tensor) -> Trajectory:
        times = torch.linspace(0.0, 1.0, T, dtype=torch.float64)
        return Trajectory(times, voltage, ("out0", "out1"), "made", (Status(),) * CHIPS, True, 3, 1.0, "", CHIPS)

    estimate = read_inverse(run(volt), loaded, average_from_s=0.0)
    expected = np.sqrt((np.outer(np.diag(S), np.diag(S)) + S**2) / T)
    np.testing.assert_allclose(estimate.stderr.square().mean(0).sqrt(), expected, rtol=0.04)
    np.testing.assert_allclose(estimate.value.std(0), expected, rtol=4.0 / np.sqrt(2.0 * CHIPS))
    offset = torch.tensor([0.0, 3.0 * v0 * np.sqrt(KAPPA)], dtype=torch.float64)
    moved = read_inverse(run(volt + offset), loaded, average_from_s=0.0)
    np.testing.assert_allclose((moved.value - estimate.value).mean(0)[1, 1], 9.0, rtol=0.02)


def test_a_run_without_noise_has_no_covariance() -> None:
    """The ideal filter runs without noise: zeros are no inverse."""
    with pytest.raises(MisuseError, match=r"engine = 'ideal': this run has no noise, .*use state_space"):
        inverse([[2.0, -0.5], [-0.5, 1.0]], topology="integrator", engine="ideal", duration=1e-4)
