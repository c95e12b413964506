"""The transconductor array: one asymmetric 2 x 2 example by hand, finite gain, and the limited OTA against ngspice."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from agreement import (
    chips_are_single_chips,
    closed_form_is_the_netlist,
    covariance,
    noise_is_that_of_ngspice,
    spice_differences,
)
from cases import spd_matrix, stable_matrix
from relaxation import relaxation
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_lyapunov

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.engines.spice.process import find_ngspice, ngspice_version, run_deck
from tngd_hw.hardware import Elements, Role, Transconductors
from tngd_hw.netlist import Kind, Netlist, Transient, state_equations, write_deck
from tngd_hw.topologies import Drive, LoadedChip
from tngd_hw.topologies.gm_c import GmC

Array = np.ndarray

# R = 1 kOhm: the largest transconductance is 1 mS, so g0 = 0.5 mS, tau = 1 nF/g0 = 2 us and v_in = 0.5 v0 b.
A = np.array([[2.0, -1.0], [0.5, 1.0]])
b = np.array([1.0, -0.5])
G0, TAU = 0.5e-3, 2e-6


def hardware(**transconductors: float) -> HardwareSpec:
    capacitors = {"tolerance_dtod": transconductors.get("tolerance_dtod", 0.0)}
    return HardwareSpec.from_dict({"name": "ota", "transconductors": transconductors, "capacitors": capacitors})


def load(
    matrix: object = A,
    right: object = None,
    spec: HardwareSpec | None = None,
    *,
    chips: int | None = None,
    nodes: int | None = None,
    **options: object,
) -> LoadedChip:
    problem = LinearProblem(np.asarray(matrix), right)  # pyright: ignore[reportArgumentType] - an array or None
    chip = manufacture("gm_c", nodes or problem.n, presets.ideal() if spec is None else spec, seed=3, chips=chips)
    return program(chip, problem, **options)  # pyright: ignore[reportArgumentType] - x_max, kappa


def sparse() -> Array:
    matrix = np.diag([3.0, 1.0, 2.0, 1.5])
    matrix[0, 2], matrix[3, 1] = -0.5, 0.25
    return matrix


MATRICES = {
    "by hand": A,
    "one": np.array([[0.7]]),
    "symmetric": spd_matrix(6, seed=3),
    "not symmetric": -stable_matrix(5, seed=4),
    "zeros": sparse(),
}
SPECS = {
    "ideal": presets.ideal(),
    "tolerance": hardware(tolerance_dtod=0.05),
    "finite gain": hardware(intrinsic_gain=40.0),
    "all": hardware(tolerance_dtod=0.05, intrinsic_gain=40.0, linear_range_volt=0.1),
}


def test_transconductors_by_hand() -> None:
    """A > 0 takes current out of node i: it leaves ground for node i through gm (0 - v_j); A < 0 has them exchanged."""
    loaded = load(right=b)
    table = loaded.netlist().table(Kind.VCCS)
    assert table is not None
    names = loaded.netlist().node_names
    found = {
        name: (*(names[k] for k in row), float(value))
        for name, row, value in zip(table.names, table.nodes.tolist(), table.values, strict=True)
    }
    expected = {
        "b_0": ("0", "out0", "in0", "0", 1e-3), "b_1": ("0", "out1", "in1", "0", 1e-3),
        "a_0_0": ("0", "out0", "0", "out0", 1e-3), "a_0_1": ("0", "out0", "out1", "0", 0.5e-3),
        "a_1_0": ("0", "out1", "0", "out0", 0.25e-3), "a_1_1": ("0", "out1", "0", "out1", 0.5e-3),
    }  # fmt: skip
    assert set(found) == set(expected)
    for name, row in expected.items():
        assert found[name][:4] == row[:4]
        assert found[name][4] == pytest.approx(row[4], rel=1e-12)


def test_sources_capacitors_and_scales_by_hand() -> None:
    loaded = load(right=b, x_max=2.0)
    assert loaded.scales.conductance_siemens == pytest.approx(G0, rel=1e-12)
    assert loaded.tau == pytest.approx(TAU, rel=1e-12)
    assert loaded.scales.input_gain == pytest.approx(0.5, rel=1e-12)
    netlist = loaded.netlist(loaded.drive(x0=[0.5, -2.0]))
    sources, capacitors = netlist.table(Kind.VOLTAGE_SOURCE), netlist.table(Kind.CAPACITOR)
    assert sources is not None
    assert capacitors is not None
    v0 = loaded.scales.voltage_volt
    np.testing.assert_allclose(sources.values, [0.5 * v0, -0.25 * v0], rtol=1e-12)
    assert [netlist.node_names[k] for k in capacitors.nodes[:, 0]] == ["out0", "out1"]
    np.testing.assert_allclose(capacitors.initial, [0.5 * v0, -2 * v0], rtol=1e-12)
    assert netlist.table(Kind.RESISTOR) is None


@pytest.mark.parametrize("spec", list(SPECS))
@pytest.mark.parametrize("matrix", list(MATRICES))
def test_closed_form_is_the_netlist(matrix: str, spec: str) -> None:
    closed_form_is_the_netlist(load(MATRICES[matrix], spec=SPECS[spec], kappa=1e-3))


@pytest.mark.parametrize("spec", list(SPECS))
def test_chips_of_a_batch_are_single_chips(spec: str) -> None:
    chips_are_single_chips(load(MATRICES["not symmetric"], spec=SPECS[spec], chips=3, kappa=1e-3, nodes=6))


@pytest.mark.parametrize("engine", ["behavioral", "state_space"])
@pytest.mark.parametrize("matrix", list(MATRICES))
def test_ideal_circuit_is_the_relaxation(matrix: str, engine: str) -> None:
    M = MATRICES[matrix]
    rng = np.random.default_rng(4)
    right, x0 = rng.normal(size=len(M)), rng.normal(size=len(M))
    times = np.array([0.0, 0.1, 1.0, 5.0, 50 / np.linalg.eigvals(M).real.min()])
    loaded, run = load(M, right), find_engine(engine)
    _, found = run.run(run.init(loaded), duration=times[-1] * loaded.tau, x0=x0, times_s=times * loaded.tau)
    x = loaded.unknowns(found.voltage_volt).numpy()
    np.testing.assert_allclose(x, relaxation(M, right, times, x0), rtol=0, atol=1e-9 * np.abs(x).max())
    np.testing.assert_allclose(x[-1], np.linalg.solve(M, right), rtol=0, atol=1e-9 * np.abs(x).max())


def law(loaded: LoadedChip) -> Array:
    """Covariance of x by the netlist's equations."""
    return covariance(state_equations(loaded.netlist()).sde) / loaded.scales.voltage_volt**2


