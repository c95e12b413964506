"""PySpice circuits of our netlists and back: the same elements, the same operating point in ngspice."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ngspice_runs import plots

from tngd_hw import MisuseError
from tngd_hw.netlist import (
    AcSweep,
    Kind,
    Netlist,
    NetlistBuilder,
    OperatingPoint,
    Shape,
    SwitchModel,
    Transient,
    Waveform,
    from_pyspice,
    read_deck,
    to_pyspice,
    write_deck,
)

DECKS = sorted((Path(__file__).parent / "decks").glob("*.cir"))

BRIDGE = """Unbalanced bridge, a subcircuit across it, all four controlled sources
.subckt load p n rload=3k k=2
rl p m {rload}
vm m n 0
fm 0 p vm {k/10}
.ends
vex top 0 dc 3.3 ac 1 0
vs sink 0 dc 0.01
r1 top a 1k
r2 a 0 2.2k
r3 top b 1.5k noisy=0
r4 b sink 470 dtemp=20
x1 a b load k=1.5
x2 b 0 load rload=10k k=0.5
e1 e 0 a b 3.5
g1 0 g a 0 1.1m
f1 0 f vs 2.5
h1 h 0 vs 1.7k
rg g 0 2k
rf f 0 3k
re e h 4k
c1 g 0 3n ic=0.5
l1 f p 1m ic=1m
l2 p 0 2m
k1 l1 l2 0.4
s1 b q a 0 sw0 on
.model sw0 sw(ron=12.0 roff=1e7 vt=0.5 vh=0.1)
b1 q 0 i=1e-3*tanh(v(a,b)/0.3)
i1 0 q pulse(1m 2m 1u 1u 2u 3u 10u) dc 1m ac 2 30
i2 0 q exp(0.1m 3m 1u 2u 3u 4u)
v3 w 0 pwl(0 0.25 1u 1 3u -2) dc 0.25
v4 z 0 sin(0.1 2 1k 1u 100) dc 0.1
rw w z 1k
.end
"""


@pytest.fixture(scope="module", autouse=True)
def _pyspice() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("PySpice", reason="PySpice is not installed")


def operating_point(text: str, nodes: tuple[str, ...]) -> np.ndarray:
    plot = plots(text)["op"]
    return plot.values[0, [plot.names.index(f"v({node})") for node in nodes]].real


@pytest.mark.ngspice
@pytest.mark.parametrize(
    "text", [BRIDGE, *[path.read_text() for path in DECKS]], ids=["bridge", *[p.stem for p in DECKS]]
)
def test_three_ways_to_the_same_operating_point(text: str) -> None:
    """PySpice's own text, ours, and ours of what came back from PySpice, each through ngspice."""
    netlist = replace(read_deck(text).netlist, temperature_kelvin=300.15, outputs=())
    circuit = to_pyspice(netlist)
    nodes = netlist.node_names[1:]
    ours = operating_point(write_deck(netlist, OperatingPoint()), nodes)
    theirs = operating_point(f"{circuit}\n.options reltol=1e-6\n.op\n.end\n", nodes)
    back = operating_point(write_deck(from_pyspice(circuit), OperatingPoint()), nodes)
    scale = np.abs(ours).max()
    assert scale > 0.01
    assert np.abs(theirs - ours).max() < 1e-9 * scale
    assert np.abs(back - ours).max() < 1e-9 * scale


@pytest.mark.ngspice
def test_the_sources_waveforms_and_amplitudes_are_the_same_in_ngspice() -> None:
    netlist = read_deck(BRIDGE).netlist
    tail = ".options reltol=1e-6\n.ac dec 5 1k 1meg\n.tran 0.1u 12u 0 0.1u\n.end\n"
    theirs = plots(f"{to_pyspice(netlist)}\n{tail}")
    ours = plots(write_deck(netlist, AcSweep(5, 1e3, 1e6), Transient(12e-6, 1e-7, 1e-7, uic=False)))
    for kind in ("ac", "tran"):
        for node in ("q", "h") if kind == "ac" else ("q", "w", "z"):
            a, b = (p[kind].values[:, p[kind].names.index(f"v({node})")] for p in (theirs, ours))
            if kind == "tran":
                grid = np.linspace(0, 12e-6, 60)
                a, b = (np.interp(grid, p[kind].values[:, 0].real, v.real) for p, v in ((theirs, a), (ours, b)))
            assert np.abs(b).max() > 1e-3, (kind, node)
            assert np.abs(a - b).max() < 1e-5 * np.abs(b).max(), (kind, node)


