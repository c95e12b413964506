"""x0 by reset switches against x0 by ``ic``: the difference is what R_on, the hold time and R_off say, no more.

The prediction is by hand, from the closed form of the topology dv = (F v + e) dt: while held,
v' = F v + e + (v0 - v)/(R_on C), afterwards the same with R_off.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.engines.decks.ngspice import DeckInNgspice
from tngd_hw.engines.decks.transient import exact_transient
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.netlist import Deck, Kind, Netlist, NetlistBuilder, Transient
from tngd_hw.netlist.reset import with_reset_switches
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies import LoadedChip

A = {
    "integrator": np.array([[2.0, -1.0, 0.3], [0.5, 1.0, -0.2], [-0.4, 0.6, 1.5]]),
    "gm_c": np.array([[2.0, -1.0, 0.3], [0.5, 1.0, -0.2], [-0.4, 0.6, 1.5]]),
    "passive_rc": np.array([[2.0, -0.7, -0.3], [-0.7, 1.5, -0.2], [-0.3, -0.2, 1.0]]),
}
b = np.array([1.0, -0.5, 0.75])
x0 = [0.4, -0.8, 0.0]  # the last one starts at 0 and has to be held there all the same
CASES = {"good": (1.0, 1e10, 40.0), "short hold": (2.0, 1e10, 6.0), "leaky": (1.0, 1e6, 40.0)}
"""On and off resistance, and the hold time by R_on C."""


def loaded(topology: str, hardware: object = None) -> LoadedChip:
    spec = presets.ideal() if hardware is None else hardware
    return program(manufacture(topology, 3, spec), LinearProblem(A[topology], b))  # pyright: ignore[reportArgumentType]


def run_times(tau: float) -> np.ndarray:
    return tau * np.array([1e-6, 0.01, 0.1, 0.5, 1.0, 3.0, 6.0])


def predicted(chip: LoadedChip, capacitance: float, case: str, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voltages after the hold, and those of the path from ``ic``, shape (times, 3)."""
    on, off, holds = CASES[case]
    drive, sde = chip.drive(x0=x0), chip.linear_sde()
    F = sde.F.numpy()
    e = (sde.E @ torch.cat([drive.inputs, torch.ones(1, dtype=torch.float64)])).numpy()
    v0 = drive.initial_volt.numpy()

    def moved(start: np.ndarray, leak: float, seconds: float) -> np.ndarray:
        G = np.zeros((4, 4))
        G[:3, :3], G[:3, 3] = F - leak * np.eye(3), e + leak * v0
        return (expm(G * seconds) @ np.append(start, 1.0))[:3]

    held = moved(np.zeros(3), 1 / (on * capacitance) + 0.0, holds * on * capacitance)
    after = np.array([moved(held, 1 / (off * capacitance), t) for t in times])
    return after, np.array([moved(v0, 0.0, t) for t in times])


def with_switches(chip: LoadedChip, capacitance: float, case: str) -> tuple[Netlist, float]:
    on, off, holds = CASES[case]
    hold = holds * on * capacitance
    return with_reset_switches(chip.netlist(chip.drive(x0=x0)), hold_s=hold, on_ohm=on, off_ohm=off), hold


def capacitance_of(netlist: Netlist) -> float:
    return 1e-9 if netlist.table(Kind.CAPACITOR) is None else float(netlist.table(Kind.CAPACITOR).values[0])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("topology", A)
def test_exact_path_after_the_hold(topology: str, case: str) -> None:
    """The two-circuit prediction to 1e-9, and the path from ``ic`` within the three errors of the module's head."""
    chip = loaded(topology)
    capacitance = capacitance_of(chip.netlist())
    netlist, hold = with_switches(chip, capacitance, case)
    times = run_times(chip.tau)
    stop = hold + float(times[-1])
    found = exact_transient(netlist, Transient(stop, stop / 100, stop), hold + times).voltage_volt
    expected, from_ic = predicted(chip, capacitance, case, times)
    scale = np.abs(from_ic).max()
    assert np.abs(found - expected).max() < 1e-9 * scale
    on, off, holds = CASES[case]
    fastest = np.abs(np.diff(from_ic[:2], axis=0) / np.diff(times[:2])[:, None]).max()
    bound = np.exp(-holds) * scale + 1.1 * on * capacitance * fastest
    leaked = 2 * scale * times / (off * capacitance)
    difference = np.abs(found - from_ic).max(axis=1)
    assert (difference < 2 * bound + leaked).all()
    assert difference.max() > 1e-2 * bound, "a difference that is not there was not measured"


