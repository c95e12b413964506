"""ngspice as the referee of an eigenvalue: the circuit is started off balance and its least damped mode is followed.

With w the left eigenvector of the closed form, w F = s w, the combination a(t) = w x(t) of the circuit's voltages is
a(0) e^(s t) and nothing else, if the circuit is what the closed form says: the slope of ln|a| is the growth rate, that
of its phase the frequency, and the scatter about the two lines says whether it was one mode at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eig

from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.engines.spice.process import NgspiceVersion, run_deck
from tngd_hw.netlist import Transient, write_deck
from tngd_hw.outcome import MisuseError, OutcomeError
from tngd_hw.studies.stability.circuits import Loop

__all__ = ["Confirmation", "confirm_least_damped_mode"]

_POINTS_PER_PERIOD = 50
_FOLDS = 4.0
"""A mode is followed until it has grown or decayed by e^4, ..."""
_LONGEST_PERIODS = 30
"""... or for this many periods."""


@dataclass(frozen=True, eq=False)
class Confirmation:
    """A mode s = rate + i frequency as predicted and as ngspice has it, both in 1/tau.

    Attributes:
        predicted: Of the closed form.
        measured: Fitted to the run.
        scatter: Root mean square of ln(a) about the two lines.
        time_tau: Times of the run.
        volt: Output voltages, shape (times, n).
        mode_volt: Amplitude of the mode at every output at t = 0, shape (n,): |2 r_k a(0)/(w r)|, r its right
            eigenvector.
    """

    predicted: complex
    measured: complex
    scatter: float
    time_tau: NDArray[np.float64]
    volt: NDArray[np.float64]
    mode_volt: NDArray[np.float64]

    @property
    def agreement(self) -> float:
        """|measured - predicted| over |rate|: the error of the growth rate, the frequency's included."""
        return abs(self.measured - self.predicted) / abs(self.predicted.real)

    @property
    def grew(self) -> bool:
        """Whether the voltages of the last tenth of the run are larger than those of the first."""
        peak = np.abs(self.volt).max(1)
        tenth = max(len(peak) // 10, 1)
        return bool(peak[-tenth:].max() > peak[:tenth].max())


def confirm_least_damped_mode(loop: Loop, *, timeout_s: float = 120.0) -> Confirmation:
    """Run ``loop`` without input from 1 V along its least damped oscillating mode.

    Raises:
        MisuseError: No mode oscillates.
        OutcomeError: No ngspice that can be used, or it failed.
    """
    s, left, right = _least_damped(loop.drift)
    version = required_ngspice()
    n = loop.elements.n
    shape = right[n : 2 * n].real
    start = torch.from_numpy(shape / np.abs(shape).max())
    netlist = loop.topology.netlist(loop.elements, torch.zeros(n, dtype=torch.float64), start)
    netlist = replace(netlist, outputs=(*loop.outputs, *loop.summing))
    period = 2 * np.pi / s.imag
    stop_tau = min(_FOLDS / abs(s.real), _LONGEST_PERIODS * period)
    step = period / _POINTS_PER_PERIOD * loop.tau_s
    analysis = Transient(
        stop_s=stop_tau * loop.tau_s,
        step_s=step / 100,
        max_step_s=step,
        relative_tolerance=1e-6,
        use_klu=version.has_klu,
    )  # fmt: skip
    time, volt = _run(write_deck(netlist, analysis), version, loop, analysis.stop_s, timeout_s)
    state = np.concatenate([volt[:, :n] - volt[:, len(loop.outputs) :], volt[:, : len(loop.outputs)]], axis=1)
    amplitude = state @ left.conj()
    measured, scatter = _fitted(time / loop.tau_s, amplitude)
    mode = np.abs(2 * right[n : 2 * n] * amplitude[0] / (left.conj() @ right))
    return Confirmation(s, measured, scatter, time / loop.tau_s, volt[:, :n], mode)


def _least_damped(drift: NDArray[np.float64]) -> tuple[complex, NDArray[np.complex128], NDArray[np.complex128]]:
    """The oscillating eigenvalue of the smallest damping ratio, with its left and right eigenvectors."""
    values, left, right = cast(
        "tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.complex128]]", eig(drift, left=True)
    )
    ratio = np.where(values.imag > 1e-9 * np.abs(values), -values.real / np.abs(values), np.inf)
    k = int(ratio.argmin())
    if not np.isfinite(ratio[k]):
        raise MisuseError("no mode of this circuit oscillates: there is nothing to follow")
    return complex(values[k]), left[:, k], right[:, k]


def _run(
    deck: str, version: NgspiceVersion, loop: Loop, stop_s: float, timeout_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and the voltages of ``loop.outputs`` and ``loop.summing``."""
    run = run_deck(deck, version, plot="Transient", stop_s=stop_s, timeout_s=timeout_s)
    if run.plot is None:
        raise OutcomeError(run.status)
    column = {name: k for k, name in enumerate(run.plot.names)}
    places = [column[f"v({name})"] for name in (*loop.outputs, *loop.summing)]
    values = run.plot.values.real
    return values[:, 0].copy(), values[:, places]


def _fitted(time: NDArray[np.float64], amplitude: NDArray[np.complex128]) -> tuple[complex, float]:
    """s of a(t) = a(0) e^(s t) by least squares on ln a, every time with the same weight, and the scatter about it."""
    logarithm = np.log(np.abs(amplitude)) + 1j * np.unwrap(np.angle(amplitude))
    columns = np.stack([np.ones_like(time), time], axis=1)
    found, *_ = np.linalg.lstsq(columns.astype(np.complex128), logarithm, rcond=None)
    return complex(found[1]), float(np.sqrt(np.mean(np.abs(logarithm - columns @ found) ** 2)))
