"""The reader: every card it knows, by hand; every card it refuses, by line; names, suffixes, defaults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tngd_hw import MisuseError
from tngd_hw.netlist import (
    AcSweep,
    Deck,
    Kind,
    NoiseSources,
    NoiseSweep,
    OperatingPoint,
    Shape,
    Spacing,
    SwitchModel,
    Table,
    Transient,
    flatten,
    read_deck,
)


def read(*lines: str) -> Deck:
    return read_deck("\n".join(["a title", *lines, ""]))


def table(deck: Deck, kind: Kind) -> Table:
    found = deck.netlist.table(kind)
    assert found is not None
    return found


def ports(deck: Deck, kind: Kind) -> list[list[str]]:
    return [[deck.netlist.node_names[k] for k in row] for row in table(deck, kind).nodes]


def test_every_element_with_all_it_may_carry() -> None:
    deck = read(
        "R1 In 2 4.7K TEMP=85 noisy = 0", "r2 2 GND r=1meg", "RX 2 0 {1k*2}", "C1 2 0 c='1n+2n' IC = -0.5",
        "L1 2 3 1mH ic=2m", "l2 3 0 2e-3", "K1 L1 L2 .99", "V1 in 0 AC 2 90 DC 5 SIN(0 1 1k)",
        "V2 4 0 pulse 0 1 1u 2u 3u 4u 10u", "I1 0 2 PWL(0,1 1u,2)", "E1 5 0 (2,3) 2.5", "G1 (5 0) 2 3 -1m",
        "F1 5 0 V1 3", "H1 6 0 v1 1k", "S1 6 0 2 0 sm ON", ".model SM SW RON=2 vt=0.5",
        "B1 7 0 I = 1m * Tanh( V(2,3) / {1/4} ) + 2*v(in)",
    )  # fmt: skip
    assert table(deck, Kind.RESISTOR).names == ("1", "2", "x")
    np.testing.assert_allclose(table(deck, Kind.RESISTOR).values, [4700.0, 1e6, 2000.0])
    temperature = table(deck, Kind.RESISTOR).temperature_kelvin
    assert temperature is not None
    np.testing.assert_allclose(temperature, [358.15, np.nan, np.nan], rtol=1e-13)
    noiseless = table(deck, Kind.RESISTOR).noiseless
    assert noiseless is not None
    assert noiseless.tolist() == [True, False, False]
    assert ports(deck, Kind.RESISTOR) == [["in", "2"], ["2", "0"], ["2", "0"]]
    assert table(deck, Kind.CAPACITOR).values[0] == pytest.approx(3e-9)
    initial = table(deck, Kind.INDUCTOR).initial
    assert initial is not None
    assert initial.tolist() == [2e-3, 0.0]
    coupling = table(deck, Kind.COUPLING)
    assert (coupling.controls, coupling.partners, coupling.values.tolist()) == (("1",), ("2",), [0.99])
    source = table(deck, Kind.VOLTAGE_SOURCE)
    assert source.values.tolist() == [5.0, 0.0]
    assert source.ac is not None
    np.testing.assert_allclose(source.ac, [2j, 0], atol=1e-15)
    assert [w.shape if w else None for w in source.waveforms] == [Shape.SIN, Shape.PULSE]
    current = table(deck, Kind.CURRENT_SOURCE)
    assert current.values.tolist() == [1.0], "a source without a DC value has its waveform's at t = 0"
    assert current.waveforms[0] is not None
    assert current.waveforms[0].numbers == (0.0, 1.0, 1e-6, 2.0)
    assert ports(deck, Kind.VCVS) == [["5", "0", "2", "3"]]
    assert ports(deck, Kind.VCCS) == [["5", "0", "2", "3"]]
    assert table(deck, Kind.VCCS).values.tolist() == [-1e-3]
    assert table(deck, Kind.CCCS).controls == ("1",)
    assert table(deck, Kind.CCVS).values.tolist() == [1000.0]
    assert table(deck, Kind.SWITCH).switches == (SwitchModel(2.0, 1e12, 0.5, 0.0, starts_on=True),)
    assert table(deck, Kind.BEHAVIORAL).expressions == ("i=0.001*tanh(v(2,3)/(1.0/4.0))+2.0*v(in)",)


def test_lines_comments_and_case() -> None:
    deck = read_deck(
        "* The Title\r\nr1 a\t0 ; c\r\n* between\r\n\r\n+ 1K $ comment\r\n  R2 a 0 2k // comment\r\n"
        "R3 a 0 3k ;*# not a command here\r\n.END\r\n* after"
    )
    assert deck.title == "The Title"
    assert table(deck, Kind.RESISTOR).values.tolist() == [1e3, 2e3, 3e3]


def test_suffixes_milli_mega_mil() -> None:
    values = table(read("r1 a 0 1M", "r2 a 0 1MEG", "r3 a 0 1Mil", "r4 a 0 1mohm", "r5 a 0 2A"), Kind.RESISTOR).values
    np.testing.assert_allclose(values, [1e-3, 1e6, 25.4e-6, 1e-3, 2.0])


def test_analyses_temperature_options_and_outputs() -> None:
    deck = read(
        "v1 in 0 1", "r1 in a 1", "i1 a 0 0", ".tran 1n 1u", ".tran 1n 1u 0.5u 2n uic", ".op", ".ac LIN 5 1 10k",
        ".noise V( a , in ) V1 oct 3 1 1meg 1", ".temp -40", ".options RELTOL=1e-5 noacct", ".print ac vdb(a) i(v1)",
        ".save v(in) @r1[i]",
    )  # fmt: skip
    assert deck.analyses == (
        Transient(1e-6, 1e-9, 1e-9, 1e-5, 1e-6, False, False),
        Transient(1e-6, 1e-9, 2e-9, 1e-5, 1e-6, False, True, 0.5e-6),
        OperatingPoint(),
        AcSweep(5, 1.0, 1e4, Spacing.LINEAR),
        NoiseSweep("a", "v1", 3, 1.0, 1e6, "in", Spacing.OCTAVE, NoiseSources.ALL),
    )
    assert deck.netlist.temperature_kelvin == pytest.approx(233.15)
    assert deck.options == {"reltol": "1e-5", "noacct": ""}
    assert deck.netlist.outputs == ("a", "in")
    assert deck.standalone


def test_sources_that_share_a_name_keep_their_letter() -> None:
    deck = read("v1 a 0 1", "i1 0 a 2", "v2 b 0 3")
    assert deck.netlist.inputs == ("v1", "2", "i1")
    assert deck.netlist.source("i1") == (Kind.CURRENT_SOURCE, 0)
    assert deck.netlist.source("2") == (Kind.VOLTAGE_SOURCE, 1)
    with pytest.raises(MisuseError, match="'1' means 2 sources"):
        deck.netlist.source("1")


def test_names_of_other_peoples_decks_are_mapped_and_kept_apart() -> None:
    deck = read("r1 in+ net:a#1 1", "r2 net:a#1 out- 2", ".save v(in+)")
    assert deck.netlist.node_names == ("0", "inp", "net_a_1", "outm")
    assert deck.renamed == {"inp": "in+", "net_a_1": "net:a#1", "outm": "out-"}
    assert deck.netlist.outputs == ("inp",)
    with pytest.raises(MisuseError, match=r"line 3: the names 'a:b' and 'a_b' both become 'a_b'"):
        read("r1 a:b 0 1", "r2 a_b 0 1")


def test_parameters_in_any_order_and_in_cells() -> None:
    """Global, local and given parameters; a local one shadows the global of its name."""
    deck = read(
        "x1 a u P = {g*2}", "x2 a u", ".subckt u n params: p=3 q={p*g}", "r1 n 0 {p}", "r2 n 0 'q+h+w'", "r3 n 0 p",
        ".param w={h*10}", ".ends u", ".param h = 'g+1' g=7",
    )  # fmt: skip
    flat = flatten(deck.netlist)
    resistors = flat.table(Kind.RESISTOR)
    assert resistors is not None
    found = dict(zip(resistors.names, resistors.values.tolist(), strict=True))
    assert found == {
        "1.1": 14.0, "2.1": 3.0, "1.2": 98.0 + 8 + 80, "2.2": 21.0 + 8 + 80, "1.3": 14.0, "2.3": 3.0,
    }  # fmt: skip


def test_cells_carry_every_kind_with_nodes_and_names_of_their_own() -> None:
    deck = read(
        ".subckt all a b gain=2", "v1 m 0 dc 1 ac {gain} 90 pwl(0 0 1u {gain})", "l1 a m 1m", "l2 b 0 1m ic={gain/2}",
        "k1 l1 l2 {gain/4}", ".model sw sw(ron=1 roff=1meg)", "s1 a b m 0 sw", "b1 a 0 v=gain*v(m,b)+v(a)",
        "f1 a b v1 {gain}", "r1 a b 1k dtemp={gain} noisy=0", "x1 m m inner", ".ends", ".subckt inner p q", "r9 p q 5",
        "r8 p z 6", "r7 z 0 1", ".ends", "xa in out all gain=3", "xb out 0 all",
    )  # fmt: skip
    flat = flatten(deck.netlist)
    source, behavior, coupling, resistors = (
        flat.table(k) for k in (Kind.VOLTAGE_SOURCE, Kind.BEHAVIORAL, Kind.COUPLING, Kind.RESISTOR)
    )
    assert source is not None
    assert behavior is not None
    assert coupling is not None
    assert resistors is not None
    assert source.ac is not None
    np.testing.assert_allclose(source.ac, [3j, 2j], atol=1e-14)
    assert [w.numbers for w in source.waveforms if w] == [(0, 0, 1e-6, 3), (0, 0, 1e-6, 2)]
    assert behavior.expressions == ("v=(3.0)*v(a.m,out)+v(in)", "v=(2.0)*v(b.m,0)+v(out)")
    assert (coupling.controls, coupling.partners) == (("a.1", "b.1"), ("a.2", "b.2"))
    assert coupling.values.tolist() == [0.75, 0.5]
    assert set(flat.node_names) == {"0", "in", "out", "a.m", "b.m", "a.1.z", "b.1.z"}
    kelvin = dict(zip(resistors.names, resistors.temperature_kelvin, strict=True))  # type: ignore[arg-type] - it is there
    assert kelvin["a.1"] == pytest.approx(303.15)


def test_ic_with_uic_starts_capacitors_at_the_difference_of_their_nodes() -> None:
    deck = read("c1 a b 1n", "c2 b 0 1n ic=9", "c3 0 a 1n", "r1 a 0 1", ".ic V(a)=2 v(b) = 0.5", ".tran 1n 1u uic")
    initial = table(deck, Kind.CAPACITOR).initial
    assert initial is not None
    assert initial.tolist() == [1.5, 9.0, -2.0]
    with pytest.raises(MisuseError, match=r"line 3: \.ic without uic"):
        read("c1 a 0 1n", ".ic v(a)=1", ".tran 1n 1u")
    with pytest.raises(MisuseError, match="give ic= on the capacitors of 'u'"):
        read(".subckt u n", "c1 n 0 1n", ".ends", "x1 a u", ".ic v(a)=1", ".tran 1n 1u uic")


HARMFUL = [
    ".control",
    ".endc",
    ".include /etc/passwd",
    ".inc x",
    ".lib x y",
    ".csparam a=1",
    ".osdi x.osdi",
    ".func f(x)={x}",
    "*#shell touch x",
    "  *# shell x",
    "* #source x",
    "*ng_script",
    ".global a",
    ".if (1)",
    ".meas tran x max v(a)",
    ".dc v1 0 1 1",
    ".save v(`id`)",
    "r2 a 0 `id`",
    "r2 a 0 $HOME",
    'r2 a 0 "1"',
    "r2 a 0 1\\",
    "r2 a 0 !1",
    "a1 a b filesrc",
    '.model filesrc filesource (file="x")',
    "d1 a 0 dmod",
    "q1 a b c m",
    "m1 a b c d m",
    "j1 a b c m",
    "t1 a 0 b 0 z0=50",
    "w1 a 0 v1 m",
    "n1 a b m",
    "y1 a b",
    "v2 a 0 pwl file=x",
    "b2 a 0 v=v(a)^2",
    "b2 a 0 v=sin(v(a))",
    "b2 a 0 v=i(v1)",
    "b2 a 0 v=time",
    "codemodel x.cm",
    "shell x",
    "echo x > y",
    ".model m npn",
    "r2 a 0 1 tc=1",
    "c2 a 0 1n m=2",
    "r2 a 0 rmod",
    ".model rmod r (rsh=1)",
    "v2 a 0 trnoise(1 1 0 0)",
    "e2 a 0 poly(1) b 0 1 2",
    "e2 a 0 POLY (2) b 0 a 0 1 2 3",
    "g2 a 0 value={v(b)}",
    "e2 a 0 table {v(b)}=(1 2)",
    "e2 a 0 vol='v(b)'",
    "f2 a 0 poly(1) v1 0 1",
    "k1 l1 l2 l3 0.5",
    "x1 a b nothere",
    "r2 a 0 {q}",
    "r1 b 0 2",
    "r2 a 0 0",
    "c2 a 0 0",
    "k1 la lb 0.5",
    "f2 a 0 vnone 2",
    ".options rshunt=1",
    ".options scale=2",
    ".param a={a}",
    ".param b={c} c={b}",
    ".temp 1 2",
    ".ic v(a)",
    ".ac dec 1.5 1 2",
    ".noise v(zz) v1 dec 1 1 2",
    ".noise v(a) r1 dec 1 1 2",
    ".save v(zz)",
    ".print tran v(zz)",
    ".ends",
    ".subckt u a a",
    ".subckt u 0",
    "r2 a 0 é",
    "b2 a 0 v=v(zz)",
    ".tran 1n",
    "r2 a 0 {1 1}",
    "b2 a 0 v=1 1*v(a)",
    "r2 a 0 '1 1'",
    "r2 @r1 0 1",
    "r2 a 0 {1",
    "r2 a 0 1}",
    "r2 a 0 {{1}}",
    "+ 1",
    "s2 a 0 a 0 nomodel",
    "r 1 0 1",
    ".backanno",
    ".probe v(a)",
]


@pytest.mark.parametrize("card", HARMFUL)
def test_what_is_refused_is_refused_by_file_and_line(card: str, tmp_path: Path) -> None:
    path = tmp_path / "other.cir"
    path.write_text("a title\n* a comment\nv1 a 0 1\nr1 a\n+ 0 1k\n" + card + "\n", encoding="utf-8")
    with pytest.raises(MisuseError, match=r"^other\.cir, line [46]: \S"):
        read_deck(path)


@pytest.mark.parametrize(
    "first", ["*ng_script", "*#shell x", ".control", "  .include x", "*NG_SCRIPT_with_params", "a\x00"]
)
def test_a_command_cannot_be_the_title(first: str) -> None:
    with pytest.raises(MisuseError, match=r"deck, line 1: |control characters"):
        read_deck(f"{first}\nr1 a 0 1\n")


def test_no_file_but_the_deck_is_opened(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="cannot be read"):
        read_deck(tmp_path / "missing.cir")
    with pytest.raises(MisuseError, match="cannot be read"):
        read_deck("r1 a 0 1")
    with pytest.raises(MisuseError, match="cannot be read"):
        read_deck(tmp_path)


def test_comments_in_latin_1_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "old.cir"
    path.write_bytes(
        "10 \xb5F filter\n* 1 k\u2126\nr1 a 0 1k ; \xb5\n".encode("utf-8").replace("\u2126".encode(), b"\xd9")
    )
    assert read_deck(path).netlist.element_count == 1


def test_cells_that_contain_themselves_or_too_much_are_refused() -> None:
    with pytest.raises(MisuseError, match="subcircuit 'a' contains itself"):
        read(".subckt a n", "x1 n b", ".ends", ".subckt b n", "x1 n a", ".ends", "x1 1 a")
    levels = [
        line for k in range(1, 12) for line in (f".subckt s{k} n", *(f"x{i} n s{k - 1}" for i in range(10)), ".ends")
    ]
    deck = read(".subckt s0 n", "r1 n 0 1", ".ends", *levels, "x1 a s11")
    with pytest.raises(MisuseError, match="100000000000 elements"):
        flatten(deck.netlist)


def test_instances_of_one_cell_may_give_different_parameters() -> None:
    deck = read(".subckt u n p=1 q={p*2}", "r1 n 0 {p}", "r2 n 0 {q}", ".ends", "x1 a u p=5", "x2 a u q=7")
    flat = flatten(deck.netlist).table(Kind.RESISTOR)
    assert flat is not None
    assert flat.values.tolist() == [5.0, 1.0, 10.0, 7.0]
