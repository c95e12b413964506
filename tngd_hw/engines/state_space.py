"""``state_space``: the netlist itself, through modified nodal analysis, solved exactly."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.base import EngineState, check_run, failed, output_times
from tngd_hw.engines.equations import Equations, any_runs, run_equations, with_constant
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.engines.watched import outputs_alone, watched_netlist, without_own_noise
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
        status = any_runs(loaded.circuit_statuses)
        if not status.ok:
            return EngineState(loaded, None, status)
        watched = without_own_noise(loaded, _equations_of_netlists(loaded))
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
        sde = state.watched
        assert sde is not None
        equations = Equations(sde, _all_inputs(sde, drive), _initial_states(loaded, drive, sde.n_states), drive)
        times = output_times(duration, times_s)
        return state, run_equations(self.name, loaded, equations, times, duration=duration, seed=seed)


def _equations_of_netlists(loaded: LoadedChip) -> LinearSDE:
    zero = torch.zeros(loaded.n, dtype=torch.float64)
    rest = Drive(zero, zero)
    netlists = (watched_netlist(loaded, loaded.netlist(rest, chip)) for chip in range(loaded.chip.chips or 1))
    found = [state_equations(netlist, noise=loaded.noise_sources).sde for netlist in netlists]
    if loaded.chip.chips is None:
        return found[0]
    F, E, B, C, D, D_w = (
        torch.stack([getattr(sde, name) for sde in found]) for name in ("F", "E", "B", "C", "D", "D_w")
    )
    names = {"state_names": found[0].state_names, "input_names": found[0].input_names}
    return LinearSDE(F, E, B, C, D=D, D_w=D_w, output_names=found[0].output_names, **names)


def _all_inputs(sde: LinearSDE, drive: Drive) -> Tensor:
    """The sources, the constant 1, and zeros for inputs that are derivatives of sources, which stand still here."""
    given, axis = with_constant(drive), drive.node_axis
    shape = list(given.shape)
    shape[axis] = sde.n_inputs - shape[axis]
    return torch.cat([given, given.new_zeros(shape)], dim=axis)


def _initial_states(loaded: LoadedChip, drive: Drive, states: int) -> Tensor:
    """States at t = 0 of every chip's own netlist, ([chips,] states) or ([chips,] states, k); no netlist for rest."""
    chips, columns = loaded.chip.chips, drive.columns
    if not bool(drive.initial_volt.any()):
        return torch.zeros((states,) if columns is None else (states, columns), dtype=torch.float64)
    each = [_initial_state(loaded, drive, chip) for chip in range(chips or 1)]
    return each[0] if chips is None else torch.stack(each)


def _initial_state(loaded: LoadedChip, drive: Drive, chip: int) -> Tensor:
    """That of one chip, (states,) or (states, k)."""
    if drive.columns is None:
        return initial_state(loaded.netlist(drive, chip))
    starts = [initial_state(loaded.netlist(drive.column(number), chip)) for number in range(drive.columns)]
    return torch.stack(starts, dim=1)
