"""``ideal``: the exact finite-time filter of the problem itself, with no circuit in between."""

from __future__ import annotations

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.base import EngineState, check_run, failed, node_names, output_times
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.linear_sde import LinearSDE, mean_at
from tngd_hw.outcome import MisuseError, Status
from tngd_hw.topologies import LoadedChip, Topology

__all__ = ["Ideal", "refuse_other_motion"]


def refuse_other_motion(topology: Topology) -> None:
    """MisuseError for a circuit that moves by another law than this engine, however good its parts."""
    if not topology.is_filter:
        raise MisuseError(
            f"engine = 'ideal' is the filter dx/dt = -(A x - b)/tau, which {topology.name} is not: "
            "use state_space or behavioral"
        )


class Ideal:
    """dx/dt = -(A x - b)/tau, solved in closed form: for symmetric A and x0 = 0, (1 - e^(-mu t/tau))/mu per mode.

    A is the matrix as mapped: where a chip holds D A D, its perfect circuit is the filter of D A D.
    No mismatch, no converters, no limits, no noise in its runs: what perfect hardware would do.  Voltages are v0 x.
    Its equations carry the injected noise, dv = ... + v0 sqrt(2 kappa/tau) dW, for the law they settle to.
    Cost: one eigenvalue problem of A an ``init``.
    """

    name = "ideal"

    def init(self, loaded: LoadedChip) -> EngineState:
        """The relaxation as a LinearSDE in seconds; its eigenbasis is made at the first run."""
        if not loaded.status.ok:
            return EngineState(loaded, None, loaded.status)
        A = loaded.mapped.formed_matrix()
        one = torch.eye(loaded.n, dtype=torch.float64)
        noise = loaded.scales.voltage_volt * math.sqrt(2 * loaded.kappa / loaded.tau) * one
        sde = LinearSDE(-A / loaded.tau, one / loaded.tau, noise)
        return EngineState(loaded, sde, Status())

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
        """See :class:`~tngd_hw.engines.base.Engine`; the same answer for every chip of a batch."""
        check_run(duration, seed)
        loaded = state.loaded
        refuse_other_motion(loaded.topology)
        if not state.status.ok:
            return state, failed(self.name, loaded, state.status, duration=duration, seed=seed)
        drive = loaded.planned_drive(b, x0)
        right = drive.inputs / loaded.scales.input_gain
        times = output_times(duration, times_s)
        voltage = mean_at(state.prepared, times, x0=drive.initial_volt, u=right)
        chips = loaded.chip.chips
        if chips is not None:
            voltage = voltage.expand(chips, *voltage.shape)
        statuses = (Status(),) * (chips or 1)
        names = node_names(loaded)
        return state, Trajectory(
            times, voltage, names, self.name, statuses, False, seed, duration, chips=loaded.chip.chips
        )
