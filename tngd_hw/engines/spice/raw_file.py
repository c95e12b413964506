"""Reader of ngspice's binary raw files: every plot, real or complex; truncated files are refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Plot", "RawFileError", "read_raw"]

_MARKER = b"Binary:\n"


class RawFileError(ValueError):
    """The file is not a complete ngspice raw file; the text says what is wrong with it."""


@dataclass(frozen=True, eq=False)
class Plot:
    """One analysis of a raw file.

    Attributes:
        name: ngspice's plot name, for example ``"Transient Analysis"``.
        names: Names of the variables, lower case, for example ``("time", "v(out0)")``.
        values: Shape (points, variables), float64 or complex128.
    """

    name: str
    names: tuple[str, ...]
    values: NDArray[np.float64] | NDArray[np.complex128]


def read_raw(path: str | Path) -> tuple[Plot, ...]:
    """All plots of the file, in its order.

    Raises:
        RawFileError: No plot, a header without the fields needed, or fewer bytes than the header promises.
    """
    data = Path(path).read_bytes()
    plots: list[Plot] = []
    position = 0
    while position < len(data):
        plot, position = _read_plot(data, position)
        plots.append(plot)
    if not plots:
        raise RawFileError("the raw file is empty")
    return tuple(plots)


def _read_plot(data: bytes, start: int) -> tuple[Plot, int]:
    end = data.find(_MARKER, start)
    if end < 0:
        raise RawFileError("the raw file has no binary section")
    header, names = _parse_header(data[start:end].decode("utf-8", errors="replace"))
    try:
        variables, points = int(header["no. variables"]), int(header["no. points"])
    except (KeyError, ValueError):
        raise RawFileError("the raw file's header lacks the numbers of variables and points") from None
    if points <= 0 or variables <= 0 or len(names) != variables:
        raise RawFileError(f"the raw file holds {points} points and {len(names)} of {variables} variables")
    numbers = np.complex128 if "complex" in header.get("flags", "") else np.float64
    first = end + len(_MARKER)
    size = points * variables * np.dtype(numbers).itemsize
    if len(data) < first + size:
        raise RawFileError(f"the raw file is cut off: {len(data) - first} of {size} bytes")
    block, shape = data[first : first + size], (points, variables)
    values = np.frombuffer(block, np.complex128) if numbers is np.complex128 else np.frombuffer(block, np.float64)
    return Plot(header.get("plotname", ""), names, values.reshape(shape).copy()), first + size


def _parse_header(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    head, _, table = text.partition("\nVariables:")
    header: dict[str, str] = {}
    for line in head.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            header[key.strip().lower()] = value.strip()
    rows = [line.split() for line in table.splitlines() if line.strip()]
    return header, tuple(row[1].lower() for row in rows if len(row) >= 3)
