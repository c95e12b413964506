"""Slew rate: what a linear circuit asks of its amplifiers, by hand for one node."""

from __future__ import annotations

import pytest
import torch

import tngd_hw as tngd
from tngd_hw.engines import find_engine
from tngd_hw.hardware import HardwareSpec

AMPLIFIERS = {
    "open_loop_gain": 1e6, "gain_bandwidth_hz": 1e10, "output_swing_volt": 10.0, "output_current_ampere": 1.0,
}  # fmt: skip


def status(
    slew: float, engine: str = "behavioral", b: list[float] | None = None, chips: int | None = None
) -> tngd.Status:
    """One node, A = 1, b = 1: V = v0 (1 - e^(-t/tau)), tau = 1 us; the steepest slope is v0/tau at the start."""
    spec = HardwareSpec.from_dict({"name": "t", "amplifiers": AMPLIFIERS | {"slew_volt_per_s": slew}})
    loaded = tngd.program(tngd.manufacture("integrator", 1, spec, chips=chips), tngd.LinearProblem([[1.0]], [1.0]))
    assert loaded.scales.voltage_volt == pytest.approx(8.0)  # 80 % of the swing
    simulator = find_engine(engine)
    return simulator.run(simulator.init(loaded), duration=5e-6, b=b)[1].status


@pytest.mark.parametrize("engine", ["behavioral", "state_space", pytest.param("ngspice", marks=pytest.mark.ngspice)])
def test_one_node_by_hand(engine: str) -> None:
    assert status(8.2e6, engine).ok
    found = status(4e6, engine)
    assert found.outcome is tngd.Outcome.SATURATED
    assert "node 0 would have to move 2 times as fast as its amplifier slews" in found.detail


def test_a_smaller_drive_is_slower() -> None:
    assert status(4e6, b=[0.45]).ok
    assert not status(4e6, b=[-0.55]).ok


def test_every_chip_has_its_own_status() -> None:
    assert not status(4e6, chips=3).ok
    assert status(9e6, chips=3).ok


def test_many_right_hand_sides() -> None:
    spec = HardwareSpec.from_dict({"name": "t", "amplifiers": AMPLIFIERS | {"slew_volt_per_s": 4e6}})
    loaded = tngd.program(tngd.manufacture("integrator", 1, spec, chips=2), tngd.LinearProblem([[1.0]], [1.0]))
    engine = find_engine("behavioral")
    for columns, ok in (([[0.1, 0.4]], True), ([[0.1, 0.9]], False)):
        _, run = engine.run(engine.init(loaded), duration=5e-6, b=torch.tensor(columns, dtype=torch.float64))
        assert run.status.ok is ok


def test_circuits_without_amplifiers_do_not_slew() -> None:
    spec = HardwareSpec.from_dict({"name": "t", "amplifiers": AMPLIFIERS | {"slew_volt_per_s": 1.0}})
    loaded = tngd.program(tngd.manufacture("gm_c", 1, spec), tngd.LinearProblem([[1.0]], [1.0]))
    engine = find_engine("behavioral")
    assert engine.run(engine.init(loaded), duration=5e-6)[1].status.ok
