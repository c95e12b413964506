"""K-FAC on a digital computer and from two circuits a layer: against numpy's dense filters."""

import numpy as np
import pytest
import torch
from small_network import DAMPING, small_case
from torch import Tensor, nn

from tngd_hw.curvature import Fisher, KFACBlock, KFACDamping, kfac_factors
from tngd_hw.engines import Behavioral, Ideal, Ngspice, StateSpace
from tngd_hw.hardware import HardwareSpec, presets
from tngd_hw.outcome import MisuseError, OutcomeError
from tngd_hw.topologies import manufacture
from tngd_hw.training import (
    TNGD,
    AnalogSolver,
    AnalogStart,
    KFACChip,
    KFACForm,
    KFACMethod,
    LevenbergMarquardt,
    kfac_solve,
)

LOSS = nn.CrossEntropyLoss()
NODES = 4  # the layers are 3 <- 2 + 1 and 4 <- 3 + 1


def solver(t=5.0, engine=None, nodes=NODES, hardware=None, **options):
    return AnalogSolver(manufacture("integrator", nodes, hardware or presets.ideal()), engine or Ideal(), t, **options)


def filtered(X, t):
    """(1 - e^(-X t)) X^-1."""
    mu, Q = np.linalg.eigh(X)
    return Q @ np.diag(1 / mu if np.isinf(t) else -np.expm1(-mu * t) / mu) @ Q.T


def answer(block, t):
    """F_G(t) V F_A(t) of the factors at one scale, in numpy."""
    A, G = block.A.numpy(), block.G.numpy()
    pi = np.sqrt(np.trace(A) / len(A) / (np.trace(G) / len(G)))
    A_d = A / pi + np.sqrt(DAMPING) * np.eye(len(A))
    G_d = G * pi + np.sqrt(DAMPING) * np.eye(len(G))
    return filtered(G_d, t) @ block.V.numpy() @ filtered(A_d, t)


def flat(matrices):
    """Weight by rows, then bias, layer after layer."""
    return np.concatenate([piece for X in matrices for piece in (X[:, :-1].ravel(), X[:, -1])])


def gap(found, expected):
    return np.linalg.norm(found.direction.numpy() - expected) / np.linalg.norm(expected)


def filled(model):
    return torch.cat([p.grad.reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("t", [0.5, 5.0])
@pytest.mark.parametrize("engine", [Ideal(), Behavioral(), StateSpace()], ids=lambda e: e.name)
def test_two_circuits_give_a_filter_on_either_side_of_the_gradient(engine, t):
    model, batch = small_case()
    blocks = kfac_factors(model, LOSS, batch).blocks
    found = KFACChip(solver(t, engine)).natural_gradient(model, LOSS, batch, damping=DAMPING)
    assert gap(found, flat([answer(block, t) for block in blocks])) < 1e-9
    assert gap(found, flat([answer(block, 1.05 * t) for block in blocks])) > 1e-3
    assert torch.equal(filled(model), found.direction)
    model.zero_grad()
    LOSS(model(batch[0]), batch[1]).backward()
    torch.testing.assert_close(found.gradient, filled(model), rtol=1e-12, atol=1e-14)


@pytest.mark.ngspice
def test_ngspice_runs_one_right_hand_side_after_the_other():
    block = random_block()
    found = kfac_solve(solver(0.7, Ngspice()), block, damping=DAMPING)
    expected = answer(block, 0.7)
    assert np.linalg.norm(found.X.numpy() - expected) < 1e-4 * np.linalg.norm(expected)
    assert (len(found.first), len(found.second)) == (2, 3)
    assert len({solve.trajectory.seed for solve in found.first + found.second}) == 5


def wide_case():
    """Two samples: the convolution has 4 rows for 5 columns, the linear layers have 2 for 7 and for 4."""
    generator = torch.Generator().manual_seed(4)
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 4))
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model, (torch.randn(2, 1, 2, 3, generator=generator, dtype=torch.float64), torch.tensor([3, 1]))


