"""The passive network: one asymmetric 3 x 3 example by hand, and what holds for every matrix it can hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from agreement import (
    chips_are_single_chips,
    closed_form_is_the_netlist,
    covariance,
    noise_is_that_of_ngspice,
    spice_differences,
)
from cases import spd_matrix
from relaxation import relaxation
from scipy.linalg import expm

from tngd_hw import HardwareSpec, LinearProblem, Outcome, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.hardware import Encoding, Role
from tngd_hw.linear_sde import mean_at
from tngd_hw.netlist import Kind, Netlist, state_equations
from tngd_hw.netlist.noise_columns import NoiseSources
from tngd_hw.topologies import LoadedChip, Preconditioning

Array = np.ndarray

# Margins 1.5, 1.5, 0.5: the largest conductance is 1.5 g0 = 1 mS; so g0 = 2/3 mS and tau = 1 nF/g0 = 1.5 us.
A = np.array([[3.0, -1.0, 0.5], [-1.0, 2.5, 0.0], [0.5, 0.0, 1.0]])
b = np.array([1.0, -0.5, 0.25])
G0, TAU = 1e-3 / 1.5, 1.5e-6
ONE_RAIL = np.array([[3.0, -1.0, 0.0], [-1.0, 2.5, -0.5], [0.0, -0.5, 0.5]])


def load(
    matrix: object = A,
    right: object = None,
    hardware: HardwareSpec | None = None,
    *,
    chips: int | None = None,
    nodes: int | None = None,
    encoding: Encoding | None = None,
    **options: object,
) -> LoadedChip:
    problem = LinearProblem(np.asarray(matrix), right)  # pyright: ignore[reportArgumentType] - an array or None
    spec = presets.ideal() if hardware is None else hardware
    chip = manufacture("passive_rc", nodes or problem.n, spec, seed=3, chips=chips, encoding=encoding)
    return program(chip, problem, **options)  # pyright: ignore[reportArgumentType] - x_max, kappa, preconditioning


def rough() -> HardwareSpec:
    tolerance = {"tolerance_dtod": 0.05}
    return HardwareSpec.from_dict({"name": "rough", "resistors": tolerance, "capacitors": tolerance})


def dominant(n: int, seed: int, *, positive: bool = True) -> Array:
    """Symmetric, entries of both signs (or none above 0), half of them zero, margins of 0.05 to 0.5."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.5), 1)
    off = upper + upper.T if positive else -np.abs(upper + upper.T)
    return off + np.diag(np.abs(off).sum(1) + rng.uniform(0.05, 0.5, n))


MATRICES = {
    "by hand": A,
    "one rail": ONE_RAIL,
    "one": np.array([[0.7]]),
    "diagonal": np.diag([1.0, 2.0]),
    "signs": dominant(7, 1),
    "no positive": dominant(7, 2, positive=False),
    "pair without ground": np.array([[1.0, 1.0, 0.0], [1.0, 1.5, -0.25], [0.0, -0.25, 0.25]]),
}


def between(netlist: Netlist, kind: Kind) -> dict[str, tuple[str, str, float]]:
    table = netlist.table(kind)
    assert table is not None
    names = netlist.node_names
    return {
        name: (names[p], names[q], float(value))
        for name, (p, q), value in zip(table.names, table.nodes[:, :2].tolist(), table.values, strict=True)
    }


def same(found: dict[str, tuple[str, str, float]], expected: dict[str, tuple[str, str, float]]) -> None:
    assert set(found) == set(expected)
    for name, (start, end, value) in expected.items():
        assert (name, *found[name][:2]) == (name, start, end)
        assert found[name][2] == pytest.approx(value, rel=1e-12)


