"""Time grids: which steps are the same step."""

from __future__ import annotations

import numpy as np
from torch import Tensor

__all__ = ["distinct_steps"]


def distinct_steps(times: Tensor) -> tuple[list[float], list[int]]:
    """The distinct step lengths of a grid that starts at 0, and which one each step takes.

    Two steps are the same when they differ by no more than the rounding of the times themselves (4 epsilon times the
    last time): ``linspace`` gives one step, not hundreds.  A grid that starts at t = 0 has a first step of length 0.

    Args:
        times: Non-decreasing, shape (T,), in s.

    Returns:
        Lengths in rising order, and for each of the T steps (from 0 to times[0], to times[1], ...) its index.
    """
    steps = np.diff(times.cpu().numpy(), prepend=0.0)
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    resolution = 4.0 * np.finfo(np.float64).eps * float(times[-1])
    first = 0
    labels = np.zeros(steps.shape[0], dtype=np.int64)
    lengths = [float(ordered[0])]
    for i in range(1, ordered.shape[0]):
        if ordered[i] - ordered[first] > resolution or ordered[first] == 0.0 < ordered[i]:
            lengths[-1] = float(np.median(ordered[first:i]))
            first = i
            lengths.append(float(ordered[i]))
        labels[order[i]] = len(lengths) - 1
    lengths[-1] = float(np.median(ordered[first:]))
    return lengths, [int(label) for label in labels]
