"""A figure over the chips of a batch: mean, standard deviation and quantiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Spread"]


@dataclass(frozen=True)
class Spread:
    """A figure over the chips of a batch; NaN where no chip has one.

    Attributes:
        mean: Over chips.
        std: Standard deviation over chips, with the divisor chips - 1; 0 for one chip.
        low: 5 % quantile.
        median: 50 % quantile.
        high: 95 % quantile.
    """

    mean: float
    std: float
    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Tensor) -> Spread:
        """Of one value a chip; NaN is a chip without."""
        found = values[torch.isfinite(values)]
        if not len(found):
            return cls(*[math.nan] * 5)
        std = float(found.std()) if len(found) > 1 else 0.0
        levels = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
        low, median, high = (float(value) for value in torch.quantile(found, levels))
        return cls(float(found.mean()), std, low, median, high)

    def to_dict(self) -> dict[str, float | None]:
        """As plain data for JSON: None in the place of NaN."""
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}
