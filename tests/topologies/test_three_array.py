"""Three arrays around integrators, pinned by one asymmetric 2 x 2 example worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from agreement import chips_are_single_chips, closed_form_is_the_netlist, covariance, spice_differences
from cases import spd_matrix, stable_matrix
from relaxation import relaxation

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, Outcome, manufacture, presets, program, solve
from tngd_hw.engines import find_engine
from tngd_hw.engines.spice.process import find_ngspice, ngspice_version, run_deck
from tngd_hw.hardware import Role
from tngd_hw.linear_sde import mean_at
from tngd_hw.netlist import Kind, Netlist, Transient, state_equations, write_deck
from tngd_hw.topologies import LoadedChip, Preconditioning

J = [[2.0, -1.0], [0.5, 1.0]]
H = [[[0.5, -0.25], [-0.25, 1.0]]]
LAMBDA = 0.1
b = [1.0, -0.5]
# H J = [[0.875, -0.75], [0, 1.25]], J^T H J = [[1.75, -0.875], [-0.875, 2]]
A = np.array([[1.85, -0.875], [-0.875, 2.1]])
# max|J| = 2, max H = 1: g0 = 1 mS/4; C = 1 nF, so tau = 4 us.
G0, TAU = 0.25e-3, 4e-6


def rough() -> HardwareSpec:
    """Parts bad enough that every effect is far above 1e-9, fast enough that the loop is stable."""
    return HardwareSpec.from_dict(
        {
            "name": "rough",
            "resistors": {"tolerance_dtod": 0.05},
            "capacitors": {"tolerance_dtod": 0.05},
            "amplifiers": {
                "open_loop_gain": 300.0, "gain_bandwidth_hz": "100 MHz", "offset_volt_dtod": "10 mV",
                "output_swing_volt": 100.0, "output_current_ampere": 10.0,
            },
        }
    )  # fmt: skip


def by_hand(x0: list[float] | None = None) -> tuple[LoadedChip, Netlist]:
    chip = program(manufacture("three_array", 2, presets.ideal()), LinearProblem.from_factors(J, H, LAMBDA, b))
    return chip, chip.netlist(chip.drive(x0=x0))


def random_factors(n: int, batch: int, d_z: int, seed: int = 5) -> LinearProblem:
    """Softmax-like blocks (positive semidefinite, off-diagonal entries below 0) with 1/batch in them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(d_z), size=batch)
    blocks = (np.einsum("bi,ij->bij", p, np.eye(d_z)) - np.einsum("bi,bj->bij", p, p)) / batch
    return LinearProblem.from_factors(rng.normal(size=(batch * d_z, n)), blocks, 0.05, rng.normal(size=n))


def load(problem: LinearProblem, hardware: HardwareSpec, **options: object) -> LoadedChip:
    rows = problem.n if problem.factors is None else problem.factors.J.shape[0]
    chips = options.pop("chips", None)
    chip = manufacture("three_array", problem.n, hardware, seed=3, outputs=rows, chips=chips)  # pyright: ignore[reportArgumentType] - None or a number
    return program(chip, problem, **options)  # pyright: ignore[reportArgumentType] - kappa


def resistors(netlist: Netlist) -> dict[str, tuple[str, str, float]]:
    table = netlist.table(Kind.RESISTOR)
    assert table is not None
    names = netlist.node_names
    return {
        name: (names[p], names[q], float(value))
        for name, (p, q), value in zip(table.names, table.nodes.tolist(), table.values, strict=True)
    }


def test_scales() -> None:
    scales = by_hand()[0].scales
    assert scales.conductance_siemens == pytest.approx(G0, rel=1e-14)
    assert scales.tau_s == pytest.approx(TAU, rel=1e-14)
    assert scales.input_gain == pytest.approx(-0.25, rel=1e-14)


