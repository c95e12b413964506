"""Low-rank adapters: the formula, what is trained, the parameter count of the paper's model, streams by layer."""

import numpy as np
import pytest
import torch
from torch import nn

from tngd_hw.curvature import trainable_parameters
from tngd_hw.outcome import MisuseError
from tngd_hw.tasks.lora import LoRALinear, insert_lora


class _Attention(nn.Module):
    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.q_lin, self.k_lin, self.other = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(self.q_lin(x) * self.k_lin(x))


def test_the_formula_on_an_asymmetric_layer():
    base = nn.Linear(5, 3).double()
    layer = LoRALinear(base, rank=2, alpha=32.0, seed=4, name="x")
    with torch.no_grad():
        layer.B.copy_(torch.arange(6.0).reshape(3, 2))
    x = torch.randn(2, 7, 5, dtype=torch.float64)
    W, b, A, B = (p.detach().numpy() for p in (base.weight, base.bias, layer.A, layer.B))
    expected = x.numpy() @ W.T + b + 16.0 * (x.numpy() @ A.T) @ B.T
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    assert np.abs(A).max() <= 1 / np.sqrt(5)


def test_the_adapted_network_starts_as_the_old_one_and_trains_adapters_only():
    model, x = nn.Sequential(_Attention(), nn.Linear(4, 2)), torch.randn(3, 6)
    before = model(x)
    assert insert_lora(model, ("q_lin", "k_lin")) == ("0.q_lin", "0.k_lin")
    assert torch.equal(model(x), before)
    assert list(trainable_parameters(model)) == ["0.q_lin.A", "0.q_lin.B", "0.k_lin.A", "0.k_lin.B"]


def test_every_layer_has_its_own_stream():
    first, again, other = _Attention(), _Attention(), _Attention()
    state = torch.get_rng_state()
    insert_lora(first, ("q_lin", "k_lin"), seed=1)
    insert_lora(again, ("k_lin",), seed=1)
    insert_lora(other, ("k_lin",), seed=2)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.get_parameter("k_lin.A"), again.get_parameter("k_lin.A"))
    assert not torch.equal(first.get_parameter("k_lin.A"), first.get_parameter("q_lin.A"))
    assert not torch.equal(first.get_parameter("k_lin.A"), other.get_parameter("k_lin.A"))


def test_names_are_fitted_by_whole_parts():
    model = nn.ModuleDict({"output": nn.ModuleDict({"dense": nn.Linear(4, 4)}), "myoutput": nn.Linear(4, 4)})
    assert insert_lora(model, ("output.dense",)) == ("output.dense",)
    with pytest.raises(MisuseError, match="no linear layer"):
        insert_lora(model, ("utput",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank = 0"),
        ({"rank": 7}, "rank = 7: layer q_lin is 6 x 6"),
        ({"alpha": 0.0}, r"alpha = 0\.0"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_misuse(arguments: dict[str, float], message: str):
    with pytest.raises(MisuseError, match=message):
        insert_lora(_Attention(), ("q_lin",), **arguments)  # pyright: ignore[reportArgumentType]
