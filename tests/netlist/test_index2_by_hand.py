"""Loops and cut-sets of storage elements, index 2 and singular E, against equations written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from circuit_cards import circuit

from tngd_hw.netlist import NoiseSources, StateEquations, initial_state, state_equations

R, C1, C2, C3, L1, L2 = 2e3, 1e-9, 2e-9, 5e-9, 1e-3, 3e-3


def equations(cards: list[str], inputs: list[str], outputs: list[str]) -> StateEquations:
    return state_equations(circuit(cards, inputs, outputs))


def assert_matrix(found: object, wanted: object) -> None:
    expected = np.asarray(wanted, dtype=np.float64)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-11, atol=1e-12 * np.abs(expected).max())


def test_capacitor_in_parallel_with_a_source_is_no_state() -> None:
    """The source decides its voltage; the rest of the circuit does not know of it."""
    found = equations(["vin a 0 2", f"cp a 0 {C1} ic=0.3", f"r a b {R}", f"c b 0 {C2} ic=0.5"], ["in"], ["a", "b"])
    assert found.sde.state_names == ("cc",)
    assert_matrix(found.sde.F, [[-1 / (R * C2)]])
    assert_matrix(found.sde.E, [[1 / (R * C2), 0]])
    assert_matrix(found.sde.D, [[1, 0], [0, 0]])
    assert found.initial_state.tolist() == [0.5]
    assert found.storage_names == ("cp", "cc")


def test_capacitive_divider() -> None:
    """v_in - C1 - b, C2 and R at b: (C1 + C2) dv_b = -v_b/R dt + C1 dv_in.

    With k = C1/(C1 + C2), z = v_b - k v_in has no dv_in: dz/dt = -(z + k v_in)/(R (C1 + C2)).
    The charge of node b at 0-, C2 v2 - C1 v1, is that of z.
    """
    found = equations(["vin a 0 2", f"c1 a b {C1} ic=0.3", f"r b 0 {R}", f"c2 b 0 {C2} ic=0.5"], ["in"], ["b"])
    k, rate = C1 / (C1 + C2), 1 / (R * (C1 + C2))
    assert found.sde.state_names == ("c2",)
    assert_matrix(found.sde.F, [[-rate]])
    assert_matrix(found.sde.E, [[-k * rate, 0]])
    assert_matrix(found.sde.C, [[1]])
    assert_matrix(found.sde.D, [[k, 0]])
    assert_matrix(found.input_share, [[k, 0]])
    assert_matrix(found.initial_map, [[-k, 1 - k]])
    assert_matrix(found.initial_state, [(C2 * 0.5 - C1 * 0.3) / (C1 + C2)])


def test_floating_capacitor_between_resistive_nodes() -> None:
    """E of the nodal equations is singular without a row of zeros: C (va - vb)' = -va/R1 + i = (vb/R2)."""
    found = equations(["iin 0 a 1e-3", "r1 a 0 1e3", "r2 b 0 4e3", f"c a b {C1} ic=-0.2"], ["in"], ["a", "b"])
    rate = 1 / (5e3 * C1)
    assert_matrix(found.sde.F, [[-rate]])
    assert_matrix(found.sde.E, [[1e3 * rate, 0]])
    assert_matrix(found.sde.C, [[0.2], [-0.8]])
    assert_matrix(found.sde.D, [[800.0, 0], [800.0, 0]])
    assert found.initial_state.tolist() == [-0.2]


def test_series_capacitors_keep_their_charge() -> None:
    """The node between them has the charge C2 v2 - C1 v1 for ever: a zero eigenvalue, and its left vector is exact."""
    found = equations(["vin t 0 2", f"r t a {R}", f"c1 a b {C1} ic=0.3", f"c2 b 0 {C2} ic=0.5"], ["in"], ["b"])
    F, charge = found.sde.F.numpy(), np.array([-C1, C2])
    assert np.abs(charge @ F).max() < 1e-15 * C2 * np.abs(F).max() * 4
    assert np.abs(charge @ found.sde.E.numpy()).max() < 1e-15 * C2 * np.abs(F).max() * 4
    assert_matrix(np.sort(np.linalg.eigvals(F).real)[0], -(1 / C1 + 1 / C2) / R)
    assert found.initial_state.tolist() == [0.3, 0.5]


def triangle(ic: tuple[float, float, float]) -> list[str]:
    c1, c2, c3 = ic
    return [
        "iin 0 a 1e-3", "r1 a 0 1e3", "r2 b 0 5e3",
        f"c1 a 0 {C1} ic={c1}", f"c2 b 0 {C2} ic={c2}", f"c3 a b {C3} ic={c3}",
    ]  # fmt: skip


def test_capacitor_triangle_is_the_maxwell_matrix() -> None:
    """M dv/dt = -G v + i with the Maxwell capacitance matrix M = [[C1 + C3, -C3], [-C3, C2 + C3]]."""
    found = equations(triangle((1.0, 0.5, 0.5)), ["in"], ["a", "b"])
    M = np.array([[C1 + C3, -C3], [-C3, C2 + C3]])
    assert found.sde.state_names == ("c1", "c2")
    assert_matrix(found.sde.F, -np.linalg.inv(M) @ np.diag([1e-3, 2e-4]))
    assert_matrix(found.sde.E[:, :1], np.linalg.inv(M)[:, :1])
    assert_matrix(found.initial_state, [1.0, 0.5])


