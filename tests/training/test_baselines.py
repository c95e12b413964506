import dataclasses
import json
import math
import time

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import ClassificationTask, digits_task
from tngd_hw.training.baselines import DigitalOptimizer, search_learning_rate, train_digital

SGD, ADAM, SIGN = DigitalOptimizer.SGD, DigitalOptimizer.ADAM, DigitalOptimizer.SIGN_SGD
_SEEDS = {"network_seed": 2, "batches_seed": 3}


@pytest.fixture(scope="module")
def task() -> ClassificationTask:
    return digits_task()


def _by_hand(
    kind: DigitalOptimizer, task: ClassificationTask, lr: float, steps: int
) -> tuple[list[float], list[float]]:
    """Losses and test accuracies from the update rules written out; no optimizer, no module state."""
    theta = [p.detach().clone() for p in task.make_network(2).parameters()]
    m, v = [torch.zeros_like(p) for p in theta], [torch.zeros_like(p) for p in theta]

    def logits(parameters: list[Tensor], x: Tensor) -> Tensor:
        w1, b1, w2, b2 = parameters
        return torch.tanh(x @ w1.T + b1) @ w2.T + b2

    losses, accuracies = [], []
    for t, (x, y) in enumerate(task.minibatches(8, steps, 3), start=1):
        leaves = [p.clone().requires_grad_(True) for p in theta]
        loss = -torch.log_softmax(logits(leaves, x), dim=1)[torch.arange(8), y].sum() / 8
        losses.append(float(loss.detach()))
        for k, g in enumerate(torch.autograd.grad(loss, leaves)):
            m[k] = 0.9 * m[k] + 0.1 * g
            v[k] = 0.999 * v[k] + 0.001 * g * g
            adam = m[k] / (1 - 0.9**t) / ((v[k] / (1 - 0.999**t)).sqrt() + 1e-8)
            theta[k] = theta[k] - lr * {SGD: g, ADAM: adam, SIGN: g / (g.abs() + 1e-8)}[kind]
        accuracies.append(float((logits(theta, task.test_inputs).argmax(1) == task.test_targets).double().mean()))
    return losses, accuracies


@pytest.mark.parametrize(("kind", "lr"), [(SGD, 0.3), (ADAM, 0.01), (SIGN, 0.01)])
def test_follows_the_update_rule(task: ClassificationTask, kind: DigitalOptimizer, lr: float):
    record = train_digital(kind.factory(lr), task, batch_size=8, steps=12, evaluate_every=5, **_SEEDS)
    losses, accuracies = _by_hand(kind, task, lr, 12)
    assert record.loss == pytest.approx(losses, rel=1e-9)
    assert record.accuracy_steps == (5, 10, 12)
    assert record.accuracy == pytest.approx([accuracies[4], accuracies[9], accuracies[11]], abs=1e-12)


def test_every_control_gets_the_same_number_of_trials():
    assert {len(kind.default_grid) for kind in DigitalOptimizer} == {13}


def test_same_seeds_same_run_and_each_seed_matters(task: ClassificationTask):
    def run(network_seed: int, batches_seed: int) -> tuple[float, ...]:
        seeds = {"network_seed": network_seed, "batches_seed": batches_seed}
        return train_digital(SGD.factory(0.1), task, batch_size=8, steps=3, **seeds).loss

    state = torch.get_rng_state()
    assert run(0, 0) == run(0, 0)
    assert run(1, 0) != run(0, 0) != run(0, 1)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("kind", "lr"), [(SGD, 0.5), (ADAM, 0.02)])
def test_learns_the_digits_in_well_under_a_second(task: ClassificationTask, kind: DigitalOptimizer, lr: float):
    start = time.process_time()
    record = train_digital(kind.factory(lr), task, batch_size=8, steps=100, name=kind.value, **_SEEDS)
    assert time.process_time() - start < 5.0  # 0.05 s on an idle core
    assert (record.name, record.steps, record.accuracy_steps) == (kind.value, 100, tuple(range(10, 101, 10)))
    assert record.final_accuracy > 0.8
    assert record.final_loss() < 0.8 < record.loss[0]


def test_a_diverging_run_is_recorded_not_raised(task: ClassificationTask):
    record = train_digital(SGD.factory(1e308), task, batch_size=8, steps=10, **_SEEDS)
    assert record.diverged
    assert record.steps == 10


