"""The integrator array, pinned by one asymmetric 2 x 2 example worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tngd_hw import HardwareSpec, LinearProblem, manufacture, presets, program
from tngd_hw.hardware import Role
from tngd_hw.netlist import Kind, Netlist
from tngd_hw.topologies import LoadedChip

A = [[2.0, -1.0], [0.5, 1.0]]
b = [1.0, -0.5]
# R = 1 kOhm holds the largest entry, so g0 = 1 mS / 2; C = 1 nF, so tau = 2 us.
G0, TAU = 0.5e-3, 2e-6
# |x| <= |b|/mu, mu the smallest eigenvalue of [[2, -1/4], [-1/4, 1]] = (3 - sqrt(1 + 1/4))/2; ideal parts plan for 1 V.
V0 = (3 - math.sqrt(1.25)) / 2 / math.sqrt(1.25)


def loaded(x0: object = None) -> tuple[LoadedChip, Netlist]:
    chip = program(manufacture("integrator", 2, presets.ideal()), LinearProblem(A, b))
    return chip, chip.netlist(chip.drive(x0=x0))  # pyright: ignore[reportArgumentType] - None or a list


def test_scales() -> None:
    scales = loaded()[0].scales
    assert scales.conductance_siemens == pytest.approx(G0, rel=1e-14)
    assert scales.capacitance_farad == 1e-9
    assert scales.input_gain == pytest.approx(-0.5, rel=1e-14)
    assert scales.tau_s == pytest.approx(TAU, rel=1e-14)
    assert scales.voltage_volt == pytest.approx(V0, rel=1e-12)


def resistors(netlist: Netlist) -> dict[str, tuple[str, str, float]]:
    table = netlist.table(Kind.RESISTOR)
    assert table is not None
    names = netlist.node_names
    return {
        name: (names[p], names[q], float(value))
        for name, (p, q), value in zip(table.names, table.nodes.tolist(), table.values, strict=True)
    }


def test_resistors_of_the_array_run_from_rails_to_summing_nodes() -> None:
    """Entry (row, column): from the rail of the column, inverted where A < 0, to the summing node of the row."""
    expected = {
        "a_0_0": ("out0", "sum0", 1e3),
        "a_0_1": ("inv1", "sum0", 2e3),
        "a_1_0": ("out0", "sum1", 4e3),
        "a_1_1": ("out1", "sum1", 2e3),
        "b_0": ("in0", "sum0", 1e3),
        "b_1": ("in1", "sum1", 1e3),
    }
    found = resistors(loaded()[1])
    assert set(found) == set(expected)
    for name, (start, end, value) in expected.items():
        assert found[name][:2] == (start, end)
        assert found[name][2] == pytest.approx(value, rel=1e-12)


def test_inputsages_have_the_sign_that_an_inverting_integrator_needs() -> None:
    """v_in = -(g0 v0/g_in) b: a positive b is a negative voltage."""
    source = loaded()[1].table(Kind.VOLTAGE_SOURCE)
    assert source is not None
    assert source.names == ("in0", "in1")
    np.testing.assert_allclose(source.values, [-0.5 * V0, 0.25 * V0], rtol=1e-12)


def test_initial_voltages() -> None:
    group = {group.cell: group for group in loaded([0.5, -2.0])[1].instances}
    np.testing.assert_allclose(group["integrator_ideal"].parameters["ic"], [0.5 * V0, -2 * V0], rtol=1e-12)


def test_closed_form_equations() -> None:
    """tau dV/dt = -(A V - v0 b), written in volt and seconds; the last input is the constant."""
    chip, _ = loaded()
    sde = chip.linear_sde()
    np.testing.assert_allclose(sde.F.numpy(), -np.array(A) / TAU, rtol=1e-12)
    np.testing.assert_allclose(sde.E.numpy(), np.c_[-np.eye(2) * 1e-3 / 1e-9, np.zeros(2)], rtol=1e-12)
    assert sde.input_names == ("in0", "in1", "constant")
    assert sde.output_names == ("out0", "out1")


def test_final_voltages_by_hand() -> None:
    """A^-1 b = (0.2, -0.6): det = 2.5, x = ((1 * 1 - (-1)(-0.5))/2.5, (2(-0.5) - 0.5 * 1)/2.5)."""
    chip, _ = loaded()
    sde = chip.linear_sde()
    drive = torch.cat([chip.drive().inputs, torch.ones(1)])
    end = -torch.linalg.solve(sde.F, sde.E @ drive)
    np.testing.assert_allclose(end, V0 * np.array([0.2, -0.6]), rtol=1e-12)


def test_entries_of_zero_have_no_resistor() -> None:
    chip = program(manufacture("integrator", 3, presets.ideal()), LinearProblem(np.diag([1.0, 2.0, 4.0]), np.ones(3)))
    assert set(resistors(chip.netlist())) == {"a_0_0", "a_1_1", "a_2_2", "b_0", "b_1", "b_2"}
    assert chip.report.matrix_components == 3


def test_smaller_matrix_uses_the_first_nodes_of_the_die() -> None:
    spec = presets.pcb_1k_1n()
    small = program(manufacture("integrator", 5, spec, seed=2), LinearProblem(A, b))
    deviation = small.chip.deviations["resistors"]["tolerance"][Role.ARRAY]
    values = small.elements.value(Role.ARRAY)
    nominal = torch.tensor([2.0, 1.0, 0.5, 1.0], dtype=torch.float64) * G0
    torch.testing.assert_close(values, nominal / (1 + deviation[:2, :2].flatten()), rtol=1e-13, atol=0)


def test_deviations_act_on_resistances_and_capacitances() -> None:
    """R (1 + d) and C (1 + d), not their inverses: with d = 10 % the two differ by 1 %."""
    document = {"name": "x", "resistors": {"tolerance_dtod": 0.1}, "capacitors": {"tolerance_dtod": 0.1}}
    chip = program(manufacture("integrator", 2, HardwareSpec.from_dict(document), seed=2), LinearProblem(A, b))
    quantities = [roles for draws in chip.chip.deviations.values() for roles in draws.values()]
    drawn = {role: value.flatten() for roles in quantities for role, value in roles.items()}
    for role, nominal in ((Role.INPUT, 1e3), (Role.INVERTER_INPUT, 1e3), (Role.INVERTER_FEEDBACK, 1e3)):
        torch.testing.assert_close(1 / chip.elements.value(role), nominal * (1 + drawn[role]), rtol=1e-13, atol=0)
    capacitance = chip.elements.value(Role.INTEGRATION)
    torch.testing.assert_close(capacitance, 1e-9 * (1 + drawn[Role.INTEGRATION]), rtol=1e-13, atol=0)
    group = {group.cell: group for group in chip.netlist().instances}
    assert group["integrator_ideal"].parameters["cint"].tolist() == capacitance.tolist()


def test_voltage_limit_is_the_swing_or_the_current_into_the_columns() -> None:
    """A column of 40 entries of 1 mS takes 40 mS and the inverter 1 mS more: 20 mA allow 0.4878 V, the swing 1.5 V."""
    n = 40
    full = np.eye(n)
    full[:, 0] = 1.0
    chip = program(manufacture("integrator", n, presets.ideal()), LinearProblem(full, np.ones(n)))
    limit = chip.topology.voltage_limit(chip.elements, presets.pcb_1k_1n())
    assert float(limit[0]) == pytest.approx(0.02 / 0.041, rel=1e-12)
    assert float(limit[1]) == pytest.approx(1.5)
    full[:, 0] = [1.0, *[-1.0] * (n - 1)]
    chip = program(manufacture("integrator", n, presets.ideal()), LinearProblem(full, np.ones(n)))
    limit = chip.topology.voltage_limit(chip.elements, presets.pcb_1k_1n())
    assert float(limit[0]) == pytest.approx(0.02 / 0.040, rel=1e-12)  # 39 entries and the feedback resistor
