"""Circuits at their limit of stability: explicit elements, their modes, and the parameter at which they run away.

The three-array circuits are those of architecture fact 14: J stands in the arrays as J/R, feedback resistors are R, so
g0 = 1/R and tau = R C whatever J is, and mu_max = |J|^2 (2-norm) is how much faster than tau the loop is.  The default
scaling of the topology makes the largest entry of J the smallest resistance: it is this circuit at
mu_max = (|J|_2/max|J|)^2 (H = I).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tngd_hw.hardware import AmplifierBank, Elements, Encoding, HardwareSpec, Layout, Role, presets
from tngd_hw.linear_sde.dense import eigvals
from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem
from tngd_hw.random import stream
from tngd_hw.topologies import Design, Topology, find_topology
from tngd_hw.topologies.design_report import damping_ratio

__all__ = [
    "OPEN_LOOP_GAIN", "Loop", "default_mu_max", "integrator_loop", "random_jacobian", "random_rotating", "random_spd",
    "stability_limit", "three_array_loop",
]  # fmt: skip

Matrix = NDArray[np.float64]

OPEN_LOOP_GAIN = 1e5
_PERFECT_HZ = 1e12
"""Gain-bandwidth product that stands for an ideal inverter: 1e4 times the fastest amplifier of the maps."""


@dataclass(frozen=True, eq=False)
class Loop:
    """A circuit with real amplifiers.

    Attributes:
        topology: Its equations and its netlist.
        elements: Its components.
        tau_s: Time unit.
        outputs: Names of the outputs of all amplifiers, in the order of the closed form.
        summing: Names of the summing nodes of the integrators.
    """

    topology: Topology
    elements: Elements
    tau_s: float
    outputs: tuple[str, ...]
    summing: tuple[str, ...]

    @property
    def drift(self) -> Matrix:
        """tau F of the closed form; states: capacitor voltages, then all outputs."""
        return self.tau_s * self.topology.linear_sde(self.elements).F.numpy()

    def stability(self) -> tuple[float, float]:
        """Smallest damping ratio of any mode, and margin -max Re eig in 1/tau; negative where a mode grows."""
        modes = eigvals(torch.from_numpy(self.drift))
        return damping_ratio(modes), -float(modes.real.max())


def random_jacobian(nodes: int, outputs: int, mu_max: float, seed: int) -> Matrix:
    """Gaussian J, shape (outputs, nodes), scaled to |J|_2^2 = mu_max."""
    J = stream(seed, "study.jacobian", 0).standard_normal((outputs, nodes))
    return np.sqrt(mu_max) / np.linalg.norm(J, 2) * J


def default_mu_max(J: Matrix) -> float:
    """mu_max of the circuit that the topology's own scaling makes of J (H = I): (|J|_2/max|J|)^2."""
    return float((np.linalg.norm(J, 2) / np.abs(J).max()) ** 2)