def test_every_resistor_of_the_arrays() -> None:
    """J and J^T: 2 is 1 kOhm; H: 1 is 1 kOhm; negative entries come from inverted rails."""
    expected = {
        "j_0_0": ("out0", "jacsum0", 1e3),
        "j_0_1": ("inv1", "jacsum0", 2e3),
        "j_1_0": ("out0", "jacsum1", 4e3),
        "j_1_1": ("out1", "jacsum1", 2e3),
        "h_0_0": ("jac0", "hessum0", 2e3),
        "h_0_1": ("jacinv1", "hessum0", 4e3),
        "h_1_0": ("jacinv0", "hessum1", 4e3),
        "h_1_1": ("jac1", "hessum1", 1e3),
        "t_0_0": ("hes0", "sum0", 1e3),
        "t_0_1": ("hes1", "sum0", 4e3),
        "t_1_0": ("hesinv0", "sum1", 2e3),
        "t_1_1": ("hes1", "sum1", 2e3),
        "lambda_0": ("out0", "sum0", 40e3),
        "lambda_1": ("out1", "sum1", 40e3),
        "b_0": ("in0", "sum0", 1e3),
        "b_1": ("in1", "sum1", 1e3),
    }
    found = resistors(by_hand()[1])
    assert set(found) == set(expected)
    for name, (start, end, value) in expected.items():
        assert found[name][:2] == (start, end), name
        assert found[name][2] == pytest.approx(value, rel=1e-12), name


def test_cells() -> None:
    groups = {group.cell: group for group in by_hand()[1].instances}
    assert {cell: group.names for cell, group in groups.items()} == {
        "integrator_ideal": ("int0", "int1"),
        "transimpedance_ideal": ("jac0", "jac1", "hes0", "hes1"),
        "inverter_ideal": ("inv0", "inv1", "jacinv0", "jacinv1", "hesinv0", "hesinv1"),
    }
    assert set(groups["transimpedance_ideal"].parameters["rf"]) == {1e3}


def test_stages_start_where_they_settle() -> None:
    """u = -(g_J/g_f) J v = -J v/2, w = -H u, inverters the opposite: for v = v0 (1, 2) u = 0, -1.25 v0 and so on."""
    chip = load(LinearProblem.from_factors(J, H, LAMBDA, b), presets.pcb_1k_1n())
    chip = program(manufacture("three_array", 2, rough_without_tolerance()), chip.problem)
    netlist, v0 = chip.netlist(chip.drive(x0=[1.0, 2.0])), chip.scales.voltage_volt
    start = {
        name: float(value) / v0
        for group in netlist.instances
        for name, value in zip(group.names, group.parameters["ic"], strict=True)
    }
    expected = {
        "int0": 1, "int1": 2, "inv0": -1, "inv1": -2, "jac0": 0, "jac1": -1.25, "jacinv0": 0, "jacinv1": 1.25,
        "hes0": -0.3125, "hes1": 1.25, "hesinv0": 0.3125, "hesinv1": -1.25,
    }  # fmt: skip
    assert start == pytest.approx(expected, abs=1e-12)


def rough_without_tolerance() -> HardwareSpec:
    document = rough().to_dict()
    document["resistors"]["tolerance_dtod"] = document["capacitors"]["tolerance_dtod"] = 0.0
    return HardwareSpec.from_dict(document)


def test_closed_form_of_ideal_parts() -> None:
    """tau dv/dt = -(A v - v0 b) with A = J^T H J + lambda I by hand."""
    sde = by_hand()[0].linear_sde()
    np.testing.assert_allclose(sde.F.numpy(), -A / TAU, rtol=1e-12)
    np.testing.assert_allclose(sde.E.numpy(), np.c_[-np.eye(2) * 1e-3 / 1e-9, np.zeros(2)], rtol=1e-12)
    assert sde.input_names == ("in0", "in1", "constant")


