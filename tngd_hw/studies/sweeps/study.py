"""What a study is: one quantity swept over values, for every topology, matrix family, size and number of readings."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, fields
from typing import Any

from tngd_hw.hardware import HardwareSpec, presets
from tngd_hw.outcome import MisuseError
from tngd_hw.random import check_seed
from tngd_hw.studies.sweeps.dotted import with_hardware_value
from tngd_hw.studies.sweeps.matrices import MatrixFamily, MatrixSource
from tngd_hw.topologies import find_topology

__all__ = ["RunQuantity", "Study", "StudyEngine"]


_TIMING = ("adc.aperture_s", "adc.skew_s_dtod", "adc.jitter_s_std")


class StudyEngine(enum.Enum):
    """Where the equations of a chip come from; both are exact, for whole batches of chips."""

    BEHAVIORAL = "behavioral"
    STATE_SPACE = "state_space"


class RunQuantity(enum.Enum):
    """What can be swept besides the numbers of a hardware specification."""

    DURATION_TAU = "duration_tau"
    KAPPA = "kappa"
    SAMPLES = "samples"


@dataclass(frozen=True)
class Study:
    """A study of linear solves.

    Attributes:
        name: For titles and files.
        quantity: What is swept: a dotted path into the hardware, or ``duration_tau``, ``kappa``, ``samples``.
        values: Its values, increasing.
        topologies: Names of circuits.
        matrices: Matrix families.
        sizes: Numbers of unknowns; the chip has as many nodes.
        chips: Dies a cell, drawn from the same hardware.
        repetitions: Matrices of each family, every one with dies of its own.
        hardware: What the chips are made of, before the swept number is put in.
        engine: Where the equations come from.
        duration_tau: Time of the first reading in tau; None waits until the slowest mode of the perfect circuit has
            decayed to 1e-6.
        kappa: Injected noise, Cov(x) -> kappa A^-1 for symmetric A.
        samples: Numbers of readings that are averaged, one series each.
        spacing_tau: Time between readings in tau.
        seed: Of matrices, dies and training.

    Raises:
        MisuseError: A field that cannot be meant, by its name.
    """

    name: str
    quantity: str
    values: tuple[float, ...]
    topologies: tuple[str, ...] = ("integrator",)
    matrices: tuple[MatrixSource, ...] = (MatrixSource(MatrixFamily.WISHART_4N),)
    sizes: tuple[int, ...] = (16,)
    chips: int = 32
    repetitions: int = 4
    hardware: HardwareSpec = field(default_factory=presets.ideal)
    engine: StudyEngine = StudyEngine.BEHAVIORAL
    duration_tau: float | None = None
    kappa: float = 0.0
    samples: tuple[int, ...] = (1,)
    spacing_tau: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("values", "topologies", "matrices", "sizes", "samples"):
            _check_list(name, getattr(self, name))
        for name in self.topologies:
            find_topology(name)
        for name, counts in (("sizes", self.sizes), ("samples", self.samples)):
            for count in counts:
                _check_count(name, count)
        _check_count("chips", self.chips)
        _check_count("repetitions", self.repetitions)
        check_seed(self.seed)
        if self.duration_tau is not None:
            _check_number("duration_tau", self.duration_tau, above=0.0)
        _check_number("spacing_tau", self.spacing_tau, above=0.0)
        _check_number("kappa", self.kappa, least=0.0)
        self._check_timing()
        self._check_values()

    @property
    def run_quantity(self) -> RunQuantity | None:
        """The swept quantity of the run, or None where a number of the hardware is swept."""
        return RunQuantity(self.quantity) if self.quantity in [q.value for q in RunQuantity] else None

    def hardware_at(self, value: float) -> HardwareSpec:
        """The hardware of one value of the sweep."""
        return self.hardware if self.run_quantity else with_hardware_value(self.hardware, self.quantity, value)

    def _check_timing(self) -> None:
        why = "a study reads every channel at the time of the reading"
        if self.quantity in _TIMING:
            raise MisuseError(
                f"quantity = {self.quantity!r}: {why}, the timing of the ADC apart; sweep duration_tau, or run "
                "tngd_hw.solve with such an ADC"
            )
        adc = self.hardware.adc
        for name, value in zip(_TIMING, (adc.aperture_s, adc.skew_s_dtod, adc.jitter_s_std), strict=True):
            if value != 0:
                raise MisuseError(
                    f"hardware.{name} = {value!r}: {why}; set it to 0, or run tngd_hw.solve with such an ADC"
                )

    def _check_values(self) -> None:
        for value in self.values:
            if not _is_number(value):
                raise MisuseError(f"values: {value!r} is no finite number")
            match self.run_quantity:
                case RunQuantity.DURATION_TAU:
                    _check_number("values (duration_tau)", value, above=0.0)
                case RunQuantity.KAPPA:
                    _check_number("values (kappa)", value, least=0.0)
                case RunQuantity.SAMPLES:
                    _check_count("values (samples)", value)
                case None:
                    self.hardware_at(value)
        if self.run_quantity is RunQuantity.SAMPLES and self.samples != (1,):
            raise MisuseError("samples: it is swept, so give the numbers of readings as values alone")
        if any(b <= a for a, b in zip(self.values, self.values[1:], strict=False)):
            raise MisuseError(f"values = {list(self.values)}: sort them, each above the one before")

    def to_dict(self) -> dict[str, Any]:
        """As plain data, JSON or TOML; a duration of None is left out."""
        document = {f.name: getattr(self, f.name) for f in fields(self)}
        document |= {name: list(document[name]) for name in ("values", "topologies", "sizes", "samples")}
        document["matrices"] = [str(source) for source in self.matrices]
        document["hardware"] = self.hardware.to_dict()
        document["engine"] = self.engine.value
        return {name: value for name, value in document.items() if value is not None}


def _check_list(name: str, value: object) -> None:
    if not isinstance(value, tuple) or not value:
        raise MisuseError(f"{name} = {value!r}: expected a list of at least one entry")
    if len({str(entry) for entry in value}) < len(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - entries of any kind
        raise MisuseError(f"{name}: an entry is there twice; give each once")


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MisuseError(f"{name} = {value!r}: expected a whole number of at least 1")


def _check_number(name: str, value: object, *, above: float | None = None, least: float | None = None) -> None:
    if not _is_number(value):
        raise MisuseError(f"{name} = {value!r}: expected a finite number")
    assert isinstance(value, int | float)
    if above is not None and value <= above:
        raise MisuseError(f"{name} = {value!r}: expected a number above {above:g}")
    if least is not None and value < least:
        raise MisuseError(f"{name} = {value!r}: expected a number of {least:g} or more")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
