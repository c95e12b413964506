"""Measured voltages of a real board: a file of an oscilloscope or a converter as a Trajectory.

    time [us],out0 [mV],out1 [mV]
    0.00,1.25,-0.31
    0.05,1.31,-0.28

One header line; every column names its unit in brackets: s, ms, us, µs or ns for the time, V, mV, uV or µV for the
channels.  From here on the same functions read a board and a simulation.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tngd_hw.engines import Trajectory
from tngd_hw.linear_sde import read_record
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.storage import write_text

__all__ = ["read_board", "write_board"]

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "μV": 1e-6}
_HEADER = re.compile(r"\s*(?P<name>[^\[\]]*?)\s*\[\s*(?P<unit>[^\[\]]+?)\s*\]\s*")
_CLIPPED = 3
"""So many equal readings in a row at the extreme of a channel are taken for the end of a converter's range."""


def read_board(
    path: str | Path,
    *,
    channels: Sequence[str] | None = None,
    range_volt: float | None = None,
    jitter: float = 1e-3,
    noisy: bool = True,
) -> Trajectory:
    """Read a comma-separated file of times and voltages.

    Args:
        path: The file.
        channels: Names of the columns in the order of the nodes; default: all, in their order.
        range_volt: Readings of this size or more are clipped; default: three equal readings in a row at the largest or
            smallest value of a channel.
        jitter: How far a time may be from the uniform grid, in units of the step: error bars need equal steps.
        noisy: Whether there is noise in it: readings get error bars.

    Returns:
        A Trajectory that starts at time 0, engine "board"; SATURATED where a channel is clipped.

    Raises:
        MisuseError: What :func:`~tngd_hw.linear_sde.read_record` refuses; a column without a unit, a channel that is
            not there, a missing sample or times that are not uniform; the sentence has the line or the column.
    """
    if not (0 <= jitter < 0.5):
        raise MisuseError(f"jitter = {jitter!r}: a part of the step, from 0 to below 0.5")
    if range_volt is not None and not 0 < range_volt < float("inf"):
        raise MisuseError(f"range_volt = {range_volt!r}: the largest reading is a finite number of volts above 0")
    time_scale = _unit(path, _first_name(path), _SECONDS)[1]
    record = read_record(path)
    named = [_unit(path, name, _VOLTS) for name in record.names]
    volts = record.values * torch.tensor([scale for _, scale in named], dtype=torch.float64)
    names = [name for name, _ in named]
    doubles = {name for name in names if names.count(name) > 1}
    if doubles:
        raise MisuseError(
            f"{path}: {len(doubles)} channel names occur twice ({', '.join(sorted(doubles))}); rename them"
        )
    chosen = names if channels is None else list(channels)
    missing = [name for name in chosen if name not in names]
    if missing:
        raise MisuseError(f"channels = {missing[0]!r}: {path} has {', '.join(names)}")
    times = time_scale * record.times
    times = _uniform(path, times - times[0], jitter)
    volts = volts[:, [names.index(name) for name in chosen]].contiguous()
    status = _clipping(volts, chosen, range_volt)
    return Trajectory(
        times, volts, tuple(chosen), "board", (status,), noisy, 0, float(times[-1]), notes=Path(path).name
    )


def write_board(trajectory: Trajectory, path: str | Path) -> None:
    """Write one run of one chip as such a file, seconds and volts with all their digits; the inverse of reading it."""
    if trajectory.chips is not None or trajectory.node_axis != -1:
        raise MisuseError("trajectory has several chips or right-hand sides: write one run of one chip")
    lines = [",".join(["time [s]", *(f"{name} [V]" for name in trajectory.node_names)])]
    for row in torch.cat([trajectory.times_s[:, None], trajectory.voltage_volt], -1):
        lines.append(",".join(repr(float(value)) for value in row))
    write_text(path, "\n".join(lines) + "\n")


def _first_name(path: str | Path) -> str:
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file), [""])[0]
    except OSError as error:
        raise MisuseError(f"{path}: cannot be read ({error.strerror})") from None


def _unit(path: str | Path, header: str, known: dict[str, float]) -> tuple[str, float]:
    """Name and scale of a column."""
    found = _HEADER.fullmatch(header)
    if found is None or found["unit"] not in known:
        units = ", ".join(known)
        raise MisuseError(f"{path}: the column {header!r} has no unit that fits; write it as name [unit] with {units}")
    return found["name"], known[found["unit"]]


def _uniform(path: str | Path, times: Tensor, jitter: float) -> Tensor:
    """The uniform grid that the times are on, or MisuseError with the first line that is off it."""
    if len(times) < 3:
        raise MisuseError(f"{path}: {len(times)} samples; give at least 3")
    steps = times.diff()
    usual = float(steps.median())
    gaps = torch.nonzero(steps > 1.5 * usual).flatten()
    if len(gaps):
        line, lost = int(gaps[0]) + 3, round(float(steps[gaps[0]]) / usual) - 1
        raise MisuseError(
            f"{path}, line {line}: {lost} missing samples before it (gaps in all: {len(gaps)}); cut the record there"
        )
    step = float(times[-1]) / (len(times) - 1)
    grid = step * torch.arange(len(times), dtype=torch.float64)
    off = (times - grid).abs() / step
    if float(off.max()) > jitter:
        worst = int(off.argmax())
        raise MisuseError(
            f"{path}, line {worst + 2}: the time is {float(off.max()):.2g} of a step off a uniform grid; sample "
            "uniformly, or raise jitter"
        )
    return grid


def _clipping(volts: Tensor, names: Sequence[str], range_volt: float | None) -> Status:
    for channel, name in enumerate(names):
        values = volts[:, channel]
        if range_volt is not None:
            count = int((values.abs() >= range_volt).sum())
        else:
            count = max(_longest_run(values == values.max()), _longest_run(values == values.min()))
            count = count if count >= _CLIPPED and float(values.max()) > float(values.min()) else 0
        if count:
            detail = f"channel {name} is clipped in {count} samples at {float(values.abs().max()):.3g} V"
            return Status(Outcome.SATURATED, detail, "measure again with a larger range")
    return Status()


def _longest_run(at_end: Tensor) -> int:
    changes = torch.cat([torch.zeros(1), at_end.to(torch.float32), torch.zeros(1)]).diff()
    starts, ends = torch.nonzero(changes > 0).flatten(), torch.nonzero(changes < 0).flatten()
    return int((ends - starts).max()) if len(starts) else 0
