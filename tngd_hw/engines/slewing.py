"""Slew rate: does an output, or a stage inside the circuit, have to move faster than its amplifier can?

The circuits here are linear, so a demand on dV/dt that the amplifier cannot meet is reported, not simulated:
dV/dt = C (F x + E u) along the noiseless run from its start, on a grid of times from a hundredth of the fastest time
constant to ten of the slowest, where it has its peaks.  V are the outputs and the inner stages; noise is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.engines.saturation import first_failures, worst_statuses
from tngd_hw.engines.watched import watched_equations
from tngd_hw.linear_sde import LinearSDE, mean_at
from tngd_hw.outcome import Outcome, Status
from tngd_hw.topologies import Drive, LoadedChip

__all__ = ["slew_statuses"]

_POINTS_A_DECADE = 12


def slew_statuses(loaded: LoadedChip, drive: Drive) -> tuple[Status, ...]:
    """One status a chip: SATURATED where an output or an inner stage has to move faster than its amplifier's slew rate.

    Cost: nothing without a slew rate, else one solution of the closed-form equations at some tens of times.
    """
    amplifiers, chips = loaded.chip.hardware.amplifiers, loaded.chip.chips
    if amplifiers is None or amplifiers.slew_volt_per_s is None or not loaded.topology.amplifier_loads(loaded.elements):
        return (Status(),) * (chips or 1)
    demand = _steepest(loaded, drive)
    demand = demand.reshape(-1, demand.shape[-1])
    limit = torch.tensor(amplifiers.slew_volt_per_s, dtype=torch.float64)

    def too_fast(node: int, slope: float, limit: float) -> Status:
        detail = f"node {node} would have to move {slope / limit:.3g} times as fast as its amplifier slews"
        return Status(Outcome.SATURATED, detail)

    def too_fast_inside(stage: int, slope: float, limit: float) -> Status:
        detail = (
            f"the {loaded.inner_stages.names[stage]} would have to move at {slope / 1e6:.4g} V/us, {slope / limit:.3g} "
            f"times the {limit / 1e6:.4g} V/us that its amplifier slews"
        )
        return Status(Outcome.SATURATED, detail, "scale the drive down (larger x_max), or choose a faster amplifier")

    outputs, inner = demand[:, : loaded.n], demand[:, loaded.n :]
    return first_failures(worst_statuses(outputs, limit, too_fast), worst_statuses(inner, limit, too_fast_inside))


def _steepest(loaded: LoadedChip, drive: Drive) -> Tensor:
    """Largest |dV/dt| of every output, then of every inner stage, ([chips,] nodes), over right-hand sides too."""
    sde, axis = watched_equations(loaded), drive.node_axis
    slopes = LinearSDE(sde.F, sde.E, None, sde.C @ sde.F, D=sde.C @ sde.E, input_names=sde.input_names)
    start = loaded.initial_state(drive.initial_volt, per_chip=drive.per_chip)
    inputs = torch.cat([drive.inputs, torch.ones_like(drive.inputs.narrow(axis, 0, 1))], dim=axis)
    if slopes.batch_shape:
        chips = slopes.batch_shape[0]
        start, inputs = (v if v.ndim > -axis else v.expand(chips, *v.shape) for v in (start, inputs))
    slope = mean_at(slopes, _times(loaded.circuit_sde()), x0=start, u=inputs).abs().amax(axis - 1)
    return slope.amax(-1) if axis == -2 else slope


def _times(sde: LinearSDE) -> Tensor:
    """0, and logarithmic times over all time constants."""
    rates = sde.eigenvalues().abs()
    rates = rates[rates > 0]
    fastest, slowest = float(rates.max()), float(rates.min())
    count = int(_POINTS_A_DECADE * torch.log10(torch.tensor(1e3 * fastest / slowest)).item()) + 2
    grid = torch.logspace(0, 1, count, base=1e3 * fastest / slowest, dtype=torch.float64) * (1e-2 / fastest)
    return torch.cat([torch.zeros(1, dtype=torch.float64), grid])