def test_two_rails_by_hand() -> None:
    """A_01 < 0: p0 to p1 and m0 to m1; A_02 > 0: p0 to m2 and p2 to m0; what is left of A_ii to ground."""
    netlist = load(right=b).netlist()
    same(
        between(netlist, Kind.RESISTOR),
        {
            "a_0_1": ("p0", "p1", 1500.0), "a_1_0": ("m1", "m0", 1500.0),
            "a_0_2": ("p0", "m2", 3000.0), "a_2_0": ("p2", "m0", 3000.0),
            "gp0": ("p0", "0", 1000.0), "gm0": ("m0", "0", 1000.0), "gp1": ("p1", "0", 1000.0),
            "gm1": ("m1", "0", 1000.0), "gp2": ("p2", "0", 3000.0), "gm2": ("m2", "0", 3000.0),
        },
    )  # fmt: skip
    capacitors = between(netlist, Kind.CAPACITOR)
    assert capacitors == {f"{rail}{i}": (f"{rail}{i}", "0", 1e-9) for i in range(3) for rail in "pm"}
    probes = netlist.table(Kind.VCVS)
    assert probes is not None
    names = [[netlist.node_names[k] for k in row] for row in probes.nodes]
    assert names == [[f"out{i}", "0", f"p{i}", f"m{i}"] for i in range(3)]
    assert probes.values.tolist() == [1.0] * 3


def test_one_rail_by_hand() -> None:
    """Margins 2, 1, 0: g0 = 0.5 mS, row 2 has no resistor to ground, and no part is there twice."""
    netlist = load(ONE_RAIL, b).netlist()
    same(
        between(netlist, Kind.RESISTOR),
        {
            "a_0_1": ("out0", "out1", 2e3), "a_1_2": ("out1", "out2", 4e3),
            "gp0": ("out0", "0", 1e3), "gp1": ("out1", "0", 2e3),
        },
    )  # fmt: skip
    assert set(between(netlist, Kind.CAPACITOR)) == {"p0", "p1", "p2"}
    assert netlist.table(Kind.VCVS) is None


def test_sources_by_hand() -> None:
    """Current leaves the first node through the source: out of m_i into p_i, (g0/2) v0 b; g0 v0 b on one rail."""
    two, one = load(right=b), load(ONE_RAIL, b)
    assert two.scales.conductance_siemens == pytest.approx(G0, rel=1e-12)
    assert two.scales.tau_s == pytest.approx(TAU, rel=1e-12)
    assert two.scales.input_gain == pytest.approx(G0 / 2, rel=1e-12)
    assert one.scales.input_gain == pytest.approx(0.5e-3, rel=1e-12)
    v0, w0 = two.scales.voltage_volt, one.scales.voltage_volt
    same(
        between(two.netlist(), Kind.CURRENT_SOURCE),
        {f"in{i}": (f"m{i}", f"p{i}", G0 / 2 * v0 * b[i]) for i in range(3)},
    )
    same(between(one.netlist(), Kind.CURRENT_SOURCE), {f"in{i}": ("0", f"out{i}", 5e-4 * w0 * b[i]) for i in range(3)})


def test_rounding_of_an_entry_does_not_change_the_number_of_rails() -> None:
    """Entries +1e-17 and -2e-17 of one pair are an asymmetry by rounding; the answer must not be half or twice."""
    matrix = np.array([[1.0, 1e-17], [-2e-17, 2.0]])
    loaded = load(matrix, [1.0, 1.0])
    engine = find_engine("state_space")
    _, found = engine.run(engine.init(loaded), duration=60 * loaded.tau)
    np.testing.assert_allclose(loaded.unknowns(found.final_volt).numpy(), [1.0, 0.5], rtol=1e-9)


def test_initial_voltages_are_shared_by_the_rails() -> None:
    loaded = load(right=b, x_max=1.0)
    table = loaded.netlist(loaded.drive(x0=[0.5, -0.25, 0.0])).table(Kind.CAPACITOR)
    assert table is not None
    assert table.initial is not None
    found = dict(zip(table.names, table.initial.tolist(), strict=True))
    assert found == {"p0": 0.25, "m0": -0.25, "p1": -0.125, "m1": 0.125, "p2": 0.0, "m2": 0.0}


def test_rounding_of_a_margin_is_no_resistor() -> None:
    """0.3 - (0.1 + 0.2) = -5.6e-17 is 0."""
    matrix = np.array([[0.3, -0.1, -0.2], [-0.1, 1.0, 0.0], [-0.2, 0.0, 1.0]])
    assert matrix[0, 0] - (0.1 + 0.2) < 0
    loaded = load(matrix, np.ones(3))
    assert loaded.status.ok
    assert loaded.elements.components[Role.GROUND].row.tolist() == [1, 2]


