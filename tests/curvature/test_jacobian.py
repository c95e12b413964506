import copy

import pytest
import torch
from torch import Tensor, nn

from tngd_hw.curvature import output_jacobian
from tngd_hw.outcome import MisuseError


def test_equals_the_loop_over_samples_and_outputs(case, jacobian_loop):
    model, inputs = case
    outputs, J = output_jacobian(model, inputs)
    expected_outputs, expected = jacobian_loop(model, inputs)
    torch.testing.assert_close(outputs, expected_outputs, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(J, expected, rtol=1e-12, atol=1e-13)
    assert J.shape == (outputs.numel(), sum(p.numel() for p in model.parameters() if p.requires_grad))


def test_rows_and_columns_by_hand():
    # z_a = sum_b W_ab x_b + c_a, so dz_a/dW_ab = x_b: samples outer, outputs inner; weight row by row, then bias.
    model = nn.Linear(2, 3).double()
    outputs, J = output_jacobian(model, torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64))
    assert outputs.shape == (2, 3)
    assert J.tolist() == [
        [1, 2, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 1, 2, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 2, 0, 0, 1],
        [3, 4, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 3, 4, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 3, 4, 0, 0, 1],
    ]


def test_leaves_no_trace(case):
    model, inputs = case
    state, inputs_before, rng = copy.deepcopy(model.state_dict()), inputs.clone(), torch.get_rng_state()
    first = output_jacobian(model, inputs)[1]
    second = output_jacobian(model, inputs)[1]
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(inputs, inputs_before)
    assert torch.equal(rng, torch.get_rng_state())


def test_a_buffer_written_in_the_forward_pass_is_not_the_models_own():
    class Counting(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 2, dtype=torch.float64)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            self.get_buffer("calls").add_(1)
            return super().forward(input)

    model = Counting()
    assert output_jacobian(model, torch.ones(3, 2, dtype=torch.float64))[1].shape == (6, 6)
    assert float(model.get_buffer("calls")) == 0.0


def test_float32_model_gives_float64_factors_of_float32_accuracy(mlp):
    model, inputs = mlp
    exact = output_jacobian(model, inputs)[1]
    outputs, J = output_jacobian(model.float(), inputs.float())
    assert outputs.dtype == J.dtype == torch.float64
    error = float((J - exact).abs().max() / exact.abs().max())
    assert 0 < error < 1e-6


def test_a_float32_jacobian_that_is_not_promoted_holds_the_same_numbers(mlp):
    model, inputs = mlp
    outputs, J = output_jacobian(model.float(), inputs.float(), promote=False)
    assert (outputs.dtype, J.dtype) == (torch.float64, torch.float32)
    assert torch.equal(J.double(), output_jacobian(model, inputs.float())[1])


@pytest.mark.parametrize("samples", [1, 2])
def test_samples_in_blocks_give_the_rows_of_the_whole_batch(case, samples, monkeypatch):
    model, inputs = case
    outputs, J = output_jacobian(model, inputs)
    entries = J.numel() // len(inputs)
    monkeypatch.setattr("tngd_hw.curvature.jacobian._BLOCK_ENTRIES", samples * entries + 1)
    found = output_jacobian(model, inputs)
    torch.testing.assert_close(found[0], outputs, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(found[1], J, rtol=1e-12, atol=1e-13)


def _mlp_with(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), *layers).double()


class _Center(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=0)


class _Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.zeros_like(x).bernoulli_(0.5)


class _Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class _Argmax(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.argmax(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.BatchNorm1d(4), r"layer 1 \(BatchNorm1d\) normalises over the batch.*model.eval"),
        (nn.BatchNorm1d(4, track_running_stats=False).eval(), "normalises over the batch"),
        (nn.Dropout(0.1), r"layer 1 \(Dropout\) draws random numbers"),
        (_Center(), "differ by .* between a sample alone and in its batch"),
        (_Noise(), "cannot be differentiated sample by sample"),
        (_Pair(), "returns a tuple"),
        (_Argmax(), "outputs have dtype torch.int64"),
        (nn.Unflatten(1, (2, 2)), r"outputs have shape \(3, 2, 2\).*Flatten"),
        (nn.Flatten(0), r"outputs have shape \(12,\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_unfit_models_are_refused(layer: nn.Module, message: str):
    with pytest.raises(MisuseError, match=message):
        output_jacobian(_mlp_with(layer), torch.randn(3, 5, generator=torch.Generator().manual_seed(1)).double())


@pytest.mark.parametrize("layer", [nn.Dropout(0.0), nn.Dropout(0.5).eval(), nn.BatchNorm1d(4).eval()])
def test_harmless_layers_are_accepted(layer: nn.Module):
    assert output_jacobian(_mlp_with(layer), torch.ones(3, 5).double())[1].shape[0] == 12


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.full((3, 5), torch.nan).double(), "inputs hold 15 values that are NaN or infinite"),
        (torch.tensor([[1.0, 2.0, torch.inf, 0.0, 0.0]]).double(), "inputs hold 1 values"),
        (torch.ones(3, 5), r"inputs have dtype torch.float32, the parameters torch.float64.*inputs.to"),
        (torch.ones(3, 5, dtype=torch.complex128), "inputs have dtype torch.complex128"),
        (torch.ones(0, 5).double(), r"inputs have shape \(0, 5\)"),
        (torch.tensor(1.0).double(), r"inputs have shape \(\)"),
        (torch.ones(3, 6).double(), r"inputs of shape \(3, 6\) are refused by the model \(.*shapes"),
    ],
)
def test_bad_inputs_are_refused(inputs: Tensor, message: str):
    with pytest.raises(MisuseError, match=message):
        output_jacobian(_mlp_with(), inputs)


def test_diverged_parameters_are_named():
    model = _mlp_with()
    with torch.no_grad():
        model.get_parameter("0.bias").fill_(torch.nan)
    with pytest.raises(MisuseError, match="model outputs hold NaN"):
        output_jacobian(model, torch.ones(3, 5).double())
