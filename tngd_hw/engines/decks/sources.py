"""Moving sources as exact inputs: straight lines by their corners, SIN and EXP as small systems that generate them.

With s = t - delay, SIN is offset + p where   p' = -damping p + w q,   q' = -w p - damping q,   w = 2 pi frequency, and
each half of EXP is a constant less one decaying state.  Before its delay a generator rests at zero.  A generator is
started anew from its closed form at every event, so no rounding adds up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import StateEquations, Waveform
from tngd_hw.netlist.waveform import Shape
from tngd_hw.outcome import MisuseError

__all__ = ["DrivenEquations", "Sources", "driven_equations", "event_times"]

_MOST_EVENTS = 20_000

Floats = NDArray[np.float64]


def event_times(waves: Mapping[str, Waveform], stop_s: float) -> list[float]:
    """Times inside (0, stop_s) where a generator starts or a source jumps."""
    found: list[float] = []
    for wave in waves.values():
        if not wave.is_piecewise_linear:
            found.extend(wave.breakpoints(stop_s).tolist())
        elif wave.shape is Shape.PULSE and _period(wave) < sum(wave.numbers[3:6]):
            jumps = (stop_s - wave.numbers[2]) / _period(wave)
            if jumps > _MOST_EVENTS:
                raise MisuseError(f"pulse waveform {wave.numbers}: more than {_MOST_EVENTS} jumps in {stop_s:g} s")
            found.extend(wave.numbers[2] + _period(wave) * k for k in range(1, math.floor(max(jumps, 0.0)) + 1))
    return [time for time in found if 0 < time < stop_s]


def _period(wave: Waveform) -> float:
    return wave.numbers[6]


@dataclass(frozen=True, eq=False)
class Sources:
    """The moving sources of a circuit, in the order of the equations' inputs.

    Attributes:
        names: Their names.
        waves: Their waveforms, complete.
    """

    names: tuple[str, ...]
    waves: tuple[Waveform, ...]

    def corners(self, start_s: float, end_s: float) -> Floats:
        """Corners of the straight lines inside (start_s, end_s)."""
        found = [wave.breakpoints(end_s) for wave in self.waves if wave.is_piecewise_linear]
        times = np.unique(np.concatenate(found)) if found else np.zeros(0)
        return times[(times > start_s) & (times < end_s)]

    def sampled(self, times_s: Floats, derivatives: Sequence[int]) -> Floats:
        """Inputs at ``times_s``, shape (T, m + 1 + d): sources, the constant 1, derivatives of the sources named.

        Of a generated source only the part that does not move between the first and the last time.  All corners are
        among the times, so the lines are straight in between; values at the two ends are limits from inside, and
        derivatives those to the left (at the first time, to the right).
        """
        found = np.ones((len(times_s), len(self.waves) + 1 + len(derivatives)))
        for k, wave in enumerate(self.waves):
            if wave.is_piecewise_linear:
                found[:, k] = wave.value(times_s)
                found[0, k], found[-1, k] = _limits(wave, times_s)
            else:
                found[:, k] = _resting(wave, float(times_s[0]))
        for column, k in enumerate(derivatives):
            slope = np.zeros(len(times_s))
            if self.waves[k].is_piecewise_linear:
                thirds = np.diff(times_s) / 3
                rise = self.waves[k].value(times_s[1:] - thirds) - self.waves[k].value(times_s[:-1] + thirds)
                slope[1:] = rise / thirds
                slope[0] = slope[1]
            found[:, len(self.waves) + 1 + column] = slope
        return found

    def generated(self, time_s: float) -> Floats:
        """States of all generators at ``time_s``, as they are just after it."""
        return np.concatenate([np.zeros(0), *(_generator_state(w, time_s) for w in self.waves)])


def _limits(wave: Waveform, times_s: Floats) -> tuple[float, float]:
    """Limits at the first and last time from inside, by the straight lines next to them."""
    first, last = (times_s[1] - times_s[0]) / 3, (times_s[-1] - times_s[-2]) / 3
    inside = wave.value(np.array([
        times_s[0] + first, times_s[0] + 2 * first, times_s[-1] - last, times_s[-1] - 2 * last,
    ]))  # fmt: skip
    return 2 * inside[0] - inside[1], 2 * inside[2] - inside[3]


def _resting(wave: Waveform, time_s: float) -> float:
    """The part of a SIN or EXP source that is constant after ``time_s`` (until its next delay)."""
    numbers = wave.numbers
    if wave.shape is Shape.SIN:
        return float(wave.start if time_s < numbers[3] else numbers[0])
    value = numbers[0]
    value += (numbers[1] - numbers[0]) * (time_s >= numbers[2])
    return value + (numbers[0] - numbers[1]) * (time_s >= numbers[4])


def _generator_state(wave: Waveform, time_s: float) -> Floats:
    numbers = wave.numbers
    if wave.is_piecewise_linear:
        return np.zeros(0)
    if wave.shape is Shape.SIN:
        _, amplitude, frequency, delay, damping, phase = numbers
        s = time_s - delay
        if s < 0:
            return np.zeros(2)
        turn = 2 * math.pi * math.fmod(frequency * s, 1.0) + math.radians(phase)
        return amplitude * math.exp(-damping * s) * np.array([math.sin(turn), math.cos(turn)])
    low, high, *times = numbers
    halves = ((high - low, *times[:2]), (low - high, *times[2:]))
    return np.array([-a * math.exp(-(time_s - d) / tau) if time_s >= d else 0.0 for a, d, tau in halves])


def _generator(wave: Waveform) -> tuple[Floats, Floats]:
    """Drift and output row of a source's generator."""
    if wave.is_piecewise_linear:
        return np.zeros((0, 0)), np.zeros(0)
    if wave.shape is Shape.SIN:
        w, damping = 2 * math.pi * wave.numbers[2], wave.numbers[4]
        return np.array([[-damping, w], [-w, -damping]]), np.array([1.0, 0.0])
    return np.diag([-1 / wave.numbers[3], -1 / wave.numbers[5]]), np.ones(2)


