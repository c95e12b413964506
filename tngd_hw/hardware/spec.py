"""HardwareSpec: what a chip is made of.  A tree of small frozen parts, strict when read, hashed into every result."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import tomli_w
from pydantic import model_validator

from tngd_hw.hardware.amplifiers import Amplifiers
from tngd_hw.hardware.capacitors import Capacitors
from tngd_hw.hardware.converters import Adc, Dac
from tngd_hw.hardware.damping import Damping, DampingDevice
from tngd_hw.hardware.dotted import differing, replaced, settings
from tngd_hw.hardware.draws import Die, Draws
from tngd_hw.hardware.effects import ENDS_OF_LEVELS, dotted_name, kept_values, named_effects, neutral_values
from tngd_hw.hardware.elements import PartKind, Role
from tngd_hw.hardware.fields import Part, PartError
from tngd_hw.hardware.generator import Generator
from tngd_hw.hardware.inductors import Inductors
from tngd_hw.hardware.memory import Memory
from tngd_hw.hardware.mismatch import Mismatch
from tngd_hw.hardware.noise import Noise
from tngd_hw.hardware.programming import Programming
from tngd_hw.hardware.reset import Reset
from tngd_hw.hardware.resistors import Resistors
from tngd_hw.hardware.temperature import Temperature
from tngd_hw.hardware.transconductors import Transconductors
from tngd_hw.hardware.wiring import Wiring
from tngd_hw.outcome import MisuseError
from tngd_hw.storage import write_text

__all__ = ["HardwareSpec", "PhysicalPart", "WrittenPart"]


class WrittenPart(Protocol):
    """A part that draws at every programming (``_std``)."""

    def draw_write(self, die: Die) -> Draws:
        """What one writing of one die draws; ``die.seed`` is the seed of the programming."""
        ...


PhysicalPart = (
    Generator | Programming | Memory | Damping | Mismatch | Resistors | Capacitors | Inductors | Transconductors
    | Amplifiers | Wiring | Temperature | Noise
)  # fmt: skip
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
        programming: Levels of what holds the matrix, rounding and programming error.
        memory: What written values become: fitted devices, drift, read noise, stuck devices.
        damping: What damping resistors apart from the arrays are, or None for cells like those of the arrays.
        mismatch: Corners, and deviations that the components of a die share.
        temperature: Of operation, and the coefficients of every kind of part.
        noise: Thermal noise of the parts.
        generator: Of the injected noise.
        wiring: Resistance, capacitance and leakage of the wires.
        dac: The converters that put b and x0 on the chip.
        adc: The converters that read its voltages.
        reset: The switches that load x0.
    """

    name: str
    resistors: Resistors = Resistors()
    capacitors: Capacitors = Capacitors()
    inductors: Inductors = Inductors()
    transconductors: Transconductors = Transconductors()
    amplifiers: Amplifiers | None = None
    programming: Programming = Programming()
    memory: Memory = Memory()
    damping: Damping | None = None
    mismatch: Mismatch = Mismatch()
    temperature: Temperature = Temperature()
    noise: Noise = Noise()
    generator: Generator = Generator()
    wiring: Wiring = Wiring()
    dac: Dac = Dac()
    adc: Adc = Adc()
    reset: Reset = Reset()

    @model_validator(mode="after")
    def _programming_fits_the_range(self) -> Self:
        """Levels that take a smallest value have one, and a fitted device has the conductances that were measured."""
        spacing = self.programming.spacing.value
        if self.programming.needs_smallest and self.resistors.largest_ohm is None and self.capacitors.stray_farad == 0:
            says = f" = {spacing!r}: these levels start at a smallest value above 0; give resistors.largest_ohm"
            raise PartError(f"programming.spacing{says}", [(("programming", "spacing"), says)])
        model, smallest = self.memory.model, {"resistors.resistance_ohm": self.resistors.resistance_ohm}
        if self.damping_device is DampingDevice.CELL:
            smallest["damping.smallest_ohm"] = 1.0 / self.damping_range[1]
        for field, ohm in smallest.items():
            if self.memory.device is not None and model is not None and 1e6 / ohm > model.largest_us * (1 + 1e-6):
                says = (
                    f" = {self.memory.device.value!r}: measured up to {model.largest_us:g} uS, and {field}"
                    f" = {ohm:g} is {1e6 / ohm:.4g} uS; give {1e6 / model.largest_us:.6g} or more"
                )
                raise PartError(f"memory.device{says}", [(("memory", "device"), says)])
        return self

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> HardwareSpec:
        """Read a document of TOML or JSON; MisuseError names the dotted path, the value and what is allowed."""
        if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
            raise MisuseError(f"hardware = {document!r}: a specification is a dictionary with text as keys")
        return cls(**document)

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
        """The tree as plain data, enumerations by their values; parts and numbers that are absent are left out."""
        return self.model_dump(mode="json", exclude_none=True)

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
            "generator": self.generator,
            "programming": self.programming,
            "memory": self.memory,
        }
        if self.damping is not None:
            present["damping"] = self.damping
        present |= {
            "mismatch": self.mismatch,
            "resistors": self.resistors,
            "capacitors": self.capacitors,
            "inductors": self.inductors,
            "transconductors": self.transconductors,
        }
        if self.amplifiers is not None:
            present["amplifiers"] = self.amplifiers
        return {**present, "temperature": self.temperature, "wiring": self.wiring, "noise": self.noise}

    def ports(self) -> dict[str, Dac | Adc | Reset]:
        """The parts at the ends of the wires, by field name: they act on what is put on a chip and read from it."""
        return {"dac": self.dac, "adc": self.adc, "reset": self.reset}

    def range_of(self, kind: PartKind) -> tuple[float, float]:
        """Smallest (0: absent) and largest value of a programmable component: siemens or farad.

        Raises:
            MisuseError: A kind that holds no matrix.
        """
        unit, largest = 1.0 / self.resistors.resistance_ohm, self.resistors.largest_ohm
        ranges = {
            PartKind.RESISTOR: (0.0 if largest is None else 1.0 / largest, unit),
            PartKind.TRANSCONDUCTOR: (0.0, unit),
            PartKind.CAPACITOR: (self.capacitors.stray_farad, self.capacitors.capacitance_farad),
        }
        if kind not in ranges:
            raise MisuseError(f"kind = {kind}: only resistors, transconductors and capacitors can be programmed")
        return ranges[kind]

    @property
    def damping_device(self) -> DampingDevice:
        """What damping resistors apart from the arrays are."""
        return DampingDevice.CELL if self.damping is None else self.damping.device

    @property
    def damping_range(self) -> tuple[float, float]:
        """Smallest (0: no limit) and largest conductance of a damping resistor, siemens.

        A fixed one has any resistance down to ``resistors.resistance_ohm``.
        """
        of_array = self.range_of(PartKind.RESISTOR)
        if self.damping_device is DampingDevice.FIXED:
            return 0.0, of_array[1]
        own = None if self.damping is None else self.damping.limits_siemens
        return of_array if own is None else own

    def programmable(self, roles: Collection[Role]) -> dict[Role, tuple[float, float]]:
        """The ranges of those of ``roles`` that are programmed as the array is: not of other damping resistors."""
        of_array = {role: self.range_of(role.part) for role in roles if role is not Role.DAMPING}
        if Role.DAMPING in roles and self.damping_device is DampingDevice.CELL:
            return {**of_array, Role.DAMPING: self.damping_range}
        return of_array

    def written_parts(self) -> dict[str, WrittenPart]:
        """Those of :meth:`parts` that also draw at every programming."""
        return {"programming": self.programming, "memory": self.memory}

    def with_value(self, path: str, value: object) -> HardwareSpec:
        """The specification with another value at a dotted path, such as ``"resistors.tolerance_dtod"``.

        A part that is absent appears, if its other fields have defaults.

        Raises:
            MisuseError: The path leads nowhere, or the value is not allowed there; everything is checked as in a file.
        """
        return HardwareSpec(**replaced(self, path, value))

    def effects(self) -> tuple[str, ...]:
        """Dotted names of the effects that are present, such as ``"resistors.tolerance"``: causes of error.

        The ends of the range belong to ``"programming.levels"`` where there are levels: they lie between them.
        """
        present = [(name, effect) for name, part in self._all_parts().items() for effect in part.effects()]
        ends = ENDS_OF_LEVELS if self.programming.has_levels else ()
        return tuple(dotted_name(effect) for effect in present if effect not in ends)

    def without(self, *names: str) -> HardwareSpec:
        """The specification without these effects; the name of a part stands for all of its effects.

        Nominal values stay: fields that belong to no effect, such as resistances, areas and output ranges.

        Raises:
            MisuseError: A name that is no effect; the nearest is offered.  Or what is left makes no chip.
        """
        parts = self._all_parts()
        return self._with(neutral_values(parts, named_effects(parts, names, levels=self.programming.has_levels)))

    def only(self, *names: str) -> HardwareSpec:
        """The specification with these effects alone; without a name: none, the chip to compare others with.

        Amplifiers stay, with a gain of 1e12 and a bandwidth of 1e12 Hz, so that scales do not change.

        Raises:
            MisuseError: A name that is no effect; the nearest is offered.
        """
        parts = self._all_parts()
        kept = kept_values(parts, named_effects(parts, names, levels=self.programming.has_levels))
        return self.without(*parts)._with(kept)

    def differences(self, other: HardwareSpec) -> dict[str, tuple[object, object]]:
        """Dotted path -> (value here, value in ``other``) where they differ; None for what is absent."""
        return differing(self, other)

    def __str__(self) -> str:
        """The name, and what differs from the preset of that name, or else from the parts' defaults."""
        from tngd_hw.hardware.presets import PRESETS  # not above: presets are made of this class

        known = self.name in PRESETS
        shown = settings(self, PRESETS[self.name]() if known else HardwareSpec(name=self.name))
        return f"{self.name}: {shown or ('as the preset' if known else 'all defaults')}"

    def _all_parts(self) -> dict[str, Part]:
        return {name: part for name, part in self if isinstance(part, Part)}

    def _with(self, values: Mapping[str, Mapping[str, object]]) -> HardwareSpec:
        """The specification with other values of some fields, by part."""
        parts = self._all_parts()
        return self.changed({name: parts[name].changed(fields) for name, fields in values.items()})
