"""HardwareSpec: what a chip is made of.  A tree of small frozen parts, strict when read, hashed into every result."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tngd_hw.hardware.amplifiers import Amplifiers
from tngd_hw.hardware.capacitors import Capacitors
from tngd_hw.hardware.fields import Part
from tngd_hw.hardware.inductors import Inductors
from tngd_hw.hardware.resistors import Resistors
from tngd_hw.hardware.transconductors import Transconductors
from tngd_hw.outcome import MisuseError
from tngd_hw.storage import write_text

__all__ = ["HardwareSpec", "PhysicalPart"]

PhysicalPart = Resistors | Capacitors | Inductors | Transconductors | Amplifiers
"""Everything that is drawn once a chip and acts on elements."""


class HardwareSpec(Part):
    """The parts of a chip.

    Attributes:
        name: Name of the preset it started from, or the user's own.
        resistors: Range and tolerance of the resistors.
        capacitors: Value and tolerance of the capacitors.
        inductors: Value and tolerance of the inductors.
        transconductors: Tolerance, gain and range of the transconductors.
        amplifiers: The operational amplifiers, or None for ideal ones (no finite gain, range or current).
    """

    name: str
    resistors: Resistors = Resistors()
    capacitors: Capacitors = Capacitors()
    inductors: Inductors = Inductors()
    transconductors: Transconductors = Transconductors()
    amplifiers: Amplifiers | None = None

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> HardwareSpec:
        """Read a document of TOML or JSON; MisuseError names the dotted path, the value and what is allowed."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise MisuseError("; ".join(_sentence(e) for e in error.errors())) from None

    @classmethod
    def from_file(cls, path: str | Path) -> HardwareSpec:
        """Read a TOML (or, by its ending, JSON) file."""
        try:
            text = Path(path).read_text(encoding="utf-8")
            document = json.loads(text) if str(path).endswith(".json") else tomllib.loads(text)
        except OSError as error:
            raise MisuseError(f"hardware = {path}: cannot be read ({error.strerror})") from None
        except (UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
            raise MisuseError(f"hardware = {path}: not readable as TOML or JSON ({error})") from None
        return cls.from_dict(document)

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain data; parts that are absent are left out."""
        return self.model_dump(exclude_none=True)

    def to_file(self, path: str | Path) -> None:
        """Write TOML (or, by its ending, JSON)."""
        document = self.to_dict()
        write_text(path, json.dumps(document, indent=2) if str(path).endswith(".json") else tomli_w.dumps(document))

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON: the same numbers have the same hash."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def parts(self) -> dict[str, PhysicalPart]:
        """The parts that act on elements, by field name, in the order in which they are applied."""
        present: dict[str, PhysicalPart] = {
            "resistors": self.resistors,
            "capacitors": self.capacitors,
            "inductors": self.inductors,
            "transconductors": self.transconductors,
        }
        return present if self.amplifiers is None else {**present, "amplifiers": self.amplifiers}

    def __str__(self) -> str:
        """The name and what differs from the parts' defaults."""
        changed = self.model_dump(exclude_defaults=True, exclude={"name"})
        shown = ", ".join(f"{part}({_settings(fields)})" for part, fields in changed.items())
        return f"{self.name}: {shown}" if shown else f"{self.name}: all defaults"


def _settings(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value:.6g}" for name, value in fields.items())


def _sentence(error: ErrorDetails) -> str:
    path = ".".join(["hardware", *(str(step) for step in error["loc"])])
    if error["type"] == "extra_forbidden":
        return f"{path} = {error['input']!r}: unknown key; see tngd-hw presets for the keys"
    field = "" if not error["loc"] else f"{error['loc'][-1]} = {error['input']!r}: "
    message = error["msg"].removeprefix("Value error, ").removeprefix(field)
    return f"{path} = {error['input']!r}: {message}"
