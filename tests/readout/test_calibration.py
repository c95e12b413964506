"""Calibration: what known vectors and noisy paths find, and how much of the error it takes away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

import tngd_hw as tngd
from tngd_hw import LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.readout import Calibration, Correction, Quantity, calibrate, fit_path, measure, settling_time
from tngd_hw.topologies import LoadedChip

ENGINE = find_engine("behavioral")
A3 = np.array([[2.0, 0.5, -0.3], [-0.4, 1.0, 0.2], [0.1, -0.6, 1.5]])


def eight(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(8, 16)) / 4
    return W @ W.T + 0.2 * np.eye(8) + 0.1 * rng.normal(size=(8, 8)), rng.normal(size=8)


def board(seed: int, **options: float) -> tuple[LoadedChip, np.ndarray]:
    """pcb_1k_1n with resistors of 1 %, programmed."""
    A, b = eight(1)
    hardware = presets.pcb_1k_1n().with_value("resistors.tolerance_dtod", 0.01)
    for path, value in options.items():
        hardware = hardware.with_value(path.replace("__", "."), value)
    return program(manufacture("integrator", 8, hardware, seed=seed), LinearProblem(A, b), seed=seed), A


def answers(loaded: LoadedChip, seed: int) -> Iterator[tuple[tngd.Estimate, np.ndarray]]:
    """Answers to right-hand sides that no calibration has seen, and the true ones."""
    rng, state = np.random.default_rng(seed), ENGINE.init(loaded)
    end = torch.tensor([settling_time(loaded, 1e-9)], dtype=torch.float64)
    for k in range(4):
        b = rng.normal(size=loaded.n)
        b /= np.linalg.norm(b)
        found = measure(state, ENGINE, end, b=torch.from_numpy(b), seed=k)
        yield found, np.linalg.solve(loaded.problem.formed_matrix().numpy(), b)


def error(estimate: tngd.Estimate, truth: np.ndarray) -> float:
    return float(np.linalg.norm(estimate.value.numpy() - truth) / np.linalg.norm(truth))


def test_error_before_and_after_on_a_board_of_one_percent() -> None:
    """Before: 2 to 6 % (condition 20).  Offsets and gains take a part of it, the matrix all: 1e-6, the settling."""
    found: dict[Correction | None, list[float]] = {None: [], **{way: [] for way in Correction}}
    for seed in range(4):
        loaded, _ = board(seed)
        calibration = calibrate(loaded, ENGINE)
        assert calibration.status.ok
        assert calibration.runs == 17
        for answer, truth in answers(loaded, 100 + seed):
            found[None].append(error(answer, truth))
            for way in Correction:
                found[way].append(error(calibration.correct(answer, way), truth))
    before, offset, gain, matrix = (
        np.mean(found[way]) for way in (None, Correction.OFFSET, Correction.GAIN, Correction.MATRIX)
    )
    assert 0.02 < before < 0.06
    assert gain < offset < before
    assert gain < 0.6 * before
    assert matrix < 3e-6


def test_a_calibration_of_another_programming_does_not_help() -> None:
    """Write errors of 1 % are drawn at every programming; the same die written again is another matrix."""
    loaded, A = board(0, programming__error_std=0.01)
    again = program(loaded.chip, LinearProblem(A, loaded.problem.b), seed=99)
    stale, fresh = calibrate(loaded, ENGINE), calibrate(again, ENGINE)
    for answer, truth in answers(again, 3):
        assert error(fresh.correct(answer), truth) < 3e-6
        assert error(stale.correct(answer), truth) > 5e-3


def test_parameters_of_a_chip_made_by_hand() -> None:
    """Offsets of the amplifiers and the array's own conductances, read off the circuit: A_eff = diag(g/g_in) G/g0."""
    loaded, _ = board(5, amplifiers__open_loop_gain=1e12, amplifiers__gain_bandwidth_hz=1e14)
    found = calibrate(loaded, ENGINE, repeats=2)
    sde = loaded.linear_sde()
    inputs = torch.eye(9, dtype=torch.float64)
    gain = loaded.scales.input_gain * loaded.scales.voltage_volt
    inputs[:8] *= gain
    F, E, C = (matrix.numpy() for matrix in (sde.F, sde.E, sde.C))
    settled = -C @ np.linalg.solve(F, E @ inputs.numpy()) / loaded.scales.voltage_volt
    np.testing.assert_allclose(found.inverse, settled[:, :8], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.offset, settled[:, 8], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found.matrix @ found.inverse, np.eye(8), atol=1e-10)
    assert found.runs == 33


