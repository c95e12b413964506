"""Reading through an ADC: when its channels look, what they say, and what that does to covariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch import Tensor

from tngd_hw import (
    LinearProblem,
    MisuseError,
    Outcome,
    Status,
    Trajectory,
    manufacture,
    presets,
    program,
    read,
)
from tngd_hw.engines import find_engine
from tngd_hw.hardware import Adc, Range, Role
from tngd_hw.linear_sde import autocovariance
from tngd_hw.readout import digitised, look_times, read_inverse
from tngd_hw.readout.interpolation import at_times
from tngd_hw.topologies import LoadedChip

A = np.array([[1.0, -0.4], [-0.4, 0.7]])


def built(adc: Adc, *, kappa: float = 0.0, chips: int | None = None, seed: int = 4) -> LoadedChip:
    """gm_c of ideal parts, v0 = 0.5 V, tau = 1 us."""
    hardware = presets.ideal().changed({"adc": adc})
    problem = LinearProblem(A, [0.3, -0.2])
    return program(manufacture("gm_c", 2, hardware, seed=seed, chips=chips), problem, x_max=2.0, kappa=kappa)


def made(volt: Tensor, *, noisy: bool = False, end_s: float = 1.0, chips: int | None = None) -> Trajectory:
    """A made-up run, points first (after the chips)."""
    times = torch.linspace(0, end_s, volt.shape[0 if chips is None else 1], dtype=torch.float64)
    return Trajectory(times, volt, ("out0", "out1"), "made", (Status(),) * (chips or 1), noisy, 3, end_s, "", chips)


def decays(rates: tuple[float, float], points: int = 201) -> Tensor:
    times = torch.linspace(0, 1, points, dtype=torch.float64)
    return torch.stack([torch.exp(-rate * times) for rate in rates], 1)


def skews(loaded: LoadedChip) -> np.ndarray:
    return loaded.chip.deviations["adc"]["skew"][Role.ADC].numpy()[..., 0]


def test_without_effects_the_run_is_read_as_it_is() -> None:
    volt = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 2)))
    found = digitised(made(volt), built(Adc()), seed=0, average_from_s=0.5)
    assert torch.equal(found.volt, volt[25:])
    assert torch.equal(digitised(made(volt), built(Adc()), seed=0, average_from_s=None).volt, volt[-1:])


def test_samples_at_points_are_those_points() -> None:
    """Also of a noisy run, whatever the spacing."""
    times, volt = (
        torch.tensor([0.0, 0.1, 0.1001, 0.7, 1.0]),
        torch.from_numpy(np.random.default_rng(1).normal(size=(5, 2))),
    )
    run = Trajectory(times.double(), volt, ("a", "b"), "made", (Status(),), True, 0, 1.0)
    found = digitised(run, built(Adc()), seed=0, average_from_s=None, times_s=times[[1, 3]].double())
    assert torch.equal(found.volt, volt[[1, 3]])


def test_between_points_a_cubic() -> None:
    """Exact for a cubic on uneven points; better than the allowed 1e-3 on decays, and 1e-6 is not reached."""
    times = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.55, 0.8, 1.0], dtype=torch.float64)
    cubic = 1 - 2 * times + 3 * times**2 - times**3
    wanted = torch.tensor([0.03, 0.12, 0.5, 0.99], dtype=torch.float64)
    found = at_times(times, cubic.reshape(1, -1, 1, 1), wanted.reshape(1, -1, 1, 1), noisy=False)
    np.testing.assert_allclose(found.flatten(), 1 - 2 * wanted + 3 * wanted**2 - wanted**3, rtol=1e-13)
    run, wanted = made(decays((1.0, 20.0))), torch.linspace(0.001, 0.999, 300, dtype=torch.float64)
    volt = digitised(run, built(Adc()), seed=0, average_from_s=None, times_s=wanted).volt
    error = (volt - torch.exp(-wanted[:, None] * torch.tensor([1.0, 20.0]))).abs().max()
    assert 1e-6 < float(error) < 1e-5


def test_points_too_far_apart_are_refused_with_the_spacing_that_would_do() -> None:
    """The error that is feared is above the true one; the spacing offered is accepted."""
    wanted, fine = [0.4321], torch.linspace(0, 1, 401, dtype=torch.float64)
    coarse = torch.stack([torch.cos(20 * fine), torch.exp(-fine)], 1)[::40]
    with pytest.raises(MisuseError, match=r"between points 0.1 s apart would be off by .* V; run with times_s = look"):
        digitised(made(coarse), built(Adc()), seed=0, average_from_s=None, times_s=wanted)
    noise = torch.from_numpy(np.random.default_rng(2).normal(size=(1001, 2)))
    with pytest.raises(MisuseError, match=r"points 0.001 s apart would be off .* or with points \S+e-10 s apart"):
        digitised(made(noise, noisy=True), built(Adc()), seed=0, average_from_s=None, times_s=wanted)
    with pytest.raises(MisuseError, match="4 points are too few to interpolate between"):
        digitised(made(coarse[:4]), built(Adc()), seed=0, average_from_s=None, times_s=wanted)


def test_the_spacing_offered_is_enough() -> None:
    """Of cos(20 t): points 0.1 s apart are refused, and the spacing offered is accepted, twice it is not."""
    wanted = torch.tensor([0.4321], dtype=torch.float64).reshape(1, 1, 1, 1)

    def look(spacing: float) -> float:
        times = torch.arange(0.0, 1.0 + spacing, spacing, dtype=torch.float64)
        return float(at_times(times, torch.cos(20 * times).reshape(1, -1, 1, 1), wanted, noisy=False))

    with pytest.raises(MisuseError) as refusal:
        look(0.1)
    enough = float(str(refusal.value).split("with points ")[1].split()[0])
    assert abs(look(enough) - np.cos(20 * 0.4321)) < 1e-3
    with pytest.raises(MisuseError):
        look(2 * enough)


def test_ringing_that_looks_slow_is_refused() -> None:
    """cos(6 k) is cos(0.28 k): the points are smooth, the circuit says that they are not to be trusted."""
    times = torch.linspace(0, 1, 101, dtype=torch.float64)
    volt, wanted = torch.cos(620 * times).reshape(1, -1, 1, 1), torch.full((1, 1, 1, 1), 0.4321, dtype=torch.float64)
    found = at_times(times, volt, wanted, noisy=False)
    assert abs(float(found) - np.cos(620 * 0.4321)) > 0.1
    with pytest.raises(
        MisuseError, match=r"points 0.01 s apart, of a circuit that rings at 98.7 Hz; .* 0.0025 s apart"
    ):
        at_times(times, volt, wanted, noisy=False, modes=lambda: torch.tensor([-1 + 620j, -1 - 620j]))
    damped = at_times(times, volt, wanted, noisy=False, modes=lambda: torch.tensor([-400 + 620j, -5 + 100j]))
    assert torch.equal(damped, found)


def test_skew_shifts_each_channel_by_its_own_time() -> None:
    """v_i(t + skew_i), a later channel sees a later voltage; before t = 0 the reset holds the start."""
    loaded = built(Adc(skew_s_dtod=0.02), seed=3)
    skew = skews(loaded)
    assert skew.min() < -0.005
    assert skew.max() > 0.005
    run, times = made(decays((2.0, 5.0))), torch.tensor([0.0, 0.3, 0.6], dtype=torch.float64)
    found = digitised(run, loaded, seed=0, average_from_s=None, times_s=times).volt
    looks = np.maximum(times.numpy()[:, None] + skew, 0)
    np.testing.assert_allclose(found, np.exp(-looks * [2.0, 5.0]), rtol=0, atol=1e-6)
    last = digitised(run, loaded, seed=0, average_from_s=None).volt[0]  # 6 standard deviations before the end
    np.testing.assert_allclose(last, np.exp(-(1 - 0.12 + skew) * [2.0, 5.0]), rtol=0, atol=1e-6)


def test_aperture_averages_what_comes_after() -> None:
    """(e^(-r t) - e^(-r (t + a)))/(r a)."""
    run, start, length, rates = made(decays((2.0, 9.0))), 0.25, 0.3, np.array([2.0, 9.0])
    loaded = built(Adc(aperture_s=length))
    found = digitised(run, loaded, seed=0, average_from_s=None, times_s=[start]).volt[0]
    expected = (np.exp(-rates * start) - np.exp(-rates * (start + length))) / (rates * length)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
    last = digitised(run, loaded, seed=0, average_from_s=None).volt[0]  # closes with the run
    np.testing.assert_allclose(last, (np.exp(-rates * 0.7) - np.exp(-rates)) / (rates * length), rtol=0, atol=1e-7)


def test_jitter_is_one_time_for_all_channels() -> None:
    """Both channels of a sample look at the same wrong time, every sample at another; its spread is that asked for."""
    loaded = built(Adc(jitter_s_std=1e-3))
    times = torch.linspace(0.1, 0.9, 1000, dtype=torch.float64)
    volt = digitised(made(decays((1.0, 3.0), 401)), loaded, seed=5, average_from_s=None, times_s=times).volt.numpy()
    late = -np.log(volt) / [1.0, 3.0] - times.numpy()[:, None]
    np.testing.assert_allclose(late[:, 0], late[:, 1], rtol=0, atol=1e-7)
    ratio = float((late[:, 0] ** 2).mean()) / 1e-6
    assert abs(ratio - 1) < 4 * np.sqrt(2 / 1000)
    assert not abs(1.3 * ratio - 1) < 4 * np.sqrt(2 / 1000)


def test_covariance_grows_by_a_twelfth_of_a_step_squared() -> None:
    """200,000 white readings of correlated channels, steps of one deviation, D = 0.25 V; off the diagonal nothing.

    Standard error of the added variance: about D^2/12 sqrt(4/5 + 4 S/(D^2/12))/sqrt(N).
    Without the D^2/12 it is 10 standard errors away.
    """
    count, step = 200_000, 0.25
    root = np.array([[0.25, 0.0], [0.1, 0.3]])
    volt = torch.from_numpy(np.random.default_rng(3).normal(size=(count, 2)) @ root.T)
    loaded = built(Adc(bits=4, range=Range.FIXED, range_volt=2.0))
    found = digitised(made(volt, noisy=True), loaded, seed=0, average_from_s=0.0)
    assert found.statuses[0].ok
    added = np.cov(found.volt.numpy().T) - np.cov(volt.numpy().T)
    tolerance = 4 * step**2 / 12 * np.sqrt((0.8 + 4 * np.array([0.0625, 0.1]) / (step**2 / 12)) / count)
    assert (np.abs(np.diag(added) - step**2 / 12) < tolerance).all()
    assert not (np.abs(np.diag(added)) < tolerance).any()
    assert abs(added[0, 1]) < tolerance.max()


def lagged(loaded: LoadedChip, lag_s: float) -> np.ndarray:
    """kappa e^(-A d/tau) A^-1, symmetric A."""
    return loaded.kappa * expm(-A * abs(lag_s) / loaded.tau) @ np.linalg.inv(A)


COUNT = 6000


def covariance_of_readings(loaded: LoadedChip) -> np.ndarray:
    """From readings 4 time constants of the slowest mode apart, of a run that has points where they look."""
    slowest = loaded.tau / np.linalg.eigvalsh(A)[0]
    times = 10 * slowest + 4 * slowest * torch.arange(COUNT, dtype=torch.float64)
    looks = look_times(loaded, times, seed=9)
    runner = find_engine("behavioral")
    end = float(looks[-1])
    _, run = runner.run(runner.init(loaded), duration=end, b=[0.0, 0.0], seed=2, times_s=looks)
    estimate = read_inverse(run, loaded, seed=9, times_s=times)
    return loaded.kappa * estimate.value.numpy()


def tolerance(covariance: np.ndarray) -> np.ndarray:
    """Four standard errors of entries of a covariance by independent samples."""
    d = np.diag(covariance)
    return 4 * np.sqrt((np.outer(d, d) + covariance**2) / COUNT)


def test_skew_turns_covariance_into_that_at_a_lag() -> None:
    """C_ij(skew_i - skew_j) of the closed form and of linear_sde; far from that at equal times; diagonal unchanged."""
    loaded = built(Adc(skew_s_dtod=6e-7), kappa=0.02)
    first, second = skews(loaded)
    lag = second - first
    assert abs(lag) > 0.4e-6
    same = 0.02 * np.linalg.inv(A)
    expected = same.copy()
    expected[0, 1] = expected[1, 0] = lagged(loaded, lag)[0, 1]
    theirs = autocovariance(loaded.linear_sde(), [abs(lag)])[0][0].numpy() / loaded.scales.voltage_volt**2
    np.testing.assert_allclose(theirs, lagged(loaded, lag), rtol=1e-9)
    found = covariance_of_readings(loaded)
    assert (np.abs(found - expected) < tolerance(same)).all()
    assert abs(found[0, 1] - same[0, 1]) > tolerance(same)[0, 1], "a skew that does nothing would pass"


def test_jitter_leaves_covariance_at_equal_times_alone() -> None:
    """The same size of time error as the skew above, on all channels together."""
    loaded = built(Adc(jitter_s_std=6e-7), kappa=0.02)
    same = 0.02 * np.linalg.inv(A)
    assert (np.abs(covariance_of_readings(loaded) - same) < tolerance(same)).all()


def test_noise_of_the_readings_and_its_error_bar() -> None:
    """Of a run without noise the ADC's own is all there is: stderr = s/v0/sqrt(T); pulls have unit variance."""
    loaded = built(Adc(noise_volt_std=1e-3), chips=2000)
    volt = torch.full((2000, 30, 2), 0.1, dtype=torch.float64)
    estimate = read(made(volt, chips=2000), loaded, seed=6, average_from_s=0.0)
    np.testing.assert_allclose(estimate.stderr, 1e-3 / 0.5 / np.sqrt(30), rtol=1e-12)
    pulls = (estimate.value.numpy() - 0.2) / estimate.stderr.numpy()
    assert abs(pulls.var() - 1) < 4 * np.sqrt(2 / 4000)
    assert not abs(1.05**2 * pulls.var() - 1) < 4 * np.sqrt(2 / 4000)
    single = read(made(volt, chips=2000), loaded, seed=6)
    np.testing.assert_allclose(single.stderr, 2e-3, rtol=1e-12)
    noisy = read(made(volt, chips=2000, noisy=True), loaded, seed=6)
    assert noisy.stderr.isnan().all()