@dataclass(frozen=True, eq=False)
class DrivenEquations:
    """State equations with the generators of their inputs appended.

    Attributes:
        sde: States are the circuit's, then the generators'; inputs as in the equations.
        equations: Of the circuit alone.
        derivatives: Which source each derivative input differentiates.
    """

    sde: LinearSDE
    equations: StateEquations
    derivatives: tuple[int, ...]


def driven_equations(equations: StateEquations, sources: Sources) -> DrivenEquations:
    """Append a generator for every source k:  F' = [F  E_k c_k; 0  F_k],  C' = [C  D_k c_k + D_dk c_k F_k].

    The noise is left out, and where no source needs a generator that is all that changes.
    """
    sde = equations.sde
    m = len(sources.names)
    derivatives = tuple(sources.names.index(name[2:].removesuffix(")/dt")) for name in sde.input_names[m + 1 :])
    parts = [_generator(wave) for wave in sources.waves]
    extra = sum(len(drift) for drift, _ in parts)
    n = sde.n_states
    F, C = np.zeros((n + extra, n + extra)), np.zeros((sde.n_outputs, n + extra))
    F[:n, :n], C[:, :n] = sde.F.numpy(), sde.C.numpy()
    place = n
    for k, (drift, row) in enumerate(parts):
        own = slice(place, place + len(drift))
        place += len(drift)
        F[own, own] = drift
        F[:n, own] = np.outer(sde.E.numpy()[:, k], row)
        C[:, own] = np.outer(sde.D.numpy()[:, k], row)
        if k in derivatives:
            C[:, own] += np.outer(sde.D.numpy()[:, m + 1 + derivatives.index(k)], row @ drift)
    E = np.vstack([sde.E.numpy(), np.zeros((extra, sde.n_inputs))])
    driven = LinearSDE(
        torch.from_numpy(F), torch.from_numpy(E), None, torch.from_numpy(C), D=sde.D, input_names=sde.input_names,
        output_names=sde.output_names,
    )  # fmt: skip
    return DrivenEquations(driven, equations, derivatives)
