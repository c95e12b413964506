"""Effects switched off and on: the causes of error that a budget tells apart, over all parts of a chip.

An effect has a dotted name, ``"resistors.tolerance"``; the name of a part stands for all of its effects.  What is
switched off gets the neutral values that its part declares (:attr:`~tngd_hw.hardware.fields.Part.EFFECTS`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tngd_hw.hardware.fields import Part, nearest
from tngd_hw.outcome import MisuseError

__all__ = ["ENDS_OF_LEVELS", "dotted_name", "kept_values", "named_effects", "neutral_values"]

Effect = tuple[str, str]
"""A part, and one of its effects: empty for a part that is one effect as a whole."""

ENDS_OF_LEVELS: tuple[Effect, ...] = (("resistors", "range"), ("capacitors", "stray"), ("damping", "range"))
"""What levels lie between."""

_LEVELS: Effect = ("programming", "levels")


def dotted_name(effect: Effect) -> str:
    """``"part.effect"``, or the part alone."""
    return ".".join(filter(None, effect))


def named_effects(parts: Mapping[str, Part], names: Iterable[str], *, levels: bool) -> list[Effect]:
    """The effects that ``names`` mean; with ``levels``, the ends of the range go with the levels.

    Raises:
        MisuseError: A name that is neither an effect nor a part; the nearest is offered.
    """
    known: dict[str, list[Effect]] = {}
    for part, values in parts.items():
        own = [(part, effect) for effect in values.neutral()]
        known |= {dotted_name(effect): [effect] for effect in own} | {part: own}
    found: list[Effect] = []
    for name in names:
        if name not in known:
            raise MisuseError(f"effect = {name!r}: unknown{nearest(name, known)}")
        found += known[name]
    ends = [end for end in ENDS_OF_LEVELS if end[0] in parts] if levels and _LEVELS in found else []
    return [*found, *ends]


def neutral_values(parts: Mapping[str, Part], effects: Sequence[Effect]) -> dict[str, dict[str, object]]:
    """By part, the fields of these effects with the values at which they are absent."""
    found: dict[str, dict[str, object]] = {}
    for part, effect in effects:
        found.setdefault(part, {}).update(parts[part].neutral()[effect])
    return found


def kept_values(parts: Mapping[str, Part], effects: Sequence[Effect]) -> dict[str, dict[str, object]]:
    """By part, the fields of these effects with the values that they have."""
    neutral = neutral_values(parts, effects)
    return {part: {field: getattr(parts[part], field) for field in fields} for part, fields in neutral.items()}
