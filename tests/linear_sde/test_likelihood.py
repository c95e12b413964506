"""Log-densities against the joint Gaussian written out in full, their derivatives, and fits to drawn records."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import SDE_CASES
from linear_sde.reference import exact_step, joint_covariance
from scipy.stats import multivariate_normal

from tngd_hw.linear_sde import LinearSDE, output_log_density, path_log_density, read_record, sample_at, state_sample_at
from tngd_hw.outcome import MisuseError, Outcome

CASES = {case.name: case for case in SDE_CASES}
TIMES = [0.4, 0.9, 1.4, 3.0]


@pytest.mark.parametrize("name", ["symmetric", "nonsymmetric", "unequal_noise", "defective", "unstable"])
def test_states_against_the_joint_density(name: str) -> None:
    """Conditioned on the first state by subtracting its own density."""
    case = CASES[name]
    n, rng = case.n, np.random.default_rng(0)
    path, u = rng.normal(size=(len(TIMES), n)), rng.normal(size=n)
    ours, status = path_log_density(LinearSDE(case.F, np.eye(n), case.B), TIMES, path, u=u)
    means = np.stack([(lambda s: (s.G0 + s.G1) @ u)(exact_step(case.F, case.B, t)) for t in TIMES])
    joint = joint_covariance(case.F, case.B, TIMES)
    whole = multivariate_normal(means.ravel(), joint).logpdf(path.ravel())
    first = multivariate_normal(means[0], joint[:n, :n]).logpdf(path[0])
    assert status.ok
    assert float(ours) == pytest.approx(whole - first, rel=1e-9)


@pytest.mark.parametrize("name", ["nonsymmetric", "noise_through_a_chain", "rlc_network", "integrator"])
def test_outputs_against_the_joint_density(name: str) -> None:
    case = CASES[name]
    n, rng = case.n, np.random.default_rng(1)
    C, D, R = rng.normal(size=(1, n)), np.array([[0.7]]), np.array([[0.02]])
    E, u, x0 = rng.normal(size=(n, 1)), np.array([1.5]), rng.normal(size=n)
    P0 = np.diag(np.arange(1.0, n + 1.0))
    seen = rng.normal(size=(len(TIMES), 1))
    sde = LinearSDE(case.F, E, case.B, C, D=D)
    ours, status = output_log_density(sde, TIMES, seen, measurement_covariance=R, x0=x0, covariance0=P0, u=u)
    steps = [exact_step(case.F, case.B, t) for t in TIMES]
    means = np.concatenate([C @ (s.Phi @ x0 + (s.G0 + s.G1) @ E @ u) + D @ u for s in steps])
    start = np.concatenate([s.Phi for s in steps])
    joint = joint_covariance(case.F, case.B, TIMES) + start @ P0 @ start.T
    wide = np.kron(np.eye(len(TIMES)), C)
    spread = wide @ joint @ wide.T + 0.02 * np.eye(len(TIMES))
    assert status.ok
    assert float(ours) == pytest.approx(multivariate_normal(means, spread).logpdf(seen.ravel()), rel=1e-9)


def test_batches_are_their_members() -> None:
    sde = LinearSDE(CASES["nonsymmetric"].F, B=CASES["nonsymmetric"].B)
    paths = np.random.default_rng(2).normal(size=(5, 4, 2))
    together, _ = path_log_density(sde, TIMES, paths)
    seen, _ = output_log_density(sde, TIMES, paths, measurement_covariance=np.eye(2))
    assert together.shape == seen.shape == (5,)
    for i in range(5):
        alone, _ = path_log_density(sde, TIMES, paths[i])
        also, _ = output_log_density(sde, TIMES, paths[i], measurement_covariance=np.eye(2))
        assert float(together[i]) == pytest.approx(float(alone), rel=1e-13)
        assert float(seen[i]) == pytest.approx(float(also), rel=1e-13)


def test_derivatives() -> None:
    F = torch.tensor([[-1.0, 0.4], [-0.7, -0.5]], dtype=torch.float64, requires_grad=True)
    E = torch.tensor([[1.0], [0.5]], dtype=torch.float64, requires_grad=True)
    B = torch.tensor([[1.0, 0.0], [0.3, 0.5]], dtype=torch.float64, requires_grad=True)
    L = torch.tensor([[0.3, 0.0], [0.1, 0.4]], dtype=torch.float64, requires_grad=True)
    path = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 2)))

    def states(F: torch.Tensor, E: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
        return path_log_density(LinearSDE(F, E, B), TIMES, path, u=[2.0])[0]

    def outputs(F: torch.Tensor, E: torch.Tensor, B: torch.Tensor, L: torch.Tensor) -> torch.Tensor:
        return output_log_density(LinearSDE(F, E, B), TIMES, path, measurement_covariance=L @ L.mT, u=[2.0])[0]

    assert torch.autograd.gradcheck(states, (F, E, B), rtol=1e-6, atol=1e-8)
    assert torch.autograd.gradcheck(outputs, (F, E, B, L), rtol=1e-6, atol=1e-8)


def test_a_chip_is_fitted_from_its_record(tmp_path: Path) -> None:
    """Fit A (not symmetric) and the noise of dx = -A x dt + sqrt(2 k) dW to 4,000 steps read from a CSV file.

    Within four standard errors from the curvature of the log-density; the symmetric matrix that a reversible model
    would give is more than four away.
    """
    A, k = np.array([[3.0, 2.5], [2.0, 4.0]]), 0.5
    times = 0.1 * np.arange(4001)
    truth = LinearSDE(-A, B=np.sqrt(2.0 * k) * np.eye(2))
    voltages = state_sample_at(truth, times, generator=np.random.default_rng(12)).numpy()
    file = tmp_path / "board.csv"
    rows = "\n".join(f"{t!r},{a!r},{b!r}" for t, (a, b) in zip(times.tolist(), voltages.tolist(), strict=True))
    file.write_text(f"time, v1, v2\n{rows}\n")
    record = read_record(file)
    assert record.names == ("v1", "v2")
    parameters = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0], dtype=torch.float64, requires_grad=True)

    def loss(values: torch.Tensor) -> torch.Tensor:
        noise = torch.exp(values[4]) * torch.eye(2, dtype=torch.float64)
        return -path_log_density(LinearSDE(-values[:4].reshape(2, 2), B=noise), record.times, record.values)[0]

    optimizer = torch.optim.LBFGS([parameters], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(parameters)
        value.backward()
        return value

    optimizer.step(closure)
    curvature = torch.autograd.functional.hessian(loss, parameters.detach())
    error = torch.diagonal(torch.linalg.inv(curvature)).sqrt().numpy()
    wanted = np.array([*A.ravel(), 0.5 * np.log(2.0 * k)])
    off = np.abs(parameters.detach().numpy() - wanted) / error
    assert off.max() < 4.0
    assert (np.abs(1.05**5 * wanted - parameters.detach().numpy()) / error)[:4].max() > 4.0


def test_noise_that_misses_a_state_is_singular() -> None:
    case = CASES["correlated_noise"]
    sde = LinearSDE(np.diag([-1.0, -1.0]), B=[[1.0], [1.0]])
    density, status = path_log_density(sde, [0.0, 1.0], [[0.0, 0.0], [1.0, 2.0]])
    assert status.outcome is Outcome.SINGULAR
    assert bool(density.isnan())
    known, also = output_log_density(LinearSDE(case.F), [1.0], [[0.0, 0.0]])
    assert also.outcome is Outcome.SINGULAR
    assert bool(known.isnan())
    assert "times[0]" in also.detail


def test_the_true_system_is_likelier_than_a_wrong_one() -> None:
    case = CASES["rlc_network"]
    C = np.array([[1.0, 0.0, 0.0, 0.0]])
    times = np.linspace(0.5, 100.0, 200)
    seen = sample_at(LinearSDE(case.F, B=case.B, C=C), times, generator=np.random.default_rng(0))
    right, _ = output_log_density(LinearSDE(case.F, B=case.B, C=C), times, seen, measurement_covariance=[[1e-4]])
    wrong, _ = output_log_density(LinearSDE(1.1 * case.F, B=case.B, C=C), times, seen, measurement_covariance=[[1e-4]])
    assert float(right) > float(wrong) + 5.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,v\n", "at least one line"),
        ("t\n1\n", "at least one more column"),
        ("t,v\n0,1\n1\n", "line 3: 1 fields where the header has 2"),
        ("t,v\n0,1\n1,abc\n", "line 3: could not convert"),
        ("t,v\n0,nan\n", "line 2: every field has to be a finite number"),
        ("t,v\n0,1\n1,1\n1,2\n", "line 4: time 1.0 does not come after"),
    ],
)
def test_broken_records(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "broken.csv"
    file.write_text(text)
    with pytest.raises(MisuseError, match=re.escape(message)):
        read_record(file)


def test_misuse() -> None:
    sde = LinearSDE(-np.eye(2), B=np.eye(2))
    with pytest.raises(MisuseError, match=re.escape("states has shape (1, 2)")):
        path_log_density(sde, [0.0], [[1.0, 2.0]])
    with pytest.raises(MisuseError, match=re.escape("outputs has shape (2, 1): it has to be (..., 2, 2)")):
        output_log_density(sde, [0.0, 1.0], [[1.0], [2.0]])
    with pytest.raises(MisuseError, match="measurement_covariance has shape"):
        output_log_density(sde, [0.0, 1.0], np.ones((2, 2)), measurement_covariance=[[1.0]])
