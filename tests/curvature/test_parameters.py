import pytest
import torch
from torch import nn

from tngd_hw.curvature import flatten_parameters, trainable_parameters, unflatten_like
from tngd_hw.outcome import MisuseError


def _model() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]))
        model[0].bias.copy_(torch.tensor([6.0, 7.0, 8.0]))
        model[1].weight.copy_(torch.tensor([[9.0, 10.0, 11.0]]))
        model[1].bias.copy_(torch.tensor([12.0]))
    return model


def test_order_is_named_parameters_flattened_row_by_row():
    assert flatten_parameters(_model()).tolist() == [float(k) for k in range(13)]


def test_frozen_parameters_are_left_out():
    model = _model()
    model[0].weight.requires_grad_(False)
    assert list(trainable_parameters(model)) == ["0.bias", "1.weight", "1.bias"]
    assert flatten_parameters(model).tolist() == [float(k) for k in range(6, 13)]


def test_unflatten_inverts_flatten_for_c_and_fortran_memory_layouts():
    model = _model()
    model[0].weight = nn.Parameter(model[0].weight.detach().T.contiguous().T)
    for name, piece in unflatten_like(flatten_parameters(model), model).items():
        assert torch.equal(piece, model.get_parameter(name))


def test_pieces_are_copies_in_the_parameters_dtype():
    model = _model().float()
    vector = torch.arange(13, dtype=torch.float64)
    pieces = unflatten_like(vector, model)
    pieces["0.weight"].zero_()
    assert vector.tolist() == [float(k) for k in range(13)]
    assert {piece.dtype for piece in pieces.values()} == {torch.float32}
    flatten_parameters(model).zero_()
    assert float(model[1].bias.detach()) == 12.0


@pytest.mark.parametrize("vector", [torch.zeros(12), torch.zeros(1, 13), torch.zeros(13, dtype=torch.int64)])
def test_vectors_that_do_not_fit_are_refused(vector: torch.Tensor):
    with pytest.raises(MisuseError, match=r"vector has shape .* needs shape \(13,\)"):
        unflatten_like(vector, _model())


def test_nothing_to_train_is_refused():
    with pytest.raises(MisuseError, match="requires_grad"):
        flatten_parameters(_model().requires_grad_(False))
    with pytest.raises(MisuseError, match="requires_grad"):
        flatten_parameters(nn.Tanh())


def test_complex_parameters_are_refused():
    with pytest.raises(MisuseError, match=r"weight has dtype torch\.complex64"):
        trainable_parameters(nn.Linear(2, 1, dtype=torch.complex64))
