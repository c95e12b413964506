"""From the netlist of every topology to its equation: symbols against equations written by hand, and the numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import sympy as sp

from tngd_hw import HardwareSpec, LinearProblem, manufacture, presets, program
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import NoiseSources, state_equations
from tngd_hw.netlist.symbolic import symbolic_equations
from tngd_hw.netlist.symbolic_covariance import stationary_covariance
from tngd_hw.netlist.symbolic_system import NumericMatrices, SymbolicEquations
from tngd_hw.outcome import MisuseError
from tngd_hw.report import readable_names
from tngd_hw.topologies import LoadedChip
from tngd_hw.topologies.registry import TOPOLOGIES

NAMES = [topology.name for topology in TOPOLOGIES]
AMPLIFIERS = {
    "open_loop_gain": 1e3, "gain_bandwidth_hz": 1e7, "offset_volt_dtod": 0.0, "output_swing_volt": 10.0,
    "output_current_ampere": 1.0,
}  # fmt: skip
FINITE = HardwareSpec.from_dict({"name": "finite gain, nominal parts", "amplifiers": AMPLIFIERS})
SIGNED = [[2.0, -1.0], [0.5, 1.5]]
MATRIX = {
    "integrator": SIGNED,
    "gm_c": SIGNED,
    "amc_inverse": SIGNED,
    "passive_rc": [[2.0, 0.5], [0.5, 1.0]],
    "rlc_spu": [[2.0, -0.5], [-0.5, 1.0]],
    "three_array": [[2.0, -0.5], [-0.5, 1.0]],
}


def loaded(name: str, hardware: HardwareSpec | None = None, A: object = None, *, noise: bool = True) -> LoadedChip:
    matrix = np.array(MATRIX[name] if A is None else A)
    b = None if name == "rlc_spu" else np.linspace(1.0, -0.5, len(matrix))
    spec = hardware or (FINITE if name == "amc_inverse" else presets.ideal())
    kappa = 0.01 if noise and name != "amc_inverse" else 0.0
    chip = program(manufacture(name, len(matrix), spec, seed=3), LinearProblem(matrix, b), kappa=kappa)
    chip.status.require_ok()
    return chip


def derived(chip: LoadedChip) -> SymbolicEquations:
    return symbolic_equations(chip.netlist(), readable_names(chip))


def named(equations: SymbolicEquations, names: str) -> list[Any]:
    return [equations.symbol(name) for name in names.split()]


def same(found: Any, expected: Any) -> bool:
    difference = sp.simplify(sp.Matrix(found) - sp.Matrix(expected))
    return difference == sp.zeros(*difference.shape)


def rates(equations: SymbolicEquations) -> dict[str, Any]:
    """dx/dt without noise, by the name of the state."""
    found = equations.F * sp.Matrix(equations.states) + equations.E * sp.Matrix(equations.inputs)
    return {s.name: row for s, row in zip(equations.states, found, strict=True)}


def answer(m: NumericMatrices, s: complex) -> np.ndarray:
    return m.C @ np.linalg.solve(s * np.eye(len(m.F)) - m.F, m.E) + m.D


def as_matrices(sde: LinearSDE, inputs: int) -> NumericMatrices:
    F, E, B, C, D = (getattr(sde, part).numpy().reshape(getattr(sde, part).shape[-2:]) for part in "FEBCD")
    return NumericMatrices(F, E[:, :inputs], B, C, D[:, :inputs])


def output_covariance(m: NumericMatrices) -> np.ndarray:
    """Of the outputs, in units where rates are of order 1, so that scipy's Lyapunov solver keeps its digits."""
    scale = np.abs(np.linalg.eigvals(m.F)).max()
    return m.C @ scipy.linalg.solve_continuous_lyapunov(m.F / scale, -m.B @ m.B.T / scale) @ m.C.T