def test_strong_damping_scales_the_transposed_array_down() -> None:
    """lambda = 4 with max|J| = max H = 1: g0 = 1 mS/4 makes the damping resistor 1 kOhm, J^T has 4 kOhm and 8 kOhm."""
    chip = load(LinearProblem.from_factors([[1.0, -0.5]], [[[1.0]]], 4.0, b), presets.ideal())
    found = resistors(chip.netlist())
    ohm = {name: found[name][2] for name in ("j_0_0", "j_0_1", "h_0_0", "t_0_0", "t_1_0", "lambda_0")}
    expected = {"j_0_0": 1e3, "j_0_1": 2e3, "h_0_0": 1e3, "t_0_0": 4e3, "t_1_0": 8e3, "lambda_0": 1e3}
    assert ohm == pytest.approx(expected, rel=1e-12)
    assert chip.tau == pytest.approx(4e-6)
    np.testing.assert_allclose(chip.linear_sde().F.numpy(), -np.array([[5, -0.5], [-0.5, 4.25]]) / 4e-6, rtol=1e-12)


def test_inventory_is_the_papers_count_and_blocks_use_less() -> None:
    """m (m + 2 N) resistors are built; 2 blocks of 2 in H use batch d_z^2 + 2 m N."""
    problem = random_factors(3, 2, 2)
    chip = load(problem, presets.ideal())
    built = sum(
        rows * columns for role, (rows, columns) in chip.chip.inventory.items() if role in chip.topology.matrix_roles
    )
    assert built == 4 * (4 + 2 * 3)
    assert chip.report.matrix_components == 2 * 2**2 + 2 * 4 * 3
    assert len(chip.elements.components[Role.HESSIAN].row) == 8
    assert chip.report.amplifiers == 2 * 3 + 4 * 4


def test_both_jacobian_arrays_have_deviations_of_their_own() -> None:
    chip = load(random_factors(3, 2, 2), presets.pcb_1k_1n())
    forward, back = (chip.elements.components[role].dense(1) for role in (Role.JACOBIAN, Role.TRANSPOSE))
    ratio = (back.T / forward)[forward > 0]
    assert 3e-4 < float(ratio.std() / ratio.mean()) < 3e-3  # sqrt(2) of 0.1 %, of a few draws
    drawn = chip.chip.deviations["resistors"]["tolerance"]
    torch.testing.assert_close(
        chip.elements.value(Role.TRANSPOSE),
        chip.nominal.value(Role.TRANSPOSE) / (1 + drawn[Role.TRANSPOSE].flatten()),
    )


PROBLEMS = {
    "by hand": LinearProblem.from_factors(J, H, LAMBDA, b),
    "blocks": random_factors(5, 2, 3),
    "one row": LinearProblem.from_factors([[1.0, -0.5, 0.0, 2.0]], [[[0.7]]], 0.2, [1.0, 0.0, -1.0, 0.5]),
    "dense": LinearProblem(spd_matrix(6, seed=3), np.arange(6.0)),
    "one unknown": LinearProblem([[0.7]], [1.0]),
}
HARDWARE = {"ideal": presets.ideal, "pcb": presets.pcb_1k_1n, "rough": rough}


@pytest.mark.parametrize("hardware", list(HARDWARE))
@pytest.mark.parametrize("name", list(PROBLEMS))
def test_closed_form_is_the_netlist(name: str, hardware: str) -> None:
    loaded = load(PROBLEMS[name], HARDWARE[hardware](), kappa=0.01)
    assert loaded.circuit_status.ok
    closed_form_is_the_netlist(loaded)


@pytest.mark.parametrize("hardware", list(HARDWARE))
def test_chips_of_a_batch_are_single_chips(hardware: str) -> None:
    chips_are_single_chips(load(PROBLEMS["blocks"], HARDWARE[hardware](), chips=3, kappa=0.01))


def test_rough_parts_are_seen() -> None:
    problem = PROBLEMS["blocks"]
    ideal, bad = (program_settled(load(problem, spec)) for spec in (presets.ideal(), rough()))
    assert np.abs(ideal - bad).max() > 0.02 * np.abs(ideal).max()


def program_settled(loaded: LoadedChip) -> np.ndarray:
    sde, drive = loaded.linear_sde(), loaded.drive()
    u = torch.cat([drive.inputs, torch.ones(1)])
    return -sde.C.numpy() @ np.linalg.solve(sde.F.numpy(), (sde.E @ u).numpy()) / loaded.scales.voltage_volt


