"""1/f noise as a sum of one-pole spectra, so that a circuit with it stays linear with white noises.

An input voltage noise of one-sided density S (1 + f_0/f) is white noise S and, beside it, white noises g_d^2 S through
one-pole filters of corner f_d, a decade apart:

    f_d = f_0/10^(d - 1/2),  d = 0 ... 5,      g_d^2 = (f_0/f_d) (2/pi) ln 10

The integral of f_d/(f_d^2 + f^2) over ln f_d is pi/(2 f); by poles a decade apart the sum of g_d^2/(1 + (f/f_d)^2) is
f_0/f within 11 % between f_0/10^4.5 and 3 f_0 (rms 6 %).  Above, the white noise hides what is missing; what is slower
stands still during any run, as an offset does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["FLICKER_DECADES", "flicker_poles"]

FLICKER_DECADES = 6
"""Poles of the 1/f noise of one amplifier."""


def flicker_poles(corner_hz: Tensor) -> tuple[Tensor, Tensor]:
    """f_d in Hz and g_d of 1/f noise of corner ``corner_hz`` (...): shapes (..., FLICKER_DECADES)."""
    decades = 10.0 ** -(torch.arange(FLICKER_DECADES, dtype=torch.float64) - 0.5)
    gain = torch.sqrt(2 / math.pi * math.log(10) / decades)
    return corner_hz[..., None] * decades, gain.expand(*corner_hz.shape, FLICKER_DECADES)
