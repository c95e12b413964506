"""Signed encodings of the resistor arrays, and two-sided scaling: same answer, other components."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tngd_hw as tngd
from tngd_hw import HardwareSpec, LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.hardware import Encoding, Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Kind, state_equations
from tngd_hw.topologies import LoadedChip, Preconditioning

A = np.array([[2.0, -1.0], [0.5, 1.0]])
b = np.array([1.0, -0.5])


def load(
    matrix: np.ndarray, encoding: Encoding, hardware: HardwareSpec | None = None, chips: int | None = None
) -> LoadedChip:
    n = len(matrix)
    spec = presets.ideal() if hardware is None else hardware
    chip = manufacture("integrator", n, spec, seed=4, chips=chips, encoding=encoding)
    return program(chip, LinearProblem(matrix, np.linspace(-1, 1, n) + 0.3))


def mixed_matrix(n: int, seed: int) -> np.ndarray:
    """Not symmetric, both signs, eigenvalues right of 0.5."""
    M = np.random.default_rng(seed).normal(size=(n, n)) / np.sqrt(n)
    return M + (0.5 - np.linalg.eigvals(M).real.min()) * np.eye(n)


def test_offset_encoding_by_hand() -> None:
    """Row 0 is shifted by 1, row 1 by 0.  sqrt(2) c_0 = 1.414 is below A_00 + 1 = 3, so g0 = 1 mS/3."""
    loaded = load(A, Encoding.OFFSET)
    assert loaded.scales.conductance_siemens == pytest.approx(1e-3 / 3, rel=1e-12)
    netlist = loaded.netlist()
    table = netlist.table(Kind.RESISTOR)
    assert table is not None
    names = netlist.node_names
    found = {
        name: (names[p], names[q], float(v))
        for name, (p, q), v in zip(table.names, table.nodes.tolist(), table.values, strict=True)
    }
    assert found == {
        "a_0_0": ("out0", "sum0", pytest.approx(1e3)),  # 2 + 1 = 3
        # a_0_1: -1 + 1 = 0 has no resistor
        "a_1_0": ("out0", "sum1", pytest.approx(6e3)),
        "a_1_1": ("out1", "sum1", pytest.approx(3e3)),
        "c_0_0": ("ref", "sum0", pytest.approx(3e3 / np.sqrt(2))),
        "refin_0_0": ("out0", "refsum", pytest.approx(np.sqrt(2) * 1e3)),
        "refin_0_1": ("out1", "refsum", pytest.approx(np.sqrt(2) * 1e3)),
        "b_0": ("in0", "sum0", pytest.approx(1e3)),
        "b_1": ("in1", "sum1", pytest.approx(1e3)),
    }
    F = loaded.linear_sde().F.numpy()
    np.testing.assert_allclose(F, -A / loaded.tau, rtol=1e-12)


def test_inventory_of_the_encodings() -> None:
    """n inverters or one reference amplifier; n^2 and 3 n or n^2 and 3 n + 1 resistors."""
    balanced, offset = (
        manufacture("integrator", 5, presets.ideal(), encoding=e) for e in (Encoding.BALANCED, Encoding.OFFSET)
    )
    assert balanced.inventory[Role.INVERTER_AMPLIFIER] == (5, 1)
    assert Role.INVERTER_AMPLIFIER not in offset.inventory
    assert offset.inventory[Role.REFERENCE_AMPLIFIER] == (1, 1)
    assert offset.inventory[Role.REFERENCE_INPUT] == (1, 5)


@pytest.mark.parametrize("hardware", [presets.ideal(), presets.pcb_1k_1n()], ids=["ideal", "pcb"])
@pytest.mark.parametrize("encoding", [Encoding.BALANCED, Encoding.OFFSET])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_closed_form_and_netlist(n: int, encoding: Encoding, hardware: HardwareSpec) -> None:
    loaded = load(mixed_matrix(n, n), encoding, hardware)
    mine, circuit = loaded.linear_sde(), state_equations(loaded.netlist()).sde
    for s in (1e4 + 1e4j, 1e6j, 1e8 + 1e7j):
        scale = np.abs(response(mine, s)).max()
        np.testing.assert_allclose(response(mine, s), response(circuit, s), rtol=1e-9, atol=1e-9 * scale)


def response(sde: LinearSDE, s: complex) -> np.ndarray:
    F, E, C, D = (np.asarray(m) for m in (sde.F, sde.E, sde.C, sde.D))
    return C @ np.linalg.solve(s * np.eye(len(F)) - F, E) + D


@pytest.mark.parametrize("encoding", [Encoding.BALANCED, Encoding.OFFSET])
def test_answer_of_a_chip_with_ideal_parts(encoding: Encoding) -> None:
    matrix = mixed_matrix(6, 3)
    loaded = load(matrix, encoding)
    engine = tngd.engines.find_engine("state_space")
    _, run = engine.run(engine.init(loaded), duration=200 * loaded.tau, times_s=[200 * loaded.tau])
    found = tngd.read(run, loaded).value
    np.testing.assert_allclose(found, np.linalg.solve(matrix, np.linspace(-1, 1, 6) + 0.3), rtol=1e-9, atol=1e-9)


def test_chips_of_a_batch_are_single_chips() -> None:
    batch = load(mixed_matrix(4, 5), Encoding.OFFSET, presets.pcb_1k_1n(), chips=3)
    for k in range(3):
        one = batch.select(k)
        np.testing.assert_array_equal(batch.linear_sde().F[k], one.linear_sde().F)
        start = torch.tensor([0.1, -0.2, 0.3, 0.0], dtype=torch.float64)
        whole, single = (c.topology.initial_state(c.elements, start) for c in (batch, one))
        np.testing.assert_allclose(whole[k], single, rtol=1e-14)


def test_reset_of_the_offset_circuit_is_settled() -> None:
    """Held at x0 the reference amplifier stands at -sum V/sqrt(n): nothing moves at the first instant but the nodes."""
    loaded = load(mixed_matrix(4, 5), Encoding.OFFSET, presets.pcb_1k_1n())
    start = torch.tensor([0.1, -0.2, 0.3, 0.1], dtype=torch.float64)
    state = loaded.topology.initial_state(loaded.elements, start)
    assert float(state[-1]) == pytest.approx(-0.3 / 2, rel=1e-2)
    engine = tngd.engines.find_engine("state_space")
    x0 = start / loaded.scales.voltage_volt
    runs = [
        tngd.engines.find_engine(name)
        .run(tngd.engines.find_engine(name).init(loaded), duration=loaded.tau, x0=x0, times_s=[0.0, loaded.tau])[1]
        .voltage_volt.numpy()
        for name in ("state_space", "behavioral")
    ]
    del engine
    np.testing.assert_allclose(runs[0][0], start, rtol=1e-12)
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-9)


def test_an_encoding_that_the_circuit_does_not_have() -> None:
    with pytest.raises(MisuseError, match=r"encoding = .*NATIVE.*: integrator can be built with"):
        manufacture("integrator", 2, presets.ideal(), encoding=Encoding.NATIVE)


# --- two-sided diagonal scaling -----------------------------------------------------------------------------------


def badly_scaled(n: int = 5) -> np.ndarray:
    """Rows and columns of very different size: D A D is well conditioned, A is not."""
    M = np.random.default_rng(8).normal(size=(n, n)) / np.sqrt(n)
    size = np.geomspace(1, 30, n)
    return size[:, None] * (M @ M.T + np.eye(n)) * size


def test_unit_diagonal_scaling_gives_the_same_answer_and_another_path() -> None:
    matrix, right = badly_scaled(), np.array([1.0, -2.0, 0.5, 3.0, -1.0])
    exact = np.linalg.solve(matrix, right)
    chip = manufacture("integrator", 5, presets.ideal())
    plain = program(chip, LinearProblem(matrix, right))
    scaled = program(chip, LinearProblem(matrix, right), preconditioning=Preconditioning.UNIT_DIAGONAL)
    assert scaled.report.scaled
    assert not plain.report.scaled
    assert scaled.report.mapped_condition_number < plain.report.condition_number / 20
    assert scaled.report.condition_number == plain.report.condition_number
    assert "same end, other path" in str(scaled.report)
    for engine in ("ideal", "behavioral", "state_space"):
        simulator = tngd.engines.find_engine(engine)
        _, run = simulator.run(simulator.init(scaled), duration=300 * scaled.tau, times_s=[300 * scaled.tau])
        np.testing.assert_allclose(tngd.read(run, scaled).value, exact, rtol=1e-9)


def test_path_of_a_scaled_problem_is_the_filter_of_the_scaled_matrix() -> None:
    """y(t) of D A D from D b, x = D y, at 2 tau of the scaled circuit; and a start x0 is held as x0."""
    matrix, right, x0 = badly_scaled(), np.ones(5), np.array([0.1, -0.2, 0.05, 0.0, 0.3])
    chip = manufacture("integrator", 5, presets.ideal())
    loaded = program(chip, LinearProblem(matrix, right), preconditioning=Preconditioning.UNIT_DIAGONAL, x_max=10.0)
    D = 1 / np.sqrt(np.diag(matrix))
    from relaxation import relaxation

    expected = D * relaxation(D[:, None] * matrix * D, D * right, [0.0, 2.0], x0 / D)
    engine = tngd.engines.find_engine("state_space")
    times = [0.0, 2 * loaded.tau]
    _, run = engine.run(engine.init(loaded), duration=times[-1], x0=x0, times_s=times)
    np.testing.assert_allclose(loaded.unknowns(run.voltage_volt), expected, rtol=1e-9, atol=1e-12)


def test_scaling_needs_a_positive_diagonal() -> None:
    chip = manufacture("integrator", 2, presets.ideal())
    with pytest.raises(MisuseError, match=r"A\[1, 1\] = -1: preconditioning = unit_diagonal"):
        program(chip, LinearProblem([[1.0, 0.0], [0.0, -1.0]]), preconditioning=Preconditioning.UNIT_DIAGONAL)


# --- the programmable range ---------------------------------------------------------------------------------------


def test_entries_below_the_range_are_raised_or_dropped_and_counted() -> None:
    """R from 1 to 100 kOhm: 0.01 is the smallest entry of 1; 0.006 becomes 0.01, -0.004 has no resistor."""
    spec = HardwareSpec.from_dict({"name": "x", "resistors": {"largest_ohm": "100k"}})
    loaded = load(np.array([[1.0, 0.006], [-0.004, 0.5]]), Encoding.BALANCED, spec)
    held = -loaded.linear_sde().F.numpy() * loaded.tau
    np.testing.assert_allclose(held, [[1.0, 0.01], [0.0, 0.5]], rtol=1e-12)
    report = loaded.report
    assert (report.entries_raised, report.entries_dropped) == (1, 1)
    assert report.needed_range_db == pytest.approx(20 * np.log10(250))
    assert report.dynamic_range_db == pytest.approx(40)
    assert "2 below it (1 dropped)" in str(report)
    assert report.expected_loss is not None
    assert report.expected_loss.design > 1e-3
    assert report.expected_loss.tolerance < 1e-12


def test_a_matrix_that_loses_a_row_to_the_range_says_so() -> None:
    """diag(1, 0.001) on resistors of 1 to 100 kOhm: the second node has nothing that ties it."""
    spec = HardwareSpec.from_dict({"name": "x", "resistors": {"largest_ohm": "100k"}})
    loaded = load(np.diag([1.0, 0.001]), Encoding.BALANCED, spec)
    assert loaded.report.entries_dropped == 1
    assert loaded.circuit_status.outcome is Outcome.UNSTABLE
    assert "below the range of the resistors" in loaded.circuit_status.detail


def test_mapping_report_has_at_most_20_lines() -> None:
    text = str(load(mixed_matrix(4, 1), Encoding.BALANCED, presets.pcb_1k_1n()).report)
    assert len(text.splitlines()) <= 20


def test_expected_loss_is_what_a_settled_run_shows() -> None:
    loaded = load(mixed_matrix(6, 2), Encoding.BALANCED, presets.pcb_1k_1n())
    loss = loaded.report.expected_loss
    assert loss is not None
    engine = tngd.engines.find_engine("state_space")
    _, run = engine.run(engine.init(loaded), duration=400 * loaded.tau, times_s=[400 * loaded.tau])
    exact = np.linalg.solve(mixed_matrix(6, 2), np.linspace(-1, 1, 6) + 0.3)
    found = np.linalg.norm(tngd.read(run, loaded).value.numpy() - exact) / np.linalg.norm(exact)
    assert loss.total == pytest.approx(found, rel=1e-6)
    assert loss.total <= loss.design + loss.offset + loss.tolerance
    assert min(loss.design, loss.offset, loss.tolerance) > 0
