"""Ensembles of stochastically rounded programmings: the table of digits a bit, the floor, what stays, what fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tngd_hw as tngd
from tngd_hw import HardwareSpec, LinearProblem, MisuseError, Outcome, manufacture, presets
from tngd_hw.engines import find_engine
from tngd_hw.readout import Mitigation, mitigate

ENGINE = find_engine("behavioral")
N = 8


def wishart(seed: int = 0) -> np.ndarray:
    G = np.random.default_rng(seed).normal(size=(N, 4 * N))
    return G @ G.T / (4 * N)


A = wishart()
EXACT = torch.from_numpy(np.linalg.inv(A))


def rounded(bits: int, *, stochastic: bool = True) -> HardwareSpec:
    return (
        presets.ideal().with_value("programming.bits", bits).with_value("programming.stochastic_rounding", stochastic)
    )


def distance(value: torch.Tensor, truth: torch.Tensor) -> float:
    """Relative, in the Frobenius norm."""
    return float((value - truth).square().sum().sqrt() / truth.square().sum().sqrt())


def ensemble(bits: int, members: int = 2000, seed: int = 1) -> Mitigation:
    chip = manufacture("integrator", N, rounded(bits))
    return mitigate(chip, LinearProblem(A, np.eye(N)), ENGINE, members=members, seed=seed)


@pytest.fixture(scope="module")
def table() -> dict[int, tuple[float, float, float]]:
    """Bits of magnitude (the sign has its own rail) -> errors of nearest, of one stochastic, of a mean of 2,000."""
    rows: dict[int, tuple[float, float, float]] = {}
    for bits in (4, 5, 6, 7):
        nearest = tngd.solve(A, np.eye(N), hardware=rounded(bits, stochastic=False), engine="behavioral")
        rows[bits] = (distance(nearest.value, EXACT), *ensemble(bits).errors(EXACT))
    return rows


def test_one_programming_gains_two_a_bit_and_the_ensemble_four(table: dict[int, tuple[float, float, float]]) -> None:
    """Sizes as those of a d = 8 Wishart matrix at one bit more, the sign: 0.196, 0.098, 0.045, 0.023 and 0.045 ...."""
    single, mean = (np.array([row[k] for row in table.values()]) for k in (1, 2))
    assert (single[:-1] / single[1:]).mean() == pytest.approx(2.0, rel=0.1)
    assert (mean[:2] / mean[1:3]).mean() == pytest.approx(4.0, rel=0.25)  # at 7 bits the floor of 2,000 begins
    np.testing.assert_allclose(single, [0.196, 0.0978, 0.0452, 0.0229], rtol=0.35)
    assert (mean < 0.2 * single).all()
    nearest = np.array([row[0] for row in table.values()])
    assert (nearest < 1.5 * single).all()
    assert (nearest > 0.3 * single).all()


def test_error_of_the_mean_is_the_second_order_term() -> None:
    """E[dA A^-1 dA] of independent entries with Var = f (1 - f) step^2, by hand."""
    bits = 5
    found = ensemble(bits, members=4000, seed=3)
    step = np.abs(A).max() / (2**bits - 1)
    share = np.abs(A) / step % 1
    variance = share * (1 - share) * step**2
    inverse = EXACT.numpy()
    second = variance * inverse.T  # (dA inv dA)_il = sum_jk dA_ij inv_jk dA_kl: only (k, l) = (i, j) is left
    bias = inverse @ second @ inverse
    z = (found.estimate.value.numpy() - inverse - bias) / found.estimate.stderr.numpy()
    assert np.sqrt((z**2).mean()) < 1.6
    without = (found.estimate.value.numpy() - inverse) / found.estimate.stderr.numpy()
    assert np.sqrt((without**2).mean()) > 2.0


def test_floor_falls_with_the_size_of_the_ensemble() -> None:
    """At 9 bits the scatter is all there is: 16 times the members, a quarter of the error; its bar says so."""
    few = [ensemble(9, members=32, seed=seed) for seed in range(6)]
    many = [ensemble(9, members=512, seed=seed) for seed in range(6)]
    sizes = [np.sqrt(np.mean([m.errors(EXACT)[1] ** 2 for m in some])) for some in (few, many)]
    assert sizes[0] / sizes[1] == pytest.approx(4.0, rel=0.25)
    degrees = few[0].estimate.degrees
    assert degrees is not None
    assert bool((degrees == 31.0).all())
    bars = np.sqrt(np.mean([float(m.estimate.stderr.square().sum() / EXACT.square().sum()) for m in many]))
    assert sizes[1] == pytest.approx(bars, rel=0.25)


def test_fixed_mismatch_is_not_removed() -> None:
    """The mean goes to the answer of the die at infinite resolution, 1 % off, and not to the true one."""
    hardware = rounded(8).with_value("resistors.tolerance_dtod", 0.01)
    die = manufacture("integrator", N, hardware, seed=4)
    problem = LinearProblem(A, np.eye(N))
    found = mitigate(die, problem, ENGINE, members=1000, seed=2)
    unrounded = presets.ideal().with_value("resistors.tolerance_dtod", 0.01)
    own = tngd.solve(A, np.eye(N), hardware=unrounded, engine="behavioral", seed=4).value
    to_truth = found.errors(EXACT)[1]
    to_own = distance(found.estimate.value, own)
    assert to_truth > 0.01
    assert to_own < 0.1 * to_truth


def test_too_few_bits_are_an_outcome() -> None:
    found = ensemble(2, members=300)
    assert 30 < found.failed < 200
    assert found.estimate.outcome in (Outcome.UNSTABLE, Outcome.SINGULAR)
    assert f"{found.failed} of 300 programmings" in str(found.estimate.status)
    assert bool(torch.isfinite(found.estimate.value).all())
    assert int(found.members.flatten(1).isnan().any(1).sum()) == found.failed


def test_all_failed() -> None:
    chip = manufacture("integrator", N, rounded(6))
    found = mitigate(chip, LinearProblem(-A, np.eye(N)), ENGINE, members=4)
    assert found.failed == 4
    assert found.estimate.outcome is Outcome.UNSTABLE
    assert bool(found.estimate.value.isnan().all())


def test_inverse_from_the_noise_of_capacitors() -> None:
    """rlc_spu: a capacitor bank of 5 bits, rounded with an even chance, inverted by the law of its noise."""
    M = np.array([[2.0, -0.52, -0.31], [-0.52, 1.1, -0.23], [-0.31, -0.23, 1.5]])
    chip = manufacture("rlc_spu", 3, rounded(5))
    found = mitigate(chip, LinearProblem(M), ENGINE, members=400, seed=1)
    single, mean = found.errors(torch.from_numpy(np.linalg.inv(M)))
    assert found.estimate.status.ok
    assert mean < 0.2 * single


def test_same_seed_same_members_in_any_ensemble() -> None:
    """But for the time that the slowest member of each needs to settle to 1e-6."""
    few, many = ensemble(5, members=3), ensemble(5, members=9)
    np.testing.assert_allclose(few.members, many.members[:3], rtol=0, atol=3e-6 * float(EXACT.abs().max()))
    assert float((few.members[0] - few.members[1]).abs().max()) > 0.01
    again = ensemble(5, members=3)
    assert torch.equal(again.members, few.members)
    assert not torch.equal(ensemble(5, members=3, seed=2).members, few.members)


def test_misuse() -> None:
    chip = manufacture("integrator", N, rounded(5))
    with pytest.raises(MisuseError, match="members = 1"):
        mitigate(chip, LinearProblem(A, np.eye(N)), ENGINE, members=1)
    with pytest.raises(MisuseError, match="with b"):
        mitigate(chip, LinearProblem(A), ENGINE)
    with pytest.raises(MisuseError, match="chips = 2"):
        mitigate(manufacture("integrator", N, rounded(5), chips=2), LinearProblem(A, np.eye(N)), ENGINE)


def test_figure() -> None:
    axes = ensemble(5, members=50).plot(EXACT)
    assert axes.get_ylabel() == "relative error [1]"
    assert len(axes.get_lines()) == 2
