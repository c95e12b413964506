"""What the simulation of a user's deck gave: labelled, with units, to look at and to keep."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tngd_hw.netlist import DcSolution, Kind
from tngd_hw.outcome import Status
from tngd_hw.storage import atomic_path, make_directory, save_dataset

if TYPE_CHECKING:
    import xarray

__all__ = ["AcResult", "DeckEngine", "DeckResult", "NoiseResult", "TransientResult"]

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]


class DeckEngine(enum.Enum):
    """Who simulates a deck."""

    STATE_SPACE = "state_space"
    """Our own equations, solved exactly; linear circuits."""

    NGSPICE = "ngspice"
    """The circuit simulator, given a deck that we write."""


@dataclass(frozen=True, eq=False)
class TransientResult:
    """Node voltages against time.

    Attributes:
        times_s: Shape (T,), increasing.
        voltage_volt: Shape (T, p).
        nodes: p names.
        status: OK, or why the voltages are missing or not to be relied on.
    """

    times_s: Floats
    voltage_volt: Floats
    nodes: tuple[str, ...]
    status: Status

    kind = "transient"

    def table(self) -> tuple[list[str], Floats]:
        """Headings with units, and one row a time."""
        heads = ["time_s", *(f"v({node})_volt" for node in self.nodes)]
        return heads, np.column_stack([self.times_s, self.voltage_volt])

    def to_xarray(self) -> xarray.Dataset:
        """``voltage_volt`` over time_s and node."""
        import xarray

        volts = (["time_s", "node"], self.voltage_volt, {"units": "V"})
        coordinates = {"time_s": ("time_s", self.times_s, {"units": "s"}), "node": list(self.nodes)}
        return xarray.Dataset({"voltage_volt": volts}, coords=coordinates)


@dataclass(frozen=True, eq=False)
class AcResult:
    """Complex node voltages against frequency.

    Attributes:
        frequency_hz: Shape (K,), increasing.
        voltage_volt: Shape (K, p): response to the ``ac`` amplitudes of all sources.
        nodes: p names.
        status: OK, or why the voltages are missing or not to be relied on.
    """

    frequency_hz: Floats
    voltage_volt: Complexes
    nodes: tuple[str, ...]
    status: Status

    kind = "ac"

    def table(self) -> tuple[list[str], Floats]:
        """Headings with units, and one row a frequency: real and imaginary part of every node."""
        heads = ["frequency_hz", *(f"v({node})_{part}_volt" for node in self.nodes for part in ("real", "imag"))]
        parts = np.stack([self.voltage_volt.real, self.voltage_volt.imag], axis=2)
        return heads, np.column_stack([self.frequency_hz, parts.reshape(len(parts), -1)])

    def to_xarray(self) -> xarray.Dataset:
        """``voltage_real_volt`` and ``voltage_imag_volt`` (netCDF has no complex numbers) over frequency and node."""
        import xarray

        dims, unit = ["frequency_hz", "node"], {"units": "V"}
        parts = {"voltage_real_volt": self.voltage_volt.real, "voltage_imag_volt": self.voltage_volt.imag}
        coordinates = {"frequency_hz": ("frequency_hz", self.frequency_hz, {"units": "Hz"}), "node": list(self.nodes)}
        return xarray.Dataset({name: (dims, part, unit) for name, part in parts.items()}, coords=coordinates)


@dataclass(frozen=True, eq=False)
class NoiseResult:
    """Noise at an output and referred to a source.

    Attributes:
        output: ``"out"``, or ``"out,ref"`` for a difference.
        source: The source referred to, with its letter.
        source_unit: ``"V"`` or ``"A"``.
        frequency_hz: Shape (K,), increasing.
        output_density: Shape (K,), V/sqrt(Hz).
        input_density: Shape (K,), V/sqrt(Hz) or A/sqrt(Hz).
        output_total_volt: Rms over the band.
        input_total: Rms over the band, V or A.
        status: OK, or why the numbers are missing or not to be relied on.
    """

    output: str
    source: str
    source_unit: str
    frequency_hz: Floats
    output_density: Floats
    input_density: Floats
    output_total_volt: float
    input_total: float
    status: Status

    kind = "noise"

    def table(self) -> tuple[list[str], Floats]:
        """Headings with units, and one row a frequency."""
        unit = "volt" if self.source_unit == "V" else "ampere"
        heads = ["frequency_hz", "output_volt_per_sqrt_hz", f"input_{unit}_per_sqrt_hz"]
        return heads, np.column_stack([self.frequency_hz, self.output_density, self.input_density])

    def to_xarray(self) -> xarray.Dataset:
        """Both densities over frequency_hz; names and integrals in the attributes."""
        import xarray

        densities = {
            "output_density": ("frequency_hz", self.output_density, {"units": "V/sqrt(Hz)"}),
            "input_density": ("frequency_hz", self.input_density, {"units": f"{self.source_unit}/sqrt(Hz)"}),
        }
        return xarray.Dataset(
            densities,
            coords={"frequency_hz": ("frequency_hz", self.frequency_hz, {"units": "Hz"})},
            attrs={
                "output": self.output,
                "source": self.source,
                "output_total_volt": self.output_total_volt,
                "input_total": self.input_total,
                "input_total_unit": self.source_unit,
            },
        )


@dataclass(frozen=True, eq=False)
class DeckResult:
    """All analyses of a deck.

    Attributes:
        title: First line of the deck.
        engine: Who simulated it.
        element_counts: Number of elements by kind, those inside cells included.
        operating_point: Voltages and currents at rest; None where there is none.
        analyses: In the deck's order, without the operating point.
        status: The first that is not OK, else OK.
        notes: What a reader should know, a sentence each.
    """

    title: str
    engine: DeckEngine
    element_counts: Mapping[Kind, int]
    operating_point: DcSolution | None
    analyses: tuple[TransientResult | AcResult | NoiseResult, ...]
    status: Status
    notes: tuple[str, ...]

    def save(self, directory: str | Path) -> list[Path]:
        """Write every analysis as CSV and netCDF: ``transient.csv``, ``ac.nc``, ``noise_2.nc`` for a second one.

        An analysis without points (it failed) is left out, and files of an earlier run stay.

        Returns:
            The files, in order.
        """
        folder = make_directory(directory, "--out")
        files: list[Path] = []
        for stem, analysis in self.named():
            heads, rows = analysis.table()
            if len(rows) == 0:
                continue
            with atomic_path(folder / f"{stem}.csv") as temporary:
                np.savetxt(temporary, rows, fmt="%.17g", delimiter=",", header=",".join(heads), comments="")
            attributes = {"title": self.title, "engine": self.engine.value, "status": str(analysis.status)}
            save_dataset(analysis.to_xarray().assign_attrs(attributes), folder / f"{stem}.nc", f"deck_{analysis.kind}")
            files += [folder / f"{stem}.csv", folder / f"{stem}.nc"]
        return files

    def named(self) -> list[tuple[str, TransientResult | AcResult | NoiseResult]]:
        """The analyses with the names of their files."""
        seen: dict[str, int] = {}
        found: list[tuple[str, TransientResult | AcResult | NoiseResult]] = []
        for analysis in self.analyses:
            seen[analysis.kind] = seen.get(analysis.kind, 0) + 1
            number = seen[analysis.kind]
            found.append((analysis.kind if number == 1 else f"{analysis.kind}_{number}", analysis))
        return found
