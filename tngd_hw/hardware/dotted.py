"""Dotted paths into a tree of parts: ``resistors.tolerance_dtod`` replaced, listed, compared and printed."""

from __future__ import annotations

from enum import Enum
from typing import Any

from tngd_hw.hardware.fields import Part
from tngd_hw.outcome import MisuseError

__all__ = ["differing", "leaves", "replaced", "settings"]


def replaced(part: object, path: str, value: object, *, walked: int = 0) -> dict[str, Any]:
    """The fields of ``part``, not yet checked, with ``value`` where the rest of ``path`` leads.

    A part that is absent appears.

    Raises:
        MisuseError: The path goes on below a value.
    """
    step, *rest = path.split(".")[walked:]
    if part is not None and not isinstance(part, Part):
        raise MisuseError(f"hardware.{path}: {part!r} has no field {step!r}")
    values: dict[str, Any] = {} if part is None else dict(part)
    values[step] = replaced(values.get(step), path, value, walked=walked + 1) if rest else value
    return values


def leaves(part: Part, path: str = "") -> dict[str, object]:
    """Every value that is present in the parts of ``part``, by its dotted path."""
    found: dict[str, object] = {}
    for name, value in part:
        if isinstance(value, Part):
            found |= leaves(value, f"{path}{name}.")
        elif value is not None and path:
            found[path + name] = value
    return found


def differing(one: Part, other: Part) -> dict[str, tuple[object, object]]:
    """Dotted path -> (value in ``one``, value in ``other``) where they differ; None for what is absent."""
    mine, theirs = leaves(one), leaves(other)
    pairs = {path: (mine.get(path), theirs.get(path)) for path in {**mine, **theirs}}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def settings(tree: Part, base: Part) -> str:
    """``part(field=value, ...), part=None`` of what differs in ``tree`` from ``base``; empty if nothing does."""
    shown: dict[str, list[str]] = {}
    for path, (value, _) in differing(tree, base).items():
        part, _, field = path.partition(".")
        if getattr(tree, part) is None:
            shown[f"{part}=None"] = []
        else:
            shown.setdefault(part, []).append(f"{field}={_text(value)}")
    return ", ".join(f"{part}({', '.join(values)})" if values else part for part, values in shown.items())


def _text(value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    return f"{value:.6g}" if isinstance(value, float) else str(value)
