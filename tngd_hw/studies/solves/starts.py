"""From where the runs of a study start, and what drives them: as the DAC and the reset of every die put it on.

The state at t = 0 is what the reset leaves for a wanted start of rest, the charges of its switches included.  It
scatters from run to run by the frozen noise of the switches, v = J z with z standard normal (the reset is linear in z),
and by 1/f noise, which has been there before; both are in the covariance.  The noise of a DAC is constant in a run:
one draw, that of the seed, belongs to the die as its other errors do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tngd_hw.engines.equations import with_constant
from tngd_hw.engines.slow_noise import slow_noise_at_start
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import initial_state
from tngd_hw.studies.sweeps.study import StudyEngine
from tngd_hw.topologies import Drive, LoadedChip

__all__ = ["Start", "study_start"]


@dataclass(frozen=True, eq=False)
class Start:
    """What a batch of dies is driven by and starts from.

    Attributes:
        inputs: All inputs of the equations, shape ([chips,] m).
        state: Mean of the state at t = 0, shape ([chips,] states).
        covariance: Its covariance, shape ([chips,] states, states), or None where no run differs from another.
        drive: Where they come from.
    """

    inputs: Tensor
    state: Tensor
    covariance: Tensor | None
    drive: Drive

    @property
    def per_chip(self) -> bool:
        """Whether dies with the same equations start or are driven differently."""
        return self.drive.per_chip or (self.covariance is not None and self.covariance.ndim > 2)

    def of(self, chosen: Tensor) -> Start:
        """That of the chosen dies, (chips,) flags, where dies differ."""

        def part(value: Tensor, axes: int) -> Tensor:
            return value[chosen] if value.ndim > axes else value

        covariance = None if self.covariance is None else part(self.covariance, 2)
        return Start(part(self.inputs, 1), part(self.state, 1), covariance, self.drive)


def study_start(loaded: LoadedChip, sde: LinearSDE, engine: StudyEngine, *, seed: int) -> Start:
    """Inputs and start of every die.

    Args:
        loaded: The dies, programmed.
        sde: Their equations, as ``engine`` gives them.
        engine: Whose states they are.
        seed: Of the noise of the DAC.
    """
    hardware = loaded.chip.hardware
    quiet = replace(loaded, chip=replace(loaded.chip, hardware=hardware.without("reset.noise")))
    drive = quiet.drive(seed=seed)
    inputs = with_constant(drive)
    # Derivatives of the sources, where a netlist asks for them, are 0.
    still = inputs.new_zeros(*inputs.shape[:-1], sde.n_inputs - inputs.shape[-1])
    state = _states(loaded, drive.initial_volt.unsqueeze(-1), engine, sde.n_states, per_chip=drive.per_chip)
    covariance = slow_noise_at_start(sde)
    if hardware.reset.noise_kelvin > 0:
        volt = _frozen_noise(loaded)
        root = _states(loaded, volt, engine, sde.n_states, per_chip=True)
        frozen = root @ root.mT
        covariance = frozen if covariance is None else covariance + frozen
    return Start(torch.cat([inputs, still], -1), state.squeeze(-1), covariance, drive)


def _frozen_noise(loaded: LoadedChip) -> Tensor:
    """J: voltages of the outputs for every unit of the noise of every switch, shape (chips, n, 2 n)."""
    n, reset = loaded.n, loaded.chip.hardware.reset
    units = torch.eye(2 * n, dtype=torch.float64).reshape(1, 2, n, 2 * n)
    rest = torch.zeros(1, n, 2 * n, dtype=torch.float64)
    draws = loaded.chip.deviations["reset"]
    volt = reset.start(rest, loaded.elements, draws, units) - reset.start(rest, loaded.elements, draws, None)
    return volt.expand(loaded.chip.chips or 1, n, 2 * n)


def _states(loaded: LoadedChip, volt: Tensor, engine: StudyEngine, states: int, *, per_chip: bool) -> Tensor:
    """States of the equations for voltages ([chips,] n, k) that the reset holds, shape ([chips,] states, k)."""
    if not bool(volt.any()):
        return volt.new_zeros(states, volt.shape[-1])
    if engine is StudyEngine.BEHAVIORAL:
        return loaded.initial_state(volt, per_chip=per_chip)
    drive = Drive(torch.zeros_like(volt), volt, per_chip)
    each = [
        torch.stack([initial_state(loaded.netlist(drive.column(k), chip)) for k in range(volt.shape[-1])], -1)
        for chip in range(loaded.chip.chips or 1)
    ]
    return torch.stack(each)
