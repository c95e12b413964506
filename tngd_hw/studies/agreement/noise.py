"""Stationary covariance of a noisy circuit: the Lyapunov equation against ngspice's ``.noise``, integrated.

Any projections of the outputs, one run of ngspice each, where all n (n + 1)/2 entries of
:func:`tngd_hw.engines.noise.matrix.noise_matrix` would be too many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tngd_hw.engines.noise.matrix import noise_sweep
from tngd_hw.engines.noise.probe import projected_variance
from tngd_hw.linear_sde import stationary_output_covariance
from tngd_hw.netlist import state_equations
from tngd_hw.topologies import LoadedChip

__all__ = ["ProjectedVariance", "projected_variances", "random_projections"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ProjectedVariance:
    """Variance of one projection of the outputs, volt^2.

    Attributes:
        lyapunov: w^T S w of the state equations of the netlist.
        ngspice: Integral of ngspice's output noise density over the band.
        share: |difference| over sum_ij |w_i w_j| sqrt(S_ii S_jj); for one output, the relative difference.
    """

    lyapunov: float
    ngspice: float
    share: float


def random_projections(n: int, count: int, seed: int) -> Floats:
    """``count`` random directions of unit length, shape (count, n)."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(count, n))
    return w / np.linalg.norm(w, axis=1, keepdims=True)


def projected_variances(
    loaded: LoadedChip, projections: Floats, *, points_per_decade: int | None = None, timeout_s: float = 600.0
) -> list[ProjectedVariance]:
    """Both variances of every projection (rows of ``projections``, shape (count, n)).  Cost: one ngspice run a row.

    ``points_per_decade`` is by default what the sharpest resonance needs.

    Raises:
        OutcomeError: ngspice is missing or fails.
    """
    netlist = loaded.netlist()
    sde = state_equations(netlist).sde
    covariance, status = stationary_output_covariance(sde)
    status.require_ok()
    S = covariance.numpy()
    spread = np.sqrt(np.diagonal(S))
    sweep = noise_sweep(sde)
    sweep = sweep if points_per_decade is None else replace(sweep, points_per_decade=points_per_decade)
    found: list[ProjectedVariance] = []
    for w in projections:
        exact = float(w @ S @ w)
        measured = projected_variance(netlist, w, sweep, timeout_s=timeout_s)
        found.append(ProjectedVariance(exact, measured, abs(exact - measured) / float(np.abs(w) @ spread) ** 2))
    return found
