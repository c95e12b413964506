"""Trajectory: the voltages that one run gave, with everything needed to read and to reproduce it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tngd_hw.outcome import Outcome, Status
from tngd_hw.storage import load_dataset, save_dataset

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

__all__ = ["Trajectory", "statuses_from_json", "statuses_to_json"]

_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Node voltages against time.

    Attributes:
        times_s: Shape (T,), not necessarily uniform; empty when the run failed.
        voltage_volt: Shape ([chips,] T, n) or ([chips,] T, n, k) for k right-hand sides.
        node_names: n names.
        engine: Name of the engine that made it.
        statuses: One status a chip.
        noisy: Whether injected noise is in it.
        seed: Seed of the noise.
        duration_s: What was asked for.
        notes: What the simulator said that matters.
        chips: Number of chips where ``voltage_volt`` has an axis for them, else None.
    """

    times_s: Tensor
    voltage_volt: Tensor
    node_names: tuple[str, ...]
    engine: str
    statuses: tuple[Status, ...]
    noisy: bool
    seed: int
    duration_s: float
    notes: str = ""
    chips: int | None = None

    @property
    def status(self) -> Status:
        """The first status that is not OK, else OK."""
        return next((status for status in self.statuses if not status.ok), self.statuses[0])

    @property
    def node_axis(self) -> int:
        """Axis of the nodes in ``voltage_volt``, counted from the end: -1, or -2 with right-hand sides behind it."""
        return -2 if self._has_columns else -1

    @property
    def _has_columns(self) -> bool:
        return self.voltage_volt.ndim == (3 if self.chips is None else 4)

    @property
    def final_volt(self) -> Tensor:
        """Voltages at the last time, shape ([chips,] n[, k])."""
        return self.voltage_volt.select(self.node_axis - 1, -1)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the node voltages of the first chip and right-hand side: the 8 nodes with the largest voltages."""
        import matplotlib.pyplot as plt

        axes = plt.subplots(figsize=(7, 4), layout="constrained")[1] if ax is None else ax
        voltage = self.voltage_volt if self.chips is None else self.voltage_volt[0]
        voltage = voltage[..., 0] if self._has_columns else voltage
        if len(self.times_s):
            order = torch.argsort(voltage.abs().amax(0), descending=True)[:_SHOWN]
            for k in sorted(int(place) for place in order):
                axes.plot(self.times_s * 1e6, voltage[:, k] * 1e3, label=self.node_names[k], lw=1.2)
            axes.legend(fontsize=8, ncols=2)
        axes.set(xlabel="time [µs]", ylabel="node voltage [mV]", title=f"{self.engine}: {self.status.outcome.value}")
        return axes

    def save(self, path: str | Path) -> None:
        """Write netCDF (versioned, read back by :meth:`load`)."""
        save_dataset(self.to_xarray(), path, "trajectory")

    def to_xarray(self) -> xarray.Dataset:
        """The labelled data: ``voltage_volt`` over chip, time_s, node and right-hand side where there are any."""
        import xarray

        batch = [] if self.chips is None else ["chip"]
        dims = [*batch, "time_s", "node", *(["rhs"] if self._has_columns else [])]
        return xarray.Dataset(
            {"voltage_volt": (dims, self.voltage_volt.numpy())},
            coords={"time_s": self.times_s.numpy(), "node": list(self.node_names)},
            attrs={
                "engine": self.engine,
                "statuses": statuses_to_json(self.statuses),
                "noisy": int(self.noisy),
                "seed": str(self.seed),
                "duration_s": self.duration_s,
                "notes": self.notes,
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> Trajectory:
        """Read what :meth:`save` wrote."""
        data = load_dataset(path, "trajectory")
        return cls(
            times_s=torch.tensor(data["time_s"].values),
            voltage_volt=torch.tensor(data["voltage_volt"].values),
            node_names=tuple(str(name) for name in data["node"].values),
            engine=str(data.attrs["engine"]),
            statuses=statuses_from_json(str(data.attrs["statuses"])),
            noisy=bool(data.attrs["noisy"]),
            seed=int(data.attrs["seed"]),
            duration_s=float(data.attrs["duration_s"]),
            notes=str(data.attrs["notes"]),
            chips=data.sizes.get("chip"),
        )


def statuses_to_json(statuses: tuple[Status, ...]) -> str:
    """Outcomes, details and advice as JSON text."""
    return json.dumps([[status.outcome.value, status.detail, status.advice] for status in statuses])


def statuses_from_json(text: str) -> tuple[Status, ...]:
    """Back from :func:`statuses_to_json`."""
    return tuple(Status(Outcome(outcome), *words) for outcome, *words in json.loads(text))
