"""Networks with unequal shapes everywhere, and slow loops that say what their derivatives are."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

Case = tuple[nn.Module, Tensor]


class _Tied(nn.Module):
    """One matrix used twice, transposed the second time."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.second = nn.Linear(3, 4, bias=False)
        self.third = nn.Linear(4, 3)
        self.third.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.third(self.second(torch.tanh(self.first(x))))


def _mlp() -> Case:
    return nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 4)), torch.randn(3, 5)


def _frozen() -> Case:
    model, inputs = _mlp()
    model.get_parameter("0.weight").requires_grad_(False)
    model.get_parameter("2.bias").requires_grad_(False)
    return model, inputs


def _conv() -> Case:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.SiLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(2 * 3 * 2, 4)
    )
    model.get_buffer("1.running_mean").copy_(torch.tensor([0.3, -0.7]))
    model.get_buffer("1.running_var").copy_(torch.tensor([1.7, 0.6]))
    return model.eval(), torch.randn(3, 1, 5, 4)


def _tokens() -> Case:
    model = nn.Sequential(nn.Embedding(7, 2), nn.Flatten(), nn.Linear(6, 4))
    return model, torch.tensor([[0, 1, 6], [2, 2, 3], [5, 0, 4]])


def _tied() -> Case:
    return _Tied(), torch.randn(3, 4)


_MAKERS: dict[str, Callable[[], Case]] = {
    "mlp": _mlp,
    "frozen": _frozen,
    "conv": _conv,
    "tokens": _tokens,
    "tied": _tied,
}


@pytest.fixture(params=list(_MAKERS))
def case(request: pytest.FixtureRequest) -> Case:
    """A float64 network and a batch of 3 inputs."""
    return _build(_MAKERS[request.param])


@pytest.fixture
def mlp() -> Case:
    """Linear(5, 3), tanh, Linear(3, 4) and a batch of 3 inputs."""
    return _build(_mlp)


@pytest.fixture
def jacobian_loop() -> Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]:
    """Outputs and Jacobian by reverse passes through one scalar at a time, one sample at a time."""
    return _jacobian_loop


def _build(maker: Callable[[], Case]) -> Case:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model, inputs = maker()
    return model.double(), inputs.double() if inputs.is_floating_point() else inputs


def _jacobian_loop(model: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    outputs: list[Tensor] = []
    rows: list[Tensor] = []
    for sample in inputs:
        z = model(sample[None])[0]
        outputs.append(z.detach())
        for scalar in z:
            pieces = torch.autograd.grad(scalar, parameters, retain_graph=True, materialize_grads=True)
            rows.append(torch.cat([piece.reshape(-1) for piece in pieces]))
    return torch.stack(outputs), torch.stack(rows)
