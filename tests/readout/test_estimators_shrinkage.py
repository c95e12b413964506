"""Shrinkage against scikit-learn's, and what it is good for on correlated samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf, oas

from tngd_hw.linear_sde import LinearSDE, sample_at
from tngd_hw.readout import Shrinkage, shrunk_covariance

ORACLES = {Shrinkage.LEDOIT_WOLF: ledoit_wolf, Shrinkage.OAS: oas}


@pytest.mark.parametrize("kind", ORACLES)
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("shape", [(50, 3), (12, 30), (400, 8)])
def test_against_scikit_learn(kind: Shrinkage, known: bool, shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=shape) @ np.diag(np.linspace(0.5, 2.0, shape[1])) + (0.0 if known else 3.0)
    mean = torch.zeros(shape[1], dtype=torch.float64) if known else None
    found = shrunk_covariance(torch.from_numpy(x), kind, mean=mean)
    value, intensity = ORACLES[kind](x, assume_centered=known)
    np.testing.assert_allclose(found.value, value, rtol=1e-11, atol=1e-12)
    assert float(found.intensity) == pytest.approx(intensity, rel=1e-10)


def test_correlated_samples_need_their_own_intensity() -> None:
    """Eight components at 0.2 tau: the intensity for independent samples is several times too small, its error larger.

    For independent samples both give the same, within the noise of the error bars.
    """
    n, spread = 8, np.linspace(0.8, 1.25, 8)
    F, B = -np.eye(n), np.sqrt(2.0) * np.diag(spread)
    truth = torch.from_numpy(np.diag(spread**2))
    sde, zero = LinearSDE(F, B=B), torch.zeros(n, dtype=torch.float64)
    for spacing, correlated in ((0.2, True), (30.0, False)):
        samples = sample_at(
            sde, spacing * np.arange(300), covariance0=truth, generator=np.random.default_rng(1), n_paths=150
        )
        results = {kind: shrunk_covariance(samples, kind, mean=zero) for kind in Shrinkage}
        error = {kind: float((r.value - truth).square().sum((-2, -1)).mean().sqrt()) for kind, r in results.items()}
        share = {kind: float(r.intensity.nanmean()) for kind, r in results.items()}
        if correlated:
            assert share[Shrinkage.CORRELATED] > 1.5 * share[Shrinkage.LEDOIT_WOLF]
            assert error[Shrinkage.CORRELATED] < 0.8 * error[Shrinkage.LEDOIT_WOLF]
        else:
            assert share[Shrinkage.CORRELATED] == pytest.approx(share[Shrinkage.LEDOIT_WOLF], rel=0.1)


def test_ends_of_the_intensity() -> None:
    """A multiple of the identity stays; the bars shrink with the value."""
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64).repeat(20, 1)
    found = shrunk_covariance(x, Shrinkage.OAS, mean=torch.zeros(2, dtype=torch.float64))
    assert float(found.intensity) == 1.0
    assert torch.equal(found.value, 0.5 * torch.eye(2, dtype=torch.float64))
    assert bool((found.stderr == 0.0).all())
