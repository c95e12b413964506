"""Circuits in a training loop: what two engines say at the same step, what becomes of the runs, what is reported."""

import math

import pytest
import torch
from torch import nn

from tngd_hw.studies.circuit.in_loop import engines_figure, main, summary_of, table_of
from tngd_hw.studies.circuit.runs import DIFFERENCE, ENGINE_S, REFERENCE_S, STEP_S, WALL_S, CircuitRun, Form, train_run
from tngd_hw.tasks import ClassificationTask

STEPS = 2


def network(seed: int) -> nn.Module:
    """A convolution, 8 rows of a batch for 5 columns, and a layer, 2 rows for 13."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Tanh(), nn.Flatten(-3), nn.Linear(12, 4)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 2)
    return model


@pytest.fixture(scope="module")
def task():
    generator = torch.Generator().manual_seed(8)
    inputs = torch.rand(12, 1, 3, 3, generator=generator, dtype=torch.float64)
    targets = torch.arange(12) % 4
    return ClassificationTask(inputs[:8], targets[:8], inputs[8:], targets[8:], "small", network)


@pytest.fixture(scope="module")
def cells(task):
    def run(form, engine):
        each = CircuitRun(form, engine, batch_size=2)
        return (each.name, 0), {"record": train_run(each, task, seed=0, steps=STEPS).as_dict()}

    return dict(run(form, engine) for form in Form for engine in ("state_space", "ideal", "behavioral"))


def runs(*engines):
    return [CircuitRun(form, engine, batch_size=2) for form in Form for engine in engines]


@pytest.mark.ngspice
@pytest.mark.parametrize("form", Form)
def test_ngspice_gives_the_directions_of_the_same_circuit_and_not_those_of_another(form, task, cells):
    record = train_run(CircuitRun(form, "ngspice", batch_size=2), task, seed=0, steps=STEPS)
    differences = record.extra[DIFFERENCE]
    assert len(differences) == STEPS
    assert 0 < min(differences) <= max(differences) < 1e-4
    # Far apart: what the circuit does, and the filter that it is meant to be.
    assert min(cells[f"{form.value}, ideal", 0]["record"]["extra"][DIFFERENCE]) > 1e-3
    exact = cells[f"{form.value}, state_space", 0]["record"]
    assert record.loss[0] == exact["loss"][0]
    assert record.loss[1] == pytest.approx(exact["loss"][1], rel=1e-6)


def test_the_reference_agrees_with_itself_to_the_bit_and_every_circuit_has_a_time(cells):
    for form, circuits in (
        ("dual", {"dual problem: 1 x 8 nodes"}),
        ("kfac", {"layer 0, A: 3 x 5 nodes", "layer 0, G: 5 x 3 nodes"}
                 | {"layer 3, A: 4 x 2 nodes", "layer 3, G: 2 x 4 nodes"}),
    ):  # fmt: skip
        extra = cells[f"{form}, state_space", 0]["record"]["extra"]
        assert extra[DIFFERENCE] == [0.0] * STEPS
        for beginning in (ENGINE_S, REFERENCE_S):
            assert {key.removeprefix(beginning) for key in extra if key.startswith(beginning)} == circuits
        assert all(0 < engine < step for engine, step in zip(extra[WALL_S], extra[STEP_S], strict=True))
        assert all(value > 0 for name in circuits for value in extra[ENGINE_S + name])
        assert max(cells[f"{form}, behavioral", 0]["record"]["extra"][DIFFERENCE]) < 1e-11


def test_analog_times_are_five_time_constants_of_the_slowest_mode():
    dual, kfac = runs("ideal")
    assert dual.duration_tau * 0.1 == pytest.approx(5)
    assert kfac.duration_tau * math.sqrt(0.1) == pytest.approx(5)
    assert dual.configuration() != kfac.configuration()


def test_the_report_keeps_the_same_step_and_the_drift_apart(cells):
    chosen = runs("state_space", "ideal")
    entries = summary_of(chosen, [0], cells)
    alone, ideal = entries[:2]
    assert alone["loss_drift"] is None
    losses = [cells[f"dual, {name}", 0]["record"]["loss"] for name in ("ideal", "state_space")]
    assert ideal["loss_drift"] == pytest.approx(max(abs(a - b) / b for a, b in zip(*losses, strict=True)), rel=1e-12)
    gaps = cells["dual, ideal", 0]["record"]["extra"][DIFFERENCE]
    assert ideal["direction_difference"]["largest"] == max(gaps)
    text = table_of(entries)
    assert text.count(" s a step, ") == 4
    assert text.count("direction of the same step within") == 2
    figure = engines_figure(chosen, [0], cells, entries)
    assert [axes.get_title() for axes in figure.axes[:2]] == [
        "dual form: one circuit of 8 nodes a step",
        "K-FAC: two circuits a layer, 14 runs a step",
    ]
    labels = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert labels == ["direction of the same step", "loss of its own training"]


def test_bad_calls_end_with_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "out"), "--data-dir", str(tmp_path / "nowhere"), "--steps", "1"]) == 2
    assert "no such folder" in capsys.readouterr().err
