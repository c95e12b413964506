"""What a LinearSDE accepts, refuses and knows about itself."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from cases import SDE_CASES, SdeCase, rlc_cell, spd_matrix

from tngd_hw.linear_sde import LinearSDE, mean_at, sample_at, stationary_covariance, stationary_mean, system, transition
from tngd_hw.linear_sde.structure import structure_of
from tngd_hw.outcome import MisuseError, Outcome


@pytest.mark.parametrize("case", SDE_CASES, ids=str)
def test_stability_is_recognised(case: SdeCase) -> None:
    sde = LinearSDE(case.F, B=case.B)
    assert sde.is_stable is case.stable
    _, status = stationary_covariance(sde)
    assert status.outcome is (Outcome.OK if case.stable else Outcome.UNSTABLE)


def test_defaults_and_names() -> None:
    sde = LinearSDE([[-1.0, 0.5], [0.0, -2.0]])
    assert (sde.n_states, sde.n_inputs, sde.n_noises, sde.n_outputs) == (2, 0, 0, 2)
    assert sde.state_names == ("x0", "x1")
    assert sde.output_names == ("y0", "y1")
    assert torch.equal(sde.C, torch.eye(2, dtype=torch.float64))
    assert tuple(sde.D.shape) == (2, 0)
    assert repr(sde) == "LinearSDE(n_states=2, n_inputs=0, n_noises=0, n_outputs=2)"
    named = LinearSDE([[-1.0]], [[1.0]], state_names=["v"], input_names=["i"], output_names=["out"])
    assert (named.state_names, named.input_names, named.output_names) == (("v",), ("i",), ("out",))


def test_batch_dimensions_broadcast() -> None:
    F = -np.stack([spd_matrix(3, seed) for seed in range(4)])
    sde = LinearSDE(F, np.eye(3), np.ones((3, 1)))
    assert tuple(sde.batch_shape) == (4,)
    assert tuple(sde.eigenvalues().shape) == (4, 3)
    assert "batch=(4,)" in repr(sde)
    whole, _ = stationary_covariance(sde)
    for i in range(4):
        alone, _ = stationary_covariance(LinearSDE(F[i], np.eye(3), np.ones((3, 1))))
        np.testing.assert_allclose(whole[i].numpy(), alone.numpy(), rtol=1e-12, atol=1e-14)


def test_one_unstable_member_does_not_spoil_the_others() -> None:
    F = np.array([[[-1.0]], [[0.5]], [[-2.0]]])
    sde = LinearSDE(F, [[1.0]], [[1.0]])
    covariance, status = stationary_covariance(sde)
    mean, _ = stationary_mean(sde, [[1.0], [1.0], [1.0]])
    np.testing.assert_allclose(covariance[[0, 2], 0, 0].numpy(), [0.5, 0.25], rtol=1e-14)
    np.testing.assert_allclose(mean[[0, 2], 0].numpy(), [1.0, 0.5], rtol=1e-14)
    assert bool(covariance[1].isnan().all())
    assert bool(mean[1].isnan().all())
    assert status.outcome is Outcome.UNSTABLE
    assert "1 of 3 systems (worst: number 1)" in status.detail
    assert "0.5" in status.detail


def test_structure_is_measured() -> None:
    symmetric = LinearSDE(-spd_matrix(4, 1), B=2.0 * np.eye(4)).structure
    assert symmetric.symmetric
    assert symmetric.reversible
    assert symmetric.isotropic
    assert symmetric.normal_in_noise_metric
    assert not symmetric.singular_noise
    unequal = LinearSDE(-spd_matrix(4, 1), B=np.diag([1.0, 2.0, 1.0, 1.0])).structure
    assert unequal.symmetric
    assert not unequal.reversible
    assert not unequal.normal_in_noise_metric
    F, B = rlc_cell()
    assert LinearSDE(F, B=B).structure.singular_noise
    rotating = LinearSDE([[-1.0, 2.0], [-2.0, -1.0]], B=np.eye(2)).structure
    assert rotating.normal_in_noise_metric
    assert not rotating.reversible
    capacitances = np.array([1.0, 4.0, 0.25])
    G = np.array([[3.0, -1.0, -0.5], [-1.0, 2.5, -1.0], [-0.5, -1.0, 2.0]])
    thermal = LinearSDE(-G / capacitances[:, None], B=np.linalg.cholesky(2.0 * G) / capacitances[:, None]).structure
    assert thermal.reversible
    assert not thermal.symmetric


def test_structure_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first use, by whoever asks first, and never again."""
    calls: list[int] = []

    def counted(F: torch.Tensor, B: torch.Tensor) -> system.Structure:
        calls.append(1)
        return structure_of(F, B)

    monkeypatch.setattr(system, "structure_of", counted)
    sde = LinearSDE(-spd_matrix(4, 1), np.eye(4), np.eye(4))
    assert not calls
    for seed in range(3):
        sample_at(sde, [1.0, 2.0], generator=np.random.default_rng(seed))
        mean_at(sde, np.linspace(0.0, 9.0, 500), u=np.ones(4))
        assert sde.structure is sde.structure
    assert len(calls) == 1


def test_a_five_percent_mismatch_breaks_the_structure() -> None:
    A = spd_matrix(4, 1)
    A[0, 1] *= 1.05
    broken = LinearSDE(-A, B=np.eye(4)).structure
    assert not broken.symmetric
    assert not broken.reversible


def test_inputs_are_neither_changed_nor_shared_with_numpy() -> None:
    F, B = -spd_matrix(3, 0), np.eye(3)
    kept = F.copy()
    sde = LinearSDE(F, B=B)
    stationary_covariance(sde)
    transition(sde, 1.0)
    np.testing.assert_array_equal(F, kept)
    F[0, 0] = 99.0
    assert float(sde.F[0, 0]) == kept[0, 0]