class _Hidden(nn.Module):
    """Logits (0, w): the only parameter is w, and the class is always 1 with a soft label from the data's noise."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(x[:, 0]), self.w.expand(x.shape[0])], dim=1)


def _bernoulli() -> ClassificationTask:
    """Three ones to one zero, so the best w is log 3; held-out data that would fail if it were looked at."""
    targets = torch.tensor([0, 1, 1, 1] * 4)
    inputs = torch.zeros(16, 1, dtype=torch.float64)
    return ClassificationTask(inputs, targets, torch.zeros(0), torch.zeros(0), "coin", lambda _seed: _Hidden())


def test_search_finds_the_best_row_on_training_data_only():
    grid = (10.0, 0.01, 2.0)
    search = search_learning_rate(SGD, _bernoulli(), batch_size=16, steps=12, grid=grid, runs=2, seed=4)
    assert search.lr == 2.0
    assert not search.at_edge
    assert [trial.lr for trial in search.trials] == [0.01, 2.0, 10.0]
    for trial in search.trials:  # full batches: w -> w - lr (sigmoid(w) - 3/4), the loss is known in closed form
        w = 0.0
        for _ in range(12):
            w -= trial.lr * (1 / (1 + math.exp(-w)) - 0.75)
        loss = math.log1p(math.exp(-abs(w))) + max(w, 0.0) - 0.75 * w
        assert trial.final_losses == pytest.approx([loss] * 2, rel=1e-9)
        assert trial.score == pytest.approx(loss, rel=1e-9)


def test_search_reports_an_edge_its_seeds_and_plain_data(task: ClassificationTask):
    search = search_learning_rate(SGD, task, batch_size=8, steps=5, grid=(1e-3, 1e-2), runs=2, seed=0)
    assert search.at_edge
    assert len(set(sum(search.seeds, ()))) == 4
    assert min(sum(search.seeds, ())) > 10**6  # not seeds that a person gives to a final run
    other = search_learning_rate(SGD, task, batch_size=8, steps=5, grid=(1e-3, 1e-2), runs=2, seed=1)
    assert not set(sum(search.seeds, ())) & set(sum(other.seeds, ()))
    again = search_learning_rate(SGD, task, batch_size=8, steps=5, grid=(1e-3, 1e-2), runs=2, seed=0)
    assert dataclasses.asdict(again) == dataclasses.asdict(search)
    assert json.loads(json.dumps(search.as_dict(), allow_nan=False))["optimizer"] == "sgd"


def test_reported_seeds_reproduce_the_table(task: ClassificationTask):
    search = search_learning_rate(ADAM, task, batch_size=8, steps=12, grid=(0.003, 0.01), runs=2)
    for trial in search.trials:
        for (network_seed, batches_seed), score in zip(search.seeds, trial.final_losses, strict=True):
            network = task.make_network(network_seed)
            optimizer = torch.optim.Adam(network.parameters(), lr=trial.lr)
            for x, y in task.minibatches(8, 12, batches_seed):
                optimizer.zero_grad()
                functional.cross_entropy(network(x), y).backward()
                optimizer.step()
            whole = functional.cross_entropy(network(task.train_inputs), task.train_targets)
            assert float(whole.detach()) == pytest.approx(score, rel=1e-12)


def test_a_diverged_rate_loses_and_becomes_null(task: ClassificationTask):
    search = search_learning_rate(SGD, task, batch_size=8, steps=12, grid=(0.1, 1e308), runs=1)
    assert search.lr == 0.1
    assert search.trials[1].final_losses == (math.inf,)
    assert json.loads(json.dumps(search.as_dict(), allow_nan=False))["trials"][1]["score"] is None
    with pytest.raises(MisuseError, match="diverged at every learning rate"):
        search_learning_rate(SGD, task, batch_size=8, steps=12, grid=(1e308,), runs=1)


@pytest.mark.parametrize("kind", list(DigitalOptimizer))
def test_default_grid_has_the_best_rate_inside(task: ClassificationTask, kind: DigitalOptimizer):
    search = search_learning_rate(kind, task, batch_size=8, steps=100, runs=1)
    assert not search.at_edge
    ratios = [b / a for a, b in zip(kind.default_grid, kind.default_grid[1:], strict=False)]
    assert ratios == pytest.approx([10**0.25] * len(ratios))


def test_cross_entropy_is_the_loss_before_the_update(task: ClassificationTask):
    record = train_digital(ADAM.factory(0.5), task, batch_size=8, steps=1, **_SEEDS)
    ((x, y),) = task.minibatches(8, 1, 3)
    assert record.loss[0] == pytest.approx(
        float(functional.cross_entropy(task.make_network(2)(x), y).detach()), rel=1e-12
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"batch_size": 1401}, "batch_size = 1401"),
        ({"evaluate_every": 0}, "evaluate_every = 0"),
        ({"network_seed": -1}, "seed = -1"),
        ({"batches_seed": 0.5}, r"seed = 0\.5"),
    ],
)
def test_bad_runs_are_refused(task: ClassificationTask, change: dict[str, int], message: str):
    arguments = {"batch_size": 8, "steps": 1, **_SEEDS} | change
    with pytest.raises(MisuseError, match=message):
        train_digital(SGD.factory(0.1), task, **arguments)


def test_bad_searches_are_refused(task: ClassificationTask):
    for grid in ((), (0.0,), (0.1, math.nan), (-1.0, 1.0)):
        with pytest.raises(MisuseError, match="grid = "):
            search_learning_rate(SGD, task, batch_size=8, steps=1, grid=grid)
    for name in ("runs", "steps"):
        with pytest.raises(MisuseError, match=f"{name} = 0"):
            search_learning_rate(SGD, task, **({"batch_size": 8, "steps": 1, "grid": (0.1,)} | {name: 0}))
    with pytest.raises(MisuseError, match="lr = inf"):
        ADAM.factory(math.inf)
    with pytest.raises(MisuseError, match=r"momentum = 0\.9: adam has none to set"):
        ADAM.factory(0.1, momentum=0.9)


def test_momentum_of_sgd_by_hand():
    """v <- 0.5 v + g, p <- p - 0.2 v, from 3 with the gradients 1 and 2: steps of 0.2 and 0.5."""
    p = nn.Parameter(torch.tensor([3.0], dtype=torch.float64))
    optimizer = SGD.factory(0.2, momentum=0.5)([p])
    for gradient, wanted in ((1.0, 2.8), (2.0, 2.3)):
        p.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        assert float(p.detach()) == pytest.approx(wanted, rel=1e-14)
