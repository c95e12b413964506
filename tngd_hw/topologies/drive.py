"""What is put on a loaded chip for one run: as planned, and as its DAC and its reset really put it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tngd_hw.hardware import Chip, Elements, Role
from tngd_hw.outcome import Outcome, Status
from tngd_hw.random import stream

__all__ = ["Drive", "put_on"]

_VOLTAGE_INPUTS = (Role.INPUT, Role.INPUT_TRANSCONDUCTOR)
"""A die with one of these is driven by voltage sources, any other by currents."""


@dataclass(frozen=True, eq=False)
class Drive:
    """What is put on a loaded chip for one run.

    Attributes:
        inputs: Values of the sources, volt or ampere by topology, shape ([chips,] n) or ([chips,] n, k) for k
            right-hand sides.
        initial_volt: Output voltages held by the reset at t = 0, same shape.
        per_chip: Whether there is an axis for the chips: their converters or switches differ.
        statuses: One a chip, or one for all: SATURATED where the DAC clipped.
    """

    inputs: Tensor
    initial_volt: Tensor
    per_chip: bool = False
    statuses: tuple[Status, ...] = (Status(),)

    @property
    def columns(self) -> int | None:
        """Number of right-hand sides, or None where they have no axis."""
        return self.inputs.shape[-1] if self.inputs.ndim == (3 if self.per_chip else 2) else None

    @property
    def node_axis(self) -> int:
        """Axis of the nodes, counted from the end: -1, or -2 with right-hand sides behind it."""
        return -1 if self.columns is None else -2

    def chip(self, number: int) -> Drive:
        """The drive of one chip of a batch, without the axis."""
        status = (self.statuses[number if len(self.statuses) > 1 else 0],)
        if not self.per_chip:
            return Drive(self.inputs, self.initial_volt, statuses=status)
        return Drive(self.inputs[number], self.initial_volt[number], statuses=status)

    def column(self, number: int) -> Drive:
        """One right-hand side of several, without the axis."""
        return Drive(self.inputs[..., number], self.initial_volt[..., number], self.per_chip, self.statuses)


def put_on(planned: Drive, chip: Chip, elements: Elements, *, input_gain: float, seed: int) -> Drive:
    """What the DAC and the reset of ``chip`` make of a drive that is the same for all chips.

    The DAC gives the voltage of a source; where sources are currents a converter of |input_gain| siemens follows it.
    Its channel of a node also gives the voltage that the reset loads there, unless the start is rest.

    Args:
        planned: Without an axis for the chips.
        chip: The die or dies.
        elements: Theirs.
        input_gain: That of the scales, volt a volt or siemens.
        seed: Of what is drawn at every drive: chip 5 and column 2 have the same noise in a batch of any size.

    Returns:
        The drive, with an axis for the chips only where they differ; ``planned`` itself where nothing acts.
    """
    dac, reset = chip.hardware.dac, chip.hardware.reset
    if not dac.effects() and not reset.effects():
        return planned
    k, n = planned.columns, planned.inputs.shape[0]
    inputs, start = (value.reshape(1, n, k or 1) for value in (planned.inputs, planned.initial_volt))
    statuses = planned.statuses
    if dac.effects():
        per_volt = 1.0 if any(role in chip.inventory for role in _VOLTAGE_INPUTS) else abs(input_gain)
        out, lost = _converted(inputs / per_volt, chip, "dac.noise", seed)
        inputs = out * per_volt
        if bool(start.any()):
            start, also_lost = _converted(start, chip, "dac.noise.start", seed)
            lost = torch.maximum(lost, also_lost)
        statuses = tuple(_clipped(float(share), dac.range_volt) for share in lost)
    if reset.effects():
        noise = _normal(chip, "reset.noise", (2, n), k or 1, seed) if reset.noise_kelvin > 0 else None
        start = reset.start(start, elements, chip.deviations["reset"], noise)
    chips = max(len(inputs), len(start))
    per_chip = chip.chips is not None and chips > 1
    shape = (*((chips,) if per_chip else ()), n, *(() if k is None else (k,)))
    put = (value.expand(chips, n, k or 1).reshape(shape) for value in (inputs, start))
    return Drive(*put, per_chip=per_chip, statuses=statuses)


def _converted(volt: Tensor, chip: Chip, noise_name: str, seed: int) -> tuple[Tensor, Tensor]:
    """Outputs of the DAC, (chips, n, k), and the share that it clipped, (chips,)."""
    dac = chip.hardware.dac
    n, k = volt.shape[-2:]
    noise = _normal(chip, noise_name, (n,), k, seed).unsqueeze(1) if dac.noise_volt_std > 0 else None
    out, lost = dac.output(volt.unsqueeze(1), chip.deviations["dac"], noise)
    return out.squeeze(1), lost


def _normal(chip: Chip, name: str, shape: Sequence[int], columns: int, seed: int) -> Tensor:
    """Standard normal variates (chips, ..., k), a stream a chip and right-hand side."""
    drawn = [
        np.stack([stream(seed, name, number, use).standard_normal(tuple(shape)) for use in range(columns)], -1)
        for number in chip.numbers
    ]
    return torch.from_numpy(np.stack(drawn))


def _clipped(share: float, range_volt: float) -> Status:
    if share == 0:
        return Status()
    detail = f"the DAC clipped {share:.3g} of the values of this drive to its range of {range_volt:g} V"
    return Status(Outcome.SATURATED, detail, "raise dac.range_volt, calibrate the range, or plan with a larger x_max")
