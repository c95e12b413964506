"""The INV circuit: its regression case, signs, the time unit, and its own law of stability."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from agreement import chips_are_single_chips, spice_differences, step, transfer
from cases import spd_matrix
from scipy.linalg import expm

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, Outcome, manufacture, presets, program, solve
from tngd_hw.engines import find_engine
from tngd_hw.engines.spice.process import find_ngspice, ngspice_version, run_deck
from tngd_hw.hardware import Encoding, Role
from tngd_hw.linear_sde import mean_at
from tngd_hw.netlist import Kind, Transient, state_equations, write_deck
from tngd_hw.topologies import LoadedChip

# The case: G0 = Gs = 100 uS, V_in = (0.1, 0.05, -0.05) V, A0 = 1e5, GBW = 10 MHz.
CASE = np.array([[1.0, 0.3, 0.2], [0.3, 0.8, 0.1], [0.2, 0.1, 0.6]])
CASE_INPUTS = np.array([0.1, 0.05, -0.05])
SIGNED = np.array([[2.0, -0.5, 0.0], [-0.25, 1.0, 0.125], [0.75, -0.375, 1.5]])


def hardware(
    gain_bandwidth_hz: float = 1e7, *, gain: float = 1e5, ohm: float = 1e4, spread: float = 0.0
) -> HardwareSpec:
    return HardwareSpec.from_dict(
        {
            "name": "amc",
            "resistors": {"resistance_ohm": ohm, "tolerance_dtod": spread},
            "amplifiers": {
                "open_loop_gain": gain, "gain_bandwidth_hz": gain_bandwidth_hz, "offset_volt_dtod": spread / 5,
                "output_swing_volt": 10.0, "output_current_ampere": 1.0,
            },
        }
    )  # fmt: skip


HARDWARE = {
    "exact": hardware(),
    "pcb": presets.pcb_1k_1n(),
    "rough": hardware(5e6, gain=300.0, spread=0.05),
}


def load(A: np.ndarray, spec: HardwareSpec, encoding: Encoding | None = None, **options: object) -> LoadedChip:
    chips = options.pop("chips", None)
    chip = manufacture("amc_inverse", len(A), spec, seed=2, encoding=encoding, chips=chips)  # pyright: ignore[reportArgumentType] - None or a number
    return program(chip, LinearProblem(A, np.arange(1.0, len(A) + 1)), **options)  # pyright: ignore[reportArgumentType] - kappa, x_max


def settled(loaded: LoadedChip, inputs: np.ndarray) -> np.ndarray:
    sde = loaded.linear_sde()
    return -sde.C.numpy() @ np.linalg.solve(sde.F.numpy(), sde.E.numpy()[:, :-1] @ inputs)


def test_regression_case_finite_gain() -> None:
    """V = -(G + U^-1/A0)^-1 Gs V_in, known to 8 digits."""
    found = settled(load(CASE, hardware()), CASE_INPUTS)
    np.testing.assert_allclose(found, [-0.1148951, -0.03535335, 0.12751989], rtol=0, atol=5e-9)


def test_regression_case_is_the_formula() -> None:
    G, load_siemens = 1e-4 * CASE, np.diag(1e-4 * (CASE.sum(1) + 1))
    expected = -np.linalg.solve(G + load_siemens / 1e5, 1e-4 * CASE_INPUTS)
    np.testing.assert_allclose(settled(load(CASE, hardware()), CASE_INPUTS), expected, rtol=1e-11)
    ideal = -np.linalg.solve(CASE, CASE_INPUTS)
    np.testing.assert_allclose(ideal, [-0.114899, -0.0353535, 0.127525], rtol=0, atol=5e-7)


def test_regression_case_rates() -> None:
    """eig(U G) = 0.5544, 0.2862, 0.2389, the slowest time constant 66.6 ns; three idle inverters have 1/2 each."""
    loaded = load(CASE, hardware())
    rates = -loaded.linear_sde().eigenvalues().real.numpy() / (2 * math.pi * 1e7)
    rates = np.sort(rates - 1e-5)  # w0 = w_u/A0
    np.testing.assert_allclose(rates, [0.2389, 0.2862, 0.5, 0.5, 0.5, 0.5544], rtol=0, atol=5e-5)
    # with finite gain 1/(w_u (0.2389 + 1e-5)); the case says 66.6 ns
    assert -1 / float(loaded.linear_sde().eigenvalues().real.max()) == pytest.approx(66.6e-9, abs=0.05e-9)
    assert loaded.tau == pytest.approx(1 / (2 * math.pi * 1e7), rel=1e-12)


@pytest.mark.ngspice
def test_regression_case_in_ngspice() -> None:
    loaded = load(CASE, hardware())
    netlist = loaded.topology.netlist(
        loaded.elements, torch.from_numpy(CASE_INPUTS), torch.zeros(3, dtype=torch.float64)
    )
    path = find_ngspice()
    assert path is not None
    deck = write_deck(netlist, Transient(3e-6, 1e-10, 3e-9, relative_tolerance=1e-6))
    plot = run_deck(deck, ngspice_version(path), plot="Transient", stop_s=3e-6, timeout_s=60).plot
    assert plot is not None
    end = [plot.values[-1, plot.names.index(f"v(out{i})")].real for i in range(3)]
    np.testing.assert_allclose(end, [-0.1148951, -0.03535335, 0.1275199], rtol=0, atol=1e-7)


def test_idle_inverters_change_no_answer() -> None:
    """The die has an inverter a column; with A >= 0 the circuit without them has the same outputs, also on the way."""
    loaded = load(CASE, hardware(gain=100.0))
    sde = loaded.linear_sde()
    w = 2 * math.pi * 1e7
    U = np.diag(1 / (CASE.sum(1) + 1))
    F, E = -w * (np.eye(3) / 100 + U @ CASE), -w * U  # no inverters: hardware.md's equation as it stands
    for s in (0.01 * w, (0.3 + 1j) * w, 5j * w):
        expected = np.linalg.solve(complex(s) * np.eye(3) - F, E.astype(np.complex128))
        np.testing.assert_allclose(transfer(sde, s)[:, :3], expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_components_by_hand() -> None:
    """max|A| = 2 is 10 kOhm; entry (row, column) from the rail of the column to the - input of the row."""
    netlist = load(SIGNED, hardware()).netlist()
    table = netlist.table(Kind.RESISTOR)
    assert table is not None
    names = netlist.node_names
    found: dict[str, tuple[str, str, float]] = {
        name: (names[p], names[q], round(float(value), 3))
        for name, (p, q), value in zip(table.names, table.nodes.tolist(), table.values, strict=True)
    }
    assert found == {
        "a_0_0": ("out0", "sum0", 10e3), "a_0_1": ("inv1", "sum0", 40e3), "a_1_0": ("inv0", "sum1", 80e3),
        "a_1_1": ("out1", "sum1", 20e3), "a_1_2": ("out2", "sum1", 160e3), "a_2_0": ("out0", "sum2", 26666.667),
        "a_2_1": ("inv1", "sum2", 53333.333), "a_2_2": ("out2", "sum2", 13333.333),
        "b_0": ("in0", "sum0", 10e3), "b_1": ("in1", "sum1", 10e3), "b_2": ("in2", "sum2", 10e3),
    }  # fmt: skip
    amplifiers = next(group for group in netlist.instances if group.cell == "opamp")
    assert amplifiers.names == ("amp0", "amp1", "amp2")
    assert [[names[node] for node in ports] for ports in amplifiers.nodes.tolist()] == [
        ["0", "sum0", "out0"], ["0", "sum1", "out1"], ["0", "sum2", "out2"],
    ]  # fmt: skip


def test_time_unit_scales_with_the_matrix() -> None:
    """The same circuit holds A and 4 A: tau is 4 times longer where A has 4 times the rates."""
    one, four = load(SIGNED, hardware()), load(4 * SIGNED, hardware())
    assert one.tau == pytest.approx(2 / (2 * math.pi * 1e7))
    assert four.tau == pytest.approx(4 * one.tau)
    torch.testing.assert_close(one.linear_sde().F, four.linear_sde().F)


def test_offsets_by_hand() -> None:
    """V = (G + U^-1/A0)^-1 U^-1 v_os for positive A: 10 mV at every amplifier."""
    loaded = load(CASE, hardware(gain=200.0, spread=0.05))
    chip = manufacture("amc_inverse", 3, hardware(gain=200.0, spread=0.05), seed=2)
    for values in chip.deviations["amplifiers"]["offset"].values():
        values.fill_(0.01)
    for values in chip.deviations["resistors"]["tolerance"].values():
        values.zero_()
    loaded = program(chip, loaded.problem)
    T = np.diag(CASE.sum(1) + 1)
    sde = loaded.linear_sde()
    found = -sde.C.numpy() @ np.linalg.solve(sde.F.numpy(), sde.E.numpy()[:, -1])
    np.testing.assert_allclose(found, np.linalg.solve(CASE + T / 200, T @ np.full(3, 0.01)), rtol=1e-11)


MATRICES = {"one": np.array([[0.7]]), "signs": SIGNED, "symmetric": spd_matrix(6, seed=3), "positive": CASE}


@pytest.mark.parametrize("encoding", [Encoding.BALANCED, Encoding.OFFSET])
@pytest.mark.parametrize("parts", list(HARDWARE))
@pytest.mark.parametrize("name", list(MATRICES))
def test_closed_form_is_the_netlist(name: str, parts: str, encoding: Encoding) -> None:
    loaded = load(MATRICES[name], HARDWARE[parts], encoding)
    assert loaded.circuit_status.ok
    rng = np.random.default_rng(5)
    drive = loaded.drive(rng.normal(size=loaded.n), rng.normal(size=loaded.n))
    found, mine = state_equations(loaded.netlist(drive)), loaded.linear_sde()
    assert mine.input_names == found.sde.input_names
    for s in np.array([0.0, 0.02, 0.3 + 1.0j, 4j, 50 + 20j]) / loaded.tau:
        one, two = transfer(mine, s), transfer(found.sde, s)
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-9 * np.abs(two).max())
    u = np.append(drive.inputs.numpy(), 1.0)
    start = loaded.topology.initial_state(loaded.elements, drive.initial_volt).numpy()
    for time in np.array([0.0, 0.1, 2.0, 30.0]) * loaded.tau:
        one, two = step(mine, start, u, time), step(found.sde, found.initial_state.numpy(), u, time)
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-9 * np.abs(two).max())


@pytest.mark.parametrize("encoding", [Encoding.BALANCED, Encoding.OFFSET])
@pytest.mark.parametrize("parts", ["pcb", "rough"])
def test_chips_of_a_batch_are_single_chips(parts: str, encoding: Encoding) -> None:
    chips_are_single_chips(load(SIGNED, HARDWARE[parts], encoding, chips=3))


@pytest.mark.parametrize("encoding", [Encoding.BALANCED, Encoding.OFFSET])
@pytest.mark.parametrize("engine", ["behavioral", "state_space"])
@pytest.mark.parametrize("name", list(MATRICES))
def test_settled_answer(name: str, engine: str, encoding: Encoding) -> None:
    """A^-1 b to what a gain of 1e9 leaves, from a start that is not rest."""
    loaded = load(MATRICES[name], hardware(gain=1e9), encoding)
    rate = -float(loaded.linear_sde().eigenvalues().real.max())
    simulator = find_engine(engine)
    _, run = simulator.run(simulator.init(loaded), duration=40 / rate, x0=np.ones(loaded.n))
    assert loaded.problem.b is not None
    expected = np.linalg.solve(MATRICES[name], loaded.problem.b.numpy())
    found = run.final_volt.numpy() / loaded.scales.voltage_volt
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_solve() -> None:
    found = solve(SIGNED, [1.0, -0.5, 0.25], topology="amc_inverse", hardware=hardware(gain=1e9))
    assert found.status.ok
    np.testing.assert_allclose(found.value, np.linalg.solve(SIGNED, [1.0, -0.5, 0.25]), rtol=0, atol=1e-5)


def test_transient_is_not_the_filter() -> None:
    """After one tau the circuit is not where exp(-A) is, though it ends where A^-1 is: loads 2.9 and 2.1 slow it."""
    A = np.array([[1.0, 0.9], [0.1, 1.0]])
    loaded = load(A, hardware(gain=1e9))
    simulator = find_engine("state_space")
    _, run = simulator.run(simulator.init(loaded), duration=loaded.tau, times_s=[loaded.tau])
    x = run.final_volt.numpy() / loaded.scales.voltage_volt
    relaxed = np.linalg.solve(A, (np.eye(2) - expm(-A)) @ np.array([1.0, 2.0]))
    assert np.abs(x - relaxed).max() > 0.2 * np.abs(relaxed).max()


def test_finite_gain_is_reported_against_the_eigenvalues() -> None:
    """sum|G|/(A0 g0), row 0 of the case: (1.5 + 1)/1e5; the noise gain of row 2 is (0.9 + 1)/0.6."""
    report = load(CASE, hardware()).design_report
    assert report.gain_damping == pytest.approx(2.5e-5, rel=1e-12)
    assert report.noise_gain == pytest.approx(1.9 / 0.6, rel=1e-12)
    assert report.stable
    assert load(CASE, hardware()).report.bandwidth_slowdown == 1.0


def test_voltage_limit() -> None:
    """Column 0 of the case drives 1.5 of 100 uS and its inverter 1: 250 uS; 25 uA allow 0.1 V."""
    loaded = load(CASE, hardware())
    document = hardware().to_dict()
    document["amplifiers"]["output_current_ampere"] = 25e-6
    limit = loaded.topology.voltage_limit(loaded.elements, HardwareSpec.from_dict(document))
    np.testing.assert_allclose(limit, [25e-6 / 250e-6, 25e-6 / 220e-6, 25e-6 / 190e-6], rtol=1e-12)


def test_ideal_amplifiers_are_refused() -> None:
    loaded = load(CASE, presets.ideal())
    assert loaded.status.outcome is Outcome.NOT_REALIZABLE
    assert loaded.status.detail == "amc_inverse settles at the speed of its amplifiers; give hardware with amplifiers"


def test_singular_matrix() -> None:
    assert load(np.array([[1.0, 2.0], [2.0, 4.0]]), hardware()).status.outcome is Outcome.SINGULAR


def test_noise_is_misuse() -> None:
    with pytest.raises(MisuseError, match="kappa > 0: amc_inverse has no capacitor"):
        load(CASE, hardware(), kappa=0.01)


# Every eigenvalue of A has the real part 1/4, but row 1 has the larger load: trace(U G) < 0, and the inverters lag.
LOPSIDED = np.array([[-0.5, -0.25], [4.0, 1.0]])


def test_positive_eigenvalues_of_a_are_not_enough() -> None:
    assert (np.linalg.eigvals(LOPSIDED).real > 0.2).all()
    loaded = load(LOPSIDED, hardware())
    assert loaded.status.outcome is Outcome.UNSTABLE
    growth = float(loaded.linear_sde().eigenvalues().real.max()) * loaded.tau
    assert f"growing at {growth:.4g}/tau" in loaded.status.detail
    assert program(manufacture("integrator", 2, presets.ideal()), loaded.problem).circuit_status.ok


def test_negative_definite_is_unstable_and_says_how_fast() -> None:
    """One node, A = -1: the array resistor comes from the inverter; the loop grows."""
    assert load(np.array([[-1.0]]), hardware()).status.outcome is Outcome.UNSTABLE


@pytest.mark.ngspice
def test_ngspice_confirms_the_instability() -> None:
    """ngspice runs away from a start exactly as the closed form says: to 1 % of the end value, 6 e-folds on."""
    loaded = load(LOPSIDED, hardware(), x_max=1.0)
    drive = loaded.drive(b=[0.0, 0.0], x0=[1e-3, 0.0])
    stop = 6 / float(loaded.linear_sde().eigenvalues().real.max())
    netlist = loaded.topology.netlist(loaded.elements, drive.inputs, drive.initial_volt)
    deck = write_deck(netlist, Transient(stop, stop / 1e5, stop / 8000, relative_tolerance=1e-6))
    path = find_ngspice()
    assert path is not None
    plot = run_deck(deck, ngspice_version(path), plot="Transient", stop_s=stop, timeout_s=60).plot
    assert plot is not None
    u, x0 = torch.cat([drive.inputs, torch.ones(1)]), loaded.topology.initial_state(loaded.elements, drive.initial_volt)
    times = torch.from_numpy(plot.values[:, 0].real.copy())
    expected = mean_at(loaded.linear_sde(), times, x0=x0, u=u).numpy()
    found = plot.values.real[:, [plot.names.index(f"v(out{i})") for i in range(2)]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.01 * np.abs(expected).max())
    assert np.abs(found[-len(found) // 10 :]).max() > 100 * np.abs(found[0]).max()


@pytest.mark.ngspice
@pytest.mark.parametrize("n", [1, 4, 16])
@pytest.mark.parametrize("from_rest", [True, False])
def test_ngspice_agrees(n: int, from_rest: bool) -> None:
    loaded = load(spd_matrix(n, seed=3), presets.pcb_1k_1n())
    x0 = None if from_rest else np.random.default_rng(3).normal(size=n) * 0.3
    path, end = spice_differences(loaded, 50, x0)
    assert path < 1e-4
    assert end < 1e-5


def test_smaller_matrix_uses_the_first_nodes_of_the_die() -> None:
    spec = hardware(spread=0.05)
    die = manufacture("amc_inverse", 5, spec, seed=2)
    small = program(die, LinearProblem(CASE, np.ones(3)))
    drawn = die.deviations["resistors"]["tolerance"][Role.ARRAY][:3, :3].flatten()
    nominal = torch.from_numpy(CASE.flatten()) * 1e-4
    torch.testing.assert_close(small.elements.value(Role.ARRAY), nominal / (1 + drawn), rtol=1e-13, atol=0)