FULL = Adc(
    bits=10, gain_dtod=0.01, offset_volt_dtod=1e-3, inl_lsb_dtod=1.0, noise_volt_std=1e-3, aperture_s=1e-7,
    skew_s_dtod=3e-8, jitter_s_std=2e-8,
)  # fmt: skip


@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_a_die_alone_is_the_die_in_a_batch(shape: tuple[int, ...]) -> None:
    """As many chips as nodes, and as samples; a right-hand side alone is the same too."""
    loaded, runner = built(FULL, chips=2), find_engine("behavioral")
    b = np.random.default_rng(2).normal(size=shape)
    times = np.array([2e-6, 3e-6])
    _, together = runner.run(runner.init(loaded), duration=4e-6, b=b)
    value = read(together, loaded, seed=5, times_s=times).value
    assert float(value.std(0).max()) > 1e-4
    for k in range(2):
        die = loaded.select(k)
        _, alone = runner.run(runner.init(die), duration=4e-6, b=b)
        np.testing.assert_allclose(value[k], read(alone, die, seed=5, times_s=times).value, rtol=0, atol=1e-12)
    if len(shape) == 2:
        _, first = runner.run(runner.init(loaded), duration=4e-6, b=b[:, 0])
        one = read(first, loaded, seed=5, times_s=times).value
        np.testing.assert_allclose(value[..., 0], one, rtol=0, atol=1e-12)


