import itertools

import pytest
import torch
from torch import nn

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import ClassificationTask, minibatches


def _task(samples: int = 11) -> ClassificationTask:
    """Sample k has input (k, -k) and class k."""
    numbers = torch.arange(samples)
    inputs = torch.stack([numbers, -numbers], dim=1).double()
    return ClassificationTask(inputs, numbers, inputs[:2], numbers[:2], "numbers", lambda _seed: nn.Linear(2, samples))


def test_inputs_and_targets_stay_together():
    for inputs, targets in minibatches(_task(), 3, 7, seed=1):
        assert inputs.shape == (3, 2)
        assert torch.equal(inputs[:, 0], targets.double())


def test_an_epoch_is_a_permutation_without_its_remainder():
    batches = [targets.tolist() for _, targets in minibatches(_task(), 3, 9, seed=1)]
    epochs = [list(itertools.chain(*batches[k : k + 3])) for k in (0, 3, 6)]
    for epoch in epochs:
        assert len(set(epoch)) == 9
    assert epochs[0] != epochs[1] != epochs[2]


def test_every_sample_comes_up():
    seen = torch.cat([targets for _, targets in minibatches(_task(), 3, 60, seed=1)])
    assert set(seen.tolist()) == set(range(11))


def test_same_seed_same_batches_and_the_beginning_does_not_depend_on_the_end():
    state = torch.get_rng_state()
    long = [t.tolist() for _, t in minibatches(_task(), 4, 20, seed=5)]
    assert [t.tolist() for _, t in _task().minibatches(4, 6, 5)] == long[:6]
    assert [t.tolist() for _, t in minibatches(_task(), 4, 20, seed=6)] != long
    assert torch.equal(state, torch.get_rng_state())


def test_the_whole_set_as_one_batch():
    ((_, targets),) = minibatches(_task(), 11, 1, seed=0)
    assert sorted(targets.tolist()) == list(range(11))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((12, 1, 0), "batch_size = 12: the training set has 11 samples"),
        ((0, 1, 0), "batch_size = 0"),
        ((True, 1, 0), "batch_size = True"),
        ((2, 0, 0), "steps = 0"),
        ((2, 1.0, 0), r"steps = 1\.0"),
        ((2, 1, -1), "seed = -1"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_batch(arguments: tuple[int, int, int], message: str):
    with pytest.raises(MisuseError, match=message):
        minibatches(_task(), *arguments)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(MisuseError, match=r"test_targets have shape \(3,\) for test_inputs of shape \(2, 1\)"):
        ClassificationTask(
            torch.zeros(4, 1), torch.zeros(4), torch.zeros(2, 1), torch.zeros(3), "bad", lambda _seed: nn.Linear(1, 2)
        )
