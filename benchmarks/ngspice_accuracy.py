"""What the rule of :mod:`tngd_hw.engines.spice.steps` reaches, over the circuits that it was fitted to and others.

    python -m benchmarks.ngspice_accuracy [all | halves]     (minutes; ``TNGD_NGSPICE`` names another ngspice)

``all``: every circuit, matrix, duration, accuracy and start, against the exact solution at ngspice's own times: the
largest errors along the path and at the end, in parts of those stated, and the ten worst of either.  The rule makes
both at most 1/2.  ``halves``: a second run at half the accuracy against the first, with no exact solution: the
difference, by straight lines between the points of the finer run, in parts of the error stated.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tngd_hw import LinearProblem, MisuseError, OutcomeError, manufacture, presets, program
from tngd_hw.engines import Ngspice, Trajectory, find_engine
from tngd_hw.engines.spice.steps import END_SHARE, choose_steps
from tngd_hw.topologies import LoadedChip

__all__ = ["Case", "Reached", "cells", "circuits", "half_difference", "nodes", "reached"]

Array = NDArray[np.float64]

_MOST_SECONDS = 0.4
"""Runs that are expected to take longer are left out."""

_HALF_POINTS = 4000


@dataclass(frozen=True)
class Case:
    """One run: a circuit, a matrix, a duration, an accuracy.

    Attributes:
        topology: By name.
        kind: Of the matrix, see :func:`_matrix`.
        n: Unknowns.
        seed: Of the matrix, the chip and b.
        hardware: Name of the preset.
        taus: Duration.
        accuracy: Stated.
        started: From a random start, else from rest.
        ohm: Resistor of the preset, and so on.
    """

    topology: str
    kind: str
    n: int
    seed: int
    hardware: str
    taus: float
    accuracy: float = 1e-4
    started: bool = False
    ohm: float = 1e3
    henry: float = 1e-5
    farad: float = 1e-9

    def loaded(self) -> LoadedChip | None:
        """The circuit; None where it cannot hold the matrix or is not stable."""
        spec = getattr(presets, self.hardware)()
        spec = spec.model_copy(
            update={
                "resistors": spec.resistors.model_copy(update={"resistance_ohm": self.ohm}),
                "inductors": spec.inductors.model_copy(update={"inductance_henry": self.henry}),
                "capacitors": spec.capacitors.model_copy(update={"capacitance_farad": self.farad}),
            }
        )
        b = np.random.default_rng(self.seed + 77 * self.n).normal(size=self.n)
        problem = LinearProblem(_matrix(self.kind, self.n, self.seed), b)
        try:
            chip = manufacture(self.topology, self.n, spec, seed=self.seed)
            found = program(chip, problem, x_max=10.0 * self.n)
        except (MisuseError, OutcomeError):
            return None
        return found if found.circuit_status.ok else None

    def start(self) -> Array | None:
        """x0."""
        return np.random.default_rng(self.seed + 5 * self.n).normal(size=self.n) if self.started else None


@dataclass(frozen=True)
class Reached:
    """Errors in parts of those stated, and the time points taken and expected."""

    path: float
    end: float
    points: int
    expected: int


def _matrix(kind: str, n: int, seed: int) -> Array:
    """Symmetric M-matrices (``M``, barely dominant ``Mweak``), ``spd``, ``stiff``, ringing ``skew``, ``nonsym``."""
    rng = np.random.default_rng(1000 * seed + n)
    if kind in ("M", "Mweak"):
        couple = np.triu(rng.uniform(0.1, 0.5, (n, n)), 1) * 2 / n
        couple = couple + couple.T
        extra = np.full(n, 0.5) if kind == "M" else rng.uniform(0.01, 1, n)
        return np.diag(couple.sum(1) + extra) - couple
    if kind == "spd":
        wide = rng.normal(size=(n, 2 * n)) / np.sqrt(2 * n)
        return wide @ wide.T + 0.1 * np.eye(n)
    if kind == "stiff":
        axes, _ = np.linalg.qr(rng.normal(size=(n, n)))
        return axes @ np.diag(np.geomspace(0.01, 10, n)) @ axes.T
    any_square: Array = rng.normal(size=(n, n)) / np.sqrt(n)
    if kind == "skew":
        return 3 * (any_square - any_square.T) + 0.3 * np.eye(n)
    return any_square + (0.5 - np.linalg.eigvals(any_square).real.min().item()) * np.eye(n)


_KINDS = ("M", "Mweak", "spd", "stiff", "skew", "nonsym")
_OTHERS = ("passive_rc", "gm_c", "integrator", "three_array", "amc_inverse")
_FITTED = ((2, 1), (2, 7), (5, 3), (5, 12), (5, 20), (5, 60), (9, 25), (9, 400), (12, 15))
_NEW = ((1, 1, "pcb_1k_1n"), (1, 4, "ideal"), (3, 2.5, "pcb_1k_1n"), (7, 30, "pcb_1k_1n"), (3, 100, "ideal"),
        (4, 400, "pcb_1k_1n"), (15, 6, "pcb_1k_1n"))  # fmt: skip
_CELLS = ((1e3, 1e-5, 1, 1e-9), (3e3, 1e-5, 1, 1e-9), (300, 1e-5, 1, 1e-9), (100, 1e-5, 1, 1e-9), (60, 1e-5, 1, 1e-9),
          (40, 1e-5, 2, 1e-9), (1e3, 1e-6, 1, 1e-9), (1e3, 1e-5, 5, 1e-9), (200, 1e-4, 3, 1e-9),
          (700, 2e-5, 3, 1e-9), (150, 1e-5, 1, 1e-9), (2e3, 3e-6, 1, 2e-9), (1500, 1e-5, 2, 5e-10),
          (60, 1e-5, 4, 1e-9), (450, 5e-6, 6, 1e-9))  # fmt: skip


def circuits() -> Iterator[Case]:
    """Five topologies, six kinds of matrices, to n = 15 and 400 tau: 1e-4 fitted, 1e-3 and 1e-5 not."""
    for topology in _OTHERS:
        for kind in _KINDS:
            for n, taus in _FITTED:
                yield Case(topology, kind, n, 3, "ideal" if n == 9 else "pcb_1k_1n", taus)
            for n, taus, hardware in _NEW:
                if not (kind == "skew" and taus > 30):
                    ohm = 1e4 if n == 3 else 1e3
                    yield from (Case(topology, kind, n, 9, hardware, taus, each, ohm=ohm) for each in (1e-3, 1e-5))


def cells() -> Iterator[Case]:
    """LC cells of qualities 0.4 to 80, a third of a period to hundreds of them."""
    for ohm, henry, n, farad in _CELLS:
        for taus in (0.05, 0.1, 0.3, 0.7, 1, 2, 4, 10, 20, 30, 400):
            for accuracy in (1e-3, 1e-4, 1e-5):
                yield Case("rlc_spu", "M", n, 1, "pcb_1k_1n", taus, accuracy, ohm=ohm, henry=henry, farad=farad)


def nodes() -> Iterator[Case]:
    """One RC node and two, every accuracy and duration: the bare law."""
    for n in (1, 2):
        for taus in (0.3, 1, 2, 3, 4, 6, 8, 12, 16, 25):
            for accuracy in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
                yield Case("passive_rc", "M", n, 1, "ideal", taus, accuracy)


def reached(case: Case, loaded: LoadedChip) -> Reached:
    """Run it and compare with the exact solution at ngspice's own times."""
    found = _run(case, loaded, Ngspice(accuracy=case.accuracy))
    exact = find_engine("state_space")
    times = found.times_s.clamp(max=found.duration_s)
    _, expected = exact.run(exact.init(loaded), duration=found.duration_s, x0=case.start(), times_s=times)
    parts = (found.voltage_volt - expected.voltage_volt).abs() / expected.voltage_volt.abs().max() / case.accuracy
    points = choose_steps(loaded, found.duration_s, accuracy=case.accuracy).expected_points
    return Reached(float(parts.max()), float(parts[-1].max()) / END_SHARE, len(found.times_s), points)


