"""DesignReport: what to expect of a circuit before it is simulated.  Stability, speed, offset, current.

Everything is read off the closed-form equations dv/dt = F v + E u of the programmed chip:

    margin        -max Re eig(F), in units of 1/tau; below 0 the circuit runs away
    damping       min over oscillating modes of -Re s/|s|; 1 where no mode oscillates
    slow-down     slowest time constant that the outputs show over that of the ideal filter (tau_eff/tau)
    offset        -C F^-1 E_constant: where the outputs settle with no input
    current       what each amplifier's output has to deliver with the nodes, |v|_2 for the stages, at the voltage limit
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import solve
from tngd_hw.topologies.spectrum import spectrum
from tngd_hw.units import format_quantity

if TYPE_CHECKING:
    from tngd_hw.topologies.loaded import LoadedChip

__all__ = ["DesignReport", "damping_ratio", "design_report"]


@dataclass(frozen=True)
class DesignReport:
    """See the module; of the first chip of a batch.

    Attributes:
        stable: Whether every mode decays.
        margin_per_tau: Decay rate of the slowest mode, in 1/tau; negative when it grows.
        damping_ratio: Smallest damping ratio of any oscillating mode; 1 when none oscillates, negative when one grows.
        slowest_tau: Time constant of the slowest mode of the circuit that the outputs show, in tau (infinite when
            unstable).
        slowdown: Over that of the ideal filter of the mapped matrix: tau_eff/tau; None for a circuit that is no filter.
        smallest_eigenvalue: Smallest real part of an eigenvalue of the mapped matrix, to set ``gain_damping`` against.
        gain_damping: Largest sum|G|/(A0 g0) that finite gain adds to the diagonal; 0 for ideal amplifiers.  For
            transconductors sum g_m/(intrinsic_gain g0).
        noise_gain: Largest (all conductance at a summing node)/(feedback) of a resistive stage; 1 without stages.
        offset_volt: Largest |output| with no input; None when unstable.
        offset_share: The same, over the planned range of the outputs.
        peak_current_ampere: Largest output current by the label of the role: of a node's amplifier with the node at
            the voltage limit, of a stage with |v|_2 of the nodes there; of none more than the amplifier delivers.
        current_limit_ampere: What an amplifier can deliver; None when ideal.
        common_mode_tau: Slowest mode that no output shows (two-rail circuits), in tau; None where there is none.
    """

    stable: bool
    margin_per_tau: float
    damping_ratio: float
    slowest_tau: float
    slowdown: float | None
    smallest_eigenvalue: float
    gain_damping: float
    noise_gain: float
    offset_volt: float | None
    offset_share: float | None
    peak_current_ampere: Mapping[str, float]
    current_limit_ampere: float | None
    common_mode_tau: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON; infinite numbers are null."""
        document = asdict(self)
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in document.items()}

    def __str__(self) -> str:
        current = max(self.peak_current_ampere.values(), default=0.0)
        limit = (
            "no limit" if self.current_limit_ampere is None else format_quantity(self.current_limit_ampere, "ampere")
        )
        offset = "none (unstable)" if self.offset_volt is None else format_quantity(self.offset_volt, "volt")
        share = "" if self.offset_share is None else f" ({100 * self.offset_share:.3g} % of the planned range)"
        rows = {
            "stability": ("stable" if self.stable else "UNSTABLE") + f", margin {self.margin_per_tau:.4g}/tau",
            "damping ratio": f"{self.damping_ratio:.3g}",
            "slowest mode": f"{self.slowest_tau:.4g} tau"
            + ("" if self.slowdown is None else f", {self.slowdown:.4g} times the ideal filter's"),
            "finite gain": f"adds up to {self.gain_damping:.3g} to an eigenvalue of {self.smallest_eigenvalue:.3g}",
        }
        if self.peak_current_ampere:
            rows |= {
                "noise gain": f"up to {self.noise_gain:.4g}",
                "offset": offset + share,
                "output current": f"up to {format_quantity(current, 'ampere')} of {limit}",
            }
        if self.common_mode_tau is not None:
            rows["common mode"] = f"settles with {self.common_mode_tau:.4g} tau"
        return "\n".join(f"{label:<20}{text}" for label, text in rows.items())


def design_report(loaded: LoadedChip) -> DesignReport:
    """The report of a loaded chip, the first one of a batch.  Cost: the eigenvalues of the closed-form equations.

    Raises:
        OutcomeError: The matrix does not fit.
    """
    loaded = loaded if loaded.chip.chips is None else loaded.select(0)
    sde, tau = loaded.circuit_sde(), loaded.tau
    modes = sde.eigenvalues() * tau
    margin = -float(modes.real.max())
    common = loaded.topology.common_mode_rates(loaded.elements)
    shown = modes if common is None else _without_nearest(modes, -common * tau)
    slowest = -1 / float(shown.real.max()) if margin > 0 else math.inf
    filter_rate = spectrum(loaded.mapped.formed_matrix()).slowest
    planned = _planned_volt(loaded)
    offset = float((sde.C @ solve(sde.F, -sde.E[..., -1:])).abs().max()) if margin > 0 else None
    loads = loaded.topology.amplifier_loads(loaded.elements)
    amplifiers = loaded.chip.hardware.amplifiers
    return DesignReport(
        stable=margin > 0,
        margin_per_tau=margin,
        damping_ratio=damping_ratio(modes),
        slowest_tau=slowest,
        slowdown=slowest * filter_rate if loaded.topology.is_filter else None,
        smallest_eigenvalue=filter_rate,
        gain_damping=loaded.report.gain_damping,
        noise_gain=max(
            (_noise_gain(load.summing_siemens, load.feedback_siemens) for load in loads.values()), default=1.0
        ),
        offset_volt=offset,
        offset_share=None if offset is None else offset / planned,
        peak_current_ampere={
            role.label: planned * float((load.settled_gain * load.output_siemens).max()) for role, load in loads.items()
        },
        current_limit_ampere=None if amplifiers is None else amplifiers.output_current_ampere,
        common_mode_tau=None if common is None else 1 / (float(common.min()) * tau),
    )


def _without_nearest(modes: Tensor, others: Tensor) -> Tensor:
    """``modes`` less the one nearest to each of ``others`` in turn: what is left when modes that no output shows go."""
    left = modes
    for other in others:
        nearest = int((left - other).abs().argmin())
        left = torch.cat([left[:nearest], left[nearest + 1 :]])
    return left


def damping_ratio(modes: Tensor) -> float:
    """min -Re s/|s| over modes with an imaginary part; 1 where there are none."""
    oscillating = modes[modes.imag.abs() > 1e-9 * modes.abs()]
    return float((-oscillating.real / oscillating.abs()).min()) if len(oscillating) else 1.0


def _planned_volt(loaded: LoadedChip) -> float:
    """Largest output voltage that the programmer planned for: the limit, or the settled answer of an ideal circuit."""
    limit = float(loaded.voltage_limit.min())
    return limit if math.isfinite(limit) else 1.0


def _noise_gain(summing: Tensor, feedback: Tensor) -> float:
    stages = feedback > 0
    return float((summing[stages] / feedback[stages]).max()) if bool(stages.any()) else 1.0
