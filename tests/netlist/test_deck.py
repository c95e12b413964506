"""The text of a deck: what is in it, what cannot get into it, and how long it takes to write."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ngspice_runs import plots
from scipy.linalg import solve_continuous_lyapunov

from tngd_hw import LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.netlist import (
    AcSweep,
    Kind,
    Netlist,
    NetlistBuilder,
    NoiseSources,
    NoiseSweep,
    OperatingPoint,
    Transient,
    read_deck,
    write_deck,
)

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


def test_the_text_of_a_cell_is_that_of_its_elements() -> None:
    netlist = small()
    cell = netlist.cells["inverter_ideal"]
    for text in (
        cell.text.replace(".ends", "*#shell true\n.ends"),
        cell.text + ".control\nshell true\n.endc\n",
        cell.text.replace("{rin}", "1k"),
        ".include /etc/passwd\n" + cell.text,
    ):
        with pytest.raises(MisuseError, match=r"cell 'inverter_ideal'"):
            write_deck(replace(netlist, cells={"inverter_ideal": replace(cell, text=text)}), RUN)


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
    for _ in range(2):  # the better of two, in processor time: other processes may have the machine
        start = time.process_time()
        netlist = loaded.netlist()
        deck = write_deck(netlist, RUN)
        spent.append(time.process_time() - start)
    assert netlist.element_count == 512 * 512 + 4 * 512
    assert deck.count("\n") > 512 * 512
    assert min(spent) < 1.0


def noisy() -> Netlist:
    """Two coupled RC nodes with injected noise of different strength, and a cell with resistors of its own."""
    build = NetlistBuilder("noisy")
    a, b, c = build.nodes(["a", "b", "c"])
    build.add(Kind.RESISTOR, ["a", "b", "ab"], [[a, 0], [b, 0], [a, b]], [1e3, 2e3, 5e3])
    build.add(Kind.CAPACITOR, ["a", "b"], [[a, 0], [b, 0]], [1e-9, 2e-9])
    build.add(Kind.CURRENT_SOURCE, ["a", "b"], [[0, a], [b, 0]], 0.0, noise_psd=[1e-18, 4e-18])
    build.add_cells("inverter", ["x"], [[b, c]], rin=10e3, rf=10e3)
    return build.netlist(["a"], ["a", "b"])


SWEEP = NoiseSweep("a", "a", 40, 1.0, 1e9)


def test_noise_cards() -> None:
    cards = write_deck(noisy(), SWEEP).splitlines()
    assert "xnoise_a 0 a white_noise psd=1e-18" in cards
    assert "xnoise_b b 0 white_noise psd=4e-18" in cards
    assert "ra a 0 1000.0 noisy=0" in cards
    assert "rin in sum {rin} noisy=0" in cards
    assert "rnoise n 0 1k" in cards
    assert "ia 0 a dc 0.0 ac 1.0 0.0" in cards, "ngspice wants an AC amplitude at the source"
    assert ".noise v(a) ia dec 40 1.0 1000000000.0" in cards
    everything = write_deck(noisy(), replace(SWEEP, sources=NoiseSources.ALL))
    assert [line for line in everything.splitlines() if "noisy=0" in line] == ["rpole pole 0 1k noisy=0"]
    assert "white_noise" in everything
    assert "white_noise" not in write_deck(noisy(), RUN), "a .tran deck is the noiseless circuit"


def test_noise_densities_come_back_with_the_deck() -> None:
    table = read_deck(write_deck(noisy(), SWEEP)).netlist.table(Kind.CURRENT_SOURCE)
    assert table is not None
    assert table.noise_psd is not None
    assert table.noise_psd.tolist() == [1e-18, 4e-18]


@pytest.mark.ngspice
@pytest.mark.parametrize("kelvin", [300.15, 400.0])
@pytest.mark.parametrize("sources", NoiseSources)
def test_integrated_noise_is_the_lyapunov_variance(sources: NoiseSources, kelvin: float) -> None:
    """C dv = -G v dt + noise: F S + S F^T + Q = 0 by hand for the two RC nodes; the inverter only loads node b."""
    netlist = replace(noisy(), temperature_kelvin=kelvin)
    C, G = np.diag([1e-9, 2e-9]), np.array([[1e-3 + 2e-4, -2e-4], [-2e-4, 5e-4 + 2e-4 + 1e-4]])
    psd = np.diag([1e-18, 4e-18]) * sources.has_injected
    if sources.has_thermal:
        psd = psd + 4 * 1.380649e-23 * kelvin * G
    F = -np.linalg.solve(C, G)
    Q = np.linalg.inv(C) @ (psd / 2) @ np.linalg.inv(C)
    S = solve_continuous_lyapunov(F, -Q)
    for node, expected in (("a", S[0, 0]), ("b", S[1, 1])):
        found = plots(write_deck(netlist, replace(SWEEP, output=node, sources=sources)))["total"]
        total = found.values[0, [name.startswith("v(onoise_total") for name in found.names].index(True)].real
        assert total**2 == pytest.approx(expected, rel=2e-3), node


@pytest.mark.ngspice
def test_a_resistors_own_temperature_is_in_ngspices_noise() -> None:
    """dtemp: at 27 + 50 C the density of 1 kohm is 4 k T R; temp= would be left out by ngspice 39."""
    build = NetlistBuilder("warm")
    (a,) = build.nodes(["a"])
    build.add(Kind.RESISTOR, ["r"], [[a, 0]], [1e3], temperature_kelvin=[350.15])
    build.add(Kind.CURRENT_SOURCE, ["i"], [[0, a]], [0.0])
    text = write_deck(build.netlist([], ["a"]), NoiseSweep("a", "i", 1, 1.0, 10.0, sources=NoiseSources.ALL))
    plot = plots(text)["noise"]
    density = plot.values[0, plot.names.index("onoise_spectrum")].real ** 2
    assert density == pytest.approx(4 * 1.380649e-23 * 350.15 * 1e3, rel=1e-6)


@pytest.mark.ngspice
def test_all_analyses_in_one_deck_and_printed_without_a_raw_file(tmp_path: Path) -> None:
    analyses = (OperatingPoint(), AcSweep(5, 1.0, 1e6), SWEEP, RUN)
    assert plots(write_deck(noisy(), *analyses)).keys() == {"op", "ac", "noise", "total", "tran"}
    (tmp_path / "deck.cir").write_text(write_deck(noisy(), *analyses, standalone=True))
    command = ["ngspice", "-b", "-n", "deck.cir"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    for header in ("AC Analysis", "Transient Analysis", "onoise_spectrum"):
        assert header in done.stdout


BANDS = [(1, 1e3, 5e3, 1), (10, 1e3, 1e3, 1), (10, 1e3, 1.2e3, 1), (3, 1.0, 10 ** (1 / 3) * (1 - 1e-7), 2),
         (7, 2.0, 2 * 10 ** (1 / 7), 2), (10, 1.0, 10.0, 11)]  # fmt: skip


@pytest.mark.parametrize(("points", "start", "stop", "count"), BANDS)
@pytest.mark.ngspice
def test_every_band_ends(points: int, start: float, stop: float, count: int) -> None:
    """Less than one step of dec: ngspice 39 would never end; what is written is the same when it is written again."""
    text = write_deck(small(), AcSweep(points, start, stop))
    assert write_deck(read_deck(text).netlist, *read_deck(text).analyses).splitlines()[1:] == text.splitlines()[1:]
    found = plots(text)["ac"].values[:, 0].real
    assert found[0] == pytest.approx(start, rel=1e-9)
    assert len(found) == count
    expected = start * 10 ** (np.arange(count) / points)
    assert count > 2 or found == pytest.approx(expected, rel=1e-9)


def test_analyses_that_cannot_share_a_deck_are_refused() -> None:
    with pytest.raises(MisuseError, match="sources differ"):
        write_deck(noisy(), SWEEP, replace(SWEEP, sources=NoiseSources.ALL))
    with pytest.raises(MisuseError, match="Transients of one deck differ"):
        write_deck(noisy(), RUN, replace(RUN, use_klu=True))
    with pytest.raises(MisuseError, match="'q' is not a node"):
        write_deck(noisy(), replace(SWEEP, output="q"))
    with pytest.raises(MisuseError, match="'q' means 0 sources"):
        write_deck(noisy(), replace(SWEEP, source="q"))
    assert " klu" not in write_deck(noisy(), SWEEP, replace(RUN, use_klu=True)), "KLU has no .noise"


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: AcSweep(0, 1.0, 2.0), "AcSweep.points_per_decade"),
        (lambda: AcSweep(True, 1.0, 2.0), "AcSweep.points_per_decade"),
        (lambda: AcSweep(10, 0.0, 2.0), "AcSweep.start_hz"),
        (lambda: NoiseSweep("a", "b", 10, 3.0, 2.0), "NoiseSweep.stop_hz"),
        (lambda: replace(RUN, start_s=1.0), "Transient.start_s"),
    ],
)
def test_sweeps_refuse_numbers_that_cannot_be(make: Callable[[], object], field: str) -> None:
    with pytest.raises(MisuseError, match=field):
        make()
