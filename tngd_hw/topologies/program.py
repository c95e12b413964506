"""From a matrix to a programmed chip: ``manufacture`` a die once, ``program`` it as often as needed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from tngd_hw.hardware import Chip, Encoding, HardwareSpec, Layout, draw_chip
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import LinearProblem
from tngd_hw.random import check_seed
from tngd_hw.topologies.base import Design, Scales, Topology, with_ranges
from tngd_hw.topologies.loaded import LoadedChip
from tngd_hw.topologies.registry import find_topology
from tngd_hw.topologies.scaling import Preconditioning, scaled_problem, unit_diagonal
from tngd_hw.topologies.spectrum import Spectrum, spectrum

__all__ = ["manufacture", "program"]

_HEADROOM = 0.8
"""Share of the voltage limit that the programmer plans with; mismatch and offsets take the rest."""

_IDEAL_RANGE_VOLT = 1.0
"""Planned range where nothing sets a limit."""

_NOISE_SIGMAS = 5.0
"""Injected noise is given room for this many standard deviations."""


def manufacture(
    topology: str,
    nodes: int,
    hardware: HardwareSpec,
    *,
    seed: int = 0,
    chips: int | None = None,
    outputs: int | None = None,
    encoding: Encoding | None = None,
) -> Chip:
    """Make a die of ``nodes`` nodes; its deviations are drawn here, once, for its life.

    Args:
        topology: Name of the circuit, for example ``"integrator"``.
        nodes: Number of unknowns that it can hold.
        hardware: What it is made of, for example ``presets.pcb_1k_1n()``.
        seed: Seed of the deviations; die k of a seed is the same in a batch of any size.
        chips: Number of dies in a batch; leave out for a single die.
        outputs: Rows of J that a die of ``three_array`` holds (batch * d_z); default ``nodes``.
        encoding: How it makes entries of both signs; default: the first that the topology knows.

    Raises:
        MisuseError: Unknown topology, nodes, outputs or chips below 1, an encoding that the topology does not have.
    """
    circuit = find_topology(topology)
    for name, count in (("nodes", nodes), ("outputs", 1 if outputs is None else outputs)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise MisuseError(f"{name} = {count!r}: a chip has an integer number of {name}, at least 1")
    chosen = circuit.encodings[0] if encoding is None else encoding
    if chosen not in circuit.encodings:
        known = ", ".join(str(known) for known in circuit.encodings)
        raise MisuseError(f"encoding = {encoding!r}: {circuit.name} can be built with {known}")
    layout = Layout(nodes, nodes if outputs is None else outputs, chosen)
    built = circuit.inventory(layout)
    return draw_chip(circuit.name, layout, hardware, seed=seed, chips=chips, built=built)


def program(
    chip: Chip,
    problem: LinearProblem,
    *,
    seed: int = 0,
    x_max: float | None = None,
    kappa: float = 0.0,
    preconditioning: Preconditioning = Preconditioning.NONE,
) -> LoadedChip:
    """Set the components of ``chip`` to ``problem`` and choose the scales.

    The topology chooses g0, so that the largest entry of A is the largest legal component.  v0 makes the largest |x|
    that can occur use 80 % of the range of the amplifiers: with x0 = 0 and b constant, |x(t)| <= |b|/mu at all times,
    mu the smallest eigenvalue of (A + A^T)/2, so no knowledge of the answer is needed; ``x_max`` replaces this bound.

    Args:
        chip: A die from :func:`manufacture`.
        problem: A problem of at most ``chip.nodes`` unknowns.
        seed: Seed of what is drawn at every programming: write errors, stochastic rounding.
        x_max: Largest |x| to plan for.
        kappa: Strength of the injected noise, Cov(x) -> kappa A^-1 for symmetric A; sets S_I = 4 kappa C g0 v0^2.
        preconditioning: Two-sided diagonal scaling; it changes the path, not the end.  Some topologies scale by
            themselves where they could not hold the matrix otherwise.

    Returns:
        A LoadedChip, whose status tells whether it can give the answer.  Cost: O(n^3), one eigenvalue problem.

    Raises:
        MisuseError: x_max or kappa out of range, a problem kept as factors where the topology needs a dense one.
    """
    check_seed(seed)
    if x_max is not None and not (_is_number(x_max) and 0 < x_max < math.inf):
        raise MisuseError(f"x_max = {x_max!r}: the largest |x| to plan for is a finite number above 0")
    if not (_is_number(kappa) and 0 <= kappa < math.inf):
        raise MisuseError(f"kappa = {kappa!r}: the noise strength is a finite number of 0 or more")
    topology, layout = find_topology(chip.topology), chip.layout
    scaling = _scaling(problem, topology, preconditioning)
    mapped = problem if scaling is None else scaled_problem(problem, scaling)
    status = topology.check(mapped, chip.hardware, layout)
    if problem.n > chip.nodes:
        detail = f"A has {problem.n} rows, the chip has {chip.nodes} nodes"
        status = Status(Outcome.NOT_REALIZABLE, detail)
    A = mapped.formed_matrix()
    scales = topology.scales(mapped, chip.hardware, layout)
    design = Design(chip.hardware, layout, scales, 0.0)
    if status.outcome is Outcome.NOT_REALIZABLE or not bool(A.any()):
        return LoadedChip(chip, problem, mapped, scaling, topology, design, kappa, status, None, seed)
    nominal = topology.elements(mapped, design)
    limit = float(topology.voltage_limit(nominal, chip.hardware).min())  # the programmer does not know the die
    smallest = 1.0 if scaling is None else float(scaling.min())
    planned = x_max / smallest if x_max is not None else _largest_answer(mapped, spectrum(A), kappa)
    scales = replace(scales, voltage_volt=_voltage_scale(mapped, scales, planned, limit))
    noise_psd = 4 * kappa * scales.capacitance_farad * scales.conductance_siemens * scales.voltage_volt**2
    design = replace(design, scales=scales, noise_psd=noise_psd)
    nominal = nominal if kappa == 0 else topology.elements(mapped, design)
    elements = chip.realise(with_ranges(topology, nominal, chip.hardware), seed=seed)
    return LoadedChip(chip, problem, mapped, scaling, topology, design, kappa, status, elements, seed)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scaling(problem: LinearProblem, topology: Topology, preconditioning: Preconditioning) -> Tensor | None:
    if preconditioning is Preconditioning.NONE:
        return topology.own_scaling(problem)
    if problem.factors is not None:
        raise MisuseError(
            f"preconditioning = {preconditioning.value}: this problem is kept as factors J, H, damping, and D A D has "
            "another damping in every row; leave preconditioning out, or form A"
        )
    D = unit_diagonal(problem.dense_matrix())
    own = topology.own_scaling(scaled_problem(problem, D))
    return D if own is None else D * own


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


def _voltage_scale(problem: LinearProblem, scales: Scales, x_max: float, limit: float) -> float:
    """v0 so that neither v0 x_max nor a voltage source of b exceeds the planned range."""
    usable = _HEADROOM * limit if math.isfinite(limit) else _IDEAL_RANGE_VOLT
    drive = 0.0 if problem.b is None else float(problem.b.abs().max()) * abs(scales.input_gain)
    return usable / max(x_max, drive)
