"""Symbolic equations of small circuits against equations written by hand."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import sympy as sp

from tngd_hw.netlist import Kind, Netlist, NetlistBuilder, NoiseSources, state_equations
from tngd_hw.netlist.symbolic import symbolic_equations
from tngd_hw.netlist.symbolic_covariance import stationary_covariance
from tngd_hw.netlist.symbolic_system import SymbolicEquations
from tngd_hw.outcome import MisuseError


def same(found: Any, expected: Any) -> bool:
    return bool(sp.simplify(sp.Matrix(found) - sp.Matrix(expected)) == sp.zeros(*found.shape))


def named(equations: SymbolicEquations, names: str) -> list[Any]:
    return [equations.symbol(name) for name in names.split()]


def controlled_sources() -> Netlist:
    """Every controlled source, with gains of its own and both terminals off ground."""
    build = NetlistBuilder("all four")
    a, b, c, d, e, f, g = build.nodes(list("abcdefg"))
    build.add(Kind.VOLTAGE_SOURCE, ["in", "sense"], [[a, 0], [b, c]], [2.0, 0.0])
    ends = [[a, b], [c, 0], [d, 0], [d, e], [e, 0], [f, d], [g, e]]
    build.add(Kind.RESISTOR, ["ab", "c", "d", "de", "e", "fd", "ge"], ends, [1e3, 2e3, 3e3, 4e3, 5e3, 6e3, 7e3])
    build.add(Kind.CAPACITOR, ["c", "e"], [[c, 0], [e, a]], [1e-9, 2e-9])
    build.add(Kind.CCCS, ["f"], [[0, e]], [3.0], controls=["sense"])
    build.add(Kind.VCCS, ["g"], [[d, 0, c, e]], [2e-3])
    build.add(Kind.VCVS, ["e"], [[f, 0, c, e]], [-1.5])
    build.add(Kind.CCVS, ["h"], [[g, 0]], [700.0], controls=["sense"])
    build.add(Kind.INDUCTOR, ["l"], [[c, d]], [1e-3])
    return build.netlist(["in"], ["e", "d"])


def test_low_pass_by_hand() -> None:
    """C dv/dt = (u - v)/R; kT/C whatever R is."""
    build = NetlistBuilder("low pass")
    a, b = build.nodes(["a", "b"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[a, 0]], [1.0])
    build.add(Kind.RESISTOR, ["one"], [[a, b]], [1e3])
    build.add(Kind.CAPACITOR, ["two"], [[b, 0]], [1e-9])
    netlist = build.netlist(["in"], ["b"])
    found = symbolic_equations(netlist, {"v\\(ctwo\\)": "v", "t\\(.*\\)": "kT"}, noise=NoiseSources.THERMAL)
    R, C, kT, u = named(found, "R_one C_two kT V_in")
    assert (found.states, found.inputs, found.outputs) == ((sp.Symbol("v", real=True),), (u,), ("b",))
    assert same(found.F, [[-1 / (R * C)]])
    assert same(found.E, [[1 / (R * C)]])
    assert same(found.B, [[sp.sqrt(2 * kT / R) / C]])
    assert same(stationary_covariance(found), [[kT / C]])
    assert found.numbers[kT] == pytest.approx(1.380649e-23 * 300.15, rel=1e-12)
    (equation,) = found.equations()
    assert "Derivative(v(t), t)" in str(equation.lhs)


def test_a_current_enters_its_second_node_and_noise_is_one_sided() -> None:
    build = NetlistBuilder("current")
    (a,) = build.nodes(["a"])
    build.add(Kind.CURRENT_SOURCE, ["in", "n"], [[0, a], [a, 0]], [1.0, 0.0], noise_psd=[0.0, 3e-18])
    build.add(Kind.RESISTOR, ["r"], [[a, 0]], [1e3])
    build.add(Kind.CAPACITOR, ["c"], [[a, 0]], [1e-9])
    found = symbolic_equations(build.netlist(["in"], ["a"]))
    R, C, S = named(found, "R_r C_c S_n")
    assert same(found.E, [[1 / C]])
    assert same(found.B, [[-sp.sqrt(S / 2) / C]])
    assert same(stationary_covariance(found), [[S * R / (4 * C)]])


def test_a_triangle_of_capacitors_is_a_maxwell_matrix() -> None:
    """Nodes a and b: C_a, C_b to ground and C_ab between; the third follows from the others and couples them."""
    build = NetlistBuilder("triangle")
    a, b = build.nodes(["a", "b"])
    build.add(Kind.CAPACITOR, ["ab", "a", "b"], [[a, b], [a, 0], [b, 0]], [3e-9, 1e-9, 2e-9])
    build.add(Kind.RESISTOR, ["a", "b"], [[a, 0], [b, 0]], [1e3, 2e3])
    found = symbolic_equations(build.netlist([], ["a", "b"]))
    Cab, Ca, Cb, Ra, Rb = named(found, "C_ab C_a C_b R_a R_b")
    assert same(found.mass, [[Ca + Cab, -Cab], [-Cab, Cb + Cab]])
    assert same(found.drift, sp.diag(-1 / Ra, -1 / Rb))
    assert same(found.F, found.mass.inv() * found.drift)
    assert len(symbolic_equations(build.netlist([], ["a"])).seen_by_outputs().states) == 2  # a hears b through C_ab


def test_controlled_sources_agree_with_the_numeric_derivation() -> None:
    netlist = controlled_sources()
    found, expected = symbolic_equations(netlist).numeric(), state_equations(netlist).sde
    for name in "FECD":
        value = getattr(found, name)
        matrix = getattr(expected, name).numpy()[:, : value.shape[1]]
        np.testing.assert_allclose(value, matrix, rtol=0, atol=1e-12 * np.abs(matrix).max(), err_msg=name)


def test_a_current_controlled_voltage_by_hand() -> None:
    """H = r i(sense): the sensed current (u - v)/R charges C and makes the output r (u - v)/R."""
    build = NetlistBuilder("h")
    a, b, c, y = build.nodes(["a", "b", "c", "y"])
    build.add(Kind.VOLTAGE_SOURCE, ["in", "sense"], [[a, 0], [b, c]], [1.0, 0.0])
    build.add(Kind.RESISTOR, ["ab", "y"], [[a, b], [y, 0]], [1e3, 1e3])
    build.add(Kind.CAPACITOR, ["c"], [[c, 0]], [1e-9])
    build.add(Kind.CCVS, ["h"], [[y, 0]], [-500.0], controls=["sense"])
    found = symbolic_equations(build.netlist(["in"], ["y"]))
    R, r = named(found, "R_ab H_h")
    assert same(found.reading, [[-r / R]])
    assert same(found.feedthrough, [[r / R]])
    assert found.numbers[r] == -500.0
    assert r.is_positive is None  # R is known to be positive, r is not
    assert R.is_positive


def test_a_source_that_is_no_input_is_a_constant() -> None:
    build = NetlistBuilder("bias")
    a, b = build.nodes(["a", "b"])
    build.add(Kind.VOLTAGE_SOURCE, ["bias"], [[a, 0]], [2.5])
    build.add(Kind.RESISTOR, ["r"], [[a, b]], [1e3])
    build.add(Kind.CAPACITOR, ["c"], [[b, 0]], [1e-9])
    found = symbolic_equations(build.netlist([], ["b"]))
    (bias,) = named(found, "V_bias")
    assert found.inputs == (1,)
    assert same(found.settled(), [[bias]])


def divider() -> NetlistBuilder:
    build = NetlistBuilder("two nodes")
    a, b = build.nodes(["a", "b"])
    build.add(Kind.RESISTOR, ["ab", "b"], [[a, b], [b, 0]], [1e3, 2e3])
    build.add(Kind.CAPACITOR, ["a", "b"], [[a, 0], [b, 0]], [1e-9, 2e-9])
    return build


def test_other_states_are_the_same_circuit() -> None:
    """Sum and difference: x = (s + d)/2 and so on; the eigenvalues of the numbers stay."""
    first = symbolic_equations(divider().netlist([], ["a"]), {r"v\(c(.)\)": r"v_\1"})
    other = first.with_states({"s": "v_a + v_b", "d": "v_a - v_b"})
    assert [s.name for s in other.states] == ["s", "d"]
    assert same(other.reading, [[sp.Rational(1, 2), sp.Rational(1, 2)]])
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvals(other.numeric().F)), np.sort(np.linalg.eigvals(first.numeric().F)), rtol=1e-12
    )
    with pytest.raises(MisuseError, match="2 states take 2 independent"):
        first.with_states({"s": "v_a + v_b", "d": "2*v_a + 2*v_b"})


def test_what_no_output_sees_is_left_out() -> None:
    build = divider()
    (c,) = build.nodes(["c"])
    build.add(Kind.VCCS, ["follow"], [[0, c, 2, 0]], [1e-3])
    build.add(Kind.RESISTOR, ["c"], [[c, 0]], [1e3])
    build.add(Kind.CAPACITOR, ["c"], [[c, 0]], [1e-9])
    found = symbolic_equations(build.netlist([], ["b"]))
    assert len(found.states) == 3
    assert [s.name for s in found.seen_by_outputs().states] == ["v_a", "v_b"]
    assert len(symbolic_equations(build.netlist([], ["c"])).seen_by_outputs().states) == 3


def test_tied_elements() -> None:
    netlist = divider().netlist([], ["a"])
    found = symbolic_equations(netlist, {"rab": "1/g", "rb": "1/(g - h)", "c(.)": r"C_\1"})
    g, h = named(found, "g h")
    assert found.numbers[g] == pytest.approx(1e-3)
    assert found.numbers[h] == pytest.approx(5e-4)
    with pytest.raises(MisuseError, match=r"rb is 2000 and R is 1000 from other elements"):
        symbolic_equations(netlist, {"r.*": "R"})
    with pytest.raises(MisuseError, match="no other element says what its symbols are"):
        symbolic_equations(netlist, {"rab": "p*q"})
    with pytest.raises(MisuseError, match="is no expression"):
        symbolic_equations(netlist, {"rab": "__import__('os')"})
    with pytest.raises(MisuseError, match="'Q' is no symbol of these equations"):
        found.symbol("Q")


def test_names_that_sympy_has_a_meaning_for() -> None:
    """S, I, E, N and beta are symbols like any other."""
    found = symbolic_equations(divider().netlist([], ["a"]), {"rab": "I", "rb": "E", "ca": "S", "cb": "N"})
    assert {str(s) for s in found.numbers} == {"I", "E", "S", "N"}


def test_refusals() -> None:
    with pytest.raises(MisuseError, match="no noise"):
        stationary_covariance(symbolic_equations(divider().netlist([], ["a"])))
    build = divider()
    build.add(Kind.RESISTOR, [f"more{k}" for k in range(120)], [[1, 2]] * 120, 1e3)
    with pytest.raises(MisuseError, match=r"has 124 elements, symbolic derivations take up to 120"):
        symbolic_equations(build.netlist([], ["a"]))
    build = divider()
    (c,) = build.nodes(["c"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[c, 0]], [1.0])
    build.add(Kind.CAPACITOR, ["loop"], [[c, 1]], [1e-9])
    with pytest.raises(MisuseError, match=r"inputs or noise reach cloop at once"):
        symbolic_equations(build.netlist(["in"], ["a"]))
    build = NetlistBuilder("coupled")
    (a,) = build.nodes(["a"])
    build.add(Kind.INDUCTOR, ["x", "y"], [[a, 0], [a, 0]], [1e-3, 2e-3])
    build.add(Kind.COUPLING, ["k"], [], [0.5], controls=["x"], partners=["y"])
    build.add(Kind.RESISTOR, ["a"], [[a, 0]], [1e3])
    with pytest.raises(MisuseError, match="coupled inductors"):
        symbolic_equations(build.netlist([], ["a"]))


def test_noise_without_a_stationary_law() -> None:
    """A capacitor that only noise charges wanders off."""
    build = NetlistBuilder("walk")
    (a,) = build.nodes(["a"])
    build.add(Kind.CURRENT_SOURCE, ["n"], [[0, a]], [0.0], noise_psd=[1e-18])
    build.add(Kind.CAPACITOR, ["c"], [[a, 0]], [1e-9])
    found = symbolic_equations(build.netlist([], ["a"]))
    with pytest.raises(MisuseError, match="settles to no covariance"):
        stationary_covariance(found)
    with pytest.raises(MisuseError, match="never decays"):
        found.settled()


def test_sympy_is_imported_when_it_is_used() -> None:
    code = (
        "import sys, tngd_hw.netlist.symbolic, tngd_hw.report\n"
        "print([name for name in ('sympy', 'schemdraw') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
