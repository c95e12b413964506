"""What a netlist refuses: names that could carry commands, duplicates, numbers no element can have."""

from __future__ import annotations

import numpy as np
import pytest

from tngd_hw import MisuseError
from tngd_hw.netlist import Kind, NetlistBuilder


def divider(title: str = "divider") -> tuple[NetlistBuilder, int]:
    build = NetlistBuilder(title)
    (top,) = build.nodes(["top"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [1.0])
    build.add(Kind.RESISTOR, ["a"], [[top, 0]], [1e3])
    return build, int(top)


def test_nodes_are_made_once_and_ground_is_number_0() -> None:
    build = NetlistBuilder("x")
    assert build.nodes(["a", "0", "b", "a"]).tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize("name", ["A", "a b", "a\nb", "a.b", "$x", "", "ä", "`id`", ".control", "a;b", "v(x)", "a-b"])
def test_names_that_could_carry_a_command_are_refused(name: str) -> None:
    build, top = divider()
    with pytest.raises(MisuseError, match=r"node .*a-z, 0-9 and _"):
        build.nodes([name])
    with pytest.raises(MisuseError, match=r"element .*a-z, 0-9 and _"):
        build.add(Kind.RESISTOR, [name], [[top, 0]], [1.0])
    with pytest.raises(MisuseError, match=r"instance .*a-z, 0-9 and _"):
        build.add_cells("inverter_ideal", [name], [[top, top]])


def test_gnd_is_not_a_node_name_because_spice_grounds_it() -> None:
    with pytest.raises(MisuseError, match=r"node 'gnd'.*ground"):
        NetlistBuilder("x").nodes(["gnd"])


@pytest.mark.parametrize("title", ["two\nlines", "a\r.control", "tab\t", "vertical\x0btab"])
def test_title_is_one_printable_line(title: str) -> None:
    with pytest.raises(MisuseError, match=r"title .*one line"):
        divider(title)[0].netlist([], ["top"])


def test_duplicate_elements_are_named_also_over_several_adds() -> None:
    build, top = divider()
    build.add(Kind.CAPACITOR, ["a"], [[top, 0]], [1e-9])  # another kind may have the name
    build.add(Kind.RESISTOR, ["b", "a"], [[top, 0], [top, 0]], [1.0, 2.0])
    with pytest.raises(MisuseError, match="element Ra is there twice"):
        build.netlist([], ["top"])


def test_instances_of_different_cells_share_their_names() -> None:
    """Both would be the card ``xsame`` in the deck."""
    build, top = divider()
    sink, other = build.nodes(["sink", "other"])
    build.add_cells("inverter_ideal", ["same"], [[top, sink]])
    build.add_cells("integrator_ideal", ["same"], [[top, other]])
    with pytest.raises(MisuseError, match="element Xsame is there twice"):
        build.netlist([], ["top"])


def test_groups_added_apart_are_joined_in_order() -> None:
    build = NetlistBuilder("joined")
    a, b = build.nodes(["a", "b"])
    build.add(Kind.CAPACITOR, ["one"], [[a, 0]], [1e-9])
    build.add(Kind.CAPACITOR, ["two"], [[b, 0]], [2e-9], initial=[3.0])
    table = build.netlist([], ["a"]).table(Kind.CAPACITOR)
    assert table is not None
    assert table.names == ("one", "two")
    assert table.initial is not None
    assert table.initial.tolist() == [0.0, 3.0]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.RESISTOR, 0.0),
        (Kind.RESISTOR, np.nan),
        (Kind.RESISTOR, np.inf),
        (Kind.CAPACITOR, 0.0),
        (Kind.CAPACITOR, -1e-9),
        (Kind.INDUCTOR, -1e-3),
        (Kind.CURRENT_SOURCE, np.nan),
    ],
)
def test_values_no_element_can_have(kind: Kind, value: float) -> None:
    build, top = divider()
    with pytest.raises(MisuseError, match="'bad' has the value"):
        build.add(kind, ["bad"], [[top, 0]], [value])


def test_negative_resistors_are_allowed() -> None:
    build, top = divider()
    build.add(Kind.RESISTOR, ["negative"], [[top, 0]], [-5e3])
    assert build.netlist([], ["top"]).element_count == 3


def test_initial_values_are_finite() -> None:
    build, top = divider()
    with pytest.raises(MisuseError, match="initial has to be 1 finite numbers"):
        build.add(Kind.CAPACITOR, ["c"], [[top, 0]], [1e-9], initial=[np.inf])


def test_shapes_are_checked() -> None:
    build, top = divider()
    with pytest.raises(MisuseError, match=r"nodes has shape \(1, 2\), expected \(1, 4\)"):
        build.add(Kind.VCVS, ["e"], [[top, 0]], [1.0])
    with pytest.raises(MisuseError, match="0 controlling sources for 1 elements"):
        build.add(Kind.CCVS, ["h"], [[top, 0]], [1.0])
    with pytest.raises(MisuseError, match=r"cell 'inverter_ideal': nodes has shape \(1, 3\)"):
        build.add_cells("inverter_ideal", ["x"], [[top, top, top]])


@pytest.mark.parametrize("number", [-1, 2])
def test_node_numbers_that_do_not_exist_are_refused(number: int) -> None:
    build, _ = divider()
    build.add(Kind.RESISTOR, ["wild"], [[number, 0]], [1.0])
    with pytest.raises(MisuseError, match="node number outside 0 to 1"):
        build.netlist([], ["top"])


def test_unknown_inputs_outputs_cells_and_parameters_are_named() -> None:
    build, top = divider()
    with pytest.raises(MisuseError, match="input 'a' is not a V or I source"):
        build.netlist(["a"], ["top"])
    with pytest.raises(MisuseError, match="output 'nowhere' is not a node"):
        build.netlist(["in"], ["nowhere"])
    with pytest.raises(MisuseError, match="output '0' is not a node"):
        build.netlist(["in"], ["0"])
    with pytest.raises(MisuseError, match=r"cell 'opam'.*has: .*opamp"):
        build.add_cells("opam", ["x"], [[top, top]])
    with pytest.raises(MisuseError, match="cell 'opamp' has no parameter 'gian'"):
        build.add_cells("opamp", ["x"], [[top, top, top]], gian=3)


def test_cells_used_by_cells_come_along() -> None:
    build, top = divider()
    build.add_cells("integrator", ["x"], [[top, build.nodes(["out"])[0]]])
    assert set(build.netlist([], ["out"]).cells) == {"integrator", "opamp"}