def test_exact_times_and_interpolation_agree() -> None:
    """Of a run without noise; all looks of a batch with columns are among the times asked for."""
    loaded, runner = built(FULL, chips=2), find_engine("state_space")
    b, times = np.ones((2, 3)), np.array([1e-6, 2e-6, 3e-6])
    looks = look_times(loaded, times, seed=5, columns=3)
    assert len(looks) == 5 * 2 * 3 * 2 * 3
    assert bool((looks.diff() > 0).all())
    runs = [runner.run(runner.init(loaded), duration=4e-6, b=b, times_s=given)[1] for given in (looks, None)]
    exact, between = (digitised(run, loaded, seed=5, average_from_s=None, times_s=times).volt for run in runs)
    steps = (exact - between).abs() / (exact.abs().amax() / 511)
    assert float((steps > 0.01).double().mean()) < 0.05  # a value at the edge of a step may go either way


def test_no_draw_moves_another() -> None:
    """Noise with and without jitter, skew with and without gain; another seed is another reading."""
    run, times = made(torch.full((50, 2), 0.1, dtype=torch.float64)), [0.2, 0.5]

    def volt(adc: Adc, seed: int = 7) -> Tensor:
        return digitised(run, built(adc), seed=seed, average_from_s=None, times_s=times).volt

    noise = volt(Adc(noise_volt_std=1e-3))
    np.testing.assert_allclose(volt(Adc(noise_volt_std=1e-3, jitter_s_std=1e-3, skew_s_dtod=1e-3)), noise, rtol=1e-14)
    assert not torch.equal(volt(Adc(noise_volt_std=1e-3), seed=8), noise)
    assert torch.equal(volt(Adc(noise_volt_std=1e-3)), noise)
    skew = [skews(built(adc)) for adc in (Adc(skew_s_dtod=1e-9), FULL.changed({"skew_s_dtod": 1e-9}))]
    np.testing.assert_array_equal(skew[0], skew[1])


