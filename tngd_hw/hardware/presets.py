"""Chips to start from, as functions: few, with the source of every figure."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from tngd_hw.hardware.amplifiers import Amplifiers
from tngd_hw.hardware.capacitors import Capacitors
from tngd_hw.hardware.converters import Adc, Dac
from tngd_hw.hardware.damping import Damping, DampingDevice
from tngd_hw.hardware.inductors import Inductors
from tngd_hw.hardware.memory import Memory
from tngd_hw.hardware.memory_models import Device
from tngd_hw.hardware.programming import Programming
from tngd_hw.hardware.resistors import Resistors
from tngd_hw.hardware.spec import HardwareSpec
from tngd_hw.hardware.temperature import Temperature
from tngd_hw.hardware.transconductors import Transconductors
from tngd_hw.hardware.wiring import Wiring
from tngd_hw.outcome import MisuseError

__all__ = ["PRESETS", "cmos_sky130", "ideal", "load_hardware", "pcb_1k_1n", "pcm", "rram_1t1r", "spu8_board"]


def ideal() -> HardwareSpec:
    """Perfect parts at the paper's values: R = 1 kOhm, C = 1 nF (arXiv 2405.13817, App. C), no tolerance, no limits."""
    return HardwareSpec(
        name="ideal", resistors=Resistors(resistance_ohm=1e3), capacitors=Capacitors(capacitance_farad=1e-9)
    )


def pcb_1k_1n() -> HardwareSpec:
    """A printed board with the paper's R = 1 kOhm and C = 1 nF and a real operational amplifier.

    Amplifier: Linear Technology LT1801/LT1802 data sheet, 5 V supply, typical figures: gain-bandwidth product 75 MHz,
    large-signal gain 75 V/mV at 1 kOhm, output within 0.95 V of either rail at 20 mA (a swing of +-1.5 V about
    mid-supply), input offset 125 uV (read as one standard deviation; the maximum is 500 uV).
    Our choice, no source: resistors of 0.1 % and capacitors of 1 %.  Transconductors and inductors are left ideal: such
    a board has none.
    """
    return HardwareSpec(
        name="pcb_1k_1n",
        resistors=Resistors(resistance_ohm=1e3, tolerance_dtod=1e-3),
        capacitors=Capacitors(capacitance_farad=1e-9, tolerance_dtod=1e-2),
        amplifiers=Amplifiers(
            open_loop_gain=75e3,
            gain_bandwidth_hz=75e6,
            offset_volt_dtod=125e-6,
            output_swing_volt=1.5,
            output_current_ampere=20e-3,
        ),
    )


def spu8_board() -> HardwareSpec:
    """A board of RLC cells, as the 8-cell stochastic processing unit: R = 1 kOhm, C = 1 nF, L = 10 uH.

    The machine: Melanson et al., Nat. Commun. 16:3757 (2025), doi 10.1038/s41467-025-59011-x: eight LC cells, each with
    a noise source behind a resistor, coupled by switched capacitors.  RC is about 1 us (Whitelam, arXiv 2410.12211);
    R = 1 kOhm and C = 1 nF are the device model of the same group (arXiv 2405.13817, App. C).
    The board's own L, C and the steps of its capacitor bank are not in what we could read.  Our choice: L = 10 uH
    (1.6 MHz, Q = 10 at 1 nF) of 5 %, which the stationary voltages do not depend on; resistors of 1 %; capacitors
    without tolerance, so that the error that is left is that of the resistors; inductors and switches without loss.
    """
    return HardwareSpec(
        name="spu8_board",
        resistors=Resistors(resistance_ohm=1e3, tolerance_dtod=1e-2),
        capacitors=Capacitors(capacitance_farad=1e-9),
        inductors=Inductors(inductance_henry=1e-5, tolerance_dtod=5e-2),
    )


def cmos_sky130() -> HardwareSpec:
    """A chip in SkyWater sky130 (130 nm): R = 100 kOhm of poly, C = 1 pF of MIM, transconductors of 10 uS.

    From the open PDK (its models' matching slopes and temperature coefficients): res_high_po 317.4 Ohm a square,
    3.55 % um, tc1 0.514e-3 /K, tc2 1.22e-6 /K^2; MIM capacitor 2.00 fF/um^2 and 0.19 fF/um, 2.8 % um; threshold voltage
    of one nfet_01v8 3.356 mV um, of a pair sqrt(2) times that.
    Derived: 100 kOhm, 1 um wide, is 315 um^2; 1 pF is a square of 22.17 um side, 491.6 um^2.  A transconductor is a
    square-law pair, g_m = sqrt(beta I), whose tail current I comes from a mirror: the mirror's threshold difference d
    gives dI/I = 2 d/V_ov and dg_m/g_m = d/V_ov, so A = sqrt(2) 3.356 mV um/V_ov = 2.373 % um at V_ov = 0.2 V; its error
    of 1 % is at 2 V_ov sqrt(1 - 0.99^2) = 56 mV.  Mismatch of beta has no source here and is left out.  The amplifier's
    offset is that of an input pair of 100 um^2: sqrt(2) 3.356 mV/10 = 0.475 mV.
    Our choice: the three nominal values, the widths and areas, V_ov, g_m r_out = 100, and an on-chip amplifier of
    A0 = 10,000 and 100 MHz that gives +-0.6 V (1.8 V supply) and 1 mA.  No source for coefficients of temperature of
    capacitors, transconductors and amplifiers: 0.
    """
    return HardwareSpec(
        name="cmos_sky130",
        resistors=Resistors(resistance_ohm=1e5, matching_um=0.0355, area_um2=315.0),
        capacitors=Capacitors(capacitance_farad=1e-12, matching_um=0.028, area_um2=491.6),
        transconductors=Transconductors(
            intrinsic_gain=100.0, linear_range_volt=0.056, matching_um=0.02373, area_um2=4.0
        ),
        amplifiers=Amplifiers(
            open_loop_gain=1e4,
            gain_bandwidth_hz=100e6,
            offset_volt_dtod=0.475e-3,
            output_swing_volt=0.6,
            output_current_ampere=1e-3,
        ),
        temperature=Temperature(resistor_tc1_per_kelvin=0.514e-3, resistor_tc2_per_kelvin2=1.22e-6),
    )


