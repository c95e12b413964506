"""The temperature of every node's bath, from the noise that was measured: is C Sigma = k T everywhere?

A linear circuit with independent noise sources of densities r_i times nominal settles to the covariance

    Sigma = S_0 + sum_i r_i S_i        S_i: of source i alone, by the Lyapunov equation of the nominal circuit,
                                       S_0: of the noise of the parts, where they have any

so the fluctuations tell every r_i, whatever is read and whatever is not (inductor currents).  The r_i are those of
largest likelihood to first order about the nominal covariance: with P = Sigma_nominal^-1,

    G_ij = tr(P S_i P S_j),   r = G^-1 tr(P S_i P (Sigma - S_0)) = <x^T W_i x> + constant

a mean of quadratic forms, so its error bar is that of a time mean.  A bath at another temperature, a generator of
another gain g (r = g^2), or a lossy part that is a colder bath shows at its own node.  Beside it stands the local
equipartition, e_i = (P Sigma)_ii, which is (C Sigma)_ii/(k T) of a passive circuit with the Maxwell capacitances C: it
needs no model of the dynamics, and mixes the baths that heat a node.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from scipy.special import ndtri
from torch import Tensor

from tngd_hw.engines import Trajectory
from tngd_hw.hardware import Role
from tngd_hw.linear_sde import stationary_output_covariance
from tngd_hw.linear_sde.dense import solve
from tngd_hw.outcome import MisuseError
from tngd_hw.readout.autocorrelation import error_of_mean
from tngd_hw.topologies import LoadedChip
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EffectiveTemperature", "effective_temperature"]

_LEVEL = 0.05
"""Chance that any node of a chip without fault is suspected."""


@dataclass(frozen=True, eq=False)
class EffectiveTemperature:
    """Temperatures of the baths, relative to nominal.

    Attributes:
        ratio: r, shape (n,): T_i/T of the bath of every node; 1 where all is as designed.
        stderr: Same shape.
        equipartition: e, shape (n,): local equipartition (P Sigma)_ii.
        equipartition_stderr: Same shape.
        nominal_kelvin: T, with k T = kappa C v0^2, what the injected noise was designed to be.
    """

    ratio: Tensor
    stderr: Tensor
    equipartition: Tensor
    equipartition_stderr: Tensor
    nominal_kelvin: float

    @property
    def kelvin(self) -> Tensor:
        """T_i, shape (n,)."""
        return self.nominal_kelvin * self.ratio

    @property
    def deviation(self) -> Tensor:
        """(r - 1) in standard errors, shape (n,)."""
        return (self.ratio - 1) / self.stderr

    @property
    def suspects(self) -> tuple[int, ...]:
        """Nodes whose bath is not at the nominal temperature, worst first; wrong in 5 % of faultless chips."""
        size = torch.nan_to_num(self.deviation).abs()
        beyond = float(ndtri(1 - _LEVEL / (2 * len(size))))
        order = torch.argsort(size, descending=True)
        return tuple(int(node) for node in order if float(size[node]) > beyond)

    @property
    def verdict(self) -> str:
        """One sentence."""
        if bool(self.stderr.isnan().any()):
            return "the record is too short for error bars: no verdict"
        if not self.suspects:
            return f"every bath is at its temperature, within {float(self.stderr.max()):.2g}"
        words = [f"node {i} at {float(self.ratio[i]):.3g} +- {float(self.stderr[i]):.2g}" for i in self.suspects]
        return f"baths not at 1 of the nominal temperature: {', '.join(words)}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw both ratios of every node with error bars, suspects marked."""
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        axes = plt.subplots(figsize=(7, 4), layout="constrained")[1] if ax is None else ax
        nodes = torch.arange(len(self.ratio))
        local = (self.equipartition, self.equipartition_stderr)
        axes.errorbar(nodes + 0.12, *local, fmt="s", ms=4, color="#b5598f", label="local equipartition (PΣ)ᵢᵢ")
        axes.errorbar(nodes - 0.12, self.ratio, self.stderr, fmt="o", ms=4, color="#0072b2", label="bath of the node")
        for count, node in enumerate(self.suspects):
            label = "not at its temperature" if count == 0 else None
            place = (node - 0.12, float(self.ratio[node]))
            axes.plot(*place, "o", ms=13, mfc="none", mec="#d55e00", mew=1.5, label=label)
        axes.axhline(1.0, color="#6b6b6b", lw=0.8, ls="--")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="node", ylabel="temperature / nominal [1]", title="effective temperatures (±1 standard error)")
        axes.legend(fontsize=8)
        return axes


