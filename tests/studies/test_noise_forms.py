"""The same noise in three forms: its size by hand, runs told apart, cells that no number of workers changes."""

import json

import pytest
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
def test_noise_of_the_first_direction_by_hand(duration_tau, kappa):
    """sqrt(trace of each covariance): primal N variances, 37,434 of them flat; symmetric dual by its eigenvalues.

    The output form is the noisier of the two dual ones, for K^-1 is larger where the symmetric one is balanced.
    """
    task = mnist_task(dtype=torch.float64)
    batch = next(iter(task.minibatches(BATCH_SIZE, 1, 0)))
    factors = ggn_factors(task.make_network(0), nn.CrossEntropyLoss(), batch)
    W = factors.whitened_jacobian()
    K, R = W @ W.T + DAMPING * torch.eye(len(W), dtype=W.dtype), W
    # The device with x(0) = g reads g at t = 0; its node for the start brings noise along g of one unknown.
    clean = {}
    for form in NoiseForm:
        method = FormRun(form, duration_tau, 0.0).method(0)
        exact = method.natural_gradient(task.make_network(0), nn.CrossEntropyLoss(), batch, damping=DAMPING)
        clean[form] = float(exact.direction.norm())
    assert clean[NoiseForm.SYMMETRIC] == pytest.approx(clean[NoiseForm.PRIMAL], rel=1e-3)
    assert clean[NoiseForm.OUTPUT] == pytest.approx(clean[NoiseForm.PRIMAL], rel=1e-3)
    values, vectors = torch.linalg.eigh(K)
    settled = (1.0 - torch.exp(-2.0 * values * duration_tau)) / values
    flat = (1.0 - torch.exp(torch.tensor(-2.0 * DAMPING * duration_tau))) / DAMPING
    primal = (kappa * (settled.sum() + (W.shape[1] - len(W)) * flat)).sqrt()
    dual = (kappa * ((vectors.T @ R).square().sum(1) * settled).sum()).sqrt()
    found = {form: noise_forms.first_direction(FormRun(form, duration_tau, kappa)) for form in NoiseForm}
    noise = {form: first.relative_noise * clean[form] for form, first in found.items()}
    assert found[NoiseForm.PRIMAL].v0_volt is None
    assert found[NoiseForm.OUTPUT].v0_volt > found[NoiseForm.SYMMETRIC].v0_volt > 0.0
    assert noise[NoiseForm.PRIMAL] == pytest.approx(float(primal), rel=0.02)
    assert noise[NoiseForm.SYMMETRIC] == pytest.approx(float(dual), rel=0.35)
    assert noise[NoiseForm.PRIMAL] > 5 * noise[NoiseForm.OUTPUT] > 25 * noise[NoiseForm.SYMMETRIC]


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