def random_rotating(n: int, mu_max: float, damping: float, seed: int) -> Matrix:
    """Not symmetric: damping I + mu_max (W + K), W Wishart of n/2 degrees of freedom, K skew, both of 2-norm 1.

    Its symmetric part is at least damping I, so the ideal circuit is stable, and half its modes rotate undamped but for
    that and what W adds.
    """
    X = stream(seed, "study.rotation", 0).standard_normal((n, n))
    K = X - X.T
    J = random_jacobian(n, max(n // 2, 1), 1.0, seed)
    return damping * np.eye(n) + mu_max * (J.T @ J + K / np.linalg.norm(K, 2))


def random_spd(n: int, mu_max: float, damping: float, seed: int) -> Matrix:
    """Wishart of n/2 degrees of freedom scaled to its largest eigenvalue mu_max, plus damping I."""
    J = random_jacobian(n, max(n // 2, 1), mu_max, seed)
    return J.T @ J + damping * np.eye(n)


def three_array_loop(J: Matrix, damping: float, gain_bandwidth_hz: float, *, ideal_inverters: bool = False) -> Loop:
    """``three_array`` with arrays J/R and J^T/R, H = I, feedback R = 1 kOhm, C = 1 nF."""
    topology = find_topology("three_array")
    outputs, n = J.shape
    problem = LinearProblem.from_factors(J, np.ones((outputs, 1, 1)), damping)
    elements, unit, tau = _elements(topology, problem, Layout(n, outputs, Encoding.BALANCED))
    peak, g0 = float(np.abs(J).max()), elements.value(Role.DAMPING)[0] / damping
    elements = elements.with_values(Role.JACOBIAN, lambda c: c.value * peak)
    elements = elements.with_values(Role.TRANSPOSE, lambda c: c.value * unit / (g0 * peak))
    elements = elements.with_values(Role.DAMPING, lambda c: c.value * unit / g0)
    inverters = (Role.INVERTER_AMPLIFIER, Role.JACOBIAN_INVERTER_AMPLIFIER, Role.HESSIAN_INVERTER_AMPLIFIER)
    elements = _amplified(elements, gain_bandwidth_hz, inverters if ideal_inverters else ())
    sizes = {"out": n, "inv": n, "jac": outputs, "jacinv": outputs, "hes": outputs, "hesinv": outputs}
    names = tuple(f"{rail}{k}" for rail, size in sizes.items() for k in range(size))
    return Loop(topology, elements, tau, names, tuple(f"sum{i}" for i in range(n)))


def integrator_loop(A: Matrix, gain_bandwidth_hz: float) -> Loop:
    """``integrator`` as it scales A itself: the largest entry is 1 kOhm, C = 1 nF."""
    topology, n = find_topology("integrator"), len(A)
    elements, unit, _ = _elements(topology, LinearProblem(A), Layout(n, n, Encoding.BALANCED))
    tau = 1e-9 * float(np.abs(A).max()) / unit
    names = tuple(f"{rail}{k}" for rail in ("out", "inv") for k in range(n))
    return Loop(topology, _amplified(elements, gain_bandwidth_hz, ()), tau, names, tuple(f"sum{i}" for i in range(n)))


def stability_limit(make: Callable[[float], Loop], stable: float, unstable: float, *, relative: float = 1e-3) -> float:
    """Where the loop made from a parameter becomes unstable, by bisection in its logarithm.

    Raises:
        MisuseError: It does not change from stable to unstable between the two values.
    """
    if make(stable).stability()[1] <= 0 or make(unstable).stability()[1] > 0:
        raise MisuseError(f"stable = {stable:g}, unstable = {unstable:g}: the limit is not between them")
    while abs(unstable / stable - 1) > relative:
        middle = float(np.sqrt(stable * unstable))
        stable, unstable = (middle, unstable) if make(middle).stability()[1] > 0 else (stable, middle)
    return float(np.sqrt(stable * unstable))


def _elements(topology: Topology, problem: LinearProblem, layout: Layout) -> tuple[Elements, float, float]:
    """Nominal elements of the paper's parts, the conductance of the smallest resistance, and R C."""
    hardware: HardwareSpec = presets.ideal()
    design = Design(hardware, layout, topology.scales(problem, hardware, layout), 0.0)
    unit = 1.0 / hardware.resistors.resistance_ohm
    return topology.elements(problem, design), unit, hardware.capacitors.capacitance_farad / unit


def _amplified(elements: Elements, gain_bandwidth_hz: float, ideal: tuple[Role, ...]) -> Elements:
    for role, count in elements.counts.items():
        hertz = _PERFECT_HZ if role in ideal else gain_bandwidth_hz
        one = torch.ones(count, dtype=torch.float64)
        elements = elements.with_amplifiers(role, AmplifierBank.of(OPEN_LOOP_GAIN * one, hertz * one, 0.0 * one))
    return elements
