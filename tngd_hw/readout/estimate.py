"""Estimate: what an instrument says of the answer, with the error bar that it knows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tngd_hw.engines.trajectory import statuses_from_json, statuses_to_json
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.readout.student import student_quantile
from tngd_hw.storage import load_dataset, save_dataset
from tngd_hw.topologies import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Estimate", "Quantity"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value read from a chip.

    Attributes:
        quantity: What it is.
        value: Shape ([chips,] n[, k]), dimensionless.
        stderr: Standard error from noise alone, same shape: 0 without noise, NaN where one reading gives no error bar.
            Settling and systematic errors are not in it: an instrument cannot know them.
        statuses: One status a chip.
        engine: What made the voltages.
        hardware_hash: Of the specification of the chip.
        seed: Of the run.
        tau_s: Time unit of the programmed chip.
        duration_s: Length of the run.
        chips: Number of chips where ``value`` has an axis for them, else None.
        degrees: Degrees of freedom of ``stderr``, same shape, infinite where it is no estimate itself; None where they
            are not known, as of an inverse or of what was put together from several readings.
    """

    quantity: Quantity
    value: Tensor
    stderr: Tensor
    statuses: tuple[Status, ...]
    engine: str
    hardware_hash: str
    seed: int
    tau_s: float
    duration_s: float
    chips: int | None = None
    degrees: Tensor | None = None

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """value -+ t stderr, t of Student's law; covers the answer of an endless reading with probability ``level``.

        NaN where ``stderr`` is.  What settling and imperfect parts do is not in it.  For the coverage see
        :class:`~tngd_hw.readout.estimators.MeanEstimate`.

        Raises:
            MisuseError: Unknown degrees of freedom, or a level that is no probability.
        """
        if self.degrees is None:
            raise MisuseError(
                f"degrees = None: this {self.quantity.value} knows its standard error only; of a covariance take "
                "tngd_hw.readout.estimate_covariance(points).interval()"
            )
        half = student_quantile(level, self.degrees) * self.stderr
        return self.value - half, self.value + half

    @property
    def status(self) -> Status:
        """The first status that is not OK, else OK."""
        return next((status for status in self.statuses if not status.ok), self.statuses[0])

    @property
    def outcome(self) -> Outcome | tuple[Outcome, ...]:
        """The outcome, or one a chip for a batch."""
        outcomes = tuple(status.outcome for status in self.statuses)
        return outcomes[0] if len(outcomes) == 1 else outcomes

    def plot(self, ax: Axes | None = None, reference: Tensor | None = None) -> Axes:
        """Draw the components with error bars, of the first chip and right-hand side; ``reference`` is dashed."""
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        axes = plt.subplots(figsize=(7, 4), layout="constrained")[1] if ax is None else ax
        value, error = self.value, torch.nan_to_num(self.stderr)
        if self.chips is not None:
            value, error = value[0], error[0]
        if value.ndim > 1:
            value, error = value[:, 0], error[:, 0]
        places = range(len(value))
        axes.errorbar(places, value.numpy(), error.numpy(), fmt="o", ms=4, label=f"{self.engine} (±1 standard error)")
        if reference is not None:
            axes.plot(places, reference, "k--", lw=1, label="digital")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="component", ylabel="x [1]", title=f"{self.quantity.value}: {self.status.outcome.value}")
        axes.legend(fontsize=8)
        return axes

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON; a standard error that is not known is null."""
        return {
            "quantity": self.quantity.value,
            "x": _plain(self.value.tolist()),
            "stderr": _plain(self.stderr.tolist()),
            "outcome": self.status.outcome.value,
            "message": str(self.status),
            "tau_s": self.tau_s,
            "duration_s": self.duration_s,
            "engine": self.engine,
            "hardware_hash": self.hardware_hash,
            "seed": self.seed,
        }

    def save(self, path: str | Path) -> None:
        """Write netCDF (versioned, read back by :meth:`load`)."""
        import xarray

        batch = [] if self.chips is None else ["chip"]
        dims = [*batch, "component", *(["rhs"] if self.value.ndim > len(batch) + 1 else [])]
        fields = {"value": self.value, "stderr": self.stderr, "degrees": self.degrees}
        data = xarray.Dataset(
            {name: (dims, field.numpy()) for name, field in fields.items() if field is not None},
            attrs={
                "quantity": self.quantity.value,
                "statuses": statuses_to_json(self.statuses),
                "engine": self.engine,
                "hardware_hash": self.hardware_hash,
                "seed": str(self.seed),
                "tau_s": self.tau_s,
                "duration_s": self.duration_s,
            },
        )
        save_dataset(data, path, "estimate")

    @classmethod
    def load(cls, path: str | Path) -> Estimate:
        """Read what :meth:`save` wrote."""
        data = load_dataset(path, "estimate")
        return cls(
            quantity=Quantity(data.attrs["quantity"]),
            value=torch.tensor(data["value"].values),
            stderr=torch.tensor(data["stderr"].values),
            statuses=statuses_from_json(str(data.attrs["statuses"])),
            engine=str(data.attrs["engine"]),
            hardware_hash=str(data.attrs["hardware_hash"]),
            seed=int(data.attrs["seed"]),
            tau_s=float(data.attrs["tau_s"]),
            duration_s=float(data.attrs["duration_s"]),
            chips=data.sizes.get("chip"),
            degrees=torch.tensor(data["degrees"].values) if "degrees" in data else None,
        )


def _plain(value: Any) -> Any:
    """Lists as they are, numbers that JSON cannot hold as None."""
    if isinstance(value, list):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - nested lists of floats
    return value if math.isfinite(value) else None