def test_gradients_reach_the_matrices() -> None:
    F = torch.tensor([[-1.0]], dtype=torch.float64, requires_grad=True)
    sde = LinearSDE(F, [[1.0]])
    mean_at(sde, [2.0], u=[3.0]).sum().backward()
    assert F.grad is not None
    assert float(F.grad) == pytest.approx(3.0 * (1.0 - 3.0 * np.exp(-2.0)), rel=1e-12)


GOOD = {"F": [[-1.0, 0.0], [0.0, -2.0]], "E": [[1.0], [0.0]], "B": [[1.0], [1.0]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"F": [[-1.0, 0.0]]}, "F has shape (1, 2)"),
        ({"F": np.zeros((0, 0))}, "F has shape (0, 0)"),
        ({"F": [[1.0, np.nan], [0.0, 1.0]]}, "F[0, 1] = nan"),
        ({"F": [[1.0, 0.0], [np.inf, 1.0]]}, "F[1, 0] = inf"),
        ({"F": [[1.0], [0.0, 1.0]]}, "rectangular"),
        ({"F": np.eye(2) * 1j}, "F has dtype complex128"),
        ({"F": torch.eye(2, dtype=torch.bool)}, "F has dtype torch.bool"),
        ({"F": [["a", "b"], ["c", "d"]]}, "F has dtype"),
        ({"E": [[1.0]]}, "E has shape (1, 1)"),
        ({"B": [[1.0], [1.0], [1.0]]}, "B has shape (3, 1)"),
        ({"C": [[1.0, 0.0, 0.0]]}, "C has shape (1, 3)"),
        ({"D": [[1.0]]}, "D has shape (1, 1)"),
        ({"D_w": [[1.0, 2.0]]}, "D_w has shape (1, 2)"),
        ({"F": -np.stack([np.eye(2)] * 3), "B": np.ones((4, 2, 1))}, "do not broadcast (F (3,), B (4,))"),
        ({"state_names": ["a"]}, "state_names = ['a']: give 2 different names"),
        ({"state_names": ["a", "a"]}, "2 different names"),
        ({"state_names": "ab"}, "state_names = 'ab'"),
    ],
)
def test_misuse_names_field_and_value(change: dict[str, object], message: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(message)):
        LinearSDE(**(GOOD | change))


def test_a_device_without_float64_is_refused() -> None:
    from tngd_hw.linear_sde.tensors import check_device

    with pytest.raises(MisuseError, match=r"F is on device mps, which has no float64: move it with \.cpu\(\)"):
        check_device(torch.device("mps"), "F")


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([], "times has shape (0,)"),
        (1.0, "times has shape ()"),
        ([[1.0]], "times has shape (1, 1)"),
        ([-1.0, 1.0], "times[0] = -1.0"),
        ([0.0, 2.0, 1.0], "times[2] = 1.0 after times[1] = 2.0"),
        ([0.0, np.nan], "times[1] = nan"),
    ],
)
def test_bad_times(times: object, message: str) -> None:
    sde = LinearSDE(**GOOD)
    with pytest.raises(MisuseError, match=re.escape(message)):
        mean_at(sde, times)
    with pytest.raises(MisuseError, match=re.escape(message)):
        sample_at(sde, times, generator=np.random.default_rng(0))


@pytest.mark.parametrize("dt", [0.0, -1.0, np.nan, np.inf, True, "1us"])
def test_bad_step(dt: object) -> None:
    with pytest.raises(MisuseError, match="dt = "):
        transition(LinearSDE(**GOOD), dt)


def test_vectors_that_do_not_fit() -> None:
    sde = LinearSDE(**GOOD)
    with pytest.raises(
        MisuseError, match=re.escape("u has shape (2,): with 0 batch axes of the system it has to be (..., 1)")
    ):
        mean_at(sde, [1.0], u=[1.0, 2.0])
    with pytest.raises(MisuseError, match=re.escape("x0 has shape (3, 4)")):
        mean_at(sde, [1.0], x0=np.zeros((3, 4)))
    with pytest.raises(MisuseError, match="x0 has 3 columns and u has 2"):
        mean_at(sde, [1.0], x0=np.zeros((2, 3)), u=np.zeros((1, 2)))
    with pytest.raises(MisuseError, match="n_paths = 0"):
        sample_at(sde, [1.0], generator=np.random.default_rng(0), n_paths=0)


def test_shrinking_is_more_than_stable() -> None:
    assert LinearSDE(-spd_matrix(4, 1)).shrinks
    assert LinearSDE([[-1.0, 1.9], [0.0, -1.0]]).shrinks  # F + F^T has the eigenvalues -2 +- 1.9
    for coupling in (2.1, 5.0):
        growing_first = LinearSDE([[-1.0, coupling], [0.0, -1.0]])
        assert growing_first.is_stable
        assert not growing_first.shrinks
    assert not LinearSDE(np.stack([-np.eye(2), np.diag([-1.0, 1e-3])])).shrinks


def test_eigenvalues_of_a_symmetric_drift() -> None:
    A = spd_matrix(5, 2)
    found = LinearSDE(-A).eigenvalues()
    np.testing.assert_allclose(np.sort(found.real.numpy()), np.linalg.eigvalsh(-A), rtol=1e-12)
    assert not bool(found.imag.any())


def test_outputs_that_are_the_states() -> None:
    assert LinearSDE(-np.eye(3)).reads_states
    assert not LinearSDE(-np.eye(3), C=np.eye(3)[[1, 0, 2]]).reads_states
    assert not LinearSDE(-np.eye(3), C=np.eye(3)[:2]).reads_states
