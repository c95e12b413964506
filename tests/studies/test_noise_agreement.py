"""The law of a noisy circuit against ngspice's ``.noise``: every output and random projections."""

from __future__ import annotations

import numpy as np
import pytest

from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.studies.agreement.noise import projected_variances, random_projections
from tngd_hw.topologies import LoadedChip


def noisy_chip(topology: str, n: int) -> LoadedChip:
    rng = np.random.default_rng(n)
    coupling = np.triu(rng.uniform(0.1, 0.5, (n, n)), 1)
    coupling = coupling + coupling.T
    wide = rng.normal(size=(n, 2 * n)) / np.sqrt(2 * n)
    A = np.diag(coupling.sum(1) + 0.5) - coupling if topology == "rlc_spu" else wide @ wide.T + 0.1 * np.eye(n)
    return program(manufacture(topology, n, presets.pcb_1k_1n(), seed=1), LinearProblem(A), kappa=1e-3)


@pytest.mark.ngspice
@pytest.mark.parametrize(("topology", "n"), [("integrator", 4), ("integrator", 16), ("gm_c", 4), ("rlc_spu", 8)])
def test_lyapunov_is_what_ngspice_integrates(topology: str, n: int) -> None:
    projections = np.vstack([np.eye(n)[:4], random_projections(n, 3, 0)])
    found = projected_variances(noisy_chip(topology, n), projections)
    assert max(row.share for row in found) < 2e-3
    assert max(abs(row.ngspice / row.lyapunov - 1) for row in found) < 2e-3


@pytest.mark.ngspice
def test_half_a_per_cent_of_noise_would_show() -> None:
    loaded = noisy_chip("integrator", 4)
    (found,) = projected_variances(loaded, np.eye(4)[:1])
    assert abs(found.ngspice / (1.005 * found.lyapunov) - 1) > 2e-3
