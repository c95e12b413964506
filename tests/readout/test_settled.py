"""Settled answers of a batch: by hand for every chip, as LinearSDE gives them, and one bad chip spoils no other."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import scipy.linalg
import torch
from cases import nonnormal_matrices, spd_matrix

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.hardware import Role
from tngd_hw.linear_sde import LinearSDE, stationary_output_covariance, stationary_output_mean
from tngd_hw.linear_sde.settled import settled_law, stable_members
from tngd_hw.outcome import Outcome
from tngd_hw.readout import settled
from tngd_hw.topologies import LoadedChip

POSITIVE = np.array([[1.0, 0.2, 0.1], [0.05, 0.8, 0.3], [0.15, 0.1, 0.6]])
b = np.array([1.0, -0.5, 0.25])
LOOSE = HardwareSpec.from_dict(
    {"name": "loose", "resistors": {"tolerance_dtod": 0.05}, "capacitors": {"tolerance_dtod": 0.1}}
)


def load(
    topology: str = "integrator", hardware: HardwareSpec = LOOSE, chips: int | None = 5, kappa: float = 1e-3
) -> LoadedChip:
    return program(manufacture(topology, 3, hardware, seed=3, chips=chips), LinearProblem(POSITIVE, b), kappa=kappa)


def near_singular(chips: int | None = 20, kappa: float = 0.0) -> LoadedChip:
    """Smallest eigenvalue 1e-3 and transconductors of 5 %: about half of the dies run away."""
    A = [[1.0, 0.999], [0.999, 1.0]]
    spec = HardwareSpec.from_dict({"name": "g", "transconductors": {"tolerance_dtod": 0.05}})
    return program(
        manufacture("gm_c", 2, spec, seed=0, chips=chips), LinearProblem(A, [1.0, 0.0]), x_max=1.0, kappa=kappa
    )


def test_every_chip_by_hand() -> None:
    """-G^-1 g_in v_in/v0 and the Lyapunov equation of F = -G/C, numpy and scipy, chip after chip."""
    loaded = load()
    found, scales = settled(loaded), loaded.scales
    source = scales.input_gain * scales.voltage_volt * b
    for chip in range(5):
        e = loaded.elements.chip(chip)
        G = e.components[Role.ARRAY].dense(1).numpy()
        g_in, C, psd = (e.value(role).numpy() for role in (Role.INPUT, Role.INTEGRATION, Role.NOISE))
        x = -np.linalg.solve(G, g_in * source) / scales.voltage_volt
        F = -G / C[:, None]
        S = scipy.linalg.solve_continuous_lyapunov(F, -np.diag(psd / (2 * C**2))) / scales.voltage_volt**2
        np.testing.assert_allclose(found.x[chip].numpy(), x, rtol=1e-12)
        np.testing.assert_allclose(found.covariance[chip].numpy(), S, rtol=1e-10)
    assert found.ok.tolist() == [True] * 5
    assert not np.allclose(found.x[0].numpy(), np.linalg.solve(POSITIVE, b), rtol=1e-3)


@pytest.mark.parametrize("topology", ["integrator", "gm_c", "three_array"])
def test_as_linear_sde_gives_it(topology: str) -> None:
    """Real amplifiers, every chip for itself, to 1e-9."""
    batch = manufacture(topology, 3, presets.cmos_sky130(), seed=3, chips=4)
    loaded = program(batch, LinearProblem(POSITIVE + POSITIVE.T, b), kappa=1e-3)
    found = settled(loaded)
    for chip in range(4):
        sde, drive = loaded.select(chip).linear_sde(), loaded.drive()
        u = torch.cat([drive.inputs, torch.ones(1, dtype=torch.float64)])
        mean, spread = stationary_output_mean(sde, u)[0], stationary_output_covariance(sde)[0]
        x = loaded.unknowns(mean)
        torch.testing.assert_close(found.x[chip], x, rtol=1e-9, atol=1e-12)
        reference = spread / loaded.scales.voltage_volt**2
        if loaded.scaling is not None:
            reference = loaded.scaling[:, None] * reference * loaded.scaling
        size = float(reference.abs().max())
        torch.testing.assert_close(found.covariance[chip], reference, rtol=0, atol=1e-9 * size)


def test_stiff_circuit_of_many_states() -> None:
    """24 nodes with rails, 72 states and rates four decades apart, as LinearSDE to 1e-9."""
    A = spd_matrix(24, 1)
    loaded = program(manufacture("integrator", 24, presets.pcb_1k_1n(), chips=3), LinearProblem(A), kappa=1e-3)
    sde = loaded.linear_sde()
    assert sde.n_states == 72
    reference = stationary_output_covariance(sde)[0] / loaded.scales.voltage_volt**2
    torch.testing.assert_close(settled(loaded).covariance, reference, rtol=0, atol=1e-9 * float(reference.abs().max()))


@pytest.mark.parametrize("workers", [1, 2])
def test_pieces_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    loaded = load(chips=7)
    whole = settled(loaded, workers=1)
    monkeypatch.setattr(import_module("tngd_hw.readout.settled"), "_BYTES_AT_ONCE", 2 * 8 * 9)
    pieces = settled(loaded, workers=workers)
    torch.testing.assert_close(pieces.x, whole.x, rtol=1e-13, atol=0)
    torch.testing.assert_close(pieces.covariance, whole.covariance, rtol=1e-12, atol=1e-18)
    assert torch.get_num_threads() == 1


def test_one_chip_of_a_batch_and_alone() -> None:
    many, one = settled(load(chips=4)), settled(load(chips=4).select(2))
    assert one.x.shape == (3,)
    assert one.covariance.shape == (3, 3)
    assert one.chips is None
    torch.testing.assert_close(one.x, many.x[2], rtol=1e-13, atol=0)
    torch.testing.assert_close(one.variance, many.variance[2], rtol=1e-11, atol=0)


def test_chips_that_are_alike_and_the_diagonal_alone() -> None:
    loaded = load(hardware=presets.ideal(), chips=3)
    found = settled(loaded, whole_covariance=False)
    assert found.x.shape == found.covariance.shape == found.variance.shape == (3, 3)
    np.testing.assert_allclose(found.x.numpy(), np.tile(np.linalg.solve(POSITIVE, b), (3, 1)), rtol=1e-12)
    S = scipy.linalg.solve_continuous_lyapunov(POSITIVE, 2e-3 * np.eye(3))
    np.testing.assert_allclose(found.variance[1].numpy(), np.diag(S), rtol=1e-10)
    assert not settled(loaded, noise=False).covariance.any()


def test_an_unstable_chip_is_unstable_alone() -> None:
    """Statuses as the eigenvalues of each chip say; the others have their answers."""
    loaded = near_singular()
    A = [loaded.select(k).linear_sde().F.numpy() for k in range(20)]
    stable = [bool(np.linalg.eigvals(F).real.max() < 0) for F in A]
    assert 3 < sum(stable) < 17
    found = settled(loaded)
    assert torch.isfinite(found.x).all(-1).tolist() == stable
    assert [status.outcome is not Outcome.UNSTABLE for status in found.statuses] == stable
    assert [status.ok for status in loaded.circuit_statuses] == stable
    assert loaded.circuit_status.outcome is Outcome.UNSTABLE
    assert "growing at" in loaded.circuit_status.detail


@pytest.mark.parametrize("kappa", [0.0, 1e-9])
@pytest.mark.parametrize("engine", ["behavioral", "state_space"])
def test_engines_run_the_stable_chips_of_a_batch(engine: str, kappa: float) -> None:
    """A run long enough for the others to overflow: NaN and UNSTABLE there, every other chip as alone."""
    loaded, simulator = near_singular(8, kappa), find_engine(engine)
    duration = 3e6 * loaded.tau
    _, together = simulator.run(simulator.init(loaded), duration=duration, times_s=[0.0, duration])
    stable = [status.ok for status in loaded.circuit_statuses]
    assert 0 < sum(stable) < 8
    for k in range(8):
        own = loaded.select(k)
        _, alone = simulator.run(simulator.init(own), duration=duration, times_s=[0.0, duration])
        if stable[k]:
            torch.testing.assert_close(together.voltage_volt[k], alone.voltage_volt, rtol=1e-9, atol=1e-12)
            assert together.statuses[k].outcome is alone.status.outcome
        else:
            assert together.voltage_volt[k].isnan().all()
            assert together.statuses[k].outcome is alone.status.outcome is Outcome.UNSTABLE


def test_no_stable_chip_at_all() -> None:
    spec = presets.pcb_1k_1n().with_value("amplifiers.gain_bandwidth_hz", 1e6)
    A = [[0.02, 1.0], [-1.0, 0.02]]
    loaded = program(manufacture("integrator", 2, spec, chips=2), LinearProblem(A, [1.0, 0.0]))
    simulator = find_engine("behavioral")
    _, run = simulator.run(simulator.init(loaded), duration=1e-6)
    assert [status.outcome for status in run.statuses] == [Outcome.UNSTABLE] * 2
    assert settled(loaded).x.isnan().all()


def test_answer_beyond_the_range_of_the_amplifiers() -> None:
    """The answer is (50, -50), planned for 1."""
    chip = manufacture("integrator", 2, presets.pcb_1k_1n(), chips=2)
    loaded = program(chip, LinearProblem([[1.0, 0.98], [0.98, 1.0]], [1.0, -1.0]), x_max=1.0)
    assert [status.outcome for status in settled(loaded).statuses] == [Outcome.SATURATED] * 2


def test_stability_of_hard_matrices() -> None:
    """Doubling tells what eigenvalues tell: far from normal, defective, marginal, growing, very slow."""
    n = 12
    tilted = np.triu(np.full((n, n), 1e3), 1) - 0.5 * np.eye(n)  # grows by many decades before it decays
    rotation = np.kron(np.eye(n // 2), [[0.0, 1.0], [-1.0, 0.0]])
    hard = [*nonnormal_matrices(n).values(), tilted, rotation, rotation - 1e-6 * np.eye(n), rotation + 1e-6 * np.eye(n)]
    hard += [-np.diag(np.geomspace(1e-9, 1.0, n)), -np.diag([*np.geomspace(1e-3, 1.0, n - 1), 0.0])]
    F = torch.from_numpy(np.stack(hard))
    expected = [LinearSDE(member).is_stable for member in F]
    assert expected[-6:] == [True, False, True, False, True, False]
    assert stable_members(F).tolist() == expected
    law = settled_law(LinearSDE(F, np.eye(n), np.eye(n)), np.ones(n))
    assert law.stable.tolist() == expected
    for k, stable in enumerate(expected):
        reference = stationary_output_covariance(LinearSDE(F[k], None, np.eye(n)))[0]
        if stable:
            size = float(reference.abs().max())
            torch.testing.assert_close(law.covariance[k], reference, rtol=0, atol=1e-9 * size)
        else:
            assert law.covariance[k].isnan().all()
            assert law.mean[k].isnan().all()


def test_misuse() -> None:
    with pytest.raises(MisuseError, match="b has 2 columns"):
        settled(load(), b=np.ones((3, 2)))
    with pytest.raises(MisuseError, match="workers = 0"):
        settled(load(), workers=0)
    with pytest.raises(MisuseError, match="batch of one axis"):
        settled_law(LinearSDE([[-1.0]], [[1.0]]), [1.0])