@pytest.mark.parametrize("hardware", ["nominal", "pcb_1k_1n"])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_in_the_symbols_give_the_numeric_equations(name: str, hardware: str) -> None:
    """Against the MNA of the netlist and the closed form: transfer functions and covariance, 1e-9.

    Nominal parts under their readable names; parts with tolerances, finite gain and offsets each under its own.
    """
    chip = loaded(name) if hardware == "nominal" else loaded(name, presets.pcb_1k_1n())
    netlist = chip.netlist()
    found = symbolic_equations(netlist, readable_names(chip) if hardware == "nominal" else None).numeric()
    numeric = state_equations(netlist).sde
    inputs = found.E.shape[1]
    assert inputs == 2 + (hardware == "pcb_1k_1n" and name not in ("passive_rc", "gm_c", "rlc_spu"))
    for expected in (as_matrices(numeric, inputs), as_matrices(chip.linear_sde(), inputs)):
        for s in (1e4j, 1e5, 1e6 + 3e6j):  # not nearer to 0, where an LC cell answers with rounding alone
            value = answer(expected, s)
            np.testing.assert_allclose(answer(found, s), value, rtol=0, atol=1e-9 * np.abs(value).max())
        if chip.kappa > 0:
            value = output_covariance(expected)
            np.testing.assert_allclose(output_covariance(found), value, rtol=0, atol=1e-9 * np.abs(value).max())


@pytest.mark.parametrize(("name", "sign"), [("integrator", -1), ("gm_c", 1)])
def test_array_and_capacitors(name: str, sign: int) -> None:
    """C dV_i/dt = -sum_j G_ij V_j -+ g_in V_in,i: an inverting integrator wants -b, a transconductor b."""
    equations = derived(loaded(name))
    G00, G01, G10, G11, g, C = named(equations, "G_00 G_01 G_10 G_11 g_in C")
    V0, V1, in0, in1, S = named(equations, "V_0 V_1 V_in0 V_in1 S")
    target = [-(G00 * V0 + G01 * V1) + sign * g * in0, -(G10 * V0 + G11 * V1) + sign * g * in1]
    assert same(equations.mass, sp.diag(C, C))
    assert same(sp.Matrix(equations.right_hand_sides()), sp.Matrix(target))
    assert same(equations.noise_density, sp.eye(2) * S / 2)
    assert equations.numbers[G01] < 0 < equations.numbers[G10]
    G = sp.Matrix([[G00, G01], [G10, G11]])
    assert same(equations.settled(), sign * g * G.inv() * sp.Matrix([in0, in1]))


@pytest.mark.parametrize("name", ["integrator", "gm_c"])
def test_covariance_is_the_inverse_only_of_a_symmetric_matrix(name: str) -> None:
    """S/(4 C) G^-1 for G_01 = G_10; without that another matrix, which solves the Lyapunov equation all the same."""
    equations = derived(loaded(name))
    covariance = sp.Matrix(stationary_covariance(equations))
    G00, G01, G10, G11, C, S = named(equations, "G_00 G_01 G_10 G_11 C S")
    G = sp.Matrix([[G00, G01], [G10, G11]])
    assert not same(covariance, S / (4 * C) * G.inv())
    assert same(G * covariance + covariance * G.T, sp.eye(2) * S / (2 * C))
    symmetric = {G10: G01}
    assert same(covariance.subs(symmetric), S / (4 * C) * G.subs(symmetric).inv())


def test_three_nodes() -> None:
    """Entries of both signs and a zero; nine entries, each in its place."""
    A = [[3.0, -1.0, 0.5], [1.0, 2.0, 0.0], [-0.5, 0.25, 1.5]]
    equations = derived(loaded("integrator", A=A))
    G = sp.Matrix(3, 3, lambda i, j: equations.symbol(f"G_{i}{j}") if A[i][j] else 0)
    g, C = named(equations, "g_in C")
    assert same(equations.F, -G / C)
    assert same(equations.E, -sp.eye(3) * g / C)


