"""Imperfect arrays at the size of a network: against the circuit of the very same die, and against numpy."""

import numpy as np
import pytest
import torch
from small_network import DAMPING, dense_answer, small_case
from torch import nn

from tngd_hw.curvature import ggn_factors
from tngd_hw.hardware import Role, presets
from tngd_hw.outcome import MisuseError
from tngd_hw.problem import Factors, LinearProblem
from tngd_hw.topologies import manufacture, program
from tngd_hw.training import TNGD, AnalogSchedule, AnalogStart, ArrayDevice
from tngd_hw.training.written_arrays import ArrayDie

LOSS = nn.CrossEntropyLoss()


def spec(**values):
    found = presets.ideal()
    for path, value in values.items():
        found = found.with_value(path.replace("__", "."), value)
    return found


IMPERFECT = {
    "tolerance": spec(resistors__tolerance_dtod=0.05, capacitors__tolerance_dtod=0.03),
    "shared arrays": spec(resistors__tolerance_dtod=0.05, mismatch__shared_arrays=True),
    "bits": spec(programming__bits=5),
    "write errors": spec(programming__bits=6, programming__error_std=0.01, programming__stochastic_rounding=True),
    "corner and gradient": spec(mismatch__resistance_corner=1.2, mismatch__gradient_dtod=0.05),
    "stuck": spec(memory__stuck_low=0.1),
}


def factors_of_the_network():
    model, batch = small_case()
    return ggn_factors(model, LOSS, batch)


def matrix(product, n):
    return torch.stack([product(e) for e in torch.eye(n, dtype=torch.float64)], dim=1).numpy()


@pytest.mark.parametrize("name", IMPERFECT)
def test_the_arrays_are_those_of_the_circuit_of_the_same_die(name):
    """Drift and inputs of the closed form of three_array, as one tile, with the seeds of die and writing."""
    found, hardware = factors_of_the_network(), IMPERFECT[name]
    m, n = found.J.shape
    chip = manufacture("three_array", n, hardware, seed=4, outputs=m)
    loaded = program(chip, LinearProblem.from_factors(found.J, found.H, DAMPING, found.gradient()), seed=6)
    sde = loaded.linear_sde()
    die = ArrayDie(hardware, 4, tile_columns=n, dtype=torch.float64)
    arrays = die.write(Factors(found.J, found.H, DAMPING), seed=6)
    A = arrays.rate.diag().numpy() @ matrix(lambda v: arrays.product(v / arrays.rate), n)
    scale = np.abs(A).max()
    assert np.allclose(A, -loaded.tau * sde.F.numpy(), atol=1e-10 * scale)
    drive = loaded.tau * sde.E.numpy()[:, :n] * loaded.scales.input_gain
    assert np.allclose(np.diag((arrays.rate * arrays.input_gain).numpy()), drive, atol=1e-10 * np.abs(drive).max())
    ideal = found.ggn_matrix().numpy() + DAMPING * np.eye(n)
    assert np.abs(A - ideal).max() > 1e-3 * scale  # the imperfections are there
    assert np.allclose(matrix(arrays.adjoint, n), matrix(arrays.product, n).T, atol=1e-12 * scale)


def test_perfect_arrays_hold_the_curvature_whatever_the_tiles():
    found = factors_of_the_network()
    n = found.parameter_count
    ideal = found.ggn_matrix().numpy() + DAMPING * np.eye(n)
    for columns in (4, 10, 100):
        arrays = ArrayDie(presets.ideal(), tile_columns=columns).write(Factors(found.J, found.H, DAMPING))
        assert arrays.is_symmetric
        assert np.allclose(matrix(arrays.product, n), ideal, atol=1e-6 * np.abs(ideal).max())  # float32


