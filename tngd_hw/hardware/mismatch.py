"""Deviations that the components of a die share: corners, one factor a kind, gradients, correlated fields.

Beside the independent tolerance of every component (``resistors.tolerance_dtod`` and its like), a resistance,
capacitance or transconductance X at row i and column j of an array is

    X_ij -> corner X_ij (1 + s_g z + s_l w (cos(t) p_i + sin(t) q_j) + s_c f_ij)

with z, w standard normal and t uniform in [0, 2 pi), one of each a kind and die; p_i and q_j run from -1/2 to 1/2 over
the rows and columns; and f a Gaussian field of every array, standard normal at every component, with the covariance

    E f_ij f_kl = exp(-(|i - k| + |j - l|)/length),

a product of one factor in the rows and one in the columns.  The Cholesky factor of such a factor is the recursion
f_i = r f_(i-1) + sqrt(1 - r^2) w_i with r = exp(-1/length), f_0 = w_0: a field costs O(rows columns) and no matrix.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter
from torch import Tensor

from tngd_hw.hardware.draws import Die, Draws, draws_of, scaled
from tngd_hw.hardware.elements import Elements, PartKind, Role, roles_of
from tngd_hw.hardware.fields import Fraction, Part, Positive
from tngd_hw.outcome import MisuseError

if TYPE_CHECKING:
    from tngd_hw.hardware.spec import HardwareSpec

__all__ = ["Corner", "Mismatch", "corners"]


class Corner(enum.Enum):
    """A process corner: all RC products large, nominal, or small."""

    SLOW = "slow"
    TYPICAL = "typical"
    FAST = "fast"


class Mismatch(Part):
    """What the components of one die have in common.

    Attributes:
        resistance_corner: Factor on every resistance of every die.
        capacitance_corner: Factor on every capacitance.
        transconductance_corner: Factor on every transconductance.
        resistance_global_dtod: s_g, relative standard deviation of the one factor on all resistances of a die.
        capacitance_global_dtod: The same of all capacitances.
        transconductance_global_dtod: The same of all transconductances.
        gradient_dtod: s_l, relative standard deviation of the change from edge to edge of every array, along a
            direction drawn for each kind and die.
        correlated_dtod: s_c, relative standard deviation of the correlated field.
        correlation_cells: Length over which the field's correlation falls by e, in rows or columns.
        shared_arrays: Whether the arrays of J and of its transpose are one array, used in both directions: component
            (j, i) of the transpose has every draw of component (i, j) of J.  Otherwise they are drawn apart.
    """

    resistance_corner: Positive = 1.0
    capacitance_corner: Positive = 1.0
    transconductance_corner: Positive = 1.0
    resistance_global_dtod: Fraction = 0.0
    capacitance_global_dtod: Fraction = 0.0
    transconductance_global_dtod: Fraction = 0.0
    gradient_dtod: Fraction = 0.0
    correlated_dtod: Fraction = 0.0
    correlation_cells: Positive = 10.0
    shared_arrays: bool = False

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "corner": {"resistance_corner": 1.0, "capacitance_corner": 1.0, "transconductance_corner": 1.0},
        "global": {
            "resistance_global_dtod": 0.0, "capacitance_global_dtod": 0.0, "transconductance_global_dtod": 0.0,
        },
        "gradient": {"gradient_dtod": 0.0},
        "correlated": {"correlated_dtod": 0.0},
    }  # fmt: skip

    def draw(self, die: Die) -> Draws:
        """``deviation``: the relative deviation of every component, without the corner; nothing if all are off.

        Raises:
            MisuseError: Deviations so large that a component of this die would be 0 or below.
        """
        if set(self.effects()) <= {"corner"}:
            return {}
        found = {role: dev for kind in self._kinds() for role in die.roles(kind) if (dev := self._of(die, role)).any()}
        for role, deviation in found.items():
            if bool((deviation <= -1).any()):
                raise MisuseError(
                    f"mismatch: chip {die.chip} of seed {die.seed} would have an {role.label} below 0 (relative "
                    f"deviation {float(deviation.min()):.3g}); choose smaller deviations"
                )
        return {"deviation": found} if found else {}

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """Values of this chip: conductances divided by corner (1 + deviation), the others multiplied by it."""
        deviations = draws_of(draws, "deviation")
        for kind, (corner, _) in self._kinds().items():
            for role in roles_of(kind):
                if role in deviations:
                    factor = corner * (1.0 + deviations[role])
                    elements = scaled(elements, role, 1.0 / factor if kind is PartKind.RESISTOR else factor)
                elif corner != 1.0:
                    factor = 1.0 / corner if kind is PartKind.RESISTOR else corner
                    elements = elements.with_values(role, lambda c, factor=factor: factor * c.value)
        return elements

    def share(self, draws: Draws) -> Draws:
        """What a part drew, with the draws of J on its transpose too if they are one array."""
        if not self.shared_arrays:
            return draws
        return {quantity: _shared(roles) for quantity, roles in draws.items()}

    def _kinds(self) -> dict[PartKind, tuple[float, float]]:
        """Corner and standard deviation of the common factor of every kind."""
        return {
            PartKind.RESISTOR: (self.resistance_corner, self.resistance_global_dtod),
            PartKind.CAPACITOR: (self.capacitance_corner, self.capacitance_global_dtod),
            PartKind.TRANSCONDUCTOR: (self.transconductance_corner, self.transconductance_global_dtod),
        }

    def _of(self, die: Die, role: Role) -> Tensor:
        """Relative deviation of every component of one role."""
        shape, kind = die.inventory[role], role.part
        deviation = np.zeros(shape)
        if (sigma := self._kinds()[kind][1]) > 0:
            deviation += sigma * die.stream(f"mismatch.global.{kind.name}").standard_normal()
        if self.gradient_dtod > 0:
            deviation += self.gradient_dtod * _gradient(die.stream(f"mismatch.gradient.{kind.name}"), *shape)
        if self.correlated_dtod > 0:
            white = die.normal("mismatch.correlated", role).numpy()
            deviation += self.correlated_dtod * _correlated(white, self.correlation_cells)
        return torch.from_numpy(deviation)


def corners(
    spec: HardwareSpec, *, resistance: float = 0.2, capacitance: float = 0.12, transconductance: float = 0.2
) -> dict[Corner, HardwareSpec]:
    """The usual corners of a process, as specifications.

    Slow has resistances and capacitances larger by the given parts and transconductances smaller, fast the reverse;
    typical is ``spec`` as it is.  Of the defaults the 12 % has a source (SkyWater sky130 PDK, MIM capacitor: 1.778 to
    2.231 fF/um^2 about 2.00); the 20 % are our choice.

    Raises:
        MisuseError: A part that is not in [0, 1).
    """
    given = {"resistance": resistance, "capacitance": capacitance, "transconductance": transconductance}
    for name, part in given.items():
        if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part < 1:
            raise MisuseError(f"{name} = {part!r}: the part by which a corner differs is in [0, 1), for example 0.2")

    def at(direction: int) -> HardwareSpec:
        own = spec.mismatch
        changed = own.changed(
            {
                "resistance_corner": own.resistance_corner * (1 + direction * resistance),
                "capacitance_corner": own.capacitance_corner * (1 + direction * capacitance),
                "transconductance_corner": own.transconductance_corner * (1 - direction * transconductance),
            }
        )
        return spec.changed({"mismatch": changed})

    return {Corner.SLOW: at(1), Corner.TYPICAL: spec, Corner.FAST: at(-1)}


def _gradient(generator: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """A plane through 0 at the middle: z (cos(t) p_i + sin(t) q_j)."""
    size, angle = generator.standard_normal(), 2 * math.pi * generator.random()
    down, across = _across(rows)[:, None], _across(columns)[None, :]
    return size * (math.cos(angle) * down + math.sin(angle) * across)


def _across(count: int) -> NDArray[np.float64]:
    """Places from -1/2 to 1/2; 0 for a single one."""
    return np.linspace(-0.5, 0.5, count) if count > 1 else np.zeros(1)


def _correlated(white: NDArray[np.float64], cells: float) -> NDArray[np.float64]:
    """The field of the module's covariance made of independent normal variates (rows, columns)."""
    keep, fresh = math.exp(-1 / cells), math.sqrt(-math.expm1(-2 / cells))
    for axis in (0, 1):
        start = np.moveaxis(white, axis, 0).copy()
        start[1:] *= fresh
        white = np.moveaxis(np.asarray(lfilter([1.0], [1.0, -keep], start, axis=0)), 0, axis)
    return white


def _shared(roles: Mapping[Role, Tensor]) -> Mapping[Role, Tensor]:
    if Role.JACOBIAN not in roles or Role.TRANSPOSE not in roles:
        return roles
    return {**roles, Role.TRANSPOSE: roles[Role.JACOBIAN].mT}