@pytest.mark.parametrize("t", [0.5, 5.0])
@pytest.mark.parametrize("engine", [Ideal(), StateSpace()], ids=lambda e: e.name)
def test_the_dual_form_is_the_same_filter_from_one_node_a_row(engine, t):
    model, batch = wide_case()
    blocks = kfac_factors(model, LOSS, batch).blocks
    form = KFACForm.DUAL
    found = KFACChip(solver(t, engine), form=form).natural_gradient(model, LOSS, batch, damping=DAMPING)
    expected = torch.cat([pieces(answer(block, t)) for block in blocks]).numpy()
    assert gap(found, expected) < 1e-9
    assert gap(found, torch.cat([pieces(answer(block, 1.05 * t)) for block in blocks]).numpy()) > 1e-3
    used = [(pair.first[0].estimate.value.shape, pair.second[0].estimate.value.shape) for pair in found.solves]
    assert used == [((4, 3), (3, 4)), ((2, 3), (3, 2)), ((2, 4), (4, 2))]
    assert all(solve.engine_s > 0 < solve.processor_s for pair in found.solves for solve in pair.first + pair.second)


def pieces(X):
    """Weight by rows, then bias."""
    return torch.from_numpy(np.concatenate([X[:, :-1].ravel(), X[:, -1]]))


