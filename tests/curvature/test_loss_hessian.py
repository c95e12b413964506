import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from tngd_hw.curvature import LossFactors, SplitCrossEntropy, loss_factors
from tngd_hw.outcome import MisuseError

Loss = Callable[[Tensor, Tensor], Tensor]


class _DoubledError(nn.MSELoss):
    """A subclass with another value: the closed form of its parent must not be used."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002
        return 2 * super().forward(input, target)


def _coupled(z: Tensor, y: Tensor) -> Tensor:
    """Convex, with full and unequal Hessian blocks: logsumexp of all outputs plus a weighted square."""
    return (torch.logsumexp(z, dim=1) + 0.5 * y * (z[:, 0] - 2 * z[:, 2]) ** 2 + (z**4).sum(dim=1)).mean()


def _outputs() -> Tensor:
    return 2.0 * torch.randn(3, 4, generator=torch.Generator().manual_seed(11), dtype=torch.float64)


_CLASSES = torch.tensor([2, 0, 3])
_REAL = torch.tensor([[0.1, 1.0, -2.0, 0.5], [3.0, 0.0, 0.2, -0.4], [0.3, 0.7, 1.1, 1.3]], dtype=torch.float64)
_CASES: dict[str, tuple[Loss, Tensor]] = {
    "cross_entropy": (nn.CrossEntropyLoss(), _CLASSES),
    "cross_entropy_int32": (nn.CrossEntropyLoss(), _CLASSES.to(torch.uint8)),
    "split_cross_entropy": (SplitCrossEntropy(2), torch.tensor([[1, 0], [0, 0], [1, 1]])),
    "squared": (nn.MSELoss(), _REAL),
    "squared_subclass": (_DoubledError(), _REAL),
    "general_cross_entropy": (functional.cross_entropy, _CLASSES),
    "label_smoothing": (lambda z, y: functional.cross_entropy(z, y, label_smoothing=0.1), _CLASSES),
    "logistic": (nn.BCEWithLogitsLoss(), torch.sigmoid(_REAL)),
    "coupled": (_coupled, torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)),
}


@pytest.fixture(params=list(_CASES))
def loss_case(request: pytest.FixtureRequest) -> tuple[Loss, Tensor, Tensor, LossFactors]:
    loss, targets = _CASES[request.param]
    z = _outputs()
    return loss, z, targets, loss_factors(loss, z, targets)


def _torch_targets(targets: Tensor) -> Tensor:
    return targets if targets.is_floating_point() else targets.long()


def _close(actual: Tensor, expected: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=atol)


def test_hessian_equals_that_of_the_whole_batch(loss_case):
    loss, z, targets, factors = loss_case
    full = torch.autograd.functional.hessian(lambda zz: loss(zz, _torch_targets(targets)), z)
    assert isinstance(full, Tensor)
    for i in range(3):
        for j in range(3):
            _close(full[i, :, j, :], factors.H[i] if i == j else torch.zeros_like(factors.H[i]))


def test_gradient_and_value_equal_those_of_the_batch(loss_case):
    loss, z, targets, factors = loss_case
    leaf = z.clone().requires_grad_(True)
    value = loss(leaf, _torch_targets(targets))
    _close(factors.r, torch.autograd.grad(value, leaf)[0].reshape(-1))
    assert factors.loss == pytest.approx(float(value.detach()), rel=1e-13)


def test_root_and_whitened_gradient(loss_case):
    _, _, _, factors = loss_case
    _close(factors.S @ factors.S.mT, factors.H)
    _close((factors.S @ factors.u.reshape(3, 4, 1)).reshape(-1), factors.r)
    for i in range(3):  # u is the shortest solution
        _close(
            factors.u.reshape(3, 4)[i], torch.linalg.pinv(factors.S[i], rtol=1e-10) @ factors.r.reshape(3, 4)[i], 1e-10
        )


def test_one_softmax_block_by_hand():
    # p = (1/2, 1/4, 1/4), y = 1, batch 2: H = (diag p - p p^T)/2, r = (p - e_1)/2; the second sample has y = 0.
    z = torch.log(torch.tensor([[2.0, 1.0, 1.0], [2.0, 1.0, 1.0]], dtype=torch.float64))
    f = loss_factors(nn.CrossEntropyLoss(), z, torch.tensor([1, 0]))
    _close(32 * f.H[0], torch.tensor([[4.0, -2.0, -2.0], [-2.0, 3.0, -1.0], [-2.0, -1.0, 3.0]]).double())
    _close(8 * f.r, torch.tensor([2.0, -3.0, 1.0, -2.0, 1.0, 1.0]).double())
    assert f.loss == pytest.approx((math.log(4) + math.log(2)) / 2, rel=1e-14)
    assert not torch.allclose(f.S[0], f.S[0].mT)  # so that a transposed S shows


def test_two_softmaxes_by_hand():
    # One sample, p = (1/2, 1/2) with y = 0 and p = (3/4, 1/4) with y = 1: the mean of log 2 and log 4.
    z = torch.tensor([[0.0, 0.0, math.log(3), 0.0]], dtype=torch.float64)
    f = loss_factors(SplitCrossEntropy(2), z, torch.tensor([[0, 1]]))
    first, second = torch.tensor([[4.0, -4.0], [-4.0, 4.0]]), torch.tensor([[3.0, -3.0], [-3.0, 3.0]])
    _close(32 * f.H[0], torch.block_diag(first, second).double())
    _close(8 * f.r, torch.tensor([-2.0, 2.0, 3.0, -3.0]).double())
    assert f.loss == pytest.approx(1.5 * math.log(2), rel=1e-14)
    with pytest.raises(MisuseError, match="parts = 0"):
        SplitCrossEntropy(0)


def test_squared_error_by_hand():
    z = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    f = loss_factors(nn.MSELoss(), z, torch.zeros(2, 3, dtype=torch.float64))
    _close(f.H, torch.eye(3).double().repeat(2, 1, 1) / 3)
    _close(f.r, torch.tensor([1.0, 2.0, 3.0, 0.0, 0.0, 0.0]).double() / 3)
    assert f.loss == pytest.approx(14 / 6)


@pytest.mark.parametrize("log10_p", [-3, -12, -100, -600])
def test_confident_mistakes_stay_finite(log10_p: int):
    gap = -log10_p * math.log(10)
    z = torch.tensor([[gap, 0.0, gap], [0.0, 1.0, 2.0]], dtype=torch.float64)
    f = loss_factors(nn.CrossEntropyLoss(), z, torch.tensor([1, 1]))
    assert all(bool(torch.isfinite(t).all()) for t in (f.H, f.S, f.r, f.u))
    _close((f.S @ f.u.reshape(2, 3, 1)).reshape(-1), f.r)
    # |u_y|^2 = 1/(2 p_y) with p_y = 10^log10_p / 2
    assert 2 * math.log10(float(f.u[:3].abs().max())) == pytest.approx(-log10_p, abs=1e-2)


def test_a_hopeless_mistake_is_named():
    z = torch.tensor([[0.0, 0.0], [2000.0, 0.0]], dtype=torch.float64)
    with pytest.raises(MisuseError, match=r"sample 1 a target probability of e\^-2000"):
        loss_factors(nn.CrossEntropyLoss(), z, torch.tensor([0, 1]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.floats(-60, 60), min_size=3, max_size=3), min_size=1, max_size=4), st.integers(0, 2))
def test_softmax_identities_for_any_logits(rows: list[list[float]], label: int):
    z = torch.tensor(rows, dtype=torch.float64)
    f = loss_factors(nn.CrossEntropyLoss(), z, torch.full((len(rows),), label))
    _close(f.S @ f.S.mT, f.H)
    _close((f.S @ f.u.reshape(-1, 3, 1)).reshape(-1), f.r)
    p = torch.softmax(z, dim=1)
    along_kernel = (f.u.reshape(-1, 3) * p.sqrt()).sum(dim=1).abs()
    assert bool((along_kernel <= 1e-12 * (1 + f.u.reshape(-1, 3).norm(dim=1))).all())


def test_float32_outputs_are_promoted():
    f = loss_factors(nn.MSELoss(), _outputs().float(), _REAL.float())
    assert {t.dtype for t in (f.H, f.S, f.r, f.u)} == {torch.float64}
    f = loss_factors(_coupled, _outputs().float(), torch.ones(3))
    assert {t.dtype for t in (f.H, f.S, f.r, f.u)} == {torch.float64}


def test_arguments_are_unchanged_and_nothing_needs_a_gradient():
    z = _outputs().requires_grad_(True)
    before = z.detach().clone()
    for loss, targets in _CASES.values():
        f = loss_factors(loss, z, targets)
        assert not any(t.requires_grad for t in (f.H, f.S, f.r, f.u))
    assert torch.equal(z.detach(), before)
    assert z.grad is None


@pytest.mark.parametrize(
    ("loss", "targets", "message"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), _CLASSES, "label_smoothing = 0.1.*callable"),
        (nn.CrossEntropyLoss(weight=torch.ones(4)), _CLASSES, "class weights"),
        (nn.CrossEntropyLoss(reduction="sum"), _CLASSES, "reduction = 'sum'"),
        (nn.CrossEntropyLoss(), torch.tensor([2, -100, 3]), "ignore_index = -100 in 1 samples"),
        (nn.CrossEntropyLoss(ignore_index=3), _CLASSES, "ignore_index = 3 in 1 samples"),
        (nn.CrossEntropyLoss(), torch.tensor([2, 0, 4]), "targets range from 0 to 4.*classes 0 to 3"),
        (nn.CrossEntropyLoss(), torch.tensor([-1, 0, 3]), "targets range from -1 to 3"),
        (nn.CrossEntropyLoss(), torch.tensor([0, 1]), r"targets have shape \(2,\).*\(3,\)"),
        (nn.CrossEntropyLoss(), torch.softmax(_REAL, dim=1), "targets have dtype torch.float64"),
        (nn.CrossEntropyLoss(), torch.tensor([True, False, True]), "targets have dtype torch.bool"),
        (SplitCrossEntropy(3), torch.zeros(3, 3).long(), r"outputs have shape \(3, 4\).*\(batch, 3 \* classes\)"),
        (SplitCrossEntropy(2), _CLASSES, r"targets have shape \(3,\).*\(3, 2\)"),
        (SplitCrossEntropy(2), torch.tensor([[0, 1], [2, 0], [0, 0]]), "targets range from 0 to 2.*classes 0 to 1"),
        (nn.MSELoss(reduction="sum"), _REAL, "reduction = 'sum'"),
        (nn.MSELoss(), _REAL[:, :1], r"targets have shape \(3, 1\).*\(3, 4\)"),
        (nn.MSELoss(), _REAL.long(), "targets have shape .* torch.int64"),
        (nn.MSELoss(), _REAL / torch.tensor([1.0, 0.0, 1.0, 1.0]), "targets hold NaN or infinity"),
        (lambda z, y: functional.mse_loss(z, y, reduction="sum"), _REAL, "not a sum"),
        (lambda z, y: functional.mse_loss(z, y, reduction="none"), _REAL, "must return a scalar"),
        (lambda z, _y: -(z**2).mean(), _REAL, r"negative eigenvalue -0\.166667 at sample"),
        (nn.L1Loss(), _REAL, "gradient outside the range of its Hessian"),
        (lambda z, _y: (z - z).mean() / (z - z).mean(), _REAL, "not finite"),
        (lambda z, _y: (z**2).mean() * z.sum() ** 2, _REAL, "mean over its samples"),
        (lambda z, _y: z.mean().item(), _REAL, "cannot be differentiated twice"),
        (functional.cross_entropy, torch.tensor([0, 1]), r"targets have shape \(2,\)"),
    ],
)
def test_unfit_losses_and_targets_are_refused(loss: Loss, targets: Tensor, message: str):
    with pytest.raises(MisuseError, match=message):
        loss_factors(loss, _outputs(), targets)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (torch.zeros(3).double(), r"outputs have shape \(3,\)"),
        (torch.zeros(0, 4).double(), r"outputs have shape \(0, 4\)"),
        (torch.zeros(3, 4, dtype=torch.int64), "torch.int64"),
        (torch.full((3, 4), torch.inf).double(), "outputs hold NaN or infinity"),
    ],
)
def test_unfit_outputs_are_refused(outputs: Tensor, message: str):
    with pytest.raises(MisuseError, match=message):
        loss_factors(nn.CrossEntropyLoss(), outputs, _CLASSES)


def test_flat_losses_within_rounding_are_repaired_not_refused():
    # One output direction has no curvature at all; rounding makes its eigenvalue +-1e-17, which must count as zero.
    def along(z: Tensor, _y: Tensor) -> Tensor:
        return ((z @ torch.tensor([0.1, 0.2, 0.3, 0.7], dtype=torch.float64)) ** 2).mean()

    f = loss_factors(along, _outputs(), _REAL)
    _close(f.S @ f.S.mT, f.H)
    assert float(f.u.abs().max()) < 10.0