def test_tiles_are_dies_of_their_own_and_a_die_is_the_same_at_every_writing():
    found = factors_of_the_network()
    factors, hardware = Factors(found.J, found.H, DAMPING), IMPERFECT["tolerance"]
    die = ArrayDie(hardware, 4, tile_columns=10)
    first, again = die.write(factors, seed=0), die.write(factors, seed=1)
    assert torch.equal(first.forward, again.forward)
    assert torch.equal(first.backward, again.backward)
    ratio = (first.forward / found.J.float())[:, :20].nan_to_num()
    assert not torch.allclose(ratio[:, :10], ratio[:, 10:])
    both = (first.forward / first.backward).nan_to_num(1.0)
    assert float((both - 1).std()) > 0.03  # J and J^T are separate arrays


def test_arrays_written_in_place_are_the_same_and_take_the_jacobians_memory():
    found = factors_of_the_network()
    J = found.J.float()
    die = ArrayDie(IMPERFECT["write errors"], 4, tile_columns=10)
    apart = die.write(Factors(J, found.H, DAMPING), seed=3)
    assert torch.equal(J, found.J.float())
    kept = die.write(Factors(found.J.clone(), found.H, DAMPING), seed=3, in_place=True)  # another dtype: not in place
    together = die.write(Factors(J, found.H, DAMPING), seed=3, in_place=True)
    assert together.forward.data_ptr() == J.data_ptr()
    for name in ("forward", "backward", "hessian", "damping", "input_gain", "rate"):
        assert torch.equal(getattr(together, name), getattr(apart, name)), name
    assert kept.forward.dtype is torch.float32


def test_a_float32_network_gives_its_curvature_and_gradient_after_its_jacobian_is_gone():
    model, batch = small_case()
    exact = factors_of_the_network()
    batch = (batch[0].float(), batch[1])
    found = ArrayDevice(IMPERFECT["tolerance"], AnalogSchedule(2.0)).natural_gradient(
        model.float(), LOSS, batch, damping=DAMPING
    )
    v = torch.linspace(-1, 2, exact.parameter_count, dtype=torch.float64)
    assert torch.allclose(found.curvature(v), exact.product(v), rtol=0, atol=1e-5 * float(exact.product(v).abs().max()))
    assert torch.allclose(found.gradient, exact.gradient(), rtol=0, atol=1e-5 * float(exact.gradient().abs().max()))
    assert found.arrays.forward.dtype is torch.float32


def test_roles_can_be_held_as_computed():
    found = factors_of_the_network()
    factors = Factors(found.J, found.H, DAMPING)
    rounded = ArrayDie(IMPERFECT["bits"], exact=(Role.HESSIAN, Role.DAMPING)).write(factors)
    ideal = ArrayDie(presets.ideal()).write(factors)
    assert torch.allclose(rounded.hessian, ideal.hessian, rtol=1e-12)
    assert torch.equal(rounded.damping, ideal.damping)
    assert not torch.allclose(rounded.forward, ideal.forward, rtol=1e-3)


def test_a_step_is_the_filter_of_the_arrays_between_the_converters():
    """Mean from e^(-A t) of the written arrays in numpy, start at g, levels of both converters by hand."""
    model, batch = small_case()
    hardware = spec(resistors__tolerance_dtod=0.05, capacitors__tolerance_dtod=0.03, dac__bits=5, adc__bits=6)
    plan = AnalogSchedule(2.0, AnalogStart.GRADIENT, tolerance=1e-10)
    found = ArrayDevice(hardware, plan, seed=3, tile_columns=9).natural_gradient(model, LOSS, batch, damping=DAMPING)
    arrays, g = found.arrays, found.gradient.numpy()

    def levels(x, bits):
        step = np.abs(x).max() / (2 ** (bits - 1) - 1)
        return np.floor(x / step + 0.5) * step

    n = len(g)
    A = np.diag(arrays.rate.numpy()) @ matrix(lambda v: arrays.product(v / arrays.rate), n)
    b = levels(g, 5)
    fixed = np.linalg.solve(A, arrays.rate.numpy() * arrays.input_gain.numpy() * b)
    mu, Q = np.linalg.eig(A)
    x = fixed + (Q @ (np.exp(-mu * 2.0) * np.linalg.solve(Q, b - fixed))).real
    assert np.linalg.norm(found.state.numpy() - x) < 1e-5 * np.linalg.norm(x)
    step = np.abs(x).max() / 31
    off = found.direction.numpy() - levels(x, 6)
    assert (np.abs(off) < 1e-4 * step).mean() > 0.9  # float32 may tip an entry over the edge of a level
    assert np.abs(off).max() < 1.01 * step


