"""Bill of materials: what to buy for a programmed chip, in the values that are sold (E96 resistors, E12 capacitors).

A design asks for any resistance; a shop sells 96 values a decade, at most 1.5 % away (12 a decade for capacitors, at
most 12 %).  Lines are grouped by the value sold and say how far the farthest design value of the group is from it.
Cells that are programmed (levels, write errors or a memory) and switched banks have no value to buy: one line a role.
"""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, dataclass, fields

import torch

from tngd_hw.hardware import DampingDevice, HardwareSpec, PartKind, Role
from tngd_hw.hardware.preferred_values import E12, E96, nearest_in_series
from tngd_hw.topologies.loaded import LoadedChip
from tngd_hw.units import format_quantity

__all__ = ["BillLine", "bill_of_materials", "bill_to_csv"]


@dataclass(frozen=True)
class BillLine:
    """One kind of part.

    Attributes:
        role: What it does in the circuit.
        count: How many.
        design_low: Smallest value that the design asks for in this line, in ``unit``; None for parts without a value.
        design_high: Largest.
        buy: The value sold that is nearest (by ratio); None for what is programmed and not bought by value.
        unit: ohm or farad; siemens for transconductors.
        deviation_percent: Largest deviation of a design value from ``buy``, 100 (design/buy - 1), with its sign.
        part: What to look for.
    """

    role: str
    count: int
    design_low: float | None
    design_high: float | None
    buy: float | None
    unit: str
    deviation_percent: float | None
    part: str


def bill_of_materials(loaded: LoadedChip) -> tuple[BillLine, ...]:
    """The parts of the design (nominal values, not those of one die), resistors and capacitors first.

    Raises:
        OutcomeError: The matrix does not fit the chip.
    """
    hardware = loaded.chip.hardware
    nominal = loaded.nominal
    lines: list[BillLine] = []
    for role, component in nominal.components.items():
        if role.part is PartKind.RESISTOR:
            tolerance, written = _tolerance(hardware.resistors.tolerance_dtod), _written(role, loaded)
            ohm = 1.0 / component.value
            if written is None or not len(ohm):
                lines += _grouped(role, ohm, E96, "ohm", f"resistor, {tolerance}")
            else:
                low, high = float(ohm.min()), float(ohm.max())
                part = f"{written}, {tolerance}"
                lines.append(BillLine(role.label, len(ohm), low, high, None, "ohm", None, part))
        elif role.part is PartKind.INDUCTOR:
            part = f"inductor, {_tolerance(hardware.inductors.tolerance_dtod)}"
            lines += _grouped(role, component.value, E12, "henry", part)
        elif role.part is PartKind.CAPACITOR:
            part = f"capacitor, {_tolerance(hardware.capacitors.tolerance_dtod)}"
            lines += _grouped(role, component.value, E12, "farad", part)
        elif role.part is PartKind.TRANSCONDUCTOR:
            part = f"transconductor, programmable, {_tolerance(hardware.transconductors.tolerance_dtod)}"
            low, high = float(component.value.min()), float(component.value.max())
            lines.append(BillLine(role.label, len(component.row), low, high, None, "siemens", None, part))
    for role, (rows, columns) in loaded.chip.inventory.items():
        if role.part is PartKind.AMPLIFIER:
            lines.append(BillLine(role.label, rows * columns, None, None, None, "", None, _amplifier(hardware)))
    return tuple(lines)


def bill_to_csv(lines: tuple[BillLine, ...]) -> str:
    """The lines as CSV with a header; values in SI units with all their digits, empty where a part has none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(BillLine))
    for line in lines:
        writer.writerow("" if value is None else value for value in astuple(line))
    return text.getvalue()


def _grouped(role: Role, values: torch.Tensor, series: tuple[float, ...], unit: str, part: str) -> list[BillLine]:
    groups: dict[float, list[float]] = {}
    for value in sorted(float(v) for v in values):
        groups.setdefault(nearest_in_series(value, series), []).append(value)
    lines: list[BillLine] = []
    for buy, wanted in groups.items():
        deviation = max((100 * (value / buy - 1) for value in wanted), key=abs)
        lines.append(BillLine(role.label, len(wanted), wanted[0], wanted[-1], buy, unit, round(deviation, 4), part))
    return lines


def _written(role: Role, loaded: LoadedChip) -> str | None:
    """What a resistor is whose value is set on the chip; None for one that is bought by its value."""
    hardware, programming = loaded.chip.hardware, loaded.chip.hardware.programming
    if role is Role.DAMPING and hardware.damping is not None and hardware.damping_device is DampingDevice.SWITCHED:
        return f"bank of switched resistors{_bits(hardware.damping.bits)}{_span(hardware.damping_range)}"
    bought = programming.has_levels and programming.bits is None  # preferred values: soldered
    set_once = not programming.effects() and not hardware.memory.effects()
    if bought or set_once or role not in loaded.elements.programmable:
        return None
    device = hardware.memory.device
    kind = "" if device is None else f", {device.value}"
    return f"programmed cell{kind}{_bits(programming.bits)}{_span(loaded.elements.programmable[role])}"


def _bits(bits: int | None) -> str:
    return "" if bits is None else f", {bits} bits"


def _span(limits_siemens: tuple[float, float]) -> str:
    """Range of a resistor, from its smallest resistance."""
    low, high = limits_siemens
    smallest = format_quantity(1.0 / high, "ohm")
    return f", {smallest} to {format_quantity(1.0 / low, 'ohm')}" if low > 0 else f", {smallest} or more"


def _tolerance(relative: float) -> str:
    return f"tolerance {100 * relative:g} % (one standard deviation)" if relative else "no tolerance assumed"


def _amplifier(hardware: HardwareSpec) -> str:
    amplifiers = hardware.amplifiers
    if amplifiers is None:
        return "operational amplifier, taken as ideal"
    return (
        f"operational amplifier, gain-bandwidth product {amplifiers.gain_bandwidth_hz / 1e6:g} MHz, "
        f"swing +-{amplifiers.output_swing_volt:g} V, {amplifiers.output_current_ampere * 1e3:g} mA"
    )