@pytest.mark.parametrize("name", list(PROBLEMS))
@pytest.mark.parametrize("engine", ["behavioral", "state_space"])
def test_ideal_parts_are_the_relaxation(name: str, engine: str) -> None:
    """The paper's Eq. 22 with the right sign, along the whole path and from a start, against expm."""
    loaded, rng = load(PROBLEMS[name], presets.ideal()), np.random.default_rng(4)
    assert loaded.problem.b is not None
    x0, times = rng.normal(size=loaded.n), np.array([0.0, 0.01, 0.3, 1.0, 10.0, 400.0])
    expected = relaxation(loaded.problem.formed_matrix().numpy(), loaded.problem.b.numpy(), times, x0)
    simulator = find_engine(engine)
    _, run = simulator.run(simulator.init(loaded), duration=400 * loaded.tau, times_s=times * loaded.tau, x0=x0)
    found = run.voltage_volt.numpy() / loaded.scales.voltage_volt
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_solve_takes_a_dense_matrix() -> None:
    M, right = spd_matrix(8, seed=2), np.arange(8.0)
    found = solve(M, right, topology="three_array")
    assert found.status.ok
    np.testing.assert_allclose(found.value, np.linalg.solve(M, right), rtol=2e-5, atol=1e-5)


def test_factors_of_a_dense_matrix_leave_half_its_smallest_eigenvalue_to_the_damping() -> None:
    """A = [[2, 1], [1, 2]] has the eigenvalues 1 and 3: lambda = 1/2, J^T J = [[1.5, 1], [1, 1.5]] by hand."""
    chip = load(LinearProblem([[2.0, 1.0], [1.0, 2.0]], b), presets.ideal())
    g = {name: 1 / value[2] for name, value in resistors(chip.netlist()).items()}
    first = math.sqrt(1.5)  # J = [[sqrt 1.5, 1/sqrt 1.5], [0, sqrt(1.5 - 1/1.5)]]
    expected = np.array([first, 1 / first, math.sqrt(1.5 - 1 / 1.5)]) / first * 1e-3
    np.testing.assert_allclose([g["j_0_0"], g["j_0_1"], g["j_1_1"]], expected, rtol=1e-12)
    assert g["lambda_0"] == pytest.approx(0.5 / 1.5 * 1e-3)
    assert "j_1_0" not in g


@pytest.mark.parametrize("source", ["closed form", "netlist"])
@pytest.mark.parametrize("name", ["by hand", "dense"])
def test_injected_noise_has_the_covariance_kappa_over_a(name: str, source: str) -> None:
    loaded = load(PROBLEMS[name], presets.ideal(), kappa=0.02)
    sde = loaded.linear_sde() if source == "closed form" else state_equations(loaded.netlist()).sde
    expected = 0.02 * np.linalg.inv(loaded.problem.formed_matrix().numpy())
    np.testing.assert_allclose(covariance(sde) / loaded.scales.voltage_volt**2, expected, rtol=1e-9)


def test_voltage_limit_follows_the_stages() -> None:
    """J = (1, 1), H = 1: |u| <= sqrt(2) |v| within the swing of 1.5 V."""
    chip = load(LinearProblem.from_factors([[1.0, 1.0]], [[[1.0]]], 0.1, b), presets.ideal())
    limit = chip.topology.voltage_limit(chip.elements, presets.pcb_1k_1n())
    np.testing.assert_allclose(limit, 1.5 / math.sqrt(2), rtol=1e-12)


def test_voltage_limit_follows_the_current_of_the_stages() -> None:
    """w drives 40 resistors of 1 mS, its feedback and its inverter: 42 mS, 20 mA, and |w| <= sqrt(40) |v|."""
    chip = load(LinearProblem.from_factors(np.ones((1, 40)), [[[1.0]]], 0.1, np.ones(40)), presets.ideal())
    limit = chip.topology.voltage_limit(chip.elements, presets.pcb_1k_1n())
    np.testing.assert_allclose(limit, 0.02 / 0.042 / math.sqrt(40), rtol=1e-12)


