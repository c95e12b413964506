"""``state_space``: the netlist itself, through modified nodal analysis, solved exactly."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.base import EngineState, check_run, failed, output_times
from tngd_hw.engines.equations import Equations, run_equations, with_constant
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import initial_state, state_equations
from tngd_hw.topologies import Drive, LoadedChip

__all__ = ["StateSpace"]


class StateSpace:
    """Exact for linear circuits: it solves the very netlist that ngspice is given.

    The start is read off the netlist's initial conditions, the drive is its input sources.
    """

    name = "state_space"

    def init(self, loaded: LoadedChip) -> EngineState:
        """State equations of every chip's netlist, stacked."""
        status = loaded.circuit_status
        return EngineState(loaded, _equations_of_netlists(loaded) if status.ok else None, status)

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
        drive = loaded.drive(b, x0)
        sde: LinearSDE = state.prepared
        equations = Equations(sde, _all_inputs(sde, drive.inputs), _initial_states(loaded, drive, sde.n_states))
        times = output_times(duration, times_s)
        return state, run_equations(self.name, loaded, equations, times, duration=duration, seed=seed)


def _equations_of_netlists(loaded: LoadedChip) -> LinearSDE:
    zero = torch.zeros(loaded.n, dtype=torch.float64)
    found = [state_equations(loaded.netlist(Drive(zero, zero), chip)).sde for chip in range(loaded.chip.chips or 1)]
    if loaded.chip.chips is None:
        return found[0]
    F, E, B, C, D, D_w = (
        torch.stack([getattr(sde, name) for sde in found]) for name in ("F", "E", "B", "C", "D", "D_w")
    )
    names = {"state_names": found[0].state_names, "input_names": found[0].input_names}
    return LinearSDE(F, E, B, C, D=D, D_w=D_w, output_names=found[0].output_names, **names)


def _all_inputs(sde: LinearSDE, inputs: Tensor) -> Tensor:
    """The sources, the constant 1, and zeros for inputs that are derivatives of sources, which stand still here."""
    given = with_constant(inputs)
    return torch.cat([given, given.new_zeros((sde.n_inputs - len(given), *given.shape[1:]))])


def _initial_states(loaded: LoadedChip, drive: Drive, states: int) -> Tensor:
    """States of the netlist's capacitors at t = 0, shape (states,) or (states, k); at rest without asking a netlist."""
    if not bool(drive.initial_volt.any()):
        return torch.zeros((states, *drive.initial_volt.shape[1:]), dtype=torch.float64)
    if drive.initial_volt.ndim == 1:
        return initial_state(loaded.netlist(drive))
    pairs = zip(drive.inputs.T, drive.initial_volt.T, strict=True)
    return torch.stack([initial_state(loaded.netlist(Drive(v, start))) for v, start in pairs], dim=1)
