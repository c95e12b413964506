"""Presets: every figure against its source by hand, and every preset solves on a topology that it is made for."""

from __future__ import annotations

import inspect
import json
import math
import tomllib

import numpy as np
import pytest

from tngd_hw import presets, solve
from tngd_hw.hardware import Amplifiers, HardwareSpec
from tngd_hw.hardware.draws import matching_sigma
from tngd_hw.hardware.memory_models import Device
from tngd_hw.hardware.presets import PRESETS

A = np.array([[1.0, 0.3, 0.2], [0.2, 0.8, 0.1], [0.2, 0.1, 0.6]])
B = np.array([1.0, -0.5, 0.3])


def amplifiers_of(spec: HardwareSpec) -> Amplifiers:
    assert spec.amplifiers is not None
    return spec.amplifiers


@pytest.mark.parametrize("name", PRESETS)
def test_name_description_and_round_trip_through_text(name: str) -> None:
    import tomli_w

    spec = PRESETS[name]()
    assert spec.name == name
    assert PRESETS[name] is getattr(presets, name)
    assert spec == PRESETS[name]()
    for again in (json.loads(json.dumps(spec.to_dict())), tomllib.loads(tomli_w.dumps(spec.to_dict()))):
        assert HardwareSpec.from_dict(again) == spec
    first, *rest = (inspect.getdoc(PRESETS[name]) or "").splitlines()
    assert first.endswith(".")
    assert name == "ideal" or "our choice" in " ".join(rest).lower()


def test_board_of_rlc_cells() -> None:
    """f0 = 1/(2 pi sqrt(L C)) = 1.59 MHz and Q = R sqrt(C/L) = 10, as its description says; RC = 1 us."""
    spec = presets.spu8_board()
    R, C, L = spec.resistors.resistance_ohm, spec.capacitors.capacitance_farad, spec.inductors.inductance_henry
    assert 1 / (2 * math.pi * math.sqrt(L * C)) == pytest.approx(1.5915e6, rel=1e-4)
    assert R * math.sqrt(C / L) == pytest.approx(10.0)
    rc = R * C
    assert rc == pytest.approx(1e-6)
    assert spec.effects() == ("resistors.tolerance", "inductors.tolerance")
    assert spec.resistors.tolerance_dtod == 0.01


def test_sky130_matching_from_the_design_kit() -> None:
    """3.55 % um over sqrt(315 um^2) is 0.200 %; 2.8 % um over 22.17 um 0.126 %; the pair of 4 um^2 1.19 %."""
    spec = presets.cmos_sky130()
    resistors, capacitors, pairs = spec.resistors, spec.capacitors, spec.transconductors
    sigmas = [
        matching_sigma(part.tolerance_dtod, part.matching_um, part.area_um2) for part in (resistors, capacitors, pairs)
    ]
    assert sigmas == pytest.approx([0.00200, 0.00126, 0.01187], rel=5e-3)
    assert resistors.area_um2 * 317.4 == pytest.approx(resistors.resistance_ohm, rel=1e-3)  # 1 um wide: squares = um
    side = math.sqrt(capacitors.area_um2)
    femtofarad = 2.00 * capacitors.area_um2 + 0.19 * 4 * side
    assert femtofarad * 1e-15 == pytest.approx(capacitors.capacitance_farad, rel=1e-3)
    assert pairs.matching_um == pytest.approx(math.sqrt(2) * 3.356e-3 / 0.2, rel=1e-3)
    assert pairs.linear_range_volt is not None
    x = pairs.linear_range_volt / (2 * 0.2)
    assert math.sqrt(1 - x**2) == pytest.approx(0.99, abs=2e-4)
    assert amplifiers_of(spec).offset_volt_dtod == pytest.approx(math.sqrt(2) * 3.356e-3 / 10, rel=2e-3)


def test_memories_have_their_ranges() -> None:
    rram, pcm = presets.rram_1t1r(), presets.pcm()
    assert 1e6 / rram.resistors.resistance_ohm == pytest.approx(35.0)
    assert rram.resistors.largest_ohm == pytest.approx(1e6 / 0.5)
    assert rram.programming.bits == 3
    assert rram.wiring.segment_ohm == 1.73
    assert 1e6 / pcm.resistors.resistance_ohm == pytest.approx(25.0)
    assert pcm.memory.device is Device.PCM
    for spec in (rram, pcm):
        amplifiers = amplifiers_of(spec)
        assert amplifiers.gain_bandwidth_hz == 16e6
        assert 3 * amplifiers.offset_volt_dtod == pytest.approx(800e-6)
        assert amplifiers.voltage_noise_volt_per_rthz == 16e-9
        assert amplifiers.slew_volt_per_s == 22e6
        assert (amplifiers.output_swing_volt, amplifiers.output_current_ampere) == (4.5, 15e-3)
        assert spec.temperature.offset_drift_volt_per_kelvin_dtod == 2e-6
        tau = spec.resistors.resistance_ohm * spec.capacitors.capacitance_farad
        assert tau == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("name", "topology", "low", "high"),
    [
        ("ideal", "integrator", 0.0, 1e-9),
        ("pcb_1k_1n", "integrator", 1e-5, 0.02),
        ("cmos_sky130", "integrator", 1e-5, 0.05),
        ("cmos_sky130", "gm_c", 1e-3, 0.3),
        ("rram_1t1r", "amc_inverse", 1e-3, 0.5),
        ("pcm", "amc_inverse", 1e-3, 0.5),
    ],
)
def test_presets_solve(name: str, topology: str, low: float, high: float) -> None:
    """Settled answers are off by the size of what each has: nothing, a board's 0.1 %, a chip, eight levels."""
    found = solve(A, B, topology=topology, hardware=PRESETS[name](), engine="state_space", duration=1e-3, seed=1)
    exact = np.linalg.solve(A, B)
    error = np.linalg.norm(np.asarray(found.value) - exact) / np.linalg.norm(exact)
    assert low <= error < high
