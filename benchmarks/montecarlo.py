"""Settled answers and noise of 1,000 chips of 32 nodes, against ngspice chip by chip.

Ours: manufacture, program, settled answers with the whole covariance of each chip's noise.  ngspice: one transient a
chip from rest until the slowest mode has fallen by 1e-6, netlist and reading the file included, without any noise;
three chips are run and the mean is taken 1,000 times.  The difference is between the settled answers of those chips.
By itself: ``python -m benchmarks.montecarlo [CHIPS]``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tngd_hw import HardwareSpec, LinearProblem, manufacture, presets, program
from tngd_hw.engines import Ngspice
from tngd_hw.engines.spice.process import find_ngspice
from tngd_hw.readout import settled, settling_time
from tngd_hw.topologies import LoadedChip

__all__ = ["measurements"]

_NODES = 32
_KAPPA = 1e-3
_REST = 1e-6
_RUNS = 3
_WANTED_S = 10.0


def measurements(progress: Callable[[str], None], chips: int = 1000) -> list[dict[str, Any]]:
    """A row with ideal amplifiers and components of 1 %, and one of the preset pcb_1k_1n."""
    one_percent = HardwareSpec.from_dict(
        {"name": "1 %", "resistors": {"tolerance_dtod": 0.01}, "capacitors": {"tolerance_dtod": 0.01}}
    )
    specs = {"ideal amplifiers, 1 % parts": one_percent, "pcb_1k_1n": presets.pcb_1k_1n()}
    return [_row(name, spec, chips, progress) for name, spec in specs.items()]


def _row(name: str, spec: HardwareSpec, chips: int, progress: Callable[[str], None]) -> dict[str, Any]:
    progress(f"Monte Carlo, {chips} chips, {name}")
    wide = np.random.default_rng(_NODES).normal(size=(_NODES, 2 * _NODES)) / np.sqrt(2 * _NODES)
    problem = LinearProblem(wide @ wide.T + 0.1 * np.eye(_NODES), np.random.default_rng(1).normal(size=_NODES))
    settled(program(manufacture("integrator", _NODES, spec, chips=2), problem, kappa=_KAPPA))  # to warm up
    begun = time.perf_counter()
    batch = manufacture("integrator", _NODES, spec, seed=1, chips=chips)
    loaded = program(batch, problem, kappa=_KAPPA)
    made = time.perf_counter()
    found = settled(loaded)
    ended = time.perf_counter()
    row = {
        "hardware": name, "chips": chips, "states": loaded.linear_sde(slice(0, 1)).n_states, "made_s": made - begun,
        "settled_s": ended - made, "total_s": ended - begun, "wanted_s": _WANTED_S, "ok": int(found.ok.sum()),
    }  # fmt: skip
    return row | _ngspice(program(batch, problem), chips, ended - begun)


def _ngspice(loaded: LoadedChip, chips: int, ours_s: float) -> dict[str, Any]:
    """Seconds of all chips one by one, from three of them; without noise, with other scales and so other offsets."""
    if find_ngspice() is None:
        return {}
    engine = Ngspice()
    seconds, difference = 0.0, 0.0
    for chip in range(_RUNS):
        own = loaded.select(chip)
        duration = settling_time(own, _REST)
        begun = time.perf_counter()
        _, run = engine.run(engine.init(own), duration=duration)
        seconds += time.perf_counter() - begun
        run.status.require_ok()
        x = settled(own).x
        difference = max(difference, float((own.unknowns(run.final_volt) - x).abs().max() / x.abs().max()))
    whole = seconds / _RUNS * chips
    return {"ngspice_s": whole, "ratio": whole / ours_s, "difference": difference}


if __name__ == "__main__":
    rows = measurements(lambda text: print(text, file=sys.stderr), *map(int, sys.argv[1:2]))
    print(json.dumps(rows, indent=2))
