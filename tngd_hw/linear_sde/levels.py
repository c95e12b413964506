"""Steps of many different lengths at once: each length is a fraction of a unit step plus powers of two of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from tngd_hw.linear_sde.balance import balancing_scale, scaled, scaled_norm
from tngd_hw.linear_sde.dense import contract, identity
from tngd_hw.linear_sde.doubling import TERMS, Power, doublings, first_psi, unit_step
from tngd_hw.linear_sde.gaussian import square_root
from tngd_hw.linear_sde.transition import first_covariance, grow_covariance

__all__ = ["InputLevels", "Levels", "NoiseLevels", "Normals", "input_levels", "levels", "noise_levels"]

Normals = Callable[[int, int], Tensor]
"""Standard normal variates of shape (rows, ..., paths, columns) from the numbers of rows and columns."""

_MOMENTS = 12
"""Legendre moments of the noise within a unit step; with norm(F) h <= 1/2 those left out weigh below 1e-13."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Psi_k = exp(F 2^k h) - I in balanced units, k = 0, 1, ...

    Attributes:
        h: The unit step, a power of two of seconds, norm(F) h <= 1/2.
        scale: Balanced units of the states, shape (..., n).
        A: F h in balanced units.
        psis: One matrix a level.
    """

    h: float
    scale: Tensor
    A: Tensor
    psis: tuple[Tensor, ...]

    def split(self, steps: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Fractions of h, shape (T,), and for each level the steps that contain it."""
        units = steps / self.h
        whole = torch.floor(units)
        bits = [torch.remainder(torch.floor(whole * 2.0**-k), 2.0) == 1.0 for k in range(len(self.psis))]
        return units - whole, [torch.nonzero(bit).squeeze(-1) for bit in bits]

    def apply(self, rows: Tensor, steps: Tensor) -> Tensor:
        """exp(F dt_i) x_i for rows of balanced states, shape (T, ..., paths, n), steps of shape (T,)."""
        fraction, members = self.split(steps)
        f = _like_rows(fraction, rows)
        term, total = rows, rows.clone()
        for j in range(1, TERMS):
            term = (f / j) * (term @ self.A.mT)
            total = total + term
        for psi, chosen in zip(self.psis, members, strict=True):
            if chosen.numel():
                total[chosen] = total[chosen] + total[chosen] @ psi.mT
        return total


def levels(F: Tensor, longest: float) -> Levels:
    """Levels up to the longest step (seconds).  Cost n^3 (6 + log2(2 norm(F) longest))."""
    scale = balancing_scale(F)
    h = unit_step(float(scaled_norm(F, scale).max()))
    A = scaled(F, scale) * h
    count = max(0, math.floor(math.log2(longest / h)) + 1) if longest >= h else 0
    return Levels(h, scale, A, tuple(power.psi for power in islice(doublings(Power.from_psi(first_psi(A))), count)))


@dataclass(frozen=True, eq=False)
class NoiseLevels:
    """The noise that comes in during one step of each level.

    Attributes:
        levels: The steps.
        B: Noise matrix in balanced units.
        roots: Square root of the noise covariance of each level.
    """

    levels: Levels
    B: Tensor
    roots: tuple[Tensor, ...]

    def draw(self, normals: Normals, steps: Tensor) -> Tensor:
        """Independent noises of the given steps, in balanced units, shape (T, ..., paths, n), with their exact law."""
        fraction, members = self.levels.split(steps)
        total = self._within_unit(normals, fraction)
        for psi, root, chosen in zip(self.levels.psis, self.roots, members, strict=True):
            if chosen.numel():
                part = total[chosen]
                total[chosen] = part + part @ psi.mT + normals(chosen.numel(), part.shape[-1]) @ root.mT
        return total

    def _within_unit(self, normals: Normals, fraction: Tensor) -> Tensor:
        """Noise over f h: sum over k of (f A)^k B y_k, times sqrt(f h); y_k mixes the Legendre moments of the path."""
        q, weights = self.B.shape[-1], _legendre_weights().to(self.B.device)
        moments = torch.stack([normals(fraction.numel(), q) for _ in range(_MOMENTS)])
        mixed = contract(weights.mT, moments)
        f = _like_rows(fraction, mixed[0])
        total = mixed[_MOMENTS - 1] @ self.B.mT
        for k in range(_MOMENTS - 2, -1, -1):
            total = mixed[k] @ self.B.mT + f * (total @ self.levels.A.mT)
        return total * torch.sqrt(f * self.levels.h)