def test_ideal_hardware_is_the_ideal_filter():
    model, batch = small_case()
    expected, _ = dense_answer(model, batch, 5.0)
    plan = AnalogSchedule(5.0, AnalogStart.ZERO, tolerance=1e-9)
    found = ArrayDevice(presets.ideal(), plan).natural_gradient(model, LOSS, batch, damping=DAMPING)
    assert np.linalg.norm(found.direction.numpy() - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("hardware", "runs", "seen"), [(presets.ideal(), 200, 0.15), (IMPERFECT["tolerance"], 60, 0.25)]
)
def test_noise_has_the_covariance_of_the_arrays(hardware, runs, seen):
    """Pooled over the eigenvectors of the exact covariance (Lyapunov integral in numpy); a relative error shows."""
    model, batch = small_case()
    kappa, t = 0.3, 1.5
    quiet = ArrayDevice(hardware, AnalogSchedule(t, AnalogStart.ZERO, tolerance=1e-6), seed=2)
    mean = quiet.natural_gradient(model, LOSS, batch, damping=DAMPING)
    device = ArrayDevice(hardware, AnalogSchedule(t, AnalogStart.ZERO, kappa=kappa, tolerance=1e-3), seed=2)
    n, rate = len(mean.direction), mean.arrays.rate.numpy()
    A = np.diag(rate) @ matrix(lambda v: mean.arrays.product(v / mean.arrays.rate), n)
    times, weights = np.polynomial.legendre.leggauss(40)
    covariance = np.zeros((n, n))
    mu, Q = np.linalg.eig(A)
    for s, weight in zip((times + 1) * t / 2, weights * t / 2, strict=True):
        move = (Q @ np.diag(np.exp(-mu * s)) @ np.linalg.inv(Q)).real @ np.diag(rate)
        covariance += 2 * kappa * weight * move @ move.T
    values, vectors = np.linalg.eigh(covariance)
    whitened = [
        (vectors.T @ (device.natural_gradient(model, LOSS, batch, damping=DAMPING, step=k).direction
                      - mean.direction).numpy()) / np.sqrt(values)
        for k in range(runs)
    ]  # fmt: skip
    pooled = float(np.mean(np.square(whitened)))
    standard_error = np.sqrt(2 / (runs * n))
    assert abs(pooled - 1) < 3.5 * standard_error
    assert abs((1 + seen) * pooled - 1) > 3.5 * standard_error


def test_training_goes_on_with_the_device_where_it_is():
    model, batch = small_case()
    device = ArrayDevice(IMPERFECT["bits"], AnalogSchedule(1.0, delay_tau=0.5))
    optimizer = TNGD(model.parameters(), device, lr=0.1, damping=DAMPING)
    first = optimizer.update(model, LOSS, batch)
    assert torch.equal(optimizer.state_dict()["param_groups"][0]["device_state"], first.state)
    second = optimizer.update(model, LOSS, batch)
    assert second.loss < first.loss


def test_an_effect_that_is_not_modelled_is_refused_by_name():
    with pytest.raises(MisuseError, match=r'amplifiers\.\w+ is not modelled.*hardware\.without\("amplifiers'):
        ArrayDevice(presets.pcb_1k_1n(), AnalogSchedule(1.0))
    with pytest.raises(MisuseError, match=r"adc\.noise is not modelled"):
        ArrayDevice(spec(adc__noise_volt_std=1e-3), AnalogSchedule(1.0))
