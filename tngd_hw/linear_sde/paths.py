"""Paths of the noise from zero: which algorithm, and the blocks it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tngd_hw.linear_sde.grid import distinct_steps
from tngd_hw.linear_sde.levels import Levels, NoiseLevels, Normals, levels, noise_levels
from tngd_hw.linear_sde.mean import MODAL_TOLERANCE
from tngd_hw.linear_sde.modal import ModalBasis, exp_integral
from tngd_hw.linear_sde.recursion import diagonal_recursion, recursion
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.transition import Transition, transition

__all__ = ["DenseSteps", "DiagonalSteps", "IrregularSteps", "NoiseSteps", "irregular_carry", "noise_steps"]

_MOST_DENSE = 16
"""With more distinct step lengths than this a transition for each costs more than the levels."""


class NoiseSteps(Protocol):
    """The noise of every step of a grid, in coordinates of its own."""

    def draw(self, normals: Normals, first: int, last: int) -> Tensor:
        """Independent noises of steps first .. last - 1, shape (last - first, ..., paths, n)."""
        ...

    def run(self, noise: Tensor, start: Tensor, first: int) -> Tensor:
        """Coordinates after each of these steps, from ``start`` (..., paths, n) before the first one."""
        ...

    def states(self, coordinates: Tensor) -> Tensor:
        """States from coordinates, both (..., n)."""
        ...

    def coordinates(self, states: Tensor) -> Tensor:
        """Coordinates from states, both (..., n)."""
        ...


def noise_steps(sde: LinearSDE, times: Tensor) -> NoiseSteps:
    """Choose: decoupled modes (reversible), one matrix a distinct step length, or levels (many lengths).

    The choice rests on what was checked: detailed balance with regular noise, and a measured error of the eigenbasis.
    """
    lengths, which = distinct_steps(times)
    structure, horizon = sde.structure, float(times[-1])
    if structure.reversible and not structure.singular_noise:
        basis = sde.equilibrium
        if basis.error(horizon) <= MODAL_TOLERANCE:
            return _diagonal_steps(basis, lengths, which)
    if len(lengths) <= _MOST_DENSE:
        return DenseSteps([transition(sde, dt) if dt > 0.0 else None for dt in lengths], which)
    steps = torch.diff(times, prepend=torch.zeros_like(times[:1]))
    climb = levels(sde.F, float(steps.max()))
    basis = sde.modal if sde.modal.error(horizon) <= MODAL_TOLERANCE else None
    return IrregularSteps(noise_levels(climb, sde.B), basis, steps)


@dataclass(frozen=True, eq=False)
class DenseSteps:
    """One transition a distinct length (None: length 0); coordinates are the states."""

    steps: list[Transition | None]
    which: list[int]

    def draw(self, normals: Normals, first: int, last: int) -> Tensor:
        """R z with one square root a distinct length."""
        labels = np.asarray(self.which[first:last])
        noise = normals(last - first, self._size())
        for label, step in enumerate(self.steps):
            chosen = torch.from_numpy(np.flatnonzero(labels == label)).to(noise.device)
            if chosen.numel() == labels.size and step is not None:
                return noise @ step.root.mT
            if chosen.numel():
                noise[chosen] = 0.0 if step is None else noise[chosen] @ step.root.mT
        return noise

    def run(self, noise: Tensor, start: Tensor, first: int) -> Tensor:
        """Dense products."""
        matrices = [None if step is None else step.Phi for step in self.steps]
        return recursion(matrices, self.which[first : first + noise.shape[0]], noise, start)

    def states(self, coordinates: Tensor) -> Tensor:
        """The same."""
        return coordinates

    def coordinates(self, states: Tensor) -> Tensor:
        """The same."""
        return states

    def _size(self) -> int:
        return next(step.Phi.shape[-1] for step in self.steps if step is not None) if any(self.steps) else 0


@dataclass(frozen=True, eq=False)
class DiagonalSteps:
    """Reversible systems: independent scalar processes, x = V c.

    Attributes:
        basis: V with V V^T = B B^T: unit noise on every mode.
        decay: e^(l dt), shape (lengths, ..., 1, n).
        deviation: Square root of (e^(2 l dt) - 1)/(2 l), same shape.
        which: Length of every step.
    """

    basis: ModalBasis
    decay: Tensor
    deviation: Tensor
    which: list[int]

    def draw(self, normals: Normals, first: int, last: int) -> Tensor:
        """One number a mode and step."""
        noise = normals(last - first, self.decay.shape[-1])
        if len(set(self.which[first:last])) == 1:
            return noise.mul_(self.deviation[self.which[first]])
        return noise.mul_(self.deviation[self.which[first:last]])

    def run(self, noise: Tensor, start: Tensor, first: int) -> Tensor:
        """One product a mode and step."""
        return diagonal_recursion(self.decay, self.which[first : first + noise.shape[0]], noise, start)

    def states(self, coordinates: Tensor) -> Tensor:
        """V c, one dense product for all times."""
        return coordinates @ self.basis.V.mT

    def coordinates(self, states: Tensor) -> Tensor:
        """V^-1 x."""
        return states @ self.basis.V_inverse.mT


@dataclass(frozen=True, eq=False)
class IrregularSteps:
    """Many different lengths and no detailed balance; coordinates are balanced states."""

    noise: NoiseLevels
    basis: ModalBasis | None
    steps: Tensor

    def draw(self, normals: Normals, first: int, last: int) -> Tensor:
        """Legendre moments and levels."""
        return self.noise.draw(normals, self.steps[first:last])

    def run(self, noise: Tensor, start: Tensor, first: int) -> Tensor:
        """Step by step, in the eigenbasis where it is good enough."""
        steps = self.steps[first : first + noise.shape[0]]
        return irregular_carry(self.noise.levels, self.basis, steps, noise, start)

    def states(self, coordinates: Tensor) -> Tensor:
        """Back from balanced units."""
        return coordinates * self.noise.levels.scale.unsqueeze(-2)

    def coordinates(self, states: Tensor) -> Tensor:
        """To balanced units."""
        return states / self.noise.levels.scale.unsqueeze(-2)


def irregular_carry(climb: Levels, basis: ModalBasis | None, steps: Tensor, noise: Tensor, start: Tensor) -> Tensor:
    """x_i = exp(F dt_i) x_(i-1) + w_i in balanced units; noise (T, ..., paths, n), start (..., paths, n)."""
    if basis is None:
        states = torch.empty_like(noise)
        last = start.expand(noise.shape[1:])
        for i in range(noise.shape[0]):
            last = climb.apply(last.unsqueeze(0), steps[i : i + 1]).squeeze(0) + noise[i]
            states[i] = last
        return states
    kind, scale = basis.V.dtype, climb.scale.unsqueeze(-2)
    into, back = basis.V_inverse.mT, basis.V.mT
    decay = torch.exp(basis.values * steps.reshape(-1, *([1] * basis.values.ndim))).unsqueeze(-2)
    modes = (noise * scale).to(kind) @ into
    first = (start * scale).to(kind).expand(noise.shape[1:]) @ into
    run = diagonal_recursion(decay, range(noise.shape[0]), modes, first)
    if not run.is_complex():
        return (run @ back) / scale
    return (run.real @ back.real - run.imag @ back.imag) / scale


def _diagonal_steps(basis: ModalBasis, lengths: list[float], which: list[int]) -> DiagonalSteps:
    values = basis.values.unsqueeze(-2)
    times = torch.tensor(lengths, dtype=torch.float64, device=values.device).reshape(-1, *([1] * values.ndim))
    deviation = exp_integral(2.0 * values, times).sqrt()
    return DiagonalSteps(basis, torch.exp(values * times), deviation, which)
