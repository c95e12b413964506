r"""J, H, J^T and lambda as a real die holds them, at the size of a network: products instead of a circuit.

The circuit is that of ``three_array`` (:mod:`tngd_hw.topologies.three_array`) with ideal amplifiers.  In units of tau

    dx/dt = -R (B^T K F x + D x - E b),     F ~ J,  K ~ H,  B ~ J,  D ~ lambda I,  R ~ E ~ I

F and B are the arrays of J and of J^T as written (each with deviations of its own, or shared), K the array of H; the
rows of feedback resistors and the inverters of negative entries are in them; D are the damping resistors, E the input
resistors, R the capacitors.  With x = R y the noise of equal currents at all nodes is white and equal again:
dy/dt = -(A R y - E b) + noise.

A die of N columns is made of tiles of some thousand columns, each a die of its own with a seed of its own: what one die
has in common (corners apart) is drawn for every tile.  A tile's deviations are drawn anew whenever it is written, from
keyed streams, so no more than one tile of them is in memory.  F and B are kept in float32 by default: relative errors
of 6e-8 an entry, far below any resistor's; products are accumulated in float32 and returned in float64, at N = 1e6
within 4e-6 of their norm (F v, measured).  A step of 640 rows and 1e6 parameters takes 6.1 GB, noise included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from tngd_hw.hardware import Chip, Component, Elements, Encoding, HardwareSpec, Layout, Role, draw_chip
from tngd_hw.outcome import MisuseError
from tngd_hw.problem import Factors
from tngd_hw.random import derived_seed
from tngd_hw.topologies.jacobian_factors import block_diagonal
from tngd_hw.topologies.signed_array import resistor_array
from tngd_hw.topologies.three_array import ThreeArray

__all__ = ["ArrayDie", "WrittenArrays", "check_modelled"]

_OF_THE_OUTPUTS: Final = (
    Role.HESSIAN, Role.JACOBIAN_FEEDBACK, Role.HESSIAN_FEEDBACK, Role.JACOBIAN_INVERTER_INPUT,
    Role.JACOBIAN_INVERTER_FEEDBACK, Role.HESSIAN_INVERTER_INPUT, Role.HESSIAN_INVERTER_FEEDBACK,
)  # fmt: skip
"""What stands on the first tile only."""

_MODELLED: Final = ("resistors", "capacitors", "programming", "memory", "damping", "mismatch", "temperature")
_CONVERTERS: Final = ("dac.levels", "dac.gain", "dac.inl", "adc.levels", "adc.gain", "adc.inl")


def check_modelled(hardware: HardwareSpec) -> None:
    """MisuseError naming the first effect of ``hardware`` that is not part of this model."""
    for effect in hardware.effects():
        if effect.split(".")[0] not in _MODELLED and effect not in _CONVERTERS:
            raise MisuseError(
                f"hardware: {effect} is not modelled at the size of a network, where amplifiers, wires and noise are "
                f'ideal; use hardware.without("{effect}"), or a chip of the dual form (DualChip)'
            )


@dataclass(frozen=True, eq=False)
class WrittenArrays:
    """The arrays after one writing.

    Attributes:
        forward: F, shape (m, N).
        hessian: K, shape (m, m), float64.
        backward: B, shape (m, N).
        damping: D, shape (N,), float64.
        input_gain: E, shape (N,), float64.
        rate: R, shape (N,), float64.
    """

    forward: Tensor
    hessian: Tensor
    backward: Tensor
    damping: Tensor
    input_gain: Tensor
    rate: Tensor

    def product(self, y: Tensor) -> Tensor:
        """A R y, shape (N,).  Cost: 4 m N."""
        x = self.rate * y
        u = (self.forward @ x.to(self.forward.dtype)).to(torch.float64)
        w = (self.hessian @ u).to(self.backward.dtype)
        return (self.backward.mT @ w).to(torch.float64) + self.damping * x

    def adjoint(self, y: Tensor) -> Tensor:
        """R A^T y, shape (N,).  Cost: 4 m N."""
        w = (self.backward @ y.to(self.backward.dtype)).to(torch.float64)
        u = (self.hessian.mT @ w).to(self.forward.dtype)
        return self.rate * ((self.forward.mT @ u).to(torch.float64) + self.damping * y)

    @property
    def is_symmetric(self) -> bool:
        """Whether A R is symmetric up to the rounding of float32: F and B one matrix, all capacitors equal."""
        allowed = 1e-6 * _peak(self.forward)
        rows = zip(self.forward, self.backward, strict=True)  # row by row: no third array
        skew = _peak(self.hessian - self.hessian.mT) / max(_peak(self.hessian), 1e-300)
        same = skew <= 1e-6 and bool((self.rate == self.rate[0]).all())
        return same and all(_peak(f - b) <= allowed for f, b in rows)


@dataclass(frozen=True)
class ArrayDie:
    """Dies of three arrays, tile by tile.

    Attributes:
        hardware: What they are made of.
        seed: Of their deviations; tile k has a seed derived from it, tile 0 this one.
        tile_columns: Columns of a tile.
        dtype: In which F and B are kept.
        exact: Roles that are held as computed, to ask what the others do: neither rounded nor mismatched.

    Raises:
        MisuseError: Hardware with an effect that is not modelled here, a tile without columns.
    """

    hardware: HardwareSpec
    seed: int = 0
    tile_columns: int = 1024
    dtype: torch.dtype = torch.float32
    exact: tuple[Role, ...] = ()

    def __post_init__(self) -> None:
        check_modelled(self.hardware)
        if self.tile_columns < 1:
            raise MisuseError(f"tile_columns = {self.tile_columns!r}: a tile has at least one column")

    def write(self, factors: Factors, *, seed: int = 0, in_place: bool = False) -> WrittenArrays:
        """Write the factors of A = J^T H J + damping I.

        Args:
            factors: J in any floating point.
            seed: Of what is drawn at every writing.
            in_place: F takes the memory of a J that has its dtype: ``factors`` is gone afterwards.

        Cost: some 10 operations an entry of both arrays that is not zero, and the draws of every entry.  Memory: F and
        B beside J, or B alone in place, and one tile.
        """
        m, n = factors.J.shape
        reuse = in_place and factors.J.dtype is self.dtype
        F = factors.J if reuse else torch.empty(m, n, dtype=self.dtype)
        B = torch.empty(m, n, dtype=self.dtype)
        own = torch.empty(3, n, dtype=torch.float64)
        scale = _Scale.of(factors, self.hardware)
        hessian, row_gain, rail_gain = (torch.empty(0) for _ in range(3))
        for tile, first in enumerate(range(0, n, self.tile_columns)):
            columns = slice(first, min(first + self.tile_columns, n))
            elements = self._tile(factors, scale, tile, columns, seed)
            if tile == 0:
                hessian, row_gain, rail_gain = _of_the_outputs(elements)
            inverter = _ratio(elements, Role.INVERTER_INPUT, Role.INVERTER_FEEDBACK)
            F[:, columns] = (
                row_gain[:, None] * _signed(elements, Role.JACOBIAN, inverter) * (scale.unit / scale.jacobian)
            ).to(self.dtype)
            B[:, columns] = (_signed(elements, Role.TRANSPOSE, rail_gain).mT / scale.transpose).to(self.dtype)
            own[0, columns] = elements.components[Role.DAMPING].dense(1).squeeze(-1) / scale.g0
            own[1, columns] = elements.value(Role.INPUT) / scale.unit
            own[2, columns] = self.hardware.capacitors.capacitance_farad / elements.value(Role.INTEGRATION)
        return WrittenArrays(F, hessian * (scale.unit / scale.hessian), B, own[0], own[1], own[2])

    def _tile(self, factors: Factors, scale: _Scale, tile: int, columns: slice, seed: int) -> Elements:
        """The elements of one tile as written."""
        hardware, unit = self.hardware, scale.unit
        J = factors.J[:, columns].to(torch.float64)
        m, n = J.shape
        components = {
            Role.JACOBIAN: resistor_array(J, scale.jacobian, hardware),
            Role.TRANSPOSE: resistor_array(J.mT, scale.transpose, hardware),
            Role.DAMPING: Component.per_node(max(factors.damping * scale.g0, hardware.damping_range[0]), n),
            Role.INPUT: Component.per_node(unit, n),
            Role.INTEGRATION: Component.per_node(hardware.capacitors.capacitance_farad, n),
            Role.INVERTER_INPUT: Component.per_node(unit, n),
            Role.INVERTER_FEEDBACK: Component.per_node(unit, n),
        }
        if tile == 0:
            components[Role.HESSIAN] = resistor_array(block_diagonal(factors.H), scale.hessian, hardware)
            components |= {role: Component.per_node(unit, m) for role in _OF_THE_OUTPUTS if role is not Role.HESSIAN}
        nominal = Elements(n, components, {}, {})
        programmed = hardware.programmable([role for role in _PROGRAMMED if role in components])
        real = self._die(tile, n, m).realise(replace(nominal, programmable=programmed), seed=_own(seed, tile))
        kept = {role: components[role] for role in self.exact if role in components}
        return replace(real, components={**real.components, **kept})

    def _die(self, tile: int, n: int, m: int) -> Chip:
        layout = Layout(n, m, Encoding.BALANCED)
        built = {role: shape for role, shape in ThreeArray().inventory(layout).items() if _built(role, tile)}
        return draw_chip("three_array", layout, self.hardware, seed=_own(self.seed, tile), chips=None, built=built)


_PROGRAMMED: Final = (*ThreeArray.matrix_roles, *ThreeArray.support_roles)


@dataclass(frozen=True)
class _Scale:
    """Conductances of an entry 1 of each array, as :meth:`ThreeArray.scales` chooses them."""

    unit: float
    jacobian: float
    hessian: float
    transpose: float
    g0: float

    @classmethod
    def of(cls, factors: Factors, hardware: HardwareSpec) -> _Scale:
        unit = 1.0 / hardware.resistors.resistance_ohm
        J, H = (_peak(matrix) or 1.0 for matrix in (factors.J, factors.H))
        g0 = unit / max(J**2 * H, unit / hardware.damping_range[1] * factors.damping)
        if not math.isfinite(g0):
            raise MisuseError("factors: J or H is too large for resistors; scale the loss down")
        g_J, g_H = unit / J, unit / H
        return cls(unit, g_J, g_H, g0 / (g_J / unit * g_H / unit), g0)


def _peak(matrix: Tensor) -> float:
    """Largest |entry|, without a copy of the matrix."""
    return max(float(matrix.max()), -float(matrix.min()))


def _own(seed: int, tile: int) -> int:
    return seed if tile == 0 else derived_seed(seed, "training.tile", tile)


def _built(role: Role, tile: int) -> bool:
    return role.part.name != "AMPLIFIER" and (tile == 0 or role not in _OF_THE_OUTPUTS)


def _ratio(elements: Elements, role: Role, feedback: Role) -> Tensor:
    return elements.value(role) / elements.value(feedback)


def _signed(elements: Elements, role: Role, inverted: Tensor) -> Tensor:
    """An array with the gain of the inverter of its source on every negative entry, (rows, columns)."""
    component = elements.components[role]
    gain = torch.where(component.sign < 0, -inverted[component.column], 1.0)
    matrix = torch.zeros(component.shape, dtype=torch.float64)
    matrix[component.row, component.column] = gain * component.value
    return matrix


def _of_the_outputs(elements: Elements) -> tuple[Tensor, Tensor, Tensor]:
    """K, what the feedback of stage 1 makes of a conductance (m,), and the gains of the inverters of w (m,)."""
    stage_1, stage_2 = (elements.value(role) for role in (Role.JACOBIAN_FEEDBACK, Role.HESSIAN_FEEDBACK))
    rail = _ratio(elements, Role.JACOBIAN_INVERTER_INPUT, Role.JACOBIAN_INVERTER_FEEDBACK)
    K = _signed(elements, Role.HESSIAN, rail) / stage_2[:, None]
    return K, 1.0 / stage_1, _ratio(elements, Role.HESSIAN_INVERTER_INPUT, Role.HESSIAN_INVERTER_FEEDBACK)