def half_difference(case: Case, loaded: LoadedChip) -> float:
    """Largest difference between a run and one at half the accuracy, in parts of the error stated."""
    coarse = _run(case, loaded, Ngspice(accuracy=case.accuracy))
    fine = _run(case, loaded, Ngspice(accuracy=case.accuracy / 2, points=_HALF_POINTS))
    given: Array = fine.times_s.numpy()
    volts: Array = fine.voltage_volt.numpy()
    there = np.empty_like(coarse.voltage_volt.numpy())
    for k, column in enumerate(volts.T):
        there[:, k] = np.interp(coarse.times_s.numpy(), given, column)
    return float(np.abs(coarse.voltage_volt.numpy() - there).max() / np.abs(volts).max() / case.accuracy)


def _run(case: Case, loaded: LoadedChip, engine: Ngspice) -> Trajectory:
    _, found = engine.run(engine.init(loaded), duration=case.taus * loaded.tau, x0=case.start())
    found.status.require_ok()
    return found


def _runnable(cases: Iterator[Case]) -> Iterator[tuple[Case, LoadedChip]]:
    for case in cases:
        loaded = case.loaded()
        if loaded is None:
            continue
        engine = Ngspice(accuracy=case.accuracy)
        if engine.estimate(loaded, duration=case.taus * loaded.tau, has_klu=True).seconds <= _MOST_SECONDS:
            yield from ((replace(case, started=started), loaded) for started in (False, True))


def _all() -> None:
    for name, cases in (("circuits", circuits()), ("cells", cells()), ("nodes", nodes())):
        rows = [(reached(case, loaded), case) for case, loaded in _runnable(cases)]
        points = sum(found.points for found, _ in rows)
        print(f"{name}: {len(rows)} runs, {points} time points", flush=True)
        for which in ("path", "end"):
            rows.sort(key=lambda row: -getattr(row[0], which))
            print(f"  worst {which}: {getattr(rows[0][0], which):.3f} of that stated")
            for found, case in rows[:10]:
                print(f"    {getattr(found, which):.3f}  {found.points} points  {case}")
        ratios = [found.expected / found.points for found, _ in rows]
        print(f"  points expected/taken: {min(ratios):.2f} to {max(ratios):.2f}", flush=True)


def _halves() -> None:
    for name, cases in (("circuits", circuits()), ("cells", cells()), ("nodes", nodes())):
        some = (case for case in cases if case.accuracy >= 1e-4)
        rows = [(half_difference(case, loaded), case) for case, loaded in _runnable(some)]
        worst, case = max(rows, key=lambda row: row[0])
        print(f"{name}: {len(rows)} pairs, largest difference {worst:.3f} of the error stated  {case}", flush=True)


if __name__ == "__main__":
    _halves() if sys.argv[1:] == ["halves"] else _all()