def noise_levels(steps: Levels, B: Tensor) -> NoiseLevels:
    """Covariances by doubling, one square root a level.  Cost about 15 n^3 a level."""
    balanced = B / steps.scale.unsqueeze(-1)
    covariance = first_covariance(steps.A, (balanced @ balanced.mT) * steps.h)
    roots: list[Tensor] = []
    for psi in steps.psis:
        roots.append(square_root(covariance))
        covariance = grow_covariance(psi + identity(psi.shape[-1], psi.device), covariance)
    return NoiseLevels(steps, balanced, tuple(roots))


def _legendre_weights() -> Tensor:
    """c_jk = (integral of s^k p_j(s) over 0..1) / k!, p_j the orthonormal Legendre polynomials of the unit interval."""
    table = torch.zeros((_MOMENTS, _MOMENTS), dtype=torch.float64)
    for k in range(_MOMENTS):
        for j in range(k + 1):
            table[j, k] = math.sqrt(2 * j + 1) * math.factorial(k) / (math.factorial(k - j) * math.factorial(k + j + 1))
    return table


@dataclass(frozen=True, eq=False)
class InputLevels:
    """What an input does during one step of each level.

    Attributes:
        levels: The steps.
        E: Input matrix times h, in balanced units.
        constant: Effect of a constant input of 1 over each level, shape (..., n, m) a level.
        ramp: Effect of an input that rises by 1 in every unit step h from 0.
    """

    levels: Levels
    E: Tensor
    constant: tuple[Tensor, ...]
    ramp: tuple[Tensor, ...]

    def increments(self, first: Tensor, last: Tensor, steps: Tensor) -> Tensor:
        """State at the end of each step from zero, the input a straight line from ``first`` to ``last``.

        Inputs have shape (T, ..., m), steps (T,); the result is in balanced units, shape (T, ..., 1, n).
        """
        fraction, members = self.levels.split(steps)
        begin = first.unsqueeze(-2)
        slope = (last.unsqueeze(-2) - begin) * _like_rows(self.levels.h / steps, begin)
        f = _like_rows(fraction, begin)
        total = _taylor_response(self.levels.A, begin @ self.E.mT, slope @ self.E.mT, f)
        reached = begin + f * slope
        for k, chosen in enumerate(members):
            if chosen.numel():
                part, now = total[chosen], reached[chosen]
                change = part @ self.levels.psis[k].mT + now @ self.constant[k].mT + slope[chosen] @ self.ramp[k].mT
                total[chosen] = part + change
                reached[chosen] = now + 2.0**k * slope[chosen]
        return total


def input_levels(steps: Levels, E: Tensor) -> InputLevels:
    """Input integrals by doubling.  Cost 2 n^2 m a level."""
    drive = E * steps.h / steps.scale.unsqueeze(-1)
    one = torch.ones((1,), dtype=torch.float64, device=E.device)
    rows = drive.mT
    constant = _taylor_response(steps.A, rows, torch.zeros_like(rows), one).mT
    ramp = _taylor_response(steps.A, torch.zeros_like(rows), rows, one).mT
    constants: list[Tensor] = []
    ramps: list[Tensor] = []
    for k, psi in enumerate(steps.psis):
        constants.append(constant)
        ramps.append(ramp)
        ramp = 2.0 * ramp + psi @ ramp + 2.0**k * constant
        constant = 2.0 * constant + psi @ constant
    return InputLevels(steps, drive, tuple(constants), tuple(ramps))


def _taylor_response(A: Tensor, constant: Tensor, slope: Tensor, f: Tensor) -> Tensor:
    """x(f) for dx/df = A x + constant + slope f from zero, as rows: sum of f^(j+1) A^j constant / (j+1)! and so on."""
    flat, rising = constant * f, slope * (f * f / 2.0)
    total = flat + rising
    for j in range(1, TERMS):
        flat, rising = (flat @ A.mT) * (f / (j + 1)), (rising @ A.mT) * (f / (j + 2))
        total = total + flat + rising
    return total


def _like_rows(values: Tensor, rows: Tensor) -> Tensor:
    return values.reshape(-1, *([1] * (rows.ndim - 1)))