def test_clipping_is_said() -> None:
    volt = torch.tensor([[[0.1, 0.1], [0.1, 0.1]], [[0.1, -0.9], [0.1, 0.2]]], dtype=torch.float64)
    loaded = built(Adc(range=Range.FIXED, range_volt=0.5), chips=2)
    estimate = read(made(volt, chips=2), loaded, average_from_s=0.0)
    assert [status.outcome for status in estimate.statuses] == [Outcome.OK, Outcome.SATURATED]
    assert "the ADC clipped 0.25 of its readings to its range of 0.5 V" in str(estimate.statuses[1])
    np.testing.assert_allclose(estimate.value, [[0.2, 0.2], [0.2, -0.3]], rtol=1e-14)


@pytest.mark.parametrize(
    ("adc", "given", "says"),
    [
        (Adc(sample_rate_hz=4.0), {"average_from_s": 0.0}, r"sample_rate_hz = 4: the samples are 0.02 s .* 0.25 s"),
        (Adc(sample_rate_hz=4.0), {"times_s": [0.0, 0.24]}, r"samples are 0.24 s apart; give times_s at least 0.25 s"),
        (Adc(aperture_s=0.1), {"times_s": [0.0, 0.09]}, r"adc.aperture_s = 0.1: the samples are 0.09 s apart"),
        (Adc(), {"times_s": [0.0, 0.5], "average_from_s": 0.0}, "average_from_s and times_s: give one of them"),
        (Adc(), {"times_s": [0.5, 0.5]}, "times_s: expected a non-empty list of ascending times"),
        (Adc(), {"times_s": []}, "times_s: expected a non-empty list"),
        (Adc(), {"times_s": [1.1]}, r"looks at 1.1 s, .* points from 0 to 1 s; run longer, or read at another time"),
        (Adc(aperture_s=0.1), {"times_s": [0.95]}, r"looks at 1.02\d* s, skew, jitter and aperture included"),
        (Adc(aperture_s=0.5), {"average_from_s": 0.7}, "average_from_s = 0.7: no reading fits between it and the end"),
        (Adc(bits=8), {"average_from_s": 1.5}, r"average_from_s = 1.5: the run lasts from 0 to 1.0 s"),
    ],
)  # fmt: skip
def test_misuse(adc: Adc, given: dict[str, object], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        read(made(decays((1.0, 2.0), 51)), built(adc), **given)  # pyright: ignore[reportArgumentType] - the point


def test_slow_enough_samples_are_taken() -> None:
    found = read(made(decays((1.0, 2.0), 51)), built(Adc(sample_rate_hz=4.0)), times_s=[0.0, 0.25, 0.5])
    expected = np.exp(-np.outer([0.0, 0.25, 0.5], [1.0, 2.0])).mean(0) / 0.5
    np.testing.assert_allclose(found.value, expected, rtol=1e-6)


def test_inverse_needs_a_time() -> None:
    with pytest.raises(MisuseError, match="average_from_s: give the time from which to average, or times_s"):
        read_inverse(made(decays((1.0, 2.0))), built(Adc(), kappa=0.01))
