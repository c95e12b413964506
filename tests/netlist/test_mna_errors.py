"""Circuits that have no solution, or no linear one: each error names the elements and says what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from circuit_cards import circuit

from tngd_hw import MisuseError
from tngd_hw.netlist import Kind, NetlistBuilder, Shape, SwitchModel, Waveform, operating_point, state_equations

RC = ["r a 0 1e3", "c a 0 1e-9"]


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        (["v1 a 0 1", "v2 a b 1", "v3 0 b 1", *RC], "v1, v2, v3 form a loop whose current nothing limits"),
        (["v1 a a 1", *RC], "v1 is a loop"),
        (["v1 a 0 1", "e2 a 0 a 0 2", *RC], r"singular \(nothing decides i\(v1\), i\(e2\)\)"),
        (["v1 a 0 1", "e2 b 0 c 0 2", "g1 c 0 a 0 1e-3", *RC], r"nothing decides v\(b\), v\(c\)"),
        ([*RC, "i1 0 b 1e-3", "l1 b c 1e-3", "c1 c d 1e-9"], "nodes b, c, d float; connect them to ground"),
        ([*RC, "i1 0 b 1e-3"], "node b floats; connect it to ground through a resistor or a capacitor"),
        ([*RC, "la a 0 1e-3", "k1 la lb 0.9"], "k1 couples lb, which is no inductor"),
        ([*RC, "la a 0 1e-3", "lb a 0 1e-3", "k1 la lb 0.9", "k2 lb la 0.8"], "k2 couples lb and la a second time"),
        (
            [*RC, "la a 0 1", "lb a 0 1", "lc a 0 1", "k1 la lb 0.9", "k2 lb lc 0.9", "k3 la lc -0.9"],
            "coupling factors of la, lb, lc contradict each other",
        ),
    ],
)  # fmt: skip
def test_state_equations_name_what_is_wrong(cards: list[str], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        state_equations(circuit(cards, [], ["a"]))


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        (["v1 t 0 1", "r t a 1e3", "c1 a b 1e-9", "c2 b 0 1e-9", "r2 a 0 1e3"], "node b floats at DC"),
        (["v1 t 0 1", "l1 t a 1e-3", "l2 a 0 1e-3", "r a 0 1e3"], "l1, v1, l2 form a loop"),
        (["i1 0 s 1e-3", "ci s o 1e-9", "ea o 0 0 s 1e5", "r o 0 1e3"], "node s floats at DC"),
        (["vs s 0 0", "r t s 1e3", "v1 t 0 1", "f 0 h vs -1", "c h 0 1e-9", "g h 0 0 0 1"], r"decides v\(h\)"),
    ],
)
def test_operating_point_names_what_is_wrong(cards: list[str], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        operating_point(circuit(cards, [], []))


def test_behavioral_source_is_named() -> None:
    build = NetlistBuilder("bent")
    (a,) = build.nodes(["a"])
    build.add(Kind.CAPACITOR, ["c"], [[a, 0]], [1e-9])
    build.add(Kind.BEHAVIORAL, ["clip"], [[a, 0]], [0.0], expressions=["i=1e-3*tanh(v(a)/0.1)"])
    with pytest.raises(
        MisuseError, match="bclip is nonlinear and state equations are for linear circuits; use the ngsp"
    ):
        state_equations(build.netlist([], ["a"]))


def switched(control_volt: float, *, starts_on: bool = False) -> NetlistBuilder:
    """A switch, on above 1.2 V, off below 0.8 V, from a to ground; its control is the sum of two sources."""
    build = NetlistBuilder("switched")
    a, p, q = build.nodes(["a", "p", "q"])
    build.add(Kind.VOLTAGE_SOURCE, ["p", "q"], [[p, q], [0, q]], [control_volt - 2.0, -2.0])
    build.add(Kind.CAPACITOR, ["c"], [[a, 0]], [1e-9])
    model = SwitchModel(on_ohm=100.0, off_ohm=1e6, threshold_volt=1.0, hysteresis_volt=0.2, starts_on=starts_on)
    build.add(Kind.SWITCH, ["s"], [[a, 0, p, 0]], [100.0], switches=[model])
    return build


@pytest.mark.parametrize(
    ("volt", "starts_on", "ohm"), [(1.3, False, 100.0), (0.7, True, 1e6), (1.1, True, 100.0), (1.1, False, 1e6)]
)
def test_switch_is_the_resistor_of_its_state(volt: float, starts_on: bool, ohm: float) -> None:
    found = state_equations(switched(volt, starts_on=starts_on).netlist([], ["a"]))
    np.testing.assert_allclose(found.sde.F.numpy(), [[-1 / (ohm * 1e-9)]], rtol=1e-12)


def test_switch_on_an_input_or_a_node_is_refused() -> None:
    message = r"switch ss is controlled by v\(p,0\), which constant voltage sources alone do not decide"
    with pytest.raises(MisuseError, match=message):
        state_equations(switched(1.3).netlist(["p"], ["a"]))
    assert operating_point(switched(1.3).netlist(["p"], ["a"])).voltage_volt["a"] == 0.0
    build = switched(1.3)
    (b,) = build.nodes(["b"])
    build.add(Kind.RESISTOR, ["b"], [[b, 0]], [1e3])
    model = SwitchModel(on_ohm=100.0, off_ohm=1e6)
    build.add(Kind.SWITCH, ["t"], [[b, 0, b, 0]], [100.0], switches=[model])
    with pytest.raises(MisuseError, match=r"switch st is controlled by v\(b,0\)"):
        state_equations(build.netlist([], ["a"]))


def test_waveform_that_is_no_input_is_refused() -> None:
    build = NetlistBuilder("moving")
    top, a = build.nodes(["top", "a"])
    wave = Waveform(Shape.SIN, (0.0, 1.0, 1e3))
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [0.5], waveforms=[wave])
    build.add(Kind.RESISTOR, ["r"], [[top, a]], [1e3])
    build.add(Kind.CAPACITOR, ["c"], [[a, 0]], [1e-9])
    with pytest.raises(MisuseError, match="vin has a waveform and is no input; name it among the inputs"):
        state_equations(build.netlist([], ["a"]))
    assert state_equations(build.netlist(["in"], ["a"])).input_values.tolist() == [0.5, 1.0]


def test_derivatives_that_no_input_can_give_are_refused() -> None:
    """A gyrated, differentiated current: v_a = C/g dv_b/dt with v_b = v_c's derivative; and white noise through L."""
    twice = ["iin 0 a 1", "l1 a 0 1e-3", "g1 b 0 a 0 1", "l2 b 0 1e-3", "c d 0 1e-9", "r d 0 1e3"]
    with pytest.raises(MisuseError, match="second derivative of in"):
        state_equations(circuit(twice, ["in"], ["b"]))
    noisy = circuit(["iin 0 a 0", "l a b 1e-3", "r b 0 1e3", "c b 0 1e-9"], [], ["a"])
    tables = tuple(
        replace(t, noise_psd=np.array([1e-18])) if t.kind is Kind.CURRENT_SOURCE else t for t in noisy.tables
    )
    with pytest.raises(MisuseError, match="voltage of a contains the derivative of white noise"):
        state_equations(replace(noisy, tables=tables))
    assert state_equations(replace(noisy, tables=tables, outputs=("b",))).sde.n_noises == 1
