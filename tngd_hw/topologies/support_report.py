"""What is programmed beside the matrix: the reference of an offset encoding, damping resistors; wanted and written."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tngd_hw.hardware import DampingDevice, Elements, HardwareSpec, Role, present
from tngd_hw.units import format_quantity

if TYPE_CHECKING:
    from tngd_hw.topologies.loaded import LoadedChip

__all__ = ["SupportReport", "support_reports", "without_ranges"]

_NAMES = {Role.REFERENCE_ARRAY: "reference", Role.DAMPING: "damping"}


@dataclass(frozen=True)
class SupportReport:
    """One group of resistors that is set for every matrix and holds no entry of it.

    Attributes:
        name: reference or damping.
        device: cell (as the array), switched or fixed.
        count: How many there are on this die.
        wanted_siemens: Smallest and largest conductance if resistors could have any value.
        written_siemens: Smallest and largest on this die, of those that there are; None where there is none.
        raised: Those below their range that got its smallest value.
        dropped: Those that are missing: below half of that value, rounded to 0, or stuck there.
    """

    name: str
    device: str
    count: int
    wanted_siemens: tuple[float, float]
    written_siemens: tuple[float, float] | None
    raised: int
    dropped: int

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        written = None if self.written_siemens is None else list(self.written_siemens)
        return asdict(self) | {"wanted_siemens": list(self.wanted_siemens), "written_siemens": written}

    def __str__(self) -> str:
        kind = "cells" if self.device == DampingDevice.CELL.value else f"{self.device} resistors"
        found = "" if self.written_siemens is None else f" of {_range(self.written_siemens)}"
        out_of_range = self.raised + self.dropped
        lost = f", {out_of_range} below the range ({self.dropped} dropped)" if out_of_range else ""
        return f"{self.count} {kind}{found}, {_range(self.wanted_siemens)} wanted{lost}"


def support_reports(loaded: LoadedChip) -> tuple[SupportReport, ...]:
    """One report a role of ``topology.support_roles`` that the matrix needs; a single chip."""
    hardware, wanted = loaded.chip.hardware, without_ranges(loaded)
    found = present(loaded.elements)
    reports: list[SupportReport] = []
    for role in loaded.topology.support_roles:
        if role not in wanted.components:
            continue
        values = wanted.value(role)
        values = values[values > 0]
        if not len(values):
            continue
        on_die = found.value(role)
        on_die = on_die[on_die > 0]
        device = hardware.damping_device if role is Role.DAMPING else DampingDevice.CELL
        reports.append(
            SupportReport(
                name=_NAMES[role],
                device=device.value,
                count=len(on_die),
                wanted_siemens=_ends(values),
                written_siemens=_ends(on_die) if len(on_die) else None,
                raised=_raised(role, loaded.nominal.value(role), hardware),
                dropped=len(values) - len(on_die),
            )
        )
    return tuple(reports)


def without_ranges(loaded: LoadedChip) -> Elements:
    """The elements that the design asks for if resistors could have any value, in the same scales."""
    hardware = loaded.chip.hardware
    unlimited: dict[str, object] = {"resistors": hardware.resistors.model_copy(update={"largest_ohm": None})}
    if hardware.damping is not None:
        unlimited["damping"] = hardware.damping.model_copy(update={"largest_ohm": None})
    design = replace(loaded.design, hardware=hardware.model_copy(update=unlimited))
    return loaded.topology.elements(loaded.mapped, design)


def _raised(role: Role, designed: Tensor, hardware: HardwareSpec) -> int:
    """Those that the design puts at the smallest value of their range."""
    low, _ = hardware.damping_range if role is Role.DAMPING else hardware.range_of(role.part)
    return int((designed <= low * (1 + 1e-12)).sum()) if low > 0 else 0


def _ends(values: Tensor) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _range(ends: tuple[float, float]) -> str:
    low, high = (format_quantity(value, "siemens") for value in ends)
    return low if low == high else f"{low} to {high}"
