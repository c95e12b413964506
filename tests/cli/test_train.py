"""``tngd-hw train``: every form trains, a stopped run goes on, wrong input is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tngd_hw.engines import StateSpace
from tngd_hw.hardware import presets
from tngd_hw.studies.training.plan import BaseUpdate, Form, TaskName, TrainingPlan, run_plan
from tngd_hw.training import AnalogStart


def plan(form: Form, **options: object) -> TrainingPlan:
    base = BaseUpdate.ADAM if form is Form.BLOCKS else BaseUpdate.SGD
    fixed: dict[str, object] = {"batch_size": 4, "steps": 2, "lr": 0.01}
    return TrainingPlan(TaskName.DIGITS, form, base, "integrator", presets.ideal(), StateSpace(), **(fixed | options))


def test_forms_of_one_matrix_train_alike() -> None:
    """At the same analog time both dual forms, the perfect device and perfect arrays are one filter."""
    forms = (Form.DUAL, Form.DUAL_OUTPUT, Form.DEVICE, Form.ARRAYS)
    losses = {form: run_plan(plan(form, start=AnalogStart.ZERO)).loss for form in forms}
    for form in forms:
        assert losses[form] == pytest.approx(losses[Form.DUAL], rel=1e-3), form
    assert run_plan(plan(Form.DUAL, duration_tau=1.0)).loss[1] != pytest.approx(losses[Form.DUAL][1], rel=1e-3)


def test_both_forms_of_kfac_are_one_filter_and_the_dual_one_needs_a_chip_of_fewer_nodes() -> None:
    """64-32-10 and a batch of 4: 65 nodes for the inputs of the first layer, or 32 for the outputs."""
    forms = (Form.KFAC, Form.KFAC_DUAL)
    factor, dual = (run_plan(plan(form, duration_tau=5.0)).loss for form in forms)
    assert factor == pytest.approx(dual, rel=1e-6)
    task = plan(Form.KFAC).make_task()
    assert [plan(form).method(task).solver.chip.nodes for form in forms] == [65, 32]


@pytest.mark.parametrize("form", [Form.BLOCKS, Form.KFAC])
def test_forms_by_layer_train(form: Form) -> None:
    seen: list[int] = []
    record = run_plan(plan(form), progress=lambda done, _loss, _accuracy: seen.append(done))
    assert not record.diverged
    assert seen == [1, 2]


def test_it_leaves_record_figure_and_checkpoint_and_goes_on(folder: Path, cli) -> None:
    done = cli("train", "--steps", "3", "--out", "run", "--json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["loss"] == json.loads((folder / "run" / "record.json").read_text())["loss"]
    assert (folder / "run" / "training.png").stat().st_size > 5_000
    again = cli("train", "--steps", "3", "--out", "run", "--json", "--resume")
    assert json.loads(again.stdout)["loss"] == document["loss"]


def test_a_diverged_run_is_kept_and_says_where(folder: Path, cli) -> None:
    done = cli("train", "--form", "device", "--lr", "1e200", "--steps", "5", "--out", "run")
    assert done.exit_code == 1
    assert "the loss is not finite at step 1" in done.stderr
    assert json.loads((folder / "run" / "record.json").read_text())["loss"][-1] is None


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("code", "arguments", "sentence"),
    [
        (2, ["--form", "blocs"], "--form blocs: the choices are dual, dual-output"),
        (2, ["--task", "cifar"], "--task cifar: the choices are digits, mnist"),
        (2, ["--form", "device", "--hardware", "pcb_1k_1n"], "has perfect parts"),
        (2, ["--delay", "0.5", "--start", "zero"], "a reset forgets the delay"),
        (2, ["--form", "arrays", "--chopped"], "it has no offsets to cancel"),
        (2, ["--damping", "0"], "damping = 0.0"),
        (2, ["--steps", "0"], "steps = 0"),
        (2, ["--task", "mnist", "--data-dir", "nowhere"], "no such folder"),
        (1, ["--steps", "1", "--topology", "passive_rc"], "not_realizable: at training step 0"),
    ],
)
def test_wrong_input_is_one_sentence(refused, code: int, arguments: list[str], sentence: str) -> None:
    assert sentence in refused(code, "train", *arguments)


@pytest.mark.usefixtures("folder")
def test_an_earlier_run_is_not_overwritten(cli, refused) -> None:
    cli("train", "--form", "device", "--steps", "1", "--out", "run")
    assert "go on with --resume" in refused(2, "train", "--steps", "1", "--out", "run")
