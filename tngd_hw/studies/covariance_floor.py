"""Covariance of an SPU against the number of samples: where does the mismatch of its resistors show?

Every die of ``spu8_board`` settles to the law of its own parts; N independent samples of it (known mean 0) give a
covariance S with N S ~ Wishart(Sigma_die, N).  Its error against kappa A^-1 is

    E|S - Sigma|^2/|Sigma|^2 = floor^2 + c/N,     floor = |Sigma_die - Sigma|/|Sigma|, root mean square over the dies

and the floor hangs on where the noise comes from.  A generator injects the same density at every node, so a resistor
that is off by 1 % makes its node 1 % hotter or colder.  Where each resistor is its own bath, S_i = 4 k T_eff/R_i, the
fluctuation-dissipation relation holds on every die, Sigma = k T_eff C^-1 whatever the resistors are, and there is no
floor.  Floors and laws are exact (Lyapunov); the measured points are exact Wishart draws, one a die.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from tngd_hw.hardware import presets
from tngd_hw.linear_sde import stationary_output_covariance
from tngd_hw.problem import LinearProblem
from tngd_hw.random import derived_seed, stream
from tngd_hw.readout import ErrorLawFit, fit_error_law
from tngd_hw.report.style import save_figure
from tngd_hw.storage import make_directory, write_json, write_text
from tngd_hw.topologies import manufacture, program

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FloorCurve", "covariance_floors", "floor_figure", "floor_table", "spu_matrix", "write_floors"]

_KAPPA = 1e-3
_BATHS = ("generator", "resistor")

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FloorCurve:
    """One curve.

    Attributes:
        bath: Where the noise comes from.
        tolerance: Relative standard deviation of the resistors.
        floor: Root mean square over the dies of |Sigma_die - Sigma|/|Sigma|, Frobenius; exact for these dies.
        samples: N.
        error: Root mean square over the dies of the measured relative error, one a number of samples.
        stderr: Standard errors of ``error``, from its scatter over the dies.
        fit: The error law through the measured points.
    """

    bath: str
    tolerance: float
    floor: float
    samples: tuple[int, ...]
    error: tuple[float, ...]
    stderr: tuple[float, ...]
    fit: ErrorLawFit

    def to_dict(self) -> dict[str, Any]:
        """As plain data; a standard error that is not finite is null."""
        document = asdict(self)
        fitted: dict[str, Any] = document["fit"]
        fitted["floor_stderr"] = self.fit.floor_stderr if math.isfinite(self.fit.floor_stderr) else None
        return document


def spu_matrix(nodes: int = 8, seed: int = 0) -> Tensor:
    """A matrix the board can hold: couplings of 0 to 0.3 (below 0 in the matrix), and row sums of 0.3 to 1.3.

    The floor hangs on how strongly the cells are coupled, since a node's noise spreads: at 1 % it is 0.77 % for
    couplings up to 1/8 and 0.44 % for couplings up to 1.  It also hangs on Q = R sqrt(C/L): 0.82 % at Q = 1, 0.60 % at
    the board's Q = 10.
    """
    draws = stream(seed, "covariance_floor.matrix")
    coupling = np.triu(draws.uniform(0.0, 0.3, (nodes, nodes)), 1)
    coupling = coupling + coupling.T
    ground = draws.uniform(0.3, 1.3, nodes)
    return torch.from_numpy(np.diag(ground + coupling.sum(1)) - coupling)


def covariance_floors(
    *,
    tolerances: Sequence[float] = (0.01, 0.05),
    samples: Sequence[int] = (100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    chips: int = 400,
    seed: int = 0,
) -> list[FloorCurve]:
    """Curves for both baths and every tolerance of the resistors of ``spu8_board``; about a second a curve."""
    A = spu_matrix(seed=seed)
    exact: _Floats = _KAPPA * np.linalg.inv(A.numpy())
    curves: list[FloorCurve] = []
    for bath in _BATHS:
        for tolerance in tolerances:
            spec = presets.spu8_board().with_value("resistors.tolerance_dtod", tolerance)
            spec = spec.with_value("generator.bath", bath)
            chip = manufacture("rlc_spu", len(A), spec, seed=seed, chips=chips)
            loaded = program(chip, LinearProblem(A), seed=seed, kappa=_KAPPA)
            covariance, _ = stationary_output_covariance(loaded.linear_sde())
            law = covariance.expand(chips, *A.shape).numpy() / loaded.scales.voltage_volt**2
            curves.append(_curve(bath, tolerance, law, exact, samples=samples, seed=seed))
    return curves


def _curve(
    bath: str, tolerance: float, law: _Floats, exact: _Floats, *, samples: Sequence[int], seed: int
) -> FloorCurve:
    size = np.linalg.norm(exact)
    floors = np.linalg.norm(law - exact, axis=(-2, -1)) / size
    squares = np.array([_measured(law, exact, n, derived_seed(seed, f"{bath}.{tolerance}", n)) for n in samples])
    mean = squares.mean(1)
    error = np.sqrt(mean)
    stderr = squares.std(1, ddof=1) / np.sqrt(squares.shape[1]) / (2 * error)
    return FloorCurve(
        bath=bath,
        tolerance=tolerance,
        floor=float(np.sqrt((floors**2).mean())),
        samples=tuple(samples),
        error=tuple(error.tolist()),
        stderr=tuple(stderr.tolist()),
        fit=fit_error_law(samples, error, stderr),
    )


def _measured(law: _Floats, exact: _Floats, count: int, seed: int) -> _Floats:
    """Squared relative errors of one measured covariance a die."""
    draws = stream(seed, "covariance_floor.samples")
    size = np.linalg.norm(exact)
    measured = (stats.wishart(count, sigma).rvs(random_state=draws) / count for sigma in law)
    return np.array([float((np.linalg.norm(S - exact) / size) ** 2) for S in measured], dtype=np.float64)


def floor_table(curves: Sequence[FloorCurve]) -> str:
    """One line a curve."""
    lines = [f"{'noise from':<12}{'tolerance':>10}{'floor (exact)':>15}   fitted to the samples"]
    lines += [f"{c.bath:<12}{c.tolerance:>10.1%}{c.floor:>15.3%}   {c.fit}" for c in curves]
    return "\n".join(lines)


def floor_figure(curves: Sequence[FloorCurve]) -> Figure:
    """Error against samples with the fitted laws and the exact floors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    for k, curve in enumerate(curves):
        own_bath = curve.bath == "resistor"
        source = "each resistor its own bath" if own_bath else "injected, the same at every node"
        axes.errorbar(
            curve.samples, curve.error, curve.stderr, fmt="s" if own_bath else "o", ms=4, color=f"C{k}",
            label=f"{source}, {curve.tolerance:.0%}",
            fillstyle="none" if own_bath else "full",
        )  # fmt: skip
        many = np.geomspace(curve.samples[0], curve.samples[-1], 200)
        axes.plot(many, curve.fit.error(many), color=f"C{k}", lw=1, ls="--" if own_bath else "-")
        if curve.floor > 1e-6:
            axes.axhline(curve.floor, color=f"C{k}", lw=0.8, ls=":")
    axes.set(
        xscale="log", yscale="log", xlabel="independent samples N [1]",
        ylabel=r"$\|S-\kappa A^{-1}\|_F\,/\,\|\kappa A^{-1}\|_F$ [1]",
        title="Covariance of the 8-cell SPU: the floor of its resistors",
    )  # fmt: skip
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=8, title="source of the noise, tolerance of the resistors", title_fontsize=8)
    return figure


def write_floors(curves: Sequence[FloorCurve], out: Path) -> dict[str, Any]:
    """Write ``summary.json``, ``table.txt``, ``figure.png`` and ``.svg`` into a folder; returns the summary."""
    document = {"study": "covariance", "curves": [curve.to_dict() for curve in curves]}
    make_directory(out, "out")
    write_json(out / "summary.json", document)
    write_text(out / "table.txt", floor_table(curves) + "\n")
    figure = floor_figure(curves)
    for ending in (".png", ".svg"):
        save_figure(figure, out / f"figure{ending}")
    return document