def rram_1t1r() -> HardwareSpec:
    """An array of TaOx memory cells, 8 levels from 0.5 to 35 uS, with AD823 amplifiers.

    The array: Zuo et al., Nat. Electron. 2025, doi 10.1038/s41928-025-01477-0 (40 nm 1T1R, write-verify, 1.73 Ohm of
    wire between neighbours, converters of 4 bits), as reported by notes on it; these name AD823 and OPA690 amplifiers.
    Amplifier: Analog Devices AD823 data sheet: bandwidth 16 MHz at a gain of 1 (read as gain-bandwidth product),
    22 V/us, offset at most 800 uV (read as three standard deviations) and 2 uV/K (read as one), bias at most 25 pA,
    16 nV/sqrt(Hz), 15 mA at 0.5 V from the supplies, here +-5 V.
    Our choice: equal steps between the levels, written with an error of 2 % of 35 uS; A0 = 50,000; integration
    capacitors of 35 pF (1 us with 35 uS; the source's solver has none); and damping resistors that are switched banks
    of 10 bits (three bits cannot hold a small lambda).
    """
    return HardwareSpec(
        name="rram_1t1r",
        resistors=Resistors(resistance_ohm=1 / 35e-6, largest_ohm=1 / 0.5e-6),
        programming=Programming(bits=3, error_std=0.02),
        damping=_bank(1 / 35e-6),
        wiring=Wiring(segment_ohm=1.73),
        dac=Dac(bits=4),
        adc=Adc(bits=4),
        capacitors=Capacitors(capacitance_farad=35e-12),
        amplifiers=_ad823(),
        temperature=_AD823_DRIFT,
    )


def pcm() -> HardwareSpec:
    """An array of phase-change memory cells up to 25 uS, with AD823 amplifiers.

    Range, spread of writing, drift and read noise: the model of aihwkit (PCMLikeNoiseModel, after Nandakumar et al.
    2019), with 0.35 Ohm of wire between neighbours and its default converters, 7 bits in and 9 bits out.  Amplifier as
    in ``rram_1t1r``.  Our choice: integration capacitors of 25 pF (1 us with 25 uS), read at once
    (memory.age_s = 0), damping resistors as in ``rram_1t1r``.
    """
    return HardwareSpec(
        name="pcm",
        resistors=Resistors(resistance_ohm=1 / 25e-6),
        memory=Memory(device=Device.PCM),
        damping=_bank(1 / 25e-6),
        wiring=Wiring(segment_ohm=0.35),
        dac=Dac(bits=7),
        adc=Adc(bits=9),
        capacitors=Capacitors(capacitance_farad=25e-12),
        amplifiers=_ad823(),
        temperature=_AD823_DRIFT,
    )


def _bank(smallest_ohm: float) -> Damping:
    return Damping(device=DampingDevice.SWITCHED, smallest_ohm=smallest_ohm, bits=10)


def _ad823() -> Amplifiers:
    return Amplifiers(
        open_loop_gain=5e4,
        gain_bandwidth_hz=16e6,
        offset_volt_dtod=800e-6 / 3,
        bias_ampere=25e-12,
        voltage_noise_volt_per_rthz=16e-9,
        output_swing_volt=4.5,
        output_current_ampere=15e-3,
        slew_volt_per_s=22e6,
    )


_AD823_DRIFT = Temperature(offset_drift_volt_per_kelvin_dtod=2e-6)

PRESETS: dict[str, Callable[[], HardwareSpec]] = {
    "ideal": ideal,
    "pcb_1k_1n": pcb_1k_1n,
    "spu8_board": spu8_board,
    "cmos_sky130": cmos_sky130,
    "rram_1t1r": rram_1t1r,
    "pcm": pcm,
}
"""Every preset by name."""


def load_hardware(name_or_path: str) -> HardwareSpec:
    """A preset by name, or a specification from a TOML or JSON file.

    Raises:
        MisuseError: Neither; the nearest preset is offered.
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]()
    if Path(name_or_path).suffix in (".toml", ".json"):
        return HardwareSpec.from_file(name_or_path)
    near = [name for name in PRESETS if name_or_path and name.startswith(name_or_path)]
    near = near or difflib.get_close_matches(name_or_path, PRESETS, n=1, cutoff=0.3)
    offer = f"did you mean {near[0]!r}?" if near else ""
    raise MisuseError(
        f"hardware = {name_or_path!r}: the presets are {', '.join(PRESETS)}, or pass a TOML file. {offer}".rstrip()
    )
