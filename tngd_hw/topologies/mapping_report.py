"""MappingReport: what became of a matrix on its way into a circuit, and what it loses."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tngd_hw.hardware import Component, Elements, PartKind, Role, present
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.dense import solve
from tngd_hw.topologies.base import Quantity
from tngd_hw.topologies.spectrum import spectrum
from tngd_hw.topologies.support_report import SupportReport, support_reports, without_ranges
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN, format_quantity

if TYPE_CHECKING:
    from tngd_hw.topologies.loaded import LoadedChip

__all__ = ["ExpectedLoss", "MappingReport", "effective_temperature_kelvin", "mapping_report"]

_NO_PARTS = (Role.NOISE, Role.OUTPUT_CONDUCTANCE)
"""Roles of what is in the circuit and is no component of its own."""


def effective_temperature_kelvin(kappa: float, voltage_scale_volt: float, capacitance_farad: float) -> float:
    """T_eff = kappa v0^2 C/k_B: the temperature at which an RC node would have this noise."""
    return kappa * voltage_scale_volt**2 * capacitance_farad / BOLTZMANN_JOULE_PER_KELVIN


@dataclass(frozen=True)
class ExpectedLoss:
    """|x_circuit - x|/|x| of the settled answer to the problem's b, 2-norm, by cause.

    Attributes:
        total: Of this die.
        design: Of nominal parts with the amplifiers' finite gain: entries out of range, gain; no offset, no tolerance.
        offset: What this die's offsets alone add.
        tolerance: What this die's component values alone add: mismatch, memory, and of programming what is drawn.
        quantisation: What rounding to the nearest levels adds (stochastic rounding is drawn: tolerance).
    """

    total: float
    design: float
    offset: float
    tolerance: float
    quantisation: float


@dataclass(frozen=True)
class MappingReport:
    """Every scale and limit of one programmed chip (the first one of a batch).

    Attributes:
        topology: Name of the circuit.
        encoding: How signs are made.
        nodes_used: Nodes that the matrix needs.
        nodes_on_chip: Nodes that there are.
        matrix_components: Components that hold entries of the matrix.
        inverted_components: Those of negative sign: on an inverted rail, or with their inputs exchanged.
        elements: All components and amplifiers in use.
        amplifiers: Operational amplifiers in use.
        component_range: Smallest and largest value of the matrix components, in ``component_unit``.
        component_unit: siemens or farad.
        dynamic_range_db: Their ratio, 20 log10.
        needed_range_db: The same ratio if components could have any value, 20 log10.
        entries_raised: Entries below the programmable range that got its smallest value.
        entries_dropped: Entries without a component: below half of that value, or rounded to 0.
        support: What is programmed beside the matrix: the reference of an offset encoding, damping resistors.
        scaled: Whether the circuit holds D A D: the end is the same, the path is not.
        conductance_scale_siemens: g0: the conductance of A = 1 (of a tank resistor where capacitors hold the matrix).
        capacitance_scale_farad: C at every node (the capacitance of A = 1 where capacitors hold the matrix).
        voltage_scale_volt: v0: the voltage of x = 1.
        voltage_limit_volt: Largest output voltage that every amplifier of this die delivers (None for no limit); v0 was
            planned with that of the design.
        tau_s: Time unit.
        slowest_tau: Time constant of the slowest mode of the mapped matrix, in units of tau.
        condition_number: Of A.
        mapped_condition_number: Of D A D.
        bandwidth_slowdown: Largest factor 1 + G_sum/(2 pi GBW C) by which finite bandwidth slows a node; 1 when ideal.
        gain_damping: Largest sum|G|/(A0 g0): what finite gain adds to the damping, in units of A; of transconductors
            sum g_m/(intrinsic_gain g0).
        expected_loss: Of the settled answer; None without b, or where the circuit gives no solution.
        kappa: Cov(x) -> kappa A^-1 for symmetric A; 0 without injected noise.
        noise_psd_ampere2_per_hz: S_I for every unknown, one-sided.
        effective_temperature_kelvin: T_eff = kappa v0^2 C/k_B.
    """

    topology: str
    encoding: str
    nodes_used: int
    nodes_on_chip: int
    matrix_components: int
    inverted_components: int
    elements: int
    amplifiers: int
    component_range: tuple[float, float]
    component_unit: str
    dynamic_range_db: float
    needed_range_db: float
    entries_raised: int
    entries_dropped: int
    support: tuple[SupportReport, ...]
    scaled: bool
    conductance_scale_siemens: float
    capacitance_scale_farad: float
    voltage_scale_volt: float
    voltage_limit_volt: float | None
    tau_s: float
    slowest_tau: float
    condition_number: float
    mapped_condition_number: float
    bandwidth_slowdown: float
    gain_damping: float
    expected_loss: ExpectedLoss | None
    kappa: float
    noise_psd_ampere2_per_hz: float
    effective_temperature_kelvin: float

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        document = asdict(self)
        document["component_range"] = list(self.component_range)
        document["support"] = [group.to_dict() for group in self.support]
        # infinite for a matrix that no circuit can invert
        for name in ("slowest_tau", "condition_number", "mapped_condition_number"):
            document[name] = document[name] if math.isfinite(document[name]) else None
        return document

    def __str__(self) -> str:
        low, high = self.component_range
        limit = "none" if self.voltage_limit_volt is None else format_quantity(self.voltage_limit_volt, "volt")
        condition = f"{self.condition_number:.4g}"
        if self.scaled:
            condition += f", {self.mapped_condition_number:.4g} as mapped (D A D: same end, other path)"
        out_of_range = self.entries_raised + self.entries_dropped
        lost = f", {out_of_range} below it ({self.entries_dropped} dropped)" if out_of_range else ""
        rows = {
            "topology": f"{self.topology} ({self.encoding}), {self.nodes_used} of {self.nodes_on_chip} nodes",
            "matrix components": f"{self.matrix_components}, {self.inverted_components} of them inverted",
            "all components": f"{self.elements}, {self.amplifiers} of them operational amplifiers",
            "their values": " to ".join(format_quantity(value, self.component_unit) for value in (low, high)),
            "dynamic range": f"{self.needed_range_db:.1f} dB needed, {self.dynamic_range_db:.1f} dB used{lost}",
            **{group.name: str(group) for group in self.support},
            "scale of A": self._scale(),
            "scale of x": f"v0 = {format_quantity(self.voltage_scale_volt, 'volt')}",
            "voltage limit": limit,
            "tau": format_quantity(self.tau_s, "s"),
            "slowest mode": f"{self.slowest_tau:.4g} tau",
            "condition number": condition,
            "bandwidth slows by": f"{self.bandwidth_slowdown:.4g}",
            "gain adds damping": f"{self.gain_damping:.3g}",
            "expected loss in x": "unknown without b" if self.expected_loss is None else _losses(self.expected_loss),
            "injected noise": "none" if self.kappa == 0 else self._noise(),
        }
        return "\n".join(f"{label:<20}{text}" for label, text in rows.items())

    def _scale(self) -> str:
        if self.component_unit == "farad":
            return f"c0 = {format_quantity(self.capacitance_scale_farad, 'farad')}"
        return f"g0 = {format_quantity(self.conductance_scale_siemens, 'siemens')}"

    def _noise(self) -> str:
        density = self.noise_psd_ampere2_per_hz**0.5
        temperature = self.effective_temperature_kelvin
        return f"kappa = {self.kappa:g} ({density:.3g} A/sqrt(Hz), T_eff = {temperature:.3g} K)"


def _losses(loss: ExpectedLoss) -> str:
    causes = {
        "range and gain": loss.design,
        "quantisation": loss.quantisation,
        "offset": loss.offset,
        "tolerance": loss.tolerance,
    }
    return f"{loss.total:.2g} ({', '.join(f'{cause} {part:.2g}' for cause, part in causes.items())})"


def mapping_report(loaded: LoadedChip) -> MappingReport:
    """The report of a loaded chip, the first one of a batch.

    Cost: an eigenvalue problem of A, and two solutions of the circuit's equations.

    Raises:
        OutcomeError: The matrix does not fit.
    """
    loaded = loaded if loaded.chip.chips is None else loaded.select(0)
    elements, scales = present(loaded.elements), loaded.scales
    holders = [elements.components[role] for role in loaded.topology.matrix_roles if role in elements.components]
    values = torch.cat([holder.value.reshape(-1) for holder in holders])
    low, high = float(values.min()), float(values.max())
    entries = _wanted_values(loaded)
    found = spectrum(loaded.mapped.formed_matrix())
    raised, dropped = _out_of_range(loaded, len(entries), holders)
    slowdown, added = _amplifier_effects(loaded)
    limit = float(loaded.voltage_limit.min())
    condition = found.condition if loaded.scaling is None else spectrum(loaded.problem.formed_matrix()).condition
    amplifiers = sum(elements.counts.values())
    return MappingReport(
        topology=loaded.chip.topology,
        encoding=loaded.design.layout.encoding.value,
        nodes_used=loaded.n,
        nodes_on_chip=loaded.chip.nodes,
        matrix_components=len(values),
        inverted_components=sum(int((holder.sign < 0).sum()) for holder in holders),
        elements=sum(len(c.row) for role, c in elements.components.items() if role not in _NO_PARTS) + amplifiers,
        amplifiers=amplifiers,
        component_range=(low, high),
        component_unit="farad" if _holds_in(loaded, PartKind.CAPACITOR) else "siemens",
        dynamic_range_db=20 * math.log10(high / low),
        needed_range_db=20 * math.log10(float(entries.max() / entries.min())),
        entries_raised=raised,
        entries_dropped=dropped,
        support=support_reports(loaded),
        scaled=loaded.scaling is not None,
        conductance_scale_siemens=scales.conductance_siemens,
        capacitance_scale_farad=scales.capacitance_farad,
        voltage_scale_volt=scales.voltage_volt,
        voltage_limit_volt=limit if math.isfinite(limit) else None,
        tau_s=scales.tau_s,
        slowest_tau=1 / found.slowest if found.slowest > 0 else math.inf,
        condition_number=condition,
        mapped_condition_number=found.condition,
        bandwidth_slowdown=slowdown,
        gain_damping=added,
        expected_loss=_expected_loss(loaded),
        kappa=loaded.kappa,
        noise_psd_ampere2_per_hz=loaded.design.noise_psd,
        effective_temperature_kelvin=effective_temperature_kelvin(
            loaded.kappa, scales.voltage_volt, scales.capacitance_farad
        ),
    )


def _wanted_values(loaded: LoadedChip) -> Tensor:
    """Sizes of the matrix components, one a stored entry that is not zero, if resistors could have any value."""
    elements = without_ranges(loaded)
    holders = [elements.components[role] for role in loaded.topology.matrix_roles if role in elements.components]
    size = torch.cat([holder.value.abs() for holder in holders])
    return size[size > 0]


def _holds_in(loaded: LoadedChip, kind: PartKind) -> bool:
    return any(role.part is kind for role in loaded.topology.matrix_roles)


def _out_of_range(loaded: LoadedChip, entries: int, holders: list[Component]) -> tuple[int, int]:
    """Entries designed at the smallest programmable value, and entries without a component."""
    largest = loaded.chip.hardware.resistors.largest_ohm
    dropped = max(entries - sum(len(holder.row) for holder in holders), 0)
    if largest is None or not _holds_in(loaded, PartKind.RESISTOR):
        return 0, dropped
    nominal = [
        loaded.nominal.components[r].value for r in loaded.topology.matrix_roles if r in loaded.nominal.components
    ]
    raised = sum(int((value <= (1 + 1e-12) / largest).sum()) for value in nominal)
    return raised, dropped


def _amplifier_effects(loaded: LoadedChip) -> tuple[float, float]:
    """Largest 1 + G_sum/(2 pi GBW C) and largest G_sum/(A0 g0) over the amplifiers of the nodes."""
    elements = loaded.elements
    if Role.OUTPUT_CONDUCTANCE in elements.components:  # transconductors: sum g_m/intrinsic_gain a node
        return 1.0, float(elements.value(Role.OUTPUT_CONDUCTANCE).max()) / loaded.scales.conductance_siemens
    role = next((r for r in (Role.INTEGRATOR_AMPLIFIER, Role.SOLVER_AMPLIFIER) if r in elements.amplifiers), None)
    if role is None:
        return 1.0, 0.0
    bank = elements.amplifiers[role]
    load = loaded.topology.amplifier_loads(elements)[role].summing_siemens
    added = load / (bank.open_loop_gain * loaded.scales.conductance_siemens)
    if Role.INTEGRATION not in elements.components:  # no capacitors: the amplifiers are the speed, tau has them in it
        return 1.0, float(added.max())
    slow = 1 + load / (2 * math.pi * bank.gain_bandwidth_hz * elements.value(Role.INTEGRATION))
    return float(slow.max()), float(added.max())


def _expected_loss(loaded: LoadedChip) -> ExpectedLoss | None:
    b = loaded.problem.b
    if b is None or Quantity.SOLUTION not in loaded.topology.quantities or not loaded.circuit_status.ok:
        return None
    inputs, axis = loaded.planned_drive().inputs, -b.ndim
    one = torch.ones(1, *inputs.shape[1:], dtype=torch.float64)
    sde, perfect_sde = loaded.linear_sde(), loaded.topology.linear_sde(_without_deviations(loaded))
    chip = loaded.unknowns(_settled(sde, sde.E[..., :-1], inputs), axis)
    offset = loaded.unknowns(_settled(sde, sde.E[..., -1:], one), axis)
    perfect = loaded.unknowns(_settled(perfect_sde, perfect_sde.E[..., :-1], inputs), axis)
    rounded_sde = loaded.topology.linear_sde(_rounded(loaded))
    rounded = loaded.unknowns(_settled(rounded_sde, rounded_sde.E[..., :-1], inputs), axis)
    exact = _solution(loaded.problem.formed_matrix(), b)
    size = _size(exact)
    errors = (chip + offset - exact, perfect - exact, offset, chip - rounded, rounded - perfect)
    return ExpectedLoss(*(_size(error) / size if size > 0 else 0.0 for error in errors))


def _size(value: Tensor) -> float:
    return float(value.square().sum().sqrt())


def _solution(A: Tensor, b: Tensor) -> Tensor:
    return solve(A, b) if b.ndim > 1 else solve(A, b[:, None]).squeeze(-1)


def _settled(sde: LinearSDE, E: Tensor, inputs: Tensor) -> Tensor:
    """C x with F x + E u = 0."""
    columns = inputs if inputs.ndim > 1 else inputs[:, None]
    voltage = sde.C @ solve(sde.F, -E @ columns)
    return voltage if inputs.ndim > 1 else voltage.squeeze(-1)


def _without_deviations(loaded: LoadedChip) -> Elements:
    """Nominal components, transconductors and amplifiers of nominal gain and bandwidth, without offset."""
    return _nominal_chip(loaded, loaded.nominal)


def _rounded(loaded: LoadedChip) -> Elements:
    """The same with all that is programmed at its nearest level."""
    hardware = loaded.chip.hardware
    elements = replace(loaded.nominal, programmable=loaded.elements.programmable)
    if not hardware.programming.stochastic_rounding:
        elements = hardware.programming.apply(elements, {})
    if hardware.damping is not None:
        elements = hardware.damping.apply(elements, {})
    return _nominal_chip(loaded, elements)


def _nominal_chip(loaded: LoadedChip, elements: Elements) -> Elements:
    elements = loaded.chip.hardware.transconductors.apply(elements, {})
    for role, bank in loaded.elements.amplifiers.items():
        quiet = replace(
            bank, offset_volt=torch.zeros_like(bank.offset_volt), bias_ampere=torch.zeros_like(bank.bias_ampere)
        )
        elements = elements.with_amplifiers(role, quiet)
    return elements
