"""Sensitivities: finite differences of every component, laws of homogeneity, and Monte Carlo's variance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import spd_matrix

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, OutcomeError, manufacture, presets, program
from tngd_hw.hardware import AmplifierBank, Role
from tngd_hw.readout import predicted_covariance, sensitivity, settled
from tngd_hw.report import sensitivity_figure
from tngd_hw.topologies import LoadedChip

MIXED = np.array([[1.0, -0.2, 0.1], [0.3, 0.8, -0.25], [-0.15, 0.1, 0.6]])
SYMMETRIC = spd_matrix(3, 5, condition=4.0)
b = np.array([1.0, -0.5, 0.25])
STEP = 1e-4


def load(
    topology: str, hardware: HardwareSpec | None = None, chips: int | None = None, A: np.ndarray = MIXED
) -> LoadedChip:
    spec = presets.cmos_sky130() if hardware is None else hardware
    return program(manufacture(topology, len(A), spec, seed=2, chips=chips), LinearProblem(A, b))


def answer(loaded: LoadedChip, elements: object) -> np.ndarray:
    return settled(replace(loaded, programmed=elements), noise=False).x.numpy()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("topology", "A"), [("integrator", MIXED), ("gm_c", MIXED), ("three_array", SYMMETRIC), ("amc_inverse", SYMMETRIC)]
)
def test_every_component_against_finite_differences(topology: str, A: np.ndarray) -> None:
    """Central differences of ln(value), one component after the other, on a die with all its deviations."""
    loaded = load(topology, A=A)
    found = sensitivity(loaded)
    assert set(found.components) >= set(loaded.topology.matrix_roles)
    for role, J in found.components.items():
        for k in range(J.shape[1]):
            one = torch.zeros(J.shape[1], dtype=torch.float64)
            one[k] = STEP
            up, down = (
                answer(loaded, loaded.elements.with_values(role, lambda c, s=s, one=one: c.value * torch.exp(s * one)))
                for s in (1, -1)
            )
            scale = np.abs(found.x.numpy()).max()
            np.testing.assert_allclose(J[:, k].numpy(), (up - down) / (2 * STEP), rtol=1e-5, atol=1e-6 * scale)


@pytest.mark.parametrize("field", ["open_loop_gain", "offset_volt", "bias_ampere"])
def test_amplifiers_against_finite_differences(field: str) -> None:
    loaded = load("integrator", presets.cmos_sky130().with_value("amplifiers.open_loop_gain", 200.0))
    found = sensitivity(loaded)
    group = {"open_loop_gain": found.gain, "offset_volt": found.offset, "bias_ampere": found.bias}[field]
    assert set(group) == {Role.INTEGRATOR_AMPLIFIER, Role.INVERTER_AMPLIFIER}
    for role, J in group.items():
        bank: AmplifierBank = loaded.elements.amplifiers[role]
        for k in range(J.shape[1]):
            value, step = getattr(bank, field), STEP * (1e-6 if field == "bias_ampere" else 1.0)
            moved = torch.zeros_like(value)
            moved[k] = step
            pair = (value * torch.exp(s * moved) if field == "open_loop_gain" else value + s * moved for s in (1, -1))
            up, down = (
                answer(loaded, loaded.elements.with_amplifiers(role, replace(bank, **{field: new}))) for new in pair
            )
            np.testing.assert_allclose(J[:, k].numpy(), (up - down) / (2 * step), rtol=1e-5, atol=1e-9)


def test_scaling_all_conductances_changes_nothing() -> None:
    """x is of degree -1 in the array and +1 in the inputs, 0 in both together (positive A, ideal amplifiers)."""
    loaded = load("integrator", presets.ideal(), A=np.abs(MIXED))
    found = sensitivity(loaded)
    np.testing.assert_allclose(found.components[Role.ARRAY].sum(-1).numpy(), -found.x.numpy(), rtol=1e-12)
    np.testing.assert_allclose(found.components[Role.INPUT].sum(-1).numpy(), found.x.numpy(), rtol=1e-12)
    assert float(found.components[Role.INTEGRATION].abs().max()) < 1e-14


def test_entry_of_the_array_by_hand() -> None:
    """dx/d(ln G_ij) = -A^-1 e_i A_ij x_j; its size at (i, j) of the picture."""
    A = np.abs(MIXED)
    found = sensitivity(load("integrator", presets.ideal(), A=A))
    x, inverse = np.linalg.solve(A, b), np.linalg.inv(A)
    expected = np.array([[np.linalg.norm(inverse[:, i] * A[i, j] * x[j]) for j in range(3)] for i in range(3)])
    np.testing.assert_allclose(found.array(Role.ARRAY).numpy(), expected / np.linalg.norm(x), rtol=1e-12)
    rms = np.sqrt(np.square(expected).sum()) / np.linalg.norm(x)
    assert found.by_role()[Role.ARRAY] == pytest.approx(rms, rel=1e-12)


def test_places_without_a_component_are_empty() -> None:
    A = np.array([[1.0, 0.0, 0.2], [0.0, 1.0, 0.0], [0.1, 0.0, 1.0]])
    picture = sensitivity(load("integrator", presets.ideal(), A=A)).array(Role.ARRAY)
    assert picture.isnan().tolist() == (A == 0).tolist()


def test_gradient_of_the_error() -> None:
    """d(|x - x*|/|x*|) against a finite difference of the norm itself."""
    loaded = load("integrator")
    found = sensitivity(loaded)
    exact = np.linalg.solve(MIXED, b)
    gradient = found.of_error()[Role.ARRAY]
    for k in range(len(gradient)):
        one = torch.zeros(len(gradient), dtype=torch.float64)
        one[k] = 1e-6
        sizes = [
            np.linalg.norm(
                answer(loaded, loaded.elements.with_values(Role.ARRAY, lambda c, s=s, one=one: c.value * (1 + s * one)))
                - exact
            )
            for s in (1, -1)
        ]
        expected = (sizes[0] - sizes[1]) / 2e-6 / np.linalg.norm(exact)
        assert float(gradient[k]) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("effect", ["resistors.tolerance", "amplifiers.offset", "all"])
def test_predicted_covariance_against_monte_carlo(effect: str) -> None:
    """2,500 dies: the mean of d^T S^-1 d/n is 1 within 4 sigma = 6.5 %; a tolerance 5 % off would give 10 %."""
    spec = presets.pcb_1k_1n() if effect == "all" else presets.pcb_1k_1n().only(effect)
    loaded = load("integrator", spec, chips=2500)
    parts = predicted_covariance(loaded)
    assert "amplifiers.gain" not in parts
    S = torch.stack(list(parts.values())).sum(0).numpy()
    x = settled(loaded, noise=False).x.numpy()
    deviation = x - x.mean(0)
    ratio = np.einsum("ki,ij,kj->k", deviation, np.linalg.inv(S), deviation).mean() / 3
    assert abs(ratio - 1) < 4 * np.sqrt(2 / (3 * 2500))


def test_misuse_and_failure() -> None:
    with pytest.raises(MisuseError, match="chips = 2: sensitivities are of one chip"):
        sensitivity(load("integrator", chips=2))
    with pytest.raises(MisuseError, match="problem has no b"):
        sensitivity(program(manufacture("integrator", 2, presets.ideal()), LinearProblem(np.eye(2))))
    slow = presets.pcb_1k_1n().with_value("amplifiers.gain_bandwidth_hz", 1e6)
    unstable = program(manufacture("integrator", 2, slow), LinearProblem([[0.02, 1.0], [-1.0, 0.02]], [1.0, 0.0]))
    with pytest.raises(OutcomeError, match="growing"):
        sensitivity(unstable)


def test_figure() -> None:
    found = sensitivity(load("integrator"))
    figure = sensitivity_figure(found, Role.ARRAY)
    left, right, bar = figure.axes
    assert left.get_xlabel() == "column"
    assert "[1]" in right.get_xlabel()
    assert "[1]" in bar.get_ylabel()
