"""The same noise in three forms: its size by hand, runs told apart, cells that no number of workers changes."""

import json
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from real_data import needs_data
from torch import nn

from tngd_hw.curvature import ggn_factors
from tngd_hw.studies.curves.curves import curves_of
from tngd_hw.studies.mnist import noise_forms
from tngd_hw.studies.mnist.noise_forms import BATCH_SIZE, DAMPING, RUNS, FormRun, NoiseForm, forms_figure, main
from tngd_hw.tasks import MNIST_FILES, mnist_task


def test_every_run_is_told_apart():
    assert len(RUNS) == 24
    assert len({run.name for run in RUNS}) == len({json.dumps(run.configuration()) for run in RUNS}) == 24


@needs_data(*MNIST_FILES)
@pytest.mark.parametrize(("duration_tau", "kappa"), [(1.0, 0.01), (50.0, 0.001)])
def test_noise_of_the_primal_by_hand(duration_tau, kappa):
    """sqrt(trace of the covariance): N variances, 37,274 of them flat; one draw of so many numbers tells 0.4 %."""
    task = mnist_task(dtype=torch.float64)
    batch = next(iter(task.minibatches(BATCH_SIZE, 1, 0)))
    W = ggn_factors(task.make_network(0), nn.CrossEntropyLoss(), batch).whitened_jacobian()
    values = torch.linalg.eigvalsh(W @ W.T) + DAMPING
    settled = (1.0 - torch.exp(-2.0 * values * duration_tau)) / values
    flat = -math.expm1(-2.0 * DAMPING * duration_tau) / DAMPING
    expected = (kappa * (settled.sum() + (W.shape[1] - len(W)) * flat)).sqrt()
    clean = _directions(FormRun(NoiseForm.PRIMAL, duration_tau, 0.0), task, batch, 1)[0].direction
    found = noise_forms.first_direction(FormRun(NoiseForm.PRIMAL, duration_tau, kappa))
    assert found.v0_volt is None
    assert found.relative_noise * float(clean.norm()) == pytest.approx(float(expected), rel=0.02)


@needs_data(*MNIST_FILES)
@pytest.mark.parametrize("form", [NoiseForm.SYMMETRIC, NoiseForm.OUTPUT])
def test_noise_of_the_dual_forms_by_hand(form):
    """y has the covariance kappa P_t, dP_t/dt = 2 I - A P_t - P_t A^T with the form's matrix A, at t = tau.

    In units of P_t's root the 16 draws of 161 numbers have a mean square of 1 within 2.8 % (standard error); noise of
    another amplitude by 5 % is off by 10 %.  Without noise the forms are one filter.
    """
    kappa, task = 0.01, mnist_task(dtype=torch.float64)
    batch = next(iter(task.minibatches(BATCH_SIZE, 1, 0)))
    clean = _directions(FormRun(form, 1.0, 0.0), task, batch, 1)[0]
    primal = _directions(FormRun(NoiseForm.PRIMAL, 1.0, 0.0), task, batch, 1)[0]
    torch.testing.assert_close(clean.direction, primal.direction, rtol=1e-3, atol=1e-3 * float(primal.direction.norm()))
    A = clean.dual.problem.A.numpy()
    n = len(A)
    # Van Loan: exp of [[-A, 2 I], [0, A^T]] holds P_t e^(A^T t).
    E = scipy.linalg.expm(np.block([[-A, 2.0 * np.eye(n)], [np.zeros((n, n)), A.T]]))
    P = E[:n, n:] @ E[:n, :n].T
    root = np.linalg.cholesky((P + P.T) / 2.0)
    draws = _directions(FormRun(form, 1.0, kappa), task, batch, 16)
    noise = np.stack([(each.solve.estimate.value - clean.solve.estimate.value).numpy() for each in draws])
    whitened = scipy.linalg.solve_triangular(root, noise.T / math.sqrt(kappa), lower=True)
    assert float((whitened**2).mean()) == pytest.approx(1.0, abs=0.085)
    assert noise_forms.first_direction(FormRun(form, 1.0, kappa)).v0_volt > 0.0


def _directions(run, task, batch, draws):
    """What the first ``draws`` steps of a run would read on one network and batch."""
    method = run.method(0)
    return [
        method.natural_gradient(task.make_network(0), nn.CrossEntropyLoss(), batch, damping=DAMPING, step=step)
        for step in range(draws)
    ]


@needs_data(*MNIST_FILES)
def test_cells_do_not_depend_on_the_workers_and_the_page_is_drawn(tmp_path, monkeypatch, capsys):
    runs = (FormRun(NoiseForm.PRIMAL, 1.0, 0.1), FormRun(NoiseForm.OUTPUT, 1.0, 0.1))
    monkeypatch.setattr(noise_forms, "RUNS", runs)
    assert main([str(tmp_path), "--steps", "2", "--seeds", "1", "--workers", "2"]) == 0
    said = capsys.readouterr().out
    assert all(run.name in said for run in runs)
    kept = [json.loads(path.read_text()) for path in (tmp_path / "cells").glob("*.json")]
    record = next(cell["record"] for cell in kept if cell["run"]["form"] == "output dual")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert list(noise_forms.train_run(runs[1], 0, 2).loss) == record["loss"]
    torch.set_num_threads(threads)
    assert (tmp_path / "noise_forms.png").stat().st_size > 10_000


def test_panels():
    """One panel a form and time, one line a kappa."""
    cell = {"record": {"loss": [2.0, 1.0], "accuracy": [0.5], "extra": {"products": [3.0]}}, "seconds": 1.0}
    curves = dict(zip(RUNS, curves_of(RUNS, (0,), 2, {(run.name, 0): cell for run in RUNS}), strict=True))
    axes = forms_figure(curves, 1).axes
    assert [a.get_title() for a in axes] == [f"{form.value}, t = {t} tau" for t in (1, 50) for form in NoiseForm]
    assert all(len(a.get_lines()) == 4 for a in axes)


@needs_data(*MNIST_FILES)
def test_a_run_that_diverges_is_in_the_summary_and_in_the_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(noise_forms, "RUNS", (FormRun(NoiseForm.PRIMAL, 1.0, 1e300),))
    assert main([str(tmp_path), "--steps", "3", "--seeds", "1", "--workers", "1"]) == 0
    assert "nan" in capsys.readouterr().out
    row = json.loads((tmp_path / "summary.json").read_text())["runs"][0]
    assert row["final_accuracy"] == [None]
    assert row["final_loss_mean"] is None


def test_missing_data_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "out"), "--data-dir", str(tmp_path / "nowhere"), "--seeds", "1"]) == 2
    assert "no such folder" in capsys.readouterr().err