def test_planned_drive_keeps_every_stage_in_range() -> None:
    """From rest, every amplifier of the netlist stays below its swing: read off the nodes of the real circuit."""
    loaded = load(PROBLEMS["blocks"], presets.pcb_1k_1n())
    limit = float(loaded.voltage_limit.min())
    network_gain = loaded.topology.initial_state(loaded.elements, torch.eye(loaded.n, dtype=torch.float64))
    assert float(network_gain[2 * loaded.n :].square().sum(1).sqrt().max()) * limit <= 1.5 * (1 + 1e-9)
    engine = find_engine("behavioral")
    assert engine.run(engine.init(loaded), duration=300 * loaded.tau)[1].status.ok


def refusal(problem: LinearProblem, **options: object) -> str:
    chip = manufacture("three_array", 3, presets.ideal(), **options)  # pyright: ignore[reportArgumentType] - outputs
    loaded = program(chip, problem)
    assert loaded.status.outcome is Outcome.NOT_REALIZABLE
    assert loaded.programmed is None
    return loaded.status.detail


def test_refusals_say_where_and_how_much() -> None:
    skew = [[2.0, 0.5, 0.0], [0.5, 2.0, 0.25], [0.0, -0.75, 2.0]]
    assert refusal(LinearProblem(skew)).startswith("A[1, 2] = 0.25 and A[2, 1] = -0.75: ")
    assert refusal(LinearProblem(np.diag([1.0, -0.5, 2.0]))).startswith("A has the eigenvalue -0.5: ")
    assert refusal(LinearProblem(np.diag([1.0, 0.0, 2.0]))).startswith("A has the eigenvalue 0: ")
    assert refusal(random_factors(3, 2, 2)).startswith("J has 4 rows, the chip has 3 outputs")
    assert refusal(random_factors(3, 1, 2), outputs=1).startswith("J has 2 rows, the chip has 1 outputs")
    blocks = np.array([np.eye(2), [[1.0, 0.5], [0.0, 1.0]]])
    lopsided = LinearProblem.from_factors(np.ones((4, 3)), blocks, 0.1)
    assert refusal(lopsided, outputs=4).startswith("block 1 of H is not symmetric")
    negative = LinearProblem.from_factors(np.eye(3), [[[1.0]], [[-2.0]], [[1.0]]], 0.1)
    assert refusal(negative).startswith("A has the eigenvalue -1.9: ")
    assert refusal(LinearProblem(stable_matrix(3, 1))).startswith("A[")


def test_larger_problem_than_the_die() -> None:
    loaded = program(manufacture("three_array", 2, presets.ideal(), outputs=4), random_factors(3, 2, 2))
    assert loaded.status.detail == "A has 3 rows, the chip has 2 nodes"


def test_smaller_problem_uses_the_first_nodes_and_outputs_of_the_die() -> None:
    die = manufacture("three_array", 6, presets.pcb_1k_1n(), outputs=7, seed=2)
    small = program(die, LinearProblem.from_factors(J, H, LAMBDA, b))
    drawn = die.deviations["resistors"]["tolerance"][Role.HESSIAN][:2, :2].flatten()
    nominal = torch.tensor([0.5, 0.25, 0.25, 1.0], dtype=torch.float64) * 1e-3
    torch.testing.assert_close(small.elements.value(Role.HESSIAN), nominal / (1 + drawn), rtol=1e-13, atol=0)


def test_preconditioning_of_factors_is_misuse() -> None:
    with pytest.raises(MisuseError, match=r"preconditioning = unit_diagonal: this problem is kept as factors"):
        program(
            manufacture("three_array", 2, presets.ideal()),
            PROBLEMS["by hand"],
            preconditioning=Preconditioning.UNIT_DIAGONAL,
        )


def test_damping_resistor_is_never_left_out() -> None:
    document = {"name": "short range", "resistors": {"resistance_ohm": 1e3, "largest_ohm": 1e5}}
    loaded = load(LinearProblem.from_factors(J, H, 1e-4, b), HardwareSpec.from_dict(document))
    assert (1 / loaded.elements.value(Role.DAMPING)).tolist() == pytest.approx([1e5, 1e5])


