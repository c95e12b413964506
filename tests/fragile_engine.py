"""An engine whose run ends its own process, or takes its time, where the right-hand side says so."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tngd_hw.engines import EngineState, StateSpace, Trajectory
from tngd_hw.topologies import LoadedChip

DEADLY, ONCE, SLOW = 0.25, 0.5, 0.75
"""First entries of b that mean: kill this process; kill it at the first try; sleep."""


@dataclass(frozen=True)
class Fragile:
    """``state_space``, and a line in ``log`` with process id and first entry of b for every run that begins."""

    log: Path
    name: str = "fragile"

    def init(self, loaded: LoadedChip) -> EngineState:
        return StateSpace().init(loaded)

    def run(self, state: EngineState, *, duration: float, b=None, x0=None, seed=0, times_s=None):  # pyright: ignore[reportMissingParameterType] - as the protocol's
        mark = float(b[0])
        tries = self.log.read_text().count(f" {mark}\n") if self.log.exists() else 0
        with self.log.open("a") as file:
            file.write(f"{os.getpid()} {mark}\n")
        if mark == DEADLY or (mark == ONCE and tries == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if mark == SLOW:
            time.sleep(60)
        found: tuple[EngineState, Trajectory] = StateSpace().run(
            state, duration=duration, b=b, x0=x0, seed=seed, times_s=times_s
        )
        return found
