"""AdaFisher against a loop over samples in numpy, and its state through checkpoints."""

import dataclasses

import numpy as np
import pytest
import torch
from small_network import small_case
from torch import nn

from tngd_hw.curvature import Fisher, flatten_parameters, kfac_diagonals, kfac_factors
from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import digits_task
from tngd_hw.training import TNGD, AdaFisherMethod, Checkpoint, LevenbergMarquardt, train_tngd

LOSS = nn.CrossEntropyLoss()
GAMMA, BETA, LAMBDA, RATE = 0.8, 0.7, 0.05, 0.03


def spread(v):
    return (v - v.min()) / (v.max() - v.min())


def by_hand(theta, batches, *, gamma=GAMMA):
    """2 - tanh 3 - 4 network of small_case: every sample on its own, three steps; W by rows, then b, layer by layer."""
    W1, b1, W2, b2 = (theta[a:b].copy() for a, b in ((0, 6), (6, 9), (9, 21), (21, 25)))
    W1, W2 = W1.reshape(3, 2), W2.reshape(4, 3)
    H, S, m = [np.zeros(3), np.zeros(4)], [np.zeros(3), np.zeros(4)], np.zeros(25)
    for t, (x, y) in enumerate(batches, start=1):
        new_H, new_S, g = [np.zeros(3), np.zeros(4)], [np.zeros(3), np.zeros(4)], np.zeros(25)
        for a0, target in zip(x, y, strict=True):
            a1 = np.tanh(W1 @ a0 + b1)
            z = W2 @ a1 + b2
            p = np.exp(z) / np.exp(z).sum()
            s2 = p - np.eye(4)[target]
            s1 = (W2.T @ s2) * (1 - a1**2)
            for k, (a, s) in enumerate(((np.append(a0, 1), s1), (np.append(a1, 1), s2))):
                new_H[k] += a**2 / len(x)
                new_S[k] += s**2 / len(x)
            g += np.concatenate([np.outer(s1, a0).ravel(), s1, np.outer(s2, a1).ravel(), s2]) / len(x)
        m = BETA * m + (1 - BETA) * g
        F = []
        for k in (0, 1):
            H[k] = gamma * H[k] + (1 - gamma) * new_H[k]
            S[k] = gamma * S[k] + (1 - gamma) * new_S[k]
            whole = np.outer(spread(S[k]), spread(H[k])) + LAMBDA
            F += [whole[:, :-1].ravel(), whole[:, -1]]
        step = -RATE * m / (1 - BETA**t) / np.concatenate(F)
        W1, b1 = W1 + step[:6].reshape(3, 2), b1 + step[6:9]
        W2, b2 = W2 + step[9:21].reshape(4, 3), b2 + step[21:]
    return np.concatenate([W1.ravel(), b1, W2.ravel(), b2])


def three_batches():
    generator = torch.Generator().manual_seed(8)
    targets = torch.tensor([[2, 0, 3], [1, 1, 0], [3, 2, 1]])
    return [(torch.randn(3, 2, generator=generator, dtype=torch.float64), row) for row in targets]


def test_three_steps_are_those_of_the_loop_over_samples():
    model, _ = small_case()
    start = flatten_parameters(model).numpy()
    optimizer = TNGD(model.parameters(), AdaFisherMethod(GAMMA, BETA), lr=RATE, damping=LAMBDA)
    batches = three_batches()
    found = [optimizer.update(model, LOSS, batch) for batch in batches]
    moved = flatten_parameters(model).numpy() - start
    plain = [(x.numpy(), y.numpy()) for x, y in batches]
    expected = by_hand(start, plain) - start
    assert np.linalg.norm(moved - expected) < 1e-12 * np.linalg.norm(expected)
    other = by_hand(start, plain, gamma=1.05 * GAMMA) - start  # the comparison can fail
    assert np.linalg.norm(other - expected) > 1e-3 * np.linalg.norm(expected)
    assert found[-1].state.shape == (1 + (3 + 3) + (4 + 4) + 25,)
    assert float(found[-1].state[0]) == 3