def test_integrator_with_one_pole() -> None:
    """U_i, of the capacitor, is V_i - sum_i; V_i and the inverters Vbar_i are first-order: -w_u sum - (w_u/A_0) V."""
    equations = derived(loaded("integrator", FINITE, [[2.0, -1.0], [-0.5, 1.5]]))
    G00, G01, G10, G11, g, C, w, A0 = named(equations, "G_00 G_01 G_10 G_11 g_in C w_u A_0")
    U0, U1, V0, V1, W0, W1 = named(equations, "U_0 U_1 V_0 V_1 Vbar_0 Vbar_1")
    in0, in1 = named(equations, "V_in0 V_in1")
    s0, s1 = V0 - U0, V1 - U1
    target = {
        "U_0": -(G00 * (V0 - s0) - G01 * (W1 - s0) + g * (in0 - s0)) / C,
        "U_1": -(-G10 * (W0 - s1) + G11 * (V1 - s1) + g * (in1 - s1)) / C,
        "V_0": -w * s0 - w / A0 * V0,
        "V_1": -w * s1 - w / A0 * V1,
        "Vbar_0": -w * (V0 + W0) / 2 - w / A0 * W0,
        "Vbar_1": -w * (V1 + W1) / 2 - w / A0 * W1,
    }
    found = rates(equations)
    assert found.keys() == target.keys()
    for name, expected in target.items():
        assert sp.simplify(found[name] - expected) == 0, name
    assert equations.numbers[A0] == pytest.approx(1e3)
    assert equations.numbers[w] == pytest.approx(2 * np.pi * 1e7)


def test_integrator_tends_to_the_ideal_one() -> None:
    """At rest, as A_0 grows: V -> -G^-1 g_in V_in."""
    real, ideal = derived(loaded("integrator", FINITE)), derived(loaded("integrator"))
    (A0,) = named(real, "A_0")
    rest = sp.Matrix(real.settled())[2:4, 0]
    values = {s: sp.Rational(str(round(v, 12))) for s, v in real.numbers.items() if s != A0}
    expected = sp.Matrix(ideal.settled()).subs({s: values.get(s, 0) for s in ideal.numbers if s in values})
    found = rest.subs(values).applyfunc(lambda e: sp.limit(e, A0, sp.oo))
    assert same(found, expected)


def test_passive_difference_and_common_mode() -> None:
    """C dd/dt = -(G d - 2 I); C dc/dt = -M(G) c with M = diag(G) - |offdiag(G)|; Cov(d) = S/(4 C) G^-1."""
    first = derived(loaded("passive_rc"))
    combined = {f"d_{i}": f"p_{i} - m_{i}" for i in (0, 1)} | {f"c_{i}": f"(p_{i} + m_{i})/2" for i in (0, 1)}
    whole = first.with_states(combined)
    G00, G01, G11, C, S = named(whole, "G_00 G_01 G_11 C S")
    G = sp.Matrix([[G00, G01], [G01, G11]])
    common = sp.Matrix([[G00, -G01], [-G01, G11]])
    assert whole.numbers[G01] > 0
    assert same(whole.F, sp.diag(-G / C, -common / C))
    assert same(whole.E, sp.Matrix([[2 / C, 0], [0, 2 / C], [0, 0], [0, 0]]))
    difference = whole.seen_by_outputs()
    assert [s.name for s in difference.states] == ["d_0", "d_1"]
    assert same(difference.reading, sp.eye(2))
    assert same(stationary_covariance(difference), S / (4 * C) * G.inv())


def test_passive_single_rail() -> None:
    equations = derived(loaded("passive_rc", A=[[2.0, -0.5], [-0.5, 1.0]]))
    G00, G01, G11, C, S = named(equations, "G_00 G_01 G_11 C S")
    G = sp.Matrix([[G00, G01], [G01, G11]])
    assert equations.numbers[G01] < 0
    assert same(equations.F, -G / C)
    assert same(equations.E, sp.eye(2) / C)
    assert same(stationary_covariance(equations), S / (4 * C) * G.inv())


def test_thermal_noise_of_a_passive_network_says_nothing_of_the_matrix() -> None:
    """kT/C at every node, whatever the resistors are."""
    chip = loaded("passive_rc", A=[[2.0, -0.5], [-0.5, 1.0]], noise=False)
    names = {**readable_names(chip), r"t\(.*\)": "kT"}
    equations = symbolic_equations(chip.netlist(), names, noise=NoiseSources.THERMAL)
    kT, C = named(equations, "kT C")
    assert same(stationary_covariance(equations), sp.eye(2) * kT / C)


