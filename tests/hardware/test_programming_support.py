"""What is programmed beside the matrix: the reference of the offset encoding, and damping resistors that are cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from agreement import closed_form_is_the_netlist, spice_differences
from one_array import values_after

from tngd_hw import HardwareSpec, LinearProblem, Outcome, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.hardware import Encoding, Role
from tngd_hw.hardware.programming import Programming
from tngd_hw.netlist import Kind
from tngd_hw.readout.variants import with_hardware
from tngd_hw.topologies import LoadedChip

Parts = dict[str, dict[str, Any]]

SIGNED = np.array([[2.0, -1.0, 0.3], [0.5, 1.6, 0.2], [-0.4, 0.1, 1.2]])  # row 1 needs no reference
J = np.array([[2.0, -0.9, 0.5], [0.5, 1.2, -0.7]])
H = np.array([[0.6, -0.25], [-0.25, 1.0]])
B = np.array([1.0, -0.5, 0.3])
UNIT = 1e-3

ROUGH: Parts = {
    "programming": {"bits": 6, "stochastic_rounding": True, "error_std": 0.01},
    "memory": {"stuck_low": 0.1, "stuck_high": 0.02, "read_std": 0.02, "drift_nu": 0.01, "age_s": 3600.0},
}
SUPPORT = {"integrator": Role.REFERENCE_ARRAY, "amc_inverse": Role.REFERENCE_ARRAY, "three_array": Role.DAMPING}
circuits = pytest.mark.parametrize("circuit", SUPPORT)


def load(
    circuit: str,
    parts: Parts = ROUGH,
    *,
    base: HardwareSpec | None = None,
    die_seed: int = 7,
    damping: float = 0.1,
    chips: int | None = None,
    kappa: float = 0.0,
) -> LoadedChip:
    """By the offset encoding, or ``three_array`` of three unknowns and two outputs: it is singular without damping."""
    hardware = HardwareSpec.from_dict((base or presets.pcb_1k_1n()).to_dict() | parts)
    if circuit == "three_array":
        chip = manufacture(circuit, 3, hardware, seed=die_seed, outputs=2, chips=chips)
        problem = LinearProblem.from_factors(J, H[None], damping, B)
    else:
        chip = manufacture(circuit, 3, hardware, seed=die_seed, encoding=Encoding.OFFSET, chips=chips)
        problem = LinearProblem(SIGNED, B)
    return program(chip, problem, seed=7, kappa=kappa)


def held(loaded: LoadedChip) -> np.ndarray:
    """The matrix that a circuit of ideal amplifiers holds."""
    return -loaded.linear_sde().F.numpy() * loaded.tau


def test_reference_on_its_levels_by_hand() -> None:
    """g0 = 1 mS/3 and 7 steps: sqrt(3) c/3 = 0.57735 and 0.23094 for c = 1 and 0.4 are 4.04 and 1.62, so 4 and 2."""
    loaded = load("integrator", {"programming": {"bits": 3}}, base=presets.ideal())
    assert (loaded.elements.value(Role.REFERENCE_ARRAY) * 7 / UNIT).tolist() == pytest.approx([4, 2], rel=1e-12)
    stored = 3 / 7 * np.array([[7, 0, 3], [1, 4, 0], [0, 1, 4]])
    expected = stored - 3**0.5 / 7 * np.array([[4], [0], [2]])
    np.testing.assert_allclose(held(loaded), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("damping", "level"), [(0.1, 1), (0.42, 2), (1.0, 4)])
def test_damping_on_its_levels_by_hand(damping: float, level: int) -> None:
    """g0 = 1 mS/4 and 15 steps: lambda g0 is 0.375, 1.575 and 3.75 steps; the first is not left out but raised to 1."""
    loaded = load("three_array", {"programming": {"bits": 4}}, base=presets.ideal(), damping=damping)
    assert (loaded.elements.value(Role.DAMPING) * 15 / UNIT).tolist() == pytest.approx([level] * 3, rel=1e-12)
    stored, blocks = 2 / 15 * np.array([[15, -7, 4], [4, 9, -5]]), np.array([[9, -4], [-4, 15]]) / 15
    expected = stored.T @ blocks @ stored + 4 * level / 15 * np.eye(3)
    np.testing.assert_allclose(held(loaded), expected, rtol=0, atol=1e-12)


@circuits
def test_closed_form_and_netlist_have_the_same_circuit(circuit: str) -> None:
    loaded, role = load(circuit, kappa=0.0 if circuit == "amc_inverse" else 0.01), SUPPORT[circuit]
    change = loaded.elements.value(role) / loaded.nominal.value(role) - 1
    assert float(change.abs().max()) > 0.01
    if circuit != "amc_inverse":
        closed_form_is_the_netlist(loaded)
        return
    paths: list[torch.Tensor] = []
    for name in ("behavioral", "state_space"):
        engine = find_engine(name)
        times = torch.linspace(0, 30 * loaded.tau, 20, dtype=torch.float64)
        paths.append(engine.run(engine.init(loaded), duration=30 * loaded.tau, times_s=times)[1].voltage_volt)
    torch.testing.assert_close(*paths, rtol=0, atol=1e-9 * float(paths[0].abs().max()))


def test_a_damping_resistor_that_is_stuck_open_is_in_no_netlist() -> None:
    """The die of the test above has one at 0 S."""
    loaded = load("three_array", kappa=0.01)
    assert (loaded.elements.value(Role.DAMPING) == 0).tolist() == [True, False, False]
    table = loaded.netlist().table(Kind.RESISTOR)
    assert table is not None
    assert [name for name in table.names if name.startswith("lambda")] == ["lambda_1", "lambda_2"]
    (group,) = loaded.report.support
    assert (group.count, group.dropped) == (2, 1)


@pytest.mark.ngspice
@pytest.mark.parametrize("circuit", ["integrator", "three_array"])
def test_ngspice_agrees(circuit: str) -> None:
    path, end = spice_differences(load(circuit), 30, np.array([0.2, -0.1, 0.3]))
    assert path < 1e-4
    assert end < 1e-5


@circuits
def test_programming_them_moves_nothing_else(circuit: str) -> None:
    """The die and every other value are as they were when only the matrix was programmed."""
    loaded, role = load(circuit, chips=3), SUPPORT[circuit]
    only = {held: limits for held, limits in loaded.elements.programmable.items() if held is not role}
    before = loaded.chip.realise(replace(loaded.nominal, programmable=only), seed=7)
    for other, component in loaded.elements.components.items():
        assert torch.equal(component.value, before.value(other)) == (other is not role)


@circuits
@pytest.mark.parametrize("effect", ["programming.levels", "programming.error", "memory.stuck", "memory.reading"])
def test_an_effect_switched_off_moves_no_other_draw(circuit: str, effect: str) -> None:
    loaded, role = load(circuit, chips=4), SUPPORT[circuit]
    less = with_hardware(loaded, loaded.chip.hardware.without(effect))
    for name, draws in less.chip.deviations.items():
        for quantity, roles in draws.items():
            assert torch.equal(roles[role], loaded.chip.deviations[name][quantity][role]) if role in roles else True
    assert not torch.equal(less.elements.value(role), loaded.elements.value(role))


@circuits
def test_stuck_devices_are_those_that_were_drawn(circuit: str) -> None:
    """100 dies, range 1 to 100 kOhm: every device at an end or where it was wanted, by the draws of the dies."""
    parts: Parts = {"memory": {"stuck_low": 0.2, "stuck_high": 0.3}, "resistors": {"largest_ohm": 1e5}}
    loaded, role = load(circuit, parts, chips=100), SUPPORT[circuit]
    component = loaded.nominal.components[role]
    drawn = loaded.chip.deviations["memory"]["stuck"][role][:, component.row, component.column].numpy()
    expected = np.broadcast_to(component.value.numpy(), drawn.shape).copy()
    expected[drawn < 0.2], expected[drawn >= 0.7] = 1e-5, 1e-3
    np.testing.assert_allclose(loaded.elements.value(role), expected, rtol=1e-14)
    shares = (drawn < 0.2).mean(), (drawn >= 0.7).mean()
    assert shares == pytest.approx((0.2, 0.3), abs=4 * (0.3 * 0.7 / drawn.size) ** 0.5)


@circuits
def test_drift_acts_on_them_and_on_no_fixed_resistor(circuit: str) -> None:
    loaded = load(circuit, {"memory": {"drift_nu": 0.05, "age_s": 3580.0}}, base=presets.cmos_sky130().only())
    role = SUPPORT[circuit]
    torch.testing.assert_close(loaded.elements.value(role), loaded.nominal.value(role) * 180.0**-0.05)
    assert torch.equal(loaded.elements.value(Role.INPUT), loaded.nominal.value(Role.INPUT))


@circuits
def test_chip_5_is_the_same_in_any_batch(circuit: str) -> None:
    few, many, role = load(circuit, chips=8), load(circuit, chips=20), SUPPORT[circuit]
    alone = program(few.chip.select(5), few.problem, seed=7)
    for other in (few.elements.value(role)[5], alone.elements.value(role)):
        assert torch.equal(other, many.elements.value(role)[5])
    torch.testing.assert_close(few.linear_sde().F[5], alone.linear_sde().F, rtol=1e-13, atol=0)


def test_stochastic_rounding_keeps_the_mean_of_the_damping() -> None:
    """0.3 of a step: within four standard errors, 3.1 %; a mean that is 5 % off fails."""
    found = values_after(
        Programming(bits=4, stochastic_rounding=True), [0.02], (0.0, 1.0), role=Role.DAMPING, copies=40_000
    )
    error, tolerance = float(found.mean()) / 0.02 - 1, 4 * (0.7 / 0.3 / 40_000) ** 0.5
    steps = (found * 15).round()
    torch.testing.assert_close(found * 15, steps, rtol=0, atol=1e-12)
    assert (float(steps.min()), float(steps.max())) == (0.0, 1.0)
    assert abs(error) < tolerance
    assert not abs(1.05 * (1 + error) - 1) < tolerance


def test_a_reference_below_the_range_is_raised_or_dropped_and_told() -> None:
    """1 to 100 kOhm for max(A + c) = 2: sqrt(2) c/2 is 0.0071 for c = 0.01 and 0.0028 for c = 0.004."""
    hardware = HardwareSpec.from_dict({"name": "x", "resistors": {"largest_ohm": 1e5}})
    chip = manufacture("integrator", 2, hardware, encoding=Encoding.OFFSET)
    matrix = np.array([[1.99, -0.01], [-0.004, 1.5]])
    loaded = program(chip, LinearProblem(matrix, [1.0, -0.5]))
    component = loaded.elements.components[Role.REFERENCE_ARRAY]
    assert component.row.tolist() == [0]
    assert component.value.tolist() == pytest.approx([1e-5])
    (group,) = loaded.report.support
    assert (group.name, group.device, group.count, group.raised, group.dropped) == ("reference", "cell", 1, 1, 1)
    assert group.wanted_siemens == pytest.approx((0.004 * 2**0.5 / 2 * UNIT, 0.01 * 2**0.5 / 2 * UNIT))
    assert "\nreference           1 cells of 10 uS, 2.828 uS to 7.071 uS wanted, 2 below the range (1 dropped)" in str(
        loaded.report
    )


def test_a_loss_of_the_damping_is_said() -> None:
    """A die with one damping resistor stuck open, beside devices of the arrays that are."""
    status = load("three_array", {"memory": {"stuck_low": 0.4}}, die_seed=1).circuit_status
    assert status.outcome is Outcome.UNSTABLE
    assert "damping resistors were set to 0 S: give hardware.damping a range" in status.detail
