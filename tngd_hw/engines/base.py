"""What an engine is: ``init`` once a loaded chip, ``run`` many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.saturation import first_failures, saturation_statuses
from tngd_hw.engines.slewing import slew_statuses
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.problem import as_real_tensor
from tngd_hw.random import check_seed
from tngd_hw.topologies import Drive, LoadedChip

__all__ = [
    "Engine",
    "EngineState",
    "check_run",
    "check_settings",
    "failed",
    "node_names",
    "output_times",
    "run_statuses",
]

_DEFAULT_POINTS = 201


@dataclass(frozen=True, eq=False)
class EngineState:
    """What ``init`` prepared for one loaded chip.

    Attributes:
        loaded: The chip.
        prepared: The engine's own (equations, an eigenbasis, the simulator's version); None for a failed status.
        status: OK, or why no run can give an answer.
        watched: ``prepared`` with the inner stages behind its outputs, for runs; None where there are no equations.
    """

    loaded: LoadedChip
    prepared: Any
    status: Status
    watched: LinearSDE | None = None


class Engine(Protocol):
    """From a loaded chip to voltages.  All randomness comes from ``seed``; a failure is in the trajectory's status."""

    @property
    def name(self) -> str:
        """Name on the command line."""
        ...

    def init(self, loaded: LoadedChip) -> EngineState:
        """Factorise, discretise, find the simulator: what one matrix needs once."""
        ...

    def run(
        self,
        state: EngineState,
        *,
        duration: float,
        b: ArrayLike | Tensor | None = None,
        x0: ArrayLike | Tensor | None = None,
        seed: int = 0,
        times_s: ArrayLike | Tensor | None = None,
    ) -> tuple[EngineState, Trajectory]:
        """Run for ``duration`` seconds.

        Args:
            state: From :meth:`init` or from the last run.
            duration: Seconds.
            b: Right-hand side, shape (n,) or (n, k); default the problem's.
            x0: Start, shape (n,) or (n, k); default 0.
            seed: Seed of the injected noise.
            times_s: Output times; default 201 uniform ones.  A simulator that chooses its own times ignores them.
        """
        ...


def check_settings(engine: object, names: Sequence[str]) -> None:
    """MisuseError for a named setting that is neither None nor a finite number above 0."""
    for name in names:
        value = getattr(engine, name)
        if value is not None and not 0 < value < float("inf"):
            raise MisuseError(f"{type(engine).__name__}.{name} = {value!r}: expected a finite number above 0")


def check_run(duration: float, seed: int) -> None:
    """MisuseError for a duration that is not a finite number above 0, or a bad seed."""
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 < duration < float("inf"):
        raise MisuseError(f"duration = {duration!r}: expected a finite number of seconds above 0")
    check_seed(seed)


def output_times(duration: float, times_s: ArrayLike | Tensor | None) -> Tensor:
    """Times of the output, non-decreasing, within 0 and ``duration``."""
    if times_s is None:
        return torch.linspace(0.0, duration, _DEFAULT_POINTS, dtype=torch.float64)
    times = as_real_tensor(times_s, "times_s")
    if times.ndim != 1 or len(times) == 0 or bool((times.diff() < 0).any()):
        raise MisuseError("times_s: expected a non-empty list of non-decreasing times")
    if float(times[0]) < 0 or float(times[-1]) > duration * (1 + 1e-12):
        raise MisuseError(f"times_s runs from {float(times[0])} to {float(times[-1])}, outside 0 to {duration} s")
    return times


def node_names(loaded: LoadedChip) -> tuple[str, ...]:
    """Names of the voltages that are read."""
    return tuple(f"out{i}" for i in range(loaded.n))


def failed(
    engine: str, loaded: LoadedChip, status: Status, *, duration: float, seed: int, notes: str = ""
) -> Trajectory:
    """A trajectory without points that says why."""
    nothing = torch.zeros(0, dtype=torch.float64)
    chips = loaded.chip.chips
    own = (status,) if chips is None else loaded.circuit_statuses
    statuses = tuple(status if each.ok else each for each in own)
    voltage = torch.zeros((0, loaded.n) if chips is None else (chips, 0, loaded.n), dtype=torch.float64)
    names = node_names(loaded)
    return Trajectory(nothing, voltage, names, engine, statuses, False, seed, duration, notes, chips)


def run_statuses(loaded: LoadedChip, drive: Drive, voltage: Tensor, node_axis: int) -> tuple[Status, ...]:
    """One status a chip: SATURATED where an output or an inner stage left its range or slews, or a converter clipped.

    ``voltage`` is that of the outputs, then of ``loaded.inner_stages``.  What is checked and what is not:
    :mod:`~tngd_hw.engines.saturation`, :mod:`~tngd_hw.engines.slewing`.
    """
    found = saturation_statuses(loaded, voltage, node_axis)
    given = drive.statuses * (len(found) if len(drive.statuses) == 1 else 1)
    return first_failures(found, slew_statuses(loaded, drive), given)