def test_transconductors_of_finite_output_resistance() -> None:
    """They add to the diagonal: C dV_i/dt = -sum_j G_ij V_j - V_i/R_i + g_in V_in,i."""
    hardware = HardwareSpec.from_dict({"name": "leaky", "transconductors": {"intrinsic_gain": 50.0}})
    equations = derived(loaded("gm_c", hardware))
    G00, G01, G10, G11, C, R0, R1 = named(equations, "G_00 G_01 G_10 G_11 C R_out0 R_out1")
    assert same(equations.F, -(sp.Matrix([[G00, G01], [G10, G11]]) + sp.diag(1 / R0, 1 / R1)) / C)


def test_cells_of_inductors_and_capacitors() -> None:
    """C_m dV/dt = -V/R - I + I_in, L dI/dt = V; Cov(V) = S R/4 C_m^-1, and no inductance in it."""
    equations = derived(loaded("rlc_spu"))
    C0, C1, C01, R, L0, L1, S = named(equations, "C_0 C_1 C_01 R L_0 L_1 S")
    V0, V1, I0, I1, in0, in1 = named(equations, "V_0 V_1 I_0 I_1 I_in0 I_in1")
    Cm = sp.Matrix([[C0 + C01, -C01], [-C01, C1 + C01]])
    assert same(equations.mass, sp.diag(Cm, L0, L1))
    target = [-V0 / R - I0 + in0, -V1 / R - I1 + in1, V0, V1]
    assert same(sp.Matrix(equations.right_hand_sides()), sp.Matrix(target))
    covariance = sp.Matrix(stationary_covariance(equations))
    assert same(covariance[:2, :2], S * R / 4 * Cm.inv())
    assert same(covariance[2:, 2:], S * R / 4 * sp.diag(1 / L0, 1 / L1))
    assert same(covariance[:2, 2:], sp.zeros(2, 2))
    assert not {L0, L1} & covariance[:2, :2].free_symbols
    assert same(equations.settled()[:2, :], sp.zeros(2, 1))  # an inductor shorts direct current


def factors(hardware: HardwareSpec) -> LoadedChip:
    """J (1 x 2) with both signs, H = 0.8, lambda = 0.3: A = J^T H J + lambda I."""
    problem = LinearProblem.from_factors([[1.0, -0.6]], [[[0.8]]], 0.3, [1.0, -0.5])
    return program(manufacture("three_array", 2, hardware, outputs=1), problem, kappa=0.01)


def test_three_arrays() -> None:
    """C dV/dt = -(g_T J^T H J + g_lambda) V - g_in V_in: stable, and the settled V is -(...)^-1 g_in V_in."""
    chip = factors(presets.ideal())
    equations = derived(chip)
    J0, J1, H, gT, gl, g, C, S = named(equations, "J_00 J_01 H_00 g_T g_lambda g_in C S")
    J = sp.Matrix([[J0, J1]])
    A = gT * J.T * sp.Matrix([[H]]) * J + gl * sp.eye(2)
    assert same(equations.F, -A / C)
    assert same(equations.E, -sp.eye(2) * g / C)
    assert same(stationary_covariance(equations), S / (4 * C) * A.inv())
    held = np.array(A.subs(equations.numbers), dtype=float) / chip.scales.conductance_siemens
    np.testing.assert_allclose(held, 0.8 * np.outer([1.0, -0.6], [1.0, -0.6]) + 0.3 * np.eye(2), rtol=1e-12)
    both = symbolic_equations(loaded("three_array").netlist(), readable_names(loaded("three_array")))
    J = sp.Matrix([named(both, "J_00 J_01"), [0, both.symbol("J_11")]])
    H, gT, gl = sp.diag(*named(both, "H_00 H_11")), *named(both, "g_T g_lambda")
    assert same(both.F * both.symbol("C"), -(gT * J.T * H * J + gl * sp.eye(2)))


