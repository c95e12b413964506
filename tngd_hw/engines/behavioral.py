"""``behavioral``: the closed-form equations of the circuit, for whole batches of chips, without a netlist."""

from __future__ import annotations

from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.base import EngineState, check_run, failed, output_times
from tngd_hw.engines.equations import Equations, any_runs, run_equations, with_constant
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.engines.watched import outputs_alone, watched_equations, without_own_noise
from tngd_hw.topologies import LoadedChip

__all__ = ["Behavioral"]


class Behavioral:
    """Exact solution of the topology's own equations, mismatch, finite gain, bandwidth and injected noise included."""

    name = "behavioral"

    def init(self, loaded: LoadedChip) -> EngineState:
        """The closed-form LinearSDE."""
        status = any_runs(loaded.circuit_statuses)
        if not status.ok:
            return EngineState(loaded, None, status)
        watched = without_own_noise(loaded, watched_equations(loaded))
        return EngineState(loaded, outputs_alone(loaded, watched), status, watched)

    def run(
        self,
        state: EngineState,
        *,
        duration: float,
        b: ArrayLike | Tensor | None = None,
        x0: ArrayLike | Tensor | None = None,
        seed: int = 0,
        times_s: ArrayLike | Tensor | None = None,
    ) -> tuple[EngineState, Trajectory]:
        """See :class:`~tngd_hw.engines.base.Engine`."""
        check_run(duration, seed)
        loaded = state.loaded
        if not state.status.ok:
            return state, failed(self.name, loaded, state.status, duration=duration, seed=seed)
        drive = loaded.drive(b, x0, seed=seed)
        start = loaded.initial_state(drive.initial_volt, per_chip=drive.per_chip)
        assert state.watched is not None
        equations = Equations(state.watched, with_constant(drive), start, drive)
        times = output_times(duration, times_s)
        return state, run_equations(self.name, loaded, equations, times, duration=duration, seed=seed)