@pytest.mark.parametrize("fisher", [Fisher.EMPIRICAL, Fisher.TRUE])
def test_the_diagonals_are_those_of_the_factors(fisher):
    """A convolution, so that a sample has several rows; an embedding; a layer without bias."""
    torch.manual_seed(0)
    convolution = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3, bias=False)).double()
    words = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 3)).double()
    cases = (
        (convolution, torch.randn(4, 1, 3, 3, dtype=torch.float64)),
        (words, torch.randint(0, 5, (4, 3))),
    )
    for model, inputs in cases:
        batch = (inputs, torch.tensor([0, 2, 1, 1]))
        found, factors = (kind(model, LOSS, batch, fisher=fisher) for kind in (kfac_diagonals, kfac_factors))
        for h, s, block in zip(found.H, found.S, factors.blocks, strict=True):
            torch.testing.assert_close(h, block.A.diagonal())
            torch.testing.assert_close(s, block.G.diagonal())
        assert torch.equal(found.gradient(), factors.gradient())
        assert found.loss == factors.loss
        dense = factors.vector([torch.outer(b.G.diagonal(), b.A.diagonal()) for b in factors.blocks])
        torch.testing.assert_close(found.outer(found.H, found.S), dense)


def test_the_scale_of_the_loss_and_of_the_averages_cancels():
    """From zero and uncorrected: after one step the decay does not matter."""
    model, batch = small_case()
    slow, fast = (
        AdaFisherMethod(decay).natural_gradient(model, LOSS, batch, damping=LAMBDA).direction for decay in (0.99, 0.0)
    )
    torch.testing.assert_close(slow, fast, rtol=1e-12, atol=0)


def test_a_layer_with_one_output_divides_by_its_inputs_alone():
    model = nn.Linear(2, 1).double()
    batch = (torch.tensor([[1.0, 3.0], [2.0, -1.0]], dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64))
    found = AdaFisherMethod().natural_gradient(model, nn.MSELoss(), batch, damping=LAMBDA)
    moments = np.array([2.5, 5.0, 1.0])
    expected = found.gradient.numpy() / (spread(moments) + LAMBDA)
    np.testing.assert_allclose(found.direction.numpy(), expected, rtol=1e-12)
    v = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    np.testing.assert_allclose(found.curvature(v).numpy(), spread(moments) * v.numpy(), rtol=1e-12)


def test_a_run_from_a_checkpoint_has_the_same_bits(tmp_path):
    def run(steps, file=None):
        return train_tngd(
            lambda parameters: TNGD(parameters, AdaFisherMethod(), lr=1e-2, damping=1e-2),
            digits_task(),
            network_seed=1,
            batches_seed=2,
            batch_size=8,
            steps=steps,
            checkpoint=None if file is None else Checkpoint(file, every=2),
            evaluate_every=6,
            observe=stop if file is not None and not file.exists() else None,
        )

    def stop(step, _found, _accuracy):
        if step == 3:
            raise KeyboardInterrupt

    whole, file = run(6), tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        run(6, file)
    resumed = run(6, file)
    assert resumed.loss == whole.loss
    assert resumed.accuracy == whole.accuracy


def test_it_descends_and_levenberg_marquardt_adapts_its_damping():
    model, batch = small_case()
    optimizer = TNGD(
        model.parameters(), AdaFisherMethod(), lr=0.05, damping=LAMBDA, levenberg_marquardt=LevenbergMarquardt()
    )
    losses = [optimizer.update(model, LOSS, batch).loss for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]
    assert optimizer.damping != LAMBDA


def test_misuse_is_named():
    with pytest.raises(MisuseError, match=r"decay = 1\.0: give a number from 0 to below 1"):
        AdaFisherMethod(decay=1.0)
    with pytest.raises(MisuseError, match="momentum = nan"):
        dataclasses.replace(AdaFisherMethod(), momentum=float("nan"))
    model, batch = small_case()
    with pytest.raises(MisuseError, match="the state is another model's"):
        AdaFisherMethod().natural_gradient(model, LOSS, batch, damping=0.1, state=torch.zeros(4, dtype=torch.float64))
    with pytest.raises(MisuseError, match="damping = 0"):
        AdaFisherMethod().natural_gradient(model, LOSS, batch, damping=0.0)