@pytest.mark.parametrize("hardware", ["ideal", "rough", "pcb"])
@pytest.mark.parametrize("matrix", list(MATRICES))
def test_closed_form_is_the_netlist(matrix: str, hardware: str) -> None:
    spec = {"ideal": presets.ideal, "rough": rough, "pcb": presets.pcb_1k_1n}[hardware]()
    closed_form_is_the_netlist(load(MATRICES[matrix], hardware=spec, kappa=1e-3))


@pytest.mark.parametrize("matrix", ["signs", "no positive"])
@pytest.mark.parametrize("hardware", [presets.ideal, presets.pcb_1k_1n])
def test_chips_of_a_batch_are_single_chips(matrix: str, hardware: object) -> None:
    chips_are_single_chips(load(MATRICES[matrix], hardware=hardware(), chips=3, kappa=1e-3, nodes=9))  # pyright: ignore[reportCallIssue] - a preset


@pytest.mark.parametrize("engine", ["behavioral", "state_space"])
@pytest.mark.parametrize("matrix", list(MATRICES))
def test_ideal_circuit_is_the_relaxation(matrix: str, engine: str) -> None:
    M = MATRICES[matrix]
    rng = np.random.default_rng(4)
    right, x0, times = rng.normal(size=len(M)), rng.normal(size=len(M)), np.array([0.0, 0.1, 1.0, 5.0, 400.0])
    loaded = load(M, right)
    run = find_engine(engine)
    _, found = run.run(run.init(loaded), duration=400 * loaded.tau, x0=x0, times_s=times * loaded.tau)
    x = loaded.unknowns(found.voltage_volt).numpy()
    np.testing.assert_allclose(x, relaxation(M, right, times, x0), rtol=0, atol=1e-9 * np.abs(x).max())
    settled = np.exp(-400 * np.linalg.eigvalsh(M)[0])
    np.testing.assert_allclose(x[-1], np.linalg.solve(M, right), rtol=0, atol=(1e-9 + settled) * np.abs(x).max())


@pytest.mark.parametrize("matrix", list(MATRICES))
def test_injected_noise_gives_the_inverse(matrix: str) -> None:
    loaded = load(MATRICES[matrix], kappa=1e-3)
    found = covariance(state_equations(loaded.netlist()).sde) / loaded.scales.voltage_volt**2
    expected = 1e-3 * np.linalg.inv(MATRICES[matrix])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def test_thermal_noise_says_nothing_of_the_matrix() -> None:
    """k T/C at every node, 2 k T/C in every difference, whatever the resistors."""
    kT = 1.380649e-23 * 300.15
    for matrix in (A, MATRICES["signs"]):
        sde = state_equations(load(matrix).netlist(), noise=NoiseSources.THERMAL).sde
        found = covariance(sde)
        np.testing.assert_allclose(found, 2 * kT / 1e-9 * np.eye(len(matrix)), rtol=0, atol=1e-9 * 2 * kT / 1e-9)


def test_places_on_the_die() -> None:
    """A smaller matrix uses the first nodes of either rail, a matrix of one rail the direct one."""
    for matrix in (A, ONE_RAIL):
        loaded = load(matrix, hardware=rough(), nodes=5)
        quantities = [roles for draws in loaded.chip.deviations.values() for roles in draws.values()]
        drawn = {role: value.numpy() for roles in quantities for role, value in roles.items()}
        for role in (Role.NETWORK, Role.GROUND, Role.NODE_CAPACITOR):
            real, nominal = loaded.elements.components[role], loaded.nominal.components[role]
            factor = 1 + drawn[role][real.row, real.column]
            ratio = (real.value / nominal.value).numpy()
            np.testing.assert_allclose(ratio, factor if role is Role.NODE_CAPACITOR else 1 / factor, rtol=1e-12)
    assert load(A, nodes=5).chip.inventory == {Role.NETWORK: (5, 5), Role.GROUND: (5, 2), Role.NODE_CAPACITOR: (5, 2)}
    native = load(ONE_RAIL, encoding=Encoding.NATIVE)
    assert native.chip.inventory == {Role.NETWORK: (3, 3), Role.GROUND: (3, 1), Role.NODE_CAPACITOR: (3, 1)}
    assert native.status.ok


def slow_common_mode() -> Array:
    """Eigenvalues 6.01 and 2.01 (three times); those of M(A) are 0.01 and 4.01: the common mode is 201 times slower."""
    return np.ones((4, 4)) + 2.01 * np.eye(4)