def test_symmetric_matrix_samples_its_inverse() -> None:
    M = MATRICES["symmetric"]
    expected = 1e-3 * np.linalg.inv(M)
    np.testing.assert_allclose(law(load(M, kappa=1e-3)), expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def test_other_matrices_follow_the_lyapunov_equation_and_invert_by_solves() -> None:
    M = MATRICES["not symmetric"]
    found = law(load(M, kappa=1e-3))
    expected = solve_continuous_lyapunov(M, 2e-3 * np.eye(len(M)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    inverse = np.linalg.inv(M)
    assert np.abs(found / 1e-3 - inverse).max() > 0.1 * np.abs(inverse).max()
    loaded, engine = load(M, x_max=10.0), find_engine("state_space")
    duration = 50 / np.linalg.eigvals(M).real.min() * loaded.tau
    _, trajectory = engine.run(engine.init(loaded), b=np.eye(len(M)), duration=duration)
    columns = loaded.unknowns(trajectory.final_volt, -2).numpy()
    np.testing.assert_allclose(columns, inverse, rtol=0, atol=1e-9 * np.abs(inverse).max())


def test_finite_output_resistance_by_hand() -> None:
    """Gain 20: rows hold 1.5 and 0.75 mS and the input's 1 mS, so A gains 2.5/20/0.5 = 0.25 and 1.75/20/0.5 = 0.175."""
    loaded = load(right=b, spec=hardware(intrinsic_gain=20.0))
    held = A + np.diag([0.25, 0.175])
    np.testing.assert_allclose(loaded.linear_sde().F.numpy() * TAU, -held, rtol=1e-12)
    table = loaded.netlist().table(Kind.RESISTOR)
    assert table is not None
    np.testing.assert_allclose(table.values, [20 / 2.5e-3, 20 / 1.75e-3], rtol=1e-12)
    engine = find_engine("state_space")
    _, found = engine.run(engine.init(loaded), duration=80 * TAU)
    expected, exact = np.linalg.solve(held, b), np.linalg.solve(A, b)
    np.testing.assert_allclose(loaded.unknowns(found.final_volt).numpy(), expected, rtol=1e-9)
    report = loaded.report
    assert report.gain_damping == pytest.approx(0.25, rel=1e-12)
    assert loaded.design_report.gain_damping == pytest.approx(0.25, rel=1e-12)
    loss = np.linalg.norm(expected - exact) / np.linalg.norm(exact)
    assert report.expected_loss is not None
    assert report.expected_loss.total == pytest.approx(loss, rel=1e-9)
    assert report.expected_loss.design == pytest.approx(loss, rel=1e-9)
    assert report.expected_loss.tolerance == pytest.approx(0.0, abs=1e-12)
    slowest = np.linalg.eigvals(held).real.min()
    assert loaded.design_report.slowest_tau == pytest.approx(1 / slowest, rel=1e-9)


def test_tolerances_are_those_of_the_die() -> None:
    loaded = load(spec=hardware(tolerance_dtod=0.05), nodes=4)
    drawn = loaded.chip.deviations["transconductors"]["tolerance"]
    nominal = torch.tensor([2.0, 1.0, 0.5, 1.0], dtype=torch.float64) * G0
    values = loaded.elements.value(Role.TRANSCONDUCTOR)
    torch.testing.assert_close(values, nominal * (1 + drawn[Role.TRANSCONDUCTOR][:2, :2].flatten()), rtol=1e-13, atol=0)
    inputs = loaded.elements.value(Role.INPUT_TRANSCONDUCTOR)
    torch.testing.assert_close(inputs, 1e-3 * (1 + drawn[Role.INPUT_TRANSCONDUCTOR][:2, 0]), rtol=1e-13, atol=0)


def test_voltages_and_inputs_are_planned_within_the_linear_range() -> None:
    loaded = load(spd_matrix(5, 1), np.ones(5), hardware(linear_range_volt=0.05))
    assert loaded.voltage_limit.tolist() == [0.05] * 5
    assert loaded.report.voltage_limit_volt == 0.05
    engine = find_engine("behavioral")
    _, found = engine.run(engine.init(loaded), duration=100 * loaded.tau)
    assert found.status.ok
    assert float(found.voltage_volt.abs().max()) <= 0.8 * 0.05
    steep = load(np.eye(2), [1.0, 0.0], hardware(linear_range_volt=0.05), x_max=1e-3)
    assert float(steep.drive().inputs.abs().max()) == pytest.approx(0.04)
    _, beyond = engine.run(engine.init(steep), b=[100.0, 0.0], duration=20 * steep.tau)
    assert beyond.status.outcome is Outcome.SATURATED


@pytest.mark.parametrize(
    ("matrix", "outcome"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], Outcome.UNSTABLE),
        ([[1.0, 1.0], [1.0, 1.0]], Outcome.SINGULAR),
        ([[0.1, 1.0], [-1.0, 0.1]], Outcome.OK),
    ],
)
def test_what_it_can_hold(matrix: object, outcome: Outcome) -> None:
    assert load(matrix).status.outcome is outcome


def test_reports_speak_of_transconductors() -> None:
    loaded = load(right=b, spec=SPECS["all"])
    text = str(loaded.report)
    assert "gm_c (native)" in text
    assert "4, 1 of them inverted" in text
    assert loaded.report.elements == 2 * 2 + 2 + 2  # array, inputs, capacitors; output conductances are no parts
    assert "output current" not in str(loaded.design_report)


def spice(netlist: Netlist, stop_s: float) -> tuple[Array, Array]:
    """Times, and voltages of the outputs, shape (T, n)."""
    path = find_ngspice()
    assert path is not None
    analysis = Transient(stop_s=stop_s, step_s=stop_s / 2000, max_step_s=stop_s / 500, relative_tolerance=1e-6)
    run = run_deck(write_deck(netlist, analysis), ngspice_version(path), plot="Transient", stop_s=stop_s, timeout_s=60)
    assert run.plot is not None, run.status
    column = {name: k for k, name in enumerate(run.plot.names)}
    values = run.plot.values.real
    return values[:, 0], values[:, [column[f"v({name})"] for name in netlist.outputs]]


def limited(loaded: LoadedChip, drive: Drive, range_volt: float) -> Netlist:
    topology = loaded.topology
    assert isinstance(topology, GmC)
    return topology.limited_netlist(loaded.elements, range_volt, drive.inputs, drive.initial_volt)


def tanh_circuit(elements: Elements, drive: Drive, range_volt: float, times: Array) -> Array:
    """C dv_i/dt = -sum_j gm_ij V tanh(v_j/V) + g_in V tanh(v_in/V) - g_out v_i, by scipy from the elements alone."""
    array = elements.components[Role.TRANSCONDUCTOR]
    n = elements.n
    gm = np.zeros((n, n))
    gm[array.row.numpy(), array.column.numpy()] = (array.sign * array.value).numpy()
    C, g_in, g_out = (
        elements.value(r).numpy() for r in (Role.NODE_CAPACITOR, Role.INPUT_TRANSCONDUCTOR, Role.OUTPUT_CONDUCTANCE)
    )
    into = g_in * range_volt * np.tanh(drive.inputs.numpy() / range_volt)

    def rate(_: float, v: Array) -> Array:
        return (into - gm @ (range_volt * np.tanh(v / range_volt)) - g_out * v) / C

    found = solve_ivp(
        rate, (0.0, times[-1]), drive.initial_volt.numpy(), t_eval=times, method="DOP853", rtol=1e-10, atol=1e-13
    )
    return found.y.T


@pytest.mark.ngspice
@pytest.mark.parametrize("size", [1e-3, 2.0])
def test_limited_transconductors(size: float) -> None:
    """Small signals: the linear circuit.  Twice the range: far from it, and where tanh takes it."""
    M = -stable_matrix(4, seed=7)
    spec = hardware(tolerance_dtod=0.02, intrinsic_gain=50.0)
    loaded = load(M, np.random.default_rng(1).normal(size=4), spec, x_max=1.0)
    range_volt = 0.1
    whole = loaded.drive(x0=np.random.default_rng(2).normal(size=4))
    scale = size * range_volt / float(whole.inputs.abs().max())
    drive = Drive(scale * whole.inputs, scale * whole.initial_volt)
    times, found = spice(limited(loaded, drive, range_volt), 20 * loaded.tau)
    expected = tanh_circuit(loaded.elements, drive, range_volt, np.minimum(times, 20 * loaded.tau))
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * largest)
    linear_times, linear = spice(
        loaded.topology.netlist(loaded.elements, drive.inputs, drive.initial_volt), 20 * loaded.tau
    )
    apart = np.abs(linear[-1] - found[-1]).max() / np.abs(linear[-1]).max()
    assert linear_times[-1] == pytest.approx(times[-1])
    assert apart < 1e-5 if size < 1 else apart > 0.1