def test_the_rows_of_a_batch_are_kept_where_they_are_fewer_than_the_inputs():
    model, batch = wide_case()
    for block in kfac_factors(model, LOSS, batch).blocks:
        torch.testing.assert_close(block.rows.a.T @ block.rows.a / len(block.rows.a), block.A, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(block.rows.g.T @ block.rows.a, block.V, rtol=1e-12, atol=1e-14)
        with pytest.raises(MisuseError, match="damping = 0"):
            block.damped_dual_factor(0.0)
    many, large = small_case()  # 3 rows for 3 inputs, and for 4
    assert [block.rows is None for block in kfac_factors(many, LOSS, large).blocks] == [True, False]
    plain = random_block()
    assert plain.damped_dual_factor(DAMPING) is None
    both = [kfac_solve(solver(), plain, damping=DAMPING, form=form).X for form in KFACForm]
    assert torch.equal(*both)


def test_a_long_time_gives_the_digital_answer():
    model, batch = small_case()
    chip = KFACChip(solver(150.0)).natural_gradient(model, LOSS, batch, damping=DAMPING)
    digital = KFACMethod().natural_gradient(model, LOSS, batch, damping=DAMPING)
    assert torch.equal(filled(model), digital.direction)
    expected = flat([answer(block, np.inf) for block in chip.factors.blocks])
    assert gap(digital, expected) < 1e-12
    assert gap(chip, expected) < 1e-9
    v = torch.linspace(-1, 2, len(expected), dtype=torch.float64)
    assert torch.equal(chip.curvature(v), digital.curvature(v))
    other = KFACMethod(KFACDamping.EXACT, Fisher.EMPIRICAL).natural_gradient(model, LOSS, batch, damping=DAMPING)
    factors = kfac_factors(model, LOSS, batch, fisher=Fisher.EMPIRICAL)
    assert torch.equal(other.direction, factors.direction(DAMPING, KFACDamping.EXACT))
    assert gap(other, expected) > 0.01


def test_it_uses_one_die_for_one_run_a_row_and_a_column():
    model, batch = small_case()
    plan = solver()
    found = KFACChip(plan).natural_gradient(model, LOSS, batch, damping=DAMPING)
    used = [solve for pair in found.solves for solve in pair.first + pair.second]
    assert [tuple(solve.estimate.value.shape) for solve in used] == [(3, 3), (3, 3), (4, 4), (4, 4)]
    assert all(solve.loaded.chip is plan.chip for solve in used)
    log = found.log()
    assert log["runs"] == 14
    assert log["total_tau_s"] == pytest.approx(sum(solve.loaded.tau * solve.loaded.n for solve in used))
    assert 0 < log["peak_volt"] <= 1
    assert found.state is None


def random_block(rows=2, columns=3, scale=1.0, V=None) -> KFACBlock:
    generator = torch.Generator().manual_seed(9)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    root_A, root_G, gradient = normal(columns, 9), normal(rows, 9), normal(rows, columns)
    A, G, V = scale * root_A @ root_A.T, root_G @ root_G.T / scale, gradient if V is None else V
    return KFACBlock("", A, G, V, V.shape, has_bias=False, transposed=False)


def test_the_units_of_inputs_and_outputs_do_not_change_the_answer_at_any_time():
    plain = kfac_solve(solver(0.7), random_block(), damping=DAMPING)
    moved = kfac_solve(solver(0.7), random_block(scale=300.0), damping=DAMPING)
    torch.testing.assert_close(moved.X, plain.X, rtol=1e-11, atol=1e-15)


def test_converters_see_every_right_hand_side_at_the_same_scale():
    """A layer with one row of its gradient 1e-5 of the other, read by 10 bits of 2 V."""
    document = presets.ideal().to_dict()
    document["adc"] |= {"bits": 10, "range": "fixed", "range_volt": 1.0}
    rough = HardwareSpec.from_dict(document)
    V = torch.tensor([[1.0, -2.0, 0.5], [3e-5, 1e-5, -2e-5]], dtype=torch.float64)
    perfect, read = (kfac_solve(solver(hardware=spec), random_block(V=V), damping=DAMPING) for spec in (None, rough))
    exact, found = perfect.first[0].estimate.value, read.first[0].estimate.value
    errors = (found - exact).norm(dim=0) / exact.norm(dim=0)
    assert float(errors.min()) > 1e-6
    assert float(errors.max()) < 0.02
    assert 1e-6 < float((read.X - perfect.X).norm() / perfect.X.norm()) < 0.02


def test_no_gradient_gives_no_answer_whatever_the_noise():
    block = random_block(V=torch.zeros(2, 3, dtype=torch.float64))
    noisy = solver(engine=Behavioral(), kappa=1e-2)
    assert not bool(kfac_solve(noisy, block, damping=DAMPING).X.any())


def test_noise_differs_between_circuits_and_steps_and_repeats_with_the_seed():
    model, batch = small_case()
    method = KFACChip(solver(engine=Behavioral(), kappa=1e-3, seed=3))

    def direction(step):
        return method.natural_gradient(model, LOSS, batch, damping=DAMPING, step=step)

    assert torch.equal(direction(0).direction, direction(0).direction)
    assert not torch.equal(direction(0).direction, direction(1).direction)
    seeds = {solve.trajectory.seed for pair in direction(0).solves for solve in pair.first + pair.second}
    assert len(seeds) == 4


def test_the_optimizers_take_it():
    model, batch = small_case()
    losses = []
    optimizer = TNGD(
        model.parameters(), KFACChip(solver()), lr=0.5, damping=DAMPING, levenberg_marquardt=LevenbergMarquardt()
    )
    for _ in range(5):
        losses.append(optimizer.update(model, LOSS, batch).loss)
    assert losses[-1] < losses[0]
    assert optimizer.damping != DAMPING


def test_what_fails_is_named():
    model, batch = small_case()
    with pytest.raises(
        OutcomeError, match=r"at training step 6, layer 2, factor A: A has 4 rows, the chip has 3 nodes"
    ):
        KFACChip(solver(nodes=3)).natural_gradient(model, LOSS, batch, damping=DAMPING, step=6)
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(OutcomeError, match=r"step 0, layer of the model itself, factor G: A has 5 rows"):
        kfac_solve(solver(), random_block(rows=5), damping=DAMPING)
    with pytest.raises(MisuseError, match=r"start = 'gradient'.*AnalogStart\.ZERO"):
        KFACChip(solver(start=AnalogStart.GRADIENT))
    for method in (KFACChip(solver()), KFACMethod()):
        with pytest.raises(MisuseError, match="damping = 0"):
            method.natural_gradient(model, LOSS, batch, damping=0.0)


def test_drawn_targets_are_drawn_anew_at_every_step_and_alike_on_chip_and_computer():
    model, batch = small_case()
    options = {"fisher": Fisher.MONTE_CARLO, "samples": 2}
    method = KFACMethod(seed=3, **options)
    first, second, again = (
        method.natural_gradient(model, LOSS, batch, damping=DAMPING, step=step).direction for step in (0, 1, 0)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, second, rtol=1e-3)
    chip = KFACChip(solver(t=2000.0, seed=3), **options)
    found = chip.natural_gradient(model, LOSS, batch, damping=DAMPING, step=1)
    torch.testing.assert_close(found.direction, second, rtol=1e-6, atol=1e-9)
