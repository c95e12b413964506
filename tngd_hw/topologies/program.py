"""From a matrix to a programmed chip: ``manufacture`` a die once, ``program`` it as often as needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from tngd_hw.hardware import Chip, Elements, HardwareSpec, Role, draw_chip
from tngd_hw.hardware.elements import AMPLIFIER_ROLES
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import check_seed
from tngd_hw.topologies.base import Scales
from tngd_hw.topologies.loaded import LoadedChip
from tngd_hw.topologies.registry import find_topology
from tngd_hw.topologies.report import MappingReport, effective_temperature_kelvin
from tngd_hw.topologies.spectrum import Spectrum, spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["manufacture", "program"]

_HEADROOM = 0.8
"""Share of the voltage limit that the programmer plans with; mismatch and offsets take the rest."""

_IDEAL_RANGE_VOLT = 1.0
"""Planned range where amplifiers are ideal and set no limit."""

_NOISE_SIGMAS = 5.0
"""Injected noise is given room for this many standard deviations."""


def manufacture(topology: str, nodes: int, hardware: HardwareSpec, *, seed: int = 0, chips: int | None = None) -> Chip:
    """Make a die of ``nodes`` nodes; its deviations are drawn here, once, for its life.

    Args:
        topology: Name of the circuit, for example ``"integrator"``.
        nodes: Number of unknowns that it can hold.
        hardware: What it is made of, for example ``presets.pcb_1k_1n()``.
        seed: Seed of the deviations; die k of a seed is the same in a batch of any size.
        chips: Number of dies in a batch; leave out for a single die.

    Raises:
        MisuseError: Unknown topology, nodes or chips below 1.
    """
    circuit = find_topology(topology)
    if isinstance(nodes, bool) or not isinstance(nodes, int) or nodes < 1:
        raise MisuseError(f"nodes = {nodes!r}: a chip has an integer number of nodes, at least 1")
    return draw_chip(circuit.name, nodes, hardware, seed=seed, chips=chips, built=circuit.inventory(nodes))


def program(
    chip: Chip, problem: LinearProblem, *, seed: int = 0, x_max: float | None = None, kappa: float = 0.0
) -> LoadedChip:
    """Set the components of ``chip`` to ``problem`` and choose the scales.

    g0 makes the largest entry of A the smallest resistance.  v0 makes the largest |x| that can occur use 80 % of the
    range of the amplifiers: with x0 = 0 and b constant, |x(t)| <= |b|/mu at all times, mu the smallest eigenvalue of
    (A + A^T)/2, so no knowledge of the answer is needed; ``x_max`` replaces this bound.

    Args:
        chip: A die from :func:`manufacture`.
        problem: A dense problem of at most ``chip.nodes`` unknowns.
        seed: Seed of what is drawn at every programming (nothing in the present parts; kept in every call).
        x_max: Largest |x| to plan for.
        kappa: Strength of the injected noise, Cov(x) -> kappa A^-1 for symmetric A; sets S_I = 4 kappa C g0 v0^2.

    Returns:
        A LoadedChip, whose status tells whether it can give the answer.  Cost: O(n^3), one eigenvalue problem.

    Raises:
        MisuseError: x_max or kappa out of range, or a problem kept as factors.
    """
    check_seed(seed)
    if x_max is not None and not (_is_number(x_max) and 0 < x_max < math.inf):
        raise MisuseError(f"x_max = {x_max!r}: the largest |x| to plan for is a finite number above 0")
    if not (_is_number(kappa) and 0 <= kappa < math.inf):
        raise MisuseError(f"kappa = {kappa!r}: the noise strength is a finite number of 0 or more")
    A, topology, hardware = problem.dense_matrix(), find_topology(chip.topology), chip.hardware
    largest = float(A.abs().max())
    unit = 1.0 / hardware.resistors.resistance_ohm
    g0 = unit / largest if largest > 0 else unit
    if problem.n > chip.nodes:
        detail = f"A has {problem.n} rows, the chip has {chip.nodes} nodes"
        return _refused(chip, problem, g0, kappa, Status(Outcome.NOT_REALIZABLE, detail))
    status = topology.check(A)
    if largest == 0:
        return _refused(chip, problem, g0, kappa, status)
    found = spectrum(A)
    nominal = chip.realise(topology.elements(A, hardware, g0, 0.0))
    limit = topology.voltage_limit(nominal, hardware)
    planned = x_max if x_max is not None else _largest_answer(problem, found, kappa)
    v0 = _voltage_scale(problem, planned, float(limit.min()), g0, unit)
    scales = Scales(g0, v0, hardware.capacitors.capacitance_farad, unit)
    noise_psd = 4 * kappa * scales.capacitance_farad * g0 * v0**2
    elements = nominal if kappa == 0 else chip.realise(topology.elements(A, hardware, g0, noise_psd))
    report = _report(chip, elements, scales, found, limit=float(limit.min()), kappa=kappa, noise_psd=noise_psd)
    return LoadedChip(chip, problem, topology, scales, kappa, status, elements, report)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(chip: Chip, problem: LinearProblem, g0: float, kappa: float, status: Status) -> LoadedChip:
    hardware = chip.hardware
    scales = Scales(g0, 1.0, hardware.capacitors.capacitance_farad, 1.0 / hardware.resistors.resistance_ohm)
    return LoadedChip(chip, problem, find_topology(chip.topology), scales, kappa, status, None, None)


def _largest_answer(problem: LinearProblem, found: Spectrum, kappa: float) -> float:
    """A bound on |x(t)| from x0 = 0, and room for the noise; 1 where neither says anything."""
    slowest = found.contraction if found.contraction > 0 else found.slowest
    if slowest <= 0:
        return 1.0
    b = torch.zeros(1, dtype=torch.float64) if problem.b is None else problem.b
    norms = cast("Tensor", torch.linalg.vector_norm(b, dim=0))
    bound = float(norms.max()) / slowest
    bound += _NOISE_SIGMAS * math.sqrt(kappa / slowest)
    return bound if bound > 0 else 1.0


def _voltage_scale(problem: LinearProblem, x_max: float, limit: float, g0: float, g_in: float) -> float:
    """v0 so that neither v0 x_max nor an input voltage g0 v0 b/g_in exceeds the planned range."""
    usable = _HEADROOM * limit if math.isfinite(limit) else _IDEAL_RANGE_VOLT
    drive = 0.0 if problem.b is None else float(problem.b.abs().max()) * g0 / g_in
    return usable / max(x_max, drive)


def _report(
    chip: Chip,
    elements: Elements,
    scales: Scales,
    found: Spectrum,
    *,
    limit: float,
    kappa: float,
    noise_psd: float,
) -> MappingReport:
    array = elements.components[Role.ARRAY]
    low, high = float(array.value.min()), float(array.value.max())
    slowdown, added = _amplifier_effects(elements, scales, elements.n)
    return MappingReport(
        topology=chip.topology,
        nodes_used=elements.n,
        nodes_on_chip=chip.nodes,
        resistors=len(array.row),
        inverted_resistors=int((array.sign < 0).sum()),
        amplifiers=_count(chip, AMPLIFIER_ROLES),
        conductance_scale_siemens=scales.conductance_siemens,
        conductance_range_siemens=(low, high),
        dynamic_range_db=20 * math.log10(high / low),
        voltage_scale_volt=scales.voltage_volt,
        voltage_limit_volt=limit if math.isfinite(limit) else None,
        tau_s=scales.tau_s,
        slowest_tau=1 / found.slowest if found.slowest > 0 else math.inf,
        condition_number=found.condition,
        bandwidth_slowdown=slowdown,
        gain_damping=added,
        kappa=kappa,
        noise_psd_ampere2_per_hz=noise_psd,
        effective_temperature_kelvin=effective_temperature_kelvin(kappa, scales.voltage_volt, scales.capacitance_farad),
    )


def _amplifier_effects(elements: Elements, scales: Scales, n: int) -> tuple[float, float]:
    """Largest 1 + G_sum/(2 pi GBW C) and largest G_sum/(A0 g0) over nodes, G_sum the load of a summing node."""
    bank = elements.amplifiers.get(Role.INTEGRATOR_AMPLIFIER)
    if bank is None:
        return 1.0, 0.0
    array = elements.components[Role.ARRAY]
    load: Tensor = array.dense(n, 1).sum(-1) + array.dense(n, -1).sum(-1) + elements.value(Role.INPUT)
    slow = 1 + load / (2 * math.pi * bank.gain_bandwidth_hz * elements.value(Role.INTEGRATION))
    added = load / (bank.open_loop_gain * scales.conductance_siemens)
    return float(slow.max()), float(added.max())


def _count(chip: Chip, roles: Sequence[Role]) -> int:
    return sum(rows * columns for role, (rows, columns) in chip.inventory.items() if role in roles)
