"""Reading voltages: scale, error bars with their coverage, failed runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tngd_hw import LinearProblem, MisuseError, Outcome, Status, Trajectory, manufacture, presets, program, read
from tngd_hw.topologies import LoadedChip

T = 2000


def chip() -> LoadedChip:
    """v0 = 0.5 V."""
    return program(manufacture("integrator", 2, presets.ideal()), LinearProblem(np.eye(2), [1.0, 2.0]), x_max=2.0)


def run(voltage: torch.Tensor, *, noisy: bool, chips: int | None = None, status: Status | None = None) -> Trajectory:
    """A made-up run of 1 s."""
    points = voltage.shape[0 if chips is None else 1]
    times = torch.linspace(0, 1, points, dtype=torch.float64) if points else torch.zeros(0, dtype=torch.float64)
    return Trajectory(
        times, voltage, ("out0", "out1"), "made", (status or Status(),) * (chips or 1), noisy, 3, 1.0, "", chips
    )


def white(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_last_point_over_v0() -> None:
    assert chip().scales.voltage_volt == 0.5
    estimate = read(run(torch.tensor([[0.0, 0.0], [0.1, -0.3]], dtype=torch.float64), noisy=False), chip())
    assert estimate.value.tolist() == [0.2, -0.6]
    assert estimate.stderr.tolist() == [0.0, 0.0]
    assert (estimate.seed, estimate.engine, estimate.hardware_hash) == (3, "made", presets.ideal().hash)
    assert (estimate.tau_s, estimate.duration_s) == (chip().tau, 1.0)


def test_single_noisy_reading_has_no_error_bar() -> None:
    estimate = read(run(white(0, 10, 2), noisy=True), chip())
    assert estimate.stderr.isnan().all()
    assert estimate.to_dict()["stderr"] == [None, None]


def test_average_and_where_it_starts() -> None:
    voltage = torch.stack([torch.linspace(0, 1, 101, dtype=torch.float64), torch.ones(101, dtype=torch.float64)], 1)
    estimate = read(run(voltage, noisy=False), chip(), average_from_s=0.5)
    np.testing.assert_allclose(estimate.value, [1.5, 2.0], rtol=1e-12)  # the mean of 0.5 ... 1 V over 0.5 V
    assert estimate.stderr.tolist() == [0.0, 0.0]


def test_too_few_points_have_no_error_bar() -> None:
    assert read(run(white(0, 39, 2), noisy=True), chip(), average_from_s=0.0).stderr.isnan().all()
    assert not read(run(white(0, 40, 2), noisy=True), chip(), average_from_s=0.0).stderr.isnan().any()


def ratios(voltage: torch.Tensor) -> np.ndarray:
    """Errors over their error bars for 500 runs at a time; the true mean is 0."""
    estimate = read(run(voltage, noisy=True, chips=len(voltage)), chip(), average_from_s=0.0)
    return (estimate.value / estimate.stderr).numpy().ravel()


def test_coverage_on_white_noise() -> None:
    """1,000 estimates, nearly normal: 68 % within 1 error bar, 95 % within 2.

    The standard errors of these shares are 1.5 % and 0.75 %; within 4 of them.  Error bars 15 % too small would show.
    """
    ratio = ratios(white(1, 500, T, 2))
    for bars, share in ((1.0, 0.683), (2.0, 0.954)):
        assert abs((np.abs(ratio) < bars).mean() - share) < 4 * np.sqrt(share * (1 - share) / 1000)
    assert not abs((np.abs(ratio) < 0.85).mean() - 0.683) < 4 * 0.015


def test_size_of_the_error_bar() -> None:
    """sigma/sqrt(T)/v0; the mean of 1,000 of them is within 0.5 %, and 5 % is not."""
    estimate = read(run(white(2, 500, T, 2), noisy=True, chips=500), chip(), average_from_s=0.0)
    root_mean_square = float(estimate.stderr.square().mean().sqrt())
    expected = 1 / np.sqrt(T) / 0.5
    tolerance = 4 * np.sqrt(1 / (2 * 19 * 1000))  # 2 %: as if every bar had 19 degrees of freedom, it has more
    assert abs(root_mean_square / expected - 1) < tolerance
    assert not abs(1.05 * root_mean_square / expected - 1) < tolerance


def test_coverage_where_neighbours_are_alike() -> None:
    """Correlated over 10 points: still 60 to 72 % within one error bar; naive bars would give 18 %."""
    noise = white(3, 500, T + 200, 2).numpy()
    for k in range(1, noise.shape[1]):
        noise[:, k] = 0.9 * noise[:, k - 1] + noise[:, k]
    ratio = ratios(torch.from_numpy(noise[:, 200:]))
    assert 0.60 < (np.abs(ratio) < 1).mean() < 0.72


def test_interval_of_few_effective_samples() -> None:
    """About 12: 93 to 97 % of 4,000 intervals of 95 % cover the truth; -+ 1.96 standard errors fewer than 92 %."""
    noise = white(4, 2000, 430, 2).numpy()
    for k in range(1, noise.shape[1]):
        noise[:, k] = 0.9 * noise[:, k - 1] + noise[:, k]
    loaded = chip()
    estimate = read(run(torch.from_numpy(noise[:, 200:]), noisy=True, chips=2000), loaded, average_from_s=0.0)
    low, high = estimate.interval()
    assert 0.93 < float(((low < 0.0) & (high > 0.0)).double().mean()) < 0.97
    assert float((estimate.value.abs() < 1.96 * estimate.stderr).double().mean()) < 0.92


def test_a_run_without_noise_is_known_to_the_adc() -> None:
    spec = presets.ideal().with_value("adc.noise_volt_std", 1e-4)
    loaded = program(manufacture("integrator", 2, spec), LinearProblem(np.eye(2), [1.0, 2.0]), x_max=2.0)
    estimate = read(run(torch.zeros(4, 2, dtype=torch.float64), noisy=False), loaded, average_from_s=0.0)
    low, high = estimate.interval()
    np.testing.assert_allclose(high - low, 2.0 * 1.959964 * 0.5e-4 / 0.5, rtol=1e-6)
    assert read(run(white(0, 10, 2), noisy=True), chip()).interval()[0].isnan().all()


def test_columns_and_batches_keep_their_shape() -> None:
    problem = LinearProblem(np.eye(2), [1.0, 2.0])
    for chips, shape in ((None, (50, 2, 3)), (4, (4, 50, 2, 3)), (1, (1, 50, 2)), (4, (4, 50, 2))):
        loaded = program(manufacture("integrator", 2, presets.ideal(), chips=chips), problem)
        value = read(run(white(0, *shape), noisy=True, chips=chips), loaded, average_from_s=0.2)
        assert value.value.shape == value.stderr.shape == tuple(s for s in shape if s != 50)
        assert value.chips == chips


def test_failed_run_is_nan_with_its_status() -> None:
    status = Status(Outcome.SIMULATOR_FAILED, "ngspice was killed by signal 9")
    for chips, shape in ((None, (2,)), (1, (1, 2)), (3, (3, 2))):
        loaded = program(
            manufacture("integrator", 2, presets.ideal(), chips=chips), LinearProblem(np.eye(2), [1.0, 2.0])
        )
        batch = () if chips is None else (chips,)
        estimate = read(
            run(torch.zeros(*batch, 0, 2), noisy=False, chips=chips, status=status), loaded, average_from_s=0.1
        )
        assert estimate.value.shape == estimate.stderr.shape == shape
        assert estimate.value.isnan().all()
        assert estimate.status == status
        assert estimate.to_dict()["outcome"] == "simulator_failed"


@pytest.mark.parametrize("start", [-0.1, 1.5, float("nan")])
def test_average_starts_within_the_run(start: float) -> None:
    with pytest.raises(MisuseError, match=r"average_from_s = .*from 0 to 1.0 s"):
        read(run(white(0, 50, 2), noisy=True), chip(), average_from_s=start)


def test_bad_seed() -> None:
    with pytest.raises(MisuseError, match="seed = -1"):
        read(run(white(0, 50, 2), noisy=True), chip(), seed=-1)
