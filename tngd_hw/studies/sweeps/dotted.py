"""A dotted path into a hardware specification: ``resistors.tolerance_dtod`` set to another value."""

from __future__ import annotations

import difflib
from typing import Any

from tngd_hw.hardware import HardwareSpec
from tngd_hw.outcome import MisuseError

__all__ = ["with_hardware_value"]


def with_hardware_value(spec: HardwareSpec, path: str, value: float) -> HardwareSpec:
    """``spec`` with the number at ``path`` replaced; parts on the way that were left at their defaults appear.

    The whole is validated as a file would be: unknown keys, wrong types and values out of range raise.

    Raises:
        MisuseError: The path leads to no number of a specification, or the value is not allowed there.
    """
    document = spec.to_dict()
    part, _, field = path.partition(".")
    known = [name for name in HardwareSpec.model_fields if name != "name"]
    if part not in known:
        near = difflib.get_close_matches(part, known, n=1, cutoff=0.3)
        offer = f"; did you mean {near[0]!r}?" if near else ""
        raise MisuseError(f"quantity = {path!r}: a specification has the parts {', '.join(known)}{offer}")
    if not field:
        raise MisuseError(f"quantity = {path!r}: name the field too, for example resistors.tolerance_dtod")
    if spec.model_dump(include={part})[part] is None:
        advice = "give hardware that has them, for example pcb_1k_1n"
        raise MisuseError(f"quantity = {path!r}: hardware {spec.name!r} has no {part}; {advice}")
    level: dict[str, Any] = document
    *way, last = path.split(".")
    for step in way:
        level = level.setdefault(step, {})
        if not isinstance(level, dict):
            raise MisuseError(f"quantity = {path!r}: {step} is a number and has no parts")
    level[last] = value
    return HardwareSpec.from_dict(document)