def slow(gain_bandwidth_hz: float) -> HardwareSpec:
    amplifiers = {
        "open_loop_gain": 1e5, "gain_bandwidth_hz": gain_bandwidth_hz, "output_swing_volt": 10.0,
        "output_current_ampere": 1.0,
    }  # fmt: skip
    return HardwareSpec.from_dict({"name": "slow", "amplifiers": amplifiers})


def unstable_chip() -> LoadedChip:
    J = np.random.default_rng(1).normal(size=(4, 32))
    return load(LinearProblem.from_factors(J, np.ones((4, 1, 1)), 0.1, np.ones(32)), slow(1e6))


def test_instability_is_found_before_anything_runs() -> None:
    """An A that every ideal circuit solves, with amplifiers of 1 MHz and of 100 MHz."""
    loaded = unstable_chip()
    assert loaded.status.ok
    assert loaded.circuit_status.outcome is Outcome.UNSTABLE
    report = loaded.design_report
    assert not report.stable
    assert report.damping_ratio < 0
    engine = find_engine("state_space")
    assert engine.run(engine.init(loaded), duration=loaded.tau)[1].status.outcome is Outcome.UNSTABLE
    fast = program(manufacture("three_array", 32, slow(1e8), outputs=4), loaded.problem)
    assert fast.circuit_status.ok
    assert fast.design_report.damping_ratio > 0.5


@pytest.mark.ngspice
def test_ngspice_confirms_the_instability() -> None:
    """ngspice runs away as the closed form says, to 1 % of the end value, far above the ideal circuit."""
    loaded = unstable_chip()
    stop = 12 / float(loaded.linear_sde().eigenvalues().real.max())
    deck = write_deck(loaded.netlist(), Transient(stop, stop / 1e5, stop / 2000, relative_tolerance=1e-6))
    path = find_ngspice()
    assert path is not None
    plot = run_deck(deck, ngspice_version(path), plot="Transient", stop_s=stop, timeout_s=60).plot
    assert plot is not None
    drive = loaded.drive()
    u, x0 = torch.cat([drive.inputs, torch.ones(1)]), loaded.topology.initial_state(loaded.elements, drive.initial_volt)
    times = torch.from_numpy(plot.values[:, 0].real.copy())
    expected = mean_at(loaded.linear_sde(), times, x0=x0, u=u).numpy()
    column = [plot.names.index(f"v(out{i})") for i in range(loaded.n)]
    np.testing.assert_allclose(plot.values.real[:, column], expected, rtol=0, atol=0.01 * np.abs(expected).max())
    ideal = np.linalg.solve(loaded.problem.formed_matrix().numpy(), np.ones(32)) * loaded.scales.voltage_volt
    assert np.abs(plot.values.real[-1, column]).max() > 20 * np.abs(ideal).max()


def of_norm_one(problem: LinearProblem) -> LinearProblem:
    """The same factors with J scaled to a largest eigenvalue of A near 1, which the steps of a run are chosen for."""
    factors = problem.factors
    assert factors is not None
    largest = float(np.linalg.eigvalsh(problem.formed_matrix().numpy())[-1])
    return LinearProblem.from_factors(factors.J / math.sqrt(largest), factors.H, factors.damping, problem.b)


@pytest.mark.ngspice
@pytest.mark.parametrize(("n", "batch", "d_z", "duration_tau"), [(1, 1, 2, 15), (4, 2, 3, 50), (16, 3, 4, 50)])
@pytest.mark.parametrize("from_rest", [True, False])
def test_ngspice_agrees(n: int, batch: int, d_z: int, duration_tau: float, from_rest: bool) -> None:
    loaded = load(of_norm_one(random_factors(n, batch, d_z)), presets.pcb_1k_1n())
    x0 = None if from_rest else np.random.default_rng(3).normal(size=n) * 0.3
    path, end = spice_differences(loaded, duration_tau, x0)
    assert path < 1e-4
    assert end < 1e-5