def test_common_mode_rates_by_hand() -> None:
    loaded = load(slow_common_mode(), np.ones(4))
    rates = loaded.topology.common_mode_rates(loaded.elements)
    assert rates is not None
    np.testing.assert_allclose(rates.numpy() * loaded.tau, [0.01, 4.01, 4.01, 4.01], rtol=1e-10)
    report = loaded.design_report
    assert report.common_mode_tau == pytest.approx(100.0, rel=1e-9)
    assert report.slowest_tau == pytest.approx(1 / 2.01, rel=1e-9)
    assert report.slowdown == pytest.approx(1.0, rel=1e-9)
    assert load(ONE_RAIL, b).design_report.common_mode_tau is None


def test_common_mode_is_slow_and_no_output_shows_it() -> None:
    """Both rails raised by 1 V: after 100 tau, 201 time constants of the difference, 1/e of it is still there."""
    loaded = load(slow_common_mode(), np.ones(4))
    sde = state_equations(loaded.netlist()).sde
    start = np.ones(8)
    outputs = mean_at(sde, [100 * loaded.tau], x0=start)
    np.testing.assert_allclose(outputs.numpy(), 0.0, rtol=0, atol=1e-12)
    for F in (sde.F.numpy(), loaded.linear_sde().F.numpy()):
        left = expm(F * 100 * loaded.tau) @ start
        np.testing.assert_allclose(left, np.exp(-1.0), rtol=1e-8)
    slowest_difference = float(np.linalg.eigvalsh(slow_common_mode())[0])
    assert slowest_difference / 0.01 > 100


def test_common_mode_rates_of_a_real_die_are_modes_of_it() -> None:
    """5 % parts mix the modes a little: the rates are within a few per cent of modes of the whole circuit."""
    loaded = load(slow_common_mode(), np.ones(4), rough())
    rates = loaded.topology.common_mode_rates(loaded.elements)
    assert rates is not None
    modes = -np.sort(np.linalg.eigvals(loaded.linear_sde().F.numpy()).real)[::-1]
    assert float(rates[0]) == pytest.approx(modes[0], rel=0.05)
    assert loaded.design_report.slowdown == pytest.approx(1.0, abs=0.05)


def test_scaling_by_hand() -> None:
    """M = [[1, -1.2], [-1.2, 2]], M^-1 1 = (3.2, 2.2)/0.56; both rows of D A D have the margin D_i times a constant."""
    matrix = np.array([[1.0, 1.2], [1.2, 2.0]])
    loaded = load(matrix, [1.0, 2.0])
    assert loaded.status.ok
    assert loaded.scaling is not None
    D = loaded.scaling.numpy()
    assert D[0] / D[1] == pytest.approx(3.2 / 2.2, rel=1e-12)
    scaled = D[:, None] * matrix * D
    assert np.abs(scaled).max() == pytest.approx(2.0, rel=1e-12)
    margins = np.diag(scaled) - scaled[[0, 1], [1, 0]]
    assert margins[0] / margins[1] == pytest.approx(D[0] / D[1], rel=1e-12)
    assert loaded.report.scaled


@pytest.mark.parametrize("engine", ["behavioral", "state_space"])
def test_scaled_matrix_ends_at_the_answer_on_another_path(engine: str) -> None:
    rng = np.random.default_rng(6)
    D = rng.uniform(0.2, 5.0, 5)
    M = dominant(5, 6) / np.outer(D, D)
    right = rng.normal(size=5)
    loaded = load(M, right)
    assert loaded.scaling is not None
    own = loaded.scaling.numpy()
    assert (own[:, None] * M * own).diagonal() @ np.ones(5) > 0
    run, times = find_engine(engine), np.array([0.0, 0.5, 2.0])
    duration = 60 / float(np.linalg.eigvalsh(own[:, None] * M * own)[0])
    _, found = run.run(
        run.init(loaded), duration=duration * loaded.tau, times_s=np.append(times, duration) * loaded.tau
    )
    x = loaded.unknowns(found.voltage_volt).numpy()
    path = own * relaxation(own[:, None] * M * own, own * right, times)
    np.testing.assert_allclose(x[:-1], path, rtol=0, atol=1e-9 * np.abs(x).max())
    np.testing.assert_allclose(x[-1], np.linalg.solve(M, right), rtol=0, atol=1e-9 * np.abs(x).max())