def test_gain_of_one_node() -> None:
    """M = diag(g) A^-1 has exactly these gains."""
    A, g = torch.from_numpy(A3), torch.tensor([1.02, 0.97, 1.0], dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    M = g[:, None] * torch.from_numpy(np.linalg.inv(A3))
    known = Calibration(A, M, torch.zeros_like(M), zero, zero, tngd.Status(), 7, 1.0)
    np.testing.assert_allclose(known.gain, g, rtol=1e-12)


def test_noise_gives_error_bars_of_the_right_size() -> None:
    """Against the same chip without noise the 12 parameters of 10 runs have z of rms 1.

    Those of one run share their noise by columns, 4 of them: 40 numbers give the rms to 0.11.
    """
    hardware = presets.pcb_1k_1n()
    chip = manufacture("integrator", 3, hardware, seed=4)
    problem = LinearProblem(A3, np.ones(3))
    loaded = program(chip, problem, kappa=1e-4, x_max=3.0)
    quiet = calibrate(program(chip, problem, x_max=3.0), ENGINE)
    runs = [calibrate(loaded, ENGINE, seed=seed) for seed in range(10)]
    z = torch.cat([torch.cat([(noisy.inverse - quiet.inverse) / noisy.inverse_stderr,
                              ((noisy.offset - quiet.offset) / noisy.offset_stderr)[:, None]], -1)
                   for noisy in runs])  # fmt: skip
    assert float(z.abs().max()) < 4.5
    assert 0.7 < float(z.square().mean().sqrt()) < 1.4
    assert float((runs[0].inverse_stderr / runs[0].inverse.abs().max()).max()) < 0.01
    assert bool((quiet.inverse_stderr == 0).all())
    mutated = (1.05 * runs[0].inverse - quiet.inverse) / runs[0].inverse_stderr
    assert float(mutated.abs().max()) > 4


def test_error_bar_of_a_corrected_answer() -> None:
    """The bars of answer and calibration: over 24 components the z of the corrected answers is about 1."""
    chip = manufacture("integrator", 3, presets.pcb_1k_1n().with_value("resistors.tolerance_dtod", 0.02), seed=4)
    loaded = program(chip, LinearProblem(A3, np.ones(3)), kappa=1e-4, x_max=3.0)
    calibration, state = calibrate(loaded, ENGINE, seed=1), ENGINE.init(loaded)
    samples = torch.linspace(1e-4, 3e-4, 801, dtype=torch.float64)
    z: list[torch.Tensor] = []
    for k, b in enumerate(np.random.default_rng(7).normal(size=(8, 3))):
        fixed = calibration.correct(measure(state, ENGINE, samples, b=torch.from_numpy(b), seed=k))
        z.append((fixed.value - torch.from_numpy(np.asarray(np.linalg.solve(A3, b), dtype=np.float64))) / fixed.stderr)
        assert fixed.degrees is None  # those of one reading are not those of the sum
    assert 0.5 < float(torch.cat(z).square().mean().sqrt()) < 1.5


@pytest.fixture(scope="module")
def path() -> tuple[LoadedChip, tngd.Trajectory]:
    """4,000 readings, 0.3 tau apart, of a board with resistors of 10 %."""
    hardware = presets.ideal().with_value("resistors.tolerance_dtod", 0.1)
    loaded = program(manufacture("integrator", 3, hardware, seed=6), LinearProblem(A3), kappa=1e-3)
    times = 0.3 * loaded.tau * np.arange(4001)
    _, run = ENGINE.run(ENGINE.init(loaded), duration=float(times[-1]), times_s=times, seed=5)
    return loaded, run


def test_likelihood_of_a_path_finds_the_matrix(path: tuple[LoadedChip, tngd.Trajectory]) -> None:
    """The array's own conductances are the truth; the nominal matrix is refused by the same error bars."""
    loaded, run = path
    fit = fit_path(loaded, run, from_s=20 * loaded.tau)
    assert fit.status.ok
    truth = -loaded.linear_sde().F * loaded.tau
    z = (fit.matrix - truth) / fit.matrix_stderr
    assert float(z.abs().max()) < 4
    assert float(((fit.matrix - torch.from_numpy(A3)) / fit.matrix_stderr).abs().max()) > 2.5
    assert float(((1.2 * fit.matrix - truth) / fit.matrix_stderr).abs().max()) > 4  # the bars are 5 %
    np.testing.assert_allclose(fit.noise, 1e-3, rtol=0.12)  # 2.7 % each
    assert float((fit.drive / fit.drive_stderr).abs().max()) < 4
    calibration = fit.calibration()
    inverse = torch.from_numpy(np.linalg.inv(truth.numpy()))
    assert float(((calibration.inverse - inverse) / calibration.inverse_stderr).abs().max()) < 4


def test_path_fit_against_regression(path: tuple[LoadedChip, tngd.Trajectory]) -> None:
    """Least squares of x(t + h) on x(t) and 1, and a matrix logarithm: another road to nearly the same maximum."""
    import scipy.linalg

    loaded, run = path
    fit = fit_path(loaded, run)
    x = loaded.unknowns(run.voltage_volt).numpy()
    design = np.concatenate([x[:-1], np.ones((len(x) - 1, 1))], 1)
    Phi = np.linalg.lstsq(design, x[1:], rcond=None)[0][:3].T
    by_logarithm = -scipy.linalg.logm(Phi) / 0.3
    distance = np.abs(fit.matrix.numpy() - by_logarithm) / fit.matrix_stderr.numpy()
    assert distance.max() < 0.5


def test_through_a_converter_of_twelve_bits() -> None:
    """What is left is its step: 5 % before, 4e-4 after, four times less with two bits more."""
    left: list[float] = []
    for bits in (12, 14):
        loaded, _ = board(0, adc__bits=bits)
        calibration = calibrate(loaded, ENGINE, repeats=4)
        found = [(error(x, truth), error(calibration.correct(x), truth)) for x, truth in answers(loaded, 100)]
        before, after = np.mean(found, 0)
        assert before > 0.03
        left.append(float(after))
    assert left[0] < 6e-4
    assert left[0] / left[1] == pytest.approx(4.0, rel=0.4)


def test_misuse_and_failures(path: tuple[LoadedChip, tngd.Trajectory]) -> None:
    loaded, run = path
    with pytest.raises(MisuseError, match="size = 0"):
        calibrate(loaded, ENGINE, size=0)
    with pytest.raises(MisuseError, match="repeats = 0"):
        calibrate(loaded, ENGINE, repeats=0)
    batch = program(manufacture("integrator", 3, presets.ideal(), chips=2), LinearProblem(A3))
    with pytest.raises(MisuseError, match="chips = 2"):
        calibrate(batch, ENGINE)
    spd = np.array([[2.0, -1.0], [-1.0, 2.0]])
    with pytest.raises(MisuseError, match="rlc_spu"):
        calibrate(program(manufacture("rlc_spu", 2, presets.ideal()), LinearProblem(spd)), ENGINE)
    unstable = program(manufacture("integrator", 3, presets.ideal()), LinearProblem(-A3))
    assert calibrate(unstable, ENGINE).status.outcome is Outcome.UNSTABLE
    with pytest.raises(MisuseError, match="no noise"):
        fit_path(loaded, replace(run, noisy=False))
    with pytest.raises(MisuseError, match="points from"):
        fit_path(loaded, run, from_s=float(run.times_s[-5]))
    fit = calibrate(program(manufacture("integrator", 3, presets.ideal()), LinearProblem(A3)), ENGINE)
    other = tngd.solve(np.eye(2), np.ones(2))
    with pytest.raises(MisuseError, match="2 components"):
        fit.correct(other)
    with pytest.raises(MisuseError, match="a solution"):
        fit.correct(replace(other, quantity=Quantity.INVERSE))


def test_figure() -> None:
    loaded, _ = board(0)
    axes = calibrate(loaded, ENGINE).plot()
    assert axes.get_ylabel() == "deviation [%]"
    assert len(axes.get_legend().get_texts()) == 2  # pyright: ignore[reportOptionalMemberAccess] - a legend is there