def test_voltages_that_contradict_each_other_conserve_charge_at_least_energy() -> None:
    """1 V, 0.5 V and 0 V around the triangle do not agree; the nearest v in the norm of the energy is taken.

    Minimising sum C (v - v0)^2 under v3 = v1 - v2 is M v = (C1 v1 + C3 v3, C2 v2 - C3 v3), the charges of the nodes.
    """
    found = equations(triangle((1.0, 0.5, 0.0)), ["in"], ["a", "b"])
    M = np.array([[C1 + C3, -C3], [-C3, C2 + C3]])
    assert_matrix(found.initial_state, np.linalg.solve(M, [C1 * 1.0, C2 * 0.5]))
    netlist = circuit(triangle((1.0, 0.5, 0.0)), ["in"], ["a", "b"])
    assert_matrix(initial_state(netlist), found.initial_state)


def test_inductor_in_series_with_a_current_source() -> None:
    """i_L is the source's; v_a = v_b + L di/dt, so the output has the derivative as an input of its own."""
    found = equations(["iin 0 a 1e-3", f"l a b {L1} ic=0.1", f"r b 0 {R}", f"c b 0 {C1}"], ["in"], ["a", "b"])
    assert found.sde.state_names == ("cc",)
    assert found.sde.input_names == ("in", "constant", "d(in)/dt")
    assert_matrix(found.sde.F, [[-1 / (R * C1)]])
    assert_matrix(found.sde.E, [[1 / C1, 0, 0]])
    assert_matrix(found.sde.D, [[0, 0, L1], [0, 0, 0]])
    assert found.input_values.tolist() == [1e-3, 1.0, 0.0]


def test_cut_set_of_two_inductors_and_a_current_source() -> None:
    """i1 + i2 = I at node a.  With i2 kept: (L1 + L2) di2 = L1 dI - R i2 dt; fluxes decide the start."""
    cards = ["iin 0 a 1e-3", f"l1 a 0 {L1} ic=0.1", f"l2 a b {L2} ic=0.3", f"r b 0 {R}"]
    found = equations(cards, ["in"], ["a", "b"])
    k, rate = L1 / (L1 + L2), R / (L1 + L2)
    assert found.sde.state_names == ("l2",)
    assert_matrix(found.sde.F, [[-rate]])
    assert_matrix(found.sde.E, [[-k * rate, 0, 0]])
    assert_matrix(found.input_share, [[k, 0, 0]])
    assert_matrix(found.initial_map, [[-k, 1 - k]])
    # v_a = L1 di1/dt = L1 (dI/dt - di2/dt) with di2/dt = k dI/dt - rate (z + k I)
    assert_matrix(found.sde.C, [[L1 * rate], [R]])
    assert_matrix(found.sde.D, [[L1 * rate * k, 0, L1 * (1 - k)], [R * k, 0, 0]])


def test_constant_sources_have_no_derivative() -> None:
    found = equations(["iin 0 a 1e-3", f"l a b {L1}", f"r b 0 {R}", f"c b 0 {C1}"], [], ["a"])
    assert found.sde.input_names == ("constant",)
    assert_matrix(found.sde.E, [[1e-3 / C1]])


@pytest.mark.parametrize("gain", [1e5, 1e7])
def test_capacitor_at_the_virtual_ground_of_an_amplifier(gain: float) -> None:
    """o = -A s, R from t to s, Cs from s to ground, Ci from s to o: (Cs + (1 + A) Ci) ds/dt = (t - s)/R."""
    cards = ["vin t 0 1", f"r t s {R}", "cs s 0 1e-12", f"ci s o {C1} ic=0.5", f"ea o 0 0 s {gain}"]
    found = equations(cards, ["in"], ["o", "s"])
    farad = 1e-12 + (1 + gain) * C1
    assert found.sde.state_names == ("cs",)
    assert_matrix(found.sde.F, [[-1 / (R * farad)]])
    assert_matrix(found.sde.E[:, :1], [[1 / (R * farad)]])
    assert_matrix(found.sde.C, [[-gain], [1]])
    assert_matrix(found.initial_state, [C1 * 0.5 / farad])


def test_capacitor_at_an_exact_virtual_ground() -> None:
    """Sensed by a 0 V source: the capacitor there has no say, C dv_h/dt = -v_in/R."""
    cards = ["vin t 0 1", f"r t s {R}", "cs s 0 1e-9", "vs s 0 0", "f h 0 vs 1", f"ch h 0 {C2} ic=0.5", "e o 0 h 0 -1"]
    found = equations(cards, ["in"], ["o"])
    assert found.sde.state_names == ("ch",)
    assert_matrix(found.sde.F, [[0]])
    assert_matrix(found.sde.E, [[-1 / (R * C2), 0]])
    assert_matrix(found.sde.C, [[-1]])


