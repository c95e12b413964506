"""Field types of hardware parts: physical numbers, checked, with SI text accepted where the unit is in the name."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from tngd_hw.units import parse_quantity

__all__ = ["Fraction", "Part", "Physical", "Positive"]

_UNITS = ("ohm", "farad", "henry", "siemens", "volt", "ampere", "hz", "kelvin", "s")


def _with_unit(value: object, info: ValidationInfo) -> object:
    """Text such as "10k" or "1 nF" to a number, its unit checked against the field's name."""
    if not isinstance(value, str) or info.field_name is None:
        return value
    words = info.field_name.split("_")
    unit = next((word for word in reversed(words) if word in _UNITS), None)
    return value if unit is None else parse_quantity(value, unit, info.field_name)


Positive = Annotated[float, BeforeValidator(_with_unit), Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""

Physical = Annotated[float, BeforeValidator(_with_unit), Field(ge=0, allow_inf_nan=False)]
"""A finite number of 0 or more."""

Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
"""A relative standard deviation: 0.01 is 1 %."""


class Part(BaseModel):
    """Base of all hardware parts: immutable, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
