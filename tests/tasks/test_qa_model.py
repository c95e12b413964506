"""The question-answering network and task on a small encoder; BERT, DistilBERT and the model where they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qa_models import TinyEncoder, tiny_network, tiny_task
from real_data import needs_data, needs_model, needs_transformers

from tngd_hw.curvature import SplitCrossEntropy, ggn_factors, ggn_operator, loss_factors, trainable_parameters
from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import SQUAD_SAMPLE
from tngd_hw.tasks.qa_model import ExtractiveQA, load_encoder, load_tokenizer, model_folder, qa_network
from tngd_hw.tasks.qa_task import QAScores, qa_scores, qa_task
from tngd_hw.tasks.qa_windows import Plane, trimmed


def test_logits_by_hand_and_outside_the_paragraph():
    task = tiny_task()
    network, inputs = ExtractiveQA(TinyEncoder(), 8, seed=3), task.train_inputs
    logits = network(inputs).detach().reshape(len(inputs), 2, -1)
    hidden = network.encoder(*(inputs[:, plane] for plane in (0, 1, 2))).last_hidden_state.detach().numpy()
    expected = np.einsum("btw,kw->bkt", hidden, network.head_weight.detach().numpy())
    inside = inputs[:, Plane.CANDIDATE, None].bool().expand_as(logits).numpy()
    np.testing.assert_allclose(logits.numpy()[inside], expected[inside], rtol=1e-12)
    assert set(logits.numpy()[~inside]) == {-1e4}


def test_padding_changes_no_loss():
    task, network = tiny_task(), tiny_network(0)
    short, targets = trimmed(task.train_inputs[:1]), task.train_targets[:1]
    with torch.no_grad():
        found = [
            SplitCrossEntropy(2)(network(inputs), targets) for inputs in (short, torch.nn.functional.pad(short, (0, 9)))
        ]
    torch.testing.assert_close(found[0], found[1], rtol=1e-13, atol=0.0)


def test_adapters_and_head_are_trained_and_nothing_else():
    names = list(trainable_parameters(tiny_network(0)))
    layers = [f"encoder.attention.{name}_lin.{part}" for name in ("q", "k", "v", "out") for part in ("A", "B")]
    assert names == ["head_weight", "head_bias", *layers]


def test_the_operator_is_the_dense_curvature_of_start_and_end():
    network, task = tiny_network(5), tiny_task()
    with torch.no_grad():
        for layer in network.encoder.attention.values():
            layer.B.copy_(0.1 * torch.arange(16.0).reshape(8, 2).cos())
    batch = (trimmed(task.train_inputs), task.train_targets)
    operator = ggn_operator(network, SplitCrossEntropy(2), batch, damping=0.5)
    dense = ggn_factors(network, SplitCrossEntropy(2), batch)
    v = torch.randn(operator.parameter_count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = dense.ggn_matrix() @ v + 0.5 * v
    torch.testing.assert_close(operator.apply(v), expected, rtol=1e-10, atol=1e-12)
    SplitCrossEntropy(2)(network(batch[0]), batch[1]).backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in trainable_parameters(network).values()])
    torch.testing.assert_close(operator.gradient(), gradient, rtol=1e-10, atol=1e-12)


def test_scores_do_not_depend_on_how_windows_are_put_together():
    task, network = tiny_task(max_tokens=15), tiny_network(2)
    found = qa_scores(network, task)
    chosen, targets = task.test_answers
    whole = SplitCrossEntropy(2)(network(task.test_windows.inputs[chosen]), targets)
    assert found.loss == pytest.approx(float(whole.detach()), rel=1e-12)
    assert 0 <= found.exact_match <= found.f1 <= 1


def test_batches_are_as_long_as_their_longest_window():
    batches = list(tiny_task().minibatches(1, 3, 0))
    assert sorted(inputs.shape[2] for inputs, _ in batches) == [22, 22, 23]
    assert {targets.shape for _, targets in batches} == {(1, 2)}


def test_folders_without_a_model_are_refused(tmp_path: Path):
    with pytest.raises(MisuseError, match=r"no config\.json and no tokenizer\.json"):
        model_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(MisuseError, match=r"^model_dir = .*: no tokenizer\.json"):
        model_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(MisuseError, match="model of type 'gpt2'"):
        load_encoder(model_folder(tmp_path))
    with pytest.raises(MisuseError, match="max_tokens = 600: this model has positions for 512"):
        load_tokenizer(tmp_path, 600)


def _save(folder: Path, kind: str) -> None:
    """A random encoder of two layers, its tokenizer's file left empty."""
    import transformers  # pyright: ignore[reportMissingImports]

    sizes: dict[str, Any] = {"bert": {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}}
    sizes["distilbert"] = {"dim": 16, "n_heads": 2, "n_layers": 2, "hidden_dim": 32}
    config = transformers.AutoConfig.for_model(kind, vocab_size=60, **sizes[kind])
    with torch.random.fork_rng(devices=[]):
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")


