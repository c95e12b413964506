"""Transfer functions, operating points and poles: by hand, and ngspice's on top."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from cases import spd_matrix

from tngd_hw import LinearProblem, MisuseError, Netlist, manufacture, presets, program
from tngd_hw.engines.decks.result import DeckEngine
from tngd_hw.engines.frequency import operating_points, poles, transfer_functions
from tngd_hw.netlist import Kind, NetlistBuilder
from tngd_hw.topologies import LoadedChip

R, L, C = 50.0, 1e-3, 1e-9


def series_circuit() -> Netlist:
    """Source, resistor and coil in series into a capacitor; a second, current input at the output."""
    build = NetlistBuilder("series circuit")
    top, mid, out = build.nodes(["top", "mid", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [2.0])
    build.add(Kind.RESISTOR, ["s"], [[top, mid]], [R])
    build.add(Kind.INDUCTOR, ["s"], [[mid, out]], [L])
    build.add(Kind.CAPACITOR, ["o"], [[out, 0]], [C])
    build.add(Kind.CURRENT_SOURCE, ["b"], [[0, out]], [1e-3])
    return build.netlist(inputs=["in", "b"], outputs=["out", "mid"])


def chip(topology: str = "integrator", n: int = 4) -> LoadedChip:
    A = spd_matrix(n, seed=n, condition=30.0)
    b = np.random.default_rng(n).normal(size=n)
    return program(manufacture(topology, n, presets.pcb_1k_1n(), seed=1), LinearProblem(A, b))


def gain(data: xarray.Dataset) -> np.ndarray:
    return data["transfer_real"].values + 1j * data["transfer_imag"].values


def test_transfer_by_hand() -> None:
    hertz = np.array([1.0, 1e4, 1.6e5, 3e6])
    found = transfer_functions(series_circuit(), frequency_hz=hertz)
    s = 2j * math.pi * hertz
    below = 1 / (1 + s * R * C + s**2 * L * C)
    expected = np.empty((4, 2, 2), dtype=complex)  # node, input
    expected[:, 0, 0], expected[:, 0, 1] = below, (R + s * L) * below
    expected[:, 1, 0], expected[:, 1, 1] = (1 + s**2 * L * C) * below, R * below
    np.testing.assert_allclose(gain(found), expected, rtol=1e-10)
    assert found["transfer_real"].dims == ("frequency_hz", "node", "input")
    assert dict(zip(found["input"].values, found["input_unit"].values, strict=True)) == {"in": "V", "b": "A"}
    assert found["frequency_hz"].attrs["units"] == "Hz"


def test_an_input_that_acts_by_its_derivative() -> None:
    """A current source in series with a coil: v = L di/dt."""
    build = NetlistBuilder("coil")
    (a, b) = build.nodes(["a", "b"])
    build.add(Kind.CURRENT_SOURCE, ["i"], [[0, a]], [0.0])
    build.add(Kind.INDUCTOR, ["l"], [[a, b]], [L])
    build.add(Kind.RESISTOR, ["r"], [[b, 0]], [R])
    build.add(Kind.CAPACITOR, ["c"], [[b, 0]], [C])
    hertz = np.array([10.0, 1e6])
    found = transfer_functions(build.netlist(inputs=["i"], outputs=["a"]), frequency_hz=hertz)
    s = 2j * math.pi * hertz
    np.testing.assert_allclose(gain(found)[:, 0, 0], s * L + R / (1 + s * R * C), rtol=1e-10)


@pytest.mark.ngspice
@pytest.mark.parametrize("circuit", [series_circuit(), chip(), chip("gm_c")], ids=["series", "integrator", "gm_c"])
def test_ngspice_sweeps_the_same_curves(circuit: LoadedChip | Netlist) -> None:
    exact, found = transfer_functions(circuit), transfer_functions(circuit, DeckEngine.NGSPICE, workers=2)
    assert exact["transfer_real"].shape == found["transfer_real"].shape
    np.testing.assert_allclose(found["frequency_hz"], exact["frequency_hz"], rtol=1e-9)
    assert np.abs(gain(exact) - gain(found)).max() < 1e-9 * np.abs(gain(exact)).max()
    assert np.abs(gain(exact) - 1.001 * gain(found)).max() > 1e-4 * np.abs(gain(exact)).max()
    assert (exact.attrs["engine"], found.attrs["engine"]) == ("state_space", "ngspice")


@pytest.mark.ngspice
def test_a_band_of_ones_own_is_compared_at_ngspices_frequencies() -> None:
    found = transfer_functions(series_circuit(), DeckEngine.NGSPICE, start_hz=3e4, stop_hz=7e5)
    assert float(found["frequency_hz"][0]) == pytest.approx(3e4)
    exact = transfer_functions(series_circuit(), frequency_hz=found["frequency_hz"].values)
    assert np.abs(gain(exact) - gain(found)).max() < 1e-9 * np.abs(gain(exact)).max()


@pytest.mark.parametrize(
    "engine", [DeckEngine.STATE_SPACE, pytest.param(DeckEngine.NGSPICE, marks=pytest.mark.ngspice)]
)
def test_operating_point_by_hand(engine: DeckEngine) -> None:
    """2 V in, 1 mA into the output: it flows back through the coil and the resistor into the source."""
    found = operating_points(series_circuit(), engine)
    assert float(found["voltage_volt"].sel(node="out")) == pytest.approx(2.0 + 1e-3 * R, rel=1e-9)
    assert float(found["current_ampere"].sel(branch="vin")) == pytest.approx(1e-3, rel=1e-9)
    assert float(found["current_ampere"].sel(branch="ls")) == pytest.approx(-1e-3, rel=1e-9)
    assert found["current_ampere"].attrs["units"] == "A"


@pytest.mark.ngspice
def test_a_chip_rests_at_its_answer_in_both() -> None:
    loaded = chip()
    exact, found = (operating_points(loaded, engine)["voltage_volt"] for engine in DeckEngine)
    assert float(np.abs(exact - found).max()) < 1e-9 * float(np.abs(exact).max())
    assert bool(np.isfinite(found).all())
    x = loaded.unknowns(torch.tensor(exact.sel(node=[f"out{i}" for i in range(4)]).values)).numpy()
    A, b = loaded.problem.dense_matrix().numpy(), loaded.problem.b
    assert b is not None
    np.testing.assert_allclose(x, np.linalg.solve(A, b.numpy()), rtol=0.1)


def test_poles_by_hand() -> None:
    found = poles(series_circuit())
    w0 = 1 / math.sqrt(L * C)
    np.testing.assert_allclose(found["frequency_hz"], w0 / (2 * math.pi), rtol=1e-10)
    np.testing.assert_allclose(found["damping_ratio"], R / 2 * math.sqrt(C / L), rtol=1e-10)
    np.testing.assert_allclose(found["pole_real_per_s"], -R / (2 * L), rtol=1e-10)
    assert float(found["pole_imag_per_s"].sum()) == pytest.approx(0, abs=1e-6)
    assert found.attrs["status"] == "ok"


def test_labels_survive_netcdf(tmp_path: Path) -> None:
    path = tmp_path / "transfer.nc"
    found = transfer_functions(chip("gm_c"))
    found.to_netcdf(path, engine="h5netcdf")
    with xarray.open_dataset(path, engine="h5netcdf") as read:
        xarray.testing.assert_identical(read.load(), found)


def test_misuse() -> None:
    with pytest.raises(MisuseError, match="frequency_hz: ngspice sweeps"):
        transfer_functions(series_circuit(), DeckEngine.NGSPICE, frequency_hz=[1.0])
    build = NetlistBuilder("no input")
    (a,) = build.nodes(["a"])
    build.add(Kind.RESISTOR, ["a"], [[a, 0]], [1.0])
    build.add(Kind.CAPACITOR, ["a"], [[a, 0]], [1.0])
    with pytest.raises(MisuseError, match="at least one input"):
        transfer_functions(build.netlist(inputs=[], outputs=["a"]))
    batch = program(manufacture("gm_c", 2, presets.ideal(), chips=3), LinearProblem(np.eye(2)))
    with pytest.raises(MisuseError, match=r"chips = 3: .*loaded.select\(k\)"):
        poles(batch)
