"""State equations against equations written by hand; asymmetric examples, so that a wrong sign or order shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tngd_hw import MisuseError
from tngd_hw.netlist import Kind, NetlistBuilder, StateEquations, state_equations

R, C, L = 2e3, 3e-9, 5e-4


def equations(build: NetlistBuilder, inputs: list[str], outputs: list[str]) -> StateEquations:
    return state_equations(build.netlist(inputs=inputs, outputs=outputs))


def assert_equations(
    found: StateEquations, F: object, E: object, *, output: object = None, direct: object = None
) -> None:
    """F, E and, where they say something, C and D, all without the constant input."""
    sde = found.sde
    np.testing.assert_allclose(sde.F.numpy(), F, rtol=1e-12, atol=1e-9 * np.abs(sde.F.numpy()).max())
    np.testing.assert_allclose(sde.E.numpy()[:, :-1], E, rtol=1e-12, atol=1e-9)
    if output is not None:
        np.testing.assert_allclose(sde.C.numpy(), output, rtol=1e-12, atol=1e-12)
    if direct is not None:
        np.testing.assert_allclose(sde.D.numpy()[:, :-1], direct, rtol=1e-12, atol=1e-12)


def test_rc_low_pass() -> None:
    build = NetlistBuilder("rc")
    top, out = build.nodes(["top", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [7.0])
    build.add(Kind.RESISTOR, ["r"], [[top, out]], [R])
    build.add(Kind.CAPACITOR, ["c"], [[out, 0]], [C], initial=[0.25])
    found = equations(build, ["in"], ["out"])
    assert_equations(found, [[-1 / (R * C)]], [[1 / (R * C)]], output=[[1.0]], direct=[[0.0]])
    assert found.initial_state.tolist() == [0.25]
    assert found.input_values.tolist() == [7.0, 1.0]
    assert found.sde.input_names == ("in", "constant")


def test_rc_ladder_of_three() -> None:
    build = NetlistBuilder("ladder")
    n = build.nodes(["a", "b", "c", "d"])
    r, c = [1e3, 2e3, 4e3], [1e-9, 2e-9, 5e-9]
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[n[0], 0]], [1.0])
    build.add(Kind.RESISTOR, ["r1", "r2", "r3"], [[n[0], n[1]], [n[1], n[2]], [n[2], n[3]]], r)
    build.add(Kind.CAPACITOR, ["c1", "c2", "c3"], [[n[1], 0], [n[2], 0], [n[3], 0]], c)
    g = 1 / np.array(r)
    F = np.array([[-(g[0] + g[1]), g[1], 0], [g[1], -(g[1] + g[2]), g[2]], [0, g[2], -g[2]]]) / np.array(c)[:, None]
    assert_equations(equations(build, ["in"], ["d"]), F, [[g[0] / c[0]], [0], [0]], output=[[0, 0, 1]])


def test_series_rlc() -> None:
    """dv_c = i/C,  di = (v_in - R i - v_c)/L, the inductor's current counted from its first to its second node."""
    build = NetlistBuilder("series")
    top, mid, out = build.nodes(["top", "mid", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [1.0])
    build.add(Kind.RESISTOR, ["r"], [[top, mid]], [R])
    build.add(Kind.INDUCTOR, ["l"], [[mid, out]], [L], initial=[2e-3])
    build.add(Kind.CAPACITOR, ["c"], [[out, 0]], [C], initial=[0.5])
    found = equations(build, ["in"], ["out", "mid"])
    assert_equations(found, [[0, 1 / C], [-1 / L, -R / L]], [[0], [1 / L]], output=[[1, 0], [0, -R]], direct=[[0], [1]])
    assert found.initial_state.tolist() == [0.5, 2e-3]


def test_parallel_rlc_driven_by_a_current() -> None:
    """A source I a b drives its current from a through itself to b: here out of ground, into the node."""
    build = NetlistBuilder("parallel")
    (top,) = build.nodes(["top"])
    build.add(Kind.CURRENT_SOURCE, ["in"], [[0, top]], [1e-3])
    build.add(Kind.RESISTOR, ["r"], [[top, 0]], [R])
    build.add(Kind.INDUCTOR, ["l"], [[top, 0]], [L])
    build.add(Kind.CAPACITOR, ["c"], [[top, 0]], [C])
    assert_equations(equations(build, ["in"], ["top"]), [[-1 / (R * C), -1 / C], [1 / L, 0]], [[1 / C], [0]])


def test_floating_capacitor_feeds_through() -> None:
    """in -C- out -R- ground: v_out = v_in - v_c, so D = 1."""
    build = NetlistBuilder("high pass")
    top, out = build.nodes(["top", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [1.0])
    build.add(Kind.CAPACITOR, ["c"], [[top, out]], [C])
    build.add(Kind.RESISTOR, ["r"], [[out, 0]], [R])
    found = equations(build, ["in"], ["out"])
    assert_equations(found, [[-1 / (R * C)]], [[1 / (R * C)]], output=[[-1]], direct=[[1]])


def with_rc(build: NetlistBuilder, node: int) -> None:
    build.add(Kind.RESISTOR, ["load"], [[node, 0]], [R])
    build.add(Kind.CAPACITOR, ["load"], [[node, 0]], [C])


def test_vccs_draws_its_current_out_of_the_first_node() -> None:
    """G out 0 p q g: the current g (v_p - v_q) leaves out."""
    build = NetlistBuilder("vccs")
    p, q, out = build.nodes(["p", "q", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["p", "q"], [[p, 0], [q, 0]], [1.0, 1.0])
    build.add(Kind.VCCS, ["g"], [[out, 0, p, q]], [3e-4])
    with_rc(build, out)
    assert_equations(equations(build, ["p", "q"], ["out"]), [[-1 / (R * C)]], [[-3e-4 / C, 3e-4 / C]])


def test_vcvs_multiplies_the_difference_of_its_controls() -> None:
    build = NetlistBuilder("vcvs")
    p, q, hot, out = build.nodes(["p", "q", "hot", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["p", "q"], [[p, 0], [q, 0]], [1.0, 1.0])
    build.add(Kind.VCVS, ["e"], [[hot, 0, p, q]], [4.0])
    build.add(Kind.RESISTOR, ["r"], [[hot, out]], [R])
    build.add(Kind.CAPACITOR, ["c"], [[out, 0]], [C])
    found = equations(build, ["p", "q"], ["hot"])
    assert_equations(found, [[-1 / (R * C)]], [[4 / (R * C), -4 / (R * C)]], direct=[[4, -4]])


def test_cccs_copies_the_current_through_its_source() -> None:
    """v_in over 500 ohm: v_in/500 flows into + of sense; F out 0 sense 6 takes six times that out of node out."""
    build = NetlistBuilder("cccs")
    top, mid, out = build.nodes(["top", "mid", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["in", "sense"], [[top, 0], [mid, 0]], [1.0, 0.0])
    build.add(Kind.RESISTOR, ["r"], [[top, mid]], [500.0])
    build.add(Kind.CCCS, ["f"], [[out, 0]], [6.0], controls=["sense"])
    with_rc(build, out)
    assert_equations(equations(build, ["in"], ["out"]), [[-1 / (R * C)]], [[-6.0 / 500 / C]])


def test_ccvs_turns_a_current_into_a_voltage() -> None:
    build = NetlistBuilder("ccvs")
    top, mid, hot, out = build.nodes(["top", "mid", "hot", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["in", "sense"], [[top, 0], [mid, 0]], [1.0, 0.0])
    build.add(Kind.RESISTOR, ["r", "out"], [[top, mid], [hot, out]], [500.0, R])
    build.add(Kind.CCVS, ["h"], [[hot, 0]], [-250.0], controls=["sense"])
    build.add(Kind.CAPACITOR, ["c"], [[out, 0]], [C])
    found = equations(build, ["in"], ["hot"])
    assert_equations(found, [[-1 / (R * C)]], [[-0.5 / (R * C)]], direct=[[-0.5]])


def test_sources_that_are_no_inputs_make_the_constant_column() -> None:
    build = NetlistBuilder("bias")
    top, out = build.nodes(["top", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["bias"], [[top, 0]], [5.0])
    build.add(Kind.CURRENT_SOURCE, ["in", "leak"], [[0, out], [out, 0]], [1e-3, 2e-3])
    build.add(Kind.RESISTOR, ["r"], [[top, out]], [R])
    build.add(Kind.CAPACITOR, ["c"], [[out, 0]], [C])
    found = equations(build, ["in"], ["out"])
    np.testing.assert_allclose(found.sde.E.numpy(), [[1 / C, (5.0 / R - 2e-3) / C]], rtol=1e-12)
    assert found.input_values.tolist() == [1e-3, 1.0]


def test_inputs_keep_the_order_they_were_given_in() -> None:
    build = NetlistBuilder("order")
    (out,) = build.nodes(["out"])
    build.add(Kind.CURRENT_SOURCE, ["one", "two"], [[0, out], [out, 0]], [1.0, 2.0])
    with_rc(build, out)
    found = equations(build, ["two", "one"], ["out"])
    np.testing.assert_allclose(found.sde.E.numpy()[0, :2], [-1 / C, 1 / C], rtol=1e-12)
    assert found.input_values.tolist() == [2.0, 1.0, 1.0]


def test_a_voltage_and_a_current_source_may_share_a_name() -> None:
    """V1 through R and I1, both into the capacitor: as inputs they are ``v1`` and ``i1``, each with its own column."""
    build = NetlistBuilder("shared")
    top, out = build.nodes(["top", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["1"], [[top, 0]], [7.0])
    build.add(Kind.CURRENT_SOURCE, ["1"], [[0, out]], [2e-3])
    build.add(Kind.RESISTOR, ["r"], [[top, out]], [R])
    build.add(Kind.CAPACITOR, ["c"], [[out, 0]], [C])
    found = state_equations(replace(build.netlist(inputs=[], outputs=["out"]), inputs=("i1", "v1")))
    assert_equations(found, [[-1 / (R * C)]], [[1 / C, 1 / (R * C)]])
    assert found.input_values.tolist() == [2e-3, 7.0, 1.0]
    assert not found.sde.E[:, -1].any()


def test_circuit_whose_sources_decide_everything_is_refused() -> None:
    build = NetlistBuilder("short")
    (top,) = build.nodes(["top"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [1.0])
    build.add(Kind.CAPACITOR, ["c"], [[top, 0]], [C])
    with pytest.raises(MisuseError, match=r"netlist 'short': every capacitor and inductor follows from the sources"):
        equations(build, ["in"], ["top"])


@pytest.mark.parametrize("seed", range(5))
def test_nodes_that_only_a_current_source_holds_are_refused(seed: int) -> None:
    """A mesh of resistors hanging on nothing but a current source: its matrix is singular, up to rounding."""
    build = NetlistBuilder("hanging")
    names = [f"n{i}" for i in range(6)]
    node = build.nodes(names)
    pairs = [(i, j) for i in range(6) for j in range(i)]
    values = np.random.default_rng(seed).uniform(1e3, 9e3, len(pairs))
    build.add(Kind.RESISTOR, [f"r{i}_{j}" for i, j in pairs], [[node[i], node[j]] for i, j in pairs], values)
    build.add(Kind.CURRENT_SOURCE, ["in"], [[0, node[0]]], [1e-3])
    build.add(Kind.CAPACITOR, ["c"], [[node[1], node[2]]], [C])
    with pytest.raises(MisuseError, match="nodes n0, n1, n2, n3, n4 float"):
        equations(build, ["in"], ["n0"])


def test_floating_nodes_are_named() -> None:
    build = NetlistBuilder("float")
    top, left, right = build.nodes(["top", "left", "right"])
    with_rc(build, top)
    build.add(Kind.RESISTOR, ["loose"], [[left, right]], [R])
    with pytest.raises(MisuseError, match="nodes left, right float"):
        equations(build, [], ["top"])


def test_circuit_without_a_state_is_refused() -> None:
    build = NetlistBuilder("still")
    (top,) = build.nodes(["top"])
    build.add(Kind.RESISTOR, ["r"], [[top, 0]], [R])
    with pytest.raises(MisuseError, match="no capacitor and no inductor"):
        equations(build, [], ["top"])


def test_control_that_does_not_exist_is_named() -> None:
    build = NetlistBuilder("typo")
    (out,) = build.nodes(["out"])
    with_rc(build, out)
    build.add(Kind.VOLTAGE_SOURCE, ["sense"], [[out, 0]], [0.0])
    build.add(Kind.CCCS, ["f"], [[out, 0]], [6.0], controls=["sens"])
    with pytest.raises(MisuseError, match="no voltage source named 'sens'"):
        equations(build, [], ["out"])