def test_scaled_matrix_samples_the_inverse() -> None:
    D = np.array([0.3, 2.0, 1.0])
    matrix = A / np.outer(D, D)
    loaded = load(matrix, kappa=1e-3)
    assert loaded.scaling is not None
    own = loaded.scaling.numpy() / loaded.scales.voltage_volt
    found = own[:, None] * covariance(loaded.linear_sde()) * own
    np.testing.assert_allclose(found, 1e-3 * np.linalg.inv(matrix), rtol=1e-9)


def test_scaling_exists_exactly_for_h_matrices() -> None:
    """A symmetric comparison matrix is a nonsingular M-matrix iff its eigenvalues are positive."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        upper = np.triu(rng.normal(size=(4, 4)), 1)
        matrix = upper + upper.T + np.diag(rng.uniform(0.5, 5.0, 4))
        comparison = 2 * np.diag(np.diag(matrix)) - np.abs(matrix)
        loaded = load(matrix)
        is_h = bool(np.linalg.eigvalsh(comparison)[0] > 0)
        assert (loaded.status.outcome is not Outcome.NOT_REALIZABLE) is is_h, seed
        held += is_h and loaded.scaling is not None
    assert 20 < held < 180


def test_unit_diagonal_before_the_own_scaling() -> None:
    matrix = np.array([[1.0, 1.2], [1.2, 2.0]]) * np.outer([1, 10.0], [1, 10.0])
    loaded = load(matrix, [1.0, 2.0], preconditioning=Preconditioning.UNIT_DIAGONAL)
    assert loaded.status.ok
    sde = loaded.linear_sde()
    u = np.append(loaded.drive().inputs.numpy(), 1.0)
    end = -sde.C.numpy() @ np.linalg.solve(sde.F.numpy(), sde.E.numpy() @ u)
    x = end / loaded.scales.voltage_volt * np.asarray(loaded.scaling)
    np.testing.assert_allclose(x, np.linalg.solve(matrix, [1.0, 2.0]), rtol=1e-10)


REFUSALS = {
    "asymmetric": (
        [[2.0, -1.0, 0.0], [-0.5, 2.0, 0.0], [0.0, 0.0, 1.0]],
        "A[0, 1] = -1 and A[1, 0] = -0.5: a resistor network is symmetric",
    ),
    "one row": (
        [[1.0, 1.5, 0.0], [1.5, 2.0, 0.0], [0.0, 0.0, 1.0]],
        "diagonal dominance, A_ii >= sum_j |A_ij|, is missed in row 0 (by 0.5), "
        "and no D A D reaches it (A is no H-matrix)",
    ),
    "two rows": ([[1.0, 2.0, -1.5], [2.0, 5.0, -2.0], [-1.5, -2.0, 1.0]], "rows 0 (by 2.5) and 2 (by 2.5), and no"),
    "worst first": (
        [[1.0, 2.0, -1.0], [2.0, 1.0, -2.5], [-1.0, -2.5, 1.0]],
        "rows 1 (by 3.5), 2 (by 2.5) and 0 (by 2)",
    ),
    "negative": (-np.eye(2), "rows 0 (by 1) and 1 (by 1)"),
    "floating": (
        [[2.0, 1.0, 1.0, 0.0], [1.0, 2.0, 1.0, 0.0], [1.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
        "A_ii = sum_j |A_ij| in rows 0, 1 and 2: nothing leads to ground, the common mode of their rails floats",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSALS))
def test_refusals(name: str) -> None:
    matrix, says = REFUSALS[name]
    loaded = load(matrix)
    assert loaded.status.outcome is Outcome.NOT_REALIZABLE
    assert says in loaded.status.detail
    engine = find_engine("state_space")
    _, found = engine.run(engine.init(loaded), duration=1e-6)
    assert found.status == loaded.status


def test_many_rows_are_counted() -> None:
    assert ", 3 (by 5) and 2 more, and no" in load(np.ones((6, 6)) - np.eye(6)).status.detail


def test_floating_matrix_has_no_inverse_by_the_rails_only() -> None:
    """Its eigenvalues are 4, 1, 1: a chip with amplifiers holds it, and with 0.01 more on one diagonal so does this."""
    matrix = np.ones((3, 3)) + np.eye(3)
    assert program(manufacture("gm_c", 3, presets.ideal()), LinearProblem(matrix)).status.ok
    matrix[0, 0] += 0.01
    assert load(matrix).status.ok


def test_singular_network_is_singular_not_refused() -> None:
    status = load([[1.0, -1.0], [-1.0, 1.0]]).status
    assert status.outcome is Outcome.SINGULAR


def test_die_with_one_rail_has_no_positive_off_diagonals() -> None:
    loaded = load(A, encoding=Encoding.NATIVE)
    assert loaded.status.outcome is Outcome.NOT_REALIZABLE
    assert loaded.status.detail == "A[0, 2] = 0.5 is above 0 and this die has one rail (encoding native, not balanced)"


def test_small_entries_and_the_largest_resistance() -> None:
    """Largest 10 kOhm = 0.1 mS: 0.06 mS becomes 0.1 mS, 0.04 mS is left out; the ground resistors keep the diagonal."""
    spec = HardwareSpec.from_dict({"name": "x", "resistors": {"resistance_ohm": 1e3, "largest_ohm": 1e4}})
    matrix = np.array([[1.1, -0.06, 0.04], [-0.06, 1.06, 0.0], [0.04, 0.0, 1.0]])  # margins 1, 1, 0.96
    loaded = load(matrix, np.ones(3), spec)
    same(
        between(loaded.netlist(), Kind.RESISTOR),
        {
            "a_0_1": ("p0", "p1", 1e4), "a_1_0": ("m1", "m0", 1e4),
            "gp0": ("p0", "0", 1e3), "gm0": ("m0", "0", 1e3),
            "gp1": ("p1", "0", 1 / 0.96e-3), "gm1": ("m1", "0", 1 / 0.96e-3),
            "gp2": ("p2", "0", 1e3), "gm2": ("m2", "0", 1e3),
        },
    )  # fmt: skip
    assert (loaded.report.entries_raised, loaded.report.entries_dropped) == (2, 2)
    assert loaded.report.expected_loss is not None
    assert loaded.report.expected_loss.design > 0.01


def test_nothing_saturates_and_nothing_is_amplified() -> None:
    loaded = load(right=b, hardware=presets.pcb_1k_1n())
    assert math.isinf(float(loaded.voltage_limit.min()))
    assert loaded.topology.amplifier_loads(loaded.elements) == {}
    report = loaded.report
    assert (report.amplifiers, report.voltage_limit_volt, report.gain_damping) == (0, None, 0.0)
    assert (report.matrix_components, report.inverted_components, report.elements) == (10, 2, 16)
    assert "output current" not in str(loaded.design_report)
    assert loaded.design_report.offset_volt == 0.0


@pytest.mark.ngspice
@pytest.mark.parametrize("n", [1, 3, 16])
@pytest.mark.parametrize("positive", [True, False])
def test_ngspice(n: int, positive: bool) -> None:
    matrix = dominant(n, n, positive=positive)
    x0 = np.random.default_rng(2).normal(size=n)
    loaded = load(matrix, np.random.default_rng(1).normal(size=n), presets.pcb_1k_1n())
    for duration_tau, start in ((50.0, None), (20.0, x0)):
        path, end = spice_differences(loaded, duration_tau, start)
        assert path < 1e-4
        assert end < 1e-5


@pytest.mark.ngspice
@pytest.mark.parametrize("matrix", ["by hand", "one rail"])
def test_integrated_noise_of_ngspice(matrix: str) -> None:
    noise_is_that_of_ngspice(load(MATRICES[matrix], hardware=rough(), kappa=1e-3))


def test_any_positive_definite_matrix_is_held_or_refused() -> None:
    """A dense SPD matrix of condition 50 is as a rule no H-matrix: the refusal is the answer, not a wrong circuit."""
    outcomes = {load(spd_matrix(n, n), np.ones(n)).status.outcome for n in (2, 4, 8, 16)}
    assert outcomes <= {Outcome.OK, Outcome.NOT_REALIZABLE}
    assert load(spd_matrix(16, 16)).status.outcome is Outcome.NOT_REALIZABLE
