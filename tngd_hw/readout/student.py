"""Quantiles of Student's law for two-sided error bars."""

from __future__ import annotations

import torch
from scipy.special import stdtrit
from torch import Tensor

from tngd_hw.outcome import MisuseError

__all__ = ["check_level", "student_quantile"]


def student_quantile(level: float, degrees: Tensor) -> Tensor:
    """t with P(|T| < t) = ``level`` for every number of degrees of freedom, same shape; NaN for NaN.

    Raises:
        MisuseError: The level is no probability.
    """
    check_level(level)
    quantile = stdtrit(degrees.cpu().numpy(), 0.5 * (1.0 + level))
    return torch.as_tensor(quantile, dtype=torch.float64, device=degrees.device)


def check_level(level: float) -> None:
    """MisuseError where ``level`` is not between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise MisuseError(f"level = {level!r}: a probability between 0 and 1, for example 0.95")
