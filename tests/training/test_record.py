import math

import pytest
import torch
from torch import Tensor, nn

from tngd_hw.outcome import MisuseError
from tngd_hw.training.record import TrainingRecord, accuracy, evaluation_steps


def test_summary_of_a_record():
    record = TrainingRecord("run", (4.0, 3.0, 2.0, 1.0), (0.2, 0.7), (2, 4), {"error": (1e-3, 2e-3, 3e-3, 4e-3)})
    assert record.steps == 4
    assert record.final_accuracy == 0.7
    assert record.final_loss(2) == 1.5
    assert record.final_loss() == 2.5
    assert not record.diverged
    assert record.as_dict() == {
        "name": "run",
        "loss": [4.0, 3.0, 2.0, 1.0],
        "accuracy": [0.2, 0.7],
        "accuracy_steps": [2, 4],
        "extra": {"error": [1e-3, 2e-3, 3e-3, 4e-3]},
    }


def test_a_diverged_record_says_so():
    record = TrainingRecord("run", (1.0, math.inf, math.nan))
    assert record.diverged
    assert not math.isfinite(record.final_loss())
    assert math.isnan(record.final_accuracy)
    assert math.isnan(TrainingRecord("empty", ()).final_loss())


@pytest.mark.parametrize("steps", [(0,), (4,), (2, 2), (3, 1)])
def test_accuracy_steps_must_increase_within_the_run(steps: tuple[int, ...]):
    with pytest.raises(MisuseError, match="accuracy_steps"):
        TrainingRecord("run", (1.0, 1.0, 1.0), (0.5,) * len(steps), steps)


def test_one_accuracy_a_step():
    with pytest.raises(MisuseError, match="accuracy has 1 entries and accuracy_steps 2"):
        TrainingRecord("run", (1.0, 1.0), (0.5,), (1, 2))


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [(10, 4, (4, 8, 10)), (8, 4, (4, 8)), (3, 5, (3,)), (1, 1, (1,)), (3, 1, (1, 2, 3))],
)
def test_evaluation_steps(steps: int, every: int, expected: tuple[int, ...]):
    assert evaluation_steps(steps, every) == expected


@pytest.mark.parametrize(("steps", "every", "name"), [(0, 1, "steps"), (1, 0, "evaluate_every"), (1, -2, "evaluate")])
def test_bad_evaluation_steps(steps: int, every: int, name: str):
    with pytest.raises(MisuseError, match=name):
        evaluation_steps(steps, every)


def test_accuracy_counts_and_nan_is_wrong():
    outputs = torch.tensor([[0.0, 1.0], [2.0, 1.0], [torch.nan, 0.0], [0.0, 3.0]])
    assert accuracy(nn.Identity(), outputs, torch.tensor([1, 1, 0, 1])) == 0.5


def test_accuracy_uses_eval_mode_and_restores_each_layers_own():
    class Spy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert not self.training
            assert not torch.is_grad_enabled()
            return x

    model = nn.Sequential(Spy(), nn.Dropout(0.5).eval())
    accuracy(model, torch.ones(2, 2), torch.tensor([0, 0]))
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
