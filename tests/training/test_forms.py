"""Primal, dual and block forms on a chip, and the digital methods: each against numpy's dense answer."""

import numpy as np
import pytest
import torch
from small_network import DAMPING, dense_answer, small_case
from torch import nn

from tngd_hw.curvature import ggn_factors
from tngd_hw.engines import Behavioral, Ideal, Ngspice, StateSpace
from tngd_hw.hardware import presets
from tngd_hw.outcome import MisuseError, OutcomeError
from tngd_hw.topologies import manufacture
from tngd_hw.training import (
    TNGD,
    AnalogSolver,
    AnalogStart,
    BlockChip,
    ConjugateGradientMethod,
    DualChip,
    DualForm,
    ExactMethod,
    LevenbergMarquardt,
    PrimalChip,
    dense,
)

LOSS = nn.CrossEntropyLoss()
N, ROWS = 31 - 6, 12  # parameters of the small network, batch * d_z


def solver(nodes, t=5.0, engine=None, topology="integrator", **options):
    built = {"outputs": ROWS} if topology == "three_array" else {}
    return AnalogSolver(manufacture(topology, nodes, presets.ideal(), **built), engine or Ideal(), t, **options)


def gap(found, expected):
    return np.linalg.norm(found.direction.numpy() - expected) / np.linalg.norm(expected)


def curvature_and_gradient(model, batch):
    factors = ggn_factors(model, LOSS, batch)
    return factors.ggn_matrix().numpy() + DAMPING * np.eye(factors.parameter_count), factors.gradient().numpy()


def moved(A, g, x, t):
    mu, Q = np.linalg.eigh((A + A.T) / 2)
    return Q @ (np.exp(-mu * t) * (Q.T @ x) - np.expm1(-mu * t) / mu * (Q.T @ g))


