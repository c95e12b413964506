"""The dual forms: R^T y(t) is the primal relaxation x(t), at every finite time, from any start, not only at the end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from relaxation import relaxation

from tngd_hw import MisuseError, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.topologies import DualProblem, dual_problem, output_dual_problem

TIMES = [0.0, 0.01, 0.3, 1.0, 5.0, 40.0]
DAMPING = 0.3
Array = np.ndarray


def factors() -> tuple[Array, Array, Array]:
    """J (6, 7): 2 samples of 3 outputs; H: softmax blocks with 1/batch; r."""
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.ones(3), size=2)
    H = np.stack([(np.diag(row) - np.outer(row, row)) / 2 for row in p])
    return rng.normal(size=(6, 7)) * 2, H, rng.normal(size=6)


def dense(H: Array) -> Array:
    full = np.zeros((6, 6))
    full[:3, :3], full[3:, 3:] = H[0], H[1]
    return full


def whitened(J: Array, H: Array) -> Array:
    values, vectors = np.linalg.eigh(dense(H))
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T @ J


def both_forms(x0: Array | None, damping: float = DAMPING) -> list[tuple[DualProblem, Array, Array]]:
    """Dual problem, A and g of the primal, in the symmetric and in the output form."""
    J, H, r = factors()
    W, A = whitened(J, H), J.T @ dense(H) @ J + DAMPING * np.eye(7)
    start = None if x0 is None else torch.from_numpy(x0)
    J_, H_, r_, W_ = (torch.from_numpy(a) for a in (J, H, r, W))
    return [
        (dual_problem(W_, r_, damping, start), A, W.T @ r),
        (output_dual_problem(J_, H_, r_, damping, start), A, J.T @ r),
    ]


@pytest.mark.parametrize("start", [None, np.array([1.0, -2.0, 0.5, 0.0, 3.0, -1.0, 0.25])], ids=["rest", "x0"])
@pytest.mark.parametrize("form", [0, 1], ids=["symmetric", "output"])
def test_recovered_path_is_the_primal_one(form: int, start: Array | None) -> None:
    dual, A, g = both_forms(start)[form]
    b = dual.problem.b
    assert b is not None
    small = relaxation(dual.problem.dense_matrix().numpy(), b.numpy(), TIMES, dual.start.numpy())
    primal = relaxation(A, g, TIMES, np.zeros(7) if start is None else start)
    np.testing.assert_allclose(dual.recover(torch.from_numpy(small)).numpy(), primal, atol=1e-12)


@pytest.mark.parametrize("form", [0, 1], ids=["symmetric", "output"])
def test_five_per_cent_of_damping_would_show(form: int) -> None:
    dual, A, g = both_forms(np.ones(7), DAMPING * 1.05)[form]
    b = dual.problem.b
    assert b is not None
    small = relaxation(dual.problem.dense_matrix().numpy(), b.numpy(), [1.0], dual.start.numpy())
    assert np.abs(dual.recover(torch.from_numpy(small)).numpy() - relaxation(A, g, [1.0], np.ones(7))).max() > 1e-3


def test_a_chip_starts_from_x0() -> None:
    """One node more than m holds the decaying start: the circuit itself, through its netlist, at 0.3 and 2 tau."""
    x0 = np.array([1.0, -2.0, 0.5, 0.0, 3.0, -1.0, 0.25])
    for dual, A, g in both_forms(x0):
        assert dual.problem.n == 7  # m + 1
        loaded = program(manufacture("integrator", 7, presets.ideal()), dual.problem, x_max=20.0)
        engine = find_engine("state_space")
        times = [0.3 * loaded.tau, 2 * loaded.tau]
        _, run = engine.run(engine.init(loaded), duration=times[-1], x0=dual.start, times_s=times)
        found = dual.recover(loaded.unknowns(run.voltage_volt))
        np.testing.assert_allclose(found.numpy(), relaxation(A, g, [0.3, 2.0], x0), atol=1e-11)


def test_column_of_the_start_needs_no_larger_range() -> None:
    for dual, _, _ in both_forms(np.full(7, 1e6)):
        A = dual.problem.dense_matrix().abs()
        assert float(A[:, -1].max()) <= float(A[:-1, :-1].max()) * (1 + 1e-12)


def test_matrix_of_the_symmetric_form_is_symmetric_to_the_bit() -> None:
    A = both_forms(None)[0][0].problem.dense_matrix()
    assert torch.equal(A, A.T)


def test_output_form_is_not_symmetric_and_has_the_bounded_forcing() -> None:
    dual = both_forms(None)[1][0]
    A = dual.problem.dense_matrix()
    assert float((A - A.T).abs().max()) > 0.1
    assert torch.equal(dual.problem.b, torch.from_numpy(factors()[2]))  # pyright: ignore[reportArgumentType] - b is there


@pytest.mark.parametrize("damping", [0.0, -1.0, float("nan"), float("inf")])
def test_damping_above_0(damping: float) -> None:
    with pytest.raises(MisuseError, match="damping = "):
        dual_problem(torch.ones(2, 3), torch.ones(2), damping)


def test_shapes() -> None:
    with pytest.raises(MisuseError, match=r"W has shape \(2, 3\) and u \(3,\)"):
        dual_problem(torch.ones(2, 3), torch.ones(3), 1.0)
    with pytest.raises(MisuseError, match=r"W has shape \(3,\)"):
        dual_problem(torch.ones(3), torch.ones(3), 1.0)
    with pytest.raises(MisuseError, match=r"x0 has shape \(2,\): expected \(3,\)"):
        dual_problem(torch.ones(2, 3), torch.ones(2), 1.0, torch.ones(2))
    with pytest.raises(MisuseError, match=r"H has shape \(2, 2, 2\): .* batch \* d_z = 2"):
        output_dual_problem(torch.ones(2, 3), torch.ones(2, 2, 2), torch.ones(2), 1.0)
    with pytest.raises(MisuseError, match=r"J has shape \(2, 3\) and r \(3,\)"):
        output_dual_problem(torch.ones(2, 3), torch.ones(1, 2, 2), torch.ones(3), 1.0)
