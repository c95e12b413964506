"""Wires: the cross-point array against nodal analysis of its mesh; strays and leakage by hand and in netlists."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

import tngd_hw as tngd
from tngd_hw.hardware import HardwareSpec, Role
from tngd_hw.hardware.wire_resistance import terminal_conductances
from tngd_hw.linear_sde import LinearSDE, stationary_output_covariance, stationary_output_mean
from tngd_hw.netlist import Kind, NetlistBuilder, operating_point, state_equations
from tngd_hw.topologies import Drive, LoadedChip

DEVICES = np.array([[1e-3, 0.0, 4e-4], [2e-4, 7e-4, 9e-4]])


def mesh_currents(devices: np.ndarray, segment_ohm: float, terminal_ohm: float, driven: int) -> list[float]:
    """Currents into the row ends for 1 V at column ``driven``: every wire a resistor of its own in a netlist."""
    rows, columns = devices.shape
    build = NetlistBuilder("mesh")
    top = build.nodes([f"top{c}" for c in range(columns)])
    ends = build.nodes([f"end{i}" for i in range(rows)])
    col = np.stack([build.nodes([f"c{i}_{c}" for c in range(columns)]) for i in range(rows)])
    row = np.stack([build.nodes([f"r{i}_{c}" for c in range(columns)]) for i in range(rows)])
    for c in range(columns):
        build.add(Kind.VOLTAGE_SOURCE, [f"d{c}"], [[top[c], 0]], float(c == driven))
        build.add(Kind.RESISTOR, [f"t{c}"], [[top[c], col[0, c]]], terminal_ohm)
        for i in range(rows - 1):
            build.add(Kind.RESISTOR, [f"cw{i}_{c}"], [[col[i, c], col[i + 1, c]]], segment_ohm)
    for i in range(rows):
        build.add(Kind.VOLTAGE_SOURCE, [f"e{i}"], [[ends[i], 0]], 0.0)
        build.add(Kind.RESISTOR, [f"re{i}"], [[row[i, -1], ends[i]]], terminal_ohm)
        for c in range(columns - 1):
            build.add(Kind.RESISTOR, [f"rw{i}_{c}"], [[row[i, c], row[i, c + 1]]], segment_ohm)
        for c in range(columns):
            if devices[i, c] > 0:
                build.add(Kind.RESISTOR, [f"x{i}_{c}"], [[col[i, c], row[i, c]]], 1 / devices[i, c])
    names = [f"r{i}_{columns - 1}" for i in range(rows)]
    voltages = operating_point(build.netlist(inputs=[], outputs=names)).voltage_volt
    return [float(voltages[name]) / terminal_ohm for name in names]


@pytest.mark.parametrize("devices", [DEVICES, DEVICES.T.copy()], ids=["wide", "tall"])
def test_cross_points_against_a_mesh_of_resistors(devices: np.ndarray) -> None:
    seen = terminal_conductances(devices, 3.0, 8.0)
    for driven in range(devices.shape[1]):
        np.testing.assert_allclose(seen[:, driven], mesh_currents(devices, 3.0, 8.0, driven), rtol=1e-10)
    assert (seen > 0).all(), "a wire joins what no device joins"


def test_one_device_is_in_series_with_its_wires() -> None:
    assert terminal_conductances(np.array([[1e-3]]), 5.0, 20.0)[0, 0] == pytest.approx(1 / (1000 + 40), rel=1e-12)


def test_two_columns_by_hand() -> None:
    """No terminal resistance: column 0 crosses one row segment r to the end, column 1 none; drivers are stiff.

    Node a between device 0 and the segment: (1 - a) g0 = a/r, so G_0 = g0/(1 + g0 r) and G_1 = g1.
    """
    g0, g1, r = 1e-3, 5e-4, 100.0
    seen = terminal_conductances(np.array([[g0, g1]]), r, 0.0)[0]
    np.testing.assert_allclose(seen, [g0 / (1 + g0 * r), g1], rtol=1e-6)


def test_no_wires_change_nothing() -> None:
    assert terminal_conductances(DEVICES, 0.0, 0.0) is DEVICES


def test_the_far_corner_loses_most() -> None:
    """1.73 ohm between cells of 40 nm (hardware notes 3.2), 32 x 32 devices of 35 uS: monotone along row and column."""
    loss = 1 - terminal_conductances(np.full((32, 32), 35e-6), 1.73, 0.0) / 35e-6
    assert (np.diff(loss, axis=0) > 0).all(), "further from the drivers"
    assert (np.diff(loss, axis=1) < 0).all(), "nearer to the row ends"
    assert 0.05 < loss.max() < 0.15


def test_cost_of_one_array() -> None:
    devices = np.random.default_rng(0).uniform(1e-5, 1e-3, (32, 64))
    start = time.perf_counter()
    terminal_conductances(devices, 1.0, 1.0)
    assert time.perf_counter() - start < 2.0


MIXED = torch.tensor([[2.0, -0.6, 0.3], [-0.6, 1.7, -0.4], [0.3, -0.4, 1.4]], dtype=torch.float64)
MASSES = torch.tensor([[2.0, -0.6, 0.0], [-0.6, 1.7, -0.4], [0.0, -0.4, 1.4]], dtype=torch.float64)
AMPLIFIERS = {
    "open_loop_gain": 5e6, "gain_bandwidth_hz": 40e6, "output_swing_volt": 2.0, "output_current_ampere": 0.05,
}  # fmt: skip
WIRES = {
    "resistance": {"segment_ohm": 2.0, "terminal_ohm": 5.0},
    "node_farad": {"node_farad": 2e-11},
    "neighbour_farad": {"neighbour_farad": 3e-11},
    "leakage": {"leakage_siemens": 2e-5},
    "summing": {"summing_farad": 1e-12, "summing_farad_per_device": 3e-13},
    "switches": {"switch_ohm": 30.0},
}
ACTS_ON = {
    "integrator": ("resistance", "leakage", "summing"),
    "three_array": ("resistance", "leakage", "summing"),
    "amc_inverse": ("resistance", "summing"),
    "gm_c": ("node_farad", "leakage"),
    "passive_rc": ("node_farad", "leakage"),
    "rlc_spu": ("node_farad", "neighbour_farad", "leakage", "switches"),
}


def loaded_chip(topology: str, wiring: dict[str, float], chips: int | None = None) -> LoadedChip:
    document = {"name": "t", "resistors": {"tolerance_dtod": 0.02}, "wiring": wiring, "noise": {"loss_kelvin": 300.0}}
    if topology in ("integrator", "three_array", "amc_inverse"):
        document["amplifiers"] = AMPLIFIERS
    matrix = MASSES if topology == "rlc_spu" else MIXED
    b = None if topology == "rlc_spu" else [0.7, -0.4, 0.2]
    chip = tngd.manufacture(topology, 3, HardwareSpec.from_dict(document), seed=3, chips=chips)
    return tngd.program(chip, tngd.LinearProblem(matrix, b), seed=4, kappa=0.0 if topology == "amc_inverse" else 1e-3)


@pytest.mark.parametrize(("topology", "effect"), [(t, e) for t, effects in ACTS_ON.items() for e in effects])
def test_wires_act_alike_in_closed_form_and_netlist(topology: str, effect: str) -> None:
    loaded, without = loaded_chip(topology, WIRES[effect]), loaded_chip(topology, {})
    closed, zero = loaded.linear_sde(), torch.zeros(3, dtype=torch.float64)
    netlist = state_equations(loaded.netlist(Drive(zero, zero)), noise=loaded.noise_sources).sde
    inputs = torch.eye(4, dtype=torch.float64)
    found = [stationary_output_mean(sde, torch.cat([inputs, inputs.new_zeros(sde.n_inputs - 4, 4)]))[0] for sde in
             (closed, netlist, without.linear_sde())]  # fmt: skip
    torch.testing.assert_close(found[0], found[1], rtol=1e-8, atol=1e-9 * float(found[1].abs().max()))
    slowest = [_slowest(sde) for sde in (closed, netlist, without.linear_sde())]
    np.testing.assert_allclose(slowest[0], slowest[1], rtol=1e-7)
    assert abs(slowest[0] / slowest[2] - 1).max() > 1e-6, "the effect can be seen"
    if loaded.kappa > 0:
        covariances = [stationary_output_covariance(sde)[0] for sde in (closed, netlist)]
        torch.testing.assert_close(*covariances, rtol=1e-8, atol=1e-9 * float(covariances[1].abs().max()))


def _slowest(sde: LinearSDE) -> np.ndarray:
    """Decay rates and frequencies of the 3 slowest modes, one after the other."""
    modes = sorted(sde.eigenvalues().tolist(), key=lambda z: (round(abs(z), 3), z.imag))[:3]
    return np.array([part for z in modes for part in (z.real, abs(z.imag) + 1.0)])


def test_a_batch_is_its_dies() -> None:
    together, alone = loaded_chip("integrator", WIRES["resistance"], 4), loaded_chip("integrator", WIRES["resistance"])
    torch.testing.assert_close(together.elements.value(Role.ARRAY)[0], alone.elements.value(Role.ARRAY), rtol=0, atol=0)


def test_summing_capacitance_grows_with_the_devices_of_the_row() -> None:
    """A full row of 3, an input resistor: 4 devices; an inverter has 2."""
    elements = loaded_chip("integrator", WIRES["summing"]).elements
    nodes = elements.amplifiers[Role.INTEGRATOR_AMPLIFIER].input_farad
    inverters = elements.amplifiers[Role.INVERTER_AMPLIFIER].input_farad
    torch.testing.assert_close(nodes, torch.full((3,), 1e-12 + 4 * 3e-13, dtype=torch.float64))
    torch.testing.assert_close(inverters, torch.full((3,), 1e-12 + 2 * 3e-13, dtype=torch.float64))
