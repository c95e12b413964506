"""Chips to start from, as functions: few, with the source of every figure."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from tngd_hw.hardware.amplifiers import Amplifiers
from tngd_hw.hardware.capacitors import Capacitors
from tngd_hw.hardware.resistors import Resistors
from tngd_hw.hardware.spec import HardwareSpec
from tngd_hw.outcome import MisuseError

__all__ = ["PRESETS", "ideal", "load_hardware", "pcb_1k_1n"]


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


PRESETS: dict[str, Callable[[], HardwareSpec]] = {"ideal": ideal, "pcb_1k_1n": pcb_1k_1n}
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
    near = difflib.get_close_matches(name_or_path, PRESETS, n=1, cutoff=0.3)
    offer = f"did you mean {near[0]!r}?" if near else ""
    raise MisuseError(
        f"hardware = {name_or_path!r}: the presets are {', '.join(PRESETS)}, or pass a TOML file. {offer}".rstrip()
    )