def test_limited_netlist_is_for_the_circuit_simulator() -> None:
    loaded = load(right=b)
    netlist = limited(loaded, loaded.drive(), 0.1)
    (group,) = netlist.instances
    assert (group.cell, len(group)) == ("ota_limited", 6)
    np.testing.assert_allclose(group.parameters["vlin"], 0.1)
    with pytest.raises(MisuseError, match=r"ota is nonlinear"):
        state_equations(netlist)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(MisuseError, match="linear_range_volt"):
            limited(loaded, loaded.drive(), bad)


@pytest.mark.ngspice
@pytest.mark.parametrize("n", [1, 4, 16])
@pytest.mark.parametrize("symmetric", [True, False])
def test_ngspice(n: int, symmetric: bool) -> None:
    matrix = spd_matrix(n, n, 30.0) if symmetric else -stable_matrix(n, n)
    loaded = load(matrix, np.random.default_rng(1).normal(size=n), SPECS["all"])
    for duration_tau, x0 in ((50.0, None), (20.0, np.random.default_rng(2).normal(size=n) * 0.1)):
        path, end = spice_differences(loaded, duration_tau, x0)
        assert path < 1e-4
        assert end < 1e-5


@pytest.mark.ngspice
def test_integrated_noise_of_ngspice() -> None:
    """Variances and the variance of a difference: entries of the Lyapunov solution of a circuit with real parts."""
    noise_is_that_of_ngspice(load(MATRICES["not symmetric"], spec=SPECS["all"], kappa=1e-3))