@pytest.mark.ngspice
@pytest.mark.parametrize("topology", A)
def test_ngspice_sees_the_same_switches(topology: str) -> None:
    chip = loaded(topology)
    capacitance = capacitance_of(chip.netlist())
    netlist, hold = with_switches(chip, capacitance, "good")
    stop = hold + 6 * chip.tau
    analysis = Transient(stop, stop / 4000, stop / 4000)
    found = DeckInNgspice(Deck(netlist, (analysis,), {}, False, {}), required_ngspice(), 60.0).transient(analysis)
    assert found.status.ok, found.status
    after = found.times_s > hold * 1.001
    exact = exact_transient(netlist, analysis, found.times_s[after])
    scale = np.abs(exact.voltage_volt).max()
    assert after.sum() > 1000
    assert np.abs(found.voltage_volt[after] - exact.voltage_volt).max() < 1e-4 * scale


def test_real_amplifiers_follow_and_are_not_held() -> None:
    """Op-amps of 10 MHz: poles keep no switch; their start and R_on C together stay below 1/(2 pi GBW) of motion."""
    chip = loaded("integrator", presets.pcb_1k_1n())
    drive = chip.drive(x0=x0)
    on, off, hold = 1.0, 1e10, 5e-6
    plain = chip.netlist(drive)
    netlist = with_reset_switches(plain, hold_s=hold, on_ohm=on, off_ohm=off)
    switches = netlist.table(Kind.SWITCH)
    assert switches is not None
    assert switches.names == ("reset.int0.int", "reset.int1.int", "reset.int2.int")
    times = run_times(chip.tau)[2:]
    stop = hold + float(times[-1])
    found = exact_transient(netlist, Transient(stop, stop / 100, stop), hold + times).voltage_volt
    from_ic = exact_transient(plain, Transient(stop, stop / 100, stop), times).voltage_volt
    rate = np.abs(np.diff(from_ic, axis=0) / np.diff(times)[:, None]).max()
    difference = np.abs(found - from_ic).max()
    assert difference < (on * 1e-9 + 1 / (2 * np.pi * 10e6)) * rate
    assert 1e-5 < difference / np.abs(from_ic).max() < 2e-3


def test_the_circuit_that_is_made() -> None:
    build = NetlistBuilder("rc")
    top, mid = build.nodes(["top", "mid"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [1.0])
    build.add(Kind.RESISTOR, ["r"], [[top, mid]], [1e3])
    build.add(Kind.CAPACITOR, ["c", "d"], [[top, mid], [mid, 0]], [1e-9, 2e-9], initial=[0.25, -0.5])
    plain = build.netlist(["in"], ["mid"])
    made = with_reset_switches(plain, hold_s=1e-6, on_ohm=2.0, off_ohm=1e9)
    assert made.node_names == ("0", "top", "mid", "reset", "reset.c", "reset.d")
    assert (made.inputs, made.outputs) == (("in",), ("mid",))
    switches, sources, capacitors = (made.table(k) for k in (Kind.SWITCH, Kind.VOLTAGE_SOURCE, Kind.CAPACITOR))
    assert switches is not None
    assert sources is not None
    assert capacitors is not None
    assert switches.names == ("reset.c", "reset.d")
    assert switches.nodes.tolist() == [[1, 4, 3, 0], [2, 5, 3, 0]]
    assert sources.names == ("in", "reset", "reset.c", "reset.d")
    assert sources.nodes.tolist() == [[1, 0], [3, 0], [4, 2], [5, 0]]
    assert sources.values.tolist() == [1.0, 1.0, 0.25, -0.5]
    assert capacitors.initial is None
    old = plain.table(Kind.CAPACITOR)
    assert old is not None
    assert old.initial is not None  # what was given is left as it was


def test_misuse() -> None:
    build = NetlistBuilder("rl")
    top, mid = build.nodes(["top", "mid"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [1.0])
    build.add(Kind.RESISTOR, ["r"], [[top, mid]], [1e3])
    build.add(Kind.INDUCTOR, ["l"], [[mid, 0]], [1e-3], initial=[1e-3])
    with pytest.raises(MisuseError, match="no capacitor to load"):
        with_reset_switches(build.netlist(["in"], ["mid"]), hold_s=1e-6, on_ohm=1.0, off_ohm=1e9)
    build.add(Kind.CAPACITOR, ["c"], [[mid, 0]], [1e-9])
    netlist = build.netlist(["in"], ["mid"])
    with pytest.raises(MisuseError, match="ll starts with a current, which no switch can load"):
        with_reset_switches(netlist, hold_s=1e-6, on_ohm=1.0, off_ohm=1e9)
    with pytest.raises(MisuseError, match="hold_s = 0"):
        with_reset_switches(netlist, hold_s=0.0, on_ohm=1.0, off_ohm=1e9)
    with pytest.raises(MisuseError, match="on_ohm"):
        with_reset_switches(netlist, hold_s=1e-6, on_ohm=0.0, off_ohm=1e9)
    chip = loaded("gm_c")
    once = with_reset_switches(chip.netlist(), hold_s=1e-6, on_ohm=1.0, off_ohm=1e9)
    with pytest.raises(MisuseError, match="'reset' already"):
        with_reset_switches(once, hold_s=1e-6, on_ohm=1.0, off_ohm=1e9)
