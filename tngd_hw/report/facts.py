"""Facts about the chip for a report: every number of a specification with its unit, and where the numbers come from."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from tngd_hw.hardware import HardwareSpec
from tngd_hw.hardware.presets import PRESETS
from tngd_hw.report.metrics import HardwareFacts
from tngd_hw.units import format_quantity

__all__ = ["hardware_facts"]

_UNITS = ("ohm", "farad", "siemens", "volt", "ampere", "hz", "kelvin", "s")


def hardware_facts(spec: HardwareSpec, *, seed: int) -> HardwareFacts:
    """What a report says of ``spec``.

    The source of the numbers is the text of the preset if the specification equals it to the last digit.

    Args:
        spec: The chip's specification.
        seed: Seed of the die made from it.
    """
    return {
        "name": spec.name,
        "hash": spec.hash,
        "text": str(spec),
        "values": _values(spec.to_dict()),
        "source": _source(spec),
        "seed": seed,
    }


def _source(spec: HardwareSpec) -> str:
    preset = PRESETS.get(spec.name)
    if preset is None or preset().hash != spec.hash:
        return "numbers chosen by the user"
    paragraphs = (inspect.getdoc(preset) or "see tngd_hw.hardware.presets").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _values(tree: Mapping[str, Any], path: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= _values(value, f"{path}{name}.")  # pyright: ignore[reportUnknownArgumentType] - nested plain data
        elif name != "name":
            found[path + name] = _with_unit(name, value)
    return found


def _with_unit(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    words = name.split("_")
    unit = next((unit for unit in _UNITS if unit in words), None)
    if unit is not None:
        return format_quantity(value, unit)
    return f"{100 * value:g} %" if "tolerance" in words else f"{value:g}"