def test_nullor() -> None:
    """Voltage and current of a port both zero (V with a current source that cancels it): M itself is singular.

    The op-amp integrator with this input and an output that follows the free current: C d(0 - o)/dt = v_in/R.
    """
    cards = ["vin t 0 1", f"r t s {R}", "vz s 0 0", "fz s 0 vz -1", "ho o 0 vz 1", f"ci s o {C1} ic=0.5"]
    found = equations(cards, ["in"], ["o", "s"])
    assert found.sde.state_names == ("ci",)
    assert_matrix(found.sde.E[:, :1], [[1 / (R * C1)]])
    assert_matrix(found.sde.C, [[-1], [0]])
    assert abs(float(found.sde.F[0, 0])) < 1e-6


def test_bootstrapped_capacitor() -> None:
    """A follower holds the voltage of cb at zero: it takes no current, and its first charge goes to ci."""
    cards = ["vin t 0 1", f"r t s {R}", "e o 0 s 0 1", f"cb s o {C2} ic=0.5", f"ci s 0 {C1} ic=0.25"]
    found = equations(cards, ["in"], ["s"])
    assert found.sde.state_names == ("ci",)
    assert_matrix(found.sde.F, [[-1 / (R * C1)]])
    assert_matrix(found.initial_state, [0.25 + 0.5 * C2 / C1])


def transformer(k: float) -> list[str]:
    return ["vin t 0 1", "rs t a 50", f"l1 a 0 {L1} ic=0.01", f"l2 b 0 {L2} ic=0.02", f"k l1 l2 {k}", "rl b 0 1e3"]


def test_coupled_inductors() -> None:
    """L di/dt = v with L = [[L1, M], [M, L2]], M = k sqrt(L1 L2); v1 = v_in - 50 i1, v2 = -1000 i2."""
    found = equations(transformer(0.99), ["in"], ["a", "b"])
    mutual = 0.99 * np.sqrt(L1 * L2)
    inverse = np.linalg.inv([[L1, mutual], [mutual, L2]])
    np.testing.assert_allclose(found.sde.F.numpy(), inverse @ np.diag([-50.0, -1e3]), rtol=1e-11)
    np.testing.assert_allclose(found.sde.E.numpy()[:, 0], inverse[:, 0], rtol=1e-11)
    assert found.initial_state.tolist() == [0.01, 0.02]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_perfectly_coupled_inductors_are_one_state(sign: float) -> None:
    """v2 = n v1, n = +-sqrt(L2/L1), L1 (di1 + n di2) = v1 dt: the magnetising current i1 + n i2 is what is stored.

    With R2' = 1000/n^2 across the primary, v1 = (v_in - 50 i_m) R2'/(R2' + 50), i_m = i1 + n i2, L1 di_m/dt = v1.
    """
    found = equations(transformer(sign), ["in"], ["a", "b"])
    n = sign * np.sqrt(L2 / L1)
    load = 1e3 / n**2
    share = load / (load + 50)
    assert found.sde.n_states == 1
    assert_matrix(found.sde.F, [[-50 * share / L1]])
    np.testing.assert_allclose(found.sde.D.numpy()[:, 0], [share, n * share], rtol=1e-11)
    # C x0 at u = 0: the voltage that the stored magnetising current 0.01 + n 0.02 makes
    u_free = found.sde.C.numpy()[:, 0] * float(found.initial_state[0])
    np.testing.assert_allclose(u_free, -50 * share * (0.01 + n * 0.02) * np.array([1.0, n]), rtol=1e-11)


def test_inductor_across_a_voltage_source() -> None:
    found = equations(["vin t 0 1", f"l t 0 {L1} ic=0.01", f"r t 0 {R}"], ["in"], ["t"])
    assert_matrix(found.sde.F, [[0]])
    assert_matrix(found.sde.E, [[1 / L1, 0]])
    assert found.initial_state.tolist() == [0.01]


def test_gyrator_turns_a_capacitor_into_an_inductor() -> None:
    """i_a = g1 v_b and C dv_b = g2 v_a dt: L = C/(g1 g2) at a, here beside R."""
    g1, g2 = 1e-3, 4e-3
    cards = ["iin 0 a 1e-3", f"g1 a 0 b 0 {g1}", f"g2 0 b a 0 {g2}", f"c b 0 {C1} ic=0.1", f"r a 0 {R}"]
    found = equations(cards, ["in"], ["a"])
    assert_matrix(found.sde.F, [[-R * g1 * g2 / C1]])
    assert_matrix(found.sde.C, [[-R * g1]])
    assert_matrix(found.sde.D, [[R, 0]])


def test_negative_resistor_grows_and_has_no_noise() -> None:
    netlist = circuit([f"r a 0 -{R}", f"c a 0 {C1} ic=1"], [], ["a"])
    found = state_equations(netlist, noise=NoiseSources.ALL)
    assert_matrix(found.sde.F, [[1 / (R * C1)]])
    assert found.noise_names == ()
    assert found.sde.n_noises == 0