def test_elements_are_pyspices_own_classes() -> None:
    circuit = to_pyspice(read_deck(BRIDGE).netlist)
    classes = {str(e.name): type(e).__name__ for e in circuit.elements}
    assert classes["R1"] == "Resistor"
    assert classes["K1"] == "CoupledInductor"
    assert classes["I1"] == "PulseCurrentSource"
    assert classes["I2"] == "ExponentialCurrentSource"
    assert classes["V3"] == "PieceWiseLinearVoltageSource"
    assert classes["V4"] == "SinusoidalVoltageSource"
    assert classes["X1"] == "SubCircuitElement"
    assert classes["S1"] == "VoltageControlledSwitch"
    assert classes["G1"] == "VoltageControlledCurrentSource"


def test_there_and_back_keeps_every_value() -> None:
    netlist = read_deck(BRIDGE).netlist
    back = replace(from_pyspice(to_pyspice(netlist)), outputs=netlist.outputs)
    assert write_deck(back, OperatingPoint()) == write_deck(netlist, OperatingPoint())


def test_library_cells_go_through_as_subcircuits() -> None:
    build = NetlistBuilder("cells")
    s, out, inv = build.nodes(["s", "out", "inv"])
    build.add(Kind.RESISTOR, ["1"], [[s, 0]], [1e3])
    build.add_cells("integrator", ["a"], [[s, out]], gain=1e3)
    build.add_cells("inverter", ["b"], [[out, inv]], rf=2e3)
    netlist = build.netlist([], ["out"])
    assert dict(from_pyspice(to_pyspice(netlist)).cells) == dict(netlist.cells)


def one(kind: Kind, **columns: object) -> Netlist:
    build = NetlistBuilder("one")
    (a,) = build.nodes(["a"])
    build.add(Kind.RESISTOR, ["r"], [[a, 0]], [1.0])
    build.add(kind, ["x"], [[a, 0]], [1.0], **columns)
    return build.netlist([], ["a"])


def test_what_pyspice_cannot_say_is_refused_by_element() -> None:
    with pytest.raises(MisuseError, match="element Ix: noise_psd"):
        to_pyspice(one(Kind.CURRENT_SOURCE, noise_psd=[1e-20]))
    wave = Waveform(Shape.SIN, (0.0, 1.0, 1e3, 0.0, 0.0, 30.0))
    with pytest.raises(MisuseError, match="element Vx: a SIN source of PySpice has no phase"):
        to_pyspice(one(Kind.VOLTAGE_SOURCE, waveforms=[wave]))
    with pytest.raises(MisuseError, match="temperature_kelvin = 77"):
        to_pyspice(replace(one(Kind.CURRENT_SOURCE), temperature_kelvin=77.0))


def test_circuits_that_could_do_harm_or_hold_other_devices_are_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from PySpice.Spice.Netlist import Circuit
    circuit = Circuit("x")
    circuit.include(tmp_path / "other.cir")
    with pytest.raises(MisuseError, match=r"\.include is refused"):
        from_pyspice(circuit)
    circuit = Circuit("x")
    circuit.D("1", "a", "0", model="d")
    with pytest.raises(MisuseError, match="no element D"):
        from_pyspice(circuit)
    circuit = Circuit("x\n.control\nshell true\n.endc")
    with pytest.raises(MisuseError, match=r"\.control is refused"):
        from_pyspice(circuit)


def test_switch_keeps_its_model() -> None:
    build = NetlistBuilder("switch")
    a, b = build.nodes(["a", "b"])
    model = SwitchModel(3.0, 1e9, 0.25, 0.125, starts_on=True)
    build.add(Kind.SWITCH, ["1"], [[a, 0, b, 0]], [3.0], switches=[model])
    table = from_pyspice(to_pyspice(build.netlist([], ["a"]))).table(Kind.SWITCH)
    assert table is not None
    assert table.switches == (model,)


def test_without_pyspice_the_remedy_is_named() -> None:
    code = (
        "import sys; sys.modules['PySpice'] = None\n"
        "from tngd_hw import MisuseError\n"
        "from tngd_hw.netlist import NetlistBuilder, to_pyspice\n"
        "try: to_pyspice(NetlistBuilder('x').netlist([], []))\n"
        "except MisuseError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'tngd-hw[pyspice]'" in done.stdout


def test_only_two_files_import_pyspice() -> None:
    package = Path(__file__).parents[2] / "tngd_hw"
    found = [path for path in package.rglob("*.py") if "PySpice.Spice" in path.read_text()]
    assert sorted(str(path.relative_to(package)) for path in found) == [
        "engines/pyspice_worker.py",
        "netlist/pyspice.py",
    ]