@pytest.mark.ngspice
def test_unstable_matrix_is_found_before_the_simulation_and_grows_in_it() -> None:
    """Eigenvalues -0.2 and 2.2: e^(0.2 t/tau)."""
    loaded = load([[1.0, 1.2], [1.2, 1.0]], [1.0, -1.0], x_max=1.0)
    assert loaded.status.outcome is Outcome.UNSTABLE
    report = loaded.design_report
    assert not report.stable
    assert report.margin_per_tau == pytest.approx(-0.2, rel=1e-9)
    times, found = spice(loaded.netlist(), 30 * loaded.tau)
    late = times > 20 * loaded.tau
    growth = np.polyfit(times[late] / loaded.tau, np.log(np.abs(found[late, 0] + 5 * loaded.scales.voltage_volt)), 1)[0]
    assert growth == pytest.approx(0.2, rel=1e-3)


def test_mismatch_can_make_a_near_singular_chip_unstable() -> None:
    """Smallest eigenvalue 1e-3, transconductors of 5 %: some dies run away, and the status of each says which."""
    matrix = np.array([[1.0, 0.999], [0.999, 1.0]])
    batch = load(matrix, [1.0, 0.0], hardware(tolerance_dtod=0.05), chips=20)
    statuses = {batch.select(k).circuit_status.outcome for k in range(20)}
    assert statuses == {Outcome.OK, Outcome.UNSTABLE}


def test_output_conductance_of_the_hardware_part() -> None:
    """The part adds what the topology expects: one conductance a node, of the rows of the array and the input."""
    loaded = load(right=b)
    applied = Transconductors(intrinsic_gain=10.0).apply(loaded.nominal, {})
    np.testing.assert_allclose(applied.value(Role.OUTPUT_CONDUCTANCE), [0.25e-3, 0.175e-3], rtol=1e-12)


def test_full_array_of_512_nodes_takes_less_than_a_second() -> None:
    """262,144 transconductors: elements and netlist; processor time, the better of two."""
    loaded = load(spd_matrix(512, 0), np.ones(512), SPECS["all"])
    drive = loaded.drive()
    best = np.inf
    for _ in range(2):
        start = time.process_time()
        elements = loaded.chip.realise(loaded.topology.elements(loaded.mapped, loaded.design))
        netlist = loaded.topology.netlist(elements, drive.inputs, drive.initial_volt)
        best = min(best, time.process_time() - start)
    assert netlist.element_count == 512 * 512 + 4 * 512
    assert best < 1.0
