"""One run of a prepared chip, sampled by its own ADC: what calibration, refinement and mitigation use."""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.engines import Engine, EngineState, Trajectory
from tngd_hw.outcome import MisuseError
from tngd_hw.readout.digitise import Readings, digitised, look_times
from tngd_hw.readout.estimate import Estimate
from tngd_hw.readout.read import read

__all__ = ["measure", "measured_points"]


def measure(state: EngineState, engine: Engine, samples_s: Tensor, *, b: Tensor | None = None, seed: int) -> Estimate:
    """The mean of x over samples at these times, shape (samples,), of a run from rest with ``b``; see ``read``."""
    return read(_run(state, engine, samples_s, b, seed), state.loaded, seed=seed, times_s=samples_s)


def measured_points(state: EngineState, engine: Engine, samples_s: Tensor, *, seed: int) -> Readings:
    """The noise: voltages (samples, n) at these times of a run from rest with b = 0; none where the run failed.

    Raises:
        MisuseError: An engine that simulates no noise; samples that the ADC cannot take.
    """
    run = _run(state, engine, samples_s, None, seed)
    if len(run.times_s) == 0:
        return Readings(torch.zeros(0, state.loaded.n, dtype=torch.float64), run.statuses)
    if not run.noisy:
        raise MisuseError(f"engine = {engine.name!r}: its runs have no noise; use state_space, behavioral or ngspice")
    return digitised(run, state.loaded, seed=seed, average_from_s=None, times_s=samples_s)


def _run(state: EngineState, engine: Engine, samples_s: Tensor, b: Tensor | None, seed: int) -> Trajectory:
    columns = b.shape[1] if b is not None and b.ndim == 2 else None
    looks = look_times(state.loaded, samples_s, seed=seed, columns=columns) if state.status.ok else samples_s
    _, run = engine.run(state, duration=float(looks[-1]), b=b, seed=seed, times_s=looks)
    return run
