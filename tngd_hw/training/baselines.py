"""Digital controls: first-order optimizers on the same task, network and batches, with an honest learning rate."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.outcome import MisuseError
from tngd_hw.random import check_seed, derived_seed
from tngd_hw.training.record import TrainingRecord, TrainingTask, accuracy, check_count, evaluation_steps

__all__ = [
    "DigitalOptimizer",
    "LearningRateSearch",
    "LearningRateTrial",
    "MakeOptimizer",
    "gradient_step",
    "search_learning_rate",
    "train_digital",
]

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class DigitalOptimizer(enum.Enum):
    """The controls.  The value is the name used in tables and JSON."""

    SGD = "sgd"
    ADAM = "adam"
    SIGN_SGD = "sign-sgd"

    @property
    def default_grid(self) -> tuple[float, ...]:
        """Learning rates to try, four a decade."""
        low, high = _GRID_QUARTER_DECADES[self]
        return tuple(10.0 ** (k / 4) for k in range(low, high + 1))

    def factory(self, lr: float, *, momentum: float = 0.0) -> MakeOptimizer:
        """A maker of this optimizer with learning rate ``lr`` and torch's other defaults.

        ``momentum`` is that of SGD, v <- momentum v + g, step lr v.

        SIGN_SGD is Adam with betas (0, 0): lr g/(|g| + 1e-8) entry by entry.
        """
        if not (math.isfinite(lr) and lr > 0):
            raise MisuseError(f"lr = {lr!r}: a learning rate is a finite number above 0, for example 0.1")
        if momentum and self is not DigitalOptimizer.SGD:
            raise MisuseError(f"momentum = {momentum!r}: {self.value} has none to set; leave it out, or use sgd")
        match self:
            case DigitalOptimizer.SGD:
                return lambda parameters: torch.optim.SGD(parameters, lr=lr, momentum=momentum)
            case DigitalOptimizer.ADAM:
                return lambda parameters: torch.optim.Adam(parameters, lr=lr)
            case DigitalOptimizer.SIGN_SGD:
                return lambda parameters: torch.optim.Adam(parameters, lr=lr, betas=(0.0, 0.0))


_GRID_QUARTER_DECADES: Final = {
    DigitalOptimizer.SGD: (-10, 2),
    DigitalOptimizer.ADAM: (-14, -2),
    DigitalOptimizer.SIGN_SGD: (-16, -4),
}
"""Thirteen rates each: nobody gets more trials than another."""


@dataclass(frozen=True)
class LearningRateTrial:
    """One row of a search.

    Attributes:
        lr: The learning rate.
        final_losses: Loss over the whole training set after the last step, one entry a search run; infinite where the
            run diverged.
    """

    lr: float
    final_losses: tuple[float, ...]

    @property
    def score(self) -> float:
        """Mean of ``final_losses``: what the search minimises."""
        return sum(self.final_losses) / len(self.final_losses)


@dataclass(frozen=True)
class LearningRateSearch:
    """A learning rate and the whole table it was chosen from.

    Attributes:
        kind: The optimizer.
        lr: The learning rate with the lowest score.
        trials: All rows, by increasing learning rate.
        seeds: The (network, batches) seeds of the search runs; every learning rate saw the same ones.
        batch_size: Samples a step.
        steps: Updates in each run.
    """

    kind: DigitalOptimizer
    lr: float
    trials: tuple[LearningRateTrial, ...]
    seeds: tuple[tuple[int, int], ...]
    batch_size: int
    steps: int

    @property
    def at_edge(self) -> bool:
        """True if the best of several rates is the smallest or largest tried: a wider grid might do better."""
        return len(self.trials) > 1 and self.lr in (self.trials[0].lr, self.trials[-1].lr)

    def as_dict(self) -> dict[str, object]:
        """Plain data for a report; a score that is not finite (a diverged run) becomes None."""
        return {
            "optimizer": self.kind.value,
            "lr": self.lr,
            "at_edge": self.at_edge,
            "trials": [{"lr": t.lr, "score": t.score if math.isfinite(t.score) else None} for t in self.trials],
            "seeds": [list(pair) for pair in self.seeds],
            "batch_size": self.batch_size,
            "steps": self.steps,
        }


def train_digital(
    make_optimizer: MakeOptimizer,
    task: TrainingTask,
    *,
    network_seed: int,
    batches_seed: int,
    batch_size: int,
    steps: int,
    evaluate_every: int = 10,
    name: str = "digital",
) -> TrainingRecord:
    """Train a fresh network with a torch optimizer on cross-entropy.

    The network and the batches depend only on their seeds, so a run with another method and the same seeds sees the
    same ones.  torch's global random state is not touched.

    Args:
        make_optimizer: From the network's parameters to the optimizer, as ``DigitalOptimizer.SGD.factory(0.1)``.
        task: Data, network and batches.
        network_seed: Seed of the initial parameters.
        batches_seed: Seed of the order of the samples.
        batch_size: Samples a step.
        steps: Number of updates.
        evaluate_every: Held-out accuracy is taken every so many updates and after the last.
        name: Name of the record.

    Returns:
        Loss of every mini-batch before its update, and the held-out accuracies.

    Raises:
        MisuseError: A count below 1 or a bad seed.

    Cost: one forward and backward pass a step, about 0.4 ms for the digits network.
    """
    evaluations = frozenset(evaluation_steps(steps, evaluate_every))
    network = task.make_network(network_seed)
    losses: list[float] = []
    accuracies: list[float] = []
    for loss in _descend(network, make_optimizer, task.minibatches(batch_size, steps, batches_seed)):
        losses.append(loss)
        if len(losses) in evaluations:
            accuracies.append(accuracy(network, task.test_inputs, task.test_targets))
    return TrainingRecord(name, tuple(losses), tuple(accuracies), tuple(sorted(evaluations)))


def search_learning_rate(
    kind: DigitalOptimizer,
    task: TrainingTask,
    *,
    batch_size: int,
    steps: int,
    grid: Sequence[float] | None = None,
    runs: int = 5,
    seed: int = 0,
) -> LearningRateSearch:
    """Choose a learning rate by short training runs on a logarithmic grid.

    The score is the loss over the whole training set after the last step, averaged over ``runs`` runs; held-out data is
    never looked at.  (The loss of the last few mini-batches would favour rates that fit a batch and forget the rest.)
    The runs' seeds are hashes of ``seed`` and the run's number, of 63 bits, so they are not those of
    a final run made with user-chosen seeds.

    Args:
        kind: Which optimizer.
        task: Data, network and batches.
        batch_size: As in the final run.
        steps: As in the final run: the best rate depends on the length.
        grid: Rates to try; by default the optimizer's own.
        runs: Search runs for every rate; each rate sees the same networks and batches.
        seed: Seed of the search.

    Returns:
        The chosen rate with the whole table.

    Raises:
        MisuseError: A bad grid, count or seed, or every rate diverged.

    Cost: len(grid) * runs trainings.
    """
    rates = _check_grid(kind.default_grid if grid is None else grid)
    numbers = range(check_count(runs, "runs"))
    base = check_seed(seed)
    seeds = tuple(
        (derived_seed(base, "lr-search.network", i), derived_seed(base, "lr-search.batches", i)) for i in numbers
    )

    def final_loss(lr: float, network_seed: int, batches_seed: int) -> float:
        network, batches = task.make_network(network_seed), task.minibatches(batch_size, steps, batches_seed)
        for _ in _descend(network, kind.factory(lr), batches):
            pass
        with torch.no_grad():
            score = float(functional.cross_entropy(network(task.train_inputs), task.train_targets))
        return score if math.isfinite(score) else math.inf

    trials = tuple(LearningRateTrial(lr, tuple(final_loss(lr, *pair) for pair in seeds)) for lr in rates)
    best = min(trials, key=lambda trial: trial.score)
    if not math.isfinite(best.score):
        raise MisuseError(f"grid = {rates}: training diverged at every learning rate; try smaller ones")
    return LearningRateSearch(kind, best.lr, trials, seeds, batch_size, steps)


def gradient_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
) -> float:
    """One update along the plain gradient of ``loss(network(inputs), targets)``; the loss before it."""
    optimizer.zero_grad()
    value = loss(network(batch[0]), batch[1])
    value.backward()
    optimizer.step()
    return float(value.detach())


def _descend(
    network: nn.Module, make_optimizer: MakeOptimizer, batches: Iterable[tuple[Tensor, Tensor]]
) -> Iterator[float]:
    """Update the network batch by batch; yields each mini-batch loss, taken before the update, after the update."""
    optimizer = make_optimizer(network.parameters())
    for inputs, targets in batches:
        yield gradient_step(network, optimizer, functional.cross_entropy, (inputs, targets))


def _check_grid(grid: Sequence[float]) -> tuple[float, ...]:
    rates = tuple(sorted(set(grid)))
    if not rates or not all(math.isfinite(lr) and lr > 0 for lr in rates):
        raise MisuseError(f"grid = {tuple(grid)}: give at least one learning rate, each a finite number above 0")
    return rates
