"""The text of a deck: what is in it, what cannot get into it, and how long it takes to write."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from tngd_hw import LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.netlist import Kind, Netlist, NetlistBuilder, Transient, write_deck

RUN = Transient(stop_s=1e-6, step_s=1e-9, max_step_s=1e-8)


def small() -> Netlist:
    build = NetlistBuilder("small example")
    a, b = build.nodes(["a", "b"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[a, 0]], [1 / 3])
    build.add(Kind.RESISTOR, ["r"], [[a, b]], [1000.0])
    build.add(Kind.CAPACITOR, ["c"], [[b, 0]], [1e-9], initial=[-0.5])
    build.add(Kind.CCCS, ["f"], [[b, 0]], [2.0], controls=["in"])
    build.add(Kind.VCCS, ["g"], [[b, 0, a, 0]], [1e-4])
    build.add_cells("inverter_ideal", ["inv"], [[b, build.nodes(["c"])[0]]], rf=[2e3])
    return build.netlist(["in"], ["b", "c"])


def test_every_card() -> None:
    cards = write_deck(small(), RUN).splitlines()
    assert cards[0] == "* small example"
    for card in (
        "vin a 0 dc 0.3333333333333333",
        "rr a b 1000.0",
        "cc b 0 1e-09 ic=-0.5",
        "ff b 0 vin 2.0",
        "gg b 0 a 0 0.0001",
        "xinv b c inverter_ideal rf=2000.0",
        ".subckt inverter_ideal in out rin=1k rf=1k",
        ".save v(b) v(c)",
        ".tran 1e-09 1e-06 0 1e-08 uic",
        ".end",
    ):
        assert card in cards
    assert not any(card.startswith((".print", ".control")) for card in cards)


def test_standalone_deck_prints_its_outputs() -> None:
    assert ".print tran v(b) v(c)" in write_deck(small(), RUN, standalone=True).splitlines()


def test_klu_is_asked_for_only_where_wanted() -> None:
    assert "klu" not in write_deck(small(), RUN)
    assert write_deck(small(), replace(RUN, use_klu=True)).count("klu") == 1


@pytest.mark.parametrize("field", ["stop_s", "step_s", "max_step_s", "relative_tolerance"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_analysis_refuses_numbers_that_cannot_be(field: str, value: float) -> None:
    with pytest.raises(MisuseError, match=rf"Transient\.{field}"):
        replace(RUN, **{field: value})


def test_a_netlist_made_by_hand_cannot_smuggle_a_command_in() -> None:
    """Names that went round the builder are screened again where the text is made."""
    netlist = small()
    table = netlist.tables[1]
    evil = replace(table, names=("r 1 0 1\n.control\nshell true\n.endc\nr2",))
    with pytest.raises(MisuseError, match="names are made of"):
        write_deck(replace(netlist, tables=(evil,)), RUN)
    with pytest.raises(MisuseError, match="names are made of"):
        write_deck(replace(netlist, node_names=("0", "a\nshell true", "b", "c")), RUN)
    with pytest.raises(MisuseError, match="names are made of"):
        write_deck(replace(netlist, outputs=("b)\n.control",)), RUN)
    with pytest.raises(MisuseError, match="one line"):
        write_deck(replace(netlist, title="x\n.control"), RUN)


def test_dense_design_of_512_nodes_is_written_in_under_a_second() -> None:
    rng = np.random.default_rng(0)
    M = rng.normal(size=(512, 512))
    loaded = program(
        manufacture("integrator", 512, presets.pcb_1k_1n()), LinearProblem(M @ M.T / 512 + np.eye(512), np.ones(512))
    )
    spent = []
    for _ in range(2):  # the better of two: another process may have the machine for a moment
        start = time.perf_counter()
        netlist = loaded.netlist()
        deck = write_deck(netlist, RUN)
        spent.append(time.perf_counter() - start)
    assert netlist.element_count == 512 * 512 + 4 * 512
    assert deck.count("\n") > 512 * 512
    assert min(spent) < 1.0
