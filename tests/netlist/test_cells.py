"""The cell library: every file reads, names what it uses, and the reader refuses what it does not understand."""

from __future__ import annotations

import numpy as np
import pytest

from tngd_hw import MisuseError
from tngd_hw.netlist import Kind, NetlistBuilder, flatten, load_cell, parse_behavioral
from tngd_hw.netlist.cells import circuits_directory, parse_cell

LIBRARY = sorted(path.stem for path in circuits_directory().glob("*.lib"))


@pytest.mark.parametrize("name", LIBRARY)
def test_cell_is_complete(name: str) -> None:
    """The file is named after its cell; X cards fit the ports and parameters of the cells they name."""
    cell = load_cell(name)
    assert cell.name == name
    for instance in cell.instances:
        inner = load_cell(instance.cell)
        assert len(instance.nodes) == len(inner.ports)
        assert {key for key, _ in instance.parameters} <= {key for key, _ in inner.parameters}
    used = {node for element in (*cell.elements, *cell.instances) for node in element.nodes}
    names = dict.fromkeys((key for key, _ in cell.parameters), 1.0)
    for element in cell.elements:
        if element.expression:
            used |= {node for pair in parse_behavioral(element.expression, names).voltages for node in pair}
    assert set(cell.ports) <= used


@pytest.mark.parametrize("name", LIBRARY)
def test_cell_text_is_inert(name: str) -> None:
    """No card of the library can run anything: element letters and .subckt/.ends only."""
    for line in load_cell(name).text.splitlines():
        assert line[:1] in tuple("rclviefghksbx") or line.startswith((".subckt ", ".ends", "* ")), line


def test_parse_reads_every_field() -> None:
    cell = parse_cell(
        "* comment\n.subckt Demo a b w=2k l={w/2}\nR1 a mid {w}  ; trailing\nCx mid b 1n ic={l}\n"
        "Vs mid 0 0\nF1 b 0 vs 3\nG1 a b mid 0 {w*1m}\nXsub a b other p=1 q={w}\n.ends Demo\n",
        "demo.lib",
    )
    assert (cell.name, cell.ports, cell.parameters) == ("demo", ("a", "b"), (("w", "2k"), ("l", "{w/2}")))
    kinds = [(e.kind, e.name, e.nodes, e.value, e.control, e.initial) for e in cell.elements]
    assert kinds == [
        (Kind.RESISTOR, "1", ("a", "mid"), "{w}", "", ""),
        (Kind.CAPACITOR, "x", ("mid", "b"), "1n", "", "{l}"),
        (Kind.VOLTAGE_SOURCE, "s", ("mid", "0"), "0", "", ""),
        (Kind.CCCS, "1", ("b", "0"), "3", "s", ""),
        (Kind.VCCS, "1", ("a", "b", "mid", "0"), "{w*1m}", "", ""),
    ]
    assert cell.instances[0].parameters == (("p", "1"), ("q", "{w}"))


@pytest.mark.parametrize(
    "body",
    [
        "Q1 a b c model",
        "R1 a",
        "R1 a b 1k extra",
        "C1 a b 1n tc=3",
        ".control",
        "F1 a b l1 2",
        ".include /etc/passwd",
    ],
)
def test_cards_that_are_not_understood_are_refused_by_line(body: str) -> None:
    with pytest.raises(MisuseError, match=r"bad\.lib, line [12]: \w"):
        parse_cell(f".subckt bad a b\n{body}\n.ends\n", "bad.lib")


@pytest.mark.parametrize("text", ["", "R1 a b 1\n", ".subckt x a b\nR1 a b 1\n", "r0 a b 1\n.subckt x a\n.ends\n"])
def test_file_is_one_block(text: str) -> None:
    with pytest.raises(MisuseError, match=r"bad\.lib: expected one block"):
        parse_cell(text, "bad.lib")


def test_flatten_expands_nested_cells_with_their_own_parameters() -> None:
    build = NetlistBuilder("two")
    s, out, far = build.nodes(["s", "out", "far"])
    build.add_cells("integrator", ["p", "q"], [[s, out], [s, far]], gain=[1e3, 2e3], gbw=[1e6, 4e6], ic=[0.25, -0.5])
    flat = flatten(build.netlist([], ["out"]))
    assert flat.instances == ()
    capacitors, sources, transconductors = (flat.table(k) for k in (Kind.CAPACITOR, Kind.VCVS, Kind.VCCS))
    assert capacitors is not None
    assert sources is not None
    assert transconductors is not None
    assert capacitors.names == ("p.int", "q.int", "p.amp.pole", "q.amp.pole")
    pole = [1e3 / (2 * np.pi * 1e6 * 1e3), 2e3 / (2 * np.pi * 4e6 * 1e3)]
    np.testing.assert_allclose(capacitors.values, [1e-9, 1e-9, *pole], rtol=1e-14)
    assert capacitors.initial is not None
    assert capacitors.initial.tolist() == [0.25, -0.5, 0.25, -0.5]
    np.testing.assert_allclose(transconductors.values, [1.0, 2.0])
    names = flat.node_names
    assert [names[k] for k in sources.nodes[1]] == ["far", "0", "q.amp.pole", "0"]
    assert [names[k] for k in capacitors.nodes[1]] == ["far", "s"]
