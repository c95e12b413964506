"""Measured paths from files: times and voltages of a real board."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError

__all__ = ["Record", "read_record"]


@dataclass(frozen=True, eq=False)
class Record:
    """What an instrument wrote down.

    Attributes:
        times: Increasing seconds, shape (T,).
        values: Shape (T, p).
        names: p column names.
    """

    times: Tensor
    values: Tensor
    names: tuple[str, ...]


def read_record(path: str | Path) -> Record:
    """Read a comma-separated file: one header line, time in seconds in the first column, one column an output.

    Args:
        path: The file.

    Returns:
        A :class:`Record`.  Cost: one pass over the file, all of it in memory.

    Raises:
        MisuseError: No header, a line of another length, a field that is no finite number, times that do not increase;
            the message has the number of the line.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.reader(file) if line]
    if len(lines) < 2 or len(lines[0]) < 2:
        raise MisuseError(f"{path}: give a header, a time column, at least one more column and at least one line")
    rows = np.array([_numbers(path, i, line, len(lines[0])) for i, line in enumerate(lines[1:], start=2)])
    late = np.flatnonzero(np.diff(rows[:, 0]) <= 0.0)
    if late.size:
        raise MisuseError(f"{path}, line {late[0] + 3}: time {rows[late[0] + 1, 0]} does not come after the one before")
    names = tuple(name.strip() for name in lines[0][1:])
    return Record(torch.from_numpy(rows[:, 0].copy()), torch.from_numpy(rows[:, 1:].copy()), names)


def _numbers(path: str | Path, number: int, line: list[str], columns: int) -> list[float]:
    if len(line) != columns:
        raise MisuseError(f"{path}, line {number}: {len(line)} fields where the header has {columns}")
    try:
        values = [float(field) for field in line]
    except ValueError as error:
        raise MisuseError(f"{path}, line {number}: {error}; every field has to be a number") from error
    if not np.isfinite(values).all():
        raise MisuseError(f"{path}, line {number}: every field has to be a finite number")
    return values