def effective_temperature(trajectory: Trajectory, loaded: LoadedChip, *, average_from_s: float) -> EffectiveTemperature:
    """The temperature of every node's bath from one noisy run with b = 0.

    Args:
        trajectory: Equally spaced points of one run of one chip, or of a board.
        loaded: The chip as it was meant to be; its nominal elements are the model.
        average_from_s: Points from this time on are used, when the circuit has settled.

    Returns:
        An EffectiveTemperature, about its own mean (offsets drop out).  Cost: n + 1 Lyapunov equations once, and
        O(n^2) a point.

    Raises:
        MisuseError: No injected noise, a batch, several right-hand sides, too few points.
    """
    if loaded.kappa == 0:
        raise MisuseError("kappa = 0: temperatures are those of the injected noise; program with kappa above 0")
    if trajectory.chips is not None or trajectory.node_axis != -1 or loaded.chip.chips is not None:
        raise MisuseError("trajectory has several chips or right-hand sides: give one run of one chip")
    if not 0 <= average_from_s <= trajectory.duration_s:
        raise MisuseError(f"average_from_s = {average_from_s!r}: the run lasts from 0 to {trajectory.duration_s} s")
    points = trajectory.voltage_volt[trajectory.times_s >= average_from_s]
    if len(points) <= loaded.n:
        raise MisuseError(f"the run has {len(points)} points from {average_from_s:g} s on: give more than {loaded.n}")
    own, background = _covariances(loaded)
    one = torch.eye(loaded.n, dtype=torch.float64)
    unit = float(torch.diagonal(own.sum(0)).mean())
    own, background, x = own / unit, background / unit, (points - points.mean(0)) / unit**0.5
    P = solve(own.sum(0) + background, one)
    heard = P @ own @ P
    G = torch.einsum("iab,jba->ij", heard, own)
    weights = torch.einsum("ij,jab->iab", solve(G, one), heard)
    bath = torch.einsum("ta,iab,tb->ti", x, weights, x) - torch.einsum("iab,ba->i", weights, background)
    local = x * (x @ P)
    kelvin = loaded.kappa * loaded.scales.capacitance_farad * loaded.scales.voltage_volt**2 / BOLTZMANN_JOULE_PER_KELVIN
    return EffectiveTemperature(
        bath.mean(0), error_of_mean(bath).stderr, local.mean(0), error_of_mean(local).stderr, kelvin
    )


def _covariances(loaded: LoadedChip) -> tuple[Tensor, Tensor]:
    """S_i of every node's nominal injected noise alone, shape (n, n, n), and S_0 of all other noise, volt^2."""
    n, kelvin = loaded.n, dict(loaded.elements.noise_kelvin)
    if Role.NOISE not in loaded.elements.components:  # the hot resistors are the baths, and no noise beside them
        kelvin.pop(Role.TANK_RESISTOR)
    bandwidth = loaded.elements.noise_bandwidth_hz
    nominal = replace(loaded.nominal, noise_kelvin=kelvin, noise_bandwidth_hz=bandwidth)
    choice = torch.cat([torch.eye(n, dtype=torch.float64), torch.zeros(1, n, dtype=torch.float64)])
    alone = nominal.with_values(Role.NOISE, lambda noise: choice[:, noise.row] * noise.value)
    covariance, _ = stationary_output_covariance(replace(loaded, programmed=alone).linear_sde())
    return covariance[:n] - covariance[n], covariance[n]
