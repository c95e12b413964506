"""The same decks in ngspice: signs of all controlled sources, initial conditions, digits, floating capacitors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import expm

from tngd_hw.engines import find_ngspice, ngspice_version
from tngd_hw.engines.spice.process import run_deck
from tngd_hw.engines.spice.raw_file import read_raw
from tngd_hw.netlist import Kind, Netlist, NetlistBuilder, Transient, state_equations, write_deck

pytestmark = pytest.mark.ngspice


def assert_same_transient(netlist: Netlist, stop_s: float, *, tolerance: float = 2e-5) -> None:
    """ngspice's path against expm of the equations (states and forcing together), at ngspice's own times."""
    path = find_ngspice()
    assert path is not None
    deck = write_deck(netlist, Transient(stop_s, stop_s / 1e5, stop_s / 3000))
    run = run_deck(deck, ngspice_version(path), plot="Transient", stop_s=stop_s, timeout_s=60)
    assert run.plot is not None, run.status
    found = run.plot.values[::50]
    equations = state_equations(netlist)
    sde, u = equations.sde, equations.input_values.numpy()
    n = sde.n_states
    augmented = np.zeros((n + 1, n + 1))
    augmented[:n, :n], augmented[:n, n] = sde.F.numpy(), sde.E.numpy() @ u
    start = np.append(equations.initial_state.numpy(), 1.0)
    exact = [sde.C.numpy() @ (expm(augmented * t) @ start)[:n] + sde.D.numpy() @ u for t in found[:, 0].real]
    columns = [run.plot.names.index(f"v({name})") for name in netlist.outputs]
    scale = np.abs(exact).max()
    assert scale > 0.1, "an example in which nothing happens shows nothing"
    assert np.abs(found[:, columns].real - exact).max() < tolerance * scale


def test_rc_with_an_initial_condition() -> None:
    build = NetlistBuilder("rc")
    top, out = build.nodes(["top", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [1.0])
    build.add(Kind.RESISTOR, ["r"], [[top, out]], [1e3])
    build.add(Kind.CAPACITOR, ["c"], [[out, 0]], [1e-9], initial=[-0.5])
    assert_same_transient(build.netlist(["in"], ["out"]), 3e-6)


def test_series_rlc_with_an_initial_current() -> None:
    build = NetlistBuilder("rlc")
    top, mid, out = build.nodes(["top", "mid", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [1.0])
    build.add(Kind.RESISTOR, ["r"], [[top, mid]], [200.0])
    build.add(Kind.INDUCTOR, ["l"], [[mid, out]], [1e-4], initial=[3e-3])
    build.add(Kind.CAPACITOR, ["c"], [[out, 0]], [1e-9], initial=[0.25])
    assert_same_transient(build.netlist(["in"], ["out", "mid"]), 5e-6, tolerance=1e-4)


def test_floating_capacitors_and_a_current_source() -> None:
    build = NetlistBuilder("floating")
    top, left, right = build.nodes(["top", "left", "right"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [2.0])
    build.add(Kind.CAPACITOR, ["a", "b"], [[top, left], [left, right]], [1e-9, 3e-9], initial=[0.5, -0.25])
    build.add(Kind.RESISTOR, ["l", "r"], [[left, 0], [right, 0]], [1e3, 4e3])
    build.add(Kind.CURRENT_SOURCE, ["bias"], [[0, right]], [1e-4])
    assert_same_transient(build.netlist(["in"], ["left", "right"]), 2e-5)


def test_all_controlled_sources_at_once() -> None:
    build = NetlistBuilder("controlled")
    names = ["a", "b", "s", "e", "f", "g", "h", "x"]
    a, b, s, e, f, g, h, x = build.nodes(names)
    build.add(Kind.VOLTAGE_SOURCE, ["in", "sense"], [[a, 0], [s, 0]], [1.0, 0.0])
    build.add(Kind.RESISTOR, ["1", "2"], [[a, b], [b, s]], [1e3, 2e3])
    build.add(Kind.CAPACITOR, ["b"], [[b, 0]], [1e-9], initial=[0.1])
    build.add(Kind.VCVS, ["e"], [[e, 0, b, a]], [3.0])
    build.add(Kind.CCCS, ["f"], [[f, 0]], [2.0], controls=["sense"])
    build.add(Kind.VCCS, ["g"], [[g, x, b, 0]], [1e-3])
    build.add(Kind.CCVS, ["h"], [[h, 0]], [1.5e3], controls=["sense"])
    loads = {"f": (f, 0), "g": (g, 0), "x": (x, 0), "eh": (e, h)}
    build.add(Kind.RESISTOR, [f"l{k}" for k in loads], list(loads.values()), [1e3, 2e3, 3e3, 4e3])
    build.add(Kind.CAPACITOR, ["f", "g", "x"], [[f, 0], [g, 0], [x, 0]], [1e-9, 2e-9, 3e-9])
    assert_same_transient(build.netlist(["in"], names), 2e-5)


def test_cells_of_the_library_and_their_flattened_equations() -> None:
    """The library's text goes to ngspice as it stands; the equations come from our reading of it."""
    build = NetlistBuilder("cells")
    top, s, out, inv, ideal_s, ideal_out, ideal_inv = build.nodes(["top", "s", "out", "inv", "is", "io", "ii"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [0.2])
    build.add(Kind.RESISTOR, ["1", "2", "3", "4"], [[top, s], [out, s], [top, ideal_s], [ideal_out, ideal_s]], 1e3)
    build.add_cells("integrator", ["a"], [[s, out]], cint=2e-9, gain=1e3, gbw=2e7, offset=0.01, ic=0.3)
    build.add_cells("inverter", ["b"], [[out, inv]], rin=1e3, rf=3e3, gain=2e3, gbw=1e7, offset=-0.02, ic=-0.3)
    build.add_cells("integrator_ideal", ["c"], [[ideal_s, ideal_out]], cint=1e-9, ic=-0.2)
    build.add_cells("inverter_ideal", ["d"], [[ideal_out, ideal_inv]], rin=2e3, rf=5e3)
    assert_same_transient(build.netlist(["in"], ["out", "inv", "io", "ii"]), 1e-5, tolerance=1e-4)


def test_values_survive_ngspice_with_all_their_digits(tmp_path: Path) -> None:
    """1 V over R = a random double: the operating point gives R back to 1e-11."""
    values = np.random.default_rng(1).uniform(0.1, 10, 20) * 10.0 ** np.random.default_rng(2).integers(-1, 7, 20)
    build = NetlistBuilder("digits")
    nodes = build.nodes([f"n{i}" for i in range(20)])
    build.add(Kind.CURRENT_SOURCE, [f"i{i}" for i in range(20)], [[0, k] for k in nodes], 1 / values)
    build.add(Kind.VOLTAGE_SOURCE, ["keep"], [[build.nodes(["k"])[0], 0]], [1.0])
    build.add(Kind.RESISTOR, [f"r{i}" for i in range(20)], [[k, 0] for k in nodes], values)
    text = write_deck(build.netlist([], [f"n{i}" for i in range(20)]), Transient(1.0, 1.0, 1.0))
    text = "\n".join(".op" if line.startswith(".tran") else line for line in text.splitlines()) + "\n"
    text = text.replace("vntol=1e-09", "vntol=1e-15 gmin=1e-30")
    (tmp_path / "digits.cir").write_text(text)
    command = ["ngspice", "-b", "-n", "-r", "out.raw", "digits.cir"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    (plot,) = read_raw(tmp_path / "out.raw")
    found = plot.values[0, [plot.names.index(f"v(n{i})") for i in range(20)]].real
    assert np.abs(found - 1).max() < 1e-11