@needs_transformers
@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_both_kinds_of_encoder_take_adapters_and_curvature(kind: str, tmp_path: Path):
    _save(tmp_path, kind)
    state = torch.get_rng_state()
    network = qa_network(1, tmp_path)
    assert torch.equal(state, torch.get_rng_state())
    assert len(trainable_parameters(network)) == 2 + 2 * 4 * 2
    task = tiny_task()
    inputs, targets = trimmed(task.train_inputs[:2]), task.train_targets[:2]
    operator = ggn_operator(network, SplitCrossEntropy(2), (inputs, targets), damping=1.0)
    outputs, parameters = network(inputs), list(trainable_parameters(network).values())
    rows = [torch.autograd.grad(z, parameters, retain_graph=True) for z in outputs.reshape(-1)]  # one by one
    J = torch.stack([torch.cat([piece.reshape(-1) for piece in row]) for row in rows]).double()
    H = torch.block_diag(*loss_factors(SplitCrossEntropy(2), outputs, targets).H)
    v = torch.ones(operator.parameter_count, dtype=torch.float64)
    torch.testing.assert_close(operator.apply(v), J.mT @ (H @ (J @ v)) + v, rtol=1e-4, atol=1e-5)


@needs_transformers
def test_a_broken_model_is_refused_and_no_weight_is_made_up(tmp_path: Path):
    from safetensors.torch import load_file, save_file  # pyright: ignore[reportMissingImports]

    _save(tmp_path, "bert")
    with pytest.raises(MisuseError, match=r"tokenizer\.json cannot be read"):
        load_tokenizer(tmp_path, 384)
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)
    del tensors["encoder.layer.1.attention.self.key.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(
        MisuseError, match=r"1 weights are not there, the first is encoder\.layer\.1\.attention\.self\.key"
    ):
        load_encoder(tmp_path)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(MisuseError, match="cannot be loaded"):
        load_encoder(tmp_path)
    weights.unlink()
    with pytest.raises(MisuseError, match="cannot be loaded"):
        load_encoder(tmp_path)


@needs_transformers
def test_padding_changes_no_logit_of_a_real_encoder(tmp_path: Path):
    _save(tmp_path, "bert")
    network, inputs = qa_network(1, tmp_path), trimmed(tiny_task().train_inputs[:1])
    wide = network(torch.nn.functional.pad(inputs, (0, 9))).detach().reshape(2, -1)[:, : inputs.shape[2]]
    torch.testing.assert_close(wide, network(inputs).detach().reshape(2, -1), rtol=1e-4, atol=1e-5)


@needs_model
@needs_data(SQUAD_SAMPLE)
def test_the_task_on_the_model():
    task = qa_task()
    assert task.train_inputs.shape == (581, 4, 384)
    assert len(task.test_questions) == len(task.test_answers[0]) == 124
    network = task.make_network(0)
    assert sum(p.numel() for p in trainable_parameters(network).values()) == 6 * 4 * 2 * 384 * 2 + 770 == 37_634
    for k in (0, 100, 580):  # the tokens chosen are the answer
        assert int(task.train_targets[k, 0]) <= int(task.train_targets[k, 1])
    perfect = torch.zeros(len(task.test_windows.inputs), 2, task.test_windows.inputs.shape[2], dtype=torch.float64)
    chosen, targets = task.test_answers
    perfect[chosen, 0, targets[:, 0]] = perfect[chosen, 1, targets[:, 1]] = 9.0

    class _Oracle(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            rows = [
                int((task.test_windows.inputs[:, 0, : inputs.shape[2]] == x[0]).all(dim=1).nonzero()[0]) for x in inputs
            ]
            return perfect[rows, :, : inputs.shape[2]].flatten(1)

    found = qa_scores(_Oracle(), task)
    assert isinstance(found, QAScores)
    assert found.exact_match > 0.98
    assert found.f1 > 0.99
