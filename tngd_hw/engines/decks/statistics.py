"""What to say of a deck's waveforms in a few numbers: extremes, mean, rms, end; gain, its peak and its -3 dB limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tngd_hw.engines.decks.result import AcResult, TransientResult

__all__ = ["Band", "NodeStatistics", "bands", "node_statistics"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NodeStatistics:
    """A node in a transient, all in volt.

    Between its points the voltage is taken as straight:  mean = sum (a + b) dt / 2T,  rms^2 = sum (a^2 + a b + b^2)
    dt / 3T.
    """

    node: str
    minimum: float
    maximum: float
    mean: float
    rms: float
    final: float


@dataclass(frozen=True)
class Band:
    """A node in an AC analysis.

    Attributes:
        node: Its name.
        peak_volt: Largest amplitude.
        peak_hz: Where.
        low_hz: Below the peak, where the amplitude is 1/sqrt(2) of it; None where it stays above down to the start.
        high_hz: The same above the peak.
    """

    node: str
    peak_volt: float
    peak_hz: float
    low_hz: float | None
    high_hz: float | None


def node_statistics(result: TransientResult) -> tuple[NodeStatistics, ...]:
    """One a node; none for a run without points."""
    if len(result.times_s) == 0:
        return ()
    volts, steps = result.voltage_volt, np.diff(result.times_s)[:, None]
    seconds = float(steps.sum())
    if seconds > 0:
        a, b = volts[:-1], volts[1:]
        mean = ((a + b) * steps).sum(axis=0) / (2 * seconds)
        rms = np.sqrt(((a * a + a * b + b * b) * steps).sum(axis=0) / (3 * seconds))
    else:
        mean, rms = volts[-1], np.abs(volts[-1])
    columns = (volts.min(axis=0), volts.max(axis=0), mean, rms, volts[-1])
    rows = np.stack(columns, axis=1).tolist()
    return tuple(NodeStatistics(node, *row) for node, row in zip(result.nodes, rows, strict=True))


def bands(result: AcResult) -> tuple[Band, ...]:
    """One a node; none for a run without points."""
    if len(result.frequency_hz) == 0:
        return ()
    return tuple(
        _band(node, result.frequency_hz, amplitude)
        for node, amplitude in zip(result.nodes, np.abs(result.voltage_volt).T, strict=True)
    )


def _band(node: str, hertz: Floats, amplitude: Floats) -> Band:
    top = int(amplitude.argmax())
    level = float(amplitude[top]) / math.sqrt(2)
    below = np.flatnonzero(amplitude[:top] < level)
    above = np.flatnonzero(amplitude[top:] < level)
    low = None if len(below) == 0 else _crossing(hertz, amplitude, int(below[-1]), level)
    high = None if len(above) == 0 else _crossing(hertz, amplitude, top + int(above[0]) - 1, level)
    return Band(node, float(amplitude[top]), float(hertz[top]), low, high)


def _crossing(hertz: Floats, amplitude: Floats, k: int, level: float) -> float:
    """Between points k and k + 1, straight in log frequency and log amplitude."""
    tiny = np.finfo(np.float64).tiny
    x, y = np.log(hertz[k : k + 2]), np.log(np.maximum(amplitude[k : k + 2], tiny))
    return float(np.exp(x[0] + (math.log(level) - y[0]) / (y[1] - y[0]) * (x[1] - x[0])))