def test_three_arrays_with_one_pole_in_every_amplifier() -> None:
    """Each output obeys dV/dt = -w_u sum - (w_u/A_0) V, its summing node the mean of what it is joined to."""
    equations = derived(factors(FINITE)).seen_by_outputs()
    J0, J1, H, g, gT, gl, gin, C, w, A0 = named(equations, "J_00 J_01 H_00 g g_T g_lambda g_in C w_u A_0")
    U0, U1, V0, V1, W1, u, h, hinv = named(equations, "U_0 U_1 V_0 V_1 Vbar_1 u_0 w_0 wbar_0")
    in0, in1 = named(equations, "V_in0 V_in1")
    s0, s1 = V0 - U0, V1 - U1

    def amplifier(output: Any, summing: Any) -> Any:
        return -w * summing - w / A0 * output

    target = {
        "U_0": -(gT * J0 * (h - s0) + gl * (V0 - s0) + gin * (in0 - s0)) / C,
        "U_1": -(-gT * J1 * (hinv - s1) + gl * (V1 - s1) + gin * (in1 - s1)) / C,
        "V_0": amplifier(V0, s0),
        "V_1": amplifier(V1, s1),
        "Vbar_1": amplifier(W1, (V1 + W1) / 2),
        "u_0": amplifier(u, (g * J0 * V0 - g * J1 * W1 + g * u) / (g * J0 - g * J1 + g)),
        "w_0": amplifier(h, (g * H * u + g * h) / (g * H + g)),
        "wbar_0": amplifier(hinv, (h + hinv) / 2),
    }
    found = rates(equations)
    assert found.keys() == target.keys()
    for name, expected in target.items():
        assert sp.simplify(found[name] - expected) == 0, name


def test_closed_loop_array() -> None:
    """dV/dt = -w_0 V - w_u U (G V + g_s V_in); at rest V = -(G + U^-1/A_0)^-1 g_s V_in, U = 1/(row sums + g_s)."""
    equations = derived(loaded("amc_inverse", A=[[2.0, 1.0], [0.5, 1.5]])).seen_by_outputs()
    G00, G01, G10, G11, gs, w, A0 = named(equations, "G_00 G_01 G_10 G_11 g_s w_u A_0")
    V, drive = sp.Matrix(named(equations, "V_0 V_1")), sp.Matrix(named(equations, "V_in0 V_in1"))
    G = sp.Matrix([[G00, G01], [G10, G11]])
    load = sp.diag(G00 + G01 + gs, G10 + G11 + gs)
    assert [s.name for s in equations.states] == ["V_0", "V_1"]
    expected = -w / A0 * V - w * load.inv() * (G * V + gs * drive)
    assert same(sp.Matrix(list(rates(equations).values())), expected)
    assert same(equations.settled(), -(G + load / A0).inv() * gs * drive)


def test_closed_loop_array_of_both_signs() -> None:
    """A negative entry hangs on the inverter, whose output lags: its |G| is in the load, its own pole in the states."""
    equations = derived(loaded("amc_inverse")).seen_by_outputs()
    G00, G01, gs, w, A0 = named(equations, "G_00 G_01 g_s w_u A_0")
    V0, V1, W1, in0 = named(equations, "V_0 V_1 Vbar_1 V_in0")
    found = rates(equations)
    assert set(found) == {"V_0", "V_1", "Vbar_1"}
    expected = -w / A0 * V0 - w * (G00 * V0 - G01 * W1 + gs * in0) / (G00 - G01 + gs)
    assert sp.simplify(found["V_0"] - expected) == 0
    assert sp.simplify(found["Vbar_1"] + w * (V1 + W1) / 2 + w / A0 * W1) == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_topology_has_a_notation(name: str) -> None:
    """With it nothing is left under the name of an element."""
    equations = derived(loaded(name))
    letters = {str(s).split("_")[0] for s in equations.numbers}
    assert letters <= {"G", "C", "R", "S", "g", "J", "H", "L", "A", "w", "r"}
    assert all(len(str(s)) <= 8 for s in equations.numbers)


def test_real_parts_cannot_be_tied() -> None:
    chip = loaded("integrator", presets.pcb_1k_1n())
    with pytest.raises(MisuseError, match="give it a symbol of its own"):
        derived(chip)
