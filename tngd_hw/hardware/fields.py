"""Field types of hardware parts: physical numbers, checked, with SI text accepted where the unit is in the name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from tngd_hw.outcome import MisuseError
from tngd_hw.units import parse_quantity

__all__ = [
    "Bits",
    "Coefficient",
    "Fraction",
    "Part",
    "PartError",
    "Physical",
    "Positive",
    "Probability",
    "Signed",
    "nearest",
    "unit_of",
]

_UNITS = ("ohm", "farad", "henry", "siemens", "volt", "ampere", "hz", "kelvin", "s", "coulomb")


def _with_unit(value: object, info: ValidationInfo) -> object:
    """Text such as "10k" or "1 nF" to a number, its unit checked against the field's name."""
    if not isinstance(value, str) or info.field_name is None:
        return value
    unit = unit_of(info.field_name)
    return value if unit is None else parse_quantity(value, unit, info.field_name)


def unit_of(field: str) -> str | None:
    """The unit in a field's name: ``"volt"`` for ``offset_volt_dtod`` and ``slew_volt_per_s``; None without one."""
    words = field.partition("_per_")[0].split("_")
    return next((word for word in reversed(words) if word in _UNITS), None)


Positive = Annotated[float, BeforeValidator(_with_unit), Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""

Physical = Annotated[float, BeforeValidator(_with_unit), Field(ge=0, allow_inf_nan=False)]
"""A finite number of 0 or more."""

Signed = Annotated[float, BeforeValidator(_with_unit), Field(allow_inf_nan=False)]
"""A finite number of either sign."""

Coefficient = Annotated[float, Field(allow_inf_nan=False)]
"""A finite number of either sign in a unit that has no text form, such as 1/K."""

Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
"""A relative standard deviation: 0.01 is 1 %."""

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A share of all components."""

Bits = Annotated[int, Field(ge=1, le=64)]
"""A number of bits."""


class PartError(MisuseError):
    """Fields that cannot be meant, each with its path below the part, what was given and what is allowed."""

    def __init__(self, message: str, faults: Sequence[tuple[tuple[str, ...], str]] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class Part(BaseModel):
    """Base of all hardware parts: immutable, no unknown keys, no silent conversion of types.

    An enumeration is declared ``Annotated[Kind, Field(strict=False)]``, so that a file may give its value as text.

    Raises:
        MisuseError: A field that cannot be meant, by its dotted path, its value and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Every effect of the part, with the values of its fields at which it is absent.

    A field in no effect is a nominal value, which stays when effects are switched off.  A part that declares none has
    one effect, itself, which is absent when every field has its default.
    """

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            faults = [fault for item in error.errors() for fault in _faults(item, type(self))]
            root = type(self).__name__.lower().removesuffix("spec")
            raise PartError("; ".join(".".join((root, *path)) + says for path, says in faults), faults) from None

    @classmethod
    def neutral(cls) -> Mapping[str, Mapping[str, object]]:
        """The values of every effect's fields at which it is absent; the name of the only one is empty."""
        defaults = {name: field.default for name, field in cls.model_fields.items() if not field.is_required()}
        return cls.EFFECTS or {"": defaults}

    def effects(self) -> tuple[str, ...]:
        """The effects that are present."""
        return tuple(
            name
            for name, fields in self.neutral().items()
            if any(getattr(self, field) != value for field, value in fields.items())
        )

    def changed(self, values: Mapping[str, object]) -> Self:
        """The same part with other values of some fields, checked as a whole."""
        return type(self)(**{**dict(self), **values})


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for a name that begins or is nearly one of ``known``; else the list of them."""
    names = list(known)
    near = [known for known in names if name and known.startswith(name)]
    near = near or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"


def _faults(error: ErrorDetails, part: type[Part]) -> list[tuple[tuple[str, ...], str]]:
    """Paths below ``part`` and what is wrong there; those of a part inside it keep their own paths."""
    path = tuple(str(step) for step in error["loc"])
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, PartError):
        return [((*path, *below), says) for below, says in cause.faults]
    if error["type"] == "missing":
        return [(path, ": required")]
    given = f" = {error['input']!r}: "
    if error["type"] == "extra_forbidden":
        return [(path, f"{given}unknown key{nearest(path[-1], part.model_fields)}")]
    repeated = f"{path[-1]}{given}" if path else ""
    return [(path, given + error["msg"].removeprefix("Value error, ").removeprefix(repeated))]