FORMS = {
    "dual": lambda **o: DualChip(solver(ROWS + 1, **o)),
    "dual, output": lambda **o: DualChip(solver(ROWS + 1, **o), DualForm.OUTPUT),
    "primal": lambda **o: PrimalChip(solver(N, **o)),
    "primal, three arrays": lambda **o: PrimalChip(solver(N, topology="three_array", **o)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_filter(form):
    model, batch = small_case()
    expected, gradient = dense_answer(model, batch, 5.0)
    found = FORMS[form]().natural_gradient(model, LOSS, batch, damping=DAMPING)
    assert gap(found, expected) < 1e-8
    assert np.allclose(found.gradient.numpy(), gradient)
    assert torch.equal(torch.cat([p.grad.reshape(-1) for p in model.parameters()]), found.direction)
    v = torch.linspace(-1, 2, N, dtype=torch.float64)
    A, _ = curvature_and_gradient(model, batch)
    assert np.allclose(found.curvature(v).numpy(), A @ v.numpy() - DAMPING * v.numpy())
    assert found.log()["peak_volt"] > 0


@pytest.mark.parametrize("form", FORMS)
def test_a_device_that_is_not_reset_goes_on_where_it_is(form):
    """Two steps with a delay, averaged over three readouts, by hand in numpy."""
    model, batch = small_case()
    method = FORMS[form](t=0.8, start=AnalogStart.PREVIOUS, delay_tau=0.5, readouts=3, spacing_tau=0.2)
    optimizer = TNGD(model.parameters(), method, lr=0.4, damping=DAMPING)
    x = None
    scale = None
    for _ in range(2):
        A, g = curvature_and_gradient(model, batch)
        x = g if x is None else x
        found = optimizer.natural_gradient(model, LOSS, batch)
        v0 = found.solve.loaded.scales.voltage_volt
        if form.startswith("primal") and scale is not None:
            x = x * scale / v0  # the voltages stay, not x
        looks = [moved(A, g, x, t) for t in (0.8, 1.0, 1.2)]
        assert gap(found, sum(looks) / 3) < 1e-8
        x, scale = moved(A, g, x, 1.7), v0
        optimizer.step()


@pytest.mark.parametrize("engine", [StateSpace(), Behavioral(), pytest.param(Ngspice(), marks=pytest.mark.ngspice)])
def test_a_start_and_averaged_readouts_in_circuit_engines(engine):
    model, batch = small_case()
    A, g = curvature_and_gradient(model, batch)
    method = DualChip(solver(ROWS + 1, t=2.0, engine=engine, start=AnalogStart.GRADIENT, readouts=2, spacing_tau=0.5))
    found = method.natural_gradient(model, LOSS, batch, damping=DAMPING)
    assert gap(found, (moved(A, g, g, 2.0) + moved(A, g, g, 2.5)) / 2) < 1e-4


def test_blocks_are_the_filters_of_the_layers():
    model, batch = small_case()
    A, g = curvature_and_gradient(model, batch)
    found = BlockChip(solver(ROWS)).natural_gradient(model, LOSS, batch, damping=DAMPING)
    first = sum(p.numel() for p in model[0].parameters())
    pieces = [slice(0, first), slice(first, N)]
    expected = np.concatenate([moved(A[part, part], g[part], 0 * g[part], 5.0) for part in pieces])
    assert gap(found, expected) < 1e-8
    assert gap(found, moved(A, g, 0 * g, 5.0)) > 1e-2  # the blocks matter
    assert len(found.solves) == 2
    v = torch.linspace(-1, 2, N, dtype=torch.float64)
    cut = np.concatenate([A[part, part] @ v.numpy()[part] for part in pieces]) - DAMPING * v.numpy()
    assert np.allclose(found.curvature(v).numpy(), cut)


def test_noise_of_blocks_differs_from_layer_to_layer_and_from_step_to_step():
    model, batch = small_case()
    method = BlockChip(solver(ROWS, engine=StateSpace(), kappa=1e-2, seed=3))

    def directions(step):
        return method.natural_gradient(model, LOSS, batch, damping=DAMPING, step=step)

    assert torch.equal(directions(0).direction, directions(0).direction)
    assert not torch.equal(directions(0).direction, directions(1).direction)
    seeds = [solve.trajectory.seed for solve in directions(0).solves]
    assert len(set(seeds)) == 2


def test_a_block_that_fails_is_named():
    model, batch = small_case()
    with pytest.raises(OutcomeError, match=r"at training step 4, layer 0: A has 12 rows"):
        BlockChip(solver(ROWS - 1)).natural_gradient(model, LOSS, batch, damping=DAMPING, step=4)
    with pytest.raises(MisuseError, match=r"start = 'previous'.*AnalogStart\.ZERO"):
        BlockChip(solver(ROWS, start=AnalogStart.PREVIOUS))


@pytest.mark.parametrize(
    "method", [ExactMethod(), ExactMethod(dense), ConjugateGradientMethod(60, 1e-12)], ids=["dual", "dense", "cg"]
)
def test_digital_methods_are_exact(method):
    model, batch = small_case()
    expected, _ = dense_answer(model, batch, np.inf)
    found = method.natural_gradient(model, LOSS, batch, damping=DAMPING)
    assert gap(found, expected) < 1e-8
    assert torch.equal(torch.cat([p.grad.reshape(-1) for p in model.parameters()]), found.direction)
    assert found.state is None


def test_conjugate_gradients_begin_at_the_last_answer_when_asked():
    model, batch = small_case()
    optimizer = TNGD(model.parameters(), ConjugateGradientMethod(3, warm_start=True), damping=DAMPING)
    residuals = [optimizer.natural_gradient(model, LOSS, batch).log()["residual"] for _ in range(3)]
    assert residuals[0] > 2 * residuals[1] > 4 * residuals[2]
    with pytest.raises(OutcomeError, match="at training step 0: residual"):
        ConjugateGradientMethod(1, 1e-9).natural_gradient(model, LOSS, batch, damping=DAMPING)


def test_levenberg_marquardt_follows_the_reduction_of_the_loss():
    """rho of the very step, from losses and a dense curvature; the damping moves as the rule says."""
    model, batch = small_case()
    rule = LevenbergMarquardt()
    optimizer = TNGD(model.parameters(), ExactMethod(), lr=0.5, damping=DAMPING, levenberg_marquardt=rule)
    A, g = curvature_and_gradient(model, batch)
    before = nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()
    found = optimizer.update(model, LOSS, batch)
    p = nn.utils.parameters_to_vector(model.parameters()).detach().numpy() - before
    predicted = g @ p + p @ (A - DAMPING * np.eye(N)) @ p / 2
    after = float(LOSS(model(batch[0]), batch[1]).detach())
    rho = (after - found.loss) / predicted
    assert optimizer.damping == rule.updated(DAMPING, rho) != DAMPING


def test_an_optimizer_of_another_model_is_refused():
    model, batch = small_case()
    other, _ = small_case()
    optimizer = TNGD(other.parameters(), ExactMethod())
    with pytest.raises(MisuseError, match=r"model parameter 0\.weight is not in this optimizer"):
        optimizer.natural_gradient(model, LOSS, batch)


def test_write_errors_are_drawn_anew_at_every_step_and_part():
    model, batch = small_case()
    hardware = presets.ideal().with_value("programming.error_std", 0.02)
    single = AnalogSolver(manufacture("integrator", ROWS, hardware), Ideal())
    real = AnalogSolver(manufacture("integrator", ROWS, hardware), StateSpace(), seed=5)

    def written(step, part=0):
        problem = DualChip(single).natural_gradient(model, LOSS, batch, damping=DAMPING).dual.problem
        return real.solve(problem, step, part=part).estimate.value

    assert torch.equal(written(0), written(0))
    assert not torch.equal(written(0), written(1))
    assert not torch.equal(written(0), written(0, part=1))


@pytest.mark.parametrize("start", [AnalogStart.ZERO, AnalogStart.GRADIENT])
def test_chopping_cancels_offsets_and_nothing_else(start):
    """Offsets of 5 mV are gone to rounding; mismatch of the resistors stays as it is."""
    model, batch = small_case()

    def direction(*, chopped, **values):
        hardware = presets.pcb_1k_1n()
        for path, value in values.items():
            hardware = hardware.with_value(path.replace("__", "."), value)
        chip = manufacture("integrator", ROWS + 1, hardware, seed=2)
        method = DualChip(AnalogSolver(chip, StateSpace(), 20.0, start=start, chopped=chopped))
        return method.natural_gradient(model, LOSS, batch, damping=DAMPING).direction

    without = direction(chopped=False, amplifiers__offset_volt_dtod=0.0, amplifiers__bias_ampere=0.0)
    offset = {"amplifiers__offset_volt_dtod": 5e-3}
    size = torch.linalg.vector_norm(without)
    assert torch.linalg.vector_norm(direction(chopped=False, **offset) - without) > 1e-2 * size
    assert torch.linalg.vector_norm(direction(chopped=True, **offset) - without) < 1e-9 * size
    A, g = curvature_and_gradient(model, batch)
    x0 = g if start is AnalogStart.GRADIENT else 0 * g
    ideal = moved(A, g, x0, 20.0)
    assert np.linalg.norm(without.numpy() - ideal) > 1e-4 * np.linalg.norm(ideal)  # the mismatch


def test_chopping_halves_the_variance_and_asks_for_a_reset():
    model, batch = small_case()
    with pytest.raises(MisuseError, match=r"chopped = True with start = 'previous'"):
        solver(ROWS + 1, start=AnalogStart.PREVIOUS, chopped=True)
    quiet = DualChip(solver(ROWS, engine=StateSpace())).natural_gradient(model, LOSS, batch, damping=DAMPING)
    off = {}
    for chopped in (False, True):
        method = DualChip(solver(ROWS, engine=StateSpace(), kappa=1e-2, seed=5, chopped=chopped))
        off[chopped] = (
            torch.stack(
                [
                    method.natural_gradient(model, LOSS, batch, damping=DAMPING, step=k).solve.estimate.value
                    - quiet.solve.estimate.value
                    for k in range(60)
                ]
            )
            .square()
            .sum()
        )
    assert pytest.approx(float(off[True] / off[False]), abs=4 * 0.5 * (2 * 2 / (60 * ROWS)) ** 0.5) == 0.5
