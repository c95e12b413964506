"""One noise path for several simulators: sampled currents, and the exact response of a circuit to them.

White noise of density S (one-sided) becomes samples i_k = sqrt(S/2) dW_k/h, dW_k the Brownian increment over the cell
of length h around t_k, joined by straight lines.  What that does to a circuit dx = F x dt + B dW:

*Path by path.*  At t_k the straight lines have taken in half of dW_k, the circuit the first half of the cell.  The
difference is B (first half - second half)/2 of the last cell, of variance B B^T h/4: strong order 1/2, whatever h does
elsewhere.  Where C B = 0 the order is 1.

*In law.*  Straight lines multiply the density by sinc^4(f h), the law of the sum s of four uniform variates of width h.
Averaged over a step the covariance S becomes the symmetric part of E[e^(F |s|)] S, and E|s| = 7 h/15: one mode 1/tau
has a variance low by 7 h/(15 tau) to first order, and by h/(2 tau) at the samples themselves.  :func:`variance_bias`
computes the latter, without an approximation and for any circuit; :func:`noise_step` chooses h by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.noise.currents import chip_currents, injected_currents
from tngd_hw.engines.noise.sources import NoiseColor, White
from tngd_hw.linear_sde import LinearSDE, noise_as_input, stationary_output_covariance, transition
from tngd_hw.linear_sde.dense import eigh, eigvalsh
from tngd_hw.netlist.noise_columns import NoiseCurrents
from tngd_hw.netlist.tables import Floats
from tngd_hw.outcome import MisuseError
from tngd_hw.random import stream
from tngd_hw.topologies import LoadedChip

__all__ = ["NoisePath", "draw_path", "injected_currents", "noise_step", "path_from_increments", "variance_bias"]

LARGEST_PATH = 20_000_000
"""Most numbers of a path: its files hold 0.5 GB of text."""

_ATTEMPTS = 60
_NO_VARIANCE = 1e-9
"""Combinations of outputs with less than this part of the largest variance are not asked for their bias."""


@dataclass(frozen=True, eq=False)
class NoisePath:
    """Currents of a circuit's noise sources at the times 0, h, 2 h ..., straight lines in between.

    Attributes:
        step_s: h.
        current_ampere: Shape (T, q), T >= 2; a current flows from the first node of its source to the second.
        names: q names of current sources, with their letter: ``"inoise0"``.
        seed: What it was drawn from; None for samples from elsewhere.
        variance_bias: What :func:`variance_bias` says of it and the circuit it was drawn for; None where not known.
    """

    step_s: float
    current_ampere: Floats
    names: tuple[str, ...]
    seed: int | None = None
    variance_bias: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.step_s < math.inf:
            raise MisuseError(f"step_s = {self.step_s!r}: expected a finite number of seconds above 0")
        shape = self.current_ampere.shape
        if len(shape) != 2 or shape[0] < 2 or shape[1] != len(self.names):
            raise MisuseError(f"current_ampere has shape {shape}: expected (2 or more, {len(self.names)})")
        if not np.isfinite(self.current_ampere).all():
            raise MisuseError("current_ampere: expected finite numbers")

    @property
    def duration_s(self) -> float:
        """Time of the last sample."""
        return self.step_s * (len(self.current_ampere) - 1)

    @property
    def times_s(self) -> Tensor:
        """Times of the samples, shape (T,)."""
        return torch.linspace(0.0, self.duration_s, len(self.current_ampere), dtype=torch.float64)


def draw_path(
    loaded: LoadedChip, *, duration: float, seed: int, bias_budget: float = 0.01, color: NoiseColor | None = None
) -> NoisePath:
    """Draw all white noise of one chip, see :mod:`~tngd_hw.engines.noise.currents`; equal seeds give equal bits.

    Every source has a stream of its own, ``stream(seed, "engine.noise_path", chip, source)``.  The engines' own draws
    (``"engine.injected_noise"``) have the same law and are other paths: they need no samples.

    Args:
        loaded: A single chip with kappa > 0 or noise of its parts.
        duration: Seconds; the step divides it.
        seed: Seed of the noise, and of where the amplifiers' 1/f noise is at the start of a run on the path.
        bias_budget: Largest relative error of the variance of any combination of outputs, see :func:`noise_step`.
        color: Spectrum around each source's density; default white, which is what kappa means.

    Raises:
        MisuseError: No noise, several chips, a path of more than 20 million numbers, white noise at an output itself.
    """
    if loaded.chip.chips is not None:
        raise MisuseError(f"chips = {loaded.chip.chips}: a noise path is for one chip at a time; pass loaded.select(k)")
    currents = chip_currents(loaded)
    sde = loaded.linear_sde()
    if color is None and bool((sde.D_w != 0).any()):
        raise MisuseError(
            "amplifiers.output_ohm: white noise reaches the outputs behind it directly, and a voltage of infinite "
            "variance has no samples; set it to 0, or give color=OrnsteinUhlenbeck(...)"
        )
    longest = noise_step(sde, bias_budget)
    steps = max(1, math.ceil(duration / longest))
    if steps * len(currents) > LARGEST_PATH:
        raise MisuseError(
            f"duration = {duration:g} s: noise in steps of {longest:.3g} s takes {steps} samples of "
            f"{len(currents)} sources; run at most {LARGEST_PATH // len(currents) * longest:.3g} s, "
            "or use the engine state_space, which needs no samples"
        )
    step = duration / steps
    kind = White() if color is None else color
    columns = [
        kind.samples(float(psd), step, steps + 1, stream(seed, "engine.noise_path", loaded.chip.number, k))
        for k, psd in enumerate(currents.psd)
    ]
    bias = variance_bias(sde, step) if isinstance(kind, White) else None
    return NoisePath(step, np.stack(columns, axis=1), currents.names, seed, bias)


def path_from_increments(currents: NoiseCurrents, step_s: float, increments: ArrayLike) -> NoisePath:
    """The white path i_k = sqrt(S/2) dW_k/h of given Brownian increments, shape (T, q), dW_k over t_k +- h/2."""
    return NoisePath(step_s, np.sqrt(currents.psd / 2) / step_s * np.asarray(increments), currents.names)


def variance_bias(sde: LinearSDE, step_s: float) -> float:
    """Largest relative error of the stationary variance of a combination of outputs, at the samples of a white path.

    The states obey x_k+1 = Phi x_k + g0 z_k + g1 z_k+1 with the weights of a straight line, so y_k = x_k - g1 z_k is a
    recursion with independent noise, Y = Phi Y Phi^T + (Phi g1 + g0)(...)^T, and Cov(x) = Y + g1 g1^T.

    Args:
        sde: A stable system; its D_w (which no path can follow) is left out.
        step_s: h.

    Returns:
        max |c^T (S_h - S) c|/(c^T S c) over c, S the exact covariance; h/(2 tau) to first order for one mode.
        Cost: one transition and about 20 products of n x n matrices.

    Raises:
        MisuseError: The system is not stable, or no noise reaches its outputs.
    """
    exact, status = stationary_output_covariance(LinearSDE(sde.F, sde.E, sde.B, sde.C))
    if not status.ok:
        raise MisuseError(f"variance_bias: the circuit has no stationary variance ({status.detail})")
    values, axes = eigh(exact)
    heard = values > _NO_VARIANCE * values[-1]
    if not bool(values[-1] > 0):
        raise MisuseError("variance_bias: the noise reaches no output")
    whitened = axes[:, heard] / values[heard].sqrt()
    found = whitened.mT @ _sampled_covariance(sde, step_s) @ whitened
    return float((eigvalsh(found) - 1).abs().max())


def _sampled_covariance(sde: LinearSDE, step_s: float) -> Tensor:
    driven = noise_as_input(LinearSDE(sde.F, sde.E, sde.B, sde.C))
    step = transition(driven, step_s)
    g0, g1 = (weight[:, sde.n_inputs :] / math.sqrt(step_s) for weight in (step.G0, step.G1))
    push, power = step.Phi @ g1 + g0, step.Phi
    total = push @ push.mT
    for _ in range(_ATTEMPTS):
        added = power @ total @ power.mT
        total, power = total + added, power @ power
        if float(added.abs().max()) <= 1e-16 * float(total.abs().max()):
            break
    return sde.C @ (total + g1 @ g1.mT) @ sde.C.mT


def noise_step(sde: LinearSDE, budget: float) -> float:
    """The step h in seconds at which :func:`variance_bias` is within 10 % below ``budget`` (2 budget tau for one mode).

    Every combination of outputs keeps the budget, so the fastest mode that the noise excites decides.  Cost: a few
    times that of :func:`variance_bias`.

    Raises:
        MisuseError: A budget outside 0 to 0.25, or as :func:`variance_bias`.
    """
    if not 0 < budget <= 0.25:
        raise MisuseError(f"bias_budget = {budget!r}: expected a number above 0, at most 0.25")
    step = 2 * budget / float(sde.eigenvalues().abs().max())
    for _ in range(_ATTEMPTS):
        found = variance_bias(sde, step)
        if 0.9 * budget <= found <= budget:
            break
        step *= min(max(0.95 * budget / max(found, 1e-300), 0.1), 4.0) if found > 1e-10 else 4.0
    return step
