"""A chip that has been given a matrix."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.hardware import Chip, Elements, Role, present
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.dense import eigvals
from tngd_hw.linear_sde.settled import stable_members
from tngd_hw.netlist import Netlist, NoiseSources
from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status
from tngd_hw.problem import LinearProblem, as_real_tensor
from tngd_hw.topologies.amplifier_limits import delivered_limit
from tngd_hw.topologies.base import Design, InnerStages, Scales, Topology
from tngd_hw.topologies.design_report import DesignReport, design_report
from tngd_hw.topologies.drive import Drive, put_on
from tngd_hw.topologies.mapping_report import MappingReport, mapping_report
from tngd_hw.topologies.noise_poles import noise_pole_count, with_flicker, with_noise_bandwidth

__all__ = ["NETLIST_ELEMENT_LIMIT", "LoadedChip"]

NETLIST_ELEMENT_LIMIT = 2_000_000
"""Circuits with more elements are not written as netlists (about 100 MB of text)."""


@dataclass(frozen=True, eq=False)
class LoadedChip:
    """A chip programmed with a problem.

    Attributes:
        chip: The die.
        problem: What it was given.
        mapped: What the circuit holds: the problem, or (D A D, D b) after two-sided scaling.
        scaling: D, shape (n,), or None: x = D y, y the unknowns of ``mapped``.
        topology: The circuit.
        design: Hardware, layout, scales and noise.
        kappa: Strength of the injected noise: Cov(x) -> kappa A^-1 for symmetric A.
        status: OK, or why this chip cannot give the answer; engines return it instead of running.
        programmed: This chip's element values, or None where the matrix does not fit; see :attr:`elements`.
        programming_seed: Seed of what was drawn when it was programmed.
    """

    chip: Chip
    problem: LinearProblem
    mapped: LinearProblem
    scaling: Tensor | None
    topology: Topology
    design: Design
    kappa: float
    status: Status
    programmed: Elements | None = field(repr=False)
    programming_seed: int = 0

    @property
    def scales(self) -> Scales:
        """g0, v0, C, tau and the input gain."""
        return self.design.scales

    @property
    def tau(self) -> float:
        """The time unit in seconds: tau = C/g0, the paper's, where the circuit is the paper's filter."""
        return self.scales.tau_s

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return self.problem.n

    @property
    def elements(self) -> Elements:
        """This chip's element values; OutcomeError where the matrix does not fit."""
        if self.programmed is None:
            raise OutcomeError(self.status)
        return self.programmed

    @cached_property
    def nominal(self) -> Elements:
        """The elements as they were asked for, before this chip's deviations and with ideal amplifiers."""
        if self.programmed is None:
            raise OutcomeError(self.status)
        return self.topology.elements(self.mapped, self.design)

    @cached_property
    def report(self) -> MappingReport:
        """What the mapping did and what it loses; OutcomeError where the matrix does not fit."""
        return mapping_report(self)

    @cached_property
    def design_report(self) -> DesignReport:
        """What to expect of the circuit before it is simulated; OutcomeError where the matrix does not fit."""
        return design_report(self)

    @cached_property
    def voltage_limit(self) -> Tensor:
        """Largest |output voltage| of every node, shape (..., n); infinite where nothing limits it."""
        return self.topology.voltage_limit(self.elements, self.chip.hardware)

    @cached_property
    def delivered_limit(self) -> Tensor:
        """Largest |output voltage| that the amplifier of each node delivers, whatever the others do, shape (..., n)."""
        amplifiers, loads = self.chip.hardware.amplifiers, self.topology.amplifier_loads(self.elements)
        if amplifiers is None or not loads:
            return self.voltage_limit
        return delivered_limit(loads, amplifiers)[..., : self.n]

    @cached_property
    def inner_stages(self) -> InnerStages:
        """The limited voltages inside the circuit that are no outputs."""
        return self.topology.inner_stages(self.elements, self.chip.hardware)

    @cached_property
    def circuit_statuses(self) -> tuple[Status, ...]:
        """The status of every chip's circuit with its real amplifiers, one a chip: UNSTABLE where a mode grows."""
        chips = self.chip.chips
        if not self.status.ok:
            return (self.status,) * (chips or 1)
        sde = self.linear_sde()
        if sde.shrinks:
            return (Status(),) * (chips or 1)
        drifts = sde.F.detach().reshape(-1, sde.n_states, sde.n_states)  # one of them where all chips are alike
        statuses = [
            Status() if stable else self._growth(drift)
            for stable, drift in zip(stable_members(drifts), drifts, strict=True)
        ]
        return tuple(statuses * (chips or 1) if len(statuses) == 1 else statuses)

    @property
    def circuit_status(self) -> Status:
        """The first of :attr:`circuit_statuses` that is not OK, else OK."""
        return next((status for status in self.circuit_statuses if not status.ok), Status())

    def _growth(self, drift: Tensor) -> Status:
        growth = float(eigvals(drift).real.max())
        if growth < 0:
            return Status()
        detail = f"with its real amplifiers the circuit has a mode growing at {growth:.3g} 1/s"
        if self.chip.hardware.resistors.largest_ohm is not None:
            detail += " (entries below the range of the resistors are missing from it, see the mapping report)"
        if Role.DAMPING in self.elements.components and bool((self.elements.value(Role.DAMPING) == 0).any()):
            detail += " (damping resistors were set to 0 S: give hardware.damping a range of its own)"
        return Status(Outcome.UNSTABLE, detail)

    def select(self, chip: int) -> LoadedChip:
        """Chip number ``chip`` of a batch as a loaded chip of its own."""
        if self.chip.chips is None or not 0 <= chip < self.chip.chips:
            raise MisuseError(f"chip = {chip!r}: this batch has chips 0 to {(self.chip.chips or 0) - 1}")
        return replace(self, chip=self.chip.select(chip), programmed=self.elements.chip(chip))

    def drive(
        self, b: ArrayLike | Tensor | None = None, x0: ArrayLike | Tensor | None = None, *, seed: int = 0
    ) -> Drive:
        """The :meth:`planned_drive` as this chip's DAC and reset put it on; ``seed`` is that of their noise."""
        planned = self.planned_drive(b, x0)
        if self.programmed is None:
            return planned
        return put_on(planned, self.chip, self.programmed, input_gain=self.scales.input_gain, seed=seed)

    def planned_drive(self, b: ArrayLike | Tensor | None = None, x0: ArrayLike | Tensor | None = None) -> Drive:
        """Sources for right-hand side ``b`` (default: the problem's, or 0) from ``x0`` (default 0).

        Source i has the value input_gain v0 D_i b_i, and v(0) = v0 x0/D; shapes (n,) or (n, k), broadcast against each
        other.
        """
        right = self.problem.b if b is None else as_real_tensor(b, "b")
        start = None if x0 is None else as_real_tensor(x0, "x0")
        zero = torch.zeros(self.n, dtype=torch.float64)
        right, start = _same_shape(zero if right is None else right, zero if start is None else start)
        for name, value in (("b", right), ("x0", start)):
            if value.ndim not in (1, 2) or value.shape[0] != self.n:
                raise MisuseError(f"{name} has shape {tuple(value.shape)}: expected ({self.n},) or ({self.n}, k)")
        if right.shape != start.shape:
            raise MisuseError(f"b has {right.shape[1]} columns and x0 has {start.shape[1]}: give the same number")
        if self.scaling is not None:
            D = self.scaling if right.ndim == 1 else self.scaling[:, None]
            right, start = D * right, start / D
        v0 = self.scales.voltage_volt
        return Drive(self.scales.input_gain * v0 * right, v0 * start)

    def unknowns(self, volt: Tensor, node_axis: int = -1) -> Tensor:
        """x = D v/v0 of output voltages, nodes along ``node_axis`` (-1, or -2 with right-hand sides behind)."""
        x = volt / self.scales.voltage_volt
        if self.scaling is None:
            return x
        return x * (self.scaling if node_axis == -1 else self.scaling[:, None])

    def netlist(self, drive: Drive | None = None, chip: int = 0) -> Netlist:
        """The circuit of one chip with one drive (default: the problem's b from rest).

        Raises:
            OutcomeError: NOT_REALIZABLE above NETLIST_ELEMENT_LIMIT elements, or where the matrix does not fit.
        """
        drive = self.drive() if drive is None else drive
        elements = present(self.elements if self.chip.chips is None else self.elements.chip(chip))
        count = sum(len(c.row) for c in elements.components.values())
        if count > NETLIST_ELEMENT_LIMIT:
            detail = f"the circuit has {count} elements, netlists are written up to {NETLIST_ELEMENT_LIMIT}"
            raise OutcomeError(Status(Outcome.NOT_REALIZABLE, detail))
        if drive.columns is not None:
            k = drive.columns
            raise MisuseError(f"a netlist has one right-hand side, this drive has {k}: make one netlist a column")
        own = drive.chip(chip)
        return self.topology.netlist(elements, own.inputs, own.initial_volt)

    def linear_sde(self, chips: slice | None = None, *, inner: bool = False) -> LinearSDE:
        """The closed-form equations of this chip's circuit, batched over chips, or over those of ``chips``.

        With ``inner`` the voltages of :attr:`inner_stages` are outputs below the n outputs.
        """
        elements = self.elements if chips is None else self.elements.chip(chips)
        sde = self.topology.linear_sde(elements, inner=inner)
        if elements.noise_bandwidth_hz is not None:
            sde = with_noise_bandwidth(sde, elements.noise_bandwidth_hz)
        bank = elements.amplifier_bank()
        return sde if bank is None or not bank.flickers else with_flicker(sde, bank)

    def circuit_sde(self) -> LinearSDE:
        """:meth:`linear_sde` without the poles of noise sources: what has to settle."""
        return self.topology.linear_sde(self.elements)

    def initial_state(self, initial_volt: Tensor, *, per_chip: bool = False) -> Tensor:
        """State of :meth:`linear_sde` for output voltages (n,) or (n, k) held at t = 0; noise generators at rest.

        With ``per_chip`` the voltages have an axis for the chips: ([chips,] states) or ([chips,] states, k).
        """
        if per_chip:  # a start is linear in the voltages
            columns = initial_volt if initial_volt.ndim == 3 else initial_volt.unsqueeze(-1)
            state = self.initial_state(torch.eye(self.n, dtype=torch.float64)) @ columns
            return state if initial_volt.ndim == 3 else state.squeeze(-1)
        state = self.topology.initial_state(self.elements, initial_volt)
        axis, shape = -initial_volt.ndim, list(state.shape)
        shape[axis] = noise_pole_count(self.elements)
        return torch.cat([state, state.new_zeros(shape)], dim=axis) if shape[axis] else state

    @property
    def noise_sources(self) -> NoiseSources:
        """What is heard in the netlist: every resistor that has a temperature, or only what is injected."""
        return NoiseSources.ALL if self.elements.noise_kelvin else NoiseSources.INJECTED

    @property
    def noisy(self) -> bool:
        """Whether a run differs from one seed to the next: injected noise, or noise of the parts."""
        own = any(
            bool((bank.voltage_noise_psd > 0).any()) or bool((bank.current_noise_psd > 0).any())
            for bank in self.elements.amplifiers.values()
        )
        return self.kappa > 0 or own or bool(self.elements.noise_kelvin)


def _same_shape(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.ndim == b.ndim:
        return a, b
    if a.ndim == 1 and b.ndim == 2:
        return a[:, None].expand(-1, b.shape[1]), b
    if a.ndim == 2 and b.ndim == 1:
        return a, b[:, None].expand(-1, a.shape[1])
    return a, b
